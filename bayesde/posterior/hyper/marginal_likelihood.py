r"""The hyperparameters' posterior, and the genes' with them integrated out, from one set of draws.

With draws theta_gm of every gene and r_gm = p(y_g | theta_gm) / q_g(theta_gm), both independent of the
hyperparameters phi = (S_k, ..., sigma, a0, a1, ...[, nu | w, tau]), the marginal likelihood is estimated for
any phi by

    p(y_g | phi) = mean_m w_gm(phi),    w_gm(phi) = r_gm p(theta_gm | phi),
    ln p(phi | y) = sum_g ln p(y_g | phi) + ln p(phi) + constant,

and its gradient (Fisher's identity) by sum_g sum_m [w_gm / sum_m w_gm] d ln p(theta_gm | phi) / d phi. All
work is done in psi, the logarithms of phi (of nu - 2 for nu), where posteriors are close to normal, under the
priors of `bayesde.model.priors`.

`maximum` finds the mode of that density, `sampling` its posterior as weighted points, over which a gene's
weights are averaged.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bayesde.model.density import ConditionalModel
from bayesde.model.effect_prior import log_t_height
from bayesde.model.hyperparameter_names import EFFECT_NU, PI0, SCALE
from bayesde.model.hyperparameter_space import HyperparameterSpace
from bayesde.model.prior_at_draws import PriorParts, log_height, log_height_slope, priors_at, priors_at_one
from bayesde.model.probability_scale import logit_slope
from bayesde.numerics.elementary import exponentials
from bayesde.numerics.threads import over_genes
from bayesde.posterior.hyper.evidence_kernels import (
    average_weights,
    fill_evidence,
    fill_highest,
    fill_moments,
)
from bayesde.posterior.hyper.hyperparameter_posterior import HyperparameterPosterior
from bayesde.posterior.proposal.drawing import ProposalDraws

__all__ = ["MarginalLikelihood", "gene_weights", "relative", "with_mixtures"]

LARGEST_LOG_RATIO = 600.0
"""Beyond, the exponential would come near to overflow; the prior of such draws is negligible."""


@dataclass(frozen=True, eq=False)
class MarginalLikelihood:
    """The marginal likelihood of the hyperparameters, and with their prior ln p(phi | y), from draws.

    Attributes
    ----------
    space : HyperparameterSpace
    base_mean : ndarray (gene,)
    theta : ndarray of float32 (gene, draw, P + 1)
        There may be room for more draws than `log_ratio` has; what is in it is not read.
    log_ratio : ndarray of float32 (gene, draw)
        ln p(y | theta) - ln q(theta), less `highest`; plus the log densities of effects whose law is known.
    highest : ndarray (gene,)
        Its value at the draw of largest weight.
    """

    space: HyperparameterSpace
    base_mean: np.ndarray
    theta: np.ndarray
    log_ratio: np.ndarray
    highest: np.ndarray

    @classmethod
    def of(
        cls, space: HyperparameterSpace, model: ConditionalModel, draws: ProposalDraws
    ) -> MarginalLikelihood:
        """Make the marginal likelihood from draws of every gene.

        Parameters
        ----------
        space : HyperparameterSpace
        model : ConditionalModel
            At the hyperparameters that the proposals were made for.
        draws : ProposalDraws

        Returns
        -------
        MarginalLikelihood
        """
        highest = np.empty(model.n_genes)
        over_genes(fill_highest, model.n_genes, draws.theta, space.priors_of(model), draws.log_ratio, highest)
        return cls(space, model.base_mean, draws.theta, relative(draws.log_ratio, highest), highest)

    @property
    def n_draws(self) -> int:
        """Number of draws of each gene."""
        return int(self.log_ratio.shape[1])

    def spread(self, most: int) -> MarginalLikelihood:
        """Take some of the genes, evenly by base mean.

        Parameters
        ----------
        most : int
            How many at the most.

        Returns
        -------
        MarginalLikelihood
        """
        if self.base_mean.size <= most:
            return self
        taken = self.spread_genes(most)
        return MarginalLikelihood(
            self.space,
            self.base_mean[taken],
            self.theta[taken, : self.n_draws],
            self.log_ratio[taken],
            self.highest[taken],
        )

    def spread_genes(self, most: int) -> np.ndarray:
        """Return which genes `spread` takes.

        Parameters
        ----------
        most : int

        Returns
        -------
        ndarray of int (gene,)
        """
        if self.base_mean.size <= most:
            return np.arange(self.base_mean.size)
        order = np.argsort(self.base_mean, kind="stable")  # ties the same with every NumPy and processor
        return np.asarray(order[np.linspace(0, order.size - 1, most).astype(int)])

    def evaluate(self, psi: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
        """Return the log density of the hyperparameters' posterior, with derivatives.

        Parameters
        ----------
        psi : ndarray (hyperparameter,)

        Returns
        -------
        log_density : float
            ln p(psi | y), up to a constant.
        gradient : ndarray (hyperparameter,)
        scores : ndarray (gene, hyperparameter)
            What each gene's counts contribute to the gradient.
        """
        parts = self.space.parts(self.space.phi(psi), self.base_mean)
        n_genes, n = self.base_mean.size, len(self.space.shrunken)
        n_random = len(self.space.random_effects)
        log_evidence, moments = np.empty(n_genes), np.empty((n_genes, 3 * n + 4 + 2 * n_random))
        priors = priors_at_one(self.space.columns, parts)
        over_genes(fill_moments, n_genes, self.theta, self.log_ratio, priors, log_evidence, moments)
        value, gradient, _ = self.space.log_prior(psi)
        log_evidence += log_height(parts)
        scores = self._scores(psi, parts, moments)
        return float(log_evidence.sum()) + value, gradient + scores.sum(axis=0), scores

    def _scores(self, psi: np.ndarray, parts: PriorParts, moments: np.ndarray) -> np.ndarray:
        """Turn the moments of genes' draws into derivatives by psi."""
        n, scale_of = len(self.space.shrunken), np.array(self.space.scale_of, dtype=int)
        of_effects = self._effect_scores(parts, moments[:, : 3 * n].reshape(len(moments), 3, n))
        columns = [
            of_effects[part][:, scale_of == i].sum(axis=1, keepdims=True) for part, i in self.space.of_effects
        ]
        for at, (part, _) in enumerate(self.space.of_effects):
            if part == PI0:
                columns[at] *= logit_slope(psi[at])
        columns.append(moments[:, 3 * n : 3 * n + 1])
        first = len(self.space.of_effects)
        share = exponentials(psi[first + 1] - parts.log_trend)[:, None]  # of a0 in the trend
        by_trend = moments[:, 3 * n + 1 : 3 * n + 2]
        columns.append(by_trend * share)
        if self.space.trend:
            columns.append(by_trend * (1.0 - share))
        at = 3 * n + 4
        columns += [moments[:, i : i + 1] for i in range(at, at + 2 * len(self.space.random_effects))]
        if self.space.student_t:
            columns.append(
                (moments[:, 3 * n + 2 : 3 * n + 3] + log_height_slope(parts.nu)) * (parts.nu - 2.0)
            )
        if self.space.two_normals:
            columns.append(moments[:, 3 * n + 2 : 3 * n + 3] * logit_slope(psi[-2]))
            columns.append(moments[:, 3 * n + 3 : 3 * n + 4] * (1.0 - 1.0 / parts.wide_ratio))
        return np.hstack(columns)

    def _effect_scores(self, parts: PriorParts, moments: np.ndarray) -> dict[str, np.ndarray]:
        """Turn moments (gene, 3, shrunken) into derivatives (gene, shrunken) by ln S, ln nu and logit pi0."""
        null = moments[:, 2]
        slope = log_t_height(parts.scale, parts.df)[1]
        return {
            SCALE: moments[:, 0],
            EFFECT_NU: moments[:, 1] + (1.0 - null) * slope,
            PI0: null - parts.pi0,
        }

    def log_posterior(self, psi: np.ndarray) -> np.ndarray:
        """Return only the log density, at many points.

        Parameters
        ----------
        psi : ndarray (..., hyperparameter)

        Returns
        -------
        ndarray (...)
            ln p(psi | y), up to a constant.
        """
        points = np.atleast_2d(psi)
        parts = [self.space.parts(phi, self.base_mean) for phi in self.space.phi(points)]
        priors = priors_at(self.space.columns, parts)
        evidence = np.empty(priors.log_trend.shape)
        over_genes(fill_evidence, self.base_mean.size, self.theta, self.log_ratio, priors, evidence)
        heights = [log_height(part) for part in parts]
        value = evidence.sum(axis=1) + self.base_mean.size * np.array(heights)
        value += [self.space.log_prior(point)[0] for point in points]
        return np.asarray(value.reshape(np.shape(psi)[:-1]))


def relative(log_ratio: np.ndarray, highest: np.ndarray) -> np.ndarray:
    """Subtract the value at the draw of largest weight, after which single precision is enough.

    Parameters
    ----------
    log_ratio : ndarray (gene, draw)
        Of those draws or of others.
    highest : ndarray (gene,)

    Returns
    -------
    ndarray of float32 (gene, draw)
    """
    with np.errstate(over="ignore", invalid="ignore"):
        return np.minimum(log_ratio - highest[:, None], LARGEST_LOG_RATIO).astype(np.float32)


def with_mixtures(space: HyperparameterSpace, theta: np.ndarray, log_ratio: np.ndarray) -> np.ndarray:
    """Add the log densities of the effects whose law is known, which has no hyperparameters.

    Parameters
    ----------
    space : HyperparameterSpace
    theta : ndarray of float32 (gene, draw, P + 1)
        There may be room for more draws than `log_ratio` has.
    log_ratio : ndarray (gene, draw)
        Not changed.

    Returns
    -------
    ndarray (gene, draw)
    """
    for k, law in space.mixtures:
        log_ratio = log_ratio + law.log_density(theta[:, : log_ratio.shape[1], k])
    return log_ratio


def gene_weights(
    space: HyperparameterSpace,
    base_mean: np.ndarray,
    theta: np.ndarray,
    log_ratio: np.ndarray,
    points: HyperparameterPosterior,
) -> np.ndarray:
    """Average every gene's normalized weights over the points of the hyperparameters.

    Parameters
    ----------
    space : HyperparameterSpace
    base_mean : ndarray (gene,)
    theta : ndarray of float32 (gene, draw, P + 1)
    log_ratio : ndarray (gene, draw)
        As `MarginalLikelihood` has it.
    points : HyperparameterPosterior

    Returns
    -------
    ndarray (gene, draw)
        Each gene's add up to 1.
    """
    priors, weights = space.priors_at(points.phi, base_mean), np.empty(log_ratio.shape)
    log_ratio = with_mixtures(space, theta, log_ratio)
    over_genes(average_weights, log_ratio.shape[0], theta, log_ratio, priors, points.weight, weights)
    return weights
