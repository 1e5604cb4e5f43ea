r"""Where chains start: at draws of each gene's proposal, spread over its modes.

R-hat can only tell that chains have missed a mode if some of them start there. The proposal of engine psis
has a component around every mode that a gene may have (`bayesde.posterior.proposal.components`); they have
heavier tails than the posterior. So each chain starts at a draw of another component: first those where every
coefficient is something and where none is, then the others, the prior's tails last. A draw where the
posterior density is below its highest by more than `DEEPEST` says nothing of the posterior and costs the
block its warm-up: another is taken.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from bayesde.model.density import log_density
from bayesde.model.modes import density_arguments
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
"""Natural log."""


def chain_starts(genes: SamplerCoordinates, chains: int, attempt: int = 0) -> np.ndarray:
    """Draw over-dispersed starts.

    Parameters
    ----------
    genes : SamplerCoordinates
    chains : int
    attempt : int
        Another attempt has other starts.

    Returns
    -------
    ndarray (chain, gene, P + 1)
        On the sampler's scale, z. A gene's depend on its own data and seed only.
    """
    model, start = genes.model, genes.start
    proposal = gene_mixtures(model, start.beta, start.log_dispersion)
    used = proposal.share > 0.0
    even = replace(proposal, share=used / used.sum(axis=1, keepdims=True))
    seeds = seeds_for(Stream.STARTS, start.seeds, attempt)
    size = CANDIDATES * most_components(model)  # whatever the genes beside it
    theta = draw(model, even, seeds, size).theta.astype(np.float64)
    density = np.empty(theta.shape[:2])
    over_genes(_fill_densities, model.n_genes, theta, *density_arguments(model), density)
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
def _fill_densities(  # type: ignore[no-untyped-def]
    first, last, theta, y, log_nf, x, shrunken, scale, log_trend, dispersion_sd, nu, density
):
    """Fill the log posterior density at draws (gene, draw, P + 1); -inf where it is not finite."""
    for g in range(first, last):
        for m in range(theta.shape[1]):
            value = log_density(
                theta[g, m], y[g], log_nf[g], x, shrunken, scale, log_trend[g], dispersion_sd, nu
            )
            density[g, m] = value if math.isfinite(value) else -math.inf
