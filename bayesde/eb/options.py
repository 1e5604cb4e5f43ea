"""What may be chosen in the empirical-Bayes fit, its tests and its shrinkage."""

from __future__ import annotations

from dataclasses import dataclass

from bayesde.options import Number, Switch, Whole, Words, check_fields, documented, flag, option

__all__ = ["ALTERNATIVES", "LARGEST_THRESHOLD", "SHRINKAGES", "SIZE_FACTORS", "EbOptions"]

SIZE_FACTORS = {
    "ratio": "median of ratios",
    "poscounts": "for counts with many zeros",
    "iterate": "by likelihood, slow",
}
"""Methods of estimating size factors."""
SHRINKAGES = {
    "apeglm": "posterior mode under a Cauchy prior",
    "normal": "posterior mode under a normal prior",
    "ashr": "posterior mean under a mixture of normals",
}
"""Methods of `EbFit.shrink`."""
ALTERNATIVES = {
    "greaterAbs": "the absolute effect is larger",
    "greaterAbs2014": "the same, in its older and more conservative form",
    "lessAbs": "the absolute effect is smaller",
    "greater": "the effect is larger",
    "less": "the effect is below minus the threshold",
}
"""Alternative hypotheses of the Wald test, compared with a threshold."""
LARGEST_THRESHOLD = 100.0
"""Of an effect, in log2 units: beyond it a threshold is a mistake."""


@documented
@dataclass(frozen=True, kw_only=True)
class EbOptions:
    """What may be chosen in the empirical-Bayes fit."""

    trend: str = option(
        "parametric",
        Words(
            {
                "parametric": "a0 + a1 / mean, or the local trend where that does not fit",
                "local": "a local regression, which a posterior replaces by the nearest parametric trend",
                "mean": "one constant, a trimmed mean",
            }
        ),
        "Dispersion trend.",
        flag("--trend", metavar="KIND"),
    )
    fdr: float = option(
        0.1,
        Number(0.0, 1.0, open_ends=True),
        "False discovery rate for which independent filtering of genes with low means is optimized.",
        flag("--fdr", metavar="X", commands=("eb",)),
    )
    independent_filtering: bool = option(
        True,
        Switch(),
        "Whether genes with low means are left out of the multiple-testing adjustment.",
        flag(
            "--no-filtering",
            help="Adjust the p-values of all genes, including those with low means.",
            commands=("eb",),
            sets=False,
        ),
    )
    cooks_cutoff: bool = option(
        True,
        Switch(),
        "Whether a gene with an outlying count (large Cook's distance) loses its p-value.",
        flag(
            "--no-cooks",
            help="Keep the p-values of genes with an outlying count (large Cook's distance).",
            commands=("eb",),
            sets=False,
        ),
    )
    replace_outliers: bool = option(
        True,
        Switch(),
        "Whether outlying counts are replaced, and the gene fitted again, where there are enough replicates.",
        flag(
            "--no-replace",
            help="Do not replace outlying counts, as is done where there are 7 or more replicates.",
            commands=("eb",),
            sets=False,
        ),
    )
    min_replicates: int = option(
        7, Whole(3, 10**6), "Number of replicates from which outlying counts are replaced."
    )
    use_t: bool = option(
        False,
        Switch(),
        "Whether Wald statistics are compared with t distributions (degrees of freedom: samples less "
        "coefficients) instead of the normal distribution.",
        flag(
            "--use-t",
            help="Compare Wald statistics with t distributions, which have heavier tails; for few samples.",
            commands=("eb",),
        ),
    )
    min_mu: float = option(
        0.5,
        Number(0.0, 1e6, open_ends=True),
        "Lower limit of expected counts while coefficients are fitted.",
    )

    def __post_init__(self) -> None:
        check_fields(self)
