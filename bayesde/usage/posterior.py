r"""The posterior of usage, by Pareto-smoothed importance sampling.

    ln p(beta, ln alpha | y, z) = sum_j ln int NB(y_j) NB(z_j) db_j + ln p(beta) + ln p(ln alpha) + const,

the sample effects b_j being integrated over (`bayesde.usage.likelihood`). Coefficients that are tested have
the prior Cauchy(0, S_k), the others Normal(0, 15), as effects on expression have; ln alpha is normal around
ln trend with the variance of the point estimates. The scales S_k maximize the marginal likelihood of all
features, which the draws of a first pass estimate; their uncertainty is not integrated over.

The proposal (`bayesde.usage.proposal`) has components at the estimates, and components at which tested
coefficients are near 0, where a Cauchy prior of small scale puts its mass, along a grid of dispersions.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import numpy as np
import pandas as pd

from bayesde.design import Design
from bayesde.numerics.libm import exp, log
from bayesde.numerics.threads import over_genes
from bayesde.posterior.draws.pareto_smoothing import MAX_K, effective_size, smooth_log_weights
from bayesde.posterior.draws.streams import Stream, gene_seeds, seeds_for
from bayesde.results import s_values, to_log2
from bayesde.usage.counts import UsageCounts
from bayesde.usage.estimates import Regressions, regress
from bayesde.usage.likelihood import FeatureCounts, fill_integrated, fill_log_determinants
from bayesde.usage.options import UsageOptions
from bayesde.usage.proposal import Components, fill_draws
from bayesde.usage.scales import learn_scales
from bayesde.usage.summaries import changes_of_psi, summarized
from bayesde.workers.progress import Progress, silent

__all__ = ["Priors", "UsageDraws", "UsagePosterior", "sample_usage"]

UNSHRUNKEN_SD = 15.0
"""Prior standard deviation of coefficients that are not tested, natural log."""
BLOCK = 500
"""Features whose draws are made at a time."""
MOST_LEARNING = 2000
"""Features that scales are learnt from, evenly chosen."""
LEARNING_DRAWS, PASSES = 500, 2
"""Draws for learning the scales, and how often they are learnt: the proposal depends on them."""
MOST_SUBSETS = 3
"""With more tested coefficients than this, not every subset of them gets a component."""
SPACING = 1.1
"""Of the grid of ln alpha, and the standard deviation of the proposal around its points."""
GRID = SPACING * np.arange(-3.0, 5.0)
"""Differences of the grid's points from the estimate of ln alpha."""
WIDTHS = ((1.0, 1.0), (6.0, 0.4), (36.0, 0.2), (216.0, 0.1))
"""Widths of components near zero, relative to the core of the Cauchy prior, and their parts: a t distribution
of its width has too little mass in its tails."""
NEGLIGIBLE, EVENLY = 1e-3, 0.1
"""Components of a smaller part of the largest mass are not used; this part of the draws is divided evenly."""


@dataclass(frozen=True, eq=False)
class UsageDraws:
    """Weighted draws.

    Attributes
    ----------
    theta : ndarray of float32 (feature, draw, coefficient + 1)
        Coefficients and ln dispersion, natural log.
    log_weights : ndarray of float32 (feature, draw)
        Smoothed; the exponentials of each feature's add up to 1.
    pareto_k, ess : ndarray (feature,)
    scales : ndarray (tested coefficient,)
        Scales of the Cauchy priors, natural log.
    """

    theta: np.ndarray
    log_weights: np.ndarray
    pareto_k: np.ndarray
    ess: np.ndarray
    scales: np.ndarray


@dataclass(frozen=True, eq=False)
class Priors:
    """Priors of the sampled features.

    Attributes
    ----------
    dispersion : ndarray (feature,)
        Point estimates.
    center : ndarray (feature,)
        Prior means of ln dispersion.
    variance : float
        Prior variance of ln dispersion.
    shrunken : ndarray of bool (coefficient,)
        Coefficients with a Cauchy prior.
    scales : ndarray (shrunken coefficient,)
        Of these priors, natural log.
    """

    dispersion: np.ndarray
    center: np.ndarray
    variance: float
    shrunken: np.ndarray
    scales: np.ndarray

    def take(self, rows: np.ndarray) -> Priors:
        """Return the priors of some features.

        Parameters
        ----------
        rows : ndarray of int (feature,)

        Returns
        -------
        Priors
        """
        return replace(self, dispersion=self.dispersion[rows], center=self.center[rows])

    def fixed_part(self, theta: np.ndarray) -> np.ndarray:
        """Log priors of ln dispersion and of coefficients that are not tested, but for a constant.

        Parameters
        ----------
        theta : ndarray (feature, draw, coefficient + 1)

        Returns
        -------
        ndarray (feature, draw)
        """
        others = np.square(theta[..., :-1][..., ~self.shrunken] / UNSHRUNKEN_SD).sum(axis=-1)
        around = np.square(theta[..., -1] - self.center[:, None]) / self.variance
        return np.asarray(-0.5 * (others + around))

    def cauchy_part(self, theta: np.ndarray) -> np.ndarray:
        """Log priors of the tested coefficients, but for a constant.

        Parameters
        ----------
        theta : ndarray (feature, draw, coefficient + 1)

        Returns
        -------
        ndarray (feature, draw)
        """
        effects = theta[..., :-1][..., self.shrunken]
        return np.asarray(-(log(1.0 + np.square(effects / self.scales)) + log(self.scales)).sum(axis=-1))


@dataclass(frozen=True, eq=False, repr=False)
class UsagePosterior:
    """The posterior of usage. Made by `UsageFit.posterior`.

    Attributes
    ----------
    counts : UsageCounts
    design : Design
    fitted : ndarray of bool (feature,)
        Features that have draws.
    base_mean : ndarray (feature,)
    status : ndarray of object (feature,)
        Why features have no draws.
    draws : UsageDraws
    """

    counts: UsageCounts
    design: Design
    fitted: np.ndarray
    base_mean: np.ndarray
    status: np.ndarray
    draws: UsageDraws

    def __repr__(self) -> str:
        return (
            f"<UsagePosterior: {int(self.fitted.sum()):,} of {len(self.fitted):,} features, "
            f"{self.draws.theta.shape[1]} draws; design: {self.design.formula or 'a matrix'}>"
        )

    def results(self, contrast: Any = None, ci_prob: float = 0.95) -> pd.DataFrame:
        """Summarize the posterior of a change of usage.

        Parameters
        ----------
        contrast : optional
            Whatever ``design.contrast`` takes; by default the last coefficient.
        ci_prob : float
            Probability within the equal-tailed intervals.

        Returns
        -------
        pandas.DataFrame (feature,)
            ``gene``; ``base_mean``; ``log2_fold_change``, ``lfc_se``, ``lfc_lower``, ``lfc_upper``: posterior
            mean, standard deviation and interval of the change of the ratio of this feature to the others of
            its gene, log2; ``lfsr``, ``s_value``; for junctions ``psi_reference`` and ``psi``, posterior
            means of the percent spliced in before and after the change (0 to 1), and ``delta_psi``,
            ``delta_psi_lower``, ``delta_psi_upper``; ``dispersion``; ``ess``, ``pareto_k``; ``status``.

        Raises
        ------
        InputError
            If the contrast does not exist, or the probability is not between 0 and 1.
        """
        asked = self.design.contrast(contrast)
        weights = exp(self.draws.log_weights.astype(np.float64))
        beta, log_alpha = self.draws.theta[..., :-1], self.draws.theta[..., -1]
        effect = to_log2((beta * asked.vector.astype(np.float32)).sum(axis=-1, dtype=np.float64))
        found = summarized(effect, weights, ci_prob, "lfc")
        columns = {
            "base_mean": None,
            "log2_fold_change": found.pop("mean"),
            "lfc_se": found.pop("sd"),
            **found,
        }
        columns["s_value"] = s_values(columns["lfsr"])
        if self.counts.log_length_ratio is not None:
            ratio = self.counts.log_length_ratio[self.fitted]
            columns |= changes_of_psi(beta, weights, ratio, self.design, asked, ci_prob)
        columns["dispersion"] = (exp(log_alpha.astype(np.float64)) * weights).sum(axis=1)
        columns |= {"ess": self.draws.ess, "pareto_k": self.draws.pareto_k}
        return self._table(columns)

    def _table(self, columns: dict[str, Any]) -> pd.DataFrame:
        """Make a table of all features."""
        table = pd.DataFrame(index=pd.Index(self.counts.features, name="feature"))
        table["gene"] = self.counts.genes.to_numpy()
        for name, values in columns.items():
            whole = self.base_mean.copy() if values is None else np.full(len(self.fitted), np.nan)
            if values is not None:
                whole[self.fitted] = values
            table[name] = whole
        status = self.status.copy()
        status[np.asarray(table["pareto_k"] > MAX_K) & (status == "ok")] = "high_pareto_k"
        table["status"] = status
        return table


def sample_usage(
    counts: FeatureCounts,
    names: pd.Index,
    priors: Priors,
    options: UsageOptions,
    progress: Progress = silent,
) -> UsageDraws:
    """Learn the scales of the priors, and sample the posterior of every feature.

    Parameters
    ----------
    counts : FeatureCounts
    names : pandas.Index (feature,)
        From which the random numbers of a feature come.
    priors : Priors
        With scales to start from.
    options : UsageOptions
    progress : callable, optional
        Called with features done, features in all, and what is being done.

    Returns
    -------
    UsageDraws
    """
    seeds = gene_seeds(names, options.seed)
    some = np.arange(0, len(names), max(1, -(-len(names) // MOST_LEARNING)))
    for done in range(PASSES):
        progress(done, PASSES, "learning the scales of the priors")
        theta, weights = _drawn(
            _part(counts, some), priors.take(some), seeds_for(Stream.LEARNING, seeds[some]), LEARNING_DRAWS
        )
        scales = learn_scales(theta[..., :-1][..., priors.shrunken], weights, priors.scales)
        priors = replace(priors, scales=scales)
    return _all_draws(counts, priors, seeds_for(Stream.KEPT, seeds), options.draws, progress)


def _all_draws(
    counts: FeatureCounts, priors: Priors, seeds: np.ndarray, draws: int, progress: Progress = silent
) -> UsageDraws:
    """Draw for all features, a block at a time, and smooth the weights."""
    n = len(seeds)
    theta = np.empty((n, draws, len(priors.shrunken) + 1), dtype=np.float32)
    log_weights, pareto_k, ess = np.empty((n, draws), dtype=np.float32), np.empty(n), np.empty(n)
    for start in range(0, n, BLOCK):
        progress(start, n, f"sampling {n:,} features")
        some = np.arange(start, min(start + BLOCK, n))
        part = priors.take(some)
        drawn, weights = _drawn(_part(counts, some), part, seeds[some], draws)
        weights += part.cauchy_part(drawn)
        pareto_k[some] = smooth_log_weights(weights)
        ess[some] = effective_size(weights)
        theta[some], log_weights[some] = drawn, weights
    return UsageDraws(theta, log_weights, pareto_k, ess, priors.scales)


def _part(counts: FeatureCounts, rows: np.ndarray) -> FeatureCounts:
    return FeatureCounts(counts.this[rows], counts.others[rows], counts.x)


def _drawn(
    counts: FeatureCounts, priors: Priors, seeds: np.ndarray, draws: int
) -> tuple[np.ndarray, np.ndarray]:
    """Draw for some features; return draws, and log weights without the priors of tested coefficients."""
    n, p = len(seeds), counts.x.shape[1]
    theta, density, likelihood = np.empty((n, draws, p + 1)), np.empty((n, draws)), np.empty((n, draws))
    over_genes(fill_draws, n, _components(counts, priors), seeds, theta, density)
    over_genes(fill_integrated, n, counts, theta, likelihood)
    weights = likelihood - density + priors.fixed_part(theta)
    return theta, np.where(np.isfinite(weights), weights, -np.inf)


def _components(counts: FeatureCounts, priors: Priors) -> Components:
    """Make components for each choice of tested coefficients near zero, at each point of a grid of ln alpha.

    The grid reaches from far below the estimate to far above, so that it covers what a large dispersion could
    explain.
    """
    fits, log_alpha, evidence = [], [], []
    for near_zero in _subsets(int(priors.shrunken.sum())):
        ridge, beta = np.full(len(priors.shrunken), UNSHRUNKEN_SD**-2), None
        tested = np.flatnonzero(priors.shrunken)[list(near_zero)]
        for step in GRID:
            at = log(priors.dispersion) + step
            for width, part in WIDTHS if near_zero else WIDTHS[:1]:
                # of width 1, minus the curvature of ln Cauchy at 0
                ridge[tested] = 2.0 / np.square(width * priors.scales[list(near_zero)])
                fits.append(regress(counts, exp(at), ridge, beta))
                beta = fits[-1].beta
                if width == 1.0:
                    mass = _evidence(counts, fits[-1], at, priors)
                log_alpha.append(at)
                evidence.append(mass + math.log(part))
    mode, precision = (np.stack([getattr(fit, name) for fit in fits]) for name in ("beta", "information"))
    return Components(_shares(np.stack(evidence)), mode, precision, np.stack(log_alpha), SPACING)


def _evidence(counts: FeatureCounts, fit: Regressions, log_alpha: np.ndarray, priors: Priors) -> np.ndarray:
    """Approximate the log mass of the posterior around a fit by Laplace's method (feature,)."""
    theta = np.concatenate([fit.beta, log_alpha[:, None]], axis=1)[:, None]
    value, determinant = np.empty((len(theta), 1)), np.empty(len(theta))
    over_genes(fill_integrated, len(theta), counts, theta, value)
    over_genes(fill_log_determinants, len(theta), fit.information, determinant)
    value += priors.fixed_part(theta) + priors.cauchy_part(theta)
    mass = value[:, 0] - 0.5 * determinant
    return np.where(np.isnan(mass) | np.isnan(fit.likelihood), -np.inf, mass)


def _shares(evidence: np.ndarray) -> np.ndarray:
    """Turn log masses (component, feature) into shares of the draws; those of a feature add up to 1."""
    mass = exp(np.maximum(evidence - np.maximum(evidence.max(axis=0), -1e300), -700.0))
    mass = np.where(mass > NEGLIGIBLE, mass, 0.0)
    used = mass > 0.0
    return (1.0 - EVENLY) * mass / np.maximum(mass.sum(axis=0), 1e-300) + EVENLY * used / np.maximum(
        used.sum(axis=0), 1
    )


def _subsets(n: int) -> list[tuple[int, ...]]:
    """Choose which of n coefficients are near zero: none, all, and others."""
    if n <= MOST_SUBSETS:
        return [tuple(k for k in range(n) if mask[k]) for mask in product((0, 1), repeat=n)]
    alone = [tuple(j for j in range(n) if j != k) for k in range(n)]
    return [(), tuple(range(n)), *alone]
