"""How inference method nuts should divide genes into blocks; first attempts only, without repeats.

``python -m benchmarks.speed.nuts_blocks`` samples genes of pasilla at equal steps of the rank of their base
mean in blocks of several sizes and orders, prints a table and, with ``--out``, writes it. Seconds are
processor time of this process and of Stan's, so that other work on the machine matters little.
"""

from __future__ import annotations

import argparse
import resource
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from bayesde.datasets import load_pasilla
from bayesde.eb.fit import EbFit, fit_eb
from bayesde.model.hyperparameters import Hyperparameters
from bayesde.model.priors import Priors
from bayesde.posterior import SamplingOptions
from bayesde.posterior.hyper.learning import learn
from bayesde.posterior.request import Request
from bayesde.posterior.stan.blocks import plan_blocks
from bayesde.posterior.stan.data import SamplerCoordinates
from bayesde.posterior.stan.nuts import ChainTask, Program
from bayesde.posterior.stan.run import ChainSettings
from bayesde.stan_runtime import compiled_model

CHAINS, WARMUP, DRAWS = 4, 300, 1000
SIZES = (5, 10, 20, 40)


def processor_seconds() -> float:
    """Return the processor time of this process and of those that it has ended."""
    spent = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in spent)


def spread_panel(fit: EbFit, size: int) -> np.ndarray:
    """Return genes (positions) at equal steps of the rank of their base mean."""
    expressed = np.flatnonzero(fit.estimated)
    order = expressed[np.argsort(fit.base_mean[expressed], kind="stable")]
    return np.sort(order[np.linspace(0, order.size - 1, size).astype(int)])


def panel_of(fit: EbFit, size: int) -> SamplerCoordinates:
    """Return the sampler's input for some genes, given hyperparameters learnt from all genes."""
    request = Request(
        fit,
        spread_panel(fit, size),
        Hyperparameters.from_eb(fit),
        True,
        DRAWS,
        CHAINS,
        WARMUP,
        seed=1,
        workers=1,
        options=SamplingOptions(),
        priors=Priors(),
    )
    everyone, rows = request.everyone, request.rows
    rng, space = np.random.default_rng(1), request.space
    psi = space.psi_of(request.hyperparameters)
    hyper = learn(request.model(everyone), request.start(everyone), space, psi, rng).summary(rng)
    genes = SamplerCoordinates.of(request.model(rows, hyper), request.start(rows), fit.beta_se[rows])
    genes.noncentered[:, -1] = False
    return genes


def orders(genes: SamplerCoordinates, beta_se: np.ndarray) -> dict[str, np.ndarray]:
    """Return the orders in which genes may be divided into blocks."""
    mean = genes.model.base_mean
    effects = np.nan_to_num(beta_se[:, genes.model.shrunken], nan=np.inf).max(axis=1)
    keys = {
        "base mean": mean,
        "sd of the log dispersion": genes.scale[:, -1, -1],
        "standard error of the effects": effects,
        "number of non-centered parameters, base mean": (mean, genes.noncentered.sum(axis=1)),
    }
    return {
        name: np.lexsort(key) if isinstance(key, tuple) else np.argsort(key, kind="stable")
        for name, key in keys.items()
    }


def trials(genes: SamplerCoordinates, beta_se: np.ndarray) -> Iterator[tuple[int, str, float]]:
    """Yield block size, order and target acceptance of every trial."""
    names = list(orders(genes, beta_se))
    for size in SIZES:
        yield size, names[0], 0.9
    for size in (10, 20):
        yield size, names[0], 0.8
    for name in names[1:]:
        yield 10, name, 0.9


def sampled(genes: SamplerCoordinates, order: np.ndarray, size: int, delta: float) -> dict[str, float]:
    """Sample all genes, and return the sampler's diagnostics."""
    settings = ChainSettings(CHAINS, WARMUP, DRAWS, delta, 10)
    program, everyone = Program(compiled_model("genes")), np.arange(genes.model.n_genes)
    sampler = ChainTask(everyone, genes, settings, SamplingOptions(), program, 1)
    blocks = plan_blocks(genes, size, {"delta": delta}, order)
    before = processor_seconds()
    reports = [sampler.attempt(block.rows, settings, block.seed, 0).report for block in blocks]
    seconds = processor_seconds() - before
    table = pd.concat([pd.DataFrame(report) for report in reports])
    return {
        "CPU ms per gene": 1000.0 * seconds / len(table),
        "gradients per draw": table["gradients"].mean(),
        "smallest bulk ESS": table["ess_bulk"].min(),
        "smallest tail ESS": table["ess_tail"].min(),
        "genes with R-hat > 1.01": float((table["rhat"] > 1.01).sum()),
        "divergences": float(sum(report["divergences"][0] for report in reports)),
        "blocks with any": float(sum(report["divergences"][0] > 0 for report in reports)),
    }


def main() -> None:
    """Run every trial and print, and write, a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--genes", type=int, default=300)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    fit = fit_eb(load_pasilla(), "~ type + condition")
    genes = panel_of(fit, arguments.genes)
    beta_se = fit.beta_se[spread_panel(fit, arguments.genes)]
    sampled(genes.genes(np.arange(5)), np.arange(5), 5, 0.9)  # what is compiled is compiled now
    lines: list[str] = []
    for size, name, delta in trials(genes, beta_se):
        row = {"genes per block": f"{size}", "order": name, "adapt_delta": f"{delta:g}"}
        row |= {
            key: f"{value:,.0f}"
            for key, value in sampled(genes, orders(genes, beta_se)[name], size, delta).items()
        }
        if not lines:
            lines += ["| " + " | ".join(row) + " |", "|" + "---|" * len(row)]
        lines.append("| " + " | ".join(row.values()) + " |")
        print(lines[-1], flush=True)
    text = (
        f"Inference method nuts on {arguments.genes} genes of pasilla (`~ type + condition`, 7 samples), "
        f"hyperparameters learnt from all genes, {CHAINS} chains of {WARMUP} + {DRAWS} iterations; "
        "first attempts only. Made by `python -m benchmarks.speed.nuts_blocks --out FILE`.\n\n"
        + "\n".join(lines)
        + "\n"
    )
    print(text)
    if arguments.out is not None:
        arguments.out.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
