r"""Weights of a mixture, integrated over.

Under the prior pi ~ Dirichlet(c) and the likelihood prod_g sum_j L_gj pi_j, weights are drawn by turns with
the component z_g of every gene (Gibbs sampling; Diebolt and Robert 1994,
doi:10.1111/j.2517-6161.1994.tb01985.x),

    p(z_g = j | pi) = pi_j L_gj / sum_i pi_i L_gi,        pi | z ~ Dirichlet(c + n),    n_j = #{g: z_g = j}.

The law of an effect is linear in the weights, so that its average over their posterior is the mixture with
their posterior mean, which is that of (c + n) / sum_j (c_j + n_j) over the draws.
"""

from __future__ import annotations

import numpy as np

from bayesde.numerics.compiled import kernel

__all__ = ["mean_weights"]

SWEEPS, WARM_UP = 1000, 100
SEED = 20_170
SMALLEST = 1e-300


def mean_weights(
    likelihood: np.ndarray, concentration: np.ndarray, start: np.ndarray, *, sweeps: int = SWEEPS
) -> np.ndarray:
    """Return the posterior mean of the weights of a mixture whose components are known.

    Parameters
    ----------
    likelihood : ndarray (gene, component)
        Each gene's marginal likelihood under each component, up to a factor of the gene.
    concentration : ndarray (component,)
        Of the Dirichlet prior.
    start : ndarray (component,)
        Weights to start from, such as those of largest posterior density.
    sweeps : int
        Gibbs draws, beside `WARM_UP` that are not counted.

    Returns
    -------
    ndarray (component,)
        The same for the same input.
    """
    rng = np.random.default_rng(SEED)
    weights, total = start, np.zeros(start.size)
    for number in range(WARM_UP + sweeps):
        counts = _count_components(likelihood, weights, rng.random(likelihood.shape[0]))
        weights = rng.standard_gamma(concentration + counts)
        weights = np.maximum(weights / weights.sum(), SMALLEST)  # so that a gene always has a component
        if number >= WARM_UP:
            total += concentration + counts
    return np.asarray(total / total.sum())


@kernel
def _count_components(likelihood, weights, uniform):  # type: ignore[no-untyped-def]
    """Draw the component of every gene, and count them."""
    n_genes, p = likelihood.shape
    counts, cumulated = np.zeros(p), np.empty(p)
    for g in range(n_genes):
        total = 0.0
        for j in range(p):
            total += weights[j] * likelihood[g, j]
            cumulated[j] = total
        j, below = 0, uniform[g] * total
        while j < p - 1 and cumulated[j] <= below:
            j += 1
        counts[j] += 1.0
    return counts
