r"""The shares of the components of each gene's proposal, its draws, and their density ratios.

A mixture whose components `bayesde.posterior.proposal.components` chooses. Their shares are fitted to a few
pilot draws. Components of a negligible share are left out, except the last one, which bounds the weights in
the tails; of the others no share is below `SMALLEST_SHARE`.

With every draw ln p(y | theta) - ln q(theta) is kept, plus the log normal priors of the coefficients that are
not shrunken: everything in its weight that does not depend on the hyperparameters.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from bayesde.model.density import ConditionalModel
from bayesde.model.prior_at_draws import (
    HyperPriors,
    PriorParts,
    log_prior_shape,
    prior_of_gene,
    priors_at_one,
)
from bayesde.numerics.compiled import fused, kernel, transpose
from bayesde.numerics.elementary import exponential
from bayesde.numerics.sums import sum_of, sum_of_products
from bayesde.numerics.threads import over_genes
from bayesde.posterior.draws.streams import Stream, seeds_for
from bayesde.posterior.proposal.counts_likelihood import OrderedCells, log_likelihoods
from bayesde.posterior.proposal.mixture import (
    Mixture,
    component_densities,
    component_heights,
    draw_mixture,
    one_mixture,
    stratified_counts,
    subtract_log_mixture,
)

__all__ = ["ProposalDraws", "draw", "fitted_shares"]

SMALLEST_SHARE = 0.08
"""Of any component; less where there are many."""
LARGEST_FLOOR = 0.25
"""Sum of the smallest shares of all components."""
NEGLIGIBLE, TELLING = 0.001, 10.0
"""Fitted share below which a component is left out; and the effective number of pilot draws needed to decide
that: after a single draw of large weight only its own component would be left."""
PILOT = 200
"""Draws that the shares are fitted to."""
EM_STEPS = 10


@dataclass(frozen=True, eq=False)
class ProposalDraws:
    """Draws from the proposals.

    Attributes
    ----------
    theta : ndarray of float32 (gene, draw, P + 1)
    log_ratio : ndarray (gene, draw)
        ln p(y | theta) + ln p(unshrunken coefficients) - ln q(theta), at theta as it is stored.
    """

    theta: np.ndarray
    log_ratio: np.ndarray


def fitted_shares(
    model: ConditionalModel,
    proposal: Mixture,
    seeds: np.ndarray,
    n_draws: int = PILOT,
    negligible: float = NEGLIGIBLE,
) -> Mixture:
    """Fit the shares of the components to the posterior by a few draws of each.

    They are those that maximize sum_m w_m ln q(theta_m) over pilot draws with the weights w_m, by the EM
    algorithm (Cappe et al. 2008, doi:10.1007/s11222-008-9059-x). Components of a negligible share are left
    out, except the last one, which bounds the weights; of the others none is below `SMALLEST_SHARE`.

    Parameters
    ----------
    model : ConditionalModel
    proposal : Mixture
    seeds : ndarray of uint32 (gene,)
    n_draws : int
        Pilot draws of every gene.
    negligible : float
        Share below which a component is left out.

    Returns
    -------
    Mixture
    """
    used = proposal.share > 0.0
    even = proposal._replace(share=used / used.sum(axis=1, keepdims=True))
    pilot = draw(model, even, seeds_for(Stream.PILOT, seeds), n_draws)
    share, size = even.share.copy(), np.zeros(model.n_genes)
    prior = _cauchy_priors(model.for_proposals)
    over_genes(_fit_shares, model.n_genes, even, pilot.theta, pilot.log_ratio, prior, share, size)
    last = share.shape[1] - 1 - np.argmax(used[:, ::-1], axis=1)
    used &= (share >= negligible) | (np.arange(share.shape[1]) == last[:, None]) | (size < TELLING)[:, None]
    share = np.where(used, share, 0.0)
    share /= share.sum(axis=1, keepdims=True)
    number = used.sum(axis=1, keepdims=True)
    least = np.minimum(SMALLEST_SHARE, LARGEST_FLOOR / number)
    share = np.where(used, least + (1.0 - least * number) * share, 0.0)
    return proposal._replace(share=share).without_unused()


def _cauchy_priors(model: ConditionalModel) -> HyperPriors:
    """Return the priors that proposals are made for, as kernels take them."""
    columns = np.flatnonzero(model.shrunken)
    ones = np.ones(columns.size)
    of_effects = (model.shrinkage_scale[columns], ones, 0.0 * ones)
    residuals = (model.log_trend, model.dispersion_sd, model.nu)
    parts = PriorParts(*of_effects, *residuals, 0.0, 1.0, *model.log_sd_prior)
    return priors_at_one(columns, parts)


def draw(model: ConditionalModel, proposal: Mixture, seeds: np.ndarray, n_draws: int) -> ProposalDraws:
    """Draw from every gene's proposal and evaluate likelihood and proposal there.

    Parameters
    ----------
    model : ConditionalModel
        Of it only counts, factors and design are used.
    proposal : Mixture
    seeds : ndarray of uint32 (gene,)
        A gene's draws depend on its seed, its proposal and their number only.
    n_draws : int

    Returns
    -------
    ProposalDraws
    """
    counts = stratified_counts(proposal.share, n_draws)
    exact = proposal._replace(share=counts / n_draws)
    theta = np.empty((model.n_genes, n_draws, model.n_coefficients + 1), dtype=np.float32)
    data, normal = model.data, ~model.shrunken & model.is_fixed
    log_ratio, cells = np.empty((model.n_genes, n_draws)), OrderedCells.of(model.x, data.groups)
    over_genes(draw_mixture, model.n_genes, exact, counts, seeds, theta)
    priors = (normal, model.unshrunken_sd)
    over_genes(log_likelihoods, model.n_genes, theta, data, cells, *priors, log_ratio)
    over_genes(subtract_log_mixture, model.n_genes, exact, theta, log_ratio)
    return ProposalDraws(theta, log_ratio)


@kernel
def _em_step(weights, parts, share, total, work):  # type: ignore[no-untyped-def]
    """Move shares to the weighted means of the components' responsibilities.

    ``total`` and ``work`` are room to work in.
    """
    total[:] = 0.0
    for c in range(share.size):
        part, multiple = parts[c], share[c]
        if multiple > 0.0:
            for m in range(total.size):
                total[m] = fused(multiple, part[m], total[m])
    for m in range(total.size):
        total[m] = weights[m] / total[m] if total[m] > 0.0 else 0.0
    for c in range(share.size):
        part = parts[c]
        if share[c] > 0.0:
            for m in range(total.size):
                work[m] = part[m] * total[m]
            share[c] *= sum_of(work)


@kernel
def _fit_shares(first, last, mixture, theta, log_ratio, priors, fitted, size):  # type: ignore[no-untyped-def]
    """Fit the shares of some genes to weighted draws, weights cut at sqrt(draw) times their mean.

    Also filled is the effective number of draws.
    """
    n_draws, d = theta.shape[1:]
    n = mixture.share.shape[1]
    points, work, parts = np.empty((d, n_draws)), np.empty((3, n_draws)), np.empty((n, n_draws))
    weights, heights, even = np.empty(n_draws), np.empty(n), np.empty(n)
    for g in range(first, last):
        transpose(theta[g], points)
        own = one_mixture(mixture, g)
        for c in range(n):
            even[c] = 1.0 if own.share[c] > 0.0 else 0.0
        component_heights(own, even, heights)
        component_densities(points, own, heights, work, parts)
        log_prior_shape(points, prior_of_gene(priors, g), work[0], weights)
        for m in range(n_draws):
            weights[m] += log_ratio[g, m]
        highest = weights.max()
        if not highest > -math.inf:
            continue
        for m in range(n_draws):
            weights[m] = exponential(weights[m] - highest)
        most = math.sqrt(n_draws) * (sum_of(weights) / n_draws)
        for m in range(n_draws):
            weights[m] = min(weights[m], most)
        weights /= sum_of(weights)
        size[g] = 1.0 / sum_of_products(weights, weights)
        for _ in range(EM_STEPS):
            _em_step(weights, parts, fitted[g], work[0], work[1])
