"""A posterior: draws of the genes, what is known of them, and tables made from them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from bayesde.counts.display import html_table
from bayesde.design import Design
from bayesde.design.description import variable_lines
from bayesde.eb.fit import EbFit
from bayesde.model.density import ConditionalModel
from bayesde.model.hyperparameters import Hyperparameters
from bayesde.posterior.draws.arviz_adapter import to_arviz
from bayesde.posterior.draws.gene_draws import GeneDraws, contrast_values
from bayesde.posterior.draws.labelled import contrast_array, draws_dataset, equal_draws, positions
from bayesde.posterior.queries.left_out import without_counts
from bayesde.posterior.queries.loo import LeaveOneOut, leave_one_out
from bayesde.posterior.queries.outlier_counts import without_outliers
from bayesde.posterior.queries.predict import predict_counts, predictive_check
from bayesde.posterior.request import Request
from bayesde.posterior.summaries.checks import checked, hyperparameter_summary
from bayesde.posterior.summaries.several_contrasts import event_probability, joint_summary, read_contrasts
from bayesde.posterior.summaries.tables import results_table, summary_table, threshold_of
from bayesde.results import ResultsTable, to_log2

__all__ = ["Posterior"]


@dataclass(frozen=True, eq=False, repr=False)
class Posterior:
    """Draws from the posterior, and what is known of them.

    Attributes
    ----------
    gene_draws : GeneDraws
        Draws of the genes that were sampled, with their weights.
    hyperparameters : Hyperparameters
        What the genes were sampled under, or its posterior, where that was learnt or sampled.
    diagnostics : pandas.DataFrame
        One row per input gene: ``rhat``, ``ess_bulk``, ``ess_tail`` (worst of its parameters),
        ``divergences``, ``treedepth_hits``, ``gradients`` (per draw), ``attempts``, ``sampled``,
        ``all_zero``, ``engine``, ``status``. Of engine psis: ``pareto_k``, ``ess_bulk`` (effective number of
        weighted draws), ``attempts`` and the last four. ``pareto_k`` of engine nuts is that of the weights
        which let the uncertainty of the hyperparameters in.
    engine : {"psis", "nuts", "joint"}
        Which was asked for; single genes may have been handed over to another.
    request : Request
        What was asked for.
    shared : dict of str to ndarray (chain, draw)
        Engine joint: all draws of the hyperparameters.
    statistics : dict of str to ndarray (chain, draw)
        Engine joint: what the sampler tells of every draw, its energy for example.
    left_out : pandas.DataFrame or None
        ``gene`` and ``sample`` of the counts that the posterior was made without, see `without_outliers`.
    """

    gene_draws: GeneDraws
    hyperparameters: Hyperparameters
    diagnostics: pd.DataFrame
    engine: str
    request: Request
    shared: dict[str, np.ndarray]
    statistics: dict[str, np.ndarray] = field(default_factory=dict)
    left_out: pd.DataFrame | None = None

    def __repr__(self) -> str:
        statuses = self.diagnostics["status"][self.diagnostics["sampled"]].value_counts()
        found = ", ".join(f"{name} {number:,}" for name, number in statuses.items())
        design = [self.design.formula or ", ".join(self.design.coefficients), *variable_lines(self.design)]
        return (
            f"<Posterior: {self.gene_draws.n_genes:,} of {len(self.diagnostics):,} genes, "
            f"{self.design.n_samples} samples; engine {self.engine}; design: {'; '.join(design)}; "
            f"status: {found}>"
        )

    def _repr_html_(self) -> str:
        sampled = f"{self.gene_draws.n_genes:,} of {len(self.diagnostics):,} genes"
        return html_table(
            [
                ("Posterior", f"{sampled}, {self.design.n_samples} samples, engine {self.engine}"),
                ("design", self.design.formula or ", ".join(self.design.coefficients)),
                *((name, text) for name, _, text in (s.partition(": ") for s in variable_lines(self.design))),
                ("checks", self.checked),
                ("hyperparameters", repr(self.hyperparameters)[1:-1].partition(": ")[2]),
            ]
        )

    @property
    def design(self) -> Design:
        """The design."""
        return self.eb.design

    @property
    def eb(self) -> EbFit:
        """The fit that normalization, starts and, where fixed, hyperparameters come from."""
        return self.request.fit

    @property
    def genes(self) -> pd.Index:
        """Names of the genes that were sampled, in the order of `gene_draws`."""
        return self.eb.counts.genes[self.request.rows]

    def model(self, hyper: Hyperparameters | None = None) -> ConditionalModel:
        """Return data and priors of the sampled genes, under hyperparameters; by default posterior means."""
        hyper = hyper or self.hyperparameters
        model = self.request.model(self.request.rows, hyper)
        return model if self.left_out is None else without_counts(model, self.left_out_mask, hyper)

    @cached_property
    def draws(self) -> xr.Dataset:
        """Draws of equal weight, made on first use.

        ``beta`` (chain, draw, gene, coefficient) and ``log_dispersion`` (chain, draw, gene), natural log, of
        the genes that were sampled; engine joint adds ``hyperparameters`` (chain, draw, hyperparameter).
        Engine psis has one chain, of draws resampled by their weights: a draw may appear more than once.
        """
        theta = equal_draws(self.gene_draws, self.request.seeds(self.request.rows))
        return draws_dataset(theta, self.genes, self.design.coefficients, self.shared)

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
            numeric vector. By default the last coefficient.
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
            mean dispersion, diagnostics. Genes that were not sampled are empty, with a status that says why.

        Raises
        ------
        InputError
            If the contrast does not exist, or a number is out of its range.
        OptionError
            If there is no such estimate or interval.
        """
        return results_table(self, contrast, lfc_threshold, ci_prob, estimate, interval)

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
              spans the valley between them, or leaves one of them out;
            * ``lfsr``: probability that the effect has not the sign that is the likelier one;
            * with a threshold ``fsos``: probability that the effect is of wrong sign or smaller than the
              threshold; ``lfdr``: local false discovery probability, that the absolute effect does not exceed
              it; ``prob_gt_threshold`` = 1 - ``lfdr``. (`bayesde.s_values` of ``lfdr`` are the expected
              shares of false discoveries down the list.)
            * ``s_value``: as in `results`, expected share of wrong signs among the genes down to this one;
              with a threshold, of effects that are of wrong sign or small, and then ``s_value_sign`` is that
              of signs only;
            * ``mcse_mean``, ``mcse_sd`` if asked for;
            * ``status``.

        Raises
        ------
        InputError
            If the contrast does not exist, or a number is out of its range.
        """
        return summary_table(self, contrast, lfc_threshold, ci_prob, mcse)

    def contrasts(
        self, contrasts: Mapping[str, Any] | Iterable[Any] | None = None, lfc_threshold: float = 0.0
    ) -> xr.Dataset:
        """Summarize the joint posterior of several contrasts, gene by gene.

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
            ``correlation`` (gene, contrast, other_contrast); ``prob_signs_as_means`` (gene,): that all
            effects have the signs of their means; with a threshold ``prob_any_gt_threshold`` and
            ``prob_all_gt_threshold`` (gene,): that any, or all, of the absolute effects exceed it.

        Raises
        ------
        InputError
            If a contrast does not exist, or two have the same name.
        """
        threshold_of(lfc_threshold)
        read = read_contrasts(self.design, contrasts)
        return joint_summary(self.gene_draws, read, lfc_threshold).assign_coords(gene=np.asarray(self.genes))

    def probability(
        self,
        event: Callable[[np.ndarray], Any],
        contrasts: Mapping[str, Any] | Iterable[Any] | None = None,
    ) -> pd.Series:
        """Return the posterior probability of an event, gene by gene.

        Parameters
        ----------
        event : callable
            Given the effects of some genes, ndarray (gene, draw, contrast) in log2, it returns true or false,
            ndarray of bool (gene, draw): ``lambda e: (e[..., 0] > 1) & (abs(e[..., 1]) < 0.5)``.
        contrasts : mapping of str to contrast, or iterable of contrasts, optional
            Each as `results` takes it. By default all coefficients.

        Returns
        -------
        pandas.Series
            One number per input gene, NaN where it was not sampled: the share of the draws' weight, so that
            below 1 / draws there is hardly more to see than 0.

        Raises
        ------
        InputError
            If a contrast does not exist, or the event returns anything else.
        """
        read = read_contrasts(self.design, contrasts)
        found = pd.Series(np.nan, index=self.diagnostics.index, name="probability")
        found[self.diagnostics["sampled"]] = event_probability(self.gene_draws, read, event)
        return found

    def contrast_draws(self, contrast: Any = None, genes: Sequence[str] | None = None) -> xr.DataArray:
        """Return draws of a contrast, all of the same weight.

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
        read = self.design.contrast(contrast)
        rows = positions(self.genes, genes)
        theta = equal_draws(self.gene_draws.genes(rows), self.request.seeds(self.request.rows[rows]))
        effects = to_log2(contrast_values(theta, read.vector))
        return contrast_array(effects, self.genes[rows], read.name)

    @property
    def checked(self) -> str:
        """One sentence on what was checked, and what failed."""
        return checked(self)

    @property
    def hyperparameter_summary(self) -> pd.DataFrame:
        """One row per hyperparameter: mean, sd, 90 % interval, and how well its sampling went."""
        return hyperparameter_summary(self)

    def to_arviz(self) -> Any:
        """Return the draws as what ArviZ's functions take: InferenceData (0.x) or DataTree (1.x).

        Of engine joint with ``hyperparameters``, for trace and rank plots, and the group ``sample_stats``.
        """
        return to_arviz(self.draws, self.statistics)

    @property
    def left_out_mask(self) -> np.ndarray:
        """Which counts (sampled gene, sample) the posterior was made without."""
        mask = np.zeros((self.gene_draws.n_genes, self.design.n_samples), dtype=bool)
        if self.left_out is not None:
            genes = self.genes.get_indexer(pd.Index(self.left_out["gene"]))
            samples = pd.Index(self.design.samples).get_indexer(pd.Index(self.left_out["sample"]))
            mask[genes, samples] = True
        return mask

    def loo(
        self, *, refit: bool = True, progress: Callable[[int, int, str], None] | None = None
    ) -> LeaveOneOut:
        """Leave out every count in turn: see `bayesde.posterior.queries.loo.leave_one_out`."""
        return leave_one_out(self, refit=refit, progress=progress)

    def without_outliers(self, counts: pd.DataFrame | None = None) -> Posterior:
        """Leave counts out for good, by default those that `LeaveOneOut.outlier_counts` flags.

        See `bayesde.posterior.queries.outlier_counts.without_outliers`.
        """
        return without_outliers(self, self.loo().outlier_counts() if counts is None else counts)

    def predict(
        self,
        genes: Sequence[str] | None = None,
        *,
        draws: int = 100,
        seed: int | None = None,
        samples: Any = None,
        normalization_factors: Any = None,
    ) -> xr.DataArray:
        """Draw counts (draw, gene, sample): see `bayesde.posterior.queries.predict.predict_counts`."""
        return predict_counts(
            self,
            genes,
            draws=draws,
            seed=seed,
            samples=samples,
            normalization_factors=normalization_factors,
        )

    def predictive_check(
        self, genes: Sequence[str] | None = None, *, draws: int = 200, seed: int | None = None
    ) -> pd.DataFrame:
        """Compare genes with replicates: see `bayesde.posterior.queries.predict.predictive_check`."""
        return predictive_check(self, genes, draws=draws, seed=seed)
