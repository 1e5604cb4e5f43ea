r"""Where chains start: at draws of each gene's proposal, spread over its modes.

R-hat can only show that chains have missed a mode if some of them start there. The proposal of engine psis
has a component around every mode that a gene may have (`bayesde.posterior.proposal.components`); they have
heavier tails than the posterior. So each chain starts at a draw of another component: first those where every
coefficient is non-null and where all are null, then the others, the one with the prior's tails last. A draw
where the log posterior density is more than `DEEPEST` below its highest value would cost the block its
warm-up: another is taken.
"""

from __future__ import annotations

import math

import numpy as np

from bayesde.model.density import log_density, one_gene
from bayesde.numerics.compiled import kernel
from bayesde.numerics.threads import over_genes
from bayesde.posterior.draws.streams import Stream, seeds_for
from bayesde.posterior.proposal.components import gene_mixtures, most_components
from bayesde.posterior.proposal.drawing import draw
from bayesde.posterior.proposal.mixture import stratified_counts
from bayesde.posterior.stan.data import SamplerCoordinates

__all__ = ["chain_starts"]

CANDIDATES = 8
"""Draws of each component that starts are chosen from."""
DEEPEST = 20.0
"""Log density below the highest, natural log."""


def chain_starts(genes: SamplerCoordinates, chains: int, attempt: int = 0) -> np.ndarray:
    """Draw over-dispersed starts.

    Parameters
    ----------
    genes : SamplerCoordinates
    chains : int
    attempt : int
        Other attempts have other starts.

    Returns
    -------
    ndarray (chain, gene, P + 1)
        On the sampler's scale, z. A gene's depend on its own data and seed only.
    """
    model, start = genes.model, genes.start
    proposal = gene_mixtures(model, start.beta, start.log_dispersion)
    used = proposal.share > 0.0
    even = proposal._replace(share=used / used.sum(axis=1, keepdims=True))
    seeds = seeds_for(Stream.STARTS, start.seeds, attempt)
    size = CANDIDATES * most_components(model)  # whatever the genes beside it
    theta = draw(model, even, seeds, size).theta.astype(np.float64)
    density = np.empty(theta.shape[:2])
    over_genes(_fill_densities, model.n_genes, theta, model.data, model.prior, density)
    counts = stratified_counts(even.share, size)
    chosen = np.array([_chosen(*gene, chains) for gene in zip(density, counts, strict=True)])
    return genes.z(np.take_along_axis(theta, chosen[:, :, None], axis=1)).transpose(1, 0, 2)


def _chosen(density: np.ndarray, counts: np.ndarray, chains: int) -> np.ndarray:
    """Choose one gene's starts (chain,) from draws that lie component after component."""
    ends = np.cumsum(counts)
    used = np.flatnonzero(counts).tolist()
    components = used[:1] + used[-2:-1] + used[1:-2] + used[-1:] if len(used) > 2 else used
    high = np.flatnonzero(density > density.max() - DEEPEST)
    taken: list[int] = []
    for chain in range(chains):
        c = components[chain % len(components)]
        own = np.setdiff1d(high[(high >= ends[c] - counts[c]) & (high < ends[c])], taken)
        others = np.setdiff1d(high, taken)
        taken.append(int(next((some[0] for some in (own, others) if some.size), high[0])))
    return np.array(taken)


@kernel
def _fill_densities(first, last, theta, data, prior, density):  # type: ignore[no-untyped-def]
    """Fill the log posterior density at draws (gene, draw, P + 1); -inf where it is not finite."""
    for g in range(first, last):
        own, own_prior = one_gene(data, prior, g)
        for m in range(theta.shape[1]):
            value = log_density(theta[g, m], own, own_prior)
            density[g, m] = value if math.isfinite(value) else -math.inf
