"""Arguments and options that several commands share, with their help."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = [
    "Config",
    "ContrastText",
    "ControlGenes",
    "Counts",
    "DesignFormula",
    "Directory",
    "Factors",
    "Force",
    "OutputFolder",
    "References",
    "Samples",
    "SizeFactors",
    "Threshold",
    "Trend",
    "Workers",
]

Counts = Annotated[
    Path,
    typer.Argument(
        metavar="COUNTS",
        help="Table of raw counts: one row a gene, one column a sample (.tsv, .csv, also compressed).",
    ),
]
Samples = Annotated[
    Path,
    typer.Argument(
        metavar="SAMPLES", help="Table of the samples: one row each, matched to the counts by name."
    ),
]
DesignFormula = Annotated[
    str,
    typer.Option(
        "--design",
        "-d",
        metavar="FORMULA",
        help="What counts depend on: `'~ batch + condition'`, `'~ 0 + group'`, ...",
    ),
]
ContrastText = Annotated[
    str | None,
    typer.Option(
        "--contrast",
        "-c",
        metavar="CONTRAST",
        help="What the table is about: `condition,treated,control`; the name of a coefficient, "
        "`'condition[T.treated]'`; a sum of them, `'a - b'`; or a weight for each, `0,1,-1`. "
        "Default: the last coefficient.",
    ),
]
OutputFolder = Annotated[
    Path,
    typer.Option(
        "--out", "-o", metavar="DIR", help="Folder for everything that is written; made if need be."
    ),
]
References = Annotated[
    list[str] | None,
    typer.Option(
        "--reference",
        "-r",
        metavar="FACTOR=LEVEL",
        help="Reference level of a factor. Default: the last level named in --contrast, else the first in "
        "alphabetical order. May be repeated.",
    ),
]
SizeFactors = Annotated[
    str | None,
    typer.Option(
        "--size-factors",
        metavar="METHOD",
        help="`ratio` (median of ratios; default) or `poscounts` (many zeros).",
    ),
]
ControlGenes = Annotated[
    Path | None,
    typer.Option(
        "--control-genes", metavar="FILE", help="Take size factors from these genes only, one name a line."
    ),
]
Factors = Annotated[
    Path | None,
    typer.Option(
        "--normalization-factors",
        metavar="FILE",
        help="Factors by gene and sample, in place of size factors.",
    ),
]
Threshold = Annotated[
    float,
    typer.Option("--lfc-threshold", metavar="X", help="Also ask: is the log2 fold change larger than this?"),
]
Trend = Annotated[
    str | None,
    typer.Option(
        metavar="KIND",
        help="Dispersion trend: `parametric` (default; `local` where it does not fit), `local` (not for a "
        "posterior) or `mean`.",
    ),
]
Config = Annotated[
    Path | None,
    typer.Option("--config", metavar="TOML", help="Options from a file, tables [eb], [sample], [sampling]."),
]
Force = Annotated[bool, typer.Option("--force", help="Replace an earlier run in DIR.")]
Workers = Annotated[
    int | None,
    typer.Option(
        "--workers",
        "-w",
        min=1,
        metavar="N",
        help="Processes at a time; changes no number. Default: all cores.",
    ),
]
Directory = Annotated[Path, typer.Argument(metavar="DIR", help="The folder of the run.")]
