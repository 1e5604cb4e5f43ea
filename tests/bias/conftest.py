"""A small genome with genes, and BAM files of reads that prefer to start at some bases."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pysam
import pytest

LETTERS = np.array(list("ACGT"))
READ, FRAGMENT = 30, 120


@dataclass
class Genome:
    """A random chromosome, `chr1`, with genes of two exons, every other one on the reverse strand.

    Genes differ in their composition, so that a bias changes their effective lengths.
    """

    folder: Path
    n_genes: int = 80
    bases: np.ndarray = field(init=False)
    exons: list[list[tuple[int, int]]] = field(init=False)

    def __post_init__(self) -> None:
        rng = np.random.default_rng(3)
        rich = np.repeat(rng.uniform(0.4, 0.6, self.n_genes + 1), 1000)[: 1000 * self.n_genes + 500]
        strong = rng.random(rich.size) < rich  # G or C
        self.bases = np.where(strong, 1 + rng.integers(0, 2, rich.size), 3 * rng.integers(0, 2, rich.size))
        self.exons = [
            [(1000 * g + 200, 1000 * g + 600), (1000 * g + 700, 1000 * g + 1000)] for g in range(self.n_genes)
        ]
        self.fasta.write_text(">chr1\n" + "".join(LETTERS[self.bases]) + "\n")
        self.gtf.write_text("#!a comment\n" + "".join(self._lines()))

    @property
    def fasta(self) -> Path:
        return self.folder / "genome.fa"

    @property
    def gtf(self) -> Path:
        return self.folder / "genes.gtf"

    def _lines(self):
        for g, exons in enumerate(self.exons):
            strand = "+-"[g % 2]
            names = f'gene_id "g{g}"; transcript_id "t{g}";'
            yield f"chr1\tx\tgene\t{exons[0][0] + 1}\t{exons[-1][1]}\t.\t{strand}\t.\t{names}\n"
            for start, end in exons:
                yield f"chr1\tx\texon\t{start + 1}\t{end}\t.\t{strand}\t.\t{names}\n"

    def preference(self, start: np.ndarray, reverse: np.ndarray, strength: float) -> np.ndarray:
        """The bias of starts: reads prefer G at their first base and C two bases later."""
        first, third = self.bases[start], self.bases[start + np.where(reverse, -2, 2)]
        first, third = (np.where(reverse, 3 - one, one) for one in (first, third))
        return np.exp(strength * ((first == 2) + 0.7 * (third == 1) - 0.4))

    def write_bam(
        self, path: Path, *, n: int, strength: float, seed: int, paired: bool = False, name: str = "chr1"
    ) -> Path:
        """Write fragments within the first exons of genes, drawn by the preference of their ends."""
        rng = np.random.default_rng(seed)
        size = FRAGMENT if paired else READ
        fit = [np.arange(exons[0][0], exons[0][1] - size + 1) for exons in self.exons]
        start = np.tile(np.concatenate(fit), 2)
        reverse = np.arange(start.size) >= start.size // 2  # of the first read
        forward, backward = (
            self.preference(place, np.full(start.size, strand), strength)
            for place, strand in ((start, False), (start + size - 1, True))
        )
        weights = forward * backward if paired else np.where(reverse, backward, forward)
        drawn = np.sort(rng.choice(start.size, size=n, p=weights / weights.sum()))
        reads = [
            read
            for i, k in enumerate(drawn)
            for read in _reads(f"r{i}", int(start[k]), bool(reverse[k]), size, paired)
        ]
        write_reads(path, reads, {name: self.bases.size})
        return path


def _reads(name: str, start: int, reverse: bool, size: int, paired: bool) -> list[dict]:
    """The alignments of a fragment; `reverse` is the strand of its first read."""
    end = start + size - READ
    if not paired:
        return [{"name": name, "start": start, "flag": 16 * reverse}]
    left = {"name": name, "start": start, "flag": 0x1 | 0x2 | 0x20, "mate": end}
    right = {"name": name, "start": end, "flag": 0x1 | 0x2 | 0x10, "mate": start}
    first, second = (right, left) if reverse else (left, right)
    first["flag"] |= 0x40
    second["flag"] |= 0x80
    return [left, right]


def write_reads(path: Path, reads: list[dict], contigs: dict[str, int], *, sort: bool = True) -> Path:
    """Write a BAM file; a read has a name, a start and a flag, and may have more."""
    header = {"HD": {"VN": "1.6"}, "SQ": [{"SN": name, "LN": size} for name, size in contigs.items()]}
    reads = sorted(reads, key=lambda read: read["start"]) if sort else reads
    with pysam.AlignmentFile(str(path), "wb", header=header) as out:
        for read in reads:
            one = pysam.AlignedSegment(out.header)
            one.query_name, one.flag = read["name"], read["flag"]
            one.reference_id, one.reference_start = read.get("contig", 0), read["start"]
            one.mapping_quality = read.get("quality", 50)
            one.cigarstring = read.get("cigar", f"{READ}M")
            one.query_sequence = "A" * one.infer_query_length()
            if "mate" in read:
                one.next_reference_id, one.next_reference_start = one.reference_id, read["mate"]
            if "hits" in read:
                one.set_tag("NH", read["hits"])
            out.write(one)
    return path


@pytest.fixture(scope="session")
def genome(tmp_path_factory) -> Genome:
    return Genome(tmp_path_factory.mktemp("genome"))


@pytest.fixture(scope="session")
def bams(genome) -> dict[str, Path]:
    """Two libraries with bias, and two with half as much."""
    return {
        name: genome.write_bam(genome.folder / f"{name}.bam", n=6000, strength=strength, seed=seed)
        for seed, (name, strength) in enumerate({"a1": 1.4, "a2": 1.4, "b1": 0.3, "b2": 0.3}.items())
    }


@pytest.fixture(scope="session")
def paired(genome) -> Path:
    return genome.write_bam(genome.folder / "paired.bam", n=5000, strength=1.2, seed=9, paired=True)


@pytest.fixture(scope="session")
def written():
    """The function that writes single reads."""
    return write_reads
