r"""Each gene's proposal distribution: a mixture of Student-t distributions, its draws and their weights.

The posterior of theta = (beta, ln alpha) under a Cauchy prior has a spike where a coefficient is zero, a wide
shoulder, and sometimes a second mode. One distribution around the mode misses most of that; a mixture of four
does not:

    q(theta) = sum_c  share_c  t_df(theta | location_c, scale_c)

Its components are Laplace approximations: at the modes under the prior with every scale S_k multiplied by 25,
5 and 1, each followed from the one before, wide to narrow, and at the mode that is reached from no effect.
Shares follow the components' masses by Laplace's approximation, but none is below `SMALLEST_SHARE`: the wide
ones bound the weights, because the Cauchy density is never above its peak. Draws are stratified: each
component gives exactly its share of them.

What is kept of a draw is ln p(y | theta) - ln q(theta), with the wide normal priors of the coefficients that
are not shrunken: everything that does not depend on the hyperparameters.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
from numba import njit

from bayesde.eb.nb import gamma_excess, log_ratio
from bayesde.eb.threads import over_genes
from bayesde.posterior.mode import climb, fill_factor, starting_points
from bayesde.posterior.model import NUISANCE_SD, ConditionalModel, log_density, log_density_derivatives

__all__ = ["Draws", "Proposal", "draw", "gene_seeds", "laplace_mixture"]

WIDER = (25.0, 5.0, 1.0)
"""By what the prior's scales are multiplied, for one component after the other."""
COMPONENTS = len(WIDER) + 1
DF = 6.0
SMALLEST_SHARE = 0.1
LARGEST_ETA = 700.0
"""Log means are cut here, where the exponential would overflow."""


@dataclass(frozen=True, eq=False)
class Proposal:
    """Mixtures of Student-t distributions with `DF` degrees of freedom.

    Attributes
    ----------
    location : ndarray (gene, component, P + 1)
        Coefficients and log dispersion, natural log.
    factor : ndarray (gene, component, P + 1, P + 1)
        Lower Cholesky factor of the inverse of the component's scale matrix.
    share : ndarray (gene, component)
        Weights of the mixture, adding up to 1.
    """

    location: np.ndarray
    factor: np.ndarray
    share: np.ndarray

    def genes(self, rows: np.ndarray) -> Proposal:
        """Take some of the genes, by index or by mask."""
        return Proposal(self.location[rows], self.factor[rows], self.share[rows])


@dataclass(frozen=True, eq=False)
class Draws:
    """Draws from the proposals.

    Attributes
    ----------
    theta : ndarray of float32 (gene, draw, P + 1)
    log_ratio : ndarray (gene, draw)
        ln p(y | theta) + ln p(unshrunken coefficients) - ln q(theta), at theta as it is stored.
    """

    theta: np.ndarray
    log_ratio: np.ndarray


def gene_seeds(names: Iterable[str], seed: int) -> np.ndarray:
    """Return a seed of 32 bits for every gene, from its name and the run's seed alone.

    Parameters
    ----------
    names : iterable of str
    seed : int

    Returns
    -------
    ndarray of uint32 (gene,)
    """
    key = int(seed).to_bytes(8, "little")
    digests = (hashlib.blake2b(str(name).encode(), digest_size=4, key=key).digest() for name in names)
    return np.frombuffer(b"".join(digests), dtype=np.uint32)


def laplace_mixture(model: ConditionalModel, beta: np.ndarray, log_dispersion: np.ndarray) -> Proposal:
    """Build every gene's mixture of Laplace approximations.

    Parameters
    ----------
    model : ConditionalModel
        Its hyperparameters are those that the proposal is made for.
    beta : ndarray (gene, coefficient)
        Where to start, natural log; NaN is taken as 0.
    log_dispersion : ndarray (gene,)

    Returns
    -------
    Proposal
    """
    start, null = starting_points(model, beta, log_dispersion)
    n_genes, d = start.shape
    location = np.empty((n_genes, COMPONENTS, d))
    factor = np.zeros((n_genes, COMPONENTS, d, d))
    log_mass = np.empty((n_genes, COMPONENTS))
    over_genes(
        _laplace,
        n_genes,
        start,
        null,
        np.array(WIDER),
        model.y,
        model.log_nf,
        model.x,
        model.shrunken,
        model.shrinkage_scale,
        model.log_trend,
        model.dispersion_sd,
        model.nu,
        location,
        factor,
        log_mass,
    )
    return Proposal(location, factor, floored_shares(log_mass))


def floored_shares(log_mass: np.ndarray) -> np.ndarray:
    """Turn log masses (gene, component) into shares that add up to 1, none below `SMALLEST_SHARE`."""
    mass = np.exp(np.nan_to_num(log_mass - log_mass.max(axis=1, keepdims=True), nan=-700.0))
    share = mass / mass.sum(axis=1, keepdims=True)
    return SMALLEST_SHARE + (1.0 - SMALLEST_SHARE * share.shape[1]) * share


def draw(model: ConditionalModel, proposal: Proposal, seeds: np.ndarray, n_draws: int) -> Draws:
    """Draw from every gene's proposal and evaluate likelihood and proposal there.

    Parameters
    ----------
    model : ConditionalModel
        Of it only counts, factors and design are used.
    proposal : Proposal
    seeds : ndarray of uint32 (gene,)
        A gene's draws depend on its seed, its proposal and their number only.
    n_draws : int

    Returns
    -------
    Draws
    """
    counts = stratified_counts(proposal.share, n_draws)
    proposal = replace(proposal, share=counts / n_draws)
    theta = np.empty((model.n_genes, n_draws, model.n_coefficients + 1), dtype=np.float32)
    log_ratio = np.empty((model.n_genes, n_draws))
    arguments = (proposal.location, proposal.factor, proposal.share)
    over_genes(_draw, model.n_genes, *arguments, counts, seeds, theta)
    over_genes(
        _log_ratio,
        model.n_genes,
        *arguments,
        theta,
        model.y,
        model.log_nf,
        model.x,
        model.shrunken,
        log_ratio,
    )
    return Draws(theta, log_ratio)


def stratified_counts(share: np.ndarray, n_draws: int) -> np.ndarray:
    """Return how many of the draws each component gives (gene, component): largest remainders are rounded up."""
    exact = share * n_draws
    counts = np.floor(exact).astype(np.int64)
    order = np.argsort(np.argsort(counts - exact, axis=1, kind="stable"), axis=1, kind="stable")
    counts += order < (n_draws - counts.sum(axis=1, keepdims=True))
    return counts


@njit(cache=True, nogil=True)
def _laplace(  # type: ignore[no-untyped-def]
    first, last, start, null, wider, y, log_nf, x, shrunken, scale, log_trend, sd, nu, location, factor, log_mass
):
    """Fill location, factor and log mass of the components of some genes."""
    d = start.shape[1]
    gradient, hessian = np.empty(d), np.empty((d, d))
    for g in range(first, last):
        for c in range(wider.size + 1):
            if c == wider.size:
                location[g, c] = null[g]
            else:
                location[g, c] = start[g] if c == 0 else location[g, c - 1]
            near = scale * (wider[c] if c < wider.size else 1.0)
            climb(location[g, c], y[g], log_nf[g], x, shrunken, near, log_trend[g], sd, nu)
            log_density_derivatives(
                location[g, c], y[g], log_nf[g], x, shrunken, near, log_trend[g], sd, nu, gradient, hessian
            )
            fill_factor(location[g, c], hessian, shrunken, near, factor[g, c])
            log_mass[g, c] = _log_mass(
                location[g, c], factor[g, c], y[g], log_nf[g], x, shrunken, scale, log_trend[g], sd, nu
            )


@njit(cache=True)
def _log_mass(theta, factor, y, log_nf, x, shrunken, scale, log_trend, sd, nu):  # type: ignore[no-untyped-def]
    """Log of what the posterior holds around theta, by Laplace's approximation, up to a constant."""
    value = log_density(theta, y, log_nf, x, shrunken, scale, log_trend, sd, nu)
    for k in range(theta.size):
        value -= math.log(factor[k, k])
    return value


@njit(cache=True, nogil=True)
def _draw(first, last, location, factor, share, counts, seeds, theta):  # type: ignore[no-untyped-def]
    """Fill theta (gene, draw, P + 1) of some genes; every gene starts the generator anew."""
    d = location.shape[2]
    z = np.empty(d)
    for g in range(first, last):
        np.random.seed(seeds[g])
        m = 0
        for c in range(location.shape[1]):
            for _ in range(counts[g, c]):
                stretch = math.sqrt(DF / np.random.chisquare(DF))
                for k in range(d):
                    z[k] = stretch * np.random.standard_normal()
                for k in range(d - 1, -1, -1):  # solve L' x = z
                    for b in range(k + 1, d):
                        z[k] -= factor[g, c, b, k] * z[b]
                    z[k] /= factor[g, c, k, k]
                for k in range(d):
                    theta[g, m, k] = location[g, c, k] + z[k]
                m += 1


@njit(cache=True)
def log_proposal(theta, location, factor, share, logs):  # type: ignore[no-untyped-def]
    """Log density of one gene's mixture at theta; ``logs`` (component,) is room to work in."""
    d = theta.size
    constant = math.lgamma(0.5 * (DF + d)) - math.lgamma(0.5 * DF) - 0.5 * d * math.log(DF * math.pi)
    highest = -math.inf
    for c in range(share.size):
        logs[c] = -math.inf
        if share[c] > 0.0:
            square, log_root = 0.0, 0.0
            for k in range(d):
                total = 0.0
                for b in range(k, d):
                    total += factor[c, b, k] * (theta[b] - location[c, b])
                square += total * total
                log_root += math.log(factor[c, k, k])
            logs[c] = math.log(share[c]) + log_root - 0.5 * (DF + d) * math.log1p(square / DF)
            highest = max(highest, logs[c])
    total = 0.0
    for c in range(share.size):
        total += math.exp(logs[c] - highest)
    return constant + highest + math.log(total)


@njit(cache=True)
def log_likelihood(theta, y, log_nf, x, constant):  # type: ignore[no-untyped-def]
    r"""Log probability of one gene's counts at theta = (beta, ln alpha).

    sum_j (y+r) ln((y+r)/(mu+r)) + A(y+r) - A(r) + y ln mu, r = 1/alpha, and ``constant`` = -sum_j (y + ln y!);
    A is ``gamma_excess``.
    """
    p = theta.size - 1
    r = math.exp(-theta[p])
    total = constant - y.size * gamma_excess(r)
    for j in range(y.size):
        eta = log_nf[j]
        for k in range(p):
            eta += x[j, k] * theta[k]
        eta = min(max(eta, -LARGEST_ETA), LARGEST_ETA)
        count = float(y[j])
        total += (count + r) * log_ratio(count, math.exp(eta), r) + gamma_excess(count + r) + count * eta
    return total


@njit(cache=True)
def log_likelihood_constant(y):  # type: ignore[no-untyped-def]
    """Return what the log probability of the counts of one gene owes to them alone."""
    total = 0.0
    for j in range(y.size):
        total -= y[j] + math.lgamma(y[j] + 1.0)
    return total


@njit(cache=True, nogil=True)
def _log_ratio(first, last, location, factor, share, theta, y, log_nf, x, shrunken, log_ratio):  # type: ignore[no-untyped-def]
    """Fill ln p(y | theta) + ln p(unshrunken) - ln q(theta) of some genes."""
    d = theta.shape[2]
    point, logs = np.empty(d), np.empty(share.shape[1])
    wide = -math.log(NUISANCE_SD * math.sqrt(2.0 * math.pi))
    for g in range(first, last):
        constant = log_likelihood_constant(y[g])
        for m in range(theta.shape[1]):
            value = 0.0
            for k in range(d):
                point[k] = theta[g, m, k]
                if k < d - 1 and not shrunken[k]:
                    value += wide - 0.5 * (point[k] / NUISANCE_SD) ** 2
            value += log_likelihood(point, y[g], log_nf[g], x, constant)
            log_ratio[g, m] = value - log_proposal(point, location[g], factor[g], share[g], logs)
