"""Posterior means of a mixture's weights, against sums over all assignments of genes to components."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from scipy.special import gammaln, logsumexp

from bayesde.posterior.hyper.mean_weights import mean_weights

SEVEN_GENES = np.random.default_rng(3).gamma(0.5, size=(7, 3))


def exact_mean(likelihood, concentration):
    """Sum over the components of all genes, of which the Dirichlet-multinomial is the prior."""
    n_genes, p = likelihood.shape
    assigned = np.array(list(product(range(p), repeat=n_genes)))
    counts = np.stack([(assigned == j).sum(axis=1) for j in range(p)], axis=1)
    log_p = np.log(likelihood)[np.arange(n_genes), assigned].sum(axis=1)
    log_p = log_p + gammaln(concentration + counts).sum(axis=1)
    weight = np.exp(log_p - logsumexp(log_p))
    return weight @ (concentration + counts) / (concentration.sum() + n_genes)


@pytest.mark.parametrize("concentration", [(1.0, 1.0, 1.0), (10.0, 1.0, 1.0), (0.5, 2.0, 4.0)])
def test_means_are_those_of_the_exact_posterior(concentration):
    sweeps, concentration = 20_000, np.array(concentration)
    found = mean_weights(SEVEN_GENES, concentration, np.full(3, 1.0 / 3.0), sweeps=sweeps)
    expected = exact_mean(SEVEN_GENES, concentration)
    assert found.sum() == pytest.approx(1.0)
    # a draw of (c + n) / (sum c + 7) has an sd of at most 3.5 / (sum c + 7); about one in five is effective
    np.testing.assert_allclose(
        found, expected, atol=5.0 * 3.5 / (concentration.sum() + 7.0) / (sweeps / 5.0) ** 0.5
    )


def test_a_component_that_no_gene_needs_keeps_the_weight_that_the_prior_gives_it():
    """Where two components are the same to all genes, their weights are shared as in the prior."""
    likelihood = np.ones((50, 2))
    found = mean_weights(likelihood, np.array([10.0, 1.0]), np.array([1.0, 0.0]), sweeps=20_000)
    np.testing.assert_allclose(found, [10.0 / 11.0, 1.0 / 11.0], atol=0.02)


def test_the_same_for_the_same_input():
    start = np.full(3, 1.0 / 3.0)
    one, other = (mean_weights(SEVEN_GENES, np.ones(3), start, sweeps=20) for _ in range(2))
    np.testing.assert_array_equal(one, other)
