"""ArviZ's R-hat and effective sample sizes of chains, gene by gene."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import xarray as xr

from bayesde.posterior.draws.arviz_adapter import import_arviz

__all__ = ["chain_diagnostics", "effective_sizes"]


def chain_diagnostics(draws: np.ndarray) -> dict[str, np.ndarray]:
    """Return R-hat and effective sample sizes, the worst over each gene's parameters.

    Parameters
    ----------
    draws : ndarray (chain, draw, gene, parameter)

    Returns
    -------
    dict
        ``rhat``, ``ess_bulk``, ``ess_tail``, each ndarray (gene,). A parameter that did not move at all, or a
        number that is not finite, makes them NaN.

    References
    ----------
    Vehtari, Gelman, Simpson, Carpenter and Bürkner 2021, Bayesian Analysis 16:667, doi:10.1214/20-BA1221
    """
    labelled = xr.Dataset({"draws": (("chain", "draw", "gene", "parameter"), draws.astype(np.float64))})
    arviz = import_arviz()
    with _quiet(), np.errstate(all="ignore"):
        rhat = arviz.rhat(labelled)["draws"].to_numpy()
        methods: list[dict[str, Any]] = [
            {"method": "bulk"},
            {"method": "tail", "prob": (0.05, 0.95)},  # the quantiles of the paper, not ArviZ 1's
        ]
        sizes = [arviz.ess(labelled, **method)["draws"].to_numpy() for method in methods]
    del labelled["draws"]  # ArviZ 1 leaves the dataset in a reference cycle, which would keep them for long
    moved = np.isfinite(draws).all(axis=(0, 1)) & (np.ptp(draws, axis=(0, 1)) > 0.0)
    bulk, tail = (np.where(moved, size, np.nan).min(axis=1) for size in sizes)
    return {"rhat": np.where(moved, rhat, np.nan).max(axis=1), "ess_bulk": bulk, "ess_tail": tail}


def effective_sizes(draws: np.ndarray) -> np.ndarray:
    """Return the effective sample size for the mean of every column.

    Parameters
    ----------
    draws : ndarray (column, chain, draw)

    Returns
    -------
    ndarray (column,)
    """
    labelled = xr.Dataset({"draws": (("column", "chain", "draw"), draws.astype(np.float64))})
    sizes = np.asarray(import_arviz().ess(labelled, method="mean")["draws"].to_numpy())
    del labelled["draws"]  # as above
    return sizes


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep ArviZ from logging a warning for every array with a missing number; such genes get a status."""
    theirs = logging.getLogger("arviz")
    level = theirs.level
    theirs.setLevel(logging.ERROR)
    try:
        yield
    finally:
        theirs.setLevel(level)
