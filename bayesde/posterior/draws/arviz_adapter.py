"""ArviZ, whichever version is installed: 0.23 (InferenceData) or 1.x (DataTree)."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from types import ModuleType
from typing import Any

import numpy as np
import xarray as xr

__all__ = ["import_arviz", "to_arviz"]


def import_arviz() -> ModuleType:
    """Import ArviZ without the notice of its next version that 0.23 gives at every first import."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        import arviz

    return arviz


def to_arviz(
    draws: xr.Dataset,
    statistics: Mapping[str, np.ndarray] | None = None,
    others: Mapping[str, xr.Dataset] | None = None,
) -> Any:
    """Hand draws to ArviZ.

    Parameters
    ----------
    draws : xarray.Dataset
        With dimensions chain and draw.
    statistics : mapping of str to ndarray (chain, draw), optional
        What the sampler reports of every draw.
    others : mapping of str to xarray.Dataset, optional
        Further groups.

    Returns
    -------
    arviz.InferenceData or xarray.DataTree
        The former from ArviZ 0.x, the latter (what its functions take there) from 1.x; in both the group
        ``posterior`` holds the draws, and ``sample_stats`` the statistics, where there are any.
    """
    groups = {"posterior": draws}
    if statistics:
        columns = {name: (("chain", "draw"), values) for name, values in statistics.items()}
        groups["sample_stats"] = xr.Dataset(columns, coords={"chain": draws["chain"], "draw": draws["draw"]})
    groups.update(others or {})
    arviz = import_arviz()
    if int(arviz.__version__.split(".")[0]) < 1:
        return arviz.InferenceData(**groups)
    return xr.DataTree.from_dict(groups)
