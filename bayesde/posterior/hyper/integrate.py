r"""Integrate draws that were made with fixed hyperparameters over the posterior of these.

Draws theta_m of a gene, made at phi_0, become draws of its posterior with phi integrated out under the
weights

    w_m = mean_s  r_ms / sum_m r_ms,     r_ms = p(theta_m | phi_s) / p(theta_m | phi_0),

over draws phi_s of the hyperparameters' posterior: the likelihood of the counts cancels. This is importance
sampling as engine psis does it, with the posterior at phi_0 for a proposal; so the weights are smoothed in
the same way, and their Pareto k tells whether phi_0 was near enough. Every chain is resampled by its own
weights, so that chains stay independent and their diagnostics can be taken anew.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from bayesde.model.density import ConditionalModel
from bayesde.model.effect_prior import log_effect_densities
from bayesde.model.hyperparameter_space import HyperparameterSpace
from bayesde.model.hyperparameters import Hyperparameters
from bayesde.numerics.resampling import systematic
from bayesde.posterior.draws.pareto_smoothing import smoothed
from bayesde.posterior.draws.streams import Stream, seeds_for
from bayesde.posterior.hyper.hyperparameter_posterior import HyperparameterPosterior
from bayesde.posterior.hyper.marginal_likelihood import MarginalLikelihood, gene_weights
from bayesde.posterior.proposal.drawing import ProposalDraws

__all__ = ["hyper_points", "integrated_draws", "log_shared_prior", "mixture_weights"]

USED_DRAWS = 200
"""Draws of the hyperparameters that weights are averaged over, evenly from those there are: their own
Monte-Carlo error is then well below that of a gene's draws."""
NEARLY_EQUAL = 0.99
"""Where the weighted draws are worth this share of as many equal ones, no weight can matter, whatever the
shape of the largest: k, which knows that shape but not its size, is then reported as 0."""


def hyper_points(hyper: Hyperparameters, coefficients: tuple[str, ...]) -> HyperparameterPosterior | None:
    """Return the draws of hyperparameters that weights are averaged over; None if there are none.

    Parameters
    ----------
    hyper : Hyperparameters
    coefficients : tuple of str
        Names of the design's columns.
    """
    if not hyper.draws:
        return None
    space = HyperparameterSpace.of(coefficients, hyper)
    varying = replace(space, mixtures=())  # of a law that is known the densities cancel
    return HyperparameterPosterior.fixed(varying, hyper, USED_DRAWS)


def integrated_draws(
    draws: np.ndarray, model: ConditionalModel, points: HyperparameterPosterior, seeds: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Resample every gene's draws, so that the hyperparameters are integrated out.

    Parameters
    ----------
    draws : ndarray of float32 (chain, draw, gene, P + 1)
        Made under `model`.
    model : ConditionalModel
    points : HyperparameterPosterior
    seeds : ndarray of uint32 (gene,)

    Returns
    -------
    draws : ndarray of float32 (chain, draw, gene, P + 1)
        Of equal weight; in the chain and order that they had, some repeated, some left out.
    pareto_k : ndarray (gene,)
        Of the weights; NaN for a gene without draws.
    """
    chains, length = draws.shape[:2]
    weights = mixture_weights(draws, model, points)
    log_weights, pareto_k = smoothed(weights)
    known = np.isfinite(weights).all(axis=1)
    share = 1.0 / (weights.shape[1] * (weights**2).sum(axis=1))
    log_weights = np.where((share > NEARLY_EQUAL)[:, None], np.log(weights), log_weights)
    pareto_k = np.where(known, np.where(share > NEARLY_EQUAL, 0.0, pareto_k), np.nan)
    result = draws.copy()
    own = seeds_for(Stream.CHAINS_REWEIGHTED, seeds)
    for g in np.flatnonzero(known).tolist():
        rng = np.random.default_rng(int(own[g]))
        by_chain = np.exp(log_weights[g].astype(np.float64)).reshape(chains, length)
        for c in range(chains):
            steps = np.cumsum(by_chain[c])
            taken = systematic(steps / steps[-1], length, rng.random())
            result[c, :, g] = draws[c, taken, g]
    return result, pareto_k


def mixture_weights(
    draws: np.ndarray, model: ConditionalModel, points: HyperparameterPosterior
) -> np.ndarray:
    """Return the weights that integrate over the hyperparameters.

    Parameters
    ----------
    draws : ndarray of float32 (chain, draw, gene, P + 1)
        Made under `model`.
    model : ConditionalModel
    points : HyperparameterPosterior

    Returns
    -------
    ndarray (gene, chain * draw)
        Each gene's add up to 1.
    """
    flat = draws.reshape(-1, *draws.shape[2:]).transpose(1, 0, 2)
    theta = np.ascontiguousarray(flat, dtype=np.float32)
    with np.errstate(over="ignore", invalid="ignore"):
        log_ratio = -log_shared_prior(theta.astype(np.float64), model)
    likelihood = MarginalLikelihood.of(points.space, model, ProposalDraws(theta, log_ratio))
    return gene_weights(points.space, model.base_mean, theta, likelihood.log_ratio, points)


def log_shared_prior(theta: np.ndarray, model: ConditionalModel) -> np.ndarray:
    """Return the part of the log prior that depends on the hyperparameters.

    That is the prior of the shrunken coefficients and of the log dispersion.

    Parameters
    ----------
    theta : ndarray (gene, draw, P + 1)
    model : ConditionalModel

    Returns
    -------
    ndarray (gene, draw)
        Up to a constant.
    """
    shrunken = model.shrunken
    effects, scale, df = (
        theta[:, :, :-1][:, :, shrunken],
        model.shrinkage_scale[shrunken],
        model.prior_df[shrunken],
    )
    residual = (theta[:, :, -1] - model.log_trend[:, None]) / model.dispersion_sd
    square = residual**2
    tail = 0.5 * square if np.isinf(model.nu) else 0.5 * (model.nu + 1.0) * np.log1p(square / model.nu)
    total = log_effect_densities(effects, scale, df).sum(axis=2) - tail
    for t, (center, spread) in enumerate(zip(*model.log_sd_prior, strict=True)):
        total -= 0.5 * ((theta[:, :, t - 1 - model.n_random] - center) / spread) ** 2
    return np.asarray(total)
