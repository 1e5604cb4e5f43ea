"""A posterior: draws of the genes, what is known of them, and tables made from them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from bayesde.design import Design
from bayesde.eb.fit import EbFit
from bayesde.options import check_range
from bayesde.posterior.arviz_adapter import to_arviz
from bayesde.posterior.checks import checked, hyperparameter_summary
from bayesde.posterior.draws import draws_dataset
from bayesde.posterior.gene_draws import GeneDraws
from bayesde.posterior.hyperparameters import Hyperparameters
from bayesde.posterior.importance.engine import resampled
from bayesde.posterior.loo import LeaveOneOut, leave_one_out
from bayesde.posterior.outlier_counts import without_outliers
from bayesde.posterior.predict import predict_counts, predictive_check
from bayesde.posterior.request import Request
from bayesde.posterior.summaries import contrast_summary, log2_to_natural
from bayesde.posterior.weighted import mean_dispersion, weighted_summary
from bayesde.results import ResultsTable, build_results, s_values

__all__ = ["Posterior"]


@dataclass(frozen=True, eq=False)
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
        weighted draws), ``attempts`` and the last four.
    engine : {"psis", "nuts", "joint"}
        Which was asked for; single genes may have been handed over to another.
    request : Request
        What was asked for.
    shared : dict of str to ndarray (chain, draw)
        Engine joint: all draws of the hyperparameters.
    left_out : pandas.DataFrame or None
        ``gene`` and ``sample`` of the counts that the posterior was made without, see `without_outliers`.
    """

    gene_draws: GeneDraws
    hyperparameters: Hyperparameters
    diagnostics: pd.DataFrame
    engine: str
    request: Request
    shared: dict[str, np.ndarray]
    left_out: pd.DataFrame | None = None

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

    @cached_property
    def draws(self) -> xr.Dataset:
        """Draws of equal weight, made on first use.

        ``beta`` (chain, draw, gene, coefficient) and ``log_dispersion`` (chain, draw, gene), natural log, of
        the genes that were sampled; engine joint adds ``hyperparameters`` (chain, draw, hyperparameter).
        Engine psis has one chain, of draws resampled by their weights: a draw may appear more than once.
        """
        draws = self.gene_draws
        if draws.log_weights is not None:
            theta = resampled(draws, self.request.seeds(self.request.rows))
        else:
            shape = (draws.n_genes, draws.chains, draws.n_draws // draws.chains, draws.theta.shape[2])
            theta = draws.theta.reshape(shape).transpose(1, 2, 0, 3)
        return draws_dataset(theta, self.genes, self.design.coefficients, self.shared)

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
        columns |= {"base_mean": self.eb.base_mean, "engine": self.diagnostics["engine"].to_numpy()}
        columns["status"] = self.diagnostics["status"].to_numpy()
        return build_results(self.diagnostics.index, columns)

    def _summary(self, vector: np.ndarray, threshold: float, ci_prob: float) -> dict[str, np.ndarray]:
        """Summarize a contrast and the dispersion of the sampled genes."""
        if self.gene_draws.log_weights is not None:
            theta, log_weights = self.gene_draws.theta, self.gene_draws.log_weights
            summary = weighted_summary(theta, log_weights, vector, threshold, ci_prob)
            return summary | {"dispersion": mean_dispersion(theta, log_weights)}
        summary = contrast_summary(self.draws["beta"].values, vector, threshold, ci_prob)
        dispersion = np.exp(self.draws["log_dispersion"].values)
        return summary | {"dispersion": dispersion.mean(axis=(0, 1), dtype=np.float64)}

    @property
    def checked(self) -> str:
        """One sentence on what was checked, and what failed."""
        return checked(self)

    @property
    def hyperparameter_summary(self) -> pd.DataFrame:
        """One row per hyperparameter: mean, sd, 90 % interval, and how well its sampling went."""
        return hyperparameter_summary(self)

    def to_arviz(self) -> Any:
        """Return the draws as what ArviZ's functions take: InferenceData (0.x) or DataTree (1.x)."""
        return to_arviz(self.draws)

    @property
    def left_out_mask(self) -> np.ndarray:
        """Which counts (sampled gene, sample) the posterior was made without."""
        mask = np.zeros((self.gene_draws.n_genes, self.design.n_samples), dtype=bool)
        if self.left_out is not None:
            genes = self.genes.get_indexer(pd.Index(self.left_out["gene"]))
            samples = pd.Index(self.design.samples).get_indexer(pd.Index(self.left_out["sample"]))
            mask[genes, samples] = True
        return mask

    def loo(self, *, refit: bool = True) -> LeaveOneOut:
        """Leave out every count in turn: see `bayesde.posterior.loo.leave_one_out`."""
        return leave_one_out(self, refit=refit)

    def without_outliers(self, counts: pd.DataFrame | None = None) -> Posterior:
        """Leave counts out for good, by default those that `LeaveOneOut.outlier_counts` flags.

        See `bayesde.posterior.outlier_counts.without_outliers`.
        """
        return without_outliers(self, self.loo().outlier_counts() if counts is None else counts)

    def predict(self, genes: Sequence[str] | None = None, **arguments: Any) -> xr.DataArray:
        """Draw counts: see `bayesde.posterior.predict.predict_counts` for what may be asked for."""
        return predict_counts(self, genes, **arguments)

    def predictive_check(self, genes: Sequence[str] | None = None, **arguments: Any) -> pd.DataFrame:
        """Compare genes with replicates: see `bayesde.posterior.predict.predictive_check`."""
        return predictive_check(self, genes, **arguments)


def _spread(values: np.ndarray, where: np.ndarray) -> np.ndarray:
    """Put the values of the sampled genes among all genes."""
    out = np.full(where.size, np.nan)
    out[where] = values
    return out
