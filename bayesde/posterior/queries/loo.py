r"""Leave-one-sample-out: what a gene's other counts predict of each of its counts.

With draws theta_m of the posterior, of weights w_m, those of the posterior without the count y_gj are the
same draws with the weights (Gelfand, Dey and Chang 1992; Vehtari, Gelman and Gabry 2017,
doi:10.1007/s11222-016-9696-4)

    w_mj  proportional to  w_m / p(y_gj | theta_m),

whose tail is smoothed by a generalized Pareto distribution (`bayesde.posterior.draws.pareto_smoothing`).
From them

    elpd_gj = ln sum_m w_mj p(y_gj | theta_m),    P(Y < y_gj) = sum_m w_mj P(Y < y_gj | theta_m),

and so the probability of a larger count. The draws of engine psis come from proposals that are wider than
the posteriors, which serve for leaving out too; draws of chains do not reach as far. Where the shape k of the
tail is above 0.7, or fewer than `FEWEST` draws count, the gene is sampled again without the sample:
leave-one-out as it is meant.

The hyperparameters are those of all counts, and so is the mean at which the dispersion trend is evaluated:
both are taken as known when a count is left out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from bayesde.counts.display import html_table
from bayesde.posterior.data import PosteriorData
from bayesde.posterior.draws.pareto_smoothing import MAX_K
from bayesde.posterior.draws.streams import gene_seeds
from bayesde.posterior.queries.left_out_predictions import labelled, predict_again, predict_by_weights
from bayesde.posterior.queries.loo_data import LeaveOneOutData
from bayesde.posterior.queries.outlier_counts import outlier_counts
from bayesde.workers.progress import Progress, silent

__all__ = ["LeaveOneOut", "leave_one_out"]

FEWEST = 50.0
"""Effective draws without a count, below which the gene is sampled again."""


@dataclass(frozen=True, eq=False, repr=False)
class LeaveOneOut(LeaveOneOutData):
    """What the other counts of a gene predict of each count.

    Attributes
    ----------
    pointwise : xarray.Dataset (gene, sample)
        ``count``; ``expected``, the predicted mean (its geometric mean over draws); ``elpd``, natural log of
        the predictive probability of the count, and its Monte-Carlo standard error ``elpd_error``; ``lpd``,
        the same from the posterior that has seen the count; ``below`` and ``above``, the probabilities of a
        smaller and of a larger count; ``pareto_k`` and ``ess`` (effective draws) of the weights;
        ``refitted``, whether the gene was sampled again without the count, to which ``pareto_k`` and ``ess``
        then refer; ``left_out``, whether the posterior had been made without the count.
    """

    def __repr__(self) -> str:
        return f"<LeaveOneOut: {'; '.join(f'{name} {text}' for name, text in self._values())}>"

    def _repr_html_(self) -> str:
        return html_table([("LeaveOneOut", "each count by the gene's others"), *self._values()])

    def _values(self) -> list[tuple[str, str]]:
        """Return names and values to print."""
        unreliable = int((~self.reliable).sum())
        return [
            ("genes", f"{self.pointwise.sizes['gene']:,}"),
            ("samples", f"{self.pointwise.sizes['sample']:,}"),
            ("elpd", f"{float(self.pointwise['elpd'].sum()):,.1f}"),
            ("counts from a refit", f"{int(self.pointwise['refitted'].sum()):,}"),
            ("unreliable counts (Pareto k > 0.7)", f"{unreliable:,}"),
        ]

    def pit(self, seed: int | None = 1) -> xr.DataArray:
        """Probability integral transform P(Y < y) + v P(Y = y) of every count (gene, sample).

        Parameters
        ----------
        seed : int or None
            v is uniform on (0, 1), from the names of gene and sample and the seed, so that the transforms of
            counts are uniform too if the model is right (Czado, Gneiting and Held 2009,
            doi:10.1111/j.1541-0420.2009.01191.x). None: v = 1/2, the mid-p value.
        """
        share: Any = 0.5 if seed is None else self._uniform(seed)
        value = self.pointwise["below"] + share * np.exp(self.pointwise["elpd"])
        transformed: xr.DataArray = value.clip(max=1.0)
        return transformed.rename("pit")

    def _uniform(self, seed: int) -> np.ndarray:
        genes, samples = (self.pointwise[name].to_numpy() for name in ("gene", "sample"))
        seeds = gene_seeds((f"{gene}\t{sample}" for gene in genes for sample in samples), seed)
        return np.asarray((seeds.reshape(genes.size, samples.size) + 0.5) / 2.0**32)

    def summary(self) -> pd.Series:
        """Return the sums over all counts, and how they were computed.

        Returns
        -------
        pandas.Series
            ``elpd`` and its standard error ``se`` (genes are independent, the counts of one gene need not
            be: it is the spread of the genes' sums), ``p_loo`` (by how much the posterior that has seen the
            counts is better: the effective number of parameters), ``genes``, ``counts``, ``refitted``
            counts, ``unreliable`` counts.
        """
        table = self.genes()
        return pd.Series(
            {
                "elpd": table["elpd"].sum(),
                "se": np.sqrt(len(table) * table["elpd"].var(ddof=0)),
                "p_loo": float((self.pointwise["lpd"] - self.pointwise["elpd"]).sum()),
                "genes": len(table),
                "counts": self.pointwise["elpd"].size,
                "refitted": int(self.pointwise["refitted"].sum()),
                "unreliable": int((~self.reliable).sum()),
            },
            dtype=object,
        )

    def outlier_counts(self, false_flags: float = 1.0) -> pd.DataFrame:
        """Flag the counts that the other counts of their gene do not explain.

        Parameters
        ----------
        false_flags : float
            How many counts may be flagged by chance, in expectation, in the whole data set. Above 0.

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
        return outlier_counts(self, false_flags)

    def genes(self) -> pd.DataFrame:
        """Return a table by gene.

        Returns
        -------
        pandas.DataFrame
            ``elpd`` (sum over its counts), ``p_loo``, ``smallest_tail`` (of its counts' tail probabilities),
            ``pareto_k`` (the largest), ``refitted`` and ``unreliable`` (numbers of counts).
        """
        values = self.pointwise
        columns = {
            "elpd": values["elpd"].sum("sample"),
            "p_loo": (values["lpd"] - values["elpd"]).sum("sample"),
            "smallest_tail": self.tail_probability.min("sample"),
            "pareto_k": values["pareto_k"].max("sample"),
            "refitted": values["refitted"].sum("sample"),
            "unreliable": (~self.reliable).sum("sample"),
        }
        index = pd.Index(values["gene"].to_numpy(), name="gene")
        return pd.DataFrame({name: column.to_numpy() for name, column in columns.items()}, index=index)


def leave_one_out(
    posterior: PosteriorData, *, refit: bool = True, progress: Progress | None = None
) -> LeaveOneOut:
    """Leave out every count of every sampled gene in turn.

    Parameters
    ----------
    posterior : PosteriorData
    refit : bool
        Whether genes are sampled again where the weights are unreliable.
    progress : callable, optional
        Called with (units done, units, text).

    Returns
    -------
    LeaveOneOut
    """
    report = progress or silent
    found = predict_by_weights(posterior, slice(None), report)
    doubtful = ~((found["pareto_k"] <= MAX_K) & (found["size"] >= FEWEST)) & refit
    gene, sample = np.nonzero(doubtful)
    for name, values in predict_again(posterior, gene, sample, report).items():
        found[name][gene, sample] = values
    return LeaveOneOut(labelled(posterior, found, doubtful))
