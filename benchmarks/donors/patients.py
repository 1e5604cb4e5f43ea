"""Paired designs of many patients, as fixed effects and as random ones: time, memory, reliability."""

from __future__ import annotations

import math
import multiprocessing
import resource
import time
import warnings
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import numpy as np

from bayesde import SamplingOptions, fit_eb, fit_posterior
from bayesde.errors import BayesdeWarning
from benchmarks.donors.experiments import Experiment, simulated
from benchmarks.donors.scores import DESIGNS

__all__ = ["paired"]

PATIENTS = (5, 10, 20, 40, 70)
MEGABYTE = 1024.0


def paired(genes: int) -> Iterator[dict[str, Any]]:
    """Measure designs of two samples of each patient, each in a process of its own.

    Parameters
    ----------
    genes : int

    Yields
    ------
    dict of str to (str or float)
    """
    spawn = multiprocessing.get_context("spawn")
    for patients in PATIENTS:
        for design in ("fixed", "random"):
            with ProcessPoolExecutor(1, spawn) as processes:
                found = processes.submit(measured, patients, design, genes).result()
            yield {"patients": patients, "as": design} | found


def measured(patients: int, design: str, genes: int) -> dict[str, float]:
    """Fit one design.

    Parameters
    ----------
    patients : int
    design : str
        Of `DESIGNS`.
    genes : int

    Returns
    -------
    dict of str to float
        ``eb_cpu`` and ``cpu``, seconds of all cores, of the point estimates and of engine psis; ``memory``,
        the largest of the process, MB; ``bad_k`` and ``low_ess``, shares of genes; ``coverage`` of 95 %
        intervals of the effect, ``error``, its mean absolute error in log2.
    """
    counts, truth = simulated(Experiment(patients, 2, between=False, genes=genes), 1)
    formula = DESIGNS[design]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", BayesdeWarning)
        start = time.process_time()
        fit = fit_eb(counts, DESIGNS["ignored" if design == "random" else design])
        estimated = time.process_time()
        options = SamplingOptions(hand_over=False)
        posterior = fit_posterior(counts, formula, eb=fit, seed=1, options=options)
        table = posterior.results(("condition", "b", "a"))
        end = time.process_time()
    known = table["log2_fold_change"].notna().to_numpy()
    effect = truth.effect / math.log(2.0)
    within = (table["lfc_lower"] <= effect) & (effect <= table["lfc_upper"])
    return {
        "eb_cpu": estimated - start,
        "cpu": end - estimated,
        "memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / MEGABYTE,
        "bad_k": float((table["pareto_k"][known] > 0.7).mean()),
        "low_ess": float((table["status"][known] == "low_ess").mean()),
        "coverage": float(within[known].mean()),
        "error": float(np.abs(table["log2_fold_change"] - effect)[known].mean()),
    }
