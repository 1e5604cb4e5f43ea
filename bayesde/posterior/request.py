"""What the inference methods are given: a fit, genes, hyperparameters and options, checked together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from bayesde.counts import Counts, chunks
from bayesde.design import Coding, Design
from bayesde.design.codings.reference_coding import coding_with_references
from bayesde.design.random_effects import Grouping
from bayesde.eb.fit import EbFit
from bayesde.errors import InputError, first_few
from bayesde.model.density import ConditionalModel
from bayesde.model.hyperparameter_space import HyperparameterSpace
from bayesde.model.hyperparameters import Hyperparameters
from bayesde.model.modes import Starts
from bayesde.model.priors import Priors
from bayesde.numerics.elementary import logarithms
from bayesde.posterior.codings.integrated_levels import (
    full_coding,
    grouping_of_levels,
    with_integrated_levels,
)
from bayesde.posterior.codings.level_starts import level_errors, level_starts
from bayesde.posterior.codings.starting_values import coding_of
from bayesde.posterior.draws.streams import gene_seeds
from bayesde.posterior.effect_choice import laws_to_learn
from bayesde.posterior.hyper.laws import LawsToLearn
from bayesde.posterior.importance.blocks import in_blocks
from bayesde.posterior.options import SamplingOptions
from bayesde.posterior.random_effects import start_of_random_effects, with_random_effects
from bayesde.workers.pools import LocalPool, Pool
from bayesde.workers.progress import Progress

__all__ = [
    "Request",
    "selected_genes",
]


@dataclass(frozen=True, eq=False)
class Request:
    """What is to be sampled, and how.

    Attributes
    ----------
    fit : EbFit
    rows : ndarray of int (gene,)
        Positions of the genes that get a posterior, among all genes.
    hyperparameters : Hyperparameters
        Where they are fixed, or where the search for them starts.
    learning : bool
        Whether they are learnt.
    draws, chains, warmup : int
    seed, workers : int
    options : SamplingOptions
        Where they leave the dispersion trend open, it becomes the fit's: constant if a constant (``"mean"``)
        was fitted and the hyperparameters come from these counts, otherwise parametric.
    priors : Priors
    directory : Path or None
    progress : callable or None
        Called with (units done, units, text).
    references : mapping of str to str
        Reference levels of the coefficients that are sampled, by factor, where they are not the design's.
    pool : Pool
        Where blocks of genes are sampled.
    full_design : Design or None
        That of the fit with random effects, where there are some.
    integrated : str or None
        The term of the factor whose levels are integrated out.
    all_levels : bool
        Whether these have coefficients nevertheless.
    """

    fit: EbFit
    rows: np.ndarray
    hyperparameters: Hyperparameters
    learning: bool
    draws: int
    chains: int
    warmup: int
    seed: int
    workers: int
    options: SamplingOptions
    priors: Priors
    directory: Path | None = None
    progress: Progress | None = None
    references: Mapping[str, str] = field(default_factory=dict)
    pool: Pool = field(default_factory=LocalPool)
    full_design: Design | None = None
    integrated: str | None = None
    all_levels: bool = False

    def __post_init__(self) -> None:
        if self.options.trend is None:
            object.__setattr__(self, "options", replace(self.options, trend=self._trend()))

    def _trend(self) -> str:
        """Return the dispersion trend of the posterior where the options leave it open."""
        hyper = self.hyperparameters
        estimated = self.learning or (hyper.source == "eb" and hyper.extra_poisson == 0.0)
        return "constant" if estimated and self.fit.options.trend == "mean" else "parametric"

    @property
    def design(self) -> Design:
        """The design, with its random effects."""
        return self.full_design or self.fit.design

    @property
    def groupings(self) -> tuple[Grouping, ...]:
        """The random effects of the design."""
        return self.design.groupings

    @property
    def effects_of_groups(self) -> tuple[Grouping, ...]:
        """The random effects of the design, or the levels that are integrated out in the same way."""
        return self.groupings or grouping_of_levels(self.coding)

    @property
    def everyone(self) -> np.ndarray:
        """Positions of all genes that can be fitted: those from which hyperparameters are learnt."""
        return np.flatnonzero(self.fit.estimated)

    @property
    def in_blocks(self) -> bool:
        """Whether engine psis samples in blocks: many draws, and whatever workers elsewhere are to do."""
        size = self.coding.matrix.shape[1] + len(self.space.random_effects) + 1
        large = in_blocks(self.rows.size, self.fit.counts.n_samples, self.draws, size)
        return large or self.pool.elsewhere

    @cached_property
    def coding(self) -> Coding:
        """The coefficients that are sampled: those of the design, unless levels are treated alike."""
        if self.references:
            assert self.fit.counts.sample_table is not None
            return coding_with_references(self.fit.design, self.fit.counts.sample_table, self.references)
        shrunken = tuple(self.hyperparameters.shrinkage_scale)
        if self.integrated is not None and self.all_levels:
            full = full_coding(self.fit.design, self.integrated, shrunken, self.options)
            assert full is not None
            return full
        return coding_of(self.fit.design, shrunken, self.options, self.integrated)

    @property
    def with_all_levels(self) -> Request:
        """The same with coefficients for the levels that are integrated out, which Stan samples."""
        return self if self.integrated is None else replace(self, all_levels=True)

    @property
    def kept_columns(self) -> np.ndarray:
        """Where the parameters that are sampled, the log dispersion last, are among those with all levels."""
        full = self.with_all_levels.coding
        levels = () if self.integrated is None else full.terms[self.integrated]
        return np.delete(np.arange(full.n_coefficients + 1), levels)

    @property
    def space(self) -> HyperparameterSpace:
        """Which hyperparameters there are; where they are learnt, under Cauchy's law of effects."""
        coding, hyper = self.coding, self.hyperparameters
        fixed = HyperparameterSpace.of(coding.coefficients, hyper, self.priors)
        if not self.learning:
            return fixed
        groups = _scale_groups(coding, fixed.shrunken, self.options.scales)
        trend, student_t = self.options.trend == "parametric", self.options.residuals == "student_t"
        space = HyperparameterSpace(
            coding.coefficients, fixed.shrunken, trend, student_t, groups, self.priors
        )
        two_normals = self.options.residuals == "two_normals"
        random_effects, given = fixed.random_effects, fixed.given
        return replace(space, two_normals=two_normals, random_effects=random_effects, given=given)

    @property
    def laws(self) -> LawsToLearn | None:
        """The laws of effects that are to be learnt; None for Cauchy's."""
        if not self.learning or self.options.effects == "cauchy":
            return None
        return laws_to_learn(self.fit, self.coding, self.space, self.options.effects)

    def space_of(self, hyper: Hyperparameters) -> HyperparameterSpace:
        """Return which hyperparameters there are once they are learnt.

        Parameters
        ----------
        hyper : Hyperparameters
            That have been learnt: mixtures of effects are known.

        Returns
        -------
        HyperparameterSpace
        """
        laws = self.laws
        if laws is None:
            return self.space
        names = self.coding.coefficients
        learnt = tuple((k, hyper.mixtures[names[k]]) for k in laws.scales)
        return replace(laws.space, mixtures=(*laws.space.mixtures, *learnt))

    def seeds(self, rows: np.ndarray) -> np.ndarray:
        """Return the seeds of some genes.

        Parameters
        ----------
        rows : ndarray of int (gene,)
            Positions among all genes.

        Returns
        -------
        ndarray of uint32 (gene,)
        """
        return gene_seeds(self.fit.counts.genes[rows], self.seed)

    def start(self, rows: np.ndarray) -> Starts:
        """Return where the searches for the modes of some genes start.

        Parameters
        ----------
        rows : ndarray of int (gene,)
            Positions among all genes.

        Returns
        -------
        Starts
        """
        if self.coding.has_levels:
            beta, log_dispersion = level_starts(self.fit, self.coding, rows)
        else:
            beta, log_dispersion = self.fit.beta[rows], logarithms(self.fit.dispersion[rows])
        if self.groupings:
            trend = self.hyperparameters.log_trend(self.fit.base_mean[rows])
            beta, log_dispersion = start_of_random_effects(self.hyperparameters, beta, log_dispersion, trend)
        return Starts(beta, log_dispersion, self.seeds(rows))

    def errors(self, rows: np.ndarray) -> np.ndarray:
        """Return the standard errors of what is sampled of some genes, from the counts alone.

        Parameters
        ----------
        rows : ndarray of int (gene,)
            Positions among all genes.

        Returns
        -------
        ndarray (gene, sampled coefficient)
            Natural log; NaN where they are not known.
        """
        return level_errors(self.fit, self.coding, rows) if self.coding.has_levels else self.fit.beta_se[rows]

    def model(self, rows: np.ndarray, hyper: Hyperparameters | None = None) -> ConditionalModel:
        """Return data and priors of some genes.

        Parameters
        ----------
        rows : ndarray of int (gene,)
            Positions among all genes.
        hyper : Hyperparameters, optional
            By default those of the request.

        Returns
        -------
        ConditionalModel
        """
        fit, hyper, coding = self.fit, hyper or self.hyperparameters, self.coding
        shrunken, scales = hyper.scales_of(coding)
        model = ConditionalModel(
            y=_whole_counts(fit.counts, rows),
            log_nf=logarithms(fit.normalization_factors[rows]),
            x=coding.matrix,
            base_mean=fit.base_mean[rows],
            log_trend=hyper.log_trend(fit.base_mean[rows]),
            shrunken=shrunken,
            shrinkage_scale=scales,
            dispersion_sd=hyper.dispersion_sd,
            nu=hyper.degrees_of_freedom,
            unshrunken_sd=self.priors.unshrunken_sd,
            effect_df=hyper.effect_df(coding),
            mixtures=hyper.mixtures_of(coding),
            wide_share=hyper.wide_share or 0.0,
            wide_ratio=hyper.wide_ratio or 1.0,
            factor=coding.factor if coding.has_levels else None,
        )
        model = with_integrated_levels(model, coding, hyper)
        return with_random_effects(model, self.groupings, hyper)


def _scale_groups(coding: Coding, shrunken: tuple[int, ...], scales: str) -> tuple[int, ...]:
    """Return which scale each shrunken coefficient has: that of its name, or that of its term."""
    names = [coding.coefficients[k] for k in shrunken]
    if scales == "term":
        term_of = {column: name for name, columns in coding.terms.items() for column in columns}
        names = [term_of.get(k, name) for k, name in zip(shrunken, names, strict=True)]
    order = list(dict.fromkeys(names))
    return tuple(order.index(name) for name in names)


def selected_genes(counts: Counts, fit: EbFit, genes: Sequence[str] | None) -> np.ndarray:
    """Return the genes to sample: those of the given ones that have estimates to start from.

    Parameters
    ----------
    counts : Counts
    fit : EbFit
    genes : sequence of str or None
        None for all.

    Returns
    -------
    ndarray of int (gene,)
        Positions among all genes, in increasing order.

    Raises
    ------
    InputError
        If a gene does not exist or is named twice, or none can be fitted.
    """
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
        raise InputError("genes: none of the given genes has counts that can be fitted.")
    return rows


def _whole_counts(counts: Counts, rows: np.ndarray) -> np.ndarray:
    """Return the counts of some genes (positions), int64 (chosen gene, sample), without making all."""
    out = np.empty((rows.size, counts.n_samples), dtype=np.int64)
    for some in chunks(out.shape):
        out[some] = counts.rows(rows[some])
    return out
