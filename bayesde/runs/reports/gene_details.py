"""What the report shows of single genes: counts by group, what the posterior predicts of them, its quantiles.

Numbers are stored in 16 bits, so that a page with all genes stays small: normalized counts and predictions as
2000 log2(1 + count), which keeps them to 0.04 %, and log2 fold changes in thousandths.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

from bayesde.results import to_log2
from bayesde.runs.reports.experiment import RunExperiment

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["PROBABILITIES", "THRESHOLDS", "GeneDetails", "gene_details"]

MOST_VALUES = 2_000_000
"""16-bit numbers of all genes together; each takes 2.7 characters of the page."""
PROBABILITIES = (0.005, 0.025, 0.1, 0.25, 0.4, 0.5, 0.6, 0.75, 0.9, 0.975, 0.995)
"""Of the quantiles of the contrast."""
BAND = (0.05, 0.5, 0.95)
"""Of those of predicted counts."""
THRESHOLDS = (0.5, 1.0, 2.0)
"""Log2 fold changes that are counted as exceeded."""
MOST_DRAWS, PREDICTED = 400, 200
"""Draws of a gene that quantiles are computed from, and counts that are predicted of each group."""
GENES_AT_A_TIME = 256
LARGEST_LOG_MEAN = 20.0
SEED = 1


@dataclass(frozen=True, eq=False)
class GeneDetails:
    """Numbers of single genes.

    Attributes
    ----------
    rows : ndarray of int32 (gene,)
        Positions in the results table.
    counts : ndarray of uint16 (gene, sample)
        Normalized counts.
    band : ndarray of uint16 (gene, group, 3), or None
        Quantiles of counts that the posterior predicts at a size factor of 1, with random effects those of
        new levels; None without draws.
    quantiles : ndarray of int16 (gene, 11), or None
        Of the contrast, at `PROBABILITIES`.
    inside : float
        Share of the counts that lie within their predicted band; NaN without draws.
    exceeding : dict of float to ndarray (gene,)
        Posterior probabilities that the absolute contrast exceeds each of `THRESHOLDS`.
    """

    rows: np.ndarray
    counts: np.ndarray
    band: np.ndarray | None
    quantiles: np.ndarray | None
    inside: float
    exceeding: dict[float, np.ndarray]


def gene_details(
    experiment: RunExperiment, table: pd.DataFrame, order: np.ndarray, draws: Path
) -> GeneDetails:
    """Collect the numbers of the genes that the page has room for.

    Parameters
    ----------
    experiment : RunExperiment
    table : ResultsTable
    order : ndarray of int (gene,)
        Positions of the genes in the table, the most interesting ones first.
    draws : pathlib.Path
        ``posterior.zarr``; need not exist.

    Returns
    -------
    GeneDetails
    """
    width = experiment.group.size + len(BAND) * len(experiment.groups) + len(PROBABILITIES)
    rows = np.sort(order[: MOST_VALUES // width]).astype(np.int32)
    normalized = np.empty((rows.size, experiment.group.size))
    for at in _pieces(rows.size):
        some = rows[at]
        normalized[at] = experiment.inputs.counts.rows(some) / experiment.factors(some)
    if not draws.is_dir():
        return GeneDetails(rows, _in_16_bits(normalized), None, None, float("nan"), {})
    return _with_draws(experiment, table.index[rows], rows, normalized, draws)


def _with_draws(
    experiment: RunExperiment, genes: pd.Index, rows: np.ndarray, normalized: np.ndarray, draws: Path
) -> GeneDetails:
    """Add what the draws say; genes without draws have NaN, stored as 0."""
    import xarray as xr  # slow to load

    n_groups, rng = len(experiment.groups), np.random.default_rng(SEED)
    band = np.full((rows.size, n_groups, len(BAND)), np.nan)
    quantiles = np.full((rows.size, len(PROBABILITIES)), np.nan)
    exceeding = {threshold: np.full(rows.size, np.nan) for threshold in THRESHOLDS}
    vector = experiment.inputs.contrast.vector
    with xr.open_zarr(draws) as data:
        place = genes.get_indexer(pd.Index(data["gene"].to_numpy()))
        for at in _pieces(place.size):
            kept = place[at] >= 0
            to, draws_of = place[at][kept], _read(data, at, kept)
            effect = to_log2(draws_of.beta @ vector)
            quantiles[to] = np.quantile(effect, PROBABILITIES, axis=0).T
            for threshold, share in exceeding.items():
                share[to] = (np.abs(effect) > threshold).mean(axis=0)
            band[to] = _predicted(experiment, draws_of, rng)
    own = band[:, experiment.group]
    known = np.isfinite(own[..., 0])
    inside = ((normalized >= own[..., 0]) & (normalized <= own[..., -1]))[known]
    return GeneDetails(
        rows,
        _in_16_bits(normalized),
        _in_16_bits(band),
        np.round(1000.0 * np.nan_to_num(quantiles).clip(-32.0, 32.0)).astype(np.int16),
        float(inside.mean()) if inside.size else float("nan"),
        exceeding,
    )


def _pieces(size: int) -> list[slice]:
    return [slice(start, min(start + GENES_AT_A_TIME, size)) for start in range(0, size, GENES_AT_A_TIME)]


class _Draws(NamedTuple):
    """Draws of some genes: (draw, gene, coefficient), (draw, gene), (draw, gene, random effect) or None."""

    beta: np.ndarray
    log_dispersion: np.ndarray
    random_effect_sd: np.ndarray | None


def _read(data: xr.Dataset, at: slice, kept: np.ndarray) -> _Draws:
    """Return some of the draws of some genes."""
    n = data.sizes["chain"] * data.sizes["draw"]
    taken = np.linspace(0, n - 1, min(n, MOST_DRAWS)).astype(int)

    def some(name: str) -> np.ndarray:
        values = data[name].isel(gene=at).to_numpy()
        return np.asarray(values.reshape(n, *values.shape[2:])[taken][:, kept], dtype=float)

    sds = some("random_effect_sd") if "random_effect_sd" in data else None
    return _Draws(some("beta"), some("log_dispersion"), sds)


def _predicted(experiment: RunExperiment, draws: _Draws, rng: np.random.Generator) -> np.ndarray:
    """Return quantiles (gene, group, 3) of counts that are drawn for the groups' samples in turn."""
    beta, log_dispersion, sds = draws
    x, drawn = experiment.inputs.design.matrix, np.resize(np.arange(len(beta)), PREDICTED)
    alpha = np.exp(log_dispersion[drawn].clip(-20.0, LARGEST_LOG_MEAN))
    found = np.empty((beta.shape[1], len(experiment.groups), len(BAND)))
    for number in range(len(experiment.groups)):
        samples = np.resize(np.flatnonzero(experiment.group == number), PREDICTED)
        eta = np.einsum("mk,mgk->mg", x[samples], beta[drawn])
        if sds is not None:
            eta += (sds[drawn] * rng.standard_normal(sds[drawn].shape)).sum(axis=-1)
        mean = rng.gamma(1.0 / alpha, alpha * np.exp(eta.clip(-50.0, LARGEST_LOG_MEAN)))
        found[:, number] = np.quantile(rng.poisson(mean.clip(max=1e12)), BAND, axis=0).T
    return found


def _in_16_bits(counts: np.ndarray) -> np.ndarray:
    """Store counts on a log scale; NaN as 0."""
    return np.round(2000.0 * np.log2(1.0 + np.nan_to_num(counts)).clip(max=32.0)).astype(np.uint16)
