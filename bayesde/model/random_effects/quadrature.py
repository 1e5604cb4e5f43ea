r"""One gene's log likelihood with the random intercepts of one grouping integrated out.

    p(y | beta, a, tau) = prod_d int prod_{j in d} NB(y_j | nf_j exp(x_j . beta + u), exp(a)) p(u | tau) du,

a product over groups d of integrals over one number each, by adaptive Gauss-Hermite quadrature (Liu and
Pierce 1994, doi:10.1093/biomet/81.3.624): with the mode u^ of the integrand f, which Newton's method finds
because ln f is concave, and its curvature h there,

    int f(u) du = h^-1/2 sqrt(2 pi) sum_l w_l exp(z_l^2 / 2) f(u^ + h^-1/2 z_l),

where z_l and w_l are nodes and weights for the standard normal distribution. The nodes with their shares of
the sum stand for the posterior of u, by which the derivatives are means of those of the complete data, whose
log density is c(u) (Fisher's identity, and for the Hessian that of Louis 1982, JRSS B 44:226):

    d ln p = sum_d E_d[dc],      d^2 ln p = sum_d E_d[d^2 c] + Cov_d[dc].

The law of u is normal with standard deviation exp(theta_P), the number of theta before the log dispersion, or
has a scale that is given: normal, or Student's t, for which ln f need not be concave, and whose nodes are
those of `bayesde.model.random_effects.two_centers`.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from bayesde.model.effect_prior import effect_derivatives, log_effect_density, tangent_curvature
from bayesde.model.random_effects.term_likelihood import (
    add_term_derivatives,
    sum_of_estimates,
    sum_of_integrals,
)
from bayesde.model.random_effects.two_centers import WIDER, fill_pair, log_node_density
from bayesde.numerics.compiled import kernel
from bayesde.numerics.gamma_functions import (
    HALF_LOG_TWO_PI,
    gamma_excess,
    gamma_excess_derivatives,
    log_ratio,
)

__all__ = [
    "LARGEST_LOG_SD",
    "add_group_derivatives",
    "center_of_counts",
    "conditional_mode",
    "estimated_log_likelihood",
    "group_log_likelihood",
    "group_scale",
    "integrate_group",
    "log_integrand",
    "log_law_height",
    "number_of_nodes",
    "sample_log_means",
]

LARGEST_LOG_SD = 100.0
"""Natural log, beyond which standard deviations are cut, so that their squares stay finite."""
LARGEST_ETA = 700.0
"""Log means are cut here, where the exponential would overflow."""
MOST_STEPS, LARGEST_STEP, NEAR = 60, 3.0, 1e-5
"""Of the search for a mode; and the step, over the standard deviation, that is the last."""
CLOSE, HALF_A_COUNT = 0.1, 0.5
"""The step, over the standard deviation, that ends the search for the center of counts, which need not be
exact; and what is added where it starts if all are 0."""


@kernel
def group_scale(theta, groups):  # type: ignore[no-untyped-def]
    """Return the scale of the law of the intercepts."""
    if groups.scale > 0.0:
        return groups.scale
    return math.exp(min(max(theta[theta.size - 2], -LARGEST_LOG_SD), LARGEST_LOG_SD))


@kernel
def log_law_height(df, scale):  # type: ignore[no-untyped-def]
    """Return the log density of the intercepts' law at 0."""
    if math.isinf(df):
        return -math.log(scale) - HALF_LOG_TWO_PI
    height = math.lgamma(0.5 * (df + 1.0)) - math.lgamma(0.5 * df) - 0.5 * math.log(df * math.pi)
    return height - math.log(scale)


@kernel
def sample_log_means(theta, log_nf, x, eta):  # type: ignore[no-untyped-def]
    """Fill the log means (sample,) without random effects."""
    for j in range(eta.size):
        eta[j] = log_nf[j]
        for k in range(x.shape[1]):
            eta[j] += x[j, k] * theta[k]


@kernel
def _mean(eta):  # type: ignore[no-untyped-def]
    return math.exp(min(max(eta, -LARGEST_ETA), LARGEST_ETA))


@kernel
def _slope_and_curvature(u, y, eta, r, members, df, scale):  # type: ignore[no-untyped-def]
    """Return the derivative of ln f at u, and minus the second one, made positive where it is not."""
    slope, curve = effect_derivatives(u, df, scale)
    curve = -curve
    if not math.isinf(df):
        curve += tangent_curvature(u, df, scale)
    for j in members:
        mu = _mean(eta[j] + u)
        share = 1.0 / (mu + r)
        slope += (r * share) * (y[j] - mu)
        curve += mu * (r * share) * ((y[j] + r) * share)
    return slope, curve


@kernel
def conditional_mode(y, eta, r, members, df, scale):  # type: ignore[no-untyped-def]
    """Return the mode u^ of one group's integrand, and the curvature h there.

    Parameters
    ----------
    y : ndarray (sample,)
    eta : ndarray (sample,)
        Log means without the random effect.
    r : float
        1 / dispersion.
    members : ndarray of int64 (member,)
        The samples of the group.
    df, scale : float
        Of the law of u.
    """
    u = 0.0
    for _ in range(MOST_STEPS):
        slope, curve = _slope_and_curvature(u, y, eta, r, members, df, scale)
        step = slope / curve
        u += min(max(step, -LARGEST_STEP), LARGEST_STEP)
        if abs(step) * math.sqrt(curve) < NEAR:
            break
    return u, _slope_and_curvature(u, y, eta, r, members, df, scale)[1]


@kernel
def log_integrand(u, y, eta, r, members, df, scale):  # type: ignore[no-untyped-def]
    """Return ln f(u), over the height of the law and without terms of the count and dispersion alone.

    Parameters
    ----------
    u : float
    y, eta, r, members, df, scale
        As of `conditional_mode`.
    """
    total = log_effect_density(u, df, scale)
    for j in members:
        mu, count = _mean(eta[j] + u), float(y[j])
        total += (count + r) * log_ratio(count, mu, r)
        if count > 0.0:
            total += count * math.log(mu / count)
    return total


@kernel
def number_of_nodes(groups):  # type: ignore[no-untyped-def]
    """Return of how many nodes the integral of a group is made."""
    return groups.nodes.size + 2 * groups.tangents.size


@kernel
def center_of_counts(y, eta, r, members, df, scale):  # type: ignore[no-untyped-def]
    """Return c and W of `bayesde.model.random_effects.two_centers`: parameters as of `conditional_mode`."""
    total, expected, power = 0.0, 0.0, 0.0
    for j in members:
        total += y[j]
        expected += _mean(eta[j])
    if total == 0.0:
        total, expected = HALF_A_COUNT, expected + HALF_A_COUNT
    u = math.log(total / expected) if expected > 0.0 else 0.0
    if math.isinf(df):
        precision = 1.0 / scale**2
    else:
        precision = (df + 1.0) / (df * scale**2 + u * u)
    for j in members:
        mu = _mean(eta[j] + u)
        power += mu * r / (mu + r)
    u, curve = u * power / (power + precision), 0.0
    for _ in range(MOST_STEPS):
        slope, curve = -u * precision, precision
        for j in members:
            mu = _mean(eta[j] + u)
            share = 1.0 / (mu + r)
            slope += (r * share) * (y[j] - mu)
            curve += mu * (r * share) * ((y[j] + r) * share)
        if abs(slope) < CLOSE * math.sqrt(curve):
            break
        u += min(max(slope / curve, -LARGEST_STEP), LARGEST_STEP)
    return u, WIDER / math.sqrt(curve)


@kernel
def _fill_two_centers(y, eta, r, members, groups, values, at):  # type: ignore[no-untyped-def]
    """Fill nodes and log integrands over their density; return what is left out of these."""
    scale, df = groups.scale, groups.df
    center, width = center_of_counts(y, eta, r, members, df, scale)
    for pair in range(groups.tangents.size):
        fill_pair(groups.tangents[pair], center, width, scale, at[2 * pair : 2 * pair + 2])
    for node in range(values.size):
        values[node] = log_integrand(at[node], y, eta, r, members, df, scale)
        values[node] -= log_node_density(at[node], center, width, scale)
    return log_law_height(df, scale) - math.log(float(groups.tangents.size))


@kernel
def integrate_group(y, eta, r, members, groups, scale, values, at):  # type: ignore[no-untyped-def]
    """Return the log integral of one group; fill the nodes, and their shares.

    Parameters
    ----------
    y, eta : ndarray (sample,)
        Counts, and log means without the random effect.
    r : float
        1 / dispersion.
    members : ndarray of int64 (member,)
        The samples of the group.
    groups : Groups
    scale : float
        From `group_scale`.
    values, at : ndarray (node,)
        Written to: shares of the nodes in the integral, and the nodes; `number_of_nodes` of them.

    Returns
    -------
    float
        Without the terms of `gamma_excess`.
    """
    if groups.tangents.size > 0:
        height = _fill_two_centers(y, eta, r, members, groups, values, at)
    else:
        u, curve = conditional_mode(y, eta, r, members, groups.df, scale)
        sd = 1.0 / math.sqrt(curve)
        for node in range(values.size):
            at[node] = u + sd * groups.nodes[node]
            values[node] = groups.log_weights[node]
            values[node] += log_integrand(at[node], y, eta, r, members, groups.df, scale)
        height = math.log(sd) + HALF_LOG_TWO_PI + log_law_height(groups.df, scale)
    best, total = -math.inf, 0.0
    for node in range(values.size):
        best = max(best, values[node])
    for node in range(values.size):
        values[node] = math.exp(values[node] - best)
        total += values[node]
    for node in range(values.size):
        values[node] /= total
    return best + math.log(total) + height


@kernel
def _log_constants(y, r):  # type: ignore[no-untyped-def]
    """Return what the log probability of one gene's counts has beside the terms that depend on means."""
    least, total = gamma_excess(r), 0.0
    for j in range(y.size):
        count = float(y[j])
        if count > 0.0:
            total += gamma_excess(count + r) - least - gamma_excess(count) - math.log(count) - HALF_LOG_TWO_PI
    return total


@kernel
def estimated_log_likelihood(theta, data, room):  # type: ignore[no-untyped-def]
    """Return the estimate of the log likelihood of one gene with several random effects.

    Parameters
    ----------
    theta : ndarray (P + 1,)
    data : GeneData
        Of the gene, with groups of several terms.
    room : Room
    """
    y, log_nf, x, groups = data
    eta, r = np.empty(y.size), math.exp(-theta[theta.size - 1])
    sample_log_means(theta, log_nf, x, eta)
    return _log_constants(y, r) + sum_of_estimates(theta, y, eta, r, groups, room)


@kernel
def group_log_likelihood(theta, data):  # type: ignore[no-untyped-def]
    """Return the log likelihood of one gene (`GeneData` with groups) at theta (P + 2,) or (P + 1,).

    With several random effects it is Laplace's approximation.
    """
    y, log_nf, x, groups = data
    eta, values, at = np.empty(y.size), np.empty(number_of_nodes(groups)), np.empty(number_of_nodes(groups))
    sample_log_means(theta, log_nf, x, eta)
    r, scale = math.exp(-theta[theta.size - 1]), group_scale(theta, groups)
    total = _log_constants(y, r)
    if groups.terms.z.shape[1] > 0:
        return total + sum_of_integrals(theta, y, eta, r, groups)
    for d in range(groups.bounds.size - 1):
        members = groups.order[groups.bounds[d] : groups.bounds[d + 1]]
        total += integrate_group(y, eta, r, members, groups, scale, values, at)
    return total


class _Terms(NamedTuple):
    """What the derivatives of one gene need of its counts and dispersion, by sample.

    Attributes
    ----------
    eta : ndarray (sample,)
    r, scale : float
    slope, curve : ndarray (sample,)
        A'(y + r) - A'(r) and T(y + r) - T(r).
    """

    eta: np.ndarray
    r: float
    scale: float
    slope: np.ndarray
    curve: np.ndarray


class _Sums(NamedTuple):
    """Work space of one group: the score at a node, its mean and second moment, and weights of rows.

    Attributes
    ----------
    score, mean : ndarray (P + 1,)
    square : ndarray (P + 1, P + 1)
    by_eta_twice, mixed : ndarray (sample,)
        Means of the second derivatives by eta, and by eta and ln alpha.
    """

    score: np.ndarray
    mean: np.ndarray
    square: np.ndarray
    by_eta_twice: np.ndarray
    mixed: np.ndarray


@kernel
def add_group_derivatives(theta, data, gradient, hessian):  # type: ignore[no-untyped-def]
    """Add to gradient and Hessian; return the log likelihood but for constants of the counts.

    Parameters
    ----------
    theta : ndarray (P + 1,)
        With the log standard deviation among the first P numbers, if it is not given.
    data : GeneData
        Of the gene, with groups.
    gradient, hessian : ndarray (P + 1,), (P + 1, P + 1)
        Added to.
    """
    y, log_nf, x, groups = data
    n, d = y.size, theta.size
    if groups.terms.z.shape[1] > 0:
        log_means = np.empty(n)
        sample_log_means(theta, log_nf, x, log_means)
        return add_term_derivatives(theta, data, log_means, gradient, hessian)
    values, at = np.empty(number_of_nodes(groups)), np.empty(number_of_nodes(groups))
    r = math.exp(-theta[d - 1])
    terms = _Terms(np.empty(n), r, group_scale(theta, groups), np.zeros(n), np.zeros(n))
    sums = _Sums(np.empty(d), np.empty(d), np.empty((d, d)), np.empty(n), np.empty(n))
    sample_log_means(theta, log_nf, x, terms.eta)
    total = _fill_dispersion_terms(y, r, terms)
    for group in range(groups.bounds.size - 1):
        members = groups.order[groups.bounds[group] : groups.bounds[group + 1]]
        total += integrate_group(y, terms.eta, r, members, groups, terms.scale, values, at)
        sums.mean[:], sums.square[:, :] = 0.0, 0.0
        sums.by_eta_twice[:], sums.mixed[:] = 0.0, 0.0
        for node in range(values.size):
            hessian[d - 1, d - 1] += _add_node(at[node], values[node], y, x, members, terms, sums)
            if groups.scale == 0.0:
                square = (at[node] / terms.scale) ** 2
                sums.score[d - 2] = square - 1.0
                hessian[d - 2, d - 2] -= values[node] * 2.0 * square
            for k in range(d):
                sums.mean[k] += values[node] * sums.score[k]
                for m in range(k + 1):
                    sums.square[k, m] += values[node] * sums.score[k] * sums.score[m]
        _add_group(x, members, sums, gradient, hessian)
    for k in range(d):
        for m in range(k):
            hessian[m, k] = hessian[k, m]
    return total


@kernel
def _fill_dispersion_terms(y, r, terms):  # type: ignore[no-untyped-def]
    """Fill what depends on a count and the dispersion alone; return that part of the log likelihood."""
    least, slope_r, curve_r = gamma_excess_derivatives(r)
    total = 0.0
    for j in range(y.size):
        if y[j] > 0:
            value, slope, curve = gamma_excess_derivatives(y[j] + r)
            total += value - least
            terms.slope[j], terms.curve[j] = slope - slope_r, curve - curve_r
    return total


@kernel
def _add_node(u, share_of_node, y, x, members, terms, sums):  # type: ignore[no-untyped-def]
    """Fill the score at a node and add second derivatives by eta; return that by ln alpha, times the share.

    The derivatives by eta and ln alpha are those of `bayesde.model.density.log_density_derivatives`.
    """
    r, p, by_dispersion = terms.r, x.shape[1], 0.0
    sums.score[:] = 0.0
    for j in members:
        mu, count = _mean(terms.eta[j] + u), float(y[j])
        share = 1.0 / (mu + r)
        gap = (count - mu) * share
        l_r = log_ratio(count, mu, r) - gap + terms.slope[j]
        by_dispersion += r * l_r + r * r * (gap * gap / (count + r) + terms.curve[j])
        sums.score[p] -= r * l_r
        for k in range(p):
            sums.score[k] += r * gap * x[j, k]
        sums.mixed[j] -= share_of_node * mu * (r * share) * gap
        sums.by_eta_twice[j] -= share_of_node * mu * (r * share) * ((count + r) * share)
    return share_of_node * by_dispersion


@kernel
def _add_group(x, members, sums, gradient, hessian):  # type: ignore[no-untyped-def]
    """Add one group's means and covariance of scores, and means of second derivatives."""
    p = x.shape[1]
    for k in range(p + 1):
        gradient[k] += sums.mean[k]
        for m in range(k + 1):
            hessian[k, m] += sums.square[k, m] - sums.mean[k] * sums.mean[m]
    for j in members:
        for k in range(p):
            hessian[p, k] += sums.mixed[j] * x[j, k]
            for m in range(k + 1):
                hessian[k, m] += sums.by_eta_twice[j] * x[j, k] * x[j, m]
