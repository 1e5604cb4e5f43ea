"""The options of each command: option classes of the package, and those that only commands have."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from bayesde.bias.options import BiasOptions
from bayesde.cli.arguments import Part
from bayesde.eb.options import EbOptions
from bayesde.options import (
    File,
    Formula,
    Other,
    Switch,
    described,
    documented,
    flag,
    option,
)
from bayesde.posterior.options import EngineRunOptions, SamplingOptions
from bayesde.power.options import PowerOptions
from bayesde.runs.options import ModelPlan, RunFiles, SamplePlan
from bayesde.runs.plan import RunPlan
from bayesde.simulation.options import SimulationOptions
from bayesde.usage.options import UsageOptions

__all__ = [
    "DEMO_FOLDER",
    "LIKE",
    "PARTS",
    "AnalysedUsage",
    "BiasFiles",
    "CheckedNormalization",
    "Execution",
    "Installation",
    "Pilot",
    "SimulatedExperiment",
    "SingleCells",
    "View",
]


@documented
@dataclass(frozen=True, kw_only=True)
class Execution:
    """Where a command works, and what it may replace there."""

    directory: Path = field(
        metadata=described(File(), "The folder of the run.", flag(metavar="DIR", required=True))
    )
    out: Path = field(
        metadata=described(
            File(),
            "Folder for all output; created if necessary.",
            flag("--out", "-o", metavar="DIR", required=True),
        )
    )
    config: Path | None = option(
        None,
        File(),
        "TOML file with options, in the tables [model], [eb], [sample], [sampling] and [priors]; options of "
        "the command line take precedence. Several tables [[analysis]], each with a `name` and what differs "
        "in it (`design`, `contrast`, ...), make several runs, DIR/NAME, and a report that compares them.",
        flag("--config", metavar="TOML"),
    )
    force: bool = option(
        False, Switch(), "Replace what an earlier run of this command left in DIR.", flag("--force")
    )


@documented
@dataclass(frozen=True, kw_only=True)
class View:
    """How the status of a run is shown."""

    json: bool = option(False, Switch(), "Print one line of JSON, for programs.", flag("--json"))
    watch: bool = option(
        False,
        Switch(),
        "Look again every few seconds until the run is not running any more.",
        flag("--watch"),
    )


@documented
@dataclass(frozen=True, kw_only=True)
class SimulatedExperiment:
    """What is simulated, beside the distributions; `bayesde.simulate` checks it."""

    genes: int | None = option(
        None,
        Other("int", parsed=int),
        "Number of genes. Default: 2000, or as many as --base-means has.",
        flag("--genes", "-g", metavar="N"),
    )
    samples: str = option(
        "4,4",
        Other("sizes or a file"),
        "Number of samples in each group, `4,4`, `3,3,6`; a single number, `8`, is divided between two "
        "groups; or a sample table, one row per sample.",
        flag("--samples", "-s", metavar="SIZES|FILE"),
    )
    design: str | None = option(
        None,
        Formula(),
        "The design: a formula over the columns of the sample table. Default: `'~ condition'`, the groups; "
        "required with a sample table.",
        flag("--design", "-d", metavar="FORMULA"),
    )
    base_means: Path | None = option(
        None,
        File(),
        "Base means of real genes: the column `base_mean` of a results.tsv or another table. Default: "
        "log-normal with median 100.",
        flag("--base-means", metavar="TSV"),
    )
    seed: int = option(
        1,
        Other("int", parsed=int),
        "Random seed: the same seed gives the same counts.",
        flag("--seed", metavar="N"),
    )


@documented
@dataclass(frozen=True, kw_only=True)
class CheckedNormalization:
    """What `bayesde check` compares, beside the files."""

    by: str | None = option(
        None,
        Other("str"),
        "Column of the sample table with the groups to compare. Default: all columns with two to eight "
        "levels of at least two samples each; the worst comparison is reported.",
        flag("--by", metavar="COLUMN"),
    )
    plot: Path | None = option(
        None,
        File(),
        "File for a picture of what was found, such as check.png or check.pdf.",
        flag("--plot", metavar="FILE"),
    )


@documented
@dataclass(frozen=True, kw_only=True)
class AnalysedUsage:
    """What `bayesde usage` reads and computes, beside counts, samples and design."""

    exclusion: Path | None = option(
        None,
        File(),
        "For junctions: table of the reads that skip each event; COUNTS are those that include it.",
        flag("--exclusion", metavar="FILE"),
    )
    lengths: Path | None = option(
        None,
        File(),
        "For junctions: table of effective lengths, one row per event, columns `inclusion` and `exclusion`.",
        flag("--lengths", metavar="FILE"),
    )
    reduced: str | None = option(
        None,
        Formula(),
        "The design without the terms that are tested. Default: without the last term.",
        flag("--reduced", metavar="FORMULA"),
    )
    posterior: bool = option(
        False, Switch(), "Sample the posterior of the changes, too: posterior.tsv.", flag("--posterior")
    )


def _columns(text: str) -> list[str]:
    """Read the names of columns, separated by commas."""
    return [name.strip() for name in text.split(",") if name.strip()]


@documented
@dataclass(frozen=True, kw_only=True)
class SingleCells:
    """The cells that are summed; `bayesde.pseudobulk` checks them."""

    cells: Path = field(
        metadata=described(
            File(),
            "AnnData file of single cells, .h5ad, with raw counts (needs `pip install bayesde[anndata]`).",
            flag(metavar="CELLS", required=True),
        )
    )
    sample: list[str] = field(
        metadata=described(
            Other("str"),
            "Column of `obs` with the biological sample of each cell, or several columns that make a sample, "
            "`donor,condition`.",
            flag("--sample", metavar="COLUMN[,COLUMN]", required=True, read=_columns),
        )
    )
    cell_type: str = field(
        metadata=described(
            Other("str"),
            "Column of `obs` with cell types or clusters.",
            flag("--cell-type", metavar="COLUMN", required=True),
        )
    )
    layer: str | None = option(
        None,
        Other("str"),
        "Layer with the raw counts. Default: `X`.",
        flag("--layer", metavar="NAME"),
    )
    gene_names: str | None = option(
        None,
        Other("str"),
        "Column of `var` with the names of the genes. Default: its index.",
        flag("--gene-names", metavar="COLUMN"),
    )
    min_cells: int = option(
        10,
        Other("int", parsed=int),
        "Sums of fewer cells are left out.",
        flag("--min-cells", metavar="N"),
    )


@documented
@dataclass(frozen=True, kw_only=True)
class BiasFiles:
    """What the bias of read starts is fitted to; `bayesde.bias.fit` checks it."""

    bams: list[str] = field(
        metadata=described(
            Other("list of path"),
            "BAM files, one per sample; `NAME=FILE` gives the sample's name, by default that of the file "
            "up to the "
            "first dot.",
            flag(metavar="BAM...", required=True, repeated=True),
        )
    )
    genome: Path = field(
        metadata=described(
            File(), "FASTA file of the genome.", flag("--genome", metavar="FASTA", required=True)
        )
    )
    annotation: Path | None = option(
        None,
        File(),
        "GTF file with the exons of genes. Default: the stretches that reads cover take the place of genes.",
        flag("--annotation", "-a", metavar="GTF"),
    )
    samples: Path | None = option(
        None, File(), "Sample table, for --condition.", flag("--samples", "-s", metavar="FILE")
    )
    condition: str | None = option(
        None,
        Other("str"),
        "Column of the sample table: warn if its levels differ in their bias.",
        flag("--condition", metavar="COLUMN"),
    )
    tracks: bool = option(
        False,
        Switch(),
        "Also write the bias at each base, as bedGraph files by library, end and strand.",
        flag("--tracks"),
    )


@documented
@dataclass(frozen=True, kw_only=True)
class Installation:
    """How Stan is installed."""

    force: bool = option(False, Switch(), "Install again, even if there is a CmdStan.", flag("--force"))
    embedded: bool = option(
        False, Switch(), "Build from the package index, and try no other source.", flag("--embedded")
    )


@documented
@dataclass(frozen=True, kw_only=True)
class Pilot:
    """The experiment that another one is planned from."""

    pilot: Path | None = option(
        None,
        File(),
        "Folder of a run of `bayesde sample` whose genes the planned experiment resembles. Default: typical "
        "values.",
        flag("--pilot", metavar="DIR"),
    )
    coefficient: str | None = option(
        None,
        Other("str"),
        "Coefficient of the pilot whose effects are like those of the planned experiment. Default: the last "
        "one that is shrunken.",
        flag("--coefficient", metavar="NAME"),
    )


DEMO_FOLDER = Path("demo")
_LAWS = ("effects", "effect_scale", "zero_share", "trend", "dispersion_sd")
"""Those of simulated genes that a plan without a pilot may choose."""
_DIRECTORY = Part("run", Execution, ("directory",))
_RUN = Part("run", Execution, ("out", "config", "force"))
_WORKERS = Part("machine", EngineRunOptions, ("workers",))
_MACHINE = Part("machine", EngineRunOptions, ("workers", "scheduler", "shared_folder"))
_MODEL, _FILES, _EB = Part("model", ModelPlan), Part("files", RunFiles), Part("eb", EbOptions)
_SAMPLING = (Part("sampling", SamplingOptions), Part("plan", RunPlan))

PARTS: dict[str, tuple[Part, ...]] = {
    "eb": (_MODEL, _FILES, _EB, _RUN, Part("machine", EngineRunOptions, ("scheduler",))),
    "sample": (_MODEL, Part("sample", SamplePlan), _FILES, _EB, *_SAMPLING, _RUN, _MACHINE),
    "pseudobulk": (
        Part("cells", SingleCells),
        Part("model", ModelPlan, ("design", "contrast", "references", "size_factors", "lfc_threshold")),
        Part("sample", SamplePlan),
        Part("files", RunFiles, ("control_genes", "genes", "hyperparameters")),
        _EB,
        *_SAMPLING,
        _RUN,
        _MACHINE,
    ),
    "demo": (Part("run", Execution, ("out", "force"), {"out": DEMO_FOLDER}), _WORKERS),
    "simulate": (
        Part("run", Execution, ("out",)),
        Part("experiment", SimulatedExperiment),
        Part("laws", SimulationOptions),
        Part("run", Execution, ("force",)),
    ),
    "power": (
        Part("run", Execution, ("out",)),
        Part("pilot", Pilot),
        Part("power", PowerOptions),
        Part("laws", SimulationOptions, _LAWS),
    ),
    "check": (
        Part("files", RunFiles, ("counts", "samples", "control_genes", "normalization_factors")),
        Part("check", CheckedNormalization),
    ),
    "usage": (
        Part("model", ModelPlan, ("design", "contrast", "references")),
        Part("files", RunFiles, ("counts", "samples")),
        Part("usage", AnalysedUsage),
        Part("options", UsageOptions),
        Part("run", Execution, ("out", "force")),
    ),
    "bias": (
        Part("run", Execution, ("out",)),
        Part("files", BiasFiles),
        Part("bias", BiasOptions),
        Part("run", Execution, ("force",)),
    ),
    "resume": (_DIRECTORY, _MACHINE),
    "status": (_DIRECTORY, Part("view", View)),
    "report": (_DIRECTORY,),
    "contrast": (_DIRECTORY, Part("model", ModelPlan, ("contrast", "lfc_threshold"))),
    "install-stan": (Part("installation", Installation),),
}
"""The options of each command, in the order of its help."""
LIKE = {"pseudobulk": "sample"}
"""Commands that have the options that another command has of these parts."""
