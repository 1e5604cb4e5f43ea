"""Random effects of a posterior, and their place among a gene's parameters.

theta = (beta, ln tau, ln alpha), with one ln tau for each random effect. The design matrix of the model has a
column of zeros for it, so that it is a coefficient on which no mean depends, with a prior of its own.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from bayesde.design.random_effects import Grouping
from bayesde.errors import InputError, first_few
from bayesde.model.density import ConditionalModel
from bayesde.model.hyperparameters import Hyperparameters
from bayesde.model.priors import Priors
from bayesde.model.random_effects.groups import Groups, RandomEffects
from bayesde.numerics.elementary import logarithms

__all__ = [
    "start_of_random_effects",
    "with_laws_of_random_effects",
    "with_random_effects",
]


def _is_one_intercept(groupings: Sequence[Grouping]) -> bool:
    """Tell whether the random effects are one random intercept, which is integrated out by quadrature.

    Parameters
    ----------
    groupings : sequence of Grouping
    """
    return len(groupings) == 1 and groupings[0].is_intercept


def with_laws_of_random_effects(
    hyper: Hyperparameters, groupings: Sequence[Grouping], priors: Priors, given: bool
) -> Hyperparameters:
    """Return hyperparameters with those of random effects.

    Parameters
    ----------
    hyper : Hyperparameters
    groupings : sequence of Grouping
    priors : Priors
        Where the search for those that are not given starts.
    given : bool
        Whether the hyperparameters are fixed.

    Returns
    -------
    Hyperparameters

    Raises
    ------
    InputError
        If fixed ones are of other random effects than the design.
    """
    names = [name for grouping in groupings for name in grouping.sd_names]
    if not given:
        median, spread = priors.random_effect_sd.median, priors.random_effect_sd_spread.median
        return replace(
            hyper,
            random_effect_sd=dict.fromkeys(names, median),
            random_effect_sd_spread=dict.fromkeys(names, spread),
        )
    if set(names) != set(hyper.random_effect_sd):
        raise InputError(
            "hyperparameters: random_effect_sd and random_effect_sd_spread are needed of the random effects "
            f"of the design, {first_few(names) or 'none'}; they are there of "
            f"{first_few(hyper.random_effect_sd) or 'none'}."
        )
    return replace(
        hyper,
        random_effect_sd={name: hyper.random_effect_sd[name] for name in names},
        random_effect_sd_spread={name: hyper.random_effect_sd_spread[name] for name in names},
    )


def start_of_random_effects(
    hyper: Hyperparameters, beta: np.ndarray, log_dispersion: np.ndarray, log_trend: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return where the searches for modes start: where random effects explain what they may.

    An estimate of the dispersion that ignores them is about the sum of tau^2 and alpha. Where most of it may
    be either, the posterior can have a mode for each: a search from here finds that of large tau. (The one
    without random effects has components of its own in the proposal.)

    Parameters
    ----------
    hyper : Hyperparameters
    beta : ndarray (gene, coefficient)
        Of the fixed effects.
    log_dispersion : ndarray (gene,)
        Estimated without random effects.
    log_trend : ndarray (gene,)

    Returns
    -------
    beta : ndarray (gene, coefficient + random effect)
    log_dispersion : ndarray (gene,)
    """
    medians = logarithms(list(hyper.random_effect_sd.values()))
    log_sds = np.maximum(medians, 0.5 * log_dispersion[:, None])
    return np.hstack([beta, log_sds]), np.minimum(log_dispersion, log_trend)


def _groups(groupings: Sequence[Grouping]) -> Groups:
    """Return which samples have random effects in common."""
    if _is_one_intercept(groupings):
        return Groups.of(groupings[0].level)
    levels = [np.repeat(one.level[:, None], one.columns.shape[1], axis=1) for one in groupings]
    return Groups.of_terms(np.hstack(levels), np.hstack([one.columns for one in groupings]))


def with_random_effects(
    model: ConditionalModel, groupings: Sequence[Grouping], hyper: Hyperparameters
) -> ConditionalModel:
    """Add random effects to a model.

    Parameters
    ----------
    model : ConditionalModel
        Of fixed effects.
    groupings : sequence of Grouping
    hyper : Hyperparameters

    Returns
    -------
    ConditionalModel
        With a coefficient more for each random effect; the model itself if there are none.
    """
    names = [name for grouping in groupings for name in grouping.sd_names]
    if not names:
        return model
    x = np.hstack([model.x, np.zeros((len(model.x), len(names)))])
    x.flags.writeable = False
    more = np.zeros(len(names))
    random = RandomEffects(
        _groups(groupings),
        logarithms([hyper.random_effect_sd[name] for name in names]),
        np.array([hyper.random_effect_sd_spread[name] for name in names]),
    )
    df, factor = model.effect_df, model.factor
    return replace(
        model,
        x=x,
        shrunken=np.append(model.shrunken, more > 0.0),
        shrinkage_scale=np.append(model.shrinkage_scale, more + 1.0),
        effect_df=None if df is None else np.append(df, more + math.inf),
        factor=None if factor is None else np.append(factor, more.astype(np.int64) - 1),
        random=random,
    )
