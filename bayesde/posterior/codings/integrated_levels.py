r"""Which factor of a design is integrated out, and how that enters the model.

Of a factor of more than 8 levels (`bayesde.design.codings.level_coding.MOST_LEVELS`), such as the patients of
a paired design, and of a large interaction, engine psis samples no coefficients: given the others, each
level's is an integral over one number (`bayesde.model.random_effects.quadrature`). Stan samples the levels,
under the same law, and the draws of the other parameters are kept. The effects of the levels have the prior
Cauchy(0, S), or Student's t where degrees of freedom are given, with one S for all levels and genes; of a
factor that is not shrunken, the wide normal prior.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from bayesde.design import Coding, Design
from bayesde.design.codings.integrated_levels import coding_with_factor, largest_factor, without_factor
from bayesde.design.codings.level_coding import MOST_LEVELS
from bayesde.design.random_effects import Grouping
from bayesde.errors import BayesdeNote
from bayesde.model.density import ConditionalModel
from bayesde.model.hyperparameters import Hyperparameters
from bayesde.model.random_effects.groups import Groups, RandomEffects
from bayesde.posterior.effect_choice import kept_by_reference
from bayesde.posterior.options import SamplingOptions

__all__ = [
    "factor_to_integrate",
    "full_coding",
    "grouping_of_levels",
    "reduced_coding",
    "say_what_is_integrated",
    "with_integrated_levels",
]

MANY_LEVELS = 20
"""Cells of an interaction that is integrated out, and levels of a factor that is the only term. With 24
coefficients few genes have enough effective draws (benchmarks/notes/coding.md)."""
SLOW_LEVELS = 100
"""From so many on, the time is felt: a minute for 1,000 genes of 70 patients (benchmarks/donors)."""


def factor_to_integrate(
    design: Design, options: SamplingOptions, hyper: Hyperparameters | str | None
) -> str | None:
    """Return the term of the factor whose levels are integrated out.

    Parameters
    ----------
    design : Design
    options : SamplingOptions
    hyper : Hyperparameters, "eb" or None
        Those that are given.

    Returns
    -------
    str or None
        None if there is none: no factor or interaction has enough levels; random effects are integrated over;
        all coefficients are to be sampled; or the factor's law is neither Cauchy's nor a given Student t. A
        law that is given for all effects is not taken to be meant for the factor, unless that is the last
        term, on which comparisons are by default.
    """
    if options.coding != "levels" or design.groupings:
        return None
    name = largest_factor(design, MOST_LEVELS + 1, MANY_LEVELS)
    if name is None:
        return None
    names = {design.coefficients[k] for k in design.terms.get(name, ())}
    if isinstance(hyper, Hyperparameters):
        unusual = {*hyper.mixtures, *hyper.pi0} & {name} or names & set(hyper.shrinkage_scale)
        full = None if unusual else full_coding(design, name, tuple(hyper.shrinkage_scale), options)
    else:
        for_all, laws = _laws(options.effects)
        law = laws.get(name, for_all if name == list(design.terms)[-1] else "cauchy")
        unusual = law != "cauchy" or names & {*laws, *(options.shrink or ())}
        full = None if unusual else full_coding(design, name, options.shrink, options)
    return None if full is None else name


def _laws(effects: Any) -> tuple[Any, Mapping[str, Any]]:
    """Return the law of all effects that are not named, and the laws of those that are."""
    return (effects.get("", "cauchy"), effects) if isinstance(effects, Mapping) else (effects, {})


def full_coding(
    design: Design, name: str, shrink: tuple[str, ...] | None, options: SamplingOptions
) -> Coding | None:
    """Return the coefficients with those of the levels; None where levels cannot be treated alike.

    Parameters
    ----------
    design : Design
    name : str
        Of the factor's term.
    shrink : tuple of str, optional
    options : SamplingOptions
    """
    return coding_with_factor(design, name, shrink, kept_by_reference(design, options.effects))


def reduced_coding(
    design: Design, name: str, shrink: tuple[str, ...] | None, options: SamplingOptions
) -> Coding:
    """Return the coefficients that are sampled: those of `full_coding` without the factor's.

    Parameters
    ----------
    design : Design
    name : str
    shrink : tuple of str, optional
    options : SamplingOptions
    """
    full = full_coding(design, name, shrink, options)
    assert full is not None
    return without_factor(full, design, name)


def say_what_is_integrated(coding: Coding, hyper: Hyperparameters) -> None:
    """Say which levels are integrated out, and what that means for their law.

    Parameters
    ----------
    coding : Coding
    hyper : Hyperparameters

    Warns
    -----
    BayesdeNote
    """
    factor = coding.integrated
    if factor is None:
        return
    law = f"a {'Student t' if factor.name in hyper.effect_nu else 'Cauchy'} law of one scale"
    if factor.name not in hyper.shrinkage_scale:
        law = "the wide normal prior"
    faster = f" As random effects, (1 | {factor.name}), they take a third of the time."
    warnings.warn(
        f"the {len(factor.levels)} levels of {factor.name} are integrated out, under {law}, and have no "
        "coefficients that are sampled; comparisons of other terms lose nothing by that. To sample them, "
        f"choose coding 'sampled'.{faster if len(factor.levels) >= SLOW_LEVELS else ''}",
        BayesdeNote,
        stacklevel=4,
    )


def with_integrated_levels(
    model: ConditionalModel, coding: Coding, hyper: Hyperparameters
) -> ConditionalModel:
    """Add the effects of levels that are integrated out to a model.

    Parameters
    ----------
    model : ConditionalModel
    coding : Coding
    hyper : Hyperparameters

    Returns
    -------
    ConditionalModel
        The model itself if there are none.
    """
    factor = coding.integrated
    if factor is None:
        return model
    scale, df = hyper.shrinkage_scale.get(factor.name), hyper.effect_nu.get(factor.name, 1.0)
    if scale is None:
        scale, df = model.unshrunken_sd, math.inf
    none = np.empty(0)
    return replace(model, random=RandomEffects(Groups.of(factor.level, scale, df), none, none))


def grouping_of_levels(coding: Coding) -> tuple[Grouping, ...]:
    """Return the levels that are integrated out in the form that random effects have.

    Parameters
    ----------
    coding : Coding

    Returns
    -------
    tuple of Grouping
        Without any if there are none.
    """
    factor = coding.integrated
    if factor is None:
        return ()
    ones: Any = np.ones((factor.level.size, 1))
    return (Grouping(factor.factor, factor.name, factor.levels, factor.level, ones, ("Intercept",)),)
