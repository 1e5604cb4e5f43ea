"""Draws of equal weight as labelled arrays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr

from bayesde.posterior.data import PosteriorData
from bayesde.posterior.draws.gene_draws import contrast_values
from bayesde.posterior.draws.labelled import contrast_array, draws_dataset, equal_draws, positions
from bayesde.posterior.factor_levels.level_draws import full_draws, with_levels_of_contrasts
from bayesde.results import to_log2

__all__ = ["contrast_draws", "labelled_draws"]


def labelled_draws(
    posterior: PosteriorData, genes: Sequence[str] | None = None, rows: slice = slice(None)
) -> xr.Dataset:
    """Return draws of equal weight; see `bayesde.posterior.draws.labelled.draws_dataset`.

    Parameters
    ----------
    posterior : PosteriorData
    genes : sequence of str, optional
        By default all that were sampled.
    rows : slice
        Where no genes are given, of which of those that were sampled; by default of all.

    Returns
    -------
    xarray.Dataset

    Raises
    ------
    InputError
        If a gene was not sampled.
    """
    chosen = rows if genes is None else positions(posterior.genes, genes)
    theta = equal_draws(posterior.gene_draws.genes(chosen), posterior.seeds(chosen))
    places = np.arange(posterior.gene_draws.n_genes)[chosen]
    theta, coefficients = full_draws(posterior, places, theta), posterior.design.coefficients
    names, first = posterior.request.space.random_effects, len(coefficients)
    sds = {name: theta[..., first + t] for t, name in enumerate(names)}
    theta = np.delete(theta, np.arange(first, first + len(names)), axis=-1) if names else theta
    return draws_dataset(theta, posterior.genes[chosen], coefficients, posterior.shared, sds)


def contrast_draws(
    posterior: PosteriorData, contrast: Any = None, genes: Sequence[str] | None = None
) -> xr.DataArray:
    """Return draws of a contrast, of equal weight.

    Parameters
    ----------
    posterior : PosteriorData
    contrast : optional
        Whatever ``design.contrast`` takes.
    genes : sequence of str, optional
        By default all that were sampled.

    Returns
    -------
    xarray.DataArray
        (chain, draw, gene), log2.

    Raises
    ------
    InputError
        If the contrast does not exist, or a gene was not sampled.
    """
    read = posterior.design.contrast(contrast)
    rows = positions(posterior.genes, genes)
    draws, (vector,), _ = with_levels_of_contrasts(posterior, [read])
    theta = equal_draws(draws.genes(rows), posterior.seeds(rows))
    values = contrast_values(theta, vector)
    return contrast_array(to_log2(values), posterior.genes[rows], read.name)
