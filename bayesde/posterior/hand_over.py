"""Genes whose importance weights cannot be trusted, sampled by Stan instead.

What Stan draws of such a gene is thinned to as many draws as the others have, of equal weight, and takes
their place; the gene's diagnostics are those of engine nuts then, and the table says so.
"""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

from bayesde.model.density import ConditionalModel
from bayesde.posterior.draws.gene_draws import GeneDraws
from bayesde.posterior.hyper.integrate import log_shared_prior

__all__ = ["failed_genes", "replace_genes", "stan_is_there", "thinned"]

FAILED = ("high_pareto_k", "low_ess")
"""Statuses of the genes that are handed over."""


def failed_genes(diagnostics: pd.DataFrame) -> np.ndarray:
    """Return the positions of the genes that importance sampling could not do."""
    return np.flatnonzero(diagnostics["status"].isin(FAILED).to_numpy())


def stan_is_there() -> bool:
    """Tell whether a CmdStan is installed, and a compiler; nothing is installed for a few genes."""
    from bayesde.stan_runtime import doctor  # what needs no Stan does not load it

    report = doctor()
    return report.cmdstan is not None and not report.problems


def thinned(draws: GeneDraws, size: int) -> np.ndarray:
    """Return as many draws as asked for, evenly from all chains.

    Parameters
    ----------
    draws : GeneDraws
        Of equal weight.
    size : int
        If there are fewer, some are repeated.

    Returns
    -------
    ndarray of float32 (gene, size, P + 1)
    """
    taken = np.linspace(0, draws.n_draws - 1, size).round().astype(int)
    return np.ascontiguousarray(draws.theta[:, taken])


def replace_genes(draws: GeneDraws, rows: np.ndarray, better: GeneDraws, model: ConditionalModel) -> None:
    """Put draws of equal weight in the place of weighted ones.

    Parameters
    ----------
    draws : GeneDraws
        Weighted; its arrays are written to.
    rows : ndarray of int
        The genes of `draws` that are replaced.
    better : GeneDraws
        Of these genes.
    model : ConditionalModel
        Of these genes, under the hyperparameters that they were drawn with.
    """
    assert draws.log_weights is not None
    assert draws.log_ratio is not None
    draws.theta[rows] = thinned(better, draws.n_draws)
    draws.log_weights[rows] = -math.log(draws.n_draws)
    draws.log_ratio[rows] = -log_shared_prior(draws.theta[rows].astype(np.float64), model)
