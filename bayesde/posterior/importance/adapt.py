r"""A proposal brought nearer to the posterior by what its draws have shown.

One step of population Monte Carlo (Cappe, Douc, Guillin, Marin and Robert 2008,
doi:10.1007/s11222-008-9059-x): with the weights w_m of the draws and the responsibilities rho_cm of the
components,

    location_c = sum_m w_m rho_cm theta_m / W_c,     W_c = sum_m w_m rho_cm,
    scale_c    = sum_m w_m rho_cm (theta_m - location_c)(theta_m - location_c)' / W_c,

for the components that enough draws speak for. The component with the prior's tails stays as it is.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from bayesde.posterior.importance.mixture import DF, Proposal

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
    location, factor = proposal.location.copy(), proposal.factor.copy()
    for g in range(theta.shape[0]):
        points = theta[g].astype(np.float64)
        for c, weight in enumerate(_responsibilities(proposal, g, points).T * weights[g]):
            moments = _moments(points, weight)
            if moments is not None:
                location[g, c], factor[g, c] = moments
    return replace(proposal, location=location, factor=factor)


def _responsibilities(proposal: Proposal, g: int, points: np.ndarray) -> np.ndarray:
    """Return each Laplace component's part in the mixture of them at the points, (draw, component)."""
    d = points.shape[1]
    logs = np.full((points.shape[0], proposal.share.shape[1] - 1), -np.inf)
    for c in np.flatnonzero(proposal.share[g, :-1] > 0.0):
        factor = proposal.factor[g, c]
        square = (((points - proposal.location[g, c]) @ factor) ** 2).sum(axis=1)
        height = np.log(proposal.share[g, c]) + np.log(np.diag(factor)).sum()
        logs[:, c] = height - 0.5 * (DF + d) * np.log1p(square / DF)
    parts = np.exp(logs - logs.max(axis=1, keepdims=True))
    return np.asarray(parts / parts.sum(axis=1, keepdims=True))


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
