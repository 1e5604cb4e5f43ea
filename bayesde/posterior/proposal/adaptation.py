r"""A proposal brought nearer to the posterior by what its draws have shown.

One step of population Monte Carlo (Cappe, Douc, Guillin, Marin and Robert 2008,
doi:10.1007/s11222-008-9059-x): with the weights w_m of the draws and the responsibilities rho_cm of the
components,

    location_c = sum_m w_m rho_cm x_cm / W_c,     W_c = sum_m w_m rho_cm,
    scale_c    = sum_m w_m rho_cm (x_cm - location_c)(x_cm - location_c)' / W_c,

for the components with enough effective draws. x_c are the parameters that a component does not draw from
Cauchy distributions, less the shift given those that it does: theta_F - C_c (theta_K - location_K). The last
component, with the prior's tails, stays as it is.
"""

from __future__ import annotations

import numpy as np

from bayesde.numerics.cholesky import cholesky, invert
from bayesde.numerics.compiled import copy_row, kernel, transpose
from bayesde.numerics.sums import add_multiple, sum_of, sum_of_products
from bayesde.numerics.threads import over_genes
from bayesde.posterior.proposal.mixture import Mixture, component_densities, component_heights, one_mixture

__all__ = ["adapted"]

ENOUGH = 5
"""Effective draws for each parameter that a component needs to be moved."""
RIDGE = 1e-6


def adapted(proposal: Mixture, theta: np.ndarray, weights: np.ndarray) -> Mixture:
    """Move the components of every gene's mixture.

    Parameters
    ----------
    proposal : Mixture
    theta : ndarray (gene, draw, P + 1)
        Drawn from it.
    weights : ndarray (gene, draw)
        Each gene's add up to 1.

    Returns
    -------
    Mixture
        With the shares it had.
    """
    location, shape = proposal.location.copy(), proposal.shape.copy()
    over_genes(_move, theta.shape[0], proposal, theta, weights, location, shape)
    return proposal._replace(location=location, shape=shape)


@kernel
def _move(first, last, mixture, theta, weights, new_location, new_shape):  # type: ignore[no-untyped-def]
    """Write where the components of some genes move to."""
    n_draws, d = theta.shape[1:]
    n = mixture.share.shape[1]
    points, work, parts = np.empty((d, n_draws)), np.empty((3, n_draws)), np.empty((n, n_draws))
    heights, total = np.empty(n), np.empty(n_draws)
    for g in range(first, last):
        transpose(theta[g], points)
        own = one_mixture(mixture, g)
        component_heights(own, own.share, heights)
        component_densities(points, own, heights, work, parts)
        total[:] = 0.0
        for c in range(n):
            add_multiple(1.0, parts[c], total)
        for m in range(n_draws):
            total[m] = weights[g, m] / total[m] if total[m] > 0.0 else 0.0
        for c in np.flatnonzero(own.share)[:-1]:
            for m in range(n_draws):
                parts[c, m] *= total[m]
            location, scales = own.location[c], own.cauchy_scale[c]
            _move_component(points, parts[c], location, scales, new_location[g, c], new_shape[g, c])


@kernel
def _move_component(points, weight, location, scales, new_location, new_shape):  # type: ignore[no-untyped-def]
    """Move one component to the moments of weighted draws; not at all if too few draws count.

    Parameters
    ----------
    points : ndarray (P + 1, draw)
    weight : ndarray (draw,)
        Of any sum.
    location, scales : ndarray (P + 1,)
        The component's `location` and `cauchy_scale`.
    new_location, new_shape : ndarray (P + 1,), (P + 1, P + 1)
        Copies of the component's, written to; the slopes C stay.
    """
    free, far = np.flatnonzero(scales == 0.0), np.flatnonzero(scales > 0.0)
    d, mass = free.size, sum_of(weight)
    if not mass > 0.0 or mass**2 / sum_of_products(weight, weight) < ENOUGH * d:
        return
    gaps, weighted, mean = np.empty((d, weight.size)), np.empty(weight.size), np.empty(d)
    covariance, factor, inverse = np.empty((d, d)), np.zeros((d, d)), np.empty((d, d))
    for i in range(d):
        row = gaps[i]
        copy_row(points[free[i]], row)
        for k in far:
            add_multiple(-new_shape[free[i], k], points[k] - location[k], row)
        mean[i] = sum_of_products(weight, row) / mass
        for m in range(row.size):
            row[m] -= mean[i]
            weighted[m] = weight[m] * row[m]
        for b in range(i + 1):
            covariance[i, b] = covariance[b, i] = sum_of_products(weighted, gaps[b]) / mass
    for i in range(d):
        covariance[i, i] += RIDGE * (covariance[i, i] + RIDGE)
    if not cholesky(covariance, factor):
        return
    invert(factor, inverse)
    if not cholesky(inverse, factor):
        return
    for i in range(d):
        new_location[free[i]] = mean[i]
        for b in range(d):
            new_shape[free[i], free[b]] = factor[i, b]
