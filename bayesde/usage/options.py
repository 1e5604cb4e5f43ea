"""What may be chosen in the analysis of usage."""

from __future__ import annotations

from dataclasses import dataclass

from bayesde.options import Number, Switch, Whole, Words, check_fields, documented, flag, option

__all__ = ["UsageOptions"]


@documented
@dataclass(frozen=True, kw_only=True)
class UsageOptions:
    """What may be chosen in the tests of usage, and for its posterior."""

    trend: str = option(
        "parametric",
        Words(
            {
                "parametric": "a0 + a1 / mean, or the local trend where that does not fit",
                "local": "a local regression",
                "mean": "one constant, a trimmed mean",
            }
        ),
        "Dispersion trend.",
        flag("--trend", metavar="KIND"),
    )
    prior_var: float | None = option(
        None,
        Number(0.0, 100.0, open_ends=True),
        "Variance of the prior of log dispersions around their trend. Default: estimated.",
        flag("--prior-var", metavar="X"),
    )
    fdr: float = option(
        0.1,
        Number(0.0, 1.0, open_ends=True),
        "False discovery rate for which independent filtering of features with low means is optimized.",
        flag("--fdr", metavar="X"),
    )
    independent_filtering: bool = option(
        True,
        Switch(),
        "Whether features with low means are left out of the multiple-testing adjustment.",
        flag(
            "--no-filtering",
            help="Adjust the p-values of all features, including those with low means.",
            sets=False,
        ),
    )
    min_reads: int = option(
        10,
        Whole(1, 10**9),
        "Features with fewer reads in all samples together get no posterior.",
        flag("--min-reads", metavar="N"),
    )
    draws: int = option(
        1000, Whole(100, 100_000), "Draws of the posterior of each feature.", flag("--draws", metavar="N")
    )
    seed: int = option(
        1,
        Whole(0, 2**32 - 1),
        "Random seed: the same seed gives the same draws, whatever other features there are.",
        flag("--seed", metavar="N"),
    )

    def __post_init__(self) -> None:
        check_fields(self)
