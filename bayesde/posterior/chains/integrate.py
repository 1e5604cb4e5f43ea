r"""Let the uncertainty of the hyperparameters into draws that were made with them fixed.

Draws theta_m of a gene, made at phi_0, become draws of its posterior with phi integrated out under the
weights

    w_m = mean_s  r_ms / sum_m r_ms,     r_ms = p(theta_m | phi_s) / p(theta_m | phi_0),

over draws phi_s of the hyperparameters' posterior: the likelihood of the counts cancels. Every chain is
resampled by its own weights, so that chains stay independent and their diagnostics can be taken anew.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit, prange

from bayesde.posterior.hyperparameters import Hyperparameters
from bayesde.posterior.model import ConditionalModel, log_prior

__all__ = ["integrated_draws", "mixture_weights"]

USED_DRAWS = 200
"""Draws of the hyperparameters that weights are averaged over, evenly from those there are: their own
Monte-Carlo error is then well below that of a gene's draws."""

GENES_AT_A_TIME = 500


def integrated_draws(
    draws: np.ndarray,
    model: ConditionalModel,
    hyper: Hyperparameters,
    coefficients: tuple[str, ...],
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    """Resample every gene's draws, so that they have the hyperparameters integrated out.

    Parameters
    ----------
    draws : ndarray of float32 (chain, draw, gene, P + 1)
        Made under `model`.
    model : ConditionalModel
    hyper : Hyperparameters
        With draws.
    coefficients : tuple of str
        Names of the design's columns.
    rng : Generator

    Returns
    -------
    draws : ndarray of float32 (chain, draw, gene, P + 1)
        Of equal weight; in the chain and order that they had, some repeated, some left out.
    efficiency : ndarray (gene,)
        1 / (M sum_m w_m^2), the share of the draws that the weighted ones are worth.
    """
    chains, length = draws.shape[:2]
    result = draws.copy()
    efficiency = np.full(model.n_genes, np.nan)
    for start in range(0, model.n_genes, GENES_AT_A_TIME):
        rows = np.arange(start, min(start + GENES_AT_A_TIME, model.n_genes))
        weights = mixture_weights(draws[:, :, rows], model.genes(rows), hyper, coefficients)
        efficiency[rows] = 1.0 / (chains * length * (weights**2).sum(axis=1))
        offsets = rng.random((rows.size, chains))
        for g, weight, offset in zip(rows, weights.reshape(rows.size, chains, length), offsets, strict=True):
            if np.isfinite(weight).all():
                for c in range(chains):
                    result[c, :, g] = result[c, _systematic(weight[c], offset[c]), g]
    return result, efficiency


def _systematic(weights: np.ndarray, offset: float) -> np.ndarray:
    """Return which draws (draw,) systematic resampling by weights of any sum takes, in order."""
    ladder = (np.arange(weights.size) + offset) / weights.size
    steps = np.cumsum(weights)
    return np.minimum(np.searchsorted(steps / steps[-1], ladder), weights.size - 1)


def mixture_weights(
    draws: np.ndarray, model: ConditionalModel, hyper: Hyperparameters, coefficients: tuple[str, ...]
) -> np.ndarray:
    """Return the weights of every gene's draws, (gene, chain * draw), each gene's summing to 1."""
    flat = draws.reshape(-1, *draws.shape[2:])
    fixed: dict[str, float] = {
        f"shrinkage_scale[{name}]": hyper.shrinkage_scale.get(name, 1.0) for name in coefficients
    }
    fixed |= {"dispersion_sd": hyper.dispersion_sd, "asymptotic_dispersion": hyper.asymptotic_dispersion}
    fixed |= {"extra_poisson": hyper.extra_poisson, "nu": hyper.degrees_of_freedom}
    size = len(next(iter(hyper.draws.values())))
    table = {
        name: np.asarray(hyper.draws.get(name, np.full(size, value)), dtype=np.float64)
        for name, value in fixed.items()
    }
    used = np.linspace(0, size - 1, min(size, USED_DRAWS)).astype(int)
    table = {name: column[used] for name, column in table.items()}
    scales = np.stack([table[f"shrinkage_scale[{name}]"] for name in coefficients], axis=1)
    log_trend = np.log(table["asymptotic_dispersion"] + table["extra_poisson"] / model.base_mean[:, None])
    return _weights(
        np.ascontiguousarray(flat.transpose(1, 0, 2), dtype=np.float64),
        model.shrunken,
        (scales, log_trend, table["dispersion_sd"], table["nu"]),
        (model.shrinkage_scale, model.log_trend, model.dispersion_sd, model.nu),
    )


@njit(cache=True, parallel=True)
def _weights(draws, shrunken, sampled, start):  # type: ignore[no-untyped-def]
    """Average the normalized ratios of prior densities over draws (gene, draw, P + 1)."""
    scales, log_trend, sd, nu = sampled
    scale_0, log_trend_0, sd_0, nu_0 = start
    n_genes, n_draws = draws.shape[:2]
    n_hyper = sd.size
    weights = np.zeros((n_genes, n_draws))
    for g in prange(n_genes):
        before, ratio = np.empty(n_draws), np.empty(n_draws)
        for m in range(n_draws):
            before[m] = log_prior(draws[g, m], shrunken, scale_0, log_trend_0[g], sd_0, nu_0)
        for s in range(n_hyper):
            highest = -math.inf
            for m in range(n_draws):
                now = log_prior(draws[g, m], shrunken, scales[s], log_trend[g, s], sd[s], nu[s])
                ratio[m] = now - before[m]
                highest = max(highest, ratio[m])
            total = 0.0
            for m in range(n_draws):
                ratio[m] = math.exp(ratio[m] - highest)
                total += ratio[m]
            for m in range(n_draws):
                weights[g, m] += ratio[m] / (total * n_hyper)
    return weights
