"""The three engines: from a request to draws from the posterior."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from bayesde.errors import FitError, ToolchainError
from bayesde.model.hyperparameters import Hyperparameters
from bayesde.posterior.data import PosteriorData
from bayesde.posterior.draws.gene_draws import GeneDraws
from bayesde.posterior.draws.pareto_smoothing import MAX_K
from bayesde.posterior.effect_choice import atoms_left_out
from bayesde.posterior.hand_over import failed_genes, replace_genes, stan_is_there
from bayesde.posterior.hyper.hyperparameter_posterior import HyperparameterPosterior
from bayesde.posterior.hyper.integrate import USED_DRAWS, hyper_points
from bayesde.posterior.hyper.learning import learn_hyperparameters
from bayesde.posterior.importance.engine import sample_and_learn, sample_given
from bayesde.posterior.importance.sampler import SMALLEST_SIZE, ImportanceSample
from bayesde.posterior.proposal.genes import StartedGenes
from bayesde.posterior.request import Request
from bayesde.posterior.stan.data import SamplerCoordinates
from bayesde.posterior.stan.effects import has_atoms
from bayesde.posterior.stan.first_look import first_look
from bayesde.posterior.stan.joint import sample_joint
from bayesde.posterior.stan.nuts import SampledGenes, sample_genes
from bayesde.posterior.stan.run import ChainSettings, SamplerStopped
from bayesde.posterior.summaries.checks import checked
from bayesde.posterior.summaries.one_contrast import gene_status, importance_status

__all__ = ["ENGINES", "by_blocks", "by_importance", "jointly"]

logger = logging.getLogger(__name__)


def by_importance(request: Request) -> PosteriorData:
    """Run engine psis.

    Parameters
    ----------
    request : Request

    Returns
    -------
    PosteriorData
    """
    sampled, hyper = _with_hyperparameters_learnt(request) if request.learning else _with_given(request)
    diagnostics = _diagnostics(request, sampled.report, "psis")
    smallest = SMALLEST_SIZE * request.draws
    diagnostics["status"] = importance_status(diagnostics, MAX_K, smallest)
    _hand_over(request, sampled.draws, hyper, diagnostics)
    return _finished(PosteriorData(sampled.draws, hyper, diagnostics, "psis", request, {}))


def _with_hyperparameters_learnt(request: Request) -> tuple[ImportanceSample, Hyperparameters]:
    everyone = request.everyone
    if note := atoms_left_out(request.coding, request.space, request.options.effects):
        logger.warning("%s", note)
    return sample_and_learn(
        StartedGenes(everyone, request.model(everyone), request.start(everyone)),
        request.hyperparameters,
        np.searchsorted(everyone, request.rows),
        space=request.space,
        draws=request.draws,
        seed=request.seed,
        progress=request.progress,
        laws=request.laws,
    )


def _with_given(request: Request) -> tuple[ImportanceSample, Hyperparameters]:
    rows, hyper = request.rows, request.hyperparameters
    sampled = sample_given(
        request.model(rows),
        request.start(rows),
        HyperparameterPosterior.fixed(request.space, hyper, USED_DRAWS),
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
    if request.coding.has_levels or request.groupings:
        logger.info(
            "%d genes have unreliable importance weights; Stan, which could sample them, has no %s.",
            rows.size,
            "coding of levels" if request.coding.has_levels else "random effects",
        )
        return
    if not stan_is_there():
        logger.info(
            "%d genes have unreliable importance weights, and Stan, which could sample them, is not "
            "installed; run 'bayesde install-stan'.",
            rows.size,
        )
        return
    try:
        sampled = sampled_in_blocks(request, rows, hyper)
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
    hyper = request.hyperparameters
    if request.learning:
        everyone = request.everyone
        model, start = request.model(everyone), request.start(everyone)
        hyper = learn_hyperparameters(
            model,
            start,
            hyper,
            space=request.space,
            seed=request.seed,
            progress=request.progress,
            laws=request.laws,
        )
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
    fit = request.fit
    return sample_genes(
        SamplerCoordinates.of(request.model(rows, hyper), request.start(rows), fit.beta_se[rows]),
        _chain_settings(request),
        options=request.options,
        seed=request.seed,
        points=hyper_points(hyper, request.coding.coefficients),
        workers=request.workers,
        directory=request.directory,
        progress=request.progress,
    )


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
    look = first_look(
        request.model(rows),
        request.start(rows),
        request.fit.beta_se[rows],
        space=request.space,
        laws=request.laws,
        hyper=request.hyperparameters,
        chains=request.chains,
        seed=request.seed,
    )
    sampled, points = sample_joint(
        look,
        _chain_settings(request),
        options=options,
        seed=request.seed,
        threads=request.workers,
        progress=request.progress,
    )
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
    """Log what was checked and what failed; the posterior does not keep the callback of progress."""
    posterior.diagnostics.loc[posterior.eb.emptied, "status"] = "count_outlier"
    posterior = replace(
        posterior,
        diagnostics=_ordered(posterior.diagnostics),
        request=replace(posterior.request, progress=None),
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
