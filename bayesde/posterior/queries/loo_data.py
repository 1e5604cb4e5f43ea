"""Predictive probabilities of single counts, gene by sample: what leave-one-out computes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import xarray as xr

from bayesde.posterior.draws.pareto_smoothing import MAX_K

__all__ = ["LeaveOneOutData"]


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
        equal = np.exp(self.pointwise["elpd"])
        smaller = self.pointwise["below"].clip(max=self.pointwise["above"])
        tail: xr.DataArray = 2.0 * (smaller + equal)
        return tail.clip(max=1.0).rename("tail_probability")
