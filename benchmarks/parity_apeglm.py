"""Compare our apeglm modes with R's, gene by gene: where they differ, and who has the better objective.

python benchmarks/parity_apeglm.py SHARED, the folder of data and of R's answers, prints one line a data set
and writes benchmarks/parity/apeglm_exceptions.tsv: genes whose mode differs from R's by more than 1e-3 log2,
both at R's prior scale. R's optimizer stops when its objective changes by less than a relative 1e-8, and it
starts from one point only, so that it may end before the mode or at the worse one of two.
"""

from __future__ import annotations

import math
import sys
from pathlib import Path

import numpy as np
import pandas as pd

from bayesde import Counts, fit_eb
from bayesde.eb.fit import EbFit
from bayesde.eb.shrink import NUISANCE_SD, prior_scale, shrink_coefficient

SETS = ("pasilla", "airway", "pasilla_type", "gse60450", "sim20k_pairs", "yoruba")
OUT = Path(__file__).parent / "parity" / "apeglm_exceptions.tsv"
DIFFERENT = 1e-3


def load(shared: Path, name: str) -> tuple[EbFit, int]:
    """Fit a data set; also return the position of the coefficient that R shrank."""
    config = pd.read_csv(shared / "ref" / "config.tsv", sep="\t", index_col="name").loc[name]
    folder = shared / "data" / config["data"]
    matrix = pd.read_csv(folder / "counts.tsv.gz", sep="\t", index_col=0)
    samples = pd.read_csv(folder / "coldata.tsv", sep="\t", index_col=0).loc[matrix.columns]
    fit = fit_eb(
        Counts(matrix, sample_table=samples), config["design"], references={config["factor"]: config["ref"]}
    )
    return fit, fit.design.coefficients.index(f"{config['factor']}[T.{config['level']}]")


def objective(fit: EbFit, genes: np.ndarray, beta: np.ndarray, k: int, scale: float) -> np.ndarray:
    """Negative log posterior (gene,) at coefficients (gene, coefficient), by its formula."""
    y, r = fit.counts.rows(genes), 1.0 / fit.dispersion[genes, None]
    eta = beta @ fit.design.matrix.T
    log_total = np.log1p(np.exp(eta) * fit.normalization_factors[genes] / r)
    nuisance = np.delete(beta, k, axis=1) / NUISANCE_SD
    return (
        np.sum((y + r) * log_total - y * eta, axis=1)
        + 0.5 * np.sum(nuisance**2, axis=1)
        + np.log1p((beta[:, k] / scale) ** 2)
    )


def compare(shared: Path, name: str) -> pd.DataFrame:
    """Print what agrees, and return the genes that do not."""
    fit, k = load(shared, name)
    folder = shared / "ref" / name
    scalars = pd.read_csv(folder / "scalars.tsv", sep="\t", index_col="key")["value"]
    scale = float(scalars["apeglm.prior.control.prior.scale"])
    emptied = np.zeros(int(fit.emptied.sum()))
    own, with_emptied = (
        prior_scale(fit.beta[:, k], fit.beta_se[:, k]),
        prior_scale(np.append(fit.beta[:, k], emptied), np.append(fit.beta_se[:, k], emptied)),
    )
    theirs = pd.read_parquet(folder / "apeglm_fit.parquet").set_index("gene").rename(index=str)
    exact = pd.read_parquet(folder / "apeglm_exact_mode.parquet").set_index("gene").rename(index=str)
    maps = theirs.filter(like="map_ln:").dropna()
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
    exact = exact.reindex(maps.index)
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
    OUT.parent.mkdir(exist_ok=True)
    parts = [compare(Path(sys.argv[1]), name) for name in SETS]
    exceptions = pd.concat(parts)
    for column, form in (("lfc_ours", "{:.5f}"), ("lfc_r", "{:.5f}"), ("excess_of_r", "{:.2e}")):
        exceptions[column] = exceptions[column].map(form.format)
    exceptions.to_csv(OUT, sep="\t", index=False, float_format="%.10g")


if __name__ == "__main__":
    main()
