"""Genes with unreliable importance weights (k > 0.7), sampled by Stan instead.

Stan's draws of such a gene are thinned to as many as the other genes have, of equal weight, and replace the
weighted ones; the gene's diagnostics and the column ``engine`` of the table are then those of engine nuts.
"""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

from bayesde.model.density import ConditionalModel
from bayesde.posterior.draws.gene_draws import GeneDraws
from bayesde.posterior.hyper.integrate import log_shared_prior

__all__ = ["failed_genes", "replace_genes", "stan_is_there", "thinned"]

HANDED_OVER = ("high_pareto_k", "low_ess")
"""Statuses of the genes that are handed over."""


def failed_genes(diagnostics: pd.DataFrame) -> np.ndarray:
    """Return the genes with unreliable importance weights, or too few effective draws.

    Parameters
    ----------
    diagnostics : pandas.DataFrame (gene,)
        With ``status``.

    Returns
    -------
    ndarray of int
        Positions among all genes.
    """
    return np.flatnonzero(diagnostics["status"].isin(HANDED_OVER).to_numpy())


def stan_is_there() -> bool:
    """Return whether CmdStan and a compiler are installed; nothing is installed for a few genes."""
    from bayesde.stan_runtime import doctor  # what needs no Stan does not load it

    report = doctor()
    return report.cmdstan is not None and not report.problems


def thinned(draws: GeneDraws, size: int) -> np.ndarray:
    """Return a given number of draws, evenly from all chains.

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
    """Replace weighted draws by draws of equal weight.

    Parameters
    ----------
    draws : GeneDraws
        Weighted; its arrays are changed.
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
    if draws.log_level is not None:
        draws.log_level[rows] = math.nan
    draws.log_ratio[rows] = -log_shared_prior(draws.theta[rows].astype(np.float64), model)
