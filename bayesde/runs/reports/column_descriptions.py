"""Descriptions of the columns of a run's tables, for its contrast, test and shrinkage."""

from __future__ import annotations

from collections.abc import Sequence

from bayesde.design import Contrast
from bayesde.eb.options import EbOptions
from bayesde.runs.options import ModelPlan

__all__ = ["posterior_columns", "shrunken_columns", "tested_columns", "without_tests"]

_CLAIMS = {
    "greaterAbs": "the absolute effect is larger than {x:g}",
    "greaterAbs2014": "the absolute effect is larger than {x:g} (the older, more conservative form)",
    "lessAbs": "the absolute effect is smaller than {x:g}",
    "greater": "the effect is above {x:g}",
    "less": "the effect is below {minus_x:g}",
}
_PRIORS = {
    "apeglm": (
        "posterior mode under a Cauchy prior whose scale was estimated from all genes (apeglm)",
        "posterior standard deviation of the contrast, from the curvature at the mode",
    ),
    "normal": (
        "posterior mode under normal priors estimated from all genes",
        "standard error of the shrunken contrast",
    ),
    "ashr": (
        "posterior mean under a mixture of normal distributions estimated from all genes (ash)",
        "posterior standard deviation of the contrast",
    ),
}
_INTERVAL = "{end} end of the {share:g} % posterior interval of the contrast"


def tested_columns(contrast: Contrast, model: ModelPlan, options: EbOptions) -> dict[str, str]:
    """Describe the columns of a table of tests.

    Parameters
    ----------
    contrast : Contrast
    model : ModelPlan
    options : EbOptions

    Returns
    -------
    dict of str to str
        By column; for the others, the descriptions of the schema hold.
    """
    effect = {
        "log2_fold_change": f"{contrast.name}: maximum-likelihood estimate",
        "lfc_se": "standard error of the contrast",
        "padj": _adjustment(options),
    }
    if model.test == "lrt":
        compared = f"'{model.design}' against '{model.reduced}'"
        return effect | {
            "stat": f"likelihood-ratio statistic of {compared}",
            "p_value": f"p-value of the likelihood-ratio test of {compared}, which is not about the contrast "
            "alone",
        }
    claim = _CLAIMS[model.alternative].format(x=model.lfc_threshold, minus_x=0.0 - model.lfc_threshold)
    if model.lfc_threshold == 0.0 and model.alternative.startswith("greaterAbs"):
        claim = "the effect is not 0"
    return effect | {
        "stat": "Wald statistic: estimate / standard error"
        + (", the estimate measured from the threshold" if model.lfc_threshold else ""),
        "p_value": f"p-value of the Wald test{_distribution(options)}; small values are evidence that "
        f"{claim}",
    }


def shrunken_columns(contrast: Contrast, model: ModelPlan, options: EbOptions) -> dict[str, str]:
    """Describe the columns of a table of shrunken effects.

    Parameters
    ----------
    contrast : Contrast
    model : ModelPlan
    options : EbOptions

    Returns
    -------
    dict of str to str
        As of `tested_columns`.
    """
    effect, error = _PRIORS[model.shrinkage]
    wrong = "of wrong sign"
    if model.lfc_threshold > 0.0:
        wrong += f", or of an absolute effect below {model.lfc_threshold:g},"
    return {
        "log2_fold_change": f"{contrast.name}: {effect}",
        "lfc_se": error,
        "lfc_lower": _INTERVAL.format(end="lower", share=95),
        "lfc_upper": _INTERVAL.format(end="upper", share=95),
        "stat": "Wald statistic of the unshrunken effect",
        "p_value": f"p-value of the Wald test of the unshrunken effect against 0{_distribution(options)}",
        "padj": _adjustment(options),
        "lfsr": "local false sign rate: posterior probability that the sign is wrong",
        "s_value": f"expected share {wrong} among the genes down to this one",
        "prob_gt_threshold": "posterior probability that the absolute effect exceeds "
        f"{model.lfc_threshold:g} (log2)",
    }


def without_tests(told: dict[str, str], random_effects: Sequence[str]) -> dict[str, str]:
    """Describe the columns of point estimates with random effects.

    Parameters
    ----------
    told : dict of str to str
        Descriptions of a table of tests or of shrunken effects.
    random_effects : sequence of str
        The names of the random effects.

    Returns
    -------
    dict of str to str
    """
    at_mode = "at the mode of the gene's marginal posterior"
    return told | {
        "lfc_se": f"{told['lfc_se']}; conditional on the laws of dispersions and of random effects' standard "
        "deviations over the genes, but not on their values",
        "dispersion": f"dispersion alpha {at_mode}",
        **{
            f"{name}_sd": f"standard deviation between levels of '{name}' {at_mode}"
            for name in random_effects
        },
    }


def posterior_columns(contrast: Contrast, model: ModelPlan, ci_prob: float) -> dict[str, str]:
    """Describe the columns of a table of posteriors.

    Parameters
    ----------
    contrast : Contrast
    model : ModelPlan
    ci_prob : float
        Probability of the intervals.

    Returns
    -------
    dict of str to str
        As of `tested_columns`.
    """
    ends, wrong = "{end} end of the equal-tailed {share:g} % posterior interval of the contrast", "wrong sign"
    if model.lfc_threshold > 0.0:
        wrong += f", or smaller than {model.lfc_threshold:g} (log2; FSOS),"
    return {
        "log2_fold_change": f"{contrast.name}: posterior mean; draws beyond e^30-fold, which counts cannot "
        "distinguish, are averaged as e^30-fold",
        "lfc_se": "posterior standard deviation of the contrast",
        "lfc_lower": ends.format(end="lower", share=100.0 * ci_prob),
        "lfc_upper": ends.format(end="upper", share=100.0 * ci_prob),
        "s_value": f"expected share of effects of {wrong} among the genes down to this one",
        "p_zero": f"posterior probability that the contrast {contrast.name} is exactly 0",
        "prob_gt_threshold": "posterior probability that the absolute contrast exceeds "
        f"{model.lfc_threshold:g} (log2); 1 minus this is the local false discovery probability",
    }


def _distribution(options: EbOptions) -> str:
    return " (t distribution)" if options.use_t else ""


def _adjustment(options: EbOptions) -> str:
    """Describe how p-values were adjusted."""
    if not options.independent_filtering:
        return "p-value adjusted by Benjamini-Hochberg among all genes"
    return (
        "p-value adjusted by Benjamini-Hochberg, low means filtered out first (optimized for a false "
        f"discovery rate of {options.fdr:g})"
    )
