r"""Outlying counts of a whole data set, found without predicting every count exactly.

Whether a count is flagged is decided by draws that have not seen it (`LeaveOneOut`). Few counts need that:
some of the draws, weighted as without the count, are enough to tell most of them from outliers. Where the
weights are unreliable, draws that have seen a count explain it too well, so the tail probability t_0 that
they give is too large rather than too small: only counts of which

    t_0 > max(LEAST_TAIL, 10 sqrt(t)),      t = (false flags) / (number of counts),

are passed over; the genes of the others are sampled again without them. Of the 200 counts that were below t
in pasilla (4 + 3 samples), in GSE60450 (6 x 2) and in simulated experiments of 2 + 2 to 5 + 5 samples with 60
counts planted in each, the largest t_0 was 0.023.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd

from bayesde.options import check_range
from bayesde.posterior.data import PosteriorData, PosteriorT
from bayesde.posterior.progress import Progress, silent
from bayesde.posterior.queries.left_out_predictions import labelled, predict_again, predict_by_weights
from bayesde.posterior.queries.loo_data import LeaveOneOutData
from bayesde.posterior.queries.outlier_counts import (
    LARGEST_NUMBER_OF_FLAGS,
    outlier_counts,
    without_outliers,
)

__all__ = ["find_outlier_counts", "usual_treatment", "with_outliers_treated"]

MOST_DRAWS, FEWEST_DRAWS, DRAWS_TIMES_SAMPLES = 250, 50, 7000
"""Every so many draws one is used that 250 to 500 are left: components follow one another, and all keep their
share. With more than 28 samples fewer do, down to 50: no count has much influence then. With random effects,
where each takes two integrals a count, there are 50, too."""
LEAST_TAIL = 0.05
FEWEST_REPLICATES = 3
"""Samples with the same row of the design, as DESeq2 requires for its flags: of two that differ, it cannot be
known which one is wrong. Figures are in benchmarks/accuracy/outliers.md."""
MOST_COPIED = 1_000_000_000
"""Numbers of all draws, beyond which they are not copied for some genes to be sampled again."""


def find_outlier_counts(
    posterior: PosteriorData, false_flags: float = 1.0, *, progress: Progress | None = None
) -> pd.DataFrame:
    """Flag the counts that the other counts of their gene do not explain.

    Parameters
    ----------
    posterior : PosteriorData
    false_flags : float
        How many counts may be flagged by chance, in expectation, in the whole data set. Above 0.
    progress : callable, optional
        Called with (units done, units, text).

    Returns
    -------
    pandas.DataFrame
        As of `outlier_counts`.

    Raises
    ------
    OptionError
        If `false_flags` is not a positive number.
    """
    check_range("false_flags", false_flags, 0.0, LARGEST_NUMBER_OF_FLAGS, open_ends=True)
    tell, left_out = progress or silent, posterior.left_out_mask

    def report(done: int, total: int, _: str) -> None:
        tell(done, total, "looking for outlying counts")

    found = predict_by_weights(posterior, left_out, report, _step(posterior))
    nothing = np.zeros_like(left_out)
    tail = LeaveOneOutData(labelled(posterior, found, nothing, left_out)).tail_probability.to_numpy()
    level = false_flags / max((~left_out).sum(), 1)
    suspicious = ~(tail > max(LEAST_TAIL, 10.0 * np.sqrt(level))) & ~left_out
    predict_again(posterior, suspicious, left_out, found, report)
    return outlier_counts(LeaveOneOutData(labelled(posterior, found, suspicious, left_out)), false_flags)


def _step(posterior: PosteriorData) -> int:
    """Return every how many draws one is used."""
    n_draws, n_samples = posterior.gene_draws.n_draws, posterior.design.n_samples
    wanted = min(MOST_DRAWS, max(FEWEST_DRAWS, DRAWS_TIMES_SAMPLES // n_samples))
    if posterior.request.effects_of_groups:
        wanted = FEWEST_DRAWS
    return max(1, n_draws // wanted)


def usual_treatment(posterior: PosteriorData) -> str:
    """Return what becomes of outlying counts where nothing is said.

    Parameters
    ----------
    posterior : PosteriorData

    Returns
    -------
    {"leave-out", "report"}
    """
    replicates = np.unique(posterior.design.matrix, axis=0, return_counts=True)[1]
    enough = replicates.min() >= FEWEST_REPLICATES
    fits = posterior.gene_draws.theta.size <= MOST_COPIED
    return "leave-out" if enough and fits and posterior.engine == "psis" else "report"


def with_outliers_treated(
    posterior: PosteriorT, how: str | None, progress: Progress | None = None
) -> PosteriorT:
    """Find the outlying counts of a posterior, and leave them out if that is asked for.

    Parameters
    ----------
    posterior : PosteriorData
    how : {"keep", "report", "leave-out"} or None
        As `EngineOptions.outliers`; None for `usual_treatment`.
    progress : callable, optional
        Called with (units done, units, text).

    Returns
    -------
    PosteriorData
        Of the type given; with ``outliers``, unless they are kept. A gene all of whose counts are flagged
        keeps them.
    """
    how = how or usual_treatment(posterior)
    if how == "keep":
        return posterior
    flagged = find_outlier_counts(posterior, progress=progress)
    number = flagged.groupby("gene")["sample"].transform("size")
    leave_out = flagged[number < posterior.design.n_samples]
    if how == "leave-out" and len(leave_out):
        posterior = without_outliers(posterior, leave_out)
    return replace(posterior, outliers=flagged)
