"""Effective lengths of Salmon (``--seqBias``) and of `bayesde bias`, compared with those of the true bias.

Simulated libraries as in `benchmarks.bias.simulated`, one of each group. Salmon (Patro, Duggal, Love,
Irizarry and Kingsford 2017, doi:10.1038/nmeth.4197) has the sequences of the reads and of the transcripts; it
must be installed (on Debian: ``apt-get install salmon``).
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import pysam

import bayesde as bde
from bayesde.bias.reading.genome import BASES, reverse_complement
from benchmarks.bias.data import FILES
from benchmarks.bias.simulated import (
    GENOME,
    GROUPS,
    READ,
    chromosome,
    real_model,
    true_lengths,
    write_annotation,
    write_library,
)

STRENGTHS = (1.0, 2.0)
FEWEST = 20
"""Reads of a gene, in the mean of both libraries, for its lengths to be compared."""


def compare() -> pd.DataFrame:
    """Simulate two libraries of each strength, and compare ratios of effective lengths between them.

    Returns
    -------
    pandas.DataFrame
        Spearman's correlation, and the slope and root mean square error of log2 ratios against the true ones.
    """
    if shutil.which("salmon") is None:
        raise SystemExit("salmon is not installed: apt-get install salmon")
    models = [real_model(name) for name in FILES]
    rows: list[dict[str, object]] = []
    for strength in STRENGTHS:
        rng = np.random.default_rng(1)
        codes, genes, tracks, expression = chromosome(models, strength, rng)
        with tempfile.TemporaryDirectory() as folder:
            bams = {name: Path(folder) / f"{name}.bam" for name in GROUPS}
            for name, track in zip(GROUPS, tracks, strict=True):
                write_library(bams[name], genes, track, expression, codes.size, rng)
            ours = _ours(bams, genes, Path(folder))
            theirs = _of_salmon(bams, genes, codes, Path(folder))
        rows += [{"strength": strength} | row for row in _rows(ours, theirs, true_lengths(genes, tracks))]
    return pd.DataFrame(rows)


def _ours(bams: dict[str, Path], genes: np.ndarray, folder: Path) -> bde.bias.BiasFit:
    gtf = write_annotation(folder / "genes.gtf", genes)
    return bde.bias.fit(bams, GENOME, gtf)


def _letters(codes: np.ndarray) -> str:
    return np.frombuffer(f"{BASES}N".encode(), dtype=np.uint8)[codes].tobytes().decode()


def _of_salmon(bams: dict[str, Path], genes: np.ndarray, codes: np.ndarray, folder: Path) -> pd.DataFrame:
    """Return the effective lengths of Salmon, (gene, library)."""
    fasta, index = folder / "transcripts.fa", folder / "index"
    lines = [f">g{i}\n{_letters(codes[start:end])}\n" for i, (start, end) in enumerate(genes.tolist())]
    fasta.write_text("".join(lines), encoding="ascii")
    _salmon("index", "--transcripts", fasta, "--index", index, "--keepDuplicates", "--threads", 1)
    lengths = {}
    for name, bam in bams.items():
        reads, out = folder / f"{name}.fa", folder / f"salmon_{name}"
        _write_reads(bam, codes, reads)
        size = ("--fldMean", READ, "--fldSD", 1)  # simulated fragments are as long as the reads
        _salmon("quant", "-i", index, "-l", "U", "-r", reads, "--seqBias", *size, "-p", 1, "-o", out)
        lengths[name] = pd.read_csv(out / "quant.sf", sep="\t", index_col=0)["EffectiveLength"]
    return pd.DataFrame(lengths)


def _salmon(*arguments: object) -> None:
    subprocess.run(["salmon", *map(str, arguments)], check=True, capture_output=True)


def _write_reads(bam: Path, codes: np.ndarray, path: Path) -> None:
    """Write the sequences of simulated reads, without errors."""
    with pysam.AlignmentFile(str(bam)) as opened, path.open("w", encoding="ascii") as out:
        for read in opened.fetch(until_eof=True):
            bases = codes[read.reference_start : read.reference_start + READ]
            out.write(
                f">{read.query_name}\n{_letters(reverse_complement(bases) if read.is_reverse else bases)}\n"
            )


def _rows(fit: bde.bias.BiasFit, theirs: pd.DataFrame, truth: np.ndarray) -> list[dict[str, object]]:
    """Compare log2 ratios of lengths between the libraries."""
    first, second = GROUPS
    there = (fit.counts.mean(axis=1) >= FEWEST) & fit.counts.index.isin(theirs.index)
    kept = fit.counts.index[there]
    tables = {
        "bayesde": fit.average_lengths,
        "Salmon": theirs,
        "true": pd.DataFrame(truth, fit.counts.index, list(GROUPS)),
    }
    ratios = pd.DataFrame(
        {name: np.log2(one.loc[kept, first] / one.loc[kept, second]) for name, one in tables.items()}
    )
    ratios -= ratios.mean()
    ranks = ratios.rank().corr()
    rows = []
    for name in ("bayesde", "Salmon"):
        error = ratios[name] - ratios["true"]
        rows.append(
            {
                "lengths": name,
                "genes": len(kept),
                "spearman_true": ranks.loc[name, "true"],
                "spearman_other": ranks.loc["bayesde", "Salmon"],
                "slope": float(np.polyfit(ratios["true"], ratios[name], 1)[0]),
                "error": float(np.sqrt((error**2).mean())),
                "spread_true": float(ratios["true"].std()),
            }
        )
    return rows
