"""R-hat and effective sizes against ArviZ's, chain by chain."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from bayesde.posterior.diagnostics import chain_diagnostics, ess_bulk, ess_mean, ess_tail, rhat

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import arviz


def autoregressive(rng, parameters, chains, length):
    noise = rng.normal(size=(parameters, chains, length))
    memory = np.linspace(-0.6, 0.99, parameters)[:, None]
    draws = noise.copy()
    for t in range(1, length):
        draws[:, :, t] = memory * draws[:, :, t - 1] + noise[:, :, t]
    draws[0, 0] += 1.0  # a chain that stayed elsewhere
    return draws


def by_arviz(function, draws, **options):
    return np.array([float(np.asarray(function(one, **options))) for one in draws])


@pytest.mark.parametrize(("chains", "length"), [(4, 1000), (2, 251), (4, 50)])
def test_same_as_arviz(chains, length):
    draws = autoregressive(np.random.default_rng(1), 12, chains, length)
    np.testing.assert_allclose(rhat(draws), by_arviz(arviz.rhat, draws), rtol=1e-10)
    np.testing.assert_allclose(ess_bulk(draws), by_arviz(arviz.ess, draws), rtol=1e-10)
    np.testing.assert_allclose(ess_tail(draws), by_arviz(arviz.ess, draws, method="tail"), rtol=1e-10)
    np.testing.assert_allclose(ess_mean(draws), by_arviz(arviz.ess, draws, method="mean"), rtol=1e-10)


def test_worst_parameter_of_each_gene_counts():
    rng = np.random.default_rng(2)
    draws = rng.normal(size=(4, 500, 3, 2))
    draws[0, :, 1, 1] += 3.0
    found = chain_diagnostics(draws)
    assert found["rhat"][1] > 1.3
    assert found["ess_bulk"][1] < 20
    assert (found["rhat"][[0, 2]] < 1.02).all()


def test_stuck_or_missing_draws_are_not_passed_off_as_good():
    draws = np.random.default_rng(3).normal(size=(4, 100, 2, 2))
    draws[:, :, 0, 0] = 1.0
    draws[0, 5, 1, 1] = np.nan
    assert np.isnan(chain_diagnostics(draws)["rhat"]).all()
