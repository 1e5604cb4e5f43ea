"""What glmmTMB, gene by gene, and limma's voom with duplicateCorrelation say of simulated donors."""

from __future__ import annotations

import math
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import stdtrit
from scipy.stats import false_discovery_control

from bayesde import Counts
from bayesde.eb.size_factors.methods import size_factors
from benchmarks.donors.experiments import Truth

__all__ = ["scored_peers"]

SCRIPT = Path(__file__).resolve().parent / "peers.R"
FDR, COVERED = 0.05, 0.975


def scored_peers(counts: Counts, truth: Truth) -> Iterator[dict[str, Any]]:
    """Fit counts in R, and compare with the truth.

    Parameters
    ----------
    counts : Counts
    truth : Truth

    Yields
    ------
    dict
        As `benchmarks.donors.scores.scored` returns; genes are called at a false discovery rate of 5 % by
        Benjamini and Hochberg.

    Raises
    ------
    RuntimeError
        If R, glmmTMB, limma or statmod is missing.
    """
    answer, (mixed_time, voom_time) = _answer(counts)
    answer["glmmtmb_df"], answer["voom_sd"] = np.inf, np.nan
    for name, seconds in (("glmmtmb", mixed_time), ("voom", voom_time)):
        yield {"method": name, "cpu": seconds} | _scores(answer, name, truth)


def _answer(counts: Counts) -> tuple[pd.DataFrame, tuple[float, float]]:
    """Run the script; return its table, and the seconds that each method took."""
    program = shutil.which("Rscript")
    if program is None:
        raise RuntimeError("R is not installed.")
    with tempfile.TemporaryDirectory() as scratch:
        files = [Path(scratch) / name for name in ("counts.tsv", "samples.tsv", "answer.tsv")]
        counts.to_frame().to_csv(files[0], sep="\t", index_label="gene")
        assert counts.sample_table is not None
        factors = size_factors(counts)
        counts.sample_table.assign(size_factor=factors).to_csv(files[1], sep="\t", index_label="sample")
        ran = subprocess.run(
            [program, "--vanilla", str(SCRIPT), *map(str, files)], capture_output=True, text=True
        )
        if ran.returncode:
            raise RuntimeError(ran.stderr.strip() or "Rscript failed")
        table = pd.read_csv(files[2], sep="\t", index_col="gene")
    first, second = ran.stdout.split()[:2]
    return table.reindex(counts.genes), (float(first), float(second))


def _scores(answer: pd.DataFrame, name: str, truth: Truth) -> dict[str, Any]:
    """Score the effects of one method."""
    effect = truth.effect / math.log(2.0)
    estimate, se, p, df = (answer[name + part].to_numpy() for part in ("", "_se", "_p", "_df"))
    known = np.isfinite(estimate) & np.isfinite(se) & np.isfinite(p)
    called = np.zeros(known.size, dtype=bool)
    called[known] = false_discovery_control(p[known]) < FDR
    wrong = called & (np.sign(estimate) != np.sign(effect))
    within = np.abs(estimate - effect) <= stdtrit(df, COVERED) * se
    sd = answer[name + "_sd"].to_numpy()
    found = {
        "fitted": float(known.mean()),
        "error": float(np.abs(estimate - effect)[known].mean()),
        "coverage": float(within[known].mean()),
        "called": int(called.sum()),
        "false_signs": float(wrong.sum() / max(called.sum(), 1)),
    }
    if np.isfinite(sd).any():
        found["sd_error"] = float(np.nanmean(np.abs(sd - truth.sd / math.log(2.0))[known]))
    return found
