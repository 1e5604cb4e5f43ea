"""Draws as labelled arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from bayesde.errors import InputError, first_few
from bayesde.posterior.draws.gene_draws import GeneDraws
from bayesde.posterior.draws.resampling import resampled

__all__ = ["contrast_array", "draws_dataset", "equal_draws", "positions"]

HYPER = "hyperparameter"


def positions(sampled: pd.Index, genes: Sequence[str] | None) -> np.ndarray:
    """Return where genes are among those that were sampled.

    Parameters
    ----------
    sampled : pandas.Index
        Names of the genes that were sampled.
    genes : sequence of str or None
        None for all.

    Returns
    -------
    ndarray of int (gene,)

    Raises
    ------
    InputError
        If one is not.
    """
    if genes is None:
        return np.arange(sampled.size)
    if isinstance(genes, str):
        raise InputError(f"genes: a list of names is needed; got the text {genes!r}.")
    names = pd.Index(list(genes), dtype=object)
    found = sampled.get_indexer(names)
    if (found < 0).any():
        raise InputError(f"genes: there are no draws of {first_few(names[found < 0])}.")
    return np.asarray(found)


def equal_draws(draws: GeneDraws, seeds: np.ndarray) -> np.ndarray:
    """Return draws of equal weight: those of chains as they are, weighted ones resampled.

    Parameters
    ----------
    draws : GeneDraws
    seeds : ndarray of uint32 (gene,)

    Returns
    -------
    ndarray of float32 (chain, draw, gene, P + 1)
    """
    if draws.log_weights is not None:
        return resampled(draws, seeds)
    shape = (draws.n_genes, draws.chains, draws.n_draws // draws.chains, draws.theta.shape[2])
    return draws.theta.reshape(shape).transpose(1, 2, 0, 3)


def contrast_array(effects: np.ndarray, genes: Any, name: str) -> xr.DataArray:
    """Label draws of a contrast.

    Parameters
    ----------
    effects : ndarray (chain, draw, gene)
        log2.
    genes : sequence of str
    name : str
        Of the contrast.

    Returns
    -------
    xarray.DataArray (chain, draw, gene)
    """
    coordinates = {
        "chain": np.arange(effects.shape[0]),
        "draw": np.arange(effects.shape[1]),
        "gene": np.asarray(genes, dtype=object),
    }
    return xr.DataArray(effects, coordinates, ("chain", "draw", "gene"), name, {"unit": "log2"})


def draws_dataset(
    theta: np.ndarray,
    genes: Any,
    coefficients: Any,
    hyperparameters: Mapping[str, np.ndarray] | None = None,
    log_sds: Mapping[str, np.ndarray] | None = None,
) -> xr.Dataset:
    """Label draws.

    Parameters
    ----------
    theta : ndarray of float32 (chain, draw, gene, P + 1)
        Coefficients and log dispersion, natural log.
    genes, coefficients : sequence of str
    hyperparameters : mapping of str to ndarray (chain, draw), optional
        Draws of the hyperparameters.
    log_sds : mapping of str to ndarray (chain, draw, gene), optional
        Of random effects, the natural log of their standard deviations.

    Returns
    -------
    xarray.Dataset
        ``beta`` (chain, draw, gene, coefficient), ``log_dispersion`` (chain, draw, gene), with
        hyperparameters ``hyperparameters`` (chain, draw, hyperparameter), and with random effects
        ``random_effect_sd`` (chain, draw, gene, random_effect).
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
    if log_sds:
        sds = np.exp(np.stack(list(log_sds.values()), axis=-1))
        variables["random_effect_sd"] = (("chain", "draw", "gene", "random_effect"), sds)
        coordinates["random_effect"] = np.array(list(log_sds), dtype=object)
    dataset = xr.Dataset(variables, coords=coordinates)
    dataset.attrs["unit"] = "natural log"
    return dataset
