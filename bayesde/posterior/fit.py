"""The posterior of every gene: from counts, through an engine, to draws and the results table."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from bayesde.counts import Counts, chunks
from bayesde.design import Design
from bayesde.eb.fit import EbFit, fit_eb
from bayesde.errors import InputError, OptionError, first_few
from bayesde.options import check_choice, check_range
from bayesde.posterior.arviz_adapter import to_arviz
from bayesde.posterior.chains import ChainSettings
from bayesde.posterior.diagnostics import chain_diagnostics
from bayesde.posterior.draws import draws_dataset
from bayesde.posterior.hyperparameters import Hyperparameters
from bayesde.posterior.integrate import integrated_draws
from bayesde.posterior.joint import sample_joint
from bayesde.posterior.mode import find_modes
from bayesde.posterior.model import ConditionalModel
from bayesde.posterior.nuts import Progress, SampledGenes, sample_genes
from bayesde.posterior.options import JOINT_GENE_LIMIT, SamplingOptions, check_whole
from bayesde.posterior.pareto import MAX_K
from bayesde.posterior.proposal import gene_seeds
from bayesde.posterior.psis import SMALLEST_SIZE, Start, WeightedGenes, importance_sample, resampled
from bayesde.posterior.stan_data import prior_shaped
from bayesde.posterior.summaries import contrast_summary, gene_status, importance_status, log2_to_natural
from bayesde.posterior.weighted import mean_dispersion, weighted_summary
from bayesde.results import ResultsTable, build_results, s_values

__all__ = ["ENGINES", "Posterior", "fit_posterior"]

logger = logging.getLogger(__name__)

ENGINES = ("nuts", "joint", "psis")
FEWEST_WEIGHTED = 100
"""Draws of a gene that engine psis needs, for the tail of their weights to be told."""


@dataclass(frozen=True, eq=False)
class Posterior:
    """Draws from the posterior, and what is known of them.

    Attributes
    ----------
    draws : xarray.Dataset
        ``beta`` (chain, draw, gene, coefficient) and ``log_dispersion`` (chain, draw, gene), natural log, of
        the genes that were sampled; engine joint adds ``hyperparameters`` (chain, draw, hyperparameter).
        Engine psis has one chain, of draws resampled by their weights: a draw may appear more than once.
    design : Design
    eb : EbFit
        Where normalization, starts and, unless given or sampled, hyperparameters come from.
    hyperparameters : Hyperparameters
        What the genes were sampled under, or (psis, joint) its posterior.
    diagnostics : pandas.DataFrame
        One row per input gene: ``rhat``, ``ess_bulk``, ``ess_tail`` (worst of its parameters),
        ``divergences``, ``treedepth_hits``, ``gradients`` (per draw), ``attempts``, ``sampled``,
        ``all_zero``, ``status``. Of engine psis: ``pareto_k``, ``ess_bulk`` (effective number of weighted
        draws), ``attempts`` and the last three.
    engine : {"nuts", "joint", "psis"}
    weighted : WeightedGenes or None
        The weighted draws of engine psis, which its table is made from.
    """

    draws: xr.Dataset
    design: Design
    eb: EbFit
    hyperparameters: Hyperparameters
    diagnostics: pd.DataFrame
    engine: str
    weighted: WeightedGenes | None = None

    def results(
        self, contrast: Any = None, lfc_threshold: float = 0.0, ci_prob: float = 0.95
    ) -> ResultsTable:
        """Summarize the posterior of a contrast.

        Parameters
        ----------
        contrast : optional
            Whatever ``design.contrast`` understands: (factor, level, reference), a coefficient, text, a
            numeric vector. By default the last coefficient.
        lfc_threshold : float
            In log2; above 0 the table has the probability that the absolute contrast exceeds it, and s-values
            count what has the wrong sign or is smaller.
        ci_prob : float
            Probability within the equal-tailed interval.

        Returns
        -------
        ResultsTable
            One row per input gene: posterior mean, sd and interval (log2), ``lfsr``, ``s_value``, posterior
            mean dispersion, diagnostics. Genes that were not sampled are empty, with a status that says why.

        Raises
        ------
        InputError
            If the contrast does not exist, or a number is out of its range.
        """
        check_range("lfc_threshold", lfc_threshold, 0.0, 1e3)
        check_range("ci_prob", ci_prob, 0.0, 1.0, open_ends=True)
        vector = self.design.contrast(contrast).vector
        summary = self._summary(vector, log2_to_natural(float(lfc_threshold)), ci_prob)
        summary["s_value"] = s_values(summary.pop("local_rate"))
        sampled = self.diagnostics["sampled"].to_numpy()
        columns: dict[str, Any] = {name: _spread(values, sampled) for name, values in summary.items()}
        for name in ("rhat", "ess_bulk", "ess_tail", "pareto_k"):
            if name in self.diagnostics:
                columns[name] = self.diagnostics[name].to_numpy()
        columns |= {"base_mean": self.eb.base_mean, "engine": self.engine}
        columns["status"] = self.diagnostics["status"].to_numpy()
        return build_results(self.diagnostics.index, columns)

    def _summary(self, vector: np.ndarray, threshold: float, ci_prob: float) -> dict[str, np.ndarray]:
        """Summarize a contrast and the dispersion of the sampled genes."""
        if self.weighted is not None:
            theta, log_weights = self.weighted.theta, self.weighted.log_weights
            summary = weighted_summary(theta, log_weights, vector, threshold, ci_prob)
            return summary | {"dispersion": mean_dispersion(theta, log_weights)}
        summary = contrast_summary(self.draws["beta"].values, vector, threshold, ci_prob)
        dispersion = np.exp(self.draws["log_dispersion"].values)
        return summary | {"dispersion": dispersion.mean(axis=(0, 1), dtype=np.float64)}

    def to_arviz(self) -> Any:
        """Return the draws as what ArviZ's functions take: InferenceData (0.x) or DataTree (1.x)."""
        return to_arviz(self.draws)


def fit_posterior(
    counts: Counts,
    design: str | Design,
    *,
    engine: str = "nuts",
    genes: Sequence[str] | None = None,
    hyperparameters: Hyperparameters | None = None,
    draws: int = 1000,
    chains: int = 4,
    warmup: int = 300,
    seed: int = 1,
    workers: int = 1,
    eb: EbFit | None = None,
    options: SamplingOptions | None = None,
    directory: str | PathLike[str] | None = None,
    progress: Progress | None = None,
) -> Posterior:
    """Draw from the posterior of every gene's coefficients and dispersion.

    Parameters
    ----------
    counts : Counts
    design : str or Design
        A formula over the sample table, or a design made before.
    engine : {"nuts", "joint", "psis"}
        ``nuts``: genes in blocks given the hyperparameters. ``joint``: genes and hyperparameters in one
        posterior; for panels, up to some hundred genes. ``psis``: every gene by importance sampling, the
        hyperparameters integrated over; needs no Stan, and takes seconds.
    genes : sequence of str, optional
        Only these get a posterior; normalization and the empirical-Bayes fit still use all.
    hyperparameters : Hyperparameters, optional
        By default those of the empirical-Bayes fit; engine psis learns their posterior from all genes unless
        they are given. Engine joint samples them and takes none.
    draws, chains, warmup : int
        Draws kept of each chain, chains, and warm-up iterations of each; of engine psis only the draws of a
        gene, at least 100.
    seed : int
        The same seed gives the same draws, whatever the number of workers.
    workers : int
        Processes of Stan at a time; engine psis shares its work among as many threads as numba has.
    eb : EbFit, optional
        A fit of the same counts and design, so that it is not made again.
    options : SamplingOptions, optional
    directory : path, optional
        A folder for finished blocks; those found there are not sampled again. Engine nuts only.
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
    check_choice("engine", engine, ENGINES)
    settings = _chain_settings(draws, chains, warmup, options)
    check_whole("seed", seed, 0, 2**32 - 1)
    check_whole("workers", workers, 1, 1024)
    fit = eb if eb is not None else fit_eb(counts, design)
    _check_unweighted(fit)
    _check_same(counts, design, fit)
    rows = _selected(counts, fit, genes)
    if engine == "psis":
        check_whole("draws", draws, FEWEST_WEIGHTED, 10**6)
        return _by_importance(fit, rows, hyperparameters, draws, seed, options, progress)
    if engine == "joint":
        _check_joint(rows, hyperparameters)
    hyper = hyperparameters or Hyperparameters.from_eb(fit)
    model = _conditional_model(fit, hyper, rows)
    modes = find_modes(model, fit.beta[rows], np.log(fit.dispersion[rows]))
    noncentered = prior_shaped(model, modes, fit.beta_se[rows])
    shared: dict[str, np.ndarray] = {}
    if engine == "joint":
        sampled, hyper, shared = sample_joint(
            model,
            modes,
            noncentered,
            hyper,
            settings,
            coefficients=fit.design.coefficients,
            options=options,
            seed=seed,
            threads=workers,
            progress=progress,
        )
    else:
        folder = None if directory is None else Path(directory)
        sampled = sample_genes(
            model,
            modes,
            noncentered,
            settings,
            options=options,
            seed=seed,
            workers=workers,
            directory=folder,
            progress=progress,
        )
        if hyper.draws:
            sampled = _integrated(sampled, model, hyper, fit.design, seed)
    dataset = draws_dataset(sampled.draws, counts.genes[rows], fit.design.coefficients, shared)
    diagnostics = _diagnostics(fit, rows, sampled.report)
    diagnostics["status"] = gene_status(diagnostics, options.max_rhat, options.min_ess)
    diagnostics.loc[fit.emptied, "status"] = "count_outlier"
    _say_what_failed(diagnostics)
    return Posterior(dataset, fit.design, fit, hyper, diagnostics, engine)


def _by_importance(
    fit: EbFit,
    rows: np.ndarray,
    given: Hyperparameters | None,
    draws: int,
    seed: int,
    options: SamplingOptions,
    progress: Progress | None,
) -> Posterior:
    """Run engine psis."""
    everyone = np.flatnonzero(fit.estimated) if given is None else rows
    hyper = given or Hyperparameters.from_eb(fit)
    seeds = gene_seeds(fit.counts.genes[everyone], seed)
    weighted, hyper = importance_sample(
        _conditional_model(fit, hyper, everyone),
        Start(fit.beta[everyone], np.log(fit.dispersion[everyone]), seeds),
        hyper,
        np.searchsorted(everyone, rows),
        coefficients=fit.design.coefficients,
        learning=given is None,
        draws=draws,
        seed=seed,
        options=options,
        progress=progress,
    )
    equal = resampled(weighted, seeds[np.searchsorted(everyone, rows)])
    dataset = draws_dataset(equal, fit.counts.genes[rows], fit.design.coefficients)
    diagnostics = _diagnostics(fit, rows, weighted.report)
    diagnostics["status"] = importance_status(diagnostics, MAX_K, SMALLEST_SIZE * draws)
    diagnostics.loc[fit.emptied, "status"] = "count_outlier"
    _say_what_failed(diagnostics)
    return Posterior(dataset, fit.design, fit, hyper, diagnostics, "psis", weighted)


def _integrated(
    sampled: SampledGenes, model: ConditionalModel, hyper: Hyperparameters, design: Design, seed: int
) -> SampledGenes:
    """Let the uncertainty of the hyperparameters into the draws, and take their diagnostics anew."""
    rng = np.random.default_rng(seed)
    draws, _ = integrated_draws(sampled.draws, model, hyper, design.coefficients, rng)
    return SampledGenes(draws, sampled.report | chain_diagnostics(draws))


def _chain_settings(draws: int, chains: int, warmup: int, options: SamplingOptions) -> ChainSettings:
    check_whole("draws", draws, 4, 10**7)
    check_whole("chains", chains, 1, 1000)
    check_whole("warmup", warmup, 1, 10**7)
    return ChainSettings(chains, warmup, draws, options.adapt_delta, options.max_treedepth)


def _check_same(counts: Counts, design: str | Design, fit: EbFit) -> None:
    """Refuse a fit of other counts or of another design than those that a posterior is asked for."""
    if not (fit.counts is counts or _same_counts(fit.counts, counts)):
        raise InputError("the empirical-Bayes fit is of other counts; leave `eb` out or fit these counts.")
    if design is fit.design:
        return
    if isinstance(design, str):
        references = {factor: levels[0] for factor, levels in fit.design.factors.items()}
        asked = Design.from_formula(design, counts.sample_table)
        shared = {factor: level for factor, level in references.items() if factor in asked.factors}
        design = Design.from_formula(design, counts.sample_table, references=shared)
    if design.coefficients != fit.design.coefficients or not np.array_equal(design.matrix, fit.design.matrix):
        raise InputError(
            f"the empirical-Bayes fit has the design '{fit.design.formula}' with the coefficients "
            f"{first_few(fit.design.coefficients)}, but the posterior is asked for with "
            f"{first_few(design.coefficients)}; leave `eb` out or fit this design."
        )


def _same_counts(one: Counts, other: Counts) -> bool:
    """Tell whether two sets of counts hold the same numbers for the same genes, piece by piece."""
    return (
        one.genes.equals(other.genes)
        and np.array_equal(one.library_sizes, other.library_sizes)
        and all(np.array_equal(one.rows(some), other.rows(some)) for some in one.chunks())
    )


def _check_unweighted(fit: EbFit) -> None:
    """Refuse a fit with observation weights, which the posterior would leave out without a word."""
    if fit.weights is not None:
        raise InputError(
            "the empirical-Bayes fit has observation weights, and the posterior has none: every count counts "
            "in full. Fit the counts without weights, or leave out the samples that are not to be believed "
            "(counts.subset(samples=...))."
        )


def _selected(counts: Counts, fit: EbFit, genes: Sequence[str] | None) -> np.ndarray:
    """Return the rows to sample: those asked for that have estimates to start from."""
    if genes is None:
        return np.flatnonzero(fit.estimated)
    if isinstance(genes, str):
        raise InputError(f"genes: a list of names is needed; got the text {genes!r}.")
    names = pd.Index(list(genes), dtype=object)
    if not names.size:
        raise InputError("genes: the list of genes is empty; leave it out to sample all.")
    if names.has_duplicates:
        raise InputError(f"genes: named twice: {first_few(names[names.duplicated()].unique())}.")
    rows = counts.genes.get_indexer(names)
    if (rows < 0).any():
        raise InputError(f"genes: there are no counts of {first_few(names[rows < 0])}.")
    rows = np.sort(rows)[fit.estimated[np.sort(rows)]]
    if not rows.size:
        raise InputError("genes: none of the genes asked for has counts that can be fitted.")
    return rows


def _check_joint(rows: np.ndarray, hyperparameters: Hyperparameters | None) -> None:
    if hyperparameters is not None:
        raise OptionError(
            "hyperparameters: engine 'joint' samples them and takes none; use engine 'nuts' to fix them."
        )
    if rows.size > JOINT_GENE_LIMIT:
        raise OptionError(
            f"engine 'joint' samples all genes in one posterior, which does not end in useful time for "
            f"{rows.size} genes (the limit is {JOINT_GENE_LIMIT}); choose some by `genes`, or use "
            "engine 'nuts'."
        )


def _conditional_model(fit: EbFit, hyper: Hyperparameters, rows: np.ndarray) -> ConditionalModel:
    shrunken, scales = hyper.scales_of(fit.design)
    return ConditionalModel(
        y=_whole_counts(fit.counts, rows),
        log_nf=np.log(fit.normalization_factors[rows]),
        x=fit.design.matrix,
        base_mean=fit.base_mean[rows],
        log_trend=hyper.log_trend(fit.base_mean[rows]),
        shrunken=shrunken,
        shrinkage_scale=scales,
        dispersion_sd=hyper.dispersion_sd,
        nu=hyper.degrees_of_freedom,
    )


def _whole_counts(counts: Counts, rows: np.ndarray) -> np.ndarray:
    """Return the counts of some genes (positions), int64 (chosen gene, sample), without making all."""
    out = np.empty((rows.size, counts.n_samples), dtype=np.int64)
    for some in chunks(out.shape):
        out[some] = counts.rows(rows[some])
    return out


def _spread(values: np.ndarray, where: np.ndarray) -> np.ndarray:
    """Put the values of the sampled genes among all genes."""
    out = np.full(where.size, np.nan)
    out[where] = values
    return out


def _diagnostics(fit: EbFit, rows: np.ndarray, report: Mapping[str, np.ndarray]) -> pd.DataFrame:
    """Put what is known of the sampled genes among all genes."""
    sampled = np.zeros(fit.counts.n_genes, dtype=bool)
    sampled[rows] = True
    columns: dict[str, Any] = {name: _spread(values, sampled) for name, values in report.items()}
    columns |= {"sampled": sampled, "all_zero": fit.all_zero}
    return pd.DataFrame(columns, index=pd.Index(fit.counts.genes, name="gene"))


def _say_what_failed(diagnostics: pd.DataFrame) -> None:
    """Log how many of the sampled genes did not pass, and why."""
    status = diagnostics.loc[diagnostics["sampled"], "status"]
    troubles = status[status != "ok"].value_counts()
    text = ", ".join(f"{count} {name}" for name, count in troubles.items())
    logger.info("%d genes sampled; %s", len(status), text or "all passed their checks")
