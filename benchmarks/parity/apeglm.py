"""Our apeglm modes against R's, gene by gene: where they differ, and who has the better objective.

    python -m benchmarks.parity.apeglm

prints one line a data set and writes ``benchmarks/parity/apeglm_exceptions.tsv.gz``: the genes whose mode
differs from R's by more than 1e-3 log2, both at R's prior scale. R's optimizer stops when its objective
changes by less than a relative 1e-8, and it starts from one point only, so that it may end before the mode or
at the worse one of two.
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path

import numpy as np
import pandas as pd

from bayesde.eb.fit import EbFit
from bayesde.eb.shrinkage.apeglm import UNSHRUNKEN_SD, prior_scale, shrink_coefficient
from benchmarks.parity.compare import FOLDER
from benchmarks.parity.reference import SETS, SHARED, Reference, load

DIFFERENT = 1e-3


def objective(fit: EbFit, genes: np.ndarray, beta: np.ndarray, k: int, scale: float) -> np.ndarray:
    """Negative log posterior (gene,) at coefficients (gene, coefficient), by its formula."""
    y, r = fit.counts.rows(genes), 1.0 / fit.dispersion[genes, None]
    eta = beta @ fit.design.matrix.T
    log_total = np.log1p(np.exp(eta) * fit.normalization_factors[genes] / r)
    nuisance = np.delete(beta, k, axis=1) / UNSHRUNKEN_SD
    return (
        np.sum((y + r) * log_total - y * eta, axis=1)
        + 0.5 * np.sum(nuisance**2, axis=1)
        + np.log1p((beta[:, k] / scale) ** 2)
    )


def compare(reference: Reference) -> pd.DataFrame:
    """Print what agrees, and return the genes that do not."""
    name, fit = reference.name, reference.fit
    k = fit.design.coefficients.index(reference.coef)
    scale = reference.scalar("apeglm.prior.control.prior.scale")
    emptied = np.zeros(int(fit.emptied.sum()))
    own, with_emptied = (
        prior_scale(fit.beta[:, k], fit.beta_se[:, k]),
        prior_scale(np.append(fit.beta[:, k], emptied), np.append(fit.beta_se[:, k], emptied)),
    )
    maps = reference.table("apeglm_fit").filter(like="map_ln:").dropna()
    genes = fit.counts.genes.get_indexer(maps.index)
    maps, genes = maps[fit.estimated[genes]], genes[fit.estimated[genes]]
    found = shrink_coefficient(
        fit.counts.rows(genes),
        fit.normalization_factors[genes],
        fit.design.matrix,
        fit.dispersion[genes],
        fit.beta[genes],
        [k],
        scale,
    )
    ours, r_map = found.beta, maps.to_numpy()
    table = pd.DataFrame(
        {
            "data_set": name,
            "gene": maps.index,
            "lfc_ours": ours[:, k] / math.log(2.0),
            "lfc_r": r_map[:, k] / math.log(2.0),
            "objective_ours": objective(fit, genes, ours, k, scale),
            "objective_r": objective(fit, genes, r_map, k, scale),
        }
    )
    table["excess_of_r"] = table["objective_r"] - table["objective_ours"]
    difference = np.abs(table["lfc_ours"] - table["lfc_r"]).to_numpy()
    exact = reference.table("apeglm_exact_mode").reindex(maps.index)
    to_exact = np.abs(table["lfc_ours"].to_numpy() - exact["lfc_exact"].to_numpy())
    to_best = np.abs(table["lfc_ours"].to_numpy() - exact["lfc_best_mode"].to_numpy())
    same = to_exact < 1e-4
    worse = table["objective_ours"] - table["objective_r"] > 1e-9 * (1.0 + table["objective_r"].abs())
    print(
        f"{name}: scale {own:.10g}, with emptied genes {with_emptied:.10g}, R {scale:.10g}; "
        f"{len(table)} genes: {int((difference > DIFFERENT).sum())} differ from R by > 1e-3 log2, "
        f"{int(worse.sum())} worse than R; same exact mode {int(same.sum())}, within "
        f"{np.nanmax(to_exact[same]):.1e} (median {np.nanmedian(to_exact[same]):.1e}); "
        f"another than the better of two {int((to_best > 1e-4).sum())}"
    )
    return table[difference > DIFFERENT]


def main() -> None:
    """Compare all data sets."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--shared", type=Path, default=SHARED)
    parser.add_argument("--into", type=Path, default=FOLDER)
    arguments = parser.parse_args()
    exceptions = pd.concat([compare(load(arguments.shared, name)) for name in SETS])
    for column, form in (("lfc_ours", "{:.5f}"), ("lfc_r", "{:.5f}"), ("excess_of_r", "{:.2e}")):
        exceptions[column] = exceptions[column].map(form.format)
    exceptions.to_csv(
        arguments.into / "apeglm_exceptions.tsv.gz",
        sep="\t",
        index=False,
        float_format="%.10g",
        compression={"method": "gzip", "mtime": 0},
    )


if __name__ == "__main__":
    main()
