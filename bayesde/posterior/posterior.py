"""What a fit returns: a posterior, with its tables, checks and predictions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from bayesde.posterior.data import PosteriorData
from bayesde.posterior.posterior_queries import PosteriorQueries
from bayesde.posterior.queries.arviz_groups import arviz_data
from bayesde.posterior.queries.other_models.other_references import as_coefficient
from bayesde.posterior.summaries.checks import checked, hyperparameter_summary
from bayesde.posterior.summaries.description import described, described_as_table
from bayesde.posterior.summaries.equal_weights import contrast_draws, labelled_draws
from bayesde.posterior.summaries.several_contrasts import contrasts_summary, event_probabilities
from bayesde.posterior.summaries.tables import results_table, summary_table
from bayesde.results import ResultsTable

__all__ = ["Posterior"]


@dataclass(frozen=True, eq=False, repr=False)
class Posterior(PosteriorQueries):
    """Draws from the posterior, with tables, checks and predictions made from them.

    Attributes
    ----------
    gene_draws : GeneDraws
        Draws of the genes that were sampled, with their weights.
    hyperparameters : Hyperparameters
        Those under which the genes were sampled: their posterior, where they were learnt or sampled.
    diagnostics : pandas.DataFrame
        One row per input gene. Of engine psis: ``ess`` (effective number of weighted draws), ``pareto_k`` and
        ``attempts``. Of chains: ``rhat``, ``ess_bulk``, ``ess_tail`` (worst of the gene's parameters),
        ``divergences``, ``treedepth_hits``, ``gradients`` (per draw), ``attempts``; ``pareto_k`` of engine
        nuts is that of the weights which account for the uncertainty of the hyperparameters. Of all:
        ``sampled``, ``all_zero``, ``engine``, ``status``.
    engine : {"psis", "nuts", "joint"}
        The inference method of the fit; single genes may come from another, see ``diagnostics``.
    request : Request
        Fit, genes and options of the posterior.
    shared : dict of str to ndarray (chain, draw)
        Engine joint: all draws of the hyperparameters.
    statistics : dict of str to ndarray (chain, draw)
        Engine joint: what the sampler reports of every draw, such as its energy.
    left_out : pandas.DataFrame or None
        ``gene`` and ``sample`` of the counts without which the posterior was made, see `without_outliers`.
    outliers : pandas.DataFrame or None
        What `outlier_counts` found, where the fit looked for outlying counts: of all counts, whether or not
        they were left out.
    """

    @classmethod
    def of(cls, data: PosteriorData) -> Posterior:
        """Give draws the methods of this class.

        Parameters
        ----------
        data : PosteriorData

        Returns
        -------
        Posterior
        """
        return cls(**{entry.name: getattr(data, entry.name) for entry in fields(PosteriorData)})

    def __repr__(self) -> str:
        return described(self)

    def _repr_html_(self) -> str:
        return described_as_table(self)

    @cached_property
    def draws(self) -> xr.Dataset:
        """Draws of equal weight, made on first use.

        ``beta`` (chain, draw, gene, coefficient) and ``log_dispersion`` (chain, draw, gene), natural log, of
        the genes that were sampled; engine joint adds ``hyperparameters`` (chain, draw, hyperparameter), a
        design with random effects ``random_effect_sd`` (chain, draw, gene, random_effect), natural log.
        Engine psis has one chain, of draws resampled by their weights: a draw may appear more than once.
        """
        return labelled_draws(self)

    def results(
        self,
        contrast: Any = None,
        lfc_threshold: float = 0.0,
        ci_prob: float = 0.95,
        estimate: str = "mean",
        interval: str = "equal_tailed",
    ) -> ResultsTable:
        """Summarize the posterior of a contrast.

        Parameters
        ----------
        contrast : optional
            Whatever ``design.contrast`` understands: (factor, level, reference), a coefficient, text, a
            numeric vector. By default the last coefficient. Under the option ``coding="treatment"``, a
            contrast that is a coefficient with other reference levels has the prior that it has with these,
            by reweighting; ``ess`` and ``pareto_k`` are then those of the new weights.
        lfc_threshold : float
            In log2; above 0 the table has the probability that the absolute contrast exceeds it, and s-values
            count what has the wrong sign or is smaller (FSOS), as those of DESeq2's lfcShrink do.
        ci_prob : float
            Probability within the interval.
        estimate : {"mean", "median"}
            Which of the posterior ``log2_fold_change`` holds.
        interval : {"equal_tailed", "hdi"}
            What ``lfc_lower`` and ``lfc_upper`` hold: the interval with as much probability below it as
            above, or the highest-density one (see `summary`).

        Returns
        -------
        ResultsTable
            One row per input gene: posterior mean, sd and interval (log2), ``lfsr``, ``s_value``, posterior
            mean dispersion, diagnostics; after ``s_value`` also ``p_zero``, the probability that the contrast
            is exactly 0, if the prior gives effects a probability of being 0. Genes that were not sampled are
            empty, with the reason as their status.

        Raises
        ------
        InputError
            If the contrast does not exist, or a number is out of its range.
        OptionError
            If there is no such estimate or interval.
        """
        return results_table(
            as_coefficient(self, contrast), contrast, lfc_threshold, ci_prob, estimate, interval
        )

    def summary(
        self, contrast: Any = None, lfc_threshold: float = 0.0, ci_prob: float = 0.95, mcse: bool = False
    ) -> pd.DataFrame:
        """Summarize the posterior of a contrast in full.

        Parameters
        ----------
        contrast, lfc_threshold, ci_prob
            As of `results`.
        mcse : bool
            Whether to add Monte-Carlo standard errors, which take a while for chains of many genes.

        Returns
        -------
        pandas.DataFrame
            One row per input gene; effects in log2.

            * ``mean``, ``sd``, ``median``;
            * ``lower``, ``upper``: the equal-tailed interval; ``hdi_lower``, ``hdi_upper``: the
              highest-density interval, which is the shortest *single* one: of a posterior with two modes it
              spans the valley between them, or leaves one of them out. Where the effect is exactly 0 with a
              probability (see ``p_zero``), an end of an interval may be exactly 0, and with a probability of
              `ci_prob` or more the highest-density interval is [0, 0];
            * ``lfsr``: probability that the effect does not have the more probable sign, min(P(effect <= 0),
              P(effect >= 0)): an effect of exactly 0 counts as one of wrong sign;
            * with a threshold ``fsos``: probability that the effect is of wrong sign or smaller than the
              threshold; ``lfdr``: local false discovery probability, that the absolute effect does not exceed
              it; ``prob_gt_threshold`` = 1 - ``lfdr``. (`bayesde.s_values` of ``lfdr`` are the expected
              shares of false discoveries down the list.)
            * ``s_value``: as in `results`, expected share of wrong signs among the genes down to this one;
              with a threshold, of effects that are of wrong sign or small, and then ``s_value_sign`` is that
              of signs only;
            * ``p_zero``: probability that the contrast is exactly 0, the weight of the draws of which all
              coefficients in it are 0; only if the prior gives effects a probability of being 0;
            * ``mcse_mean``, ``mcse_sd`` with `mcse`;
            * ``status``.

        Raises
        ------
        InputError
            If the contrast does not exist, or a number is out of its range.
        """
        return summary_table(as_coefficient(self, contrast), contrast, lfc_threshold, ci_prob, mcse)

    def contrasts(
        self, contrasts: Mapping[str, Any] | Iterable[Any] | None = None, lfc_threshold: float = 0.0
    ) -> xr.Dataset:
        """Summarize the joint posterior of several contrasts, gene by gene.

        All have one prior, under treatment coding that of the design's coefficients.

        Parameters
        ----------
        contrasts : mapping of str to contrast, or iterable of contrasts, optional
            Each as `results` takes it; a mapping gives them names. By default all coefficients.
        lfc_threshold : float
            In log2; 0 for none.

        Returns
        -------
        xarray.Dataset
            Of the genes that were sampled, in log2: ``mean`` and ``sd`` (contrast, gene), ``covariance`` and
            ``correlation`` (gene, contrast, other_contrast; NaN where an effect does not vary);
            ``prob_signs_as_means`` (gene,): that all effects have the signs of their means (an effect that is
            exactly 0 has no sign); with a threshold ``prob_any_gt_threshold`` and
            ``prob_all_gt_threshold`` (gene,): that any, or all, of the absolute effects exceed it.

        Raises
        ------
        InputError
            If a contrast does not exist, or two have the same name.
        """
        return contrasts_summary(self, contrasts, lfc_threshold)

    def probability(
        self,
        event: Callable[[np.ndarray], Any],
        contrasts: Mapping[str, Any] | Iterable[Any] | None = None,
    ) -> pd.Series:
        """Return the posterior probability of an event, gene by gene.

        All contrasts have one prior, under treatment coding that of the design's coefficients.

        Parameters
        ----------
        event : callable
            Given the effects of some genes, ndarray (gene, draw, contrast) in log2, it returns true or false,
            ndarray of bool (gene, draw): ``lambda e: (e[..., 0] > 1) & (abs(e[..., 1]) < 0.5)``.
            Under a prior that gives effects a probability of being 0, effects are then exactly 0:
            ``lambda e: (e == 0).all(-1)``.
        contrasts : mapping of str to contrast, or iterable of contrasts, optional
            Each as `results` takes it. By default all coefficients.

        Returns
        -------
        pandas.Series
            One number per input gene, NaN where it was not sampled: the share of the draws' weight, whose
            resolution is about 1 / draws.

        Raises
        ------
        InputError
            If a contrast does not exist, or the event returns anything else.
        """
        return event_probabilities(self, event, contrasts)

    def contrast_draws(self, contrast: Any = None, genes: Sequence[str] | None = None) -> xr.DataArray:
        """Return draws of a contrast, all of the same weight.

        Under treatment coding the prior is that of the design's coefficients, for any contrast: `results` may
        have another one.

        Parameters
        ----------
        contrast : optional
            As `results` takes it.
        genes : sequence of str, optional
            By default all that were sampled.

        Returns
        -------
        xarray.DataArray
            (chain, draw, gene), log2. The same draws as in `draws`.

        Raises
        ------
        InputError
            If the contrast does not exist, or a gene was not sampled.
        """
        return contrast_draws(self, contrast, genes)

    @property
    def checked(self) -> str:
        """One sentence: what was checked, and what failed."""
        return checked(self)

    @property
    def hyperparameter_summary(self) -> pd.DataFrame:
        """One row per hyperparameter: mean, sd, 90 % interval, and how well its sampling went."""
        return hyperparameter_summary(self)

    def to_arviz(self, genes: Sequence[str] | None = None, *, predictive: bool = False) -> Any:
        """Return the draws as what ArviZ's functions take: InferenceData (0.x) or DataTree (1.x).

        Parameters
        ----------
        genes : sequence of str, optional
            By default all that were sampled.
        predictive : bool
            Whether to add what ``loo`` and ``plot_ppc`` need, one number for each draw and count: the groups
            ``log_likelihood`` (at the draws), ``posterior_predictive`` (as of `predict`) and
            ``observed_data``, each with the variable ``counts`` (dimensions chain, draw, gene and
            sample_id). Of engine psis draws are resampled ones, so
            that the k-hat of ArviZ's ``loo`` may be too small; the method `loo` takes weights into account.

        Returns
        -------
        arviz.InferenceData or xarray.DataTree
            Of engine joint with ``hyperparameters``, for trace and rank plots, and the group
            ``sample_stats``.

        Raises
        ------
        InputError
            If a gene was not sampled, or predictions of too many genes are asked for.
        """
        return arviz_data(self, genes, predictive)
