"""Arguments and options that several commands share, with their help."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = [
    "Alternative",
    "Config",
    "ContrastText",
    "Contrasts",
    "ControlGenes",
    "Counts",
    "DesignFormula",
    "Directory",
    "Factors",
    "Fdr",
    "Force",
    "NoCooks",
    "NoFiltering",
    "Lengths",
    "NoReplace",
    "OutputFolder",
    "Reduced",
    "References",
    "Samples",
    "Shrinkage",
    "SizeFactors",
    "Strand",
    "Test",
    "Threshold",
    "Trend",
    "UseT",
    "Weights",
    "Workers",
]

Counts = Annotated[
    Path,
    typer.Argument(
        metavar="COUNTS",
        help="Table of raw counts: one row a gene, one column a sample (.tsv, .csv, also compressed); or a "
        "folder with a file for each sample, SAMPLE.ReadsPerGene.out.tab of STAR or SAMPLE.counts.",
    ),
]
Samples = Annotated[
    Path,
    typer.Argument(
        metavar="SAMPLES", help="Table of the samples: one row each, matched to the counts by name."
    ),
]
DesignFormula = Annotated[
    str | None,
    typer.Option(
        "--design",
        "-d",
        metavar="FORMULA",
        help="What counts depend on: `'~ batch + condition'`, `'~ 0 + group'`, ...",
    ),
]
_CONTRAST_HELP = (
    "What the table is about: `condition,treated,control`; the name of a coefficient, "
    "`'condition[T.treated]'`; a sum of them, `'a - b'`; or a weight for each, `0,1,-1`. "
    "Default: the last coefficient."
)
ContrastText = Annotated[
    str | None,
    typer.Option(
        "--contrast",
        "-c",
        metavar="CONTRAST",
        help=_CONTRAST_HELP,
    ),
]
Contrasts = Annotated[
    list[str] | None,
    typer.Option(
        "--contrast",
        "-c",
        metavar="CONTRAST",
        help=f"{_CONTRAST_HELP} May be repeated: the tables of the others are in DIR/contrasts.",
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
        help="`ratio` (median of ratios; default), `poscounts` (many zeros) or `iterate` (likelihood; slow).",
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
Lengths = Annotated[
    Path | None,
    typer.Option(
        "--average-lengths",
        metavar="FILE",
        help="Average transcript lengths by gene and sample (tximport's `length`), which the normalization "
        "takes out; COUNTS are estimated counts then, and rounded.",
    ),
]
Weights = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE", help="How much each count is to be believed, by gene and sample: 0 or more."
    ),
]
Strand = Annotated[
    str | None,
    typer.Option(
        metavar="KIND",
        help="Of STAR's files: take counts for `unstranded`, `forward` or `reverse` libraries. Default: what "
        "the totals of their columns say.",
    ),
]
UseT = Annotated[
    bool,
    typer.Option("--use-t", help="Compare Wald statistics with t distributions: wider, for few samples."),
]
Threshold = Annotated[
    float | None,
    typer.Option(
        "--lfc-threshold",
        metavar="X",
        help="Also ask: is the log2 fold change larger than this? [default: 0].",
    ),
]
Trend = Annotated[
    str | None,
    typer.Option(
        metavar="KIND",
        help="Dispersion trend: `parametric` (default; `local` where it does not fit), `local` (not for a "
        "posterior) or `mean`.",
    ),
]
Test = Annotated[
    str | None,
    typer.Option(
        metavar="wald|lrt",
        help="`wald`: test the contrast (default); `lrt`: test the design against --reduced by the ratio of "
        "their likelihoods, several coefficients at once: `--test lrt --reduced '~ batch'`.",
    ),
]
Reduced = Annotated[
    str | None,
    typer.Option(metavar="FORMULA", help="For --test lrt: the design without the terms that are tested."),
]
Alternative = Annotated[
    str | None,
    typer.Option(
        metavar="KIND",
        help="What a small p-value claims of the effect and --lfc-threshold: `greaterAbs` (default), "
        "`greaterAbs2014` (its older, more cautious form), `lessAbs`, `greater` or `less`: "
        "`--alternative lessAbs --lfc-threshold 1`.",
    ),
]
Shrinkage = Annotated[
    str | None,
    typer.Option(
        metavar="METHOD",
        help="How the effects in DIR/shrunken are shrunken: `apeglm` (Cauchy prior; default), `normal`, "
        "`ashr` (mixture of normals), or `none`, which saves time.",
    ),
]
Fdr = Annotated[
    float | None,
    typer.Option(
        metavar="X",
        help="False discovery rate that the filter of low means is tuned for: `--fdr 0.05` [default: 0.1].",
    ),
]
NoFiltering = Annotated[
    bool,
    typer.Option("--no-filtering", help="Adjust the p-values of all genes, also those of low mean counts."),
]
NoCooks = Annotated[
    bool,
    typer.Option("--no-cooks", help="Keep the p-values of genes with an excessive count (Cook's distance)."),
]
NoReplace = Annotated[
    bool,
    typer.Option("--no-replace", help="Do not replace excessive counts, where 7 or more replicates would."),
]
Config = Annotated[
    Path | None,
    typer.Option(
        "--config",
        metavar="TOML",
        help="Options from a file, tables [model], [eb], [sample], [sampling], [priors]; those given here "
        "come first.",
    ),
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
