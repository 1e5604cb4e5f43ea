r"""Random effects of a posterior: those of single levels, and what each level contributes.

Draws of the effects u_d come from their distribution given theta and the counts,

    p(u | theta, y_d)  proportional to  p(u | theta) prod_j p(y_j | u, theta),

by Metropolis's independence sampler: `STEPS` steps, with proposals from Student's t around the mode, of the
scale of the curvature there. Most proposals are accepted, so that few steps leave little of the start.

Without the counts of level d, the draws have the weights (as in `bayesde.posterior.queries.loo`)

    w_md  proportional to  w_m / p(y_d | theta_m),

in which the random effect is integrated out.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from bayesde.design.formula import level_text
from bayesde.design.random_effects import SEPARATOR, Grouping
from bayesde.errors import BayesdeWarning, InputError, first_few
from bayesde.model.effect_prior import log_effect_density
from bayesde.model.random_effects.quadrature import (
    conditional_mode,
    group_scale,
    log_integrand,
    sample_log_means,
)
from bayesde.numerics.compiled import kernel
from bayesde.numerics.elementary import exponentials
from bayesde.numerics.threads import over_genes
from bayesde.posterior.data import PosteriorData
from bayesde.posterior.draws.gene_draws import contrast_values
from bayesde.posterior.draws.labelled import equal_draws, positions
from bayesde.posterior.draws.pareto_smoothing import smooth_log_weights
from bayesde.posterior.draws.streams import Stream, seeds_for
from bayesde.posterior.queries.group_pointwise import group_log_probabilities
from bayesde.posterior.queries.pointwise import leave_out_weights
from bayesde.results import to_log2

__all__ = ["NEW_LEVEL", "effects_of_levels", "levels_of_samples", "with_effects_of_levels", "without_levels"]

STEPS, DF, WIDER = 5, 6, 1.1
"""Of the sampler, and of Student's t that it proposes from."""
NEW_LEVEL = -1
GENES_AT_A_TIME = 250
CALLED = 0.05
"""A level drives a gene whose probability of a wrong sign is below it, but not without the level's counts."""


def effects_of_levels(posterior: PosteriorData, genes: Sequence[str] | None = None) -> xr.DataArray:
    """Draw the random effects of every level.

    Parameters
    ----------
    posterior : PosteriorData
    genes : sequence of str, optional
        By default all that were sampled.

    Returns
    -------
    xarray.DataArray (chain, draw, gene, level)
        log2, one for each draw of ``draws``.

    Raises
    ------
    InputError
        If the design has no random effects, or a gene was not sampled.
    """
    grouping = _the_grouping(posterior)
    rows = positions(posterior.genes, genes)
    theta = equal_draws(posterior.gene_draws.genes(rows), posterior.seeds(rows))
    found = np.empty((*theta.shape[:3], grouping.n_levels), dtype=np.float32)
    for chain, own in enumerate(theta):
        drawn = _drawn(posterior, rows, np.ascontiguousarray(own.transpose(1, 0, 2)), chain)
        found[chain] = drawn.transpose(1, 0, 2)
    coordinates = {
        "chain": np.arange(len(theta)),
        "draw": np.arange(theta.shape[1]),
        "gene": np.asarray(posterior.genes[rows], dtype=object),
        "level": np.array(grouping.levels, dtype=object),
    }
    dims, about = ("chain", "draw", "gene", "level"), {"unit": "log2", "term": grouping.term}
    return xr.DataArray(to_log2(found), coordinates, dims, grouping.name, about)


def _the_grouping(posterior: PosteriorData) -> Grouping:
    """Return the grouping of a posterior."""
    if not posterior.request.groupings:
        raise InputError(
            f"the design '{posterior.design.formula}' has no random effects; they are written (1 | donor) in "
            "the formula."
        )
    return posterior.request.groupings[0]


def _drawn(posterior: PosteriorData, rows: np.ndarray, theta: np.ndarray, attempt: int = 0) -> np.ndarray:
    """Draw the effects (gene, draw, level) given theta (gene, draw, P + 2), natural log."""
    n_levels = posterior.request.groupings[0].n_levels
    found = np.empty((*theta.shape[:2], n_levels))
    seeds = seeds_for(Stream.RANDOM_EFFECTS, posterior.seeds(rows), attempt)
    left_out = posterior.left_out_mask
    for start in range(0, rows.size, GENES_AT_A_TIME):
        some = slice(start, start + GENES_AT_A_TIME)
        model, own = posterior.observed(rows[some]), left_out[rows[some]]
        over_genes(_draw_effects, model.n_genes, theta[some], model.data, own, seeds[some], found[some])
    return found


@kernel
def _draw_effects(first, last, theta, data, left_out, seeds, found):  # type: ignore[no-untyped-def]
    """Fill draws (gene, draw, group) of the random effects of some genes."""
    y, log_nf, x, groups = data
    eta = np.empty(y.shape[1])
    for g in range(first, last):
        np.random.seed(seeds[g])  # noqa: NPY002 - numba's own generator, one for each thread
        for m in range(theta.shape[1]):
            point = theta[g, m].astype(np.float64)
            sample_log_means(point, log_nf[g], x, eta)
            r, scale = math.exp(-point[point.size - 1]), group_scale(point, groups)
            for d in range(groups.bounds.size - 1):
                members = groups.order[groups.bounds[d] : groups.bounds[d + 1]]
                kept = members[~left_out[g][members]]
                found[g, m, d] = _draw_effect(y[g], eta, r, kept, groups.df, scale)


@kernel
def _draw_effect(y, eta, r, members, df, scale):  # type: ignore[no-untyped-def]
    """Draw one random effect given theta."""
    mode, curve = conditional_mode(y, eta, r, members, df, scale)
    sd, u, height = WIDER / math.sqrt(curve), 0.0, -math.inf
    for _ in range(STEPS + 1):
        stretch = math.sqrt(0.5 * DF / np.random.gamma(0.5 * DF, 1.0))  # noqa: NPY002
        z = np.random.standard_normal() * stretch  # noqa: NPY002
        at = mode + sd * z
        value = log_integrand(at, y, eta, r, members, df, scale) - log_effect_density(z, float(DF), 1.0)
        if math.log(1.0 - np.random.random()) < value - height:  # noqa: NPY002
            u, height = at, value
    return u


def levels_of_samples(grouping: Grouping, samples: pd.DataFrame) -> np.ndarray:
    """Return which level new samples have.

    Parameters
    ----------
    grouping : Grouping
    samples : pandas.DataFrame
        With the variables of the grouping; without them every sample has a new level of its own.

    Returns
    -------
    ndarray of int64 (sample,)
        Position among the levels of the fit, and from their number on for new levels: samples with the same
        new name have the same one.
    """
    names, n = grouping.name.split(SEPARATOR), grouping.n_levels
    if not all(name in samples.columns for name in names):
        return n + np.arange(len(samples))
    texts = [[level_text(value) for value in samples[name]] for name in names]
    of_samples = [SEPARATOR.join(parts) for parts in zip(*texts, strict=True)]
    new = [text for text in dict.fromkeys(of_samples) if text not in grouping.levels]
    known = [*grouping.levels, *new]
    return np.array([known.index(text) for text in of_samples], dtype=np.int64)


def with_effects_of_levels(
    posterior: PosteriorData, rows: np.ndarray, n_draws: int, x: np.ndarray, level: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return draws in which the random effects of levels are coefficients like others.

    Parameters
    ----------
    posterior : PosteriorData
    rows : ndarray of int (gene,)
        Positions among the sampled genes.
    n_draws : int
        At the most: there are not more than the posterior has.
    x : ndarray (sample, coefficient)
        Rows of the fixed effects.
    level : ndarray of int64 (sample,)
        As `levels_of_samples` returns it.

    Returns
    -------
    theta : ndarray of float32 (gene, draw, coefficient + level + 1)
        Of equal weight, the log dispersion last.
    x : ndarray (sample, coefficient + level)
    """
    n_levels, n_new = posterior.request.groupings[0].n_levels, int(level.max(initial=0)) + 1
    equal = equal_draws(posterior.gene_draws.genes(rows), posterior.seeds(rows))
    theta = equal.transpose(2, 0, 1, 3).reshape(rows.size, -1, equal.shape[3])
    theta = np.ascontiguousarray(
        theta[:, np.linspace(0, theta.shape[1] - 1, min(n_draws, theta.shape[1])).astype(int)]
    )
    effects = np.empty((*theta.shape[:2], max(n_levels, n_new)), dtype=np.float32)
    effects[:, :, :n_levels] = _drawn(posterior, rows, theta)
    for g, seed in enumerate(seeds_for(Stream.NEW_LEVELS, posterior.seeds(rows)).tolist()):
        size = effects[g, :, n_levels:].shape
        effects[g, :, n_levels:] = np.random.default_rng(seed).standard_normal(size)
    effects[:, :, n_levels:] *= exponentials(theta[:, :, -2])[:, :, None]
    beta = theta[:, :, : x.shape[1]]
    indicator = (level[:, None] == np.arange(effects.shape[2])).astype(np.float64)
    return np.concatenate([beta, effects, theta[:, :, -1:]], axis=2), np.hstack([x, indicator])


def without_levels(
    posterior: PosteriorData, contrast: Any = None, genes: Sequence[str] | None = None
) -> pd.DataFrame:
    """Leave out the counts of every level in turn.

    Parameters
    ----------
    posterior : PosteriorData
    contrast : optional
        Whatever ``design.contrast`` takes.
    genes : sequence of str, optional
        By default all that were sampled.

    Returns
    -------
    pandas.DataFrame
        One row for each gene and level: ``gene``; the level, in a column of the grouping's name; ``elpd``,
        the log predictive probability of the level's counts, given the others; ``log2_fold_change``,
        ``lfc_se`` and ``lfsr`` of the contrast without the level; ``pareto_k`` of the weights; ``drives``,
        whether the probability of a wrong sign is below 0.05 with, and above 0.05 without the level.

    Raises
    ------
    InputError
        If the design has no random effects, or a gene was not sampled.

    Warns
    -----
    BayesdeWarning
        With the genes that are driven by one level.
    """
    grouping, vector = _the_grouping(posterior), posterior.weights_of(contrast)
    rows = positions(posterior.genes, genes)
    found = [
        _without_levels(posterior, rows[at : at + GENES_AT_A_TIME], vector)
        for at in range(0, rows.size, GENES_AT_A_TIME)
    ]
    columns = {name: np.concatenate([part[name] for part in found]).ravel() for name in found[0]}
    table = pd.DataFrame(
        {
            "gene": np.repeat(np.asarray(posterior.genes[rows], dtype=object), grouping.n_levels),
            grouping.name: np.tile(np.array(grouping.levels, dtype=object), rows.size),
            **columns,
        }
    )
    _warn_of_drivers(table, grouping)
    return table


def _without_levels(posterior: PosteriorData, rows: np.ndarray, vector: np.ndarray) -> dict[str, np.ndarray]:
    """Return columns (gene, level) of some genes."""
    draws = posterior.gene_draws.genes(rows)
    theta, weights = np.asarray(draws.theta), draws.weights()
    log_p = group_log_probabilities(posterior.model().genes(rows), theta)
    log_weights, _ = leave_out_weights(log_p, weights, np.zeros(log_p.shape[:2], dtype=bool))
    pareto_k = smooth_log_weights(log_weights.reshape(-1, log_weights.shape[-1])).reshape(log_p.shape[:2])
    own = exponentials(log_weights)
    effect = contrast_values(theta, vector)[:, None, :]
    mean = (own * effect).sum(axis=2)
    sd = np.sqrt((own * (effect - mean[:, :, None]) ** 2).sum(axis=2))
    highest = log_p.max(axis=2)
    elpd = highest + np.log((own * np.exp(log_p - highest[:, :, None])).sum(axis=2))
    wrong = _wrong_sign(effect, own)
    before = _wrong_sign(effect, weights[:, None, :])
    return {
        "elpd": elpd,
        "log2_fold_change": to_log2(mean),
        "lfc_se": to_log2(sd),
        "lfsr": wrong,
        "pareto_k": pareto_k,
        "drives": (before < CALLED) & (wrong > CALLED),
    }


def _wrong_sign(effect: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return min(P(effect <= 0), P(effect >= 0)) by the weights of the draws alone."""
    below, above = ((weights * side).sum(axis=2) for side in (effect <= 0.0, effect >= 0.0))
    return np.asarray(np.minimum(below, above))


def _warn_of_drivers(table: pd.DataFrame, grouping: Grouping) -> None:
    """Warn of genes whose sign depends on one level."""
    driven = table.loc[table["drives"], "gene"].unique()
    if driven.size:
        warnings.warn(
            f"the sign of the contrast of {driven.size:,} gene(s), {first_few(driven)}, depends on one level "
            f"of '{grouping.name}': without its counts the probability of a wrong sign is above {CALLED:g}.",
            BayesdeWarning,
            stacklevel=4,
        )
