"""Predictive probabilities of single counts, gene by sample: what leave-one-out computes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import xarray as xr

from bayesde.posterior.draws.pareto_smoothing import MAX_K

__all__ = ["LeaveOneOutData", "two_sided"]


def two_sided(log_density: np.ndarray, below: np.ndarray, above: np.ndarray) -> np.ndarray:
    """Return tail probabilities of counts.

    Parameters
    ----------
    log_density : ndarray
        Natural log of the probability of the count itself.
    below, above : ndarray
        Probabilities of a smaller and of a larger count.

    Returns
    -------
    ndarray
        Twice the smaller of P(Y <= y) and P(Y >= y), at most 1.
    """
    return np.minimum(2.0 * (np.minimum(below, above) + np.exp(log_density)), 1.0)


@dataclass(frozen=True, eq=False, repr=False)
class LeaveOneOutData:
    """What the other counts of a gene predict of each count.

    `bayesde.posterior.queries.loo.LeaveOneOut`, which inherits from it, describes the attributes.
    """

    pointwise: xr.Dataset

    @property
    def reliable(self) -> xr.DataArray:
        """Whether the numbers of a count (gene, sample) can be trusted: ``pareto_k`` is at most 0.7."""
        return self.pointwise["pareto_k"] <= MAX_K

    @property
    def tail_probability(self) -> xr.DataArray:
        """Two-sided: twice the smaller of P(Y <= y) and P(Y >= y), at most 1; (gene, sample).

        Both have the probability of y itself in them, so that under the model the tail probability of a count
        is below any t with a probability of at most t.
        """
        values = self.pointwise
        tail = two_sided(*(values[name].to_numpy() for name in ("elpd", "below", "above")))
        return values["elpd"].copy(data=tail).rename("tail_probability")
