"""Methods of a posterior that take counts and model once more: other laws, predictions, leaving out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Self

import pandas as pd
import xarray as xr

from bayesde.model.effect_laws import FAMILIES
from bayesde.model.hyperparameter_names import OF_RESIDUALS
from bayesde.posterior.data import PosteriorData
from bayesde.posterior.queries.loo import LeaveOneOut, leave_one_out
from bayesde.posterior.queries.other_models.other_laws import compare_effects, compare_residuals, with_effects
from bayesde.posterior.queries.other_models.other_references import as_coefficient
from bayesde.posterior.queries.outlier_counts import without_outliers
from bayesde.posterior.queries.outlier_search import find_outlier_counts
from bayesde.posterior.queries.predict import predict_counts, predictive_check
from bayesde.posterior.queries.random_effects import effects_of_levels, without_levels
from bayesde.workers.progress import Progress

__all__ = ["PosteriorQueries"]


class PosteriorQueries(PosteriorData):
    """The methods of `bayesde.posterior.posterior.Posterior` that take counts and model once more."""

    def compare_effects(
        self, laws: Iterable[Any] = FAMILIES, *, progress: Progress | None = None
    ) -> pd.DataFrame:
        """Compare laws of the effects by the marginal likelihood of the counts.

        Parameters
        ----------
        laws : iterable
            Each as `SamplingOptions.effects` takes it; all by default.
        progress : callable, optional
            Called with (units done, units, text).

        Returns
        -------
        pandas.DataFrame (law,)
            The best one first: ``log_likelihood``, the log marginal likelihood of the counts at its maximum
            over the hyperparameters; ``difference`` from the best, and ``error``, its Monte-Carlo standard
            error; ``parameters``, the number of hyperparameters and of weights of mixtures that are not 0;
            and values of the hyperparameters.

        Raises
        ------
        InputError
            If the posterior is not of engine psis, is of some genes, or its hyperparameters were not learnt.
        FitError
            If the maximum of a law is not found.
        """
        return compare_effects(self, laws, progress=progress)

    def compare_residuals(
        self, laws: Iterable[str] = tuple(OF_RESIDUALS), *, progress: Progress | None = None
    ) -> pd.DataFrame:
        """Compare laws of the residuals around the dispersion trend by the marginal likelihood of the counts.

        Parameters
        ----------
        laws : iterable of str
            Each as `SamplingOptions.residuals` takes it; all by default.
        progress : callable, optional
            Called with (units done, units, text).

        Returns
        -------
        pandas.DataFrame (law,)
            As of `compare_effects`, with the hyperparameters of the dispersions.

        Raises
        ------
        InputError, FitError
            As of `compare_effects`.
        """
        return compare_residuals(self, laws, progress=progress)

    def with_effects(self, effects: Any, *, progress: Progress | None = None) -> Self:
        """Return the posterior under another law of the effects.

        Parameters
        ----------
        effects : str, EffectMixture or mapping of str to these
            As `SamplingOptions.effects` takes it.
        progress : callable, optional
            Called with (units done, units, text).

        Returns
        -------
        Self
            The draws are the same if neither law has an atom at zero, but for genes whose weights would be
            unreliable; otherwise they are made again.

        Raises
        ------
        InputError
            If the posterior is not of engine psis, is of some genes, or its hyperparameters were not learnt.
        FitError
            If the hyperparameters cannot be learnt.
        """
        return with_effects(self, effects, progress=progress)

    def loo(self, *, refit: bool = True, progress: Progress | None = None) -> LeaveOneOut:
        """Predict each count of each gene from the gene's other counts (leave-one-sample-out).

        Parameters
        ----------
        refit : bool
            Whether genes are sampled again without a count where importance weights are unreliable.
        progress : callable, optional
            Called with (units done, units, text).

        Returns
        -------
        LeaveOneOut
            Predictive probabilities by gene and sample, in the attribute ``pointwise``.
        """
        return leave_one_out(self, refit=refit, progress=progress)

    def outlier_counts(self, false_flags: float = 1.0, *, progress: Progress | None = None) -> pd.DataFrame:
        """Flag the counts that the other counts of their gene do not explain.

        As ``loo().outlier_counts()``, in a fraction of the time: counts that are far from being outliers are
        not predicted exactly.

        Parameters
        ----------
        false_flags : float
            How many counts may be flagged by chance, in expectation, in the whole data set. Above 0.
        progress : callable, optional
            Called with (units done, units, text).

        Returns
        -------
        pandas.DataFrame
            One row a flagged count, the most surprising first: ``gene``, ``sample``, ``count``, ``expected``,
            ``tail_probability`` (two-sided), ``pareto_k``; without the counts that had been left out before.

        Raises
        ------
        OptionError
            If `false_flags` is not a positive number.
        """
        return find_outlier_counts(self, false_flags, progress=progress)

    def without_outliers(self, counts: pd.DataFrame | None = None) -> Self:
        """Sample the genes of outlying counts again without these counts.

        Parameters
        ----------
        counts : pandas.DataFrame, optional
            Counts to leave out, one a row, with the columns ``gene`` and ``sample``; by default those that
            `outlier_counts` flags.

        Returns
        -------
        Self
            A new one. The genes concerned come from engine psis, under the hyperparameters of this posterior,
            and have the status ``outlier_left_out``, unless they fail a check.

        Raises
        ------
        InputError
            If a gene has no posterior, a sample does not exist, or no count of a gene would be left.
        """
        return without_outliers(self, self.outlier_counts() if counts is None else counts)

    def predict(
        self,
        genes: Sequence[str] | None = None,
        *,
        draws: int = 100,
        seed: int | None = None,
        samples: Any = None,
        normalization_factors: Any = None,
    ) -> xr.DataArray:
        """Draw counts from the posterior predictive distribution.

        Parameters
        ----------
        genes : sequence of str, optional
            By default all that were sampled.
        draws : int
            Data sets to draw.
        seed : int, optional
            By default the posterior's. A gene's counts depend on its name and the seed, not on other genes.
        samples : pandas.DataFrame, optional
            New samples: the variables of the formula, one row a sample (of a bare design matrix: model rows).
            By default replicates of the samples of the fit. With random effects ``(1 | donor)``, samples
            whose ``donor`` was seen are of the same donor, those of another name or without the column of
            new ones; slopes need their covariate.
        normalization_factors : array-like (sample,) or (gene, sample), optional
            Of the new samples; 1 by default, so that counts are on the scale of normalized ones.

        Returns
        -------
        xarray.DataArray of int64 (draw, gene, sample)

        Raises
        ------
        InputError
            If genes have no posterior, or new samples do not fit the design.
        OptionError
            If a number is out of its range.
        """
        return predict_counts(
            self,
            genes,
            draws=draws,
            seed=seed,
            samples=samples,
            normalization_factors=normalization_factors,
        )

    def random_effects(self, genes: Sequence[str] | None = None, name: str | None = None) -> xr.DataArray:
        """Draw the random effects of every level, such as each donor's difference from the mean of donors.

        Parameters
        ----------
        genes : sequence of str, optional
            By default all that were sampled.
        name : str, optional
            Which, of several: ``"donor"`` of ``(1 | donor)``, ``"clinic:patient"``, ``"time|donor"`` of a
            slope; by default the first.

        Returns
        -------
        xarray.DataArray (chain, draw, gene, level)
            log2, one for each draw of `draws`: ``effects.mean(("chain", "draw"))`` are the predicted effects,
            ``effects.quantile([0.025, 0.975], ("chain", "draw"))`` their intervals.

        Raises
        ------
        InputError
            If the design has no such random effects, or a gene was not sampled.
        """
        return effects_of_levels(self, genes, name)

    def without_levels(
        self, contrast: Any = None, genes: Sequence[str] | None = None, grouping: str | None = None
    ) -> pd.DataFrame:
        """Leave out all counts of each level of the random effects in turn (leave-one-donor-out).

        Parameters
        ----------
        contrast : optional
            As `results` takes it, with the same prior.
        genes : sequence of str, optional
            By default all that were sampled.
        grouping : str, optional
            Whose levels, of several: ``"donor"``, ``"clinic:patient"``; by default those of the first.

        Returns
        -------
        pandas.DataFrame
            One row for each gene and level: ``gene``; the level, in a column of the grouping's name;
            ``elpd``, the log predictive probability of the level's counts, given the others;
            ``log2_fold_change``, ``lfc_se`` and ``lfsr`` of the contrast without the level; ``pareto_k`` of
            the weights, unreliable above 0.7; ``drives``, whether the probability of a wrong sign is below
            0.05 with, and above 0.05 without the level.

        Raises
        ------
        InputError
            If the design has no such random effects, or a gene was not sampled.

        Warns
        -----
        BayesdeWarning
            With the genes that are driven by one level.
        """
        return without_levels(as_coefficient(self, contrast), contrast, genes, grouping)

    def predictive_check(
        self, genes: Sequence[str] | None = None, *, draws: int = 200, seed: int | None = None
    ) -> pd.DataFrame:
        """Compare every gene's counts with replicates that its posterior predicts.

        Parameters
        ----------
        genes : sequence of str, optional
            By default all that were sampled.
        draws : int
            Data sets to draw.
        seed : int, optional
            By default the posterior's.

        Returns
        -------
        pandas.DataFrame
            By gene, posterior predictive p-values, half of ties counted: ``p_largest`` of the largest
            normalized count, ``p_zeros`` of the number of zeros, ``p_spread`` of Pearson's statistic: near 0
            where counts vary more than the model allows.

        Raises
        ------
        InputError
            If genes have no posterior.
        OptionError
            If a number is out of its range.
        """
        return predictive_check(self, genes, draws=draws, seed=seed)
