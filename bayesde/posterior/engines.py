"""The three engines: from a request to draws from the posterior."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from bayesde.errors import FitError, SamplerStopped, ToolchainError
from bayesde.model.density import ConditionalModel
from bayesde.model.hyperparameter_names import scale_name
from bayesde.model.hyperparameters import Hyperparameters
from bayesde.posterior.data import PosteriorData
from bayesde.posterior.draws.gene_draws import GeneDraws
from bayesde.posterior.draws.pareto_smoothing import MAX_K
from bayesde.posterior.effect_choice import atoms_left_out
from bayesde.posterior.factor_levels.level_scale import learn_level_scale
from bayesde.posterior.hyper.hyperparameter_posterior import HyperparameterPosterior
from bayesde.posterior.hyper.integrate import USED_DRAWS, hyper_points
from bayesde.posterior.hyper.learning import STAGES
from bayesde.posterior.hyper.wide_law import with_wide_laws
from bayesde.posterior.importance.blocks import BlockSettings, LearntUnit, learnt_unit, sample_blocks
from bayesde.posterior.importance.engine import sample_and_learn, sample_given
from bayesde.posterior.importance.sampler import SMALLEST_SIZE, ImportanceSample
from bayesde.posterior.proposal.genes import StartedGenes
from bayesde.posterior.request import Request
from bayesde.posterior.stan.data import KeptPart, SamplerCoordinates
from bayesde.posterior.stan.effects import has_atoms
from bayesde.posterior.stan.first_look import first_look
from bayesde.posterior.stan.hand_over import failed_genes, replace_genes, stan_is_there
from bayesde.posterior.stan.joint import sample_joint
from bayesde.posterior.stan.nuts import SampledGenes, sample_genes
from bayesde.posterior.stan.run import ChainSettings
from bayesde.posterior.summaries.checks import checked
from bayesde.posterior.summaries.one_contrast import gene_status, importance_status
from bayesde.workers.pools import LocalPool

__all__ = ["ENGINES", "by_blocks", "by_importance", "jointly"]

logger = logging.getLogger(__name__)

HANDED_OVER_BLOCKS = "nuts"
"""Folder, among the blocks of engine psis, for those of the genes that are handed over."""


def by_importance(request: Request) -> PosteriorData:
    """Run engine psis.

    Parameters
    ----------
    request : Request

    Returns
    -------
    PosteriorData
    """
    request = _with_level_scale(request)
    sampled, hyper = _learn_and_sample(request)
    hyper = _with_error_of_scale(request, hyper)
    diagnostics = _diagnostics(request, sampled.report, "psis")
    smallest = SMALLEST_SIZE * request.draws
    diagnostics["status"] = importance_status(diagnostics, MAX_K, smallest)
    _hand_over(request, sampled.draws, hyper, diagnostics)
    return _finished(PosteriorData(sampled.draws, hyper, diagnostics, "psis", request, {}))


def _with_level_scale(request: Request) -> Request:
    """Learn the scale of a factor whose levels are integrated out, before everything else."""
    factor, hyper = request.coding.integrated, request.hyperparameters
    if not request.learning or factor is None or factor.name not in hyper.shrinkage_scale:
        return request
    if request.progress is not None:
        request.progress(0, STAGES, f"learning the scale of {factor.name}")
    everyone, space = request.everyone, request.space
    scale, error, psi = learn_level_scale(
        request.model(everyone, hyper), request.start(everyone), space, space.psi_of(hyper)
    )
    logger.info("scale of %s: %.3g, with a relative standard error of %.2g", factor.name, scale, error)
    found = space.hyperparameters(space.phi(psi))
    scales = found.shrinkage_scale | {factor.name: scale}
    sd = {scale_name(factor.name): scale * error}
    return replace(request, hyperparameters=replace(found, shrinkage_scale=scales, sd=sd, source="eb"))


def _with_error_of_scale(request: Request, hyper: Hyperparameters) -> Hyperparameters:
    """Add the error of the scale that was learnt before everything else."""
    if request.coding.integrated is None:
        return hyper
    return replace(hyper, sd=request.hyperparameters.sd | hyper.sd)


def _learn_and_sample(request: Request) -> tuple[ImportanceSample, Hyperparameters]:
    if not request.learning:
        return _with_given(request, request.hyperparameters)
    everyone = request.everyone
    if note := atoms_left_out(request.coding, request.space, request.options.effects):
        logger.warning("%s", note)
    genes = _everyone(request)
    if request.laws is not None and request.laws.atoms and request.coding.has_levels:
        return _with_given(request, _learnt(request, genes).hyperparameters)
    if request.in_blocks:
        return _learnt_in_blocks(request, genes)
    return sample_and_learn(
        genes,
        request.hyperparameters,
        np.searchsorted(everyone, request.rows),
        space=request.space,
        draws=request.draws,
        seed=request.seed,
        progress=request.progress,
        laws=request.laws,
    )


def _everyone(request: Request) -> StartedGenes:
    """Return all genes from which hyperparameters are learnt."""
    everyone = request.everyone
    return StartedGenes(everyone, request.model(everyone), request.start(everyone))


def _learnt(request: Request, genes: StartedGenes) -> LearntUnit:
    """Learn the hyperparameters, as a unit of work that is not done again."""
    return learnt_unit(
        genes,
        request.hyperparameters,
        space=request.space,
        seed=request.seed,
        laws=request.laws,
        directory=request.directory,
        progress=request.progress,
    )


def _learnt_in_blocks(request: Request, genes: StartedGenes) -> tuple[ImportanceSample, Hyperparameters]:
    space, everyone, unit = request.space, request.everyone, _learnt(request, genes)
    near = replace(genes, model=unit.model_near(space, genes.model))
    settings = unit.settings(space, everyone.size, request.draws)
    return _in_blocks(request, near, np.searchsorted(everyone, request.rows), settings), unit.hyperparameters


def _in_blocks(
    request: Request, genes: StartedGenes, keep: np.ndarray, settings: BlockSettings
) -> ImportanceSample:
    return sample_blocks(
        genes,
        keep,
        settings,
        pool=request.pool if request.pool.elsewhere else LocalPool(),  # which has its own threads
        directory=request.directory,
        progress=request.progress,
    )


def _with_given(request: Request, hyper: Hyperparameters) -> tuple[ImportanceSample, Hyperparameters]:
    """Sample with proposals made for the hyperparameters.

    Under a law with zero, levels that are not zero are far from each other, and their center lies in between.
    Proposals made for Cauchy's law, whose scale is that of the genes without effects, seldom reach there.
    """
    rows = request.rows
    points = HyperparameterPosterior.fixed(request.space_of(hyper), hyper, USED_DRAWS)
    genes = StartedGenes(rows, request.model(rows, hyper), request.start(rows))
    if request.in_blocks:
        settings = BlockSettings(points, request.draws)
        return _in_blocks(request, genes, np.arange(rows.size), settings), hyper
    sampled = sample_given(
        genes.model,
        genes.start,
        points,
        np.arange(rows.size),
        draws=request.draws,
        progress=request.progress,
    )
    return sampled, hyper


def _hand_over(request: Request, draws: GeneDraws, hyper: Hyperparameters, diagnostics: pd.DataFrame) -> None:
    """Let Stan sample the genes with unreliable weights, and enter its results into draws and diagnostics."""
    rows = failed_genes(diagnostics)
    if not rows.size or not request.options.hand_over:
        return
    if has_atoms(hyper) or hyper.mixtures or hyper.residuals == "two_normals":
        logger.info(
            "%d genes have unreliable importance weights, and Stan cannot sample them under such a law of "
            "effects or residuals; draw more (draws, --draws).",
            rows.size,
        )
        return
    if not stan_is_there():
        logger.info(
            "%d genes have unreliable importance weights, and Stan, which could sample them, is not "
            "installed; run 'bayesde install-stan'.",
            rows.size,
        )
        return
    own = None if request.directory is None else request.directory / HANDED_OVER_BLOCKS
    try:
        sampled = sampled_in_blocks(replace(request, directory=own), rows, hyper)
    except SamplerStopped:
        raise
    except (FitError, ToolchainError) as problem:  # the weighted draws are kept
        logger.warning("%d genes could not be sampled by Stan instead: %s", rows.size, problem)
        return
    finite = np.isfinite(sampled.draws.theta).all(axis=(1, 2))  # other genes keep theirs
    rows, theirs = rows[finite], sampled.draws.genes(finite)
    report = {name: values[finite] for name, values in sampled.report.items()}
    replace_genes(draws, np.searchsorted(request.rows, rows), theirs, request.model(rows, hyper))
    better = pd.DataFrame(report, index=diagnostics.index[rows]).assign(sampled=True, all_zero=False)
    better["status"] = gene_status(better, request.options.max_rhat, request.options.min_ess)
    better = better.assign(engine="nuts", ess=np.nan, pareto_k=better.get("pareto_k", np.nan))
    for name in better.columns.difference(diagnostics.columns):
        diagnostics[name] = np.nan
    diagnostics.loc[better.index, better.columns] = better


def by_blocks(request: Request) -> PosteriorData:
    """Run engine nuts, with hyperparameters that are learnt before if they are not given.

    Parameters
    ----------
    request : Request

    Returns
    -------
    PosteriorData
    """
    request = _with_level_scale(request)
    hyper = request.hyperparameters
    if request.learning:
        hyper = _with_error_of_scale(request, _learnt(request, _everyone(request)).hyperparameters)
    sampled = sampled_in_blocks(request, request.rows, hyper)
    diagnostics = _diagnostics(request, sampled.report, "nuts")
    options = request.options
    diagnostics["status"] = gene_status(diagnostics, options.max_rhat, options.min_ess)
    return _finished(PosteriorData(sampled.draws, hyper, diagnostics, "nuts", request, {}))


def sampled_in_blocks(request: Request, rows: np.ndarray, hyper: Hyperparameters) -> SampledGenes:
    """Sample some genes by Stan given the hyperparameters, and account for the uncertainty of these.

    Parameters
    ----------
    request : Request
    rows : ndarray of int (gene,)
        Positions among all genes.
    hyper : Hyperparameters

    Returns
    -------
    SampledGenes
    """
    points = hyper_points(hyper, request.coding.coefficients)
    full = request.with_all_levels
    model, kept = (one.model(rows, hyper) for one in (full, request))
    if points is not None:
        model, kept = (with_wide_laws(one, points) for one in (model, kept))
    genes = SamplerCoordinates.of(model, full.start(rows), full.errors(rows))
    return sample_genes(
        _with_kept_part(genes, request, kept),
        _chain_settings(request),
        options=request.options,
        seed=request.seed,
        points=points,
        pool=request.pool,
        directory=request.directory,
        progress=request.progress,
    )


def _with_kept_part(
    genes: SamplerCoordinates, request: Request, model: ConditionalModel
) -> SamplerCoordinates:
    """Keep the draws of what is not integrated out, of the given model."""
    if request.integrated is None:
        return genes
    return replace(genes, kept=KeptPart(model, request.kept_columns))


def jointly(request: Request) -> PosteriorData:
    """Run engine joint.

    Parameters
    ----------
    request : Request

    Returns
    -------
    PosteriorData
    """
    rows, options = request.rows, request.options
    full = request.with_all_levels
    look = first_look(
        full.model(rows),
        full.start(rows),
        full.errors(rows),
        space=full.space,
        laws=full.laws,
        hyper=request.hyperparameters,
        chains=request.chains,
        seed=request.seed,
    )
    genes = _with_kept_part(look.genes, request, request.model(rows))
    settings, pool = _chain_settings(request), request.pool
    if (progress := request.progress) is not None and pool.elsewhere:
        progress(0, 1, f"sampling {rows.size} genes and their hyperparameters together, on another machine")
        progress = None
    work = partial(
        sample_joint,
        replace(look, genes=genes),
        settings,
        options=options,
        seed=request.seed,
        threads=request.workers,
        progress=progress,
    )
    sampled, points = pool.call(work)
    diagnostics = _diagnostics(request, sampled.report, "joint")
    diagnostics["status"] = gene_status(diagnostics, options.max_rhat, options.min_ess)
    hyper = points.summary(np.random.default_rng(request.seed))
    known = (sampled.draws, hyper, diagnostics, "joint", request, points.by_chain())
    return _finished(PosteriorData(*known, statistics=sampled.statistics))


ENGINES: dict[str, Callable[[Request], PosteriorData]] = {
    "psis": by_importance,
    "nuts": by_blocks,
    "joint": jointly,
}


def _chain_settings(request: Request) -> ChainSettings:
    options = request.options
    return ChainSettings(
        request.chains, request.warmup, request.draws, options.adapt_delta, options.max_treedepth
    )


def _finished(posterior: PosteriorData) -> PosteriorData:
    """Log what was checked and what failed; the posterior keeps neither progress's callback nor the pool."""
    posterior.diagnostics.loc[posterior.eb.emptied, "status"] = "count_outlier"
    posterior = replace(
        posterior,
        diagnostics=_ordered(posterior.diagnostics),
        request=replace(posterior.request, progress=None, pool=LocalPool()),
    )
    logger.info("%s", checked(posterior))
    return posterior


def _ordered(diagnostics: pd.DataFrame) -> pd.DataFrame:
    """Put the effective size of importance sampling before the diagnostics of chains."""
    names = list(diagnostics.columns)
    if {"ess", "rhat"} <= set(names):
        names.remove("ess")
        names.insert(names.index("rhat"), "ess")
    return diagnostics[names]


def _diagnostics(request: Request, report: Mapping[str, np.ndarray], engine: str) -> pd.DataFrame:
    """Return the diagnostics of all genes from those of the sampled ones."""
    fit = request.fit
    sampled = np.zeros(fit.counts.n_genes, dtype=bool)
    sampled[request.rows] = True
    columns: dict[str, Any] = {}
    for name, values in report.items():
        columns[name] = np.full(sampled.size, np.nan)
        columns[name][sampled] = values
    columns |= {"sampled": sampled, "all_zero": fit.all_zero, "engine": engine}
    return pd.DataFrame(columns, index=pd.Index(fit.counts.genes, name="gene"))
