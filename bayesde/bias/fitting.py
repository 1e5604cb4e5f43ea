"""Fitting the bias of all libraries of an experiment."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from bayesde.bias.diagnosis import confounding, differences, length_spread, library_table, verdict
from bayesde.bias.fragments import FragmentLaw, fragment_law
from bayesde.bias.library import LibraryBias, fit_library
from bayesde.bias.options import BiasOptions
from bayesde.bias.reading.alignments import Alignments, read_alignments
from bayesde.bias.reading.annotation import Gene, covered_stretches, read_genes
from bayesde.bias.reading.genome import prefix_hint
from bayesde.bias.reading.places import Places, Starts, join_exons, located
from bayesde.errors import BayesdeNote, InputError, first_few
from bayesde.options.keywords import from_keywords, takes_fields_of

__all__ = ["BiasFit", "fit"]

Path_ = str | PathLike[str]


def _silent(_: str) -> None:
    """Say nothing."""


@dataclass(frozen=True, eq=False, repr=False)
class BiasFit:
    """The bias of the libraries of an experiment.

    Attributes
    ----------
    libraries : dict of str to LibraryBias
    places : Places
        Genes, or covered stretches, with their sequences.
    average_lengths : pandas.DataFrame (gene, sample)
        Effective lengths, bases: what ``bde.read_tximport(counts=..., lengths=...)`` and the option
        ``--average-lengths`` of `bayesde eb` and `bayesde sample` take.
    unbiased_lengths : pandas.DataFrame (gene, sample)
        What they would be without bias.
    counts : pandas.DataFrame (gene, sample)
        Fragments whose first read starts in the gene, and in no other.
    reweighted_counts : pandas.DataFrame (gene, sample)
        The same, each fragment with the weight 1 / bias.
    table : pandas.DataFrame
        One row for each end of each library, see `bayesde.bias.diagnosis.library_table`.
    differences : pandas.DataFrame (sample, sample)
        See `bayesde.bias.diagnosis.differences`.
    spread : float
        See `bayesde.bias.diagnosis.length_spread`.
    diagnosis : list of str
        Sentences: how strong the bias is, whether libraries differ, whether a correction is worth it.
    options : BiasOptions
    """

    libraries: dict[str, LibraryBias]
    places: Places
    average_lengths: pd.DataFrame
    unbiased_lengths: pd.DataFrame
    counts: pd.DataFrame
    reweighted_counts: pd.DataFrame
    table: pd.DataFrame
    differences: pd.DataFrame
    spread: float
    diagnosis: list[str]
    options: BiasOptions

    def __repr__(self) -> str:
        size = f"{len(self.libraries)} libraries, {len(self.places.names):,} genes"
        return f"<BiasFit: {size}, model {self.options.model!r}, window {self.options.window}>"

    def rpkm(self, *, reweighted: bool = True) -> pd.DataFrame:
        """Return reads (fragments) per kilobase of the gene and million reads.

        Parameters
        ----------
        reweighted : bool
            Whether reads have the weight 1 / bias.

        Returns
        -------
        pandas.DataFrame (gene, sample)
        """
        counts = self.reweighted_counts if reweighted else self.counts.astype(float)
        return counts.div(counts.sum(axis=0), axis=1).div(self.places.lengths / 1e9, axis=0)

    def positions(self) -> pd.DataFrame:
        """Return frequencies of bases and divergences by sample, end and position.

        Returns
        -------
        pandas.DataFrame
            See `bayesde.bias.judging.position_table`.
        """
        parts = {
            (one.name, name): end.positions
            for one in self.libraries.values()
            for name, end in one.ends.items()
        }
        return pd.concat(parts, names=["sample", "end"]).reset_index(level=[0, 1]).reset_index(drop=True)


@takes_fields_of(BiasOptions)
def fit(
    bams: Path_ | Sequence[Path_] | Mapping[str, Path_],
    genome: Path_,
    annotation: Path_ | None = None,
    *,
    condition: Mapping[str, object] | pd.Series | None = None,
    options: BiasOptions | None = None,
    progress: Callable[[str], None] | None = None,
    **keywords: Any,
) -> BiasFit:
    """Fit the sequence-specific bias of libraries, and compute effective lengths of genes.

    Parameters
    ----------
    bams : path, sequence of path, or mapping of str to path
        BAM files, in any order of reads, by the names of samples; without names these are the files' names up
        to the first dot.
    genome : path
        FASTA file of the genome that the reads were aligned to.
    annotation : path, optional
        GTF file with exons; by default the stretches that reads cover take the place of genes.
    condition : mapping or pandas.Series by sample, optional
        Warn if the bias differs between conditions.
    options : BiasOptions, optional
        Instead of keywords.
    progress : callable, optional
        Called with a message at each step.
    **keywords
        Fields of BiasOptions.

    Returns
    -------
    BiasFit

    Raises
    ------
    InputError
        If a file cannot be read, files do not fit together, or there are too few starts.
    OptionError
        For a value that is not allowed.

    Warns
    -----
    BayesdeWarning
        If condition and bias go together, or genes have no sequence.
    """
    chosen = from_keywords(BiasOptions, keywords, fit) if options is None else options
    files = sample_files(bams)
    known = None if condition is None else _condition(condition, files)
    say = progress or _silent
    places, reads = _read(files, genome, annotation, chosen, say)
    libraries = {}
    for name in files:
        say(f"fitting {name}")
        starts, law, numbers = reads.pop(name)
        libraries[name] = fit_library(name, starts, places, law, chosen, numbers)
    return _together(libraries, places, chosen, known)


def sample_files(bams: Path_ | Sequence[Path_] | Mapping[str, Path_]) -> dict[str, Path]:
    """Name the BAM files.

    Parameters
    ----------
    bams : path, sequence of path, or mapping of str to path
        A text ``NAME=FILE`` has its name with it, unless a file is called so.

    Returns
    -------
    dict of str to pathlib.Path

    Raises
    ------
    InputError
        If there is none, or two have the same name.
    """
    if isinstance(bams, Mapping):
        named = [(str(name), Path(path)) for name, path in bams.items()]
    else:
        named = [_named(path) for path in ([bams] if isinstance(bams, str | PathLike) else bams)]
    if not named:
        raise InputError("no BAM file is given; at least one is needed.")
    names = [name for name, _ in named]
    twice = [name for name in dict.fromkeys(names) if names.count(name) > 1]
    if twice:
        raise InputError(f"several BAM files would be called {first_few(twice)}; give names as NAME=FILE.")
    return dict(named)


def _named(path: Path_) -> tuple[str, Path]:
    """Split NAME=FILE, or name a file by itself."""
    name, equals, rest = str(path).partition("=")
    if equals and name and "/" not in name and not Path(path).exists():
        return name, Path(rest)
    return Path(path).name.split(".", 1)[0] or Path(path).name, Path(path)


def _condition(condition: Any, files: Mapping[str, Path]) -> dict[str, object]:
    """Check that every library has a condition."""
    known = {str(name): value for name, value in dict(condition).items()}
    absent = [name for name in files if name not in known]
    if absent:
        raise InputError(
            f"the condition of {first_few(absent)} is not known; those of {first_few(known)} are. Samples "
            "are called as the BAM files up to the first dot, or as NAME in NAME=FILE."
        )
    return {name: known[name] for name in files}


Reads = dict[str, tuple[Starts, FragmentLaw, dict[str, int]]]
"""Starts, fragments and numbers of reads of each library."""


def _read(
    files: Mapping[str, Path],
    genome: Path_,
    annotation: Path_ | None,
    options: BiasOptions,
    say: Callable[[str], None],
) -> tuple[Places, Reads]:
    """Read all files; with an annotation, only one library's alignments are in memory at a time."""
    found: dict[str, Alignments] = {}
    genes = None if annotation is None else read_genes(annotation)
    places, reads = None, {}
    for name, path in files.items():
        say(f"reading {name}")
        one = read_alignments(
            path,
            min_quality=options.min_quality,
            drop_duplicates=options.drop_duplicates,
            blocks=annotation is None,
        )
        if genes is None:
            found[name] = one
            continue
        _check_annotation(genes, one, path, annotation)
        places = places or _places(genes, genome, options, [one])
        reads[name] = _located(one, places, whole_genes=True)
    if genes is None:
        places = _places(covered_stretches(list(found.values())), genome, options, list(found.values()))
        reads = {name: _located(one, places, whole_genes=False) for name, one in found.items()}
    assert places is not None
    return places, reads


def _places(
    genes: Sequence[Gene], genome: Path_, options: BiasOptions, reads: Sequence[Alignments]
) -> Places:
    sizes = {name: size for one in reads for name, size in one.contigs.items()}
    return join_exons(genes, genome, options.window // 2, sizes)


def _check_annotation(genes: Sequence[Gene], reads: Alignments, bam: Path, annotation: Path_ | None) -> None:
    """Refuse an annotation of other reference sequences."""
    theirs, ours = dict.fromkeys(gene.contig for gene in genes), reads.contigs_with_reads()
    if not set(theirs) & set(ours):
        raise InputError(
            f"the annotation '{annotation}' has genes on {first_few(theirs)}, and the reads of '{bam}' lie "
            f"on {first_few(ours)}: they have no sequence in common.{prefix_hint(ours, theirs)}"
        )


def _located(
    reads: Alignments, places: Places, *, whole_genes: bool
) -> tuple[Starts, FragmentLaw, dict[str, int]]:
    """Find the reads that start in genes."""
    starts = located(reads, places)
    numbers = {"used": reads.n_reads, **reads.left_out}
    return starts, fragment_law(starts, places, reads.length, whole_genes=whole_genes), numbers


def _together(
    libraries: dict[str, LibraryBias],
    places: Places,
    options: BiasOptions,
    condition: dict[str, object] | None,
) -> BiasFit:
    """Make tables of all libraries."""
    genes = pd.Index(places.names, name="gene")

    def frame(columns: Mapping[str, np.ndarray]) -> pd.DataFrame:
        return pd.DataFrame(dict(columns), index=genes)

    every = list(libraries.values())
    lengths = frame({one.name: one.lengths.biased for one in every})
    unbiased = frame({one.name: one.lengths.unbiased for one in every})
    counts = frame({one.name: one.counts(places) for one in every})
    apart = differences(every)
    spread = length_spread(lengths, unbiased, counts)
    said = verdict(every, apart, spread)
    together = None if condition is None else confounding(apart, condition)
    if places.shared:
        warnings.warn(
            f"{places.shared:,} bases belong to several genes; reads that start there are not counted.",
            BayesdeNote,
            stacklevel=3,
        )
    return BiasFit(
        libraries=libraries,
        places=places,
        average_lengths=lengths,
        unbiased_lengths=unbiased,
        counts=counts,
        reweighted_counts=frame({one.name: one.reweighted_counts(places) for one in every}),
        table=library_table(every),
        differences=apart,
        spread=spread,
        diagnosis=[*said, *([together] if together else [])],
        options=options,
    )
