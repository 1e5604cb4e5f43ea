"""The posterior of every gene, from counts: arguments are checked here, and an engine called."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Unpack

import numpy as np

from bayesde.counts import Counts
from bayesde.design import Design
from bayesde.design.as_design import as_design
from bayesde.eb.fit import EbFit, fit_eb
from bayesde.errors import BayesdeWarning, InputError, OptionError, first_few
from bayesde.model.hyperparameters import Hyperparameters
from bayesde.model.priors import Priors
from bayesde.options.keywords import from_keywords, takes_fields_of
from bayesde.posterior.codings.integrated_levels import factor_to_integrate
from bayesde.posterior.codings.starting_values import starting_values
from bayesde.posterior.effect_choice import check_laws
from bayesde.posterior.engines import ENGINES
from bayesde.posterior.options import (
    EngineKeywords,
    EngineRunOptions,
    SamplingOptions,
    check_draws,
    check_joint,
    check_residuals,
)
from bayesde.posterior.point_estimates.fit import RandomEffectsFit
from bayesde.posterior.posterior import Posterior
from bayesde.posterior.queries.outlier_search import with_outliers_treated
from bayesde.posterior.random_effects import with_laws_of_random_effects
from bayesde.posterior.request import Request, selected_genes
from bayesde.workers.pools import pool_of
from bayesde.workers.progress import Progress, silent

__all__ = ["check_same", "fit_posterior", "posterior_of", "request_of"]


@takes_fields_of(EngineRunOptions)
def fit_posterior(
    counts: Counts,
    design: str | Design,
    *,
    genes: Sequence[str] | None = None,
    hyperparameters: Hyperparameters | str | None = None,
    eb: EbFit | RandomEffectsFit | None = None,
    priors: Priors | None = None,
    options: SamplingOptions | None = None,
    progress: Progress | None = None,
    **sampler: Unpack[EngineKeywords],
) -> Posterior:
    """Draw from the posterior of every gene's coefficients and dispersion.

    Parameters
    ----------
    counts : Counts
    design : str or Design
        A formula over the sample table, or a design made before. It may have random effects: ``(1 |
        donor)``, ``(1 | clinic/patient)`` or ``(1 + time | donor)``.
    **sampler
        The fields of `EngineRunOptions`.
    genes : sequence of str, optional
        Only these get a posterior; normalization and the empirical-Bayes fit still use all.
    hyperparameters : Hyperparameters or "eb", optional
        By default their posterior is learnt from all genes and integrated over. ``"eb"`` fixes them at the
        values of the empirical-Bayes fit; others may be given. Engine joint samples them and takes none.
    eb : EbFit or RandomEffectsFit, optional
        A fit of the same counts and of the fixed effects of the design, so that it is not made again.
    priors : Priors, optional
        Of the hyperparameters and of the coefficients that are not shrunken.
    options : SamplingOptions, optional
        The model of the posterior, and settings and checks of the samplers.
    progress : callable, optional
        Called with (units done, units, text).

    Returns
    -------
    Posterior

    Raises
    ------
    InputError
        If arguments do not go together, or the empirical-Bayes fit has observation weights.
    OptionError
        If an option has a value that is not allowed.
    ToolchainError
        If there is no Stan and none can be built.
    FitError
        If the sampler cannot run.
    """
    run = from_keywords(EngineRunOptions, sampler, fit_posterior)
    check_draws(run)
    if progress is not None and not callable(progress):
        raise OptionError(
            f"progress must be a function of (units done, units, text), or None for none; got {progress!r}."
        )
    eb = eb.fixed if isinstance(eb, RandomEffectsFit) else eb
    full = as_design(design, counts) if eb is None else check_same(counts, design, eb)
    fit = eb or fit_eb(counts, full.fixed, scheduler=run.scheduler, progress=progress or silent)
    request = request_of(
        fit, run, design=full, genes=genes, hyperparameters=hyperparameters, priors=priors, options=options
    )
    posterior = posterior_of(replace(request, progress=progress), run.engine)
    return with_outliers_treated(posterior, run.outliers or "keep", progress)


def posterior_of(request: Request, engine: str) -> Posterior:
    """Draw what is asked for.

    Parameters
    ----------
    request : Request
    engine : str

    Returns
    -------
    Posterior
    """
    try:
        return Posterior.of(ENGINES[engine](request))
    finally:
        request.pool.close()


def request_of(
    fit: EbFit,
    run: EngineRunOptions,
    *,
    design: Design | None = None,
    genes: Sequence[str] | None = None,
    hyperparameters: Hyperparameters | str | None = None,
    priors: Priors | None = None,
    options: SamplingOptions | None = None,
) -> Request:
    """Check what is asked for, and put it together.

    Parameters
    ----------
    fit : EbFit
    run : EngineRunOptions
        The sampler, and how it is run.
    design : Design, optional
        That of the fit with random effects, where there are some.
    genes, hyperparameters, priors, options
        As of `fit_posterior`.

    Returns
    -------
    Request

    Raises
    ------
    InputError, OptionError
        As `fit_posterior` raises them.
    """
    options, priors = options or SamplingOptions(), priors or Priors()
    check_draws(run)
    _check_unweighted(fit)
    groupings = () if design is None else design.groupings
    rows = selected_genes(fit.counts, fit, genes)
    integrated = factor_to_integrate(design or fit.design, options, hyperparameters)
    start = starting_values(fit, hyperparameters, options, integrated)
    if groupings or start.random_effect_sd:
        start = with_laws_of_random_effects(start, groupings, priors, hyperparameters is not None)
    check_residuals(run.engine, options.residuals if hyperparameters is None else start.residuals)
    if run.engine == "joint":
        check_joint(
            fixed=hyperparameters is not None, local_trend=fit.options.trend == "local", genes=rows.size
        )
    request = Request(
        fit,
        rows,
        start,
        hyperparameters is None,
        run.draws,
        run.chains,
        run.warmup,
        run.seed,
        run.workers,
        options,
        priors,
        None if run.directory is None else Path(run.directory),
        pool=pool_of(run.scheduler, run.shared_folder, run.workers),
        full_design=design if groupings else None,
        integrated=integrated,
    )
    check_laws(request.coding, start, options.effects, run.engine)
    return request


def check_same(counts: Counts, design: str | Design, fit: EbFit) -> Design:
    """Refuse a fit of other counts or of other fixed effects than those of the posterior; return the design.

    Parameters
    ----------
    counts : Counts
    design : str or Design
    fit : EbFit

    Returns
    -------
    Design
        With its random effects.

    Raises
    ------
    InputError
    """
    if not (fit.counts is counts or _same_counts(fit.counts, counts)):
        raise InputError("the empirical-Bayes fit is of other counts; leave `eb` out or fit these counts.")
    if design is fit.design:
        return fit.design
    if isinstance(design, str):
        references = {factor: levels[0] for factor, levels in fit.design.factors.items()}
        with warnings.catch_warnings():  # which the design with these references has, too
            warnings.simplefilter("ignore", BayesdeWarning)
            other = Design.from_formula(design, counts.sample_table)
        shared = {factor: level for factor, level in references.items() if factor in other.factors}
        design = Design.from_formula(design, counts.sample_table, references=shared)
    if design.coefficients != fit.design.coefficients or not np.array_equal(design.matrix, fit.design.matrix):
        raise InputError(
            f"the empirical-Bayes fit has the design '{fit.design.formula}' with the coefficients "
            f"{first_few(fit.design.coefficients)}, but the design of the posterior has "
            f"{first_few(design.coefficients)}; leave `eb` out or fit this design."
        )
    return design


def _same_counts(one: Counts, other: Counts) -> bool:
    """Tell whether two sets of counts hold the same numbers for the same genes, piece by piece."""
    return (
        one.genes.equals(other.genes)
        and np.array_equal(one.library_sizes, other.library_sizes)
        and all(np.array_equal(one.rows(some), other.rows(some)) for some in one.chunks())
    )


def _check_unweighted(fit: EbFit) -> None:
    """Refuse a fit with observation weights, which the posterior would ignore.

    Parameters
    ----------
    fit : EbFit

    Raises
    ------
    InputError
    """
    if fit.weights is not None:
        raise InputError(
            "the empirical-Bayes fit has observation weights, which a posterior cannot have: every count has "
            "the weight 1. Fit the counts without weights, or leave out the samples with low weights "
            "(counts.subset(samples=...))."
        )
