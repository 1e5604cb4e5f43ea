r"""Laws of random effects' standard deviations, and of dispersions, wide enough for chains to be reweighted.

Chains are run given hyperparameters, and their draws reweighted to the posterior of these
(`bayesde.posterior.hyper.integrate`). Where the counts say little of a gene's tau, as where its donors hardly
differ, the posterior of ln tau is about its law, and the weights are about p / q, with

    p = sum_i omega_i Normal(m_i, s_i^2),      q = Normal(c, w^2),

over the points (m_i, s_i) of the hyperparameters' posterior, of weight omega_i. If q is the law at the mean
of the points, some of the s_i are larger than w, and beyond sqrt(2) w the weights have no variance: where 20
or 60 genes have no differences between donors, a few of 4,000 draws had most of the weight. So q has the mean
of the m_i, and the w for which the variance of the weights,

    E_q[(p/q)^2] - 1,    E_q[(p/q)^2] = sum_ij omega_i omega_j w / (s_i s_j A^(1/2)) exp((B^2 / A - C) / 2),

    A = 1/s_i^2 + 1/s_j^2 - 1/w^2,
    B = m_i/s_i^2 + m_j/s_j^2 - c/w^2,
    C = m_i^2/s_i^2 + m_j^2/s_j^2 - c^2/w^2,

is smallest. Where many genes determine the law, the points hardly differ, and q is about the same as p.

The same is true of ln alpha and sigma where few genes tell sigma, and counts little of alpha: with 60 genes
of 12 patients, two samples each, sigma was known to a third of itself, and four of four genes had a Pareto k
above 1. There m_i is the trend, which counts determine. sigma is changed only where the weights would have no
variance, so that it is the mean of the points for almost all data.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from bayesde.model.density import ConditionalModel
from bayesde.model.prior_at_draws import PriorParts
from bayesde.posterior.hyper.hyperparameter_posterior import HyperparameterPosterior

__all__ = ["mean_square_of_weights", "wide_enough", "with_wide_laws"]

STEP, WIDEST = 0.02, 4.0
"""Of the spreads that are tried, natural log; and the largest, over that of p."""


def with_wide_laws(model: ConditionalModel, points: HyperparameterPosterior) -> ConditionalModel:
    """Return the model under which chains are run whose draws are reweighted to points.

    Parameters
    ----------
    model : ConditionalModel
    points : HyperparameterPosterior

    Returns
    -------
    ConditionalModel
        With other laws of the random effects' standard deviations, and of normal residuals of dispersions
        where that is needed.
    """
    parts = [points.space.parts(phi, model.base_mean[:1]) for phi in points.phi]
    sigma = _wide_sigma(model, parts, points.weight)
    if sigma != model.dispersion_sd:
        model = replace(model, dispersion_sd=sigma)
    if model.random is None or not model.n_random:
        return model
    centers, spreads = (
        np.array([getattr(one, name) for one in parts]).T for name in ("center", "spread")
    )  # (random effect, point)
    laws = [wide_enough(*law, points.weight) for law in zip(centers, spreads, strict=True)]
    center, spread = np.array(laws).T
    return replace(model, random=replace(model.random, center=center, spread=spread))


def _wide_sigma(model: ConditionalModel, parts: Sequence[PriorParts], weight: np.ndarray) -> float:
    """Return the sigma under which chains are run: the model's if residuals have weights with a variance."""
    spread = np.array([one.sd for one in parts])
    center, own = np.zeros(spread.size), model.dispersion_sd
    if math.isfinite(model.nu) or math.isfinite(mean_square_of_weights(center, spread, weight, (0.0, own))):
        return own
    return wide_enough(center, spread, weight)[1]


def wide_enough(center: np.ndarray, spread: np.ndarray, weight: np.ndarray) -> tuple[float, float]:
    """Return mean and standard deviation of the normal law q for a mixture of normal laws.

    Parameters
    ----------
    center, spread : ndarray (point,)
        m and s.
    weight : ndarray (point,)
        omega, adding up to 1.

    Returns
    -------
    center, spread : float
        c and w.
    """
    mean = float(weight @ center)
    own = float(np.sqrt(weight @ (spread**2 + (center - mean) ** 2)))
    tried = own * np.exp(np.arange(0.0, np.log(WIDEST), STEP))
    found = [mean_square_of_weights(center, spread, weight, (mean, w)) for w in tried.tolist()]
    return mean, float(tried[int(np.argmin(found))])


def mean_square_of_weights(
    center: np.ndarray, spread: np.ndarray, weight: np.ndarray, law: tuple[float, float]
) -> float:
    """Return E_q[(p/q)^2], infinite where it is.

    Parameters
    ----------
    center, spread, weight : ndarray (point,)
        m, s and omega of p.
    law : tuple of float
        c and w of q.
    """
    c, precision = law[0], law[1] ** -2.0
    own = spread**-2.0
    a = own[:, None] + own - precision
    if (a <= 0.0).any():
        return float("inf")
    first, second = center * own, center**2 * own
    b = first[:, None] + first - c * precision
    rest = second[:, None] + second - c**2 * precision
    value = np.sqrt(own[:, None] * own / (precision * a)) * np.exp(0.5 * (b**2 / a - rest))
    return float(weight @ value @ weight)
