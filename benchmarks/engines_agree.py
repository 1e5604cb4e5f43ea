"""Do engines joint and nuts agree? Both on the same genes, nuts with joint's hyperparameters.

Prints, for posterior means and sds of every coefficient and log dispersion of pasilla, the z-scores of the
differences in units of their Monte-Carlo standard errors.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import pandas as pd

from bayesde.datasets import load_pasilla
from bayesde.eb.fit import EbFit, fit_eb
from bayesde.posterior import Posterior, SamplingOptions, fit_posterior
from bayesde.posterior.diagnostics import chain_diagnostics, effective_sizes

LIMIT = 4.0


def spread_panel(fit: EbFit, size: int) -> list[str]:
    """Take genes at equal steps of the rank of their base mean, from the lowest to the highest."""
    expressed = np.flatnonzero(~fit.all_zero)
    order = expressed[np.argsort(fit.base_mean[expressed], kind="stable")]
    return list(fit.counts.genes[order[np.linspace(0, order.size - 1, size).astype(int)]])


def parameters(posterior: Posterior) -> np.ndarray:
    """Return all parameters as (parameter, chain, draw), fold changes bounded as the results table does."""
    beta = np.clip(posterior.draws["beta"].values, -30.0, 30.0)
    log_dispersion = posterior.draws["log_dispersion"].values
    theta = np.concatenate([beta, log_dispersion[..., None]], axis=-1).astype(np.float64)
    return theta.reshape(*theta.shape[:2], -1).transpose(2, 0, 1)


def moments(draws: np.ndarray) -> tuple[np.ndarray, ...]:
    """Return mean and sd of (parameter, chain, draw) with their Monte-Carlo standard errors."""
    mean, sd = draws.mean(axis=(1, 2)), draws.std(axis=(1, 2), ddof=1)
    centred = draws - mean[:, None, None]
    mean_error = sd / np.sqrt(effective_sizes(draws))
    square_error = (centred**2).std(axis=(1, 2)) / np.sqrt(effective_sizes(centred**2))
    return mean, mean_error, sd, square_error / (2.0 * sd)


def z_scores(first: np.ndarray, second: np.ndarray) -> pd.DataFrame:
    """Return the differences of mean and sd over their standard errors, by parameter."""
    a, b = moments(first), moments(second)
    return pd.DataFrame(
        {
            "mean": (a[0] - b[0]) / np.hypot(a[1], b[1]),
            "sd": (a[2] - b[2]) / np.hypot(a[3], b[3]),
        }
    )


def describe(posterior: Posterior, seconds: float) -> None:
    """Print how an engine fared."""
    sampled = posterior.diagnostics[posterior.diagnostics["sampled"]]
    print(
        f"{posterior.engine:6s} {seconds:6.1f} s   "
        f"genes with R-hat < 1.01: {(sampled['rhat'] < 1.01).mean():.1%}   "
        f"smallest bulk ESS {sampled['ess_bulk'].min():.0f}, tail {sampled['ess_tail'].min():.0f}   "
        f"gradients a draw {sampled['gradients'].mean():.1f}   "
        f"genes sampled twice {(sampled['attempts'] > 1).sum():.0f}, with divergences left "
        f"{(sampled['divergences'] > 0).sum()}"
    )


def describe_hyperparameters(posterior: Posterior) -> None:
    """Print the hyperparameters that engine joint sampled."""
    draws = posterior.draws["hyperparameters"]
    checks = chain_diagnostics(draws.values[..., None])
    table = pd.DataFrame(checks, index=draws["hyperparameter"].values)
    table.insert(0, "mean", draws.values.mean(axis=(0, 1)))
    table.insert(1, "sd", draws.values.std(axis=(0, 1)))
    print(table.round(4).to_string())


def main() -> None:
    """Run both engines and print the comparison."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--genes", type=int, default=200)
    parser.add_argument("--draws", type=int, default=1000)
    parser.add_argument("--residuals", default="normal")
    arguments = parser.parse_args()
    counts = load_pasilla()
    fit = fit_eb(counts, "~ type + condition")
    panel = spread_panel(fit, arguments.genes)
    options = SamplingOptions(residuals=arguments.residuals)
    common = {"eb": fit, "genes": panel, "draws": arguments.draws, "workers": 2, "options": options}

    start = time.perf_counter()
    joint = fit_posterior(counts, fit.design, engine="joint", **common)
    describe(joint, time.perf_counter() - start)
    describe_hyperparameters(joint)
    start = time.perf_counter()
    nuts = fit_posterior(
        counts, fit.design, engine="nuts", hyperparameters=joint.hyperparameters, seed=2, **common
    )
    describe(nuts, time.perf_counter() - start)

    scores = z_scores(parameters(joint), parameters(nuts))
    summary = scores.abs().quantile([0.5, 0.9, 0.99, 1.0])
    summary.loc[f"share below {LIMIT:g}"] = (scores.abs() < LIMIT).mean()
    summary.loc["rms"] = np.sqrt((scores**2).mean())
    print("\n|z| of the differences between the engines, by quantile\n" + summary.round(3).to_string())


if __name__ == "__main__":
    main()
