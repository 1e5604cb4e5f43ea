"""Results of limma-voom and edgeR's quasi-likelihood tests on a problem, if R and both are installed."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.special import stdtrit

import bayesde as bde
from benchmarks.accuracy.answers import LEVELS
from benchmarks.accuracy.records import Answer, Problem

__all__ = ["peer_answers"]

SCRIPT = Path(__file__).resolve().parent / "limma_edger.R"


def peer_answers(problem: Problem) -> tuple[list[Answer], str]:
    """Run limma and edgeR on all genes that have counts.

    Parameters
    ----------
    problem : Problem

    Returns
    -------
    answers : list of Answer
        Empty without them. As under a flat prior, the chance of a wrong sign is half the p-value. edgeR has
        no standard errors, and so no intervals.
    note : str
        Their versions, or why they are missing.
    """
    program = shutil.which("Rscript")
    if program is None:
        return [], "limma and edgeR are left out: R is not installed"
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        _write(problem, folder)
        files = [str(folder / name) for name in ("counts.tsv", "samples.tsv", "answer.tsv")]
        ran = subprocess.run([program, "--vanilla", str(SCRIPT), *files], capture_output=True, text=True)
        if ran.returncode:
            said = (ran.stderr.strip().splitlines() or ["no message"])[-1]
            return [], f"limma and edgeR are left out: {said}"
        answer = pd.read_csv(files[2], sep="\t", index_col="gene", dtype={"gene": str})
    return _answers(answer.reindex(problem.counts.genes)), ran.stdout.strip()


def _write(problem: Problem, folder: Path) -> None:
    """Write the input of the script."""
    counts = problem.counts.to_frame()
    counts[~problem.counts.all_zero].to_csv(folder / "counts.tsv", sep="\t", index_label="gene")
    factors = np.full(counts.shape[1], np.nan) if problem.size_factors is None else problem.size_factors
    samples = pd.DataFrame(
        {"treated": problem.treated.astype(int), "size_factor": factors}, index=counts.columns
    )
    if problem.batch:
        samples["batch"] = problem.counts.sample_table[problem.batch].to_numpy()
    samples.to_csv(folder / "samples.tsv", sep="\t", index_label="sample", na_rep="NA")


def _answers(table: pd.DataFrame) -> list[Answer]:
    columns = {name: table[name].to_numpy(dtype=float) for name in table}
    reach = {level: stdtrit(columns["limma_df"], 0.5 + level / 2.0) * columns["limma_se"] for level in LEVELS}
    intervals = {level: (columns["limma"] - by, columns["limma"] + by) for level, by in reach.items()}
    limma, edger = columns["limma_p"] / 2.0, columns["edger_p"] / 2.0
    return [
        Answer("limma", columns["limma"], limma, bde.s_values(limma), intervals),
        Answer("edgeR", columns["edger"], edger, bde.s_values(edger)),
    ]
