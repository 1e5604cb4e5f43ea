"""The files of a fit: tables, a record, pictures, tracks."""

from __future__ import annotations

import gzip
import io
import json
from collections.abc import Iterator
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from bayesde.bias.fitting import BiasFit
from bayesde.bias.lengths import bias_tracks, gene_groups
from bayesde.bias.library import LibraryBias
from bayesde.bias.pictures import base_frequency_plot, divergence_plot, gene_coverage_plot
from bayesde.io.writing import results_folder, write_atomically

__all__ = ["RECORD", "write", "write_tracks"]

RECORD = "bias.json"
"""Written last: shows that all files are there."""


def write(fit: BiasFit, directory: str | PathLike[str], *, tracks: bool = False) -> Path:
    """Write the results of a fit.

    Parameters
    ----------
    fit : BiasFit
    directory : path
        Created if it does not exist; files of the same names in it are replaced.
    tracks : bool
        Whether a bedGraph of the bias is written for each library, end and strand.

    Returns
    -------
    pathlib.Path
        The folder, with ``average_lengths.tsv``, ``counts.tsv``, ``reweighted_counts.tsv``,
        ``reweighted_rpkm.tsv`` (gene, sample), ``libraries.tsv``, ``positions.tsv``, ``differences.tsv``,
        ``diagnosis.txt``, ``plots`` and ``bias.json``.

    Raises
    ------
    InputError
        If the folder cannot be written to.
    """
    with results_folder(directory) as folder:
        (folder / "plots").mkdir(exist_ok=True)
        (folder / RECORD).unlink(missing_ok=True)
        for name, text in _texts(fit).items():
            write_atomically(folder / name, text)
        _draw(fit, folder / "plots")
        if tracks:
            write_tracks(fit, folder / "tracks")
        write_atomically(folder / RECORD, json.dumps(_record(fit), indent=1) + "\n")
    return folder


def _texts(fit: BiasFit) -> dict[str, str]:
    """Make the tables."""
    return {
        "average_lengths.tsv": _table(fit.average_lengths, "%.6g"),
        "counts.tsv": _table(fit.counts),
        "reweighted_counts.tsv": _table(fit.reweighted_counts, "%.6g"),
        "reweighted_rpkm.tsv": _table(fit.rpkm(), "%.6g"),
        "libraries.tsv": _table(fit.table, "%.6g", index=False),
        "positions.tsv": _table(fit.positions(), "%.6g", index=False),
        "differences.tsv": _table(fit.differences, "%.6g"),
        "diagnosis.txt": "\n".join(fit.diagnosis) + "\n",
    }


def _table(frame: pd.DataFrame, numbers: str | None = None, *, index: bool = True) -> str:
    return frame.to_csv(sep="\t", float_format=numbers, index=index, lineterminator="\n")


def _record(fit: BiasFit) -> dict[str, Any]:
    """Describe the fit."""
    from bayesde import __version__

    return {
        "bayesde": __version__,
        "options": dict(vars(fit.options)),
        "libraries": {
            name: {"reads": one.n_reads, "left_out": dict(one.left_out)}
            for name, one in fit.libraries.items()
        },
        "genes": len(fit.places.names),
        "bases_of_several_genes": fit.places.shared,
        "spread_of_log2_lengths": fit.spread,
        "diagnosis": fit.diagnosis,
    }


def _draw(fit: BiasFit, folder: Path) -> None:
    """Draw three pictures of each library."""
    from matplotlib.figure import Figure

    for name, library in fit.libraries.items():
        ends = list(library.ends)
        figure = Figure(figsize=(11.0, 3.2 * len(ends)), layout="constrained")
        panels = figure.subplots(len(ends), 2, squeeze=False, sharey="row")
        for row, end in zip(panels, ends, strict=True):
            base_frequency_plot(fit, name, end, ax=row[0])
            base_frequency_plot(fit, name, end, corrected=True, ax=row[1])
        _save(figure, folder / f"{name}.bases.png")
        figure = Figure(figsize=(8.0, 6.0), layout="constrained")
        upper, lower = figure.subplots(2, 1)
        divergence_plot(fit, name, ax=upper)
        gene_coverage_plot(fit, sample=name, ax=lower)
        _save(figure, folder / f"{name}.starts.png")


def _save(figure: Any, path: Path) -> None:
    picture = io.BytesIO()
    figure.savefig(picture, format="png", dpi=110)
    write_atomically(path, picture.getvalue())


def write_tracks(fit: BiasFit, folder: str | PathLike[str]) -> list[Path]:
    """Write the bias at each base of the genes that belongs to one of them only, as bedGraph files.

    Parameters
    ----------
    fit : BiasFit
    folder : path
        Created if it does not exist.

    Returns
    -------
    list of pathlib.Path
        ``SAMPLE.END.STRAND.bedGraph.gz``; values are log2 of the bias of a read that starts at the base and
        is aligned to the strand.
    """
    place = Path(folder)
    place.mkdir(parents=True, exist_ok=True)
    written = []
    for name, library in fit.libraries.items():
        for end in library.ends:
            for strand, values in _whole_tracks(fit, library, end):
                path = place / f"{name}.{end}.{strand}.bedGraph.gz"
                text = "".join(_bed_graph(fit, values, f"{name} {end} {strand}"))
                write_atomically(path, gzip.compress(text.encode(), 6, mtime=0))
                written.append(path)
    return written


def _whole_tracks(fit: BiasFit, library: LibraryBias, end: str) -> Iterator[tuple[str, np.ndarray]]:
    """Yield log2 bias at all positions, by strand."""
    found = np.zeros((2, fit.places.codes.size), dtype=np.float32)
    for _, positions in gene_groups(fit.places):
        found[:, positions] = np.log2(bias_tracks(library.ends[end].model, fit.places.codes[positions]))
    yield from zip(("forward", "reverse"), found, strict=True)


def _bed_graph(fit: BiasFit, values: np.ndarray, title: str) -> Iterator[str]:
    """Yield the lines of a bedGraph file."""
    yield f'track type=bedGraph name="{title}" description="log2 bias of read starts"\n'
    for contig, pieces in fit.places.pieces.items():
        for start, stop, shift in pieces.tolist():
            part = values[start + shift : stop + shift].tolist()
            yield from (
                f"{contig}\t{start + i}\t{start + i + 1}\t{value:.4f}\n" for i, value in enumerate(part)
            )
