"""Point estimates from counts: those of `EbFit`, or with random effects those of `RandomEffectsFit`.

A design without random effects goes to `bayesde.eb.fit`. One with random effects needs the marginal
likelihood and the laws of engine psis, which stand behind that folder.
"""

from __future__ import annotations

import logging
import math
import warnings
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any, NoReturn

import numpy as np
import pandas as pd

from bayesde.counts import Counts
from bayesde.counts.display import html_table
from bayesde.design import Design
from bayesde.design.as_design import as_design
from bayesde.design.default_contrast import warn_default
from bayesde.design.description import variable_lines
from bayesde.eb import fit as eb
from bayesde.eb.dispersion.trend import DispersionTrend
from bayesde.eb.options import EbOptions
from bayesde.errors import BayesdeNote, BayesdeWarning, InputError, OptionError, first_few
from bayesde.posterior.point_estimates.estimates import RandomEffectsEstimates, estimated
from bayesde.posterior.point_estimates.tables import estimates_table, shrunken_estimates_table
from bayesde.results import ResultsTable
from bayesde.workers.pools import pool_of
from bayesde.workers.progress import Progress, silent

__all__ = [
    "NO_P_VALUES",
    "RandomEffectsFit",
    "fit_eb",
    "point_estimates",
    "refuse_of_tests",
    "refuse_weights",
]

logger = logging.getLogger(__name__)

NO_P_VALUES = (
    "point estimates with random effects have no p-values: with few levels, Wald tests would call too many "
    "genes. fit_posterior (bayesde sample) takes the same design, and gives the probability of the sign of "
    "every effect."
)
_OF_TESTS = ("fdr", "independent_filtering", "cooks_cutoff", "replace_outliers", "min_replicates", "use_t")
"""Options of tests and outlying counts."""


@dataclass(frozen=True, eq=False, repr=False)
class RandomEffectsFit(RandomEffectsEstimates):
    """Point estimates of every gene, with random effects; genes without a count are NaN throughout.

    Attributes
    ----------
    counts : Counts
    design : Design
    options : EbOptions
    fixed : EbFit
        The fit that ignores the random effects, from which the searches started.
    hyperparameters : Hyperparameters
        Laws of effects, dispersions and standard deviations of random effects, learnt from at most a thousand
        genes: the maximum of their marginal likelihood.
    base_mean : ndarray (gene,)
        Mean of the normalized counts.
    beta, beta_se : ndarray (gene, coefficient)
        Coefficients at the mode without shrinkage, and standard errors from the joint curvature of all of the
        gene's parameters, natural log.
    dispersion : ndarray (gene,)
    random_effect_sd : dict of str to ndarray (gene,)
        Standard deviations of the random effects, natural log, by name: ``"donor"`` of ``(1 | donor)``.
    converged, estimated, all_zero : ndarray of bool (gene,)
    """

    def __repr__(self) -> str:
        genes = f"{self.counts.n_genes} genes ({self.estimated.sum()} estimated)"
        return f"<RandomEffectsFit: {genes}, {self.counts.n_samples} samples; design: {self.design.formula}>"

    def _repr_html_(self) -> str:
        title = ("RandomEffectsFit", f"{self.counts.n_genes:,} genes, {self.counts.n_samples} samples")
        lines = [("", line) for line in [*variable_lines(self.design), *self.lines, NO_P_VALUES]]
        return html_table([title, ("design", self.design.formula or ""), *lines])

    @property
    def size_factors(self) -> pd.Series | None:
        """Size factors by sample, or None where the factors differ between genes."""
        return self.fixed.size_factors

    @property
    def normalization_factors(self) -> np.ndarray:
        """Normalization factors (gene, sample), read-only."""
        return self.fixed.normalization_factors

    @property
    def all_zero(self) -> np.ndarray:
        """Genes (gene,) without a count."""
        return self.counts.all_zero

    @property
    def lines(self) -> list[str]:
        """The fit in sentences: how many genes, and the law of the standard deviations that was learnt."""
        hyper = self.hyperparameters
        found = [f"{self.estimated.sum():,} of {self.counts.n_genes:,} genes fitted"]
        for name, median in hyper.random_effect_sd.items():
            low, high = (
                math.exp(z * hyper.random_effect_sd_spread[name]) * median / math.log(2.0)
                for z in (-1.645, 1.645)
            )
            found.append(
                f"standard deviation between levels of {name}: median of the genes "
                f"{median / math.log(2.0):.3g} (log2), of 90 % of them between {low:.3g} and {high:.3g}"
            )
        return found

    def results(
        self,
        contrast: Any = None,
        coef: str | None = None,
        lfc_threshold: float = 0.0,
        alternative: str = "greaterAbs",
    ) -> ResultsTable:
        """Tabulate a contrast, without tests.

        Parameters
        ----------
        contrast : optional
            As ``design.contrast`` takes it: (factor, level, reference), text, or a numeric vector.
            By default the last coefficient.
        coef : str, optional
            A coefficient by name, instead of a contrast.
        lfc_threshold, alternative
            Of tests, which there are none of: refused.

        Returns
        -------
        ResultsTable
            One row per gene: log2_fold_change and lfc_se (log2), dispersion, and the standard deviation of
            every random effect, such as ``donor_sd`` (log2). No stat, p_value and padj.

        Raises
        ------
        InputError
            If the contrast does not exist in this design, or both it and a coefficient are given.
        OptionError
            For a threshold or an alternative.
        """
        if lfc_threshold != 0.0 or alternative != "greaterAbs":
            refuse_of_tests("a threshold or an alternative of the Wald test")
        asked = eb.one_of(contrast, coef)
        warn_default(self.design, asked)
        return estimates_table(self, self.design.contrast(asked))

    def shrink(
        self,
        coef: str | None = None,
        contrast: Any = None,
        lfc_threshold: float = 0.0,
        method: str = "apeglm",
        adapt: bool = True,
    ) -> ResultsTable:
        """Tabulate a contrast under Cauchy priors whose scales were learnt from all genes.

        Parameters
        ----------
        coef : str, optional
            A coefficient; by default the last.
        contrast : optional
            Any contrast.
        lfc_threshold
            Of s-values, which there are none of: refused.
        method, adapt
            Others than the default are refused.

        Returns
        -------
        ResultsTable
            As of `results`; lfc_se is the posterior standard deviation by the curvature at the mode.

        Raises
        ------
        InputError
            If the contrast does not exist or is a level of expression, or the design has no intercept.
        OptionError
            For a threshold, or another method.
        """
        if lfc_threshold != 0.0:
            refuse_of_tests("a threshold of s-values")
        if method != "apeglm" or not adapt:
            raise OptionError(
                "point estimates with random effects are shrunken by Cauchy priors whose scales are learnt: "
                "method 'apeglm' with adapt=True."
            )
        asked = eb.one_of(contrast, coef)
        warn_default(self.design, asked)
        return shrunken_estimates_table(self, self.design.contrast(asked))

    def shrinkage_scales(self) -> dict[str, float]:
        """Scale S of the Cauchy prior of every coefficient but the intercept, natural log, by coefficient."""
        return dict(self.hyperparameters.shrinkage_scale)

    def test_lrt(self, reduced: Any, contrast: Any = None, coef: str | None = None) -> NoReturn:
        """Refuse likelihood-ratio tests, which few levels leave uncalibrated as they do Wald tests.

        Parameters
        ----------
        reduced, contrast, coef
            Not used.

        Raises
        ------
        OptionError
        """
        refuse_of_tests("a likelihood-ratio test")

    def cooks_distances(self, genes: Any = None) -> NoReturn:
        """Refuse Cook's distances, which are not defined where samples are not independent.

        Parameters
        ----------
        genes
            Not used.

        Raises
        ------
        OptionError
        """
        raise OptionError(
            "point estimates with random effects have no Cook's distances, which are of independent samples; "
            "fit_posterior (bayesde sample) finds outlying counts of the same design."
        )


def refuse_of_tests(what: str) -> NoReturn:
    """Refuse what belongs to tests.

    Parameters
    ----------
    what : str
        Such as ``"a likelihood-ratio test"``.

    Raises
    ------
    OptionError
    """
    raise OptionError(
        f"point estimates with random effects have no p-values, so that {what} has no meaning for them; "
        "leave it out, or use fit_posterior (bayesde sample), which has probabilities for the same design."
    )


def refuse_weights() -> NoReturn:
    """Refuse observation weights.

    Raises
    ------
    OptionError
    """
    raise OptionError(
        "point estimates with random effects cannot have observation weights; leave them out, or leave out "
        "the samples with low weights (counts.subset(samples=...))."
    )


def fit_eb(
    counts: Counts,
    design: str | Design,
    *,
    size_factors: Any = None,
    references: Mapping[str, str] | None = None,
    weights: Any = None,
    trend: DispersionTrend | Callable[[np.ndarray], np.ndarray] | None = None,
    options: EbOptions | None = None,
    scheduler: Any = None,
) -> eb.EbFit | RandomEffectsFit:
    """Fit the negative-binomial model of every gene: as DESeq2 does, or with random effects.

    Parameters
    ----------
    counts : Counts
    design : str or Design
        A formula over the sample table, such as ``"~ batch + condition"`` or ``"~ condition + (1 | donor)"``,
        or a design made before.
    size_factors : optional
        ``"ratio"`` (default), ``"poscounts"``, ``"iterate"``, size factors (sample,), or normalization
        factors (gene, sample). Factors or average lengths that came with the counts are used unless factors
        are given here.
    references : mapping, optional
        Reference level of a factor, for a design given as a formula.
    weights : array-like or DataFrame (gene, sample), optional
        Observation weights, 0 or more: the reliability of each count. Each gene's weights are divided by the
        largest of them. Not with random effects.
    trend : DispersionTrend or callable, optional
        A known dispersion trend: from another fit, or any function from base means to dispersions (gene,).
        By default the trend named in the options is fitted. Not with random effects.
    options : EbOptions, optional
        With random effects those of tests and outlying counts are not used.
    scheduler : str or distributed.Client, optional
        Scheduler of a Dask cluster whose workers fit blocks of genes, as of `fit_posterior`; it does not
        change a number. Size factors, the trend, laws and tables are computed here. By default everything is.

    Returns
    -------
    EbFit or RandomEffectsFit
        The latter if the design has random effects: it has no p-values.

    Raises
    ------
    InputError
        If the formula, the factors or the weights do not fit the counts.
    OptionError
        If the scheduler does not answer, or weights or a trend are given with random effects.
    FitError
        If the genes say too little of the laws of random effects.
    ClusterError
        If the connection to the scheduler is lost.

    Warns
    -----
    BayesdeNote
        With random effects: that there are no p-values.

    References
    ----------
    Love, Huber and Anders 2014, Genome Biology 15:550, doi:10.1186/s13059-014-0550-8
    """
    if not isinstance(counts, Counts):
        raise InputError(f"Counts are needed, from read_counts or Counts(...); got {type(counts).__name__}.")
    return point_estimates(
        counts,
        as_design(design, counts, references),
        size_factors=size_factors,
        weights=weights,
        trend=trend,
        options=options,
        scheduler=scheduler,
    )


def point_estimates(
    counts: Counts, design: Design, *, progress: Progress = silent, **named: Any
) -> eb.EbFit | RandomEffectsFit:
    """Fit a design that is made, and report progress where that takes long.

    Parameters
    ----------
    counts : Counts
    design : Design
    progress : callable
        See `Progress`.
    **named
        ``size_factors``, ``weights``, ``trend``, ``options`` and ``scheduler`` of `fit_eb`.

    Returns
    -------
    EbFit or RandomEffectsFit

    Raises
    ------
    InputError, OptionError, FitError, ClusterError
        As `fit_eb` raises them.
    """
    if not design.groupings:
        return eb.fit_eb(counts, design, progress=progress, **named)
    if named.pop("weights", None) is not None:
        refuse_weights()
    if named.pop("trend", None) is not None:
        raise OptionError(
            "point estimates with random effects learn the dispersion trend together with the standard "
            "deviations of the random effects; leave the trend out."
        )
    options = named.pop("options", None) or EbOptions()
    _say_unused(options)
    own = replace(options, cooks_cutoff=False, replace_outliers=False)
    fixed = eb.fit_eb(counts, design.fixed, options=own, progress=progress, **named)
    with closing(pool_of(named.get("scheduler"))) as pool:
        fit = RandomEffectsFit(**vars(estimated(fixed, design, pool, progress)))
    _report(fit)
    return fit


def _say_unused(options: EbOptions) -> None:
    """Say which options are not used that were chosen."""
    chosen = [name for name in _OF_TESTS if getattr(options, name) != getattr(EbOptions(), name)]
    if chosen:
        warnings.warn(
            f"the options {first_few(chosen)} are about tests and outlying counts, which point estimates "
            "with random effects do not have; they are not used.",
            BayesdeNote,
            stacklevel=4,
        )


def _report(fit: RandomEffectsFit) -> None:
    """Log the summary, say that there are no p-values, and warn of genes without convergence."""
    for line in fit.lines:
        logger.info("%s", line)
    warnings.warn(NO_P_VALUES, BayesdeNote, stacklevel=4)
    failed = fit.estimated & ~fit.converged
    if failed.any():
        warnings.warn(
            f"the estimates of {failed.sum():,} gene(s) did not converge: "
            f"{first_few(fit.counts.genes[failed])}. In tables their status is 'not_converged'.",
            BayesdeWarning,
            stacklevel=4,
        )
