"""The values of the column `status`: their class, meaning and advice."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["FAILED", "STATUSES", "Status"]

Kind = Literal["fine", "no_number", "failed"]


@dataclass(frozen=True)
class Status:
    """One value of the column `status`.

    Attributes
    ----------
    kind : {"fine", "no_number", "failed"}
        ``fine``: every number can be relied on; ``no_number``: numbers are missing for a reason that lies in
        the data or in the options; ``failed``: a check failed, and a run ends with exit code 3.
    meaning, advice : str
        For a report.
    """

    kind: Kind
    meaning: str
    advice: str


STATUSES: dict[str, Status] = {
    "ok": Status("fine", "nothing is missing and every check was passed", "Nothing."),
    "all_zero": Status(
        "no_number",
        "the gene has no counts, so nothing can be estimated",
        "Nothing: the gene was not seen in any sample.",
    ),
    "count_outlier": Status(
        "no_number",
        "a single count dominates the estimate (Cook's distance): no p-value",
        "Look at the gene's counts; if they are right, --no-cooks keeps its p-value.",
    ),
    "outlier_left_out": Status(
        "fine",
        "outlying counts were left out, and the gene was sampled without them",
        "Look at the counts that were left out.",
    ),
    "low_weight": Status(
        "no_number",
        "too few observations have enough weight to estimate the coefficients",
        "Nothing, if the gene's observation weights are right.",
    ),
    "low_mean": Status(
        "no_number",
        "the mean count is too low for the test to find anything: no adjusted p-value",
        "Nothing; --no-filtering adjusts the p-values of all genes, and finds fewer.",
    ),
    "single_feature": Status(
        "no_number",
        "the gene has no counts in other features, so that usage is not defined",
        "Nothing.",
    ),
    "not_converged": Status(
        "failed",
        "the estimate did not converge, or chains disagree (R-hat)",
        "Do not rely on the estimate; for chains, raise --warmup and --draws.",
    ),
    "low_ess": Status(
        "failed",
        "too few effective draws (ess; of chains ess_bulk or ess_tail) for the summaries to be stable",
        "Raise --draws.",
    ),
    "divergences": Status(
        "failed",
        "the sampler had divergent transitions",
        "Raise adapt_delta in the table [sampling] of a --config file, for example to 0.99.",
    ),
    "high_pareto_k": Status(
        "failed",
        "importance sampling is not reliable for this gene",
        "Install Stan ('bayesde install-stan'), which then samples such genes.",
    ),
    "not_selected": Status(
        "no_number",
        "the gene was not selected for a posterior",
        "Name the gene in --genes if its posterior is wanted.",
    ),
    "failed": Status(
        "failed", "the gene's block could not be computed", "Read log.txt, then run 'bayesde resume'."
    ),
}
"""All values, by name, in the order of a report."""

FAILED = tuple(name for name, status in STATUSES.items() if status.kind == "failed")
"""The values of genes that failed a check."""
