r"""Random effects of a posterior: those of single levels, and what each level contributes.

Draws of the effects u_d come from their distribution given theta and the counts
(`bayesde.posterior.factor_levels.level_draws`). The levels of a factor that are integrated out are treated in
the same way.

Without the counts of level d, the draws have the weights (as in `bayesde.posterior.queries.loo`)

    w_md  proportional to  w_m / p(y_d | theta_m),

in which the random effect is integrated out. `bayesde.posterior.queries.several_terms` has both for designs
with several random effects.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import xarray as xr

from bayesde.design.formula import level_text
from bayesde.design.random_effects import SEPARATOR, Grouping
from bayesde.errors import BayesdeWarning, InputError, first_few
from bayesde.numerics.elementary import exponentials
from bayesde.numerics.threads import over_genes
from bayesde.posterior.data import PosteriorData
from bayesde.posterior.draws.gene_draws import contrast_values
from bayesde.posterior.draws.labelled import equal_draws, positions
from bayesde.posterior.draws.pareto_smoothing import smooth_log_weights
from bayesde.posterior.draws.streams import Stream, seeds_for
from bayesde.posterior.factor_levels.level_draws import drawn_levels
from bayesde.posterior.queries.group_pointwise import group_log_probabilities
from bayesde.posterior.queries.pointwise import leave_out_weights
from bayesde.posterior.queries.several_terms import draw_term_effects, term_level_log_probabilities
from bayesde.results import to_log2

__all__ = ["EffectsOfSamples", "effects_of_levels", "with_effects_of_levels", "without_levels"]

GENES_AT_A_TIME = 250
CALLED = 0.05
"""A level drives a gene whose probability of a wrong sign is below it, but not without the level's counts."""


class EffectsOfSamples(NamedTuple):
    """Which random effects samples have.

    Attributes
    ----------
    level : ndarray of int64 (sample, random effect)
        Position among the levels of the fit, and from their number on for new levels: samples with the same
        new name have the same one.
    z : ndarray (sample, random effect)
        What the effects are multiplied by.
    """

    level: np.ndarray
    z: np.ndarray

    @classmethod
    def of_fit(cls, groupings: Sequence[Grouping]) -> EffectsOfSamples:
        """Return those of the samples of the fit.

        Parameters
        ----------
        groupings : sequence of Grouping
        """
        return cls._of(groupings, [one.level for one in groupings], [one.columns for one in groupings])

    @classmethod
    def of_samples(cls, groupings: Sequence[Grouping], samples: pd.DataFrame) -> EffectsOfSamples:
        """Return those of new samples.

        Parameters
        ----------
        groupings : sequence of Grouping
        samples : pandas.DataFrame
            With the variables of the groupings; without those of one every sample has a new level of its own.

        Raises
        ------
        InputError
            If what slopes are multiplied by is not there.
        """
        levels = [_levels_of_samples(one, samples) for one in groupings]
        return cls._of(groupings, levels, [_columns_of_samples(one, samples) for one in groupings])

    @classmethod
    def _of(
        cls, groupings: Sequence[Grouping], levels: list[np.ndarray], columns: list[np.ndarray]
    ) -> EffectsOfSamples:
        repeated = [
            np.repeat(level[:, None], len(one.column_names), axis=1)
            for one, level in zip(groupings, levels, strict=True)
        ]
        return cls(np.hstack(repeated), np.hstack(columns))


def effects_of_levels(
    posterior: PosteriorData, genes: Sequence[str] | None = None, name: str | None = None
) -> xr.DataArray:
    """Draw the random effects of every level.

    Parameters
    ----------
    posterior : PosteriorData
    genes : sequence of str, optional
        By default all that were sampled.
    name : str, optional
        Of the random effects, ``"donor"`` or ``"time|donor"``; by default the first.

    Returns
    -------
    xarray.DataArray (chain, draw, gene, level)
        log2, one for each draw of ``draws``.

    Raises
    ------
    InputError
        If the design has no such random effects, or a gene was not sampled.
    """
    of_grouping = {sd: one for one in posterior.request.effects_of_groups for sd in one.sd_names}
    name = _name_among(posterior, list(of_grouping), name)
    grouping, term = of_grouping[name], list(of_grouping).index(name)
    rows = positions(posterior.genes, genes)
    theta = equal_draws(posterior.gene_draws.genes(rows), posterior.seeds(rows))
    found = np.empty((*theta.shape[:3], grouping.n_levels), dtype=np.float32)
    for chain, own in enumerate(theta):
        drawn = _drawn(posterior, rows, np.ascontiguousarray(own.transpose(1, 0, 2)), chain)[term]
        found[chain] = drawn.transpose(1, 0, 2)
    coordinates = {
        "chain": np.arange(len(theta)),
        "draw": np.arange(theta.shape[1]),
        "gene": np.asarray(posterior.genes[rows], dtype=object),
        "level": np.array(grouping.levels, dtype=object),
    }
    dims, about = ("chain", "draw", "gene", "level"), {"unit": "log2", "term": grouping.term}
    return xr.DataArray(to_log2(found), coordinates, dims, name, about)


def _name_among(posterior: PosteriorData, names: list[str], name: str | None) -> str:
    """Return a name of random effects or groupings; by default the first."""
    if not names:
        raise InputError(
            f"the design '{posterior.design.formula}' has no random effects; they are written (1 | donor) in "
            "the formula."
        )
    if name is not None and name not in names:
        raise InputError(
            f"random effects: there are none of {name!r}; the design '{posterior.design.formula}' has those "
            f"of {first_few(names)}."
        )
    return names[0] if name is None else name


def _drawn(
    posterior: PosteriorData, rows: np.ndarray, theta: np.ndarray, attempt: int = 0
) -> list[np.ndarray]:
    """Draw every random effect (gene, draw, level) given theta (gene, draw, parameter), natural log."""
    model = posterior.observed(rows[:1])
    assert model.random is not None
    groups = model.random.groups
    if not groups.has_terms:
        return [drawn_levels(posterior, rows, theta, attempt)]
    groupings = posterior.request.groupings
    found = np.empty((*theta.shape[:2], sum(one.n_levels * len(one.column_names) for one in groupings)))
    seeds, left_out = (
        seeds_for(Stream.RANDOM_EFFECTS, posterior.seeds(rows), attempt),
        posterior.left_out_mask,
    )
    for start in range(0, rows.size, GENES_AT_A_TIME):
        some = slice(start, start + GENES_AT_A_TIME)
        model, own = posterior.observed(rows[some]), left_out[rows[some]]
        over_genes(draw_term_effects, model.n_genes, theta[some], model.data, own, seeds[some], found[some])
    terms = groups.terms
    of_term = [np.flatnonzero(terms.term == t) for t in range(terms.z.shape[1])]
    return [found[:, :, own[np.argsort(terms.level[own])]] for own in of_term]


def _columns_of_samples(grouping: Grouping, samples: pd.DataFrame) -> np.ndarray:
    """Return what the effects of new samples are multiplied by (sample, effect)."""
    columns = np.ones((len(samples), len(grouping.column_names)))
    for i, name in enumerate(grouping.column_names):
        if name == "Intercept":
            continue
        if name not in samples.columns or not pd.api.types.is_numeric_dtype(samples[name]):
            raise InputError(
                f"new samples: the random effects {grouping.term} are multiplied by '{name}', which must be "
                "a column of numbers of the table."
            )
        columns[:, i] = samples[name].to_numpy(dtype=np.float64)
    return columns


def _levels_of_samples(grouping: Grouping, samples: pd.DataFrame) -> np.ndarray:
    """Return which level of a grouping new samples have, as `EffectsOfSamples` describes it."""
    names, n = grouping.name.split(SEPARATOR), grouping.n_levels
    if not all(name in samples.columns for name in names):
        return n + np.arange(len(samples))
    texts = [[level_text(value) for value in samples[name]] for name in names]
    of_samples = [SEPARATOR.join(parts) for parts in zip(*texts, strict=True)]
    new = [text for text in dict.fromkeys(of_samples) if text not in grouping.levels]
    known = [*grouping.levels, *new]
    return np.array([known.index(text) for text in of_samples], dtype=np.int64)


def with_effects_of_levels(
    posterior: PosteriorData, rows: np.ndarray, n_draws: int, x: np.ndarray, samples: EffectsOfSamples
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
    samples : EffectsOfSamples
        Of the rows.

    Returns
    -------
    theta : ndarray of float32 (gene, draw, coefficient + level + 1)
        Of equal weight, the log dispersion last.
    x : ndarray (sample, coefficient + level)
    """
    equal = equal_draws(posterior.gene_draws.genes(rows), posterior.seeds(rows))
    theta = equal.transpose(2, 0, 1, 3).reshape(rows.size, -1, equal.shape[3])
    theta = np.ascontiguousarray(
        theta[:, np.linspace(0, theta.shape[1] - 1, min(n_draws, theta.shape[1])).astype(int)]
    )
    known = _drawn(posterior, rows, theta)
    seeds = seeds_for(Stream.NEW_LEVELS, posterior.seeds(rows)).tolist()
    streams = [np.random.default_rng(seed) for seed in seeds]
    beta, parts, columns = theta[:, :, : x.shape[1]], [], [x]
    for t, (own, level) in enumerate(zip(known, samples.level.T, strict=True)):
        effects = own  # a factor of the design has no new levels
        if posterior.request.groupings:
            sd = exponentials(theta[:, :, t - len(known) - 1])
            effects = _with_new_levels(own, int(level.max(initial=0)) + 1, sd, streams)
        parts.append(effects)
        columns.append((level[:, None] == np.arange(effects.shape[2])) * samples.z[:, t : t + 1])
    return np.concatenate([beta, *parts, theta[:, :, -1:]], axis=2), np.hstack(columns)


def _with_new_levels(
    known: np.ndarray, n: int, sd: np.ndarray, streams: list[np.random.Generator]
) -> np.ndarray:
    """Add effects of new levels to those of the levels of the fit (gene, draw, level), up to n of them."""
    n_levels = known.shape[2]
    effects = np.empty((*known.shape[:2], max(n_levels, n)), dtype=np.float32)
    effects[:, :, :n_levels] = known
    for g, rng in enumerate(streams):
        effects[g, :, n_levels:] = rng.standard_normal(effects[g, :, n_levels:].shape)
    effects[:, :, n_levels:] *= sd[:, :, None]
    return effects


def without_levels(
    posterior: PosteriorData,
    contrast: Any = None,
    genes: Sequence[str] | None = None,
    grouping: str | None = None,
) -> pd.DataFrame:
    """Leave out the counts of every level in turn.

    Parameters
    ----------
    posterior : PosteriorData
    contrast : optional
        Whatever ``design.contrast`` takes.
    genes : sequence of str, optional
        By default all that were sampled.
    grouping : str, optional
        Whose levels, ``"donor"`` or ``"clinic:patient"``; by default those of the first.

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
        If the design has no such random effects, or a gene was not sampled.

    Warns
    -----
    BayesdeWarning
        With the genes that are driven by one level.
    """
    of_name = {one.name: one for one in posterior.request.effects_of_groups}
    own = of_name[_name_among(posterior, list(of_name), grouping)]
    vector = posterior.weights_of(contrast)
    rows = positions(posterior.genes, genes)
    found = [
        _without_levels(posterior, rows[at : at + GENES_AT_A_TIME], vector, own)
        for at in range(0, rows.size, GENES_AT_A_TIME)
    ]
    columns = {name: np.concatenate([part[name] for part in found]).ravel() for name in found[0]}
    table = pd.DataFrame(
        {
            "gene": np.repeat(np.asarray(posterior.genes[rows], dtype=object), own.n_levels),
            own.name: np.tile(np.array(own.levels, dtype=object), rows.size),
            **columns,
        }
    )
    _warn_of_drivers(table, own)
    return table


def _without_levels(
    posterior: PosteriorData, rows: np.ndarray, vector: np.ndarray, grouping: Grouping
) -> dict[str, np.ndarray]:
    """Return columns (gene, level) of some genes."""
    draws = posterior.gene_draws.genes(rows)
    theta, weights = np.asarray(draws.theta), draws.weights()
    model = posterior.model().genes(rows)
    assert model.random is not None
    if model.random.groups.has_terms:
        log_p = term_level_log_probabilities(model, theta, grouping.level)
    else:
        log_p = group_log_probabilities(model, theta)
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
