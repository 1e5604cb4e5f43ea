"""The comparison of engines: errors of moments where they are known, and differences that must be found."""

from __future__ import annotations

import numpy as np
import pytest

from bayesde.posterior.draws.gene_draws import GeneDraws
from benchmarks.agreement.moments import agreement, moments, z_scores

GENES = 300


def weighted(rng, shift=0.0):
    """Draws of t(6) weighted to a standard normal: an importance sample with a known target."""
    draws = rng.standard_t(6, (GENES, 800, 3))
    log_weights = -0.5 * draws[..., 0] ** 2 + 3.5 * np.log1p(draws[..., 0] ** 2 / 6)
    log_weights -= np.logaddexp.reduce(log_weights, axis=1, keepdims=True)
    draws[..., 1:] = rng.standard_normal((GENES, 800, 2))
    return GeneDraws((draws + shift).astype(np.float32), log_weights.astype(np.float32))


def chains(rng):
    """Four autoregressive chains of a standard normal."""
    draws = np.empty((GENES, 4, 500, 3))
    draws[:, :, 0] = rng.standard_normal((GENES, 4, 3))
    for t in range(1, 500):
        draws[:, :, t] = 0.6 * draws[:, :, t - 1] + 0.8 * rng.standard_normal((GENES, 4, 3))
    return GeneDraws(draws.reshape(GENES, 2000, 3).astype(np.float32), chains=4)


@pytest.fixture(scope="module")
def of_chains():
    return moments(chains(np.random.default_rng(1)))


def test_errors_are_those_of_the_means(of_chains):
    for found in (moments(weighted(np.random.default_rng(2))), of_chains):
        for name, truth in (("mean", 0.0), ("sd", 1.0), ("negative", 0.5)):
            z = (found[name] - truth) / found[f"{name}_se"]
            assert np.sqrt(np.mean(z**2)) == pytest.approx(1.0, abs=0.12)


def test_equal_posteriors_agree(of_chains):
    table = agreement(z_scores(moments(weighted(np.random.default_rng(3))), of_chains))
    assert (table["genes within 4"] > 0.995).all()
    assert table["rms z"].between(0.85, 1.15).all()
    assert table.loc["lfsr, logit", "parameters"] == 2 * GENES


def test_signs_that_were_never_seen_are_not_compared(of_chains):
    """Weights add up to 1 but for rounding, and 1 - 1e-16 has no error to speak of."""
    found = moments(weighted(np.random.default_rng(4), shift=-20.0))
    assert (found["negative"] > 1.0 - 1e-9).all()
    scores = z_scores(found, moments(weighted(np.random.default_rng(5), shift=-1.0)))
    assert np.isnan(scores["lfsr, logit"]).all()


def test_a_shift_is_found(of_chains):
    table = agreement(z_scores(moments(weighted(np.random.default_rng(3), shift=0.3)), of_chains))
    assert table.loc["mean", "genes within 4"] < 0.5
