"""Inputs of the transforms: counts, factors, design, and the dispersion trend, estimated or known.

A transform is blind if it does not use the design: dispersions are then estimated as if all samples were
replicates, and differences between groups count as noise. That suits quality control of samples.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from bayesde.counts import Counts
from bayesde.design import Design
from bayesde.design.random_effects import refuse_groupings
from bayesde.eb.block import GeneBlock, are_shared
from bayesde.eb.dispersion.estimates import gene_wise_dispersions
from bayesde.eb.dispersion.trend import DispersionTrend, fit_trend
from bayesde.eb.estimates import EbEstimates
from bayesde.eb.genes import mean_reciprocal_factor
from bayesde.eb.moments import moments
from bayesde.eb.regression.design_layout import DesignLayout
from bayesde.eb.size_factors.methods import resolved_factors
from bayesde.errors import InputError, OptionError, first_few
from bayesde.normalize import base_mean
from bayesde.normalize.blocks import row_blocks

__all__ = ["TransformInput", "transform_input"]

TRENDS = ("parametric", "local", "mean")
FEWEST_NORMALIZED = 5.0
"""Genes of a smaller mean are not among the few that a trend is estimated from."""


@dataclass(frozen=True)
class TransformInput:
    """Inputs of a transform.

    Attributes
    ----------
    counts : Counts
    factors : ndarray (gene, sample)
        Normalization factors, read-only; possibly a broadcast view.
    design : ndarray (sample, coefficient)
    known : DispersionTrend or None
        The trend, where it does not have to be estimated.
    kind : str
        The kind of trend, where it does.
    """

    counts: Counts
    factors: np.ndarray
    design: np.ndarray
    known: DispersionTrend | None
    kind: str

    def base_means(self) -> np.ndarray:
        """Mean normalized counts, (gene,)."""
        return np.concatenate([base_mean(rows, self.factors[g]) for g, rows in row_blocks(self.counts)])

    def trend(self, means: np.ndarray, n_genes: int | None = None) -> DispersionTrend:
        """Return the trend; estimate it, if need be, from all genes or from some that cover the range.

        Parameters
        ----------
        means : ndarray (gene,)
            Mean normalized counts.
        n_genes : int, optional
            How many genes of mean above 5 to use; None for all genes.

        Returns
        -------
        DispersionTrend
        """
        if self.known is not None:
            return self.known
        chosen = means > 0.0 if n_genes is None else _spread_over(means, n_genes)
        shared = are_shared(self.factors)
        mean_reciprocal = mean_reciprocal_factor(self.factors[:1] if shared else self.factors[chosen])
        parts = [
            self._gene_wise(g, rows, chosen, mean_reciprocal)
            for g, rows in row_blocks(self.counts)
            if chosen[g].any()
        ]
        return fit_trend(self.kind, np.concatenate(parts), means[chosen])

    def _gene_wise(
        self, genes: slice, rows: np.ndarray, chosen: np.ndarray, mean_reciprocal: float
    ) -> np.ndarray:
        """Gene-wise dispersions of the chosen genes of a block, (chosen gene,)."""
        shared = are_shared(self.factors)
        block = GeneBlock.of(
            rows[chosen[genes]], self.factors[:1] if shared else self.factors[genes][chosen[genes]]
        )
        layout = DesignLayout.of(self.design)
        return gene_wise_dispersions(block, layout, moments(block, layout.basis), mean_reciprocal)[0]


def _spread_over(means: np.ndarray, n_genes: int) -> np.ndarray:
    """Mark genes evenly spaced in the order of their means, bool (gene,)."""
    candidates = np.flatnonzero(means > FEWEST_NORMALIZED)
    if n_genes < 1:
        raise OptionError(f"n_genes is {n_genes}; a number of 1 or more is needed, or None for all genes.")
    if candidates.size < n_genes:
        raise InputError(
            f"{candidates.size} of {means.size} genes have a mean normalized count above "
            f"{FEWEST_NORMALIZED:g}, but the trend is to be estimated from n_genes={n_genes} such genes; use "
            "n_genes=None for all genes, or a smaller number."
        )
    order = candidates[np.argsort(means[candidates], kind="stable")]
    places = np.round(np.linspace(1, order.size, n_genes)).astype(np.int64) - 1
    chosen = np.zeros(means.size, dtype=bool)
    chosen[order[places]] = True
    return chosen


def transform_input(
    counts: Counts | EbEstimates,
    design: str | Design | None,
    blind: bool | None,
    trend: str | DispersionTrend,
    size_factors: Any,
) -> TransformInput:
    """Check the arguments of a transform.

    Parameters
    ----------
    counts : Counts or EbEstimates
    design : str, Design or None
    blind : bool or None
        None is blind unless there is a design or a fit.
    trend : str or DispersionTrend
    size_factors : optional
        As `resolved_factors` takes them.

    Returns
    -------
    TransformInput

    Raises
    ------
    InputError, OptionError
        If they do not fit each other.
    """
    known, kind = _known(trend)
    if isinstance(counts, EbEstimates):
        if design is not None or size_factors is not None:
            raise InputError(
                "a fit has its own design and size factors; to use others, give its counts instead."
            )
        fit = counts
        if known is None and not blind:
            known = fit.trend
        matrix = _no_design(fit.counts) if blind else fit.design.matrix
        return TransformInput(fit.counts, fit.normalization_factors, matrix, known, kind)
    if not isinstance(counts, Counts):
        raise InputError(f"Counts or a fit without random effects are needed; got {type(counts).__name__}.")
    matrix = _design_matrix(counts, design, blind, known)
    return TransformInput(counts, resolved_factors(counts, size_factors), matrix, known, kind)


def _known(trend: str | DispersionTrend) -> tuple[DispersionTrend | None, str]:
    """Tell a trend from the kind of one."""
    if isinstance(trend, DispersionTrend):
        return trend, trend.kind
    if trend not in TRENDS:
        raise OptionError(f"unknown trend {trend!r}; allowed are {first_few(TRENDS)} and a fitted trend.")
    return None, trend


def _no_design(counts: Counts) -> np.ndarray:
    return np.ones((counts.n_samples, 1))


def _design_matrix(
    counts: Counts, design: str | Design | None, blind: bool | None, known: DispersionTrend | None
) -> np.ndarray:
    """Return the design that dispersions are estimated with, (sample, coefficient)."""
    if design is not None and blind:
        raise InputError(
            "a blind transform does not use a design; leave out either the design or blind=True."
        )
    if design is None:
        if blind is False and known is None:
            raise InputError(
                "a transform that is not blind needs a design, a fit or a fitted trend; got none of them."
            )
        return _no_design(counts)
    made = Design.from_formula(design, counts.sample_table) if isinstance(design, str) else design
    if not isinstance(made, Design):
        raise InputError(f"a formula or a Design is needed; got {type(made).__name__}.")
    if made.n_samples != counts.n_samples:
        raise InputError(f"the design has {made.n_samples} rows, but there are {counts.n_samples} samples.")
    refuse_groupings(made.groupings, "a transform", "Leave them out of the design.")
    return made.matrix
