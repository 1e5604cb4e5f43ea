"""The report of a run: one self-contained HTML file, made from the run's folder."""

from __future__ import annotations

import json
from html import escape
from pathlib import Path
from typing import Any

import pandas as pd

from bayesde.columns import column_of
from bayesde.errors import InputError
from bayesde.io import write_atomically
from bayesde.plots import p_value_histogram
from bayesde.results import ResultsTable, read_results
from bayesde.runs.directory import RunDirectory
from bayesde.runs.reports.answer import answer_section, shown_name
from bayesde.runs.reports.citation import citation_section
from bayesde.runs.reports.experiment import RunExperiment, read_experiment
from bayesde.runs.reports.explorer import explorer_section, ranked, ranking
from bayesde.runs.reports.gene_details import gene_details
from bayesde.runs.reports.headline import counted_by
from bayesde.runs.reports.hyperparameters import hyperparameters_section
from bayesde.runs.reports.outliers import outliers_section
from bayesde.runs.reports.page import bullets, html_table, number, picture, plain, whole_page
from bayesde.runs.reports.sample_pictures import drawn, sample_pictures
from bayesde.runs.reports.verdicts import verdicts_section
from bayesde.statuses import STATUSES

__all__ = ["write_report"]

TOP_GENES = 25

_CAPTIONS = {
    "dispersion.png": "Dispersions: gene-wise estimates, the trend, and the final values. The blue points "
    "should scatter around the trend; if they do not, try another --trend.",
    "intervals.png": "Genes with the smallest lfsr: posterior means and intervals, and point estimates.",
    "random_effect_sd.png": "Standard deviations of the random effects against mean counts, and their law "
    "that was learnt from all genes.",
    "hyperparameters.png": "Hyperparameters: posterior (blue) and prior (dashed; near 0 if it is "
    "uninformative), with mean and 90 % interval. If there are chains, their traces should overlap, their "
    "rank histograms should be flat, and the two energy distributions should agree.",
    "effect_law.png": "The law of the effects, over the maximum-likelihood estimates of the genes "
    "whose standard errors are small; a bar at 0 is the probability of exactly 0. The estimates scatter by "
    "their errors, and so do not show how narrow the law is near 0.",
}
_P_VALUE_CAPTION = (
    "p-values of all tested genes; grey: genes filtered out for their low mean. The histogram of the others "
    "should be flat except for a peak at 0; a peak elsewhere suggests that the design lacks a variable, such "
    "as a batch, or that the dispersions are overestimated."
)
_TOP_COLUMNS = (
    "base_mean log2_fold_change lfc_se lfc_lower lfc_upper stat p_value padj lfsr s_value p_zero "
    "prob_gt_threshold"
).split()
_MEANT = {"wald": "Wald test", "lrt": "likelihood-ratio test"}


def write_report(path: str | Path) -> Path:
    """Write ``report.html`` into the folder of a finished run.

    Parameters
    ----------
    path : path
        The folder of the run.

    Returns
    -------
    pathlib.Path
        The file, which contains its pictures.

    Raises
    ------
    InputError
        If the folder holds no run, or one that is not finished.
    """
    directory = RunDirectory(path)
    record = directory.read()
    if record.get("state") != "finished":
        raise InputError(
            f"the run in '{directory.path}' is not finished ({record.get('state')}); 'bayesde resume "
            f"{directory.path}' resumes it."
        )
    table = read_results(directory.path)
    page = whole_page(_title(record), _subtitle(record), _body(directory, record, table))
    target = directory.path / "report.html"
    write_atomically(target, page)
    return target


def _body(directory: RunDirectory, record: dict[str, Any], table: ResultsTable) -> str:
    """Put the sections together, the answer first and the options last; empty ones are left out."""
    counted = counted_by(table, float(record["plan"].get("eb", {}).get("fdr", 0.1)))
    folder = directory.path
    read, told = read_experiment(record, folder), ""
    experiment = read if isinstance(read, RunExperiment) else None
    if isinstance(read, str):
        told = f'<p class="warning">{escape(read)} Counts of genes are not shown.</p>'
    details = None
    if experiment is not None and len(table) == experiment.inputs.counts.n_genes:
        details = gene_details(experiment, table, ranked(table), folder / "posterior.zarr")
    explorer = told + explorer_section(table, details, experiment, counted, _top_genes(table))
    samples = "" if experiment is None else sample_pictures(experiment)
    sections = [
        ("", answer_section(record, table, counted, details) + _warnings(directory)),
        ("Can this be relied on?", verdicts_section(folder, record, table, details)),
        ("Genes", explorer),
        ("Genes by status: what was dropped, and why", _statuses(table)),
        ("Outlying counts", outliers_section(folder)),
        ("Samples", _size_factors(record) + samples),
        ("The fit", bullets([*record.get("variables", []), *record.get("fit", [])])),
        ("Pictures", _pictures(directory, table)),
        ("Hyperparameters", hyperparameters_section(folder / "hyperparameters.json")),
        ("Diagnostics of the sampled genes", _diagnostics(folder / "diagnostics.tsv")),
        ("Tables and files", _tables(record) + _files(folder)),
        ("How to cite", citation_section(record)),
        ("Columns of results.tsv", _columns(folder, table)),
        ("Input files, versions and times", _provenance(record)),
        ("Options", _options(record)),
    ]
    return "\n".join((f"<h2>{title}</h2>\n" if title else "") + text for title, text in sections if text)


def _title(record: dict[str, Any]) -> str:
    contrast = record.get("contrast") or _contrast_text(record["plan"]["model"].get("contrast"))
    return f"bayesde {record['plan']['command']}: {contrast}"


def _contrast_text(contrast: Any) -> str:
    """Write a contrast in words."""
    if contrast is None:
        return "the last coefficient"
    if isinstance(contrast, str):
        return contrast
    if all(isinstance(part, str) for part in contrast):
        return "{}, {} vs {}".format(*contrast) if len(contrast) == 3 else ", ".join(contrast)
    return "weights " + ", ".join(f"{weight:g}" for weight in contrast)


def _subtitle(record: dict[str, Any]) -> str:
    return f"design {record['plan']['model']['design']}; finished {record.get('finished')}"


def _warnings(directory: RunDirectory) -> str:
    """Repeat the warnings of the run's log."""
    return "".join(f'<p class="warning">{escape(text)}</p>' for text in directory.warnings())


def _options(record: dict[str, Any]) -> str:
    """Tabulate the options of the run."""
    plan = record["plan"]
    rows = []
    for part in ("model", "eb", "sample", "sampling", "priors"):
        for name, value in plan.get(part, {}).items():
            if value not in (None, {}, []):
                rows.append((part, name, _MEANT.get(value, value) if name == "test" else value))
    return html_table(("", "option", "value"), [(part, name, plain(value)) for part, name, value in rows])


def _statuses(table: ResultsTable) -> str:
    """Count the genes of each status, with its meaning and what to do."""
    counts = table["status"].value_counts()
    rows = [
        (name, f"{counts[name]:,}", status.meaning, status.advice)
        for name, status in STATUSES.items()
        if counts.get(name, 0)
    ]
    return html_table(("status", "genes", "what it means", "what to do"), rows, numbers=(1,))


def _top_genes(table: ResultsTable) -> str:
    """Tabulate the genes with the smallest s-values or p-values, or the largest effects for their errors."""
    top = pd.DataFrame(table).iloc[ranked(table)[:TOP_GENES]]
    top = top[top[ranking(table)[:1]].notna().all(axis=1)]
    if top.empty:
        return "<p>No gene has an estimate that can be ranked.</p>"
    columns = [name for name in _TOP_COLUMNS if name in top]
    rows = [(shown_name(gene, row), *(number(row[name]) for name in columns)) for gene, row in top.iterrows()]
    return html_table(("gene", *columns), rows, numbers=range(1, 1 + len(columns)))


def _pictures(directory: RunDirectory, table: ResultsTable) -> str:
    """Embed the pictures of the run, and the histogram of its p-values."""
    shown = [
        picture((directory.plots / name).read_bytes(), caption)
        for name, caption in _CAPTIONS.items()
        if (directory.plots / name).is_file()
    ]
    if {"p_value", "padj"} <= set(table) and table["p_value"].notna().any():
        histogram = drawn(lambda ax: p_value_histogram(table, ax=ax), (8.0, 3.2))
        shown.append(picture(histogram, _P_VALUE_CAPTION))
    return "\n".join(shown)


def _size_factors(record: dict[str, Any]) -> str:
    """Show the size factors as numbers and bars."""
    factors = record.get("size_factors")
    if not factors:
        return ""
    largest = max(factors.values())
    rows = [
        f'<tr><td>{escape(sample)}</td><td class="number">{factor:.4f}</td>'
        f'<td><span class="bar" style="width:{16 * factor / largest:.2f}rem"></span></td></tr>'
        for sample, factor in factors.items()
    ]
    return f'<p>Size factors.</p><div class="wide"><table>{"".join(rows)}</table></div>'


def _diagnostics(file: Path) -> str:
    """Summarize the diagnostics of the sampled genes: smallest, median and largest value of each."""
    if not file.is_file():
        return ""
    frame = _with_ess(pd.read_csv(file, sep="\t", index_col="gene"))
    numbers = frame[frame["sampled"]].select_dtypes("number").dropna(axis=1, how="all")
    if numbers.empty:
        return ""
    rows = [
        (name, *(number(value) for value in numbers[name].quantile([0.0, 0.5, 1.0])), _meaning(name))
        for name in map(str, numbers)
    ]
    header = ("", "smallest", "median", "largest", "what it is")
    return f"<p>{len(numbers):,} sampled genes.</p>" + html_table(header, rows, numbers=(1, 2, 3))


def _with_ess(frame: pd.DataFrame) -> pd.DataFrame:
    """Return diagnostics with the column ``ess``, which older runs of engine psis had as ``ess_bulk``."""
    if "ess" in frame or "ess_bulk" not in frame or "engine" not in frame:
        return frame
    weighted = frame["engine"] == "psis"
    frame = frame.assign(ess=frame["ess_bulk"].where(weighted), ess_bulk=frame["ess_bulk"].mask(weighted))
    names = [name for name in frame if name != "ess"]
    names.insert(names.index("ess_bulk"), "ess")
    return frame[names]


def _columns(folder: Path, table: ResultsTable) -> str:
    """Describe the columns of the table, as results.columns.json does."""
    try:
        told = json.loads((folder / "results.columns.json").read_text(encoding="utf-8"))["columns"]
    except (OSError, ValueError, KeyError):
        told = {}
    rows = [
        (name, column.unit, told.get(name, {}).get("description", column.description))
        for name in table.columns
        if (column := column_of(name)) is not None
    ]
    return html_table(("column", "unit", "what it is"), rows)


def _meaning(name: str) -> str:
    column = column_of(name)
    return "" if column is None else column.description


def _provenance(record: dict[str, Any]) -> str:
    """Tabulate input files, versions and times."""
    inputs = [(name, entry["path"], entry["sha256"]) for name, entry in record.get("inputs", {}).items()]
    versions = ", ".join(f"{name} {number}" for name, number in record.get("versions", {}).items())
    times = ", ".join(f"{name} {seconds:g} s" for name, seconds in record.get("timings", {}).items())
    lines = [
        f"<p>Versions: {escape(versions)}.</p>",
        f"<p>Started {escape(str(record.get('started')))}, finished {escape(str(record.get('finished')))}"
        f"{escape(f'; {times}' if times else '')}.</p>",
    ]
    return html_table(("file", "path", "SHA-256"), inputs) + "".join(lines)


def _tables(record: dict[str, Any]) -> str:
    """Tabulate the main result of each table of the run."""
    tables = record.get("tables")
    return html_table(("file", "result"), list(tables.items())) if tables else ""


_FILES = {
    "results.tsv": "the table of all genes",
    "outlier_counts.tsv": "counts that their genes' other counts do not explain",
    "diagnostics.tsv": "how well each gene was sampled",
    "eb/results.tsv": "point estimates and tests of all genes",
    "shrunken/results.tsv": "shrunken effects of all genes",
    "hyperparameters.json": "the hyperparameters, for --hyperparameters of other runs",
    "posterior.zarr": "all draws",
    "run.json": "options, versions, seeds and hashes of the input files",
    "log.txt": "the log",
}


def _files(folder: Path) -> str:
    """Link the files of the run that exist."""
    rows = [
        f'<tr><td><a href="{name}">{name}</a></td><td>{escape(meaning)}</td></tr>'
        for name, meaning in _FILES.items()
        if (folder / name).exists()
    ]
    return f'<div class="wide"><table>{"".join(rows)}</table></div>' if rows else ""
