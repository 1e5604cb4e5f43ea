"""Point estimates with random effects: their errors beside engine psis, and what Wald tests would call.

Wald tests compare estimate / standard error with the normal distribution. The package does not make them for
designs with random effects; what they would call where nothing has an effect is measured here.
"""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import ndtr

from bayesde import Counts, fit_eb, fit_posterior
from bayesde.errors import BayesdeWarning
from benchmarks.donors.experiments import Truth
from benchmarks.donors.null import DESIGNS, FOLDER, expressed, halves

__all__ = ["scored_points", "wald_called"]

DESIGN = "~ condition + (1 | donor)"
LEVEL = 0.05


def scored_points(counts: Counts, truth: Truth) -> dict[str, float]:
    """Fit simulated counts by point estimates and by engine psis, and compare both with the truth.

    Parameters
    ----------
    counts : Counts
    truth : Truth

    Returns
    -------
    dict of str to float
        Mean absolute errors of log2 fold changes: ``mle`` without shrinkage, ``shrunken``, ``psis``; of
        standard deviations between donors (log2): ``sd`` and ``psis_sd``; ``wald``, the share of the genes
        without an effect with |estimate| > 1.96 standard errors; ``cpu`` and ``psis_cpu``, seconds of all
        cores.
    """
    with warnings.catch_warnings(action="ignore", category=BayesdeWarning):
        start = time.process_time()
        fit = fit_eb(counts, DESIGN)
        plain, shrunken = fit.results(), fit.shrink()
        middle = time.process_time()
        posterior = fit_posterior(counts, DESIGN, seed=1).results()
        end = time.process_time()
    effect, sd = truth.effect / math.log(2.0), truth.sd / math.log(2.0)
    tables = {"mle": plain, "shrunken": shrunken, "psis": posterior}
    found = {name: float((table["log2_fold_change"] - effect).abs().mean()) for name, table in tables.items()}
    found |= {
        "sd": float((plain["donor_sd"] - sd).abs().mean()),
        "psis_sd": float((posterior["donor_sd"] - sd).abs().mean()),
    }
    p_value = _p_values(plain)[truth.effect == 0.0]
    return found | {"wald": _share(p_value), "cpu": middle - start, "psis_cpu": end - middle}


def wald_called(genes: int, splits: int, folder: Path = FOLDER) -> Iterator[dict[str, Any]]:
    """Count what Wald tests would call for a disease that was shuffled over donors, two samples of each.

    Parameters
    ----------
    genes : int
        Drawn at random from the expressed ones.
    splits : int
    folder : Path
        With the counts and the sample table.

    Yields
    ------
    dict
        For every number of donors and split: ``diseased``, how many of those called diseased are; ``wald``,
        the share of genes with p < 0.05.
    """
    counts = expressed(genes, folder)
    for donors in (12, 6, 4):
        for split, (own, diseased) in enumerate(halves(counts, splits, donors)):
            with warnings.catch_warnings(action="ignore", category=BayesdeWarning):
                table = fit_eb(own, DESIGNS["random"]).results()
            share = _share(_p_values(table))
            yield {"donors": donors, "split": split, "diseased": diseased, "wald": share}


def _p_values(table: pd.DataFrame) -> np.ndarray:
    return np.asarray(2.0 * ndtr(-np.abs(table["log2_fold_change"] / table["lfc_se"])))


def _share(p_value: np.ndarray) -> float:
    return float((p_value[np.isfinite(p_value)] < LEVEL).mean())
