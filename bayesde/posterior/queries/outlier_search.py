r"""Outlying counts of a whole data set, found without predicting every count exactly.

Whether a count is flagged is decided by draws that have not seen it (`LeaveOneOut`). Few counts need that:
some of the draws, weighted as without the count, are enough to tell most of them from outliers. With

    t = (false flags) / (number of counts),

the tail probability t_0 that they give, and the influence of the count on the posterior of its gene,

    d = ln p(y | all counts) - ln p(y | the others),

a count is passed over if t_0 > FEW_TIMES t and d <= SMALL_INFLUENCE, or if t_0 > max(LEAST_TAIL, 10 sqrt(t)).
The genes of all others are sampled again without them.

The first condition passes over nearly all counts of large experiments. Let ln p(y | theta) be about normal
over the draws, with the variance v. Then d is v, the posterior moves by sqrt(v) of its standard deviations if
the count is left out, and ln t_0 from S draws has an error of about sqrt(v / S), 0.08 for v = 0.3 and S = 50:
that a count of which t_0 is FEW_TIMES t is below t without itself would take an error of ln(FEW_TIMES) = 4.6.
The second condition is for counts of large influence: their weights are unreliable, and draws that have seen
a count explain it too well, so that t_0 is too large rather than too small.

Both were checked in twelve experiments: simulated ones of 2 + 2 to 500 + 500 samples, pasilla, GSE60450,
Yoruba cell lines, patients with cardiogenic shock (with and without random effects), and genes with hardly
any reads; in all but two of them counts were planted. Of the 22,624 counts with a d of at most 0.3 that were
sampled again all the same, t_0 was too large by a factor of 1.8 at the most; with no more than 50 draws in
the small experiments, by one of 11. Of the counts below t, the largest t_0 was 0.07, where t was 1.2e-4.
What is flagged was the same in all of them as with the second condition alone. The first saves sampling again
58 % of the counts in 69 samples, 84 % in 100, 98 % or more in 600 and 1,000.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd

from bayesde.counts import chunks
from bayesde.options import check_range
from bayesde.posterior.data import PosteriorData, PosteriorT
from bayesde.posterior.queries.left_out_predictions import predict_again, predict_by_weights
from bayesde.posterior.queries.loo_data import two_sided
from bayesde.posterior.queries.outlier_counts import (
    LARGEST_NUMBER_OF_FLAGS,
    table_of_flags,
    without_outliers,
)
from bayesde.posterior.storage.draws_file import is_mapped
from bayesde.workers.progress import Progress, silent

__all__ = ["find_outlier_counts", "usual_treatment", "with_outliers_treated"]

MOST_DRAWS, FEWEST_DRAWS, DRAWS_TIMES_SAMPLES = 250, 50, 7000
"""Every so many draws one is used that 250 to 500 are left: components follow one another, and all keep their
share. With more than 28 samples fewer do, down to 50: no count has much influence then. With random effects,
where each takes two integrals a count, there are 50, too."""
LEAST_TAIL = 0.05
FEW_TIMES, SMALL_INFLUENCE = 100.0, 0.3
"""Of the level; natural log."""
FEWEST_REPLICATES = 3
"""Samples with the same row of the design, as DESeq2 requires for its flags: of two that differ, it cannot be
known which one is wrong. Figures are in benchmarks/accuracy/outliers.md."""
COUNTS_AT_A_TIME = 1_000_000
"""Of consecutive genes, whose predictions are in memory together."""
MOST_COPIED = 1_000_000_000
"""Numbers of draws in memory, beyond which they are not copied for some genes to be sampled again."""


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
    tell = progress or silent

    def report(done: int, total: int, _: str = "") -> None:
        tell(done, total, "looking for outlying counts")

    n_counts = posterior.gene_draws.n_genes * posterior.design.n_samples - posterior.left_out_at[0].size
    level = false_flags / max(n_counts, 1)
    found = _suspicious(posterior, level, report)
    found |= predict_again(posterior, found["gene"], found["sample"], report)
    tail = two_sided(found["log_density"], found["below"], found["above"])
    flagged = np.flatnonzero(tail <= level)
    names = {
        "gene": np.asarray(posterior.genes, dtype=object)[found["gene"][flagged]],
        "sample": np.asarray(posterior.design.samples, dtype=object)[found["sample"][flagged]],
    }
    expected = np.exp(found["log_expected"][flagged])
    return table_of_flags(names, found["count"][flagged], expected, tail[flagged], found["pareto_k"][flagged])


def _suspicious(posterior: PosteriorData, level: float, report: Progress) -> dict[str, np.ndarray]:
    """Return the counts that may be flagged: ``count`` and where it is, ``gene`` and ``sample``."""
    n_genes, step = posterior.gene_draws.n_genes, _step(posterior)
    parts = []
    for rows in chunks((n_genes, posterior.design.n_samples), COUNTS_AT_A_TIME):
        predicted = predict_by_weights(posterior, rows, silent, step)
        gene, sample = np.nonzero(~(_passed_over(predicted, level) | posterior.left_out_of(rows)))
        parts.append((gene + rows.start, sample, predicted["count"][gene, sample]))
        report(rows.stop, n_genes, "")
    return dict(zip(("gene", "sample", "count"), map(np.concatenate, zip(*parts, strict=True)), strict=True))


def _passed_over(predicted: dict[str, np.ndarray], level: float) -> np.ndarray:
    """Return which counts cannot be flagged."""
    tail = two_sided(predicted["log_density"], predicted["below"], predicted["above"])
    known_well = predicted["lpd"] - predicted["log_density"] <= SMALL_INFLUENCE
    certain: np.ndarray = tail > max(LEAST_TAIL, 10.0 * np.sqrt(level))
    return certain | (known_well & (tail > FEW_TIMES * level))


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
    theta = posterior.gene_draws.theta
    fits = is_mapped(theta) or theta.size <= MOST_COPIED
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
