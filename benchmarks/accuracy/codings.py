"""Levels treated alike or treatment coding: ``python -m benchmarks.accuracy.codings``; notes/coding.md.

Groups of four samples, of which one differs in a quarter of the genes, by Normal(0, 1): all pairwise
comparisons, under every coding of the same design. Processor times are those of fits by turns in one process.
"""

from __future__ import annotations

import argparse
import itertools
import time
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

import bayesde as bde
from bayesde.posterior.summaries.tables import results_table

LEVELS = "abcdef"
REPLICATES, SHARE, CALLED = 4, 0.25, 0.05
RESULTS = Path(__file__).parent / "results" / "codings.tsv"


def simulated(genes: int, n_levels: int, seed: int) -> tuple[bde.Counts, np.ndarray]:
    """Return counts, and the log2 effects of the levels (gene, level)."""
    rng = np.random.default_rng(seed)
    group = np.repeat(np.arange(n_levels), REPLICATES)
    base = np.exp(rng.normal(np.log(100.0), 1.5, genes))
    alpha = (0.05 + 2.0 / base) * np.exp(rng.normal(0.0, 0.5, genes))
    effects = np.zeros((genes, n_levels))
    which = rng.integers(0, n_levels, genes)
    effects[np.arange(genes), which] = np.where(rng.random(genes) < SHARE, rng.normal(0.0, 1.0, genes), 0.0)
    noise = rng.gamma(1.0 / alpha[:, None], alpha[:, None], (genes, group.size))
    matrix = rng.poisson(base[:, None] * np.exp(effects[:, group]) * noise)
    names = [f"s{i}" for i in range(group.size)]
    table = pd.DataFrame({"group": [LEVELS[g] for g in group]}, index=names)
    counts = pd.DataFrame(matrix, index=[f"g{i}" for i in range(genes)], columns=names)
    return bde.Counts(counts, sample_table=table), effects / np.log(2.0)


def fits(counts: bde.Counts, n_levels: int, law: str) -> Iterator[tuple[str, str, bde.Posterior, float]]:
    """Yield coding, design, posterior and processor time of every fit."""
    table = counts.sample_table
    shown = LEVELS[:n_levels] if n_levels <= 3 else LEVELS[0] + LEVELS[n_levels - 1]
    designs = {
        f"reference {one}": bde.Design.from_formula("~ group", table, references={"group": one})
        for one in shown
    }
    designs["cell means"] = bde.Design.from_formula("~ 0 + group", table)
    for name, design in designs.items():
        for coding in ("treatment", "levels"):
            if name == "cell means" and coding == "treatment":
                continue  # nothing is shrunken, as a warning says
            start = time.process_time()
            options = bde.SamplingOptions(coding=coding, effects=law, hand_over=False)
            posterior = bde.fit_posterior(counts, design, options=options)
            yield coding, name, posterior, time.process_time() - start


def scored(tables: list[pd.DataFrame], true: list[np.ndarray]) -> dict[str, float]:
    """Return error, coverage and false signs over all comparisons."""
    errors, inside, calls, false, unreliable = [], [], 0, 0, set()
    for table, effect in zip(tables, true, strict=True):
        mean, called = table["log2_fold_change"].to_numpy(), table["s_value"].to_numpy() < CALLED
        errors.append(np.abs(mean - effect).mean())
        inside.append(((table["lfc_lower"] <= effect) & (effect <= table["lfc_upper"])).mean())
        calls += int(called.sum())
        false += int((np.sign(mean) * effect <= 0.0)[called].sum())
        unreliable |= set(table.index[table["pareto_k"] > 0.7])
    return {
        "error": float(np.mean(errors)),
        "smallest_error": float(np.min(errors)),
        "largest_error": float(np.max(errors)),
        "coverage": float(np.mean(inside)),
        "calls": calls,
        "false_signs": false / max(calls, 1),
        "unreliable": len(unreliable),
    }


def measured(genes: int, n_levels: int, law: str, seed: int) -> pd.DataFrame:
    """Run all codings of one data set."""
    counts, effects = simulated(genes, n_levels, seed)
    pairs = list(itertools.combinations(range(n_levels), 2))
    true = [effects[:, two] - effects[:, one] for one, two in pairs]
    contrasts = [("group", LEVELS[two], LEVELS[one]) for one, two in pairs]
    rows, means = [], {}
    for coding, design, posterior, seconds in fits(counts, n_levels, law):
        plain = [results_table(posterior, contrast) for contrast in contrasts]
        ways = {coding: plain}
        if coding == "treatment" and n_levels > 2 and design == "reference a":
            ways["treatment, by coefficient"] = [posterior.results(contrast) for contrast in contrasts]
        for way, tables in ways.items():
            means[way, design] = np.stack([table["log2_fold_change"] for table in tables])
            rows.append({"levels": n_levels, "law": law, "coding": way, "design": design, "seconds": seconds})
            rows[-1] |= scored(tables, true)
    frame = pd.DataFrame(rows)
    for way in frame["coding"].unique():
        own = np.stack([value for (name, _), value in means.items() if name == way])
        frame.loc[frame["coding"] == way, "largest_difference"] = float(np.ptp(own, axis=0).max())
    return frame.assign(seed=seed, genes=genes)


def main() -> None:
    """Measure, and write one row a fit."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--genes", type=int, default=1000)
    parser.add_argument("--levels", type=int, nargs="+", default=[2, 3, 6])
    parser.add_argument("--laws", nargs="+", default=["cauchy", "student_t", "spike_t"])
    parser.add_argument("--seeds", type=int, nargs="+", default=[21])
    parser.add_argument("--out", type=Path, default=RESULTS)
    asked = parser.parse_args()
    warnings.simplefilter("ignore", bde.BayesdeWarning)
    measured(100, 3, "cauchy", 1)  # compiles
    frames: list[pd.DataFrame] = []
    for n_levels, law, seed in itertools.product(asked.levels, asked.laws, asked.seeds):
        frames.append(measured(asked.genes, n_levels, law, seed))
        asked.out.parent.mkdir(parents=True, exist_ok=True)
        pd.concat(frames).round(5).to_csv(asked.out, sep="\t", index=False)
        print(frames[-1].to_string(index=False), flush=True)


if __name__ == "__main__":
    main()
