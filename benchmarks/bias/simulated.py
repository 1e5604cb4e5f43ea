"""Libraries with known bias and known expression: false calls and errors without and with effective lengths.

Transcripts are stretches of dm3's chromosome 4. Reads start at each base in proportion to expression and
bias; the biases of two groups of four libraries are the models fitted to the two real libraries, to the power
of `strength`. BAM files are written, and everything after that is done by the package.
"""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pysam

import bayesde as bde
from bayesde.bias.lengths import Tracks, bias_tracks
from bayesde.bias.models.interface import BiasModel
from bayesde.bias.reading.genome import encoded, opened_genome
from benchmarks.bias.data import FILES, SHARED

GENOME = SHARED / "pasilla_chr4" / "dm3_chr4.fa"
READ, GROUPS, REPLICATES = 50, ("a", "b"), 4
DISPERSION, DEPTH = 0.01, 400.0
"""Of all genes; mean reads of a gene and library."""
EFFECT = 1.0
"""log2 fold changes of different genes, up or down."""


def run(seeds: int, save: Callable[[pd.DataFrame], None]) -> None:
    """Simulate and analyse with strengths 0.5, 1 and 2, without and with different genes.

    Parameters
    ----------
    seeds : int
        Number of simulations of each kind.
    save : callable
        Called with the table so far.
    """
    models = [real_model(name) for name in FILES]
    rows: list[dict[str, object]] = []
    for seed in range(1, seeds + 1):
        for strength in (0.5, 1.0, 2.0):
            for share in (0.0, 0.1):
                about = {"seed": seed, "strength": strength, "different": share}
                rows += [about | row for row in _one(models, strength, share, seed)]
                save(pd.DataFrame(rows))


def real_model(name: str) -> BiasModel:
    """Fit the default model to the distinct starts of a real library, each taken once."""
    bam, genome = (SHARED / name / file for file in FILES[name])
    fit = bde.bias.fit(bam, genome, copies=1)
    return next(iter(fit.libraries.values())).ends["first"].model


def transcripts(rng: np.random.Generator, size: int) -> np.ndarray:
    """Draw stretches (start, end) of 300 to 3,000 bases with gaps between them."""
    lengths = np.clip(np.exp(rng.normal(np.log(900.0), 0.6, 3000)), 300, 3000).astype(int)
    starts = 1000 + np.cumsum(lengths + 200) - lengths
    return np.column_stack([starts, starts + lengths])[starts + lengths < size - 1000]


def chromosome(
    models: list[BiasModel], strength: float, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, list[Tracks], np.ndarray]:
    """Return the bases of chromosome 4, genes on it, the bias of each group, and expected reads per base."""
    with opened_genome(GENOME) as opened:
        codes = encoded(str(opened["chr4"][:]))
    genes = transcripts(rng, codes.size)
    tracks = [strengthened(bias_tracks(model, codes), strength) for model in models]
    expression = np.exp(rng.normal(0.0, 1.0, len(genes)))
    expression *= DEPTH * len(genes) / (expression * np.diff(genes)[:, 0]).sum()
    return codes, genes, tracks, expression


def _one(models: list[BiasModel], strength: float, share: float, seed: int) -> list[dict[str, object]]:
    """Simulate an experiment, and analyse it."""
    rng = np.random.default_rng(seed)
    codes, genes, tracks, expression = chromosome(models, strength, rng)
    effects = np.where(rng.random(len(genes)) < share, EFFECT * rng.choice([-1.0, 1.0], len(genes)), 0.0)
    with tempfile.TemporaryDirectory() as folder:
        bams = {}
        for group, name in enumerate(GROUPS):
            for k in range(REPLICATES):
                path = Path(folder) / f"{name}{k}.bam"
                rates = expression * 2.0 ** (effects * group) * np.exp(rng.normal(0.0, 0.1))
                write_library(path, genes, tracks[group], rates, codes.size, rng)
                bams[path.stem] = path
        gtf = write_annotation(Path(folder) / "genes.gtf", genes)
        condition = {name: name[0] for name in bams}
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            fit = bde.bias.fit(bams, GENOME, gtf, condition=condition)
    warned = any("go together" in str(one.message) for one in said)
    return [
        row | {"warned": warned, "genes": len(genes), "spread": fit.spread}
        for row in _rows(fit, true_lengths(genes, tracks), expression, effects)
    ]


def strengthened(tracks: Tracks, strength: float) -> Tracks:
    """Return the bias to the power of the strength."""
    return Tracks(*(one.astype(np.float64) ** strength for one in tracks))


def _starts(gene: np.ndarray, tracks: Tracks) -> tuple[np.ndarray, np.ndarray]:
    """Return 5' ends that fit into a gene, forward then reverse, and their bias."""
    start, end = gene
    forward, reverse = np.arange(start, end - READ + 1), np.arange(start + READ - 1, end)
    bias = np.concatenate([tracks.forward[forward], tracks.reverse[reverse]])
    return np.concatenate([forward, reverse]), bias


def true_lengths(genes: np.ndarray, tracks: list[Tracks]) -> np.ndarray:
    """Return the sums of the true bias by gene and group."""
    return np.array([[_starts(gene, one)[1].sum() / 2.0 for one in tracks] for gene in genes])


def write_library(
    path: Path, genes: np.ndarray, tracks: Tracks, rates: np.ndarray, size: int, rng: np.random.Generator
) -> None:
    """Draw the reads of a library and write them."""
    lefts, flags = [], []
    scale = np.mean([_starts(gene, tracks)[1].mean() for gene in genes])
    for gene, rate in zip(genes, rates, strict=True):
        places, bias = _starts(gene, tracks)
        mean = rate * bias.sum() / (2.0 * scale)
        number = rng.poisson(mean * rng.gamma(1.0 / DISPERSION, DISPERSION))
        drawn = rng.choice(places.size, size=number, p=bias / bias.sum())
        reverse = drawn >= places.size // 2
        lefts.append(places[drawn] - np.where(reverse, READ - 1, 0))
        flags.append(16 * reverse)
    left, flag = np.concatenate(lefts), np.concatenate(flags)
    header = {"HD": {"VN": "1.6", "SO": "coordinate"}, "SQ": [{"SN": "chr4", "LN": size}]}
    order = np.argsort(left, kind="stable")
    with pysam.AlignmentFile(str(path), "wb", header=header) as out:
        read = pysam.AlignedSegment(out.header)
        read.reference_id, read.mapping_quality, read.cigarstring = 0, 60, f"{READ}M"
        for number, i in enumerate(order):
            read.query_name, read.flag, read.reference_start = str(number), int(flag[i]), int(left[i])
            out.write(read)


def write_annotation(path: Path, genes: np.ndarray) -> Path:
    """Write the genes as a GTF file."""
    lines = [
        f'chr4\tsimulated\texon\t{start + 1}\t{end}\t.\t+\t.\tgene_id "g{i}"; transcript_id "t{i}";\n'
        for i, (start, end) in enumerate(genes.tolist())
    ]
    path.write_text("".join(lines), encoding="utf-8")
    return path


def _rows(
    fit: bde.bias.BiasFit, truth: np.ndarray, expression: np.ndarray, effects: np.ndarray
) -> list[dict[str, object]]:
    """Analyse the counts without lengths, with those of the fit, and with the true ones."""
    groups = np.array([GROUPS.index(name[0]) for name in fit.counts.columns])
    true = pd.DataFrame(truth[:, groups], index=fit.counts.index, columns=fit.counts.columns)
    samples = pd.DataFrame({"group": [GROUPS[i] for i in groups]}, index=fit.counts.columns)
    rows = []
    for label, lengths in (("none", None), ("fitted", fit.average_lengths), ("true", true)):
        if lengths is None:
            counts = bde.Counts(fit.counts, sample_table=samples)
        else:
            counts = bde.read_tximport(counts=fit.counts, lengths=lengths, samples=samples)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            table = bde.fit_eb(counts, "~ group", references={"group": "a"}).results()
        rows.append({"lengths": label, **_scores(table, effects), **_abundance(fit, lengths, expression)})
    return rows


def _scores(table: pd.DataFrame, effects: np.ndarray) -> dict[str, object]:
    """Compare results with the true effects."""
    called = (table["padj"] < 0.05).to_numpy()
    errors = table["log2_fold_change"].to_numpy() - effects
    null = effects == 0.0
    return {
        "called": int(called.sum()),
        "false": int((called & null).sum()),
        "true": int((called & ~null).sum()),
        "different_genes": int((~null).sum()),
        "error_null": float(np.sqrt(np.nanmean(errors[null] ** 2))),
        "error_different": float(np.sqrt(np.nanmean(errors[~null] ** 2))) if (~null).any() else np.nan,
    }


def _abundance(
    fit: bde.bias.BiasFit, lengths: pd.DataFrame | None, expression: np.ndarray
) -> dict[str, object]:
    """Compare the expression in one library of each group with the truth of the first group.

    With fitted lengths, also RPKM from re-weighted reads.
    """
    kilobases = pd.Series(fit.places.lengths, index=fit.counts.index) if lengths is None else None
    found: dict[str, object] = {}
    for group in GROUPS:
        name = f"{group}0"
        divisor = kilobases if lengths is None else lengths[name]
        estimates = {"": (fit.counts[name] + 0.5) / divisor}
        if lengths is fit.average_lengths:
            estimates["_reweighted"] = fit.rpkm()[name] + 1e-3
        for suffix, estimate in estimates.items():
            x, y = np.log(estimate.to_numpy()), np.log(expression)
            ranks = [pd.Series(one).rank().to_numpy() for one in (x, y)]
            found[f"pearson_{group}{suffix}"] = float(np.corrcoef(x, y)[0, 1])
            found[f"spearman_{group}{suffix}"] = float(np.corrcoef(*ranks)[0, 1])
            found[f"r2_{group}{suffix}"] = float(np.corrcoef(np.exp(x), expression)[0, 1] ** 2)
    return found
