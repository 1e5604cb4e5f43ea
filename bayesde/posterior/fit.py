"""The posterior of every gene, from counts: arguments are checked here, and an engine called."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Unpack

from bayesde.counts import Counts
from bayesde.design import Design
from bayesde.design.random_effects import fixed_formula
from bayesde.eb.fit import EbFit, fit_eb
from bayesde.model.hyperparameters import Hyperparameters
from bayesde.model.priors import Priors
from bayesde.options.keywords import from_keywords, takes_fields_of
from bayesde.posterior.effect_choice import check_laws
from bayesde.posterior.engines import ENGINES
from bayesde.posterior.options import (
    EngineKeywords,
    EngineRunOptions,
    SamplingOptions,
    check_coding,
    check_draws,
    check_joint,
    check_residuals,
)
from bayesde.posterior.posterior import Posterior
from bayesde.posterior.progress import Progress
from bayesde.posterior.random_effects import check_groupings, with_laws_of_random_effects
from bayesde.posterior.request import (
    Request,
    check_same,
    check_unweighted,
    selected_genes,
    starting_values,
)

__all__ = ["fit_posterior"]


@takes_fields_of(EngineRunOptions)
def fit_posterior(
    counts: Counts,
    design: str | Design,
    *,
    genes: Sequence[str] | None = None,
    hyperparameters: Hyperparameters | str | None = None,
    eb: EbFit | None = None,
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
        A formula over the sample table, or a design made before. Random effects, ``(1 | donor)``, are for
        engine psis.
    **sampler
        The fields of `EngineRunOptions`.
    genes : sequence of str, optional
        Only these get a posterior; normalization and the empirical-Bayes fit still use all.
    hyperparameters : Hyperparameters or "eb", optional
        By default their posterior is learnt from all genes and integrated over. ``"eb"`` fixes them at the
        values of the empirical-Bayes fit; others may be given. Engine joint samples them and takes none.
    eb : EbFit, optional
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
    options = options or SamplingOptions()
    run = from_keywords(EngineRunOptions, sampler, fit_posterior)
    check_draws(run)
    check_coding(run.engine, options)
    fixed = design.fixed if isinstance(design, Design) else fixed_formula(design)
    fit = eb if eb is not None else fit_eb(counts, fixed)
    check_unweighted(fit)
    full = check_same(counts, design, fit)
    check_groupings(full.groupings, run.engine)
    rows, priors = selected_genes(counts, fit, genes), priors or Priors()
    start = starting_values(fit, hyperparameters, options)
    if full.groupings or start.random_effect_sd:
        start = with_laws_of_random_effects(start, full.groupings, priors, hyperparameters is not None)
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
        progress,
        full if full.groupings else None,
    )
    check_laws(request.coding, start, options.effects, run.engine)
    return Posterior.of(ENGINES[run.engine](request))
