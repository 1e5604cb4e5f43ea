"""Draws as labelled arrays."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr

__all__ = ["draws_dataset"]

HYPER = "hyperparameter"


def draws_dataset(
    theta: np.ndarray, genes: Any, coefficients: Any, hyperparameters: Mapping[str, np.ndarray] | None = None
) -> xr.Dataset:
    """Label draws.

    Parameters
    ----------
    theta : ndarray of float32 (chain, draw, gene, P + 1)
        Coefficients and log dispersion, natural log.
    genes, coefficients : sequence of str
    hyperparameters : mapping of str to ndarray (chain, draw), optional
        Draws of what all genes share.

    Returns
    -------
    xarray.Dataset
        ``beta`` (chain, draw, gene, coefficient), ``log_dispersion`` (chain, draw, gene), and with
        hyperparameters ``hyperparameters`` (chain, draw, hyperparameter).
    """
    chains, length = theta.shape[:2]
    variables: dict[str, Any] = {
        "beta": (("chain", "draw", "gene", "coefficient"), theta[..., :-1]),
        "log_dispersion": (("chain", "draw", "gene"), theta[..., -1]),
    }
    coordinates = {
        "chain": np.arange(chains),
        "draw": np.arange(length),
        "gene": np.asarray(genes, dtype=object),
        "coefficient": np.asarray(coefficients, dtype=object),
    }
    if hyperparameters:
        stacked = np.stack(list(hyperparameters.values()), axis=-1)
        variables["hyperparameters"] = (("chain", "draw", HYPER), stacked)
        coordinates[HYPER] = np.array(list(hyperparameters), dtype=object)
    dataset = xr.Dataset(variables, coords=coordinates)
    dataset.attrs["unit"] = "natural log"
    return dataset
