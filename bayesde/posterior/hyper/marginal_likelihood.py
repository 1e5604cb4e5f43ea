r"""The hyperparameters' posterior, and the genes' with them integrated out, from one set of draws.

With draws theta_gm of every gene and r_gm = p(y_g | theta_gm) / q_g(theta_gm), both independent of the
hyperparameters phi = (S_k, sigma, a0, a1[, nu]), the marginal likelihood is estimated for any phi by

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
from bayesde.model.hyperparameter_space import HyperparameterSpace
from bayesde.numerics.elementary import exponentials
from bayesde.numerics.threads import over_genes
from bayesde.posterior.hyper.evidence_kernels import (
    average_weights,
    fill_evidence,
    fill_highest,
    fill_moments,
    log_height,
    log_height_slope,
)
from bayesde.posterior.hyper.hyperparameter_posterior import HyperparameterPosterior
from bayesde.posterior.proposal.drawing import ProposalDraws

__all__ = ["MarginalLikelihood", "gene_weights", "relative"]

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
        ln p(y | theta) - ln q(theta), less `highest`.
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
        highest, parts = np.empty(model.n_genes), (_columns(space), *_parts_of(model))
        over_genes(fill_highest, model.n_genes, draws.theta, *parts, draws.log_ratio, highest)
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
        order = np.argsort(self.base_mean, kind="stable")  # ties the same with every NumPy and processor
        taken = order[np.linspace(0, order.size - 1, most).astype(int)]
        return MarginalLikelihood(
            self.space,
            self.base_mean[taken],
            self.theta[taken, : self.n_draws],
            self.log_ratio[taken],
            self.highest[taken],
        )

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
        scale, trend, sd, nu = self.space.parts(self.space.phi(psi), self.base_mean)
        n = len(self.space.shrunken)
        log_evidence, moments = np.empty(trend.size), np.empty((trend.size, n + 3))
        columns = _columns(self.space)
        over_genes(
            fill_moments,
            trend.size,
            self.theta,
            self.log_ratio,
            columns,
            scale,
            trend,
            sd,
            nu,
            log_evidence,
            moments,
        )
        value, gradient, _ = self.space.log_prior(psi)
        log_evidence += log_height(scale, sd, nu)
        scores = self._scores(psi, trend, moments, nu)
        return float(log_evidence.sum()) + value, gradient + scores.sum(axis=0), scores

    def _scores(self, psi: np.ndarray, trend: np.ndarray, moments: np.ndarray, nu: float) -> np.ndarray:
        """Turn derivatives by ln S_k, ln sigma, the log trend and nu into those by psi."""
        n, scale_of = len(self.space.shrunken), np.array(self.space.scale_of, dtype=int)
        columns = [
            moments[:, :n][:, scale_of == i].sum(axis=1, keepdims=True) for i in range(self.space.n_scales)
        ]
        columns.append(moments[:, n : n + 1])
        share = exponentials(psi[self.space.n_scales + 1] - trend)[:, None]  # of a0 in the trend
        columns.append(moments[:, n + 1 : n + 2] * share)
        if self.space.trend:
            columns.append(moments[:, n + 1 : n + 2] * (1.0 - share))
        if self.space.student_t:
            columns.append((moments[:, n + 2 :] + log_height_slope(nu)) * (nu - 2.0))
        return np.hstack(columns)

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
        scale, trend, sd, nu = _parts_at(self.space, self.space.phi(points), self.base_mean)
        evidence, columns = np.empty(trend.shape), _columns(self.space)
        over_genes(
            fill_evidence, trend.shape[1], self.theta, self.log_ratio, columns, scale, trend, sd, nu, evidence
        )
        heights = [log_height(*part) for part in zip(scale, sd.tolist(), nu.tolist(), strict=True)]
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
    parts, weights = _parts_at(space, points.phi, base_mean), np.empty(log_ratio.shape)
    over_genes(
        average_weights,
        log_ratio.shape[0],
        theta,
        log_ratio,
        _columns(space),
        *parts,
        points.weight,
        weights,
    )
    return weights


def _parts_at(
    space: HyperparameterSpace, phi: np.ndarray, base_mean: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return scales (point, shrunken), log trend (point, gene), sigma and nu (point,)."""
    scale, trend, sd, nu = zip(*(space.parts(point, base_mean) for point in phi), strict=True)
    return np.stack(scale), np.stack(trend), np.array(sd), np.array(nu)


def _columns(space: HyperparameterSpace) -> np.ndarray:
    return np.array(space.shrunken, dtype=np.int64)


def _parts_of(model: ConditionalModel) -> tuple[np.ndarray, np.ndarray, float, float]:
    return model.shrinkage_scale[model.shrunken], model.log_trend, model.dispersion_sd, model.nu
