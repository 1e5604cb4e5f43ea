"""The part of the report that can be explored: linked plots, one gene's counts and posterior, the table.

The plots are drawn by a script of the page's own (``explorer.js``), on canvases and as SVG: libraries such as
Vega or Bokeh would add 0.8 to 3 MB of code to each page, and the numbers of 60,000 genes come on top of that.
"""

from __future__ import annotations

import base64
import json
from importlib.resources import files
from typing import Any

import numpy as np
import pandas as pd

from bayesde.results import ResultsTable
from bayesde.runs.reports.experiment import RunExperiment
from bayesde.runs.reports.gene_details import PROBABILITIES, GeneDetails

__all__ = ["embedded_json", "explorer_section", "ranked", "ranking"]

COLUMNS = (
    "base_mean log2_fold_change lfc_se lfc_lower lfc_upper p_value padj lfsr s_value prob_gt_threshold "
    "dispersion"
).split()
"""Those that the page has, where the table has them."""
SHOWN_ALWAYS = "base_mean log2_fold_change lfc_lower lfc_upper p_value padj lfsr s_value".split()
"""Those that its table shows."""
RANKING = ("s_value", "lfsr", "padj", "p_value")
LEAST_LOG = -400.0
"""Decimal logarithm that 0 is stored as: as a double, it is 0 again."""
LABELS = {
    "base_mean": "mean count",
    "log2_fold_change": "log2 fold change",
    "lfc_se": "standard error",
    "lfc_lower": "lower",
    "lfc_upper": "upper",
    "p_value": "p-value",
    "padj": "adjusted p-value",
    "lfsr": "lfsr",
    "s_value": "s-value",
}


def ranking(table: pd.DataFrame) -> list[str]:
    """Return the columns by which genes are ranked, the first one first.

    Parameters
    ----------
    table : ResultsTable

    Returns
    -------
    list of str
        None for point estimates without p-values.
    """
    return [name for name in RANKING if name in table]


def ranked(table: pd.DataFrame) -> np.ndarray:
    """Return the positions of the genes with an estimate: first those with the smallest s- or p-values.

    Without these, first those with the largest effects for their standard errors.

    Parameters
    ----------
    table : ResultsTable

    Returns
    -------
    ndarray of int
        Genes of equal rank are in the order of the table, which is that of the input.
    """
    columns = ranking(table)
    known = table["log2_fold_change"].notna().to_numpy()
    keys = pd.DataFrame(table[columns]).reset_index(drop=True)
    if not columns:
        columns = ["precision"]
        keys["precision"] = -(table["log2_fold_change"].abs() / table["lfc_se"]).to_numpy()
    order = keys.sort_values(columns, kind="stable").index
    return np.asarray([row for row in order.to_numpy() if known[row]], dtype=int)


def explorer_section(
    table: ResultsTable,
    details: GeneDetails | None,
    experiment: RunExperiment | None,
    counted: tuple[str, float] | None,
    rows: str,
) -> str:
    """Make the linked plots and the table.

    Parameters
    ----------
    table : ResultsTable
    details : GeneDetails or None
        None where the counts could not be read again.
    experiment : RunExperiment or None
    counted : (str, float) or None
        The column by which genes are counted, and the level. Without one there is nothing that the plots
        show.
    rows : str
        HTML of the first rows of the table, which a page without scripts, or a printed one, shows.

    Returns
    -------
    str
        HTML.
    """
    if counted is None:
        return rows
    data = embedded_json(_numbers(table, details, experiment, counted))
    page = files("bayesde.runs.reports").joinpath("explorer.html").read_text(encoding="utf-8")
    script = files("bayesde.runs.reports").joinpath("explorer.js").read_text(encoding="utf-8")
    return (
        page.replace("<!-- rows -->", rows)
        + f'<script type="application/json" id="explorer-data">{data}</script>\n<script>{script}</script>'
    )


def embedded_json(values: Any) -> str:
    """Write JSON that can stand in a page: no text in it ends the element that holds it.

    Parameters
    ----------
    values : object

    Returns
    -------
    str
    """
    text = json.dumps(values, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _numbers(
    table: ResultsTable,
    details: GeneDetails | None,
    experiment: RunExperiment | None,
    counted: tuple[str, float],
) -> dict[str, Any]:
    """Collect what the script needs, of the genes with an estimate in the order of their ranks."""
    order = ranked(table)
    own = table.iloc[order]
    measure = "lfsr" if "lfsr" in table else "p_value" if "p_value" in table else ranking(table)[0]
    values: dict[str, Any] = {
        "genes": list(map(str, own.index)),
        "columns": {
            name: _packed(own[name].to_numpy(np.float32))
            for name in COLUMNS
            if name in own and name not in RANKING
        },
        "logs": {name: _packed(_log10(own[name].to_numpy(float))) for name in RANKING if name in own},
        "shown": [[name, LABELS[name]] for name in SHOWN_ALWAYS if name in own],
        "counted": list(counted),
        "measure": [measure, LABELS[measure]],
        "status": [str(value) for value in own["status"].unique()],
    }
    codes = own["status"].map({name: i for i, name in enumerate(values["status"])})
    values["statusCode"] = _packed(codes.to_numpy(np.uint8))
    if "gene_name" in own and (own["gene_name"] != "").any():
        values["names"] = [str(name) for name in own["gene_name"]]
    if details is not None and experiment is not None:
        values["detail"] = _detail(order, details, experiment)
    return values


def _detail(order: np.ndarray, details: GeneDetails, experiment: RunExperiment) -> dict[str, Any]:
    """Collect the numbers of single genes."""
    place = np.full(int(order.max(initial=0)) + 1, -1)
    place[order] = np.arange(order.size)
    return {
        "gene": _packed(place[details.rows].astype(np.int32)),
        "samples": list(map(str, experiment.inputs.counts.samples)),
        "variable": experiment.variable or "",
        "groups": list(experiment.groups),
        "group": experiment.group.tolist(),
        "counts": _packed(details.counts),
        "band": None if details.band is None else _packed(details.band),
        "quantiles": None if details.quantiles is None else _packed(details.quantiles),
        "probabilities": list(PROBABILITIES),
    }


def _log10(values: np.ndarray) -> np.ndarray:
    """Return decimal logarithms in single precision, which has no numbers as small as some p-values."""
    with np.errstate(divide="ignore"):
        return np.maximum(np.log10(values), LEAST_LOG).astype(np.float32)


def _packed(values: np.ndarray) -> str:
    """Encode numbers as they are in memory, little-endian."""
    return base64.b64encode(np.ascontiguousarray(values, values.dtype.newbyteorder("<")).tobytes()).decode()
