r"""Each gene's proposal distribution: a mixture of Student-t distributions, its draws and their weights.

The posterior of theta = (beta, ln alpha) under a Cauchy prior has a spike where a coefficient is zero, a
wide shoulder, and sometimes a second mode. One distribution around the mode misses most of that; a mixture
does not:

    q(theta) = sum_c  share_c  t_df(theta | location_c, scale_c)

Its components are Laplace approximations: at the modes under the prior with every scale S_k multiplied by
25, 5 and 1, each followed from the one before, wide to narrow, and, if that is another one, at the mode
that is reached from no effect. Where one group has no counts the posterior also has the tails of the Cauchy
prior: a last component has the prior's law for the shrunken coefficients s, with the scale
max(S_k, 2 |mode_k|) of the mode under the widest prior, and for the others u and ln alpha

    (beta_u, a) | beta_s ~ t_df(location + C (beta_s - mode_s)),  C = -(X_u' Y X_u)^-1 X_u' Y X_s,

with Y = diag(y), so that the others make way by as much as keeps the expected counts where counts are. (Of
draws of the prior itself hardly one in a hundred is as far out as the posterior of a gene without counts in a
group.) Shares are fitted to a few pilot draws, but none is below `SMALLEST_SHARE`: the wide components bound
the weights, because the Cauchy density is never above its peak.

What is kept of a draw is ln p(y | theta) - ln q(theta), with the wide normal priors of the coefficients
that are not shrunken: everything that does not depend on the hyperparameters.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
from numba import njit

from bayesde.eb.layout import Cells
from bayesde.eb.threads import over_genes
from bayesde.posterior.importance.counts_density import log_likelihoods
from bayesde.posterior.importance.elementary import exponentials, sum_of
from bayesde.posterior.importance.mixture import (
    Proposal,
    component_densities,
    component_heights,
    distance_squared,
    draw_mixture,
    stratified_counts,
    subtract_log_mixture,
)
from bayesde.posterior.importance.prior_weights import log_prior_shape
from bayesde.posterior.mode import climb, fill_factor, starting_points
from bayesde.posterior.model import ConditionalModel, log_density_derivatives

__all__ = ["Draws", "draw", "fitted_shares", "gene_seeds", "laplace_mixture"]

WIDER = (25.0, 5.0, 1.0)
"""By what the prior's scales are multiplied, for one component after the other."""
LAPLACE = len(WIDER) + 1
COMPONENTS = LAPLACE + 1
SMALLEST_SHARE = 0.08
LARGEST_FLOOR = 0.4
"""Of all components together."""
PILOT = 200
"""Draws that the shares are fitted to."""
EM_STEPS = 10
REACH = 2.0
"""Scale of the Cauchy distributions of the last component, over the mode under the widest prior."""
STRETCH = 1.5
"""By how much the last component is wider than Laplace's approximation: with few counts and a large
dispersion the posterior of the level falls off slowly, and on one side only."""
SAME = 0.1
"""Two modes that are nearer to one another, in standard deviations, are one."""


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
    return np.frombuffer(b"".join(digests), dtype="<u4").astype(np.uint32)


def laplace_mixture(model: ConditionalModel, beta: np.ndarray, log_dispersion: np.ndarray) -> Proposal:
    """Build every gene's mixture.

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
        With equal shares; a component that is another one again has none.
    """
    start, null = starting_points(model, beta, log_dispersion)
    n_genes, d = start.shape
    location = np.empty((n_genes, COMPONENTS, d))
    factor = np.zeros((n_genes, COMPONENTS, d, d))
    used = np.ones((n_genes, COMPONENTS), dtype=np.bool_)
    shrunken = np.append(model.shrunken, False)
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
        model.prior_scale,
        model.log_trend,
        model.dispersion_sd,
        model.nu,
        location,
        factor,
        used,
    )
    location[:, -1] = location[:, 0]
    share = used / used.sum(axis=1, keepdims=True)
    reach = np.maximum(np.append(model.shrinkage_scale, 1.0), REACH * np.abs(location[:, 0]))
    scale = np.where(shrunken, reach, 1.0)
    return Proposal(location, factor, _slopes(model), share, shrunken, scale)


def fitted_shares(
    model: ConditionalModel, proposal: Proposal, seeds: np.ndarray, n_draws: int = PILOT
) -> Proposal:
    """Fit the shares of the components to the posterior by a few draws of each.

    They are those that maximize sum_m w_m ln q(theta_m) over pilot draws with the weights w_m, by the EM
    algorithm (Cappe et al. 2008, doi:10.1007/s11222-008-9059-x), and none is below `SMALLEST_SHARE`.

    Parameters
    ----------
    model : ConditionalModel
    proposal : Proposal
    seeds : ndarray of uint32 (gene,)
    n_draws : int

    Returns
    -------
    Proposal
    """
    used = proposal.share > 0.0
    even = replace(proposal, share=used / used.sum(axis=1, keepdims=True))
    pilot = draw(model, even, seeds ^ np.uint32(0x9E3779B9), n_draws)
    share = even.share.copy()
    over_genes(
        _fit_shares,
        model.n_genes,
        *even.arrays,
        pilot.theta,
        pilot.log_ratio,
        model.shrinkage_scale,
        model.log_trend,
        model.dispersion_sd,
        model.nu,
        share,
    )
    number = used.sum(axis=1, keepdims=True)
    least = np.minimum(SMALLEST_SHARE, LARGEST_FLOOR / number)
    return replace(proposal, share=np.where(used, least + (1.0 - least * number) * share, 0.0))


def _slopes(model: ConditionalModel) -> np.ndarray:
    """Return C of the last component (gene, P + 1, P + 1); zero but in rows of unshrunken coefficients."""
    d = model.n_coefficients + 1
    slope = np.zeros((model.n_genes, d, d))
    fixed, moved = np.flatnonzero(~model.shrunken), np.flatnonzero(model.shrunken)
    if not fixed.size or not moved.size:
        return slope
    weights = model.y + 1e-3 * (model.y.mean(axis=1, keepdims=True) + 1e-3)
    weighted = (weights[:, :, None] * model.x[:, fixed]).transpose(0, 2, 1)
    answer = -np.linalg.solve(weighted @ model.x[:, fixed], weighted @ model.x[:, moved])
    slope[np.ix_(np.arange(model.n_genes), fixed, moved)] = answer
    return slope


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
    exact = replace(proposal, share=counts / n_draws)
    theta = np.empty((model.n_genes, n_draws, model.n_coefficients + 1), dtype=np.float32)
    log_ratio, cells = np.empty((model.n_genes, n_draws)), Cells.of(model.x)
    over_genes(draw_mixture, model.n_genes, exact, counts, seeds, theta)
    over_genes(
        log_likelihoods,
        model.n_genes,
        theta,
        model.y,
        model.log_nf,
        cells.rows,
        cells.bounds,
        cells.order,
        model.shrunken,
        model.unshrunken_sd,
        log_ratio,
    )
    over_genes(subtract_log_mixture, model.n_genes, *exact.arrays, theta, log_ratio)
    return Draws(theta, log_ratio)


@njit(cache=True, nogil=True, error_model="numpy")
def _laplace(  # type: ignore[no-untyped-def]
    first,
    last,
    start,
    null,
    wider,
    y,
    log_nf,
    x,
    shrunken,
    scale,
    log_trend,
    sd,
    nu,
    location,
    factor,
    used,
):
    """Fill location and factor of the components of some genes, and which of them are no repetition."""
    d = start.shape[1]
    gradient, hessian, widest = np.empty(d), np.empty((d, d)), np.empty((d, d))
    n_wide = wider.size
    for g in range(first, last):
        for c in range(n_wide + 1):
            near = np.where(shrunken, scale * (wider[c] if c < n_wide else 1.0), scale)
            if c == n_wide:
                location[g, c] = null[g]
            else:
                location[g, c] = start[g] if c == 0 else location[g, c - 1]
            climb(location[g, c], y[g], log_nf[g], x, shrunken, near, log_trend[g], sd, nu)
            log_density_derivatives(
                location[g, c], y[g], log_nf[g], x, shrunken, near, log_trend[g], sd, nu, gradient, hessian
            )
            fill_factor(location[g, c], hessian, shrunken, near, factor[g, c])
            if c == 0:
                widest[:, :] = hessian
        if distance_squared(location[g, n_wide], location[g], factor[g], n_wide - 1) < SAME**2:
            used[g, n_wide] = False
        # of the last component: what is not shrunken, given the coefficients that are
        for k in range(d - 1):
            if shrunken[k]:
                widest[k, :] = 0.0
                widest[:, k] = 0.0
                widest[k, k] = -1.0
        fill_factor(location[g, 0], widest, np.zeros_like(shrunken), scale, factor[g, n_wide + 1])
        factor[g, n_wide + 1] /= STRETCH


@njit(cache=True, error_model="numpy")
def _em_step(weights, parts, share, total, work):  # type: ignore[no-untyped-def]
    """Move shares to the weighted means of the components' responsibilities.

    ``total`` and ``work`` are room to work in.
    """
    total[:] = 0.0
    for c in range(share.size):
        part, multiple = parts[c], share[c]
        for m in range(total.size):
            total[m] += multiple * part[m]
    for m in range(total.size):
        total[m] = weights[m] / total[m] if total[m] > 0.0 else 0.0
    for c in range(share.size):
        part = parts[c]
        for m in range(total.size):
            work[m] = part[m] * total[m]
        share[c] *= sum_of(work)


@njit(cache=True, nogil=True, error_model="numpy")
def _fit_shares(  # type: ignore[no-untyped-def]
    first,
    last,
    location,
    factor,
    slope,
    share,
    shrunken,
    scale,
    theta,
    log_ratio,
    near,
    log_trend,
    sd,
    nu,
    fitted,
):
    """Fit the shares of some genes to weighted draws, weights cut at sqrt(draw) times their mean."""
    n_draws, d = theta.shape[1:]
    n = share.shape[1]
    points, work, parts = np.empty((d, n_draws)), np.empty((d + 2, n_draws)), np.empty((n, n_draws))
    weights, heights, bits = np.empty(n_draws), np.empty(n), np.empty(n_draws, dtype=np.int64)
    columns, even = np.flatnonzero(shrunken), np.ones(n)
    inverse_scale = 1.0 / near[columns]
    for g in range(first, last):
        points[:, :] = theta[g].T
        component_heights(factor[g], even, shrunken, scale[g], heights)
        component_densities(
            points, location[g], factor[g], slope[g], shrunken, scale[g], heights, work, parts
        )
        log_prior_shape(
            points, columns, inverse_scale, log_trend[g], 1.0 / sd, nu, bits, work[0], work[1], weights
        )
        for m in range(n_draws):
            weights[m] += log_ratio[g, m]
        highest = weights.max()
        if not highest > -math.inf:
            continue
        for m in range(n_draws):
            work[0, m] = weights[m] - highest
        exponentials(work[0], bits, weights)
        most = math.sqrt(n_draws) * (sum_of(weights) / n_draws)
        for m in range(n_draws):
            weights[m] = min(weights[m], most)
        weights /= sum_of(weights)
        for _ in range(EM_STEPS):
            _em_step(weights, parts, fitted[g], work[0], work[1])
