r"""One gene's log posterior density given the hyperparameters, with gradient and Hessian.

    l(beta, a) = sum_j ln NB(y_j | nf_j exp(x_j . beta), exp(a)) + ln p(beta) + ln p(a)

with a the natural log of the dispersion, Student-t (by default Cauchy(0, S_k)) or wide normal priors on the
coefficients, and a prior on a around the dispersion trend that is normal, Student-t, or has two normal
components. `stan/README.md` has the same model for Stan, but for the last.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from scipy.special import stdtrit

from bayesde.model.effect_laws import EffectMixture
from bayesde.model.effect_prior import effect_derivatives, log_effect_density
from bayesde.model.random_effects.groups import NO_GROUPS, Groups, RandomEffects
from bayesde.model.random_effects.quadrature import add_group_derivatives, group_log_likelihood
from bayesde.numerics.compiled import kernel
from bayesde.numerics.gamma_functions import (
    HALF_LOG_TWO_PI,
    gamma_excess,
    gamma_excess_derivatives,
    log_ratio,
)

__all__ = [
    "ConditionalModel",
    "GeneData",
    "GenePrior",
    "log_density",
    "log_density_derivatives",
    "log_prior",
    "log_residual_density",
    "one_gene",
    "prior_derivatives",
]


NO_CENTER = np.empty(0)
STAND_IN_NU = 5.0
"""Degrees of freedom of the residuals for which proposals are made where there are two normal components."""


class GeneData(NamedTuple):
    """Counts and what their means depend on besides the parameters, as the kernels take them.

    Of all genes; of a single gene (`one_gene`), `y` and `log_nf` have no axis for genes.

    Attributes
    ----------
    y : ndarray of int64 (gene, sample)
    log_nf : ndarray (gene, sample)
        Normalization factors, natural log.
    x : ndarray (sample, coefficient)
        Design matrix.
    groups : Groups
        Samples that have random effects in common.
    """

    y: np.ndarray
    log_nf: np.ndarray
    x: np.ndarray
    groups: Groups = NO_GROUPS


class GenePrior(NamedTuple):
    """The priors of the genes' parameters given the hyperparameters, as the kernels take them.

    Of all genes; of a single gene (`one_gene`), `log_trend` is a number.

    Attributes
    ----------
    df : ndarray (coefficient,)
        Degrees of freedom of the Student-t priors: 1 for Cauchy's, infinite for normal ones.
    scale : ndarray (coefficient,)
        Scale of the Student-t prior or standard deviation of the normal one, natural log.
    log_trend : ndarray (gene,)
        Center of the log dispersions, natural log.
    dispersion_sd : float
        Scale of log dispersions around the trend.
    nu : float
        Degrees of freedom of the residuals around the trend; infinite for normal ones.
    wide_share, wide_ratio : float
        Of residuals with two normal components, share and relative scale of the second one; 0 and 1 for one.
    center : ndarray (random effect,)
        Centers of the normal priors of the last coefficients, log standard deviations of random effects.
    """

    df: np.ndarray
    scale: np.ndarray
    log_trend: np.ndarray
    dispersion_sd: float
    nu: float
    wide_share: float = 0.0
    wide_ratio: float = 1.0
    center: np.ndarray = NO_CENTER


@dataclass(frozen=True, eq=False)
class ConditionalModel:
    """Some genes' data and priors: everything that their posterior depends on.

    Attributes
    ----------
    y : ndarray of int64 (gene, sample)
    log_nf : ndarray (gene, sample)
        Normalization factors, natural log.
    x : ndarray (sample, coefficient)
    base_mean : ndarray (gene,)
        Mean of the normalized counts.
    log_trend : ndarray (gene,)
        Natural log of the dispersion trend at the base mean.
    shrunken : ndarray of bool (coefficient,)
        Student-t prior where True, Normal(0, `unshrunken_sd`) elsewhere.
    shrinkage_scale : ndarray (coefficient,)
        Scale of the Student-t prior, natural log; 1 where not shrunken.
    dispersion_sd : float
        Scale of log dispersions around the trend.
    nu : float
        Degrees of freedom of the residuals around the trend; infinite for normal ones.
    unshrunken_sd : float
        Standard deviation of the normal priors, natural log.
    effect_df : ndarray (coefficient,), optional
        Degrees of freedom of the Student-t priors; by default 1, Cauchy's distribution.
    mixtures : tuple of (int, EffectMixture)
        Coefficients whose prior is a known mixture, which tails of posteriors are followed under. Searches
        for modes and proposals have a Cauchy prior of the mixture's median absolute effect in its place.
    wide_share, wide_ratio : float
        Of residuals with two normal components, share and relative scale of the second one; 0 and 1 for one.
    factor : ndarray of int64 (coefficient,), optional
        Which coefficients are the levels of one factor, around a center that is another coefficient: the same
        number from 0 on, -1 for others. By default there are none.
    random : RandomEffects, optional
        Each has a coefficient of its own, ln tau, after the others; its column of `x` is 0.
    """

    y: np.ndarray
    log_nf: np.ndarray
    x: np.ndarray
    base_mean: np.ndarray
    log_trend: np.ndarray
    shrunken: np.ndarray
    shrinkage_scale: np.ndarray
    dispersion_sd: float
    nu: float
    unshrunken_sd: float = 15.0
    effect_df: np.ndarray | None = None
    mixtures: tuple[tuple[int, EffectMixture], ...] = ()
    wide_share: float = 0.0
    wide_ratio: float = 1.0
    factor: np.ndarray | None = None
    random: RandomEffects | None = None

    @property
    def n_random(self) -> int:
        """Number of standard deviations of random effects, the last coefficients."""
        return 0 if self.random is None else self.random.center.size

    @property
    def log_sd_prior(self) -> tuple[np.ndarray, np.ndarray]:
        """Centers and spreads of the log standard deviations of random effects."""
        return (NO_CENTER, NO_CENTER) if self.random is None else (self.random.center, self.random.spread)

    @property
    def is_fixed(self) -> np.ndarray:
        """Which coefficients are fixed effects, ndarray of bool (coefficient,)."""
        return np.arange(self.n_coefficients) < self.n_coefficients - self.n_random

    @property
    def factors(self) -> np.ndarray:
        """Which coefficients are levels of one factor, ndarray of int64 (coefficient,): -1 if of none."""
        return np.full(self.n_coefficients, -1, dtype=np.int64) if self.factor is None else self.factor

    @property
    def prior_df(self) -> np.ndarray:
        """Degrees of freedom of every coefficient's prior (coefficient,): infinite where not shrunken."""
        return np.where(self.shrunken, 1.0 if self.effect_df is None else self.effect_df, np.inf)

    @property
    def for_proposals(self) -> ConditionalModel:
        """The model that proposals are made for.

        It has Cauchy priors of the same median absolute effects, and Student-t residuals of the same variance
        in the place of two normal components.
        """
        if self.wide_share > 0.0:
            variance = 1.0 + self.wide_share * (self.wide_ratio**2 - 1.0)
            sd = self.dispersion_sd * math.sqrt(variance * (1.0 - 2.0 / STAND_IN_NU))
            own = replace(self, nu=STAND_IN_NU, dispersion_sd=sd, wide_share=0.0, wide_ratio=1.0)
            return own.for_proposals
        if self.effect_df is None:
            return self
        scale = np.where(self.shrunken, self.shrinkage_scale * stdtrit(self.effect_df, 0.75), 1.0)
        return replace(self, shrinkage_scale=scale, effect_df=None)

    @property
    def prior_scale(self) -> np.ndarray:
        """Scale of every coefficient's prior (coefficient,): Student-t where shrunken, normal elsewhere."""
        scale = np.where(self.shrunken, self.shrinkage_scale, self.unshrunken_sd)
        if self.random is not None:
            scale[~self.is_fixed] = self.random.spread
        return scale

    @property
    def data(self) -> GeneData:
        """Counts, factors and design, as the kernels take them."""
        groups = NO_GROUPS if self.random is None else self.random.groups
        return GeneData(self.y, self.log_nf, self.x, groups)

    @property
    def prior(self) -> GenePrior:
        """The priors, as the kernels take them."""
        of_effects, residuals = (self.prior_df, self.prior_scale), (self.nu, self.wide_share, self.wide_ratio)
        return GenePrior(*of_effects, self.log_trend, self.dispersion_sd, *residuals, self.log_sd_prior[0])

    @property
    def n_genes(self) -> int:
        """Number of genes."""
        return int(self.y.shape[0])

    @property
    def n_coefficients(self) -> int:
        """Number of coefficients."""
        return int(self.x.shape[1])

    def genes(self, rows: np.ndarray) -> ConditionalModel:
        """Take some of the genes.

        Parameters
        ----------
        rows : ndarray of int or bool
            By index or by mask.

        Returns
        -------
        ConditionalModel
        """
        own = {name: getattr(self, name)[rows] for name in ("y", "log_nf", "base_mean", "log_trend")}
        return replace(self, **own)

    def with_coefficients(self, kept: np.ndarray) -> ConditionalModel:
        """Keep some of the coefficients; the others are zero.

        Where a level of a factor is zero, the center is that level's mean, and the other levels are
        coefficients like any other.

        Parameters
        ----------
        kept : ndarray of int

        Returns
        -------
        ConditionalModel
        """
        lost = np.delete(self.factors, kept)
        factor = None if self.factor is None else np.where(np.isin(self.factor, lost), -1, self.factor)[kept]
        return replace(
            self,
            x=np.ascontiguousarray(self.x[:, kept]),
            shrunken=self.shrunken[kept],
            shrinkage_scale=self.shrinkage_scale[kept],
            effect_df=None if self.effect_df is None else self.effect_df[kept],
            mixtures=tuple((kept.tolist().index(k), law) for k, law in self.mixtures if k in kept),
            factor=factor,
        )


@kernel
def one_gene(data, prior, g):  # type: ignore[no-untyped-def]
    """Return the data and the prior of gene g: views, no copies."""
    own = GeneData(data.y[g], data.log_nf[g], data.x, data.groups)
    trend, sd, nu = prior.log_trend[g], prior.dispersion_sd, prior.nu
    wide = prior.wide_share, prior.wide_ratio
    return own, GenePrior(prior.df, prior.scale, trend, sd, nu, wide[0], wide[1], prior.center)


@kernel
def _from_center(theta, k, prior):  # type: ignore[no-untyped-def]
    """Return how far a coefficient is from the center of its prior."""
    at = k - (theta.size - 1 - prior.center.size)
    return theta[k] - prior.center[at] if at >= 0 else theta[k]


@kernel
def _two_normals(residual, law):  # type: ignore[no-untyped-def]
    """Return 1 / tau^2, and the densities of the wide and the narrow component, over exp(-z^2 / 2 tau^2)."""
    flat, share = 1.0 / law.wide_ratio**2, law.wide_share
    near = (1.0 - share) * math.exp(-0.5 * (1.0 - flat) * residual**2)
    return flat, share / law.wide_ratio, near


@kernel
def log_residual_density(residual, law):  # type: ignore[no-untyped-def]
    """Log density of a standardized residual around the dispersion trend, up to a constant.

    Its law is a `GenePrior` or `ResidualLaw`.
    """
    nu = law.nu
    if law.wide_share > 0.0:
        flat, wide, near = _two_normals(residual, law)
        return -0.5 * flat * residual**2 + math.log(wide + near)
    if math.isinf(nu):
        return -0.5 * residual**2
    return -0.5 * (nu + 1.0) * math.log1p(residual**2 / nu)


@kernel
def log_prior(theta, prior):  # type: ignore[no-untyped-def]
    """Log prior density of one gene's (beta, log dispersion), up to a constant."""
    p = theta.size - 1
    total = 0.0
    for k in range(p):
        total += log_effect_density(_from_center(theta, k, prior), prior.df[k], prior.scale[k])
    return total + log_residual_density((theta[p] - prior.log_trend) / prior.dispersion_sd, prior)


@kernel
def log_density(theta, data, prior):  # type: ignore[no-untyped-def]
    r"""Log posterior density of one gene at theta = (beta, log dispersion), up to a constant of the prior.

    With r = 1/alpha and A as in `gamma_excess_derivatives`, per sample

        ln p = (y + r) ln((y + r) / (mu + r)) + A(y + r) - A(r) - y + y ln mu - ln y!,

    which keeps its digits towards the Poisson limit.

    Parameters
    ----------
    theta : ndarray (P + 1,)
    data : GeneData
        Of the gene.
    prior : GenePrior
        Of the gene.
    """
    y, log_nf, x, groups = data
    p = theta.size - 1
    total = log_prior(theta, prior)
    if groups.bounds.size > 1:
        return total + group_log_likelihood(theta, data)
    r = math.exp(-theta[p])
    least = gamma_excess(r)
    for j in range(y.size):
        mu, count = _mean(theta, log_nf[j], x[j]), float(y[j])
        total += (count + r) * log_ratio(count, mu, r)
        if count > 0.0:  # - y + y ln mu - ln y!, without its large terms
            total += gamma_excess(count + r) - least + count * math.log(mu / count)
            total -= gamma_excess(count) + math.log(count) + HALF_LOG_TWO_PI
    return total


@kernel
def _mean(theta, log_factor, row):  # type: ignore[no-untyped-def]
    """Return the mean of a count, by a row of the design."""
    eta = log_factor
    for k in range(row.size):
        eta += row[k] * theta[k]
    return math.exp(eta)


@kernel
def prior_derivatives(theta, prior, gradient, hessian):  # type: ignore[no-untyped-def]
    """Fill gradient (P+1,) and Hessian (P+1, P+1) of the log prior; the latter is diagonal."""
    p = theta.size - 1
    gradient[:] = 0.0
    hessian[:, :] = 0.0
    for k in range(p):
        effect = _from_center(theta, k, prior)
        gradient[k], hessian[k, k] = effect_derivatives(effect, prior.df[k], prior.scale[k])
    sd, nu = prior.dispersion_sd, prior.nu
    residual = (theta[p] - prior.log_trend) / sd
    if prior.wide_share > 0.0:
        flat, wide, near = _two_normals(residual, prior)
        of_wide = wide / (wide + near)
        slope, spread = 1.0 - of_wide * (1.0 - flat), of_wide * (1.0 - of_wide) * (1.0 - flat) ** 2
        gradient[p] = -slope * residual / sd
        hessian[p, p] = (spread * residual**2 - slope) / sd**2
    elif math.isinf(nu):
        gradient[p] = -residual / sd
        hessian[p, p] = -1.0 / sd**2
    else:
        width = nu + residual**2
        gradient[p] = -(nu + 1.0) * residual / width / sd
        hessian[p, p] = -(nu + 1.0) * (nu - residual**2) / width**2 / sd**2


@kernel
def log_density_derivatives(theta, data, prior, gradient, hessian):  # type: ignore[no-untyped-def]
    r"""Fill gradient (P+1,) and Hessian (P+1, P+1); return the log density but for constants of the counts.

    That is `log_density` without the terms that depend on the count alone. With r = 1/alpha and
    d = (y - mu)/(mu + r), per sample and with respect to eta and a = ln alpha:

        l_eta = r d,    l_eta,eta = -mu r (y + r) / (mu + r)^2,    l_eta,a = -r mu (y - mu) / (mu + r)^2,
        l_a = -r l_r,   l_aa = r l_r + r^2 l_rr,
        l_r = A'(y + r) - A'(r) + ln(1 + d) - d,    l_rr = T(y + r) - T(r) + d^2 / (y + r),

    with A' and T as in `gamma_excess_derivatives`, so that nothing cancels towards Poisson.

    Parameters
    ----------
    theta : ndarray (P + 1,)
    data : GeneData
        Of the gene.
    prior : GenePrior
        Of the gene.
    gradient, hessian : ndarray (P + 1,), (P + 1, P + 1)
        Written to.
    """
    y, log_nf, x, groups = data
    prior_derivatives(theta, prior, gradient, hessian)
    total = log_prior(theta, prior)
    if groups.bounds.size > 1:
        return total + add_group_derivatives(theta, data, gradient, hessian)
    p = theta.size - 1
    r = math.exp(-theta[p])
    least, slope_r, curve_r = gamma_excess_derivatives(r)
    for j in range(y.size):
        mu, count = _mean(theta, log_nf[j], x[j]), float(y[j])
        share = 1.0 / (mu + r)
        d, log_one_plus_d = (count - mu) * share, log_ratio(count, mu, r)
        total += (count + r) * log_one_plus_d
        l_r, l_rr = log_one_plus_d - d, d * d / (count + r)
        if count > 0.0:
            value, slope, curve = gamma_excess_derivatives(count + r)
            total += value - least + count * math.log(mu / count)
            l_r += slope - slope_r
            l_rr += curve - curve_r
        gradient[p] -= r * l_r
        hessian[p, p] += r * l_r + r * r * l_rr
        by_eta, mixed = r * d, -mu * (r * share) * d
        by_eta_twice = -mu * (r * share) * ((count + r) * share)
        for k in range(p):
            gradient[k] += by_eta * x[j, k]
            hessian[p, k] += mixed * x[j, k]
            for m in range(k + 1):
                hessian[k, m] += by_eta_twice * x[j, k] * x[j, m]
    for k in range(p + 1):
        for m in range(k):
            hessian[m, k] = hessian[k, m]
    return total
