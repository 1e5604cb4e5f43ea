"""The schema of the results table: its columns, their units and what they mean."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["COLUMNS", "OF_RANDOM_EFFECTS", "Column", "column_of"]


@dataclass(frozen=True)
class Column:
    """What a column of the results table holds.

    Attributes
    ----------
    name : str
    unit : str
        ``"log2"``, ``"probability"``, ``"counts"``, ... or empty.
    description : str
    deseq2 : str or None
        DESeq2's name of the same quantity.
    natural_log : bool
        Whether `build_results` is given the natural logarithm and stores log2.
    diagnostic : bool
        Whether it describes the work of one engine only, and may be missing for a gene that is ``ok``.
    text : bool
        Whether it holds text.
    """

    name: str
    unit: str
    description: str
    deseq2: str | None = None
    natural_log: bool = False
    diagnostic: bool = False
    text: bool = False


_COLUMN_LIST = (
    Column("gene_name", "", "symbol or name of the gene, where the counts came with such names", text=True),
    Column("base_mean", "counts", "mean of the normalized counts over all samples", "baseMean"),
    Column(
        "log2_fold_change",
        "log2",
        "the contrast: maximum likelihood, maximum a-posteriori (shrunken) or posterior mean (or median, if "
        "chosen), by engine; draws beyond e^30-fold, between which no counts can distinguish, are taken as "
        "e^30-fold",
        "log2FoldChange",
        natural_log=True,
    ),
    Column(
        "lfc_se", "log2", "standard error, or posterior standard deviation, of the contrast", "lfcSE", True
    ),
    Column(
        "lfc_lower",
        "log2",
        "lower end of the interval of the contrast; of a posterior equal-tailed, or shortest if chosen",
        None,
        True,
    ),
    Column(
        "lfc_upper",
        "log2",
        "upper end of the interval of the contrast; of a posterior equal-tailed, or shortest if chosen",
        None,
        True,
    ),
    Column("stat", "", "test statistic: Wald (estimate / standard error) or likelihood ratio", "stat"),
    Column("p_value", "probability", "p-value of the test", "pvalue"),
    Column(
        "padj", "probability", "p-value adjusted by Benjamini-Hochberg, low means filtered out first", "padj"
    ),
    Column(
        "lfsr",
        "probability",
        "local false sign rate: posterior probability that the sign is wrong (an effect of exactly 0 counts "
        "as wrong); where few draws have the other sign, extrapolated by Laplace's approximation of the "
        "contrast's density",
    ),
    Column(
        "s_value",
        "probability",
        "expected share of wrong signs among the genes down to this one, in the order of lfsr; with a "
        "threshold, of effects of wrong sign or smaller than it (FSOS), in the order of that probability",
        "svalue",
    ),
    Column(
        "p_zero",
        "probability",
        "posterior probability that the contrast is exactly 0, if the prior gives effects a probability of "
        "being 0",
    ),
    Column(
        "prob_gt_threshold",
        "probability",
        "posterior probability that the absolute contrast exceeds the threshold; 1 minus it is the local "
        "false discovery probability",
    ),
    Column("dispersion", "", "dispersion alpha: variance = mean + alpha * mean^2"),
    Column(
        "ess",
        "draws",
        "effective sample size of importance sampling: how many independent draws the weighted draws of "
        "engine psis are worth",
        diagnostic=True,
    ),
    Column(
        "rhat",
        "",
        "of chains: largest R-hat of the gene's parameters (rank-normalized, split)",
        diagnostic=True,
    ),
    Column(
        "ess_bulk",
        "draws",
        "of chains: smallest bulk effective sample size of the gene's parameters",
        diagnostic=True,
    ),
    Column(
        "ess_tail",
        "draws",
        "of chains: smallest tail effective sample size of the gene's parameters",
        diagnostic=True,
    ),
    Column(
        "pareto_k",
        "",
        "shape of the tail of the importance weights; above 0.7 they are unreliable",
        diagnostic=True,
    ),
    Column("engine", "", "the inference method: eb, psis, nuts or joint", text=True),
    Column("status", "", "ok, or why a number is missing or unreliable", text=True),
)
COLUMNS: dict[str, Column] = {column.name: column for column in _COLUMN_LIST}
"""The schema: every column a results table may have, by name, in order. Those of random effects, the name of
the grouping before one of the endings `OF_RANDOM_EFFECTS`, come after the dispersion."""
OF_RANDOM_EFFECTS = {
    "_sd_lower": "lower end of the interval of the standard deviation between levels of '{}'",
    "_sd_upper": "upper end of the interval of the standard deviation between levels of '{}'",
    "_sd": "standard deviation between levels of '{}': posterior mean, or mode where there is no posterior",
    "_variance_share": "posterior mean of the share of '{}' in the variance of ln counts: tau^2 of random "
    "effects (of slopes, times the mean square of the covariate), alpha of overdispersion, 1 / mean of "
    "Poisson noise (delta method)",
}


def column_of(name: str) -> Column | None:
    """Return the schema of a column; None if a results table cannot have it.

    Parameters
    ----------
    name : str
    """
    for ending, description in OF_RANDOM_EFFECTS.items():
        if name.endswith(ending):
            about, unit = description.format(name.removesuffix(ending)), "log2" if "_sd" in ending else ""
            return Column(name, unit, about, natural_log=unit == "log2")
    return COLUMNS.get(name)
