r"""A proposal brought nearer to the posterior by what its draws have shown.

One step of population Monte Carlo (Cappe, Douc, Guillin, Marin and Robert 2008,
doi:10.1007/s11222-008-9059-x): with the weights w_m of the draws and the responsibilities rho_cm of the
components,

    location_c = sum_m w_m rho_cm x_cm / W_c,     W_c = sum_m w_m rho_cm,
    scale_c    = sum_m w_m rho_cm (x_cm - location_c)(x_cm - location_c)' / W_c,

for the components that enough draws speak for. x_c is what a component does not draw from Cauchy
distributions, less what makes way for those: theta_F - C_c (theta_K - location_K). The last component, with
the prior's tails, stays as it is.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from bayesde.posterior.importance.mixture import Proposal, component_densities, component_heights

__all__ = ["adapted"]

ENOUGH = 5
"""Effective draws for each parameter that a component needs to be moved."""
RIDGE = 1e-6


def adapted(proposal: Proposal, theta: np.ndarray, weights: np.ndarray) -> Proposal:
    """Move the components of every gene's mixture.

    Parameters
    ----------
    proposal : Proposal
    theta : ndarray (gene, draw, P + 1)
        Drawn from it.
    weights : ndarray (gene, draw)
        Each gene's add up to 1.

    Returns
    -------
    Proposal
        With the shares it had.
    """
    location, shape = proposal.location.copy(), proposal.shape.copy()
    for g in range(theta.shape[0]):
        points = theta[g].astype(np.float64)
        parts = _responsibilities(proposal, g, points) * weights[g]
        for c in np.flatnonzero(proposal.share[g] > 0.0)[:-1]:
            far = proposal.reach[g, c] > 0.0
            slope = shape[g, c][np.ix_(~far, far)]
            rest = points[:, ~far] - (points[:, far] - location[g, c, far]) @ slope.T
            moments = _moments(rest, parts[c])
            if moments is not None:
                location[g, c, ~far], shape[g, c][np.ix_(~far, ~far)] = moments
    return replace(proposal, location=location, shape=shape)


def _responsibilities(proposal: Proposal, g: int, points: np.ndarray) -> np.ndarray:
    """Return each component's part in the density of the points (component, draw)."""
    own = (proposal.location[g], proposal.shape[g], proposal.reach[g], proposal.side[g])
    n, n_draws = proposal.share.shape[1], len(points)
    heights, parts = np.empty(n), np.empty((n, n_draws))
    component_heights(*own[1:3], proposal.share[g], heights)
    component_densities(np.ascontiguousarray(points.T), *own, heights, np.empty((3, n_draws)), parts)
    total = parts.sum(axis=0)
    return np.divide(parts, total, out=np.zeros_like(parts), where=total > 0.0)


def _moments(points: np.ndarray, weight: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """Return weighted mean and Cholesky factor of the inverse covariance; nothing if too few draws count."""
    mass, d = weight.sum(), points.shape[1]
    if not mass > 0.0 or mass**2 / np.sum(weight**2) < ENOUGH * d:
        return None
    share = weight / mass
    mean = share @ points
    gap = points - mean
    covariance = (share[:, None] * gap).T @ gap
    covariance += RIDGE * np.diag(np.diag(covariance) + RIDGE)
    try:
        return mean, np.linalg.cholesky(np.linalg.inv(covariance))
    except np.linalg.LinAlgError:
        return None
