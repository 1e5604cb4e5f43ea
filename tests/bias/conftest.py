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
    """A random chromosome, `chr1`, with genes of two exons, every other one on the reverse strand."""

    folder: Path
    n_genes: int = 16
    bases: np.ndarray = field(init=False)
    exons: list[list[tuple[int, int]]] = field(init=False)

    def __post_init__(self) -> None:
        rng = np.random.default_rng(3)
        self.bases = rng.integers(0, 4, 1000 * self.n_genes + 500)
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

    def preference(self, start: int, reverse: bool, strength: float) -> float:
        """The bias of a start: reads prefer G at their first base and A two bases later."""
        step = -1 if reverse else 1
        bases = self.bases[[start, start + 2 * step]]
        if reverse:
            bases = 3 - bases
        return float(np.exp(strength * ((bases[0] == 2) + 0.7 * (bases[1] == 0) - 0.4)))

    def write_bam(
        self, path: Path, *, n: int, strength: float, seed: int, paired: bool = False, name: str = "chr1"
    ) -> Path:
        """Write fragments within the first exons of genes, drawn by the preference of their ends."""
        rng = np.random.default_rng(seed)
        size = FRAGMENT if paired else READ
        places = [
            (start, reverse)
            for exons in self.exons
            for start in range(exons[0][0], exons[0][1] - size + 1)
            for reverse in (False, True)
        ]
        weights = np.array([self._weight(start, size, reverse, strength, paired) for start, reverse in places])
        drawn = np.sort(rng.choice(len(places), size=n, p=weights / weights.sum()))
        reads = [read for i, k in enumerate(drawn) for read in _reads(f"r{i}", *places[k], size, paired)]
        write_reads(path, reads, {name: self.bases.size})
        return path

    def _weight(self, start: int, size: int, reverse: bool, strength: float, paired: bool) -> float:
        ends = [(start, False), (start + size - 1, True)]
        first = ends[reverse]
        chosen = ends if paired else [first]
        return float(np.prod([self.preference(*end, strength) for end in chosen]))


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
