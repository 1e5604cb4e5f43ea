"""Hyperparameters that are given, or that the search for them starts from, and the coefficients sampled."""

from __future__ import annotations

import warnings
from dataclasses import replace

from bayesde.design import Coding, Design
from bayesde.design.codings.level_coding import coding_by_levels
from bayesde.eb.fit import EbFit
from bayesde.errors import BayesdeNote, OptionError
from bayesde.model.hyperparameters import Hyperparameters
from bayesde.posterior.codings.integrated_levels import (
    full_coding,
    reduced_coding,
    say_what_is_integrated,
)
from bayesde.posterior.codings.level_starts import level_hyperparameters
from bayesde.posterior.effect_choice import kept_by_reference
from bayesde.posterior.hyper.fixed import check_fixed
from bayesde.posterior.options import SamplingOptions

__all__ = ["coding_of", "starting_values"]


def coding_of(
    design: Design, shrunken: tuple[str, ...], options: SamplingOptions, integrated: str | None = None
) -> Coding:
    """Return the coefficients that are sampled, by the names of those that are shrunken.

    Parameters
    ----------
    design : Design
    shrunken : tuple of str
        Terms whose levels are treated alike, and single coefficients.
    options : SamplingOptions
    integrated : str, optional
        The term of the factor whose levels are integrated out.

    Returns
    -------
    Coding
    """
    if integrated is not None:
        return reduced_coding(design, integrated, shrunken, options)
    return Coding.of(design) if options.coding == "treatment" else coding_by_levels(design, shrunken)


def starting_values(
    fit: EbFit,
    hyperparameters: Hyperparameters | str | None,
    options: SamplingOptions,
    integrated: str | None = None,
) -> Hyperparameters:
    """Return hyperparameters to sample under, or to start the search for them from.

    Parameters
    ----------
    fit : EbFit
    hyperparameters : Hyperparameters, "eb" or None
        None if they are to be learnt.
    options : SamplingOptions
    integrated : str, optional
        The term of the factor whose levels are integrated out.

    Returns
    -------
    Hyperparameters

    Raises
    ------
    OptionError
        For a text other than ``"eb"``, or if options ask for something else than what is fixed.
    """
    if hyperparameters is None:
        return _of_fit(fit, options, integrated)
    if isinstance(hyperparameters, Hyperparameters):
        fixed = hyperparameters
        names = tuple(fixed.shrinkage_scale)
        if set(names) <= {*fit.design.coefficients, *fit.design.terms}:  # others are refused later
            _warn_of_coding(coding_of(fit.design, names, options, integrated), fixed)
        if options.shrink is not None:
            raise OptionError(
                "shrink: the given hyperparameters define what is shrunken; leave one of them out."
            )
    elif hyperparameters == "eb":
        fixed = _of_fit(fit, replace(options, effects="cauchy"), integrated)
    else:
        raise OptionError(
            f"hyperparameters must be a Hyperparameters object, 'eb' or None; got {hyperparameters!r}."
        )
    check_fixed(fixed, options)
    return fixed


def _of_fit(fit: EbFit, options: SamplingOptions, integrated: str | None) -> Hyperparameters:
    """Return the values of the empirical-Bayes fit."""
    if options.coding == "treatment":
        return Hyperparameters.from_eb(fit, shrink=options.shrink)
    if integrated is not None:
        return _of_fit_with_levels(fit, options, integrated)
    coding = coding_by_levels(fit.design, options.shrink, kept_by_reference(fit.design, options.effects))
    _warn_of_coding(coding)
    if coding.has_levels:
        return level_hyperparameters(fit, coding)
    return Hyperparameters.from_eb(fit, shrink=options.shrink)


def _of_fit_with_levels(fit: EbFit, options: SamplingOptions, integrated: str) -> Hyperparameters:
    """Return the values of the empirical-Bayes fit where levels are integrated out."""
    full = full_coding(fit.design, integrated, options.shrink, options)
    assert full is not None
    hyper = level_hyperparameters(fit, full)
    if options.shrink is not None and integrated not in options.shrink:
        scales = {name: scale for name, scale in hyper.shrinkage_scale.items() if name != integrated}
        hyper = replace(hyper, shrinkage_scale=scales)
    coding = coding_of(fit.design, tuple(hyper.shrinkage_scale), options, integrated)
    _warn_of_coding(coding, hyper)
    return hyper


def _warn_of_coding(coding: Coding, hyper: Hyperparameters | None = None) -> None:
    """Say which levels are not treated alike, where they were to be, and which are integrated out."""
    if hyper is not None:
        say_what_is_integrated(coding, hyper)
    if coding.note:
        warnings.warn(
            f"coding: not all factors in '{coding.formula}' have levels that are treated alike, because "
            f"{coding.note}; {'there' if coding.has_levels else 'here'} the priors are those of differences "
            "from the reference level (coding 'treatment').",
            BayesdeNote,
            stacklevel=4,
        )
