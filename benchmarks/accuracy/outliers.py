"""What leaving out outlying counts changes: on nulls, with planted outliers, and where there are none.

    python -m benchmarks.accuracy.outliers [nulls] [planted] [truth] [real]

Nulls are real counts whose labels are shuffled: HapMap cell lines of one sex (yoruba), n against n, and
GSE60450, whose two replicates of each of six groups are given different labels at random. Counts are planted
in simulated experiments. Where the truth is known without outliers (sim20k_pairs, the first replicate of the
apeglm paper), leaving out must cost nothing. In a real experiment (yoruba, by sex), estimates from a few
samples are compared with maximum-likelihood estimates from all the others. Every experiment is analysed
twice, with all counts and without those that are flagged (one false flag expected). One row each is written
to ``results/outliers.tsv``.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

import bayesde as bde
from benchmarks.accuracy.problems import PAIRS, PAPER, SHARED, YORUBA

__all__ = ["compared", "main"]

RESULTS = Path(__file__).parent / "results" / "outliers.tsv"
GENES, SMALLEST_MEAN = 1000, 5.0
LEVELS = (0.05, 0.005)
FACTORS = (0.02, 8.0, 20.0)
"""Of the gene's mean: what planted counts are."""
PLANTED_SHARE = 0.03
"""Of the genes, those that get one."""


def compared(
    counts: bde.Counts, design: str, truth: np.ndarray | None = None, planted: pd.DataFrame | None = None
) -> dict[str, float]:
    """Analyse counts with and without their outliers, by the last coefficient of the design.

    Parameters
    ----------
    counts : Counts
    design : str
    truth : ndarray (gene,), optional
        True log2 fold changes.
    planted : pandas.DataFrame, optional
        ``gene`` and ``sample`` of planted counts.

    Returns
    -------
    dict of str to float
        ``flagged`` counts; genes called at each of `LEVELS`; with a truth, root mean squared errors and the
        share of called genes whose sign is wrong, or whose true effect is 0; of planted counts how many are
        flagged, and the errors of their genes; seconds of processor time.
    """
    start = time.process_time()
    posterior = bde.fit_posterior(counts, design, options=bde.SamplingOptions(hand_over=False))
    fitted = time.process_time()
    flagged = posterior.outlier_counts()
    without = posterior.without_outliers(flagged)
    row: dict[str, float] = {"fit_s": fitted - start, "outliers_s": time.process_time() - fitted}
    row |= {"genes": posterior.gene_draws.n_genes, "flagged": len(flagged)}
    known = None if planted is None else set(zip(planted["gene"], planted["sample"], strict=True))
    if known is not None:
        found = set(zip(flagged["gene"], flagged["sample"], strict=True))
        row |= {"planted": len(known), "planted_flagged": len(found & known)}
    for name, one in (("keep", posterior), ("leave_out", without)):
        table = one.results()
        for level in LEVELS:
            called = (table["s_value"] < level).to_numpy()
            row[f"{name}_called_{level:g}"] = int(called.sum())
            if truth is not None:
                wrong = np.sign(table["log2_fold_change"]) != np.sign(truth)
                row[f"{name}_wrong_{level:g}"] = int((wrong & called).sum())
        if truth is not None:
            row |= _errors(name, table, truth, flagged if planted is None else planted)
    return row


def _errors(name: str, table: pd.DataFrame, truth: np.ndarray, outlying: pd.DataFrame) -> dict[str, float]:
    """Return root mean squared errors: of genes without outlying counts, and of those with one."""
    error = table["log2_fold_change"].to_numpy() - truth
    touched = table.index.isin(outlying["gene"])
    found = {f"{name}_rmse": float(np.sqrt(np.nanmean(error[~touched] ** 2)))}
    if touched.any():
        found[f"{name}_rmse_outlying"] = float(np.sqrt(np.nanmean(error[touched] ** 2)))
    return found


def _some_genes(counts: bde.Counts, rng: np.random.Generator, number: int = GENES) -> bde.Counts:
    """Take expressed genes at random."""
    means = np.concatenate([counts.rows(rows).mean(axis=1) for rows in counts.chunks()])
    expressed = np.flatnonzero(means >= SMALLEST_MEAN)
    taken = np.sort(rng.choice(expressed, min(number, expressed.size), replace=False))
    return counts.subset(genes=counts.genes[taken])


def nulls() -> Iterator[dict[str, object]]:
    """Yield experiments without any effect."""
    counts = bde.read_counts(YORUBA / "counts.tsv.gz", samples=YORUBA / "coldata.tsv")
    genes = _some_genes(counts, np.random.default_rng(1))
    for sex in ("female", "male"):
        samples = np.asarray(counts.samples)[(counts.sample_table["gender"] == sex).to_numpy()]
        for n in (2, 3, 4, 5, 7, 10, 14):
            for seed in range(3):
                drawn = np.random.default_rng((seed, n)).choice(samples, 2 * n, replace=False)
                table = pd.DataFrame({"label": ["a"] * n + ["b"] * n}, index=drawn)
                data = _relabelled(genes.subset(samples=list(drawn)), table)
                yield {"set": f"yoruba {sex}", "n": n, "seed": seed} | compared(data, "~ label")
    folder = SHARED / "gse60450"
    counts = bde.read_counts(folder / "counts.tsv.gz", samples=folder / "coldata.tsv")
    genes = _some_genes(counts, np.random.default_rng(2))
    for seed in range(3):
        rng, table = np.random.default_rng(seed), counts.sample_table[["group"]].copy()
        table["label"] = np.concatenate([rng.permutation(["a", "b"]) for _ in range(6)])
        data = _relabelled(genes, table)
        yield {"set": "gse60450", "n": 6, "seed": seed} | compared(data, "~ group + label")


def _relabelled(counts: bde.Counts, table: pd.DataFrame) -> bde.Counts:
    matrix = np.concatenate([counts.rows(rows) for rows in counts.chunks()])
    table = table.loc[list(counts.samples)]
    kept = matrix.sum(axis=1) > 0
    return bde.Counts(matrix[kept], genes=counts.genes[kept], samples=counts.samples, sample_table=table)


def planted() -> Iterator[dict[str, object]]:
    """Yield simulated experiments with planted counts."""
    for n in (2, 3, 4, 6, 10):
        for seed in range(2):
            drawn = bde.simulate(GENES, (n, n), seed=seed, options=bde.SimulationOptions(zero_share=0.7))
            counts, rng = drawn.counts, np.random.default_rng((seed, n))
            matrix = np.concatenate([counts.rows(rows) for rows in counts.chunks()]).copy()
            expressed = np.flatnonzero(matrix.mean(axis=1) > 20.0)
            genes = rng.choice(expressed, int(PLANTED_SHARE * GENES), replace=False)
            samples = rng.integers(0, 2 * n, genes.size)
            factors = rng.choice(FACTORS, genes.size)
            matrix[genes, samples] = np.round(matrix[genes].mean(axis=1) * factors)
            names = {"gene": counts.genes[genes], "sample": np.asarray(counts.samples)[samples]}
            data = bde.Counts(
                matrix, genes=counts.genes, samples=counts.samples, sample_table=counts.sample_table
            )
            truth = drawn.truth.iloc[:, -1].to_numpy()
            yield {"set": "planted", "n": n, "seed": seed} | compared(
                data, "~ condition", truth, pd.DataFrame(names)
            )


def truth() -> Iterator[dict[str, object]]:
    """Yield experiments with known effects and without outliers."""
    for name, folder, column, design in (
        ("sim20k_pairs", PAIRS, "lfc", "~ batch + condition"),
        ("apeglm paper", PAPER, "log2FC_b_vs_a", "~ condition"),
    ):
        counts = bde.read_counts(folder / "counts.tsv.gz", samples=folder / "coldata.tsv")
        known = pd.read_csv(folder / "truth.tsv", sep="\t", index_col=0)[column]
        data = _some_genes(counts, np.random.default_rng(1), 3 * GENES)
        yield {"set": name, "n": data.n_samples // 2, "seed": 0} | compared(
            data, design, known.loc[data.genes].to_numpy()
        )


def real() -> Iterator[dict[str, object]]:
    """Yield few samples of a real experiment, with the estimates from all the others as the truth."""
    counts = bde.read_counts(YORUBA / "counts.tsv.gz", samples=YORUBA / "coldata.tsv")
    genes = _some_genes(counts, np.random.default_rng(3))
    names, sex = np.asarray(genes.samples), genes.sample_table["gender"].to_numpy()
    for n in (2, 3, 5, 8):
        for seed in range(3):
            rng = np.random.default_rng((seed, n))
            drawn = [
                name for one in ("male", "female") for name in rng.choice(names[sex == one], n, replace=False)
            ]
            others = genes.subset(samples=[name for name in names if name not in drawn])
            data = genes.subset(samples=drawn)
            data = _relabelled(data, data.sample_table[["gender"]])
            known = bde.fit_eb(others, "~ gender").results()["log2_fold_change"]
            row = compared(data, "~ gender", known.loc[data.genes].to_numpy())
            yield {"set": "yoruba", "n": n, "seed": seed} | row


PARTS = {"nulls": nulls, "planted": planted, "truth": truth, "real": real}


def main() -> None:
    """Run the parts that are named, and keep the rows of the others."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], help="all by default")
    parser.add_argument("--out", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    old = pd.read_csv(arguments.out, sep="\t") if arguments.out.exists() else pd.DataFrame(columns=["part"])
    for part in arguments.parts or PARTS:
        old = old[old["part"] != part]
        for row in PARTS[part]():
            old = pd.concat([old, pd.DataFrame([{"part": part, **row}])], ignore_index=True)
            old.to_csv(arguments.out, sep="\t", index=False, float_format="%.4g")
            print(old.iloc[-1].dropna().to_dict(), flush=True)


if __name__ == "__main__":
    main()
