r"""A proposal for genes with many modes: each shrunken coefficient may be next to nothing, or not.

Under a Cauchy prior much narrower than the likelihood each coefficient has a mode at zero and one near its
estimate, so that P coefficients may have 2^P modes together, of which the mixture of `proposal` knows the
outermost. Here each combination gets a component of its own: Laplace's approximation under the prior with the
scales of the coefficients that are "not nothing" multiplied by `WIDE`, reached from there. With so
many shrunken coefficients that there would be more than `MOST` components, only the last are split, which the
question is mostly about; the others are taken to be not nothing.
"""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
from numba import njit

from bayesde.eb.threads import over_genes
from bayesde.posterior.importance.mixture import Proposal, distance_squared
from bayesde.posterior.importance.proposal import SAME
from bayesde.posterior.mode import climb, fill_factor
from bayesde.posterior.model import ConditionalModel, log_density_derivatives

__all__ = ["split_modes"]

CLASSES = (1.0, 8.0)
"""By what the scale of a coefficient's prior is multiplied: that it is next to nothing, or not. Of the 221
genes of airway that `proposal` cannot do, 77 are left with 8, 97 with 25, 112 with 1, 5 and 25."""
MOST = 64
"""Components at most."""


def split_modes(model: ConditionalModel, proposal: Proposal) -> Proposal:
    """Give every gene a mixture with a component for every combination of coefficients.

    Parameters
    ----------
    model : ConditionalModel
    proposal : Proposal
        Of the same genes. Its first component, under the widest prior, says where estimates are; the last,
        with the prior's tails, is kept.

    Returns
    -------
    Proposal
        With equal shares; a component that is another one again has none.
    """
    combinations = _combinations(np.flatnonzero(model.shrunken), model.n_coefficients)
    n_genes, d, n = model.n_genes, model.n_coefficients + 1, combinations.shape[0]
    nothing = np.append(combinations == CLASSES[0], np.zeros((n, 1), dtype=bool), axis=1)
    location = np.where(nothing, 0.0, proposal.location[:, :1])
    factor, used = np.zeros((n_genes, n, d, d)), np.ones((n_genes, n), dtype=np.bool_)
    over_genes(
        _laplace_each,
        n_genes,
        combinations * model.prior_scale,
        model.y,
        model.log_nf,
        model.x,
        model.shrunken,
        model.log_trend,
        model.dispersion_sd,
        model.nu,
        location,
        factor,
        used,
    )
    used = np.append(used, np.ones((n_genes, 1), dtype=bool), axis=1)
    return replace(
        proposal,
        location=np.append(location, proposal.location[:, -1:], axis=1),
        factor=np.append(factor, proposal.factor[:, -1:], axis=1),
        share=used / used.sum(axis=1, keepdims=True),
    )


def _combinations(shrunken: np.ndarray, n_coefficients: int) -> np.ndarray:
    """Return the multiples of the priors' scales (component, coefficient)."""
    split = shrunken[-int(np.log(MOST) / np.log(len(CLASSES)) + 1e-9) :]
    table = np.ones((len(CLASSES) ** split.size, n_coefficients))
    table[:, shrunken] = CLASSES[-1]
    table[:, split] = list(itertools.product(CLASSES, repeat=split.size))
    return table


@njit(cache=True, nogil=True, error_model="numpy")
def _laplace_each(  # type: ignore[no-untyped-def]
    first, last, near, y, log_nf, x, shrunken, log_trend, sd, nu, location, factor, used
):
    """Climb from every start of some genes; fill factors, and which components are no repetition."""
    d = location.shape[2]
    gradient, hessian = np.empty(d), np.empty((d, d))
    for g in range(first, last):
        for c in range(near.shape[0]):
            at = location[g, c]
            climb(at, y[g], log_nf[g], x, shrunken, near[c], log_trend[g], sd, nu)
            log_density_derivatives(
                at, y[g], log_nf[g], x, shrunken, near[c], log_trend[g], sd, nu, gradient, hessian
            )
            fill_factor(at, hessian, shrunken, near[c], factor[g, c])
            for other in range(c):
                if used[g, other] and distance_squared(at, location[g], factor[g], other) < SAME**2:
                    used[g, c] = False
