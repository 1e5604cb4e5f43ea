"""Time and memory of `bayesde bias` for one library of a million reads."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import pysam

READS, GENES, LENGTH, GAP, READ, FRAGMENT = 1_000_000, 10_000, 2000, 500, 75, 200
PROGRAM = """
import resource, sys, time
import bayesde as bde
bams, genome, gtf, paired = sys.argv[1:]
wall, cpu = time.perf_counter(), time.process_time()
fit = bde.bias.fit(bams, genome, gtf)
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(time.perf_counter() - wall, time.process_time() - cpu, peak, fit.libraries["reads"].n_reads)
"""


def measure() -> pd.DataFrame:
    """Fit a library of single and one of paired reads with the default model, each in a process of its own.

    Returns
    -------
    pandas.DataFrame
        Wall and processor seconds, and largest resident memory in MiB, without writing of files.
    """
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        genome, gtf = _genome(Path(folder))
        for paired in (False, True):
            bam = _reads(Path(folder) / "reads.bam", paired)
            command = [sys.executable, "-c", PROGRAM, str(bam), str(genome), str(gtf), str(paired)]
            ran = subprocess.run(command, capture_output=True, text=True, check=True)
            wall, cpu, peak, reads = map(float, ran.stdout.split())
            rows.append(
                {"paired": paired, "reads": int(reads), "bases_of_genes": GENES * LENGTH}
                | {"wall_seconds": wall, "cpu_seconds": cpu, "peak_mib": peak}
            )
    return pd.DataFrame(rows)


def _genome(folder: Path) -> tuple[Path, Path]:
    """Write a random chromosome and its genes."""
    rng = np.random.default_rng(1)
    bases = np.frombuffer(b"ACGT", dtype=np.uint8)[rng.integers(0, 4, GENES * (LENGTH + GAP))]
    (folder / "genome.fa").write_bytes(b">chr1\n" + bases.tobytes() + b"\n")
    lines = [
        f'chr1\tx\texon\t{g * (LENGTH + GAP) + 1}\t{g * (LENGTH + GAP) + LENGTH}\t.\t+\t.\tgene_id "g{g}";\n'
        for g in range(GENES)
    ]
    (folder / "genes.gtf").write_text("".join(lines), encoding="utf-8")
    return folder / "genome.fa", folder / "genes.gtf"


def _reads(path: Path, paired: bool) -> Path:
    """Write a million reads at random places of genes."""
    rng = np.random.default_rng(2)
    size = FRAGMENT if paired else READ
    number = READS // 2 if paired else READS
    left = rng.integers(0, GENES, number) * (LENGTH + GAP) + rng.integers(0, LENGTH - size + 1, number)
    flips = rng.random(number) < 0.5
    header = {"SQ": [{"SN": "chr1", "LN": GENES * (LENGTH + GAP)}]}
    with pysam.AlignmentFile(str(path), "wb", header=header) as out:
        read = pysam.AlignedSegment(out.header)
        read.reference_id, read.mapping_quality, read.cigarstring = 0, 60, f"{READ}M"
        for name, (start, flip) in enumerate(zip(np.sort(left).tolist(), flips.tolist(), strict=True)):
            read.query_name, read.reference_start = str(name), start
            if not paired:
                read.flag = 16 * flip
                out.write(read)
                continue
            other = start + FRAGMENT - READ
            for place, mate, flag in ((start, other, 0x63), (other, start, 0x93)):
                read.reference_start, read.next_reference_id, read.next_reference_start = place, 0, mate
                read.flag = flag ^ 0xC0 if flip else flag
                out.write(read)
    return path
