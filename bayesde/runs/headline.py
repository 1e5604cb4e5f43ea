"""What a table says, in one sentence for the screen, the log and the record of a run."""

from __future__ import annotations

from bayesde.results import ResultsTable
from bayesde.runs.plan import RunPlan

__all__ = ["S_VALUE_LEVEL", "finding", "measure"]

S_VALUE_LEVEL = 0.005
"""Level at which genes with s-values are counted, apeglm's."""


def measure(table: ResultsTable, fdr: float) -> tuple[str, float]:
    """Say by which column genes are counted, and below which level.

    Parameters
    ----------
    table : ResultsTable
    fdr : float
        Level of adjusted p-values.

    Returns
    -------
    column : str
    level : float
    """
    return ("s_value", S_VALUE_LEVEL) if "s_value" in table else ("padj", fdr)


def finding(table: ResultsTable, contrast: str, plan: RunPlan) -> str:
    """Count the genes that a table is sure of.

    Parameters
    ----------
    table : ResultsTable
    contrast : str
        Its name.
    plan : RunPlan

    Returns
    -------
    str
        For example ``"condition treated vs untreated: 563 genes up, 767 down at adjusted p-value < 0.1"``.
    """
    column, level = measure(table, plan.eb.fdr)
    name = "s-value" if column == "s_value" else "adjusted p-value"
    chosen = table["log2_fold_change"][table[column] < level]
    limit = f"at {name} < {level:g}"
    model = plan.model
    if column == "padj" and model.test == "lrt":
        return f"'{model.design}' against '{model.reduced}': {_genes(chosen.size)} {limit}"
    if column == "padj" and model.alternative == "lessAbs":
        limit += f", for an absolute log2 fold change below {model.lfc_threshold:g}"
        return f"{contrast}: {_genes(chosen.size)} {limit}"
    threshold = f", beyond a log2 fold change of {model.lfc_threshold:g}" if model.lfc_threshold else ""
    return f"{contrast}: {_genes((chosen > 0).sum())} up, {(chosen < 0).sum():,} down {limit}{threshold}"


def _genes(number: int) -> str:
    return "1 gene" if number == 1 else f"{number:,} genes"
