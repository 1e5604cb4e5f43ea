"""The main result of a table, in one sentence for the screen, the log and the record of a run."""

from __future__ import annotations

from bayesde.results import ResultsTable
from bayesde.runs.plan import RunPlan

__all__ = ["S_VALUE_LEVEL", "headline", "counted_by"]

S_VALUE_LEVEL = 0.005
"""Level below which s-values are counted, that of apeglm."""


def counted_by(table: ResultsTable, fdr: float) -> tuple[str, float] | None:
    """Return the column by which genes are counted, and the level below which they count.

    Parameters
    ----------
    table : ResultsTable
    fdr : float
        Level of adjusted p-values.

    Returns
    -------
    (str, float) or None
        None where the table has neither p-values nor s-values.
    """
    levels = {"s_value": S_VALUE_LEVEL, "padj": fdr}
    return next(((column, level) for column, level in levels.items() if column in table), None)


def headline(table: ResultsTable, contrast: str, plan: RunPlan) -> str:
    """Count the significant genes of a table.

    Parameters
    ----------
    table : ResultsTable
    contrast : str
        The name of the contrast.
    plan : RunPlan

    Returns
    -------
    str
        For example ``"condition treated vs untreated: 563 genes up, 767 down at adjusted p-value < 0.1"``.
    """
    counted = counted_by(table, plan.eb.fdr)
    if counted is None:
        return f"{contrast}: effects of {_genes(table['log2_fold_change'].notna().sum())}, without p-values"
    column, level = counted
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
