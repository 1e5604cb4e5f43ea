"""Compare methods: `python -m benchmarks.agreement panel`, `... whole --set pasilla|airway [--genes N]`."""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from bayesde.datasets import load_airway, load_pasilla
from bayesde.eb.fit import EbFit, fit_eb
from bayesde.posterior import Hyperparameters, Posterior, SamplingOptions, fit_posterior
from bayesde.posterior.draws.gene_draws import GeneDraws
from benchmarks.agreement.moments import agreement, moments, z_scores
from benchmarks.agreement.pages import score_picture, write_page

RESULTS = Path(__file__).parent / "results"
SETS = {"pasilla": (load_pasilla, "~ type + condition"), "airway": (load_airway, "~ cell + dex")}
NARROW = 1.5 * np.log(2.0)
"""Posterior sd below which moments can be estimated: where one group has no counts, the Cauchy prior's tails
are too heavy."""


CHECKS = SamplingOptions(min_ess=200.0, max_rhat=1.03)
"""Criteria for every gene of a whole data set."""


def print_step(done: int, total: int, text: str) -> None:
    """Print every fiftieth step."""
    if done % 50 == 0:
        print(f"{time.strftime('%H:%M:%S')} {done} of {total}: {text}", flush=True)


def spread_panel(fit: EbFit, size: int) -> list[str]:
    """Take genes at equal steps of the rank of their base mean, from the lowest to the highest."""
    expressed = np.flatnonzero(fit.estimated)
    order = expressed[np.argsort(fit.base_mean[expressed], kind="stable")]
    return list(fit.counts.genes[order[np.linspace(0, order.size - 1, size).astype(int)]])


def timed(fit: EbFit, engine: str, **arguments: Any) -> tuple[Posterior, float]:
    """Run a method; return the posterior and its wall time."""
    start = time.perf_counter()
    posterior = fit_posterior(fit.counts, fit.design, engine=engine, eb=fit, **arguments)
    seconds = time.perf_counter() - start
    status = posterior.diagnostics.loc[posterior.diagnostics["sampled"], "status"]
    print(f"{engine}: {seconds:.0f} s, {status.value_counts().to_dict()}", flush=True)
    return posterior, seconds


def common_genes(one: Posterior, two: Posterior) -> tuple[GeneDraws, GeneDraws, np.ndarray]:
    """Return the draws of the genes that both methods call ok, in the same order, and the others' names."""
    fine = (one.diagnostics["status"] == "ok") & (two.diagnostics["status"] == "ok")
    names = pd.Index([gene for gene in two.genes if fine[gene]])
    rows = [posterior.genes.get_indexer(names) for posterior in (one, two)]
    left_out = np.array([gene for gene in two.genes if not fine[gene]])
    return one.gene_draws.genes(rows[0]), two.gene_draws.genes(rows[1]), left_out


def compare(one: Posterior, two: Posterior, title: str) -> tuple[pd.DataFrame, dict[str, np.ndarray]]:
    """Return the page's table of two methods, and the z-scores of the genes whose moments settle."""
    first, second, left_out = common_genes(one, two)
    a, b = moments(first), moments(second)
    scores = z_scores(a, b)
    settled = (np.minimum(a["sd"], b["sd"])[:, :-1] < NARROW).all(axis=1)
    tables = {
        "all genes": agreement(scores),
        "sd of every coefficient below 1.5 log2": agreement(scores, settled),
    }
    table = pd.concat(tables, names=["genes of", "quantity"]).reset_index()
    table.insert(0, "comparison", title)
    table["left out, not ok"] = left_out.size
    return table, {name: z[settled] for name, z in scores.items()}


def panel(size: int, draws: int) -> None:
    """Compare all three inference methods, hyperparameters included, on a panel that is fitted alone."""
    counts = load_pasilla()
    whole = fit_eb(counts, "~ type + condition")
    names = spread_panel(whole, size)
    few = counts.subset(genes=names)
    fit = fit_eb(few, "~ type + condition", size_factors=whole.size_factors)
    psis, _ = timed(fit, "psis", draws=draws, seed=1)
    joint, _ = timed(fit, "joint", draws=1000, seed=1, workers=2)
    nuts, _ = timed(fit, "nuts", draws=1000, seed=1, workers=2, hyperparameters=psis.hyperparameters)
    pairs = {"psis and nuts": (psis, nuts), "psis and joint": (psis, joint), "nuts and joint": (nuts, joint)}
    found = {name: compare(*pair, f"{name}, {size} genes of pasilla") for name, pair in pairs.items()}
    table = pd.concat([table for table, _ in found.values()])
    hyper = hyperparameter_table(psis.hyperparameters, joint.hyperparameters)
    write_page(RESULTS / "panel", table, hyper)
    score_picture({name: scores for name, (_, scores) in found.items()}, RESULTS / "panel.png")


def hyperparameter_table(psis: Hyperparameters, joint: Hyperparameters) -> pd.DataFrame:
    """Compare the hyperparameters' posteriors of two methods, on the log scale."""
    rows = {}
    for name, values in psis.draws.items():
        logs = [np.log(values), np.log(joint.draws[name])]
        rows[name] = {
            "psis, mean of ln": logs[0].mean(),
            "joint, mean of ln": logs[1].mean(),
            "psis, sd": logs[0].std(),
            "joint, sd": logs[1].std(),
            "difference in sds": (logs[0].mean() - logs[1].mean()) / logs[1].std(),
        }
    return pd.DataFrame(rows).T.rename_axis("hyperparameter").reset_index()


def whole(name: str, n_genes: int | None, blocks: Path | None, draws: int, chain_draws: int) -> None:
    """Compare psis with nuts under the hyperparameters that psis has learnt, on all genes of a data set."""
    load, formula = SETS[name]
    fit = fit_eb(load(), formula)
    genes = None
    if n_genes is not None:
        known = fit.counts.genes[fit.estimated]
        genes = sorted(np.random.default_rng(1).choice(known, n_genes, replace=False).tolist())
    with tempfile.TemporaryDirectory() as scratch:
        folder = blocks or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        given = folder / "hyperparameters.json"
        if not given.exists():
            learnt, _ = timed(fit, "psis", seed=1)
            learnt.hyperparameters.to_json(given)
        hyper = Hyperparameters.from_json(given)  # those that finished blocks were sampled under
        psis, _ = timed(fit, "psis", seed=1, genes=genes, hyperparameters=hyper, draws=draws)
        nuts, seconds = timed(
            fit,
            "nuts",
            seed=1,
            draws=chain_draws,
            genes=genes,
            hyperparameters=hyper,
            workers=2,
            directory=folder / "blocks",
            options=CHECKS,
            progress=print_step,
        )
        table, scores = compare(psis, nuts, f"psis and nuts, {len(nuts.genes):,} genes of {name}")
    write_page(RESULTS / name, table)
    score_picture({f"psis and nuts, {name}": scores}, RESULTS / f"{name}.png")
    print(f"nuts: {seconds:.0f} s")


def main() -> None:
    """Read the arguments."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("panel", "whole"))
    parser.add_argument("--set", choices=tuple(SETS), default="pasilla")
    parser.add_argument("--genes", type=int, help="of the panel (300), or drawn from all genes of the set")
    parser.add_argument("--draws", type=int, default=1000, help="of engine psis")
    parser.add_argument("--chain-draws", type=int, default=500, help="of each of nuts' chains, for 'whole'")
    parser.add_argument("--blocks", type=Path, help="where blocks of nuts are kept and found again")
    arguments = parser.parse_args()
    RESULTS.mkdir(exist_ok=True)
    if arguments.what == "panel":
        panel(arguments.genes or 300, arguments.draws)
    else:
        whole(arguments.set, arguments.genes, arguments.blocks, arguments.draws, arguments.chain_draws)


if __name__ == "__main__":
    main()
