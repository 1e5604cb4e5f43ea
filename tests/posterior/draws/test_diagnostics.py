"""R-hat and effective sizes, gene by gene."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from bayesde.posterior.draws.arviz_adapter import import_arviz, to_arviz
from bayesde.posterior.draws.diagnostics import chain_diagnostics, effective_sizes

arviz = import_arviz()


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


@pytest.mark.parametrize(("chains", "length"), [(4, 1000), (2, 251)])
def test_each_parameter_gets_what_arviz_says_of_it_alone(chains, length):
    draws = autoregressive(np.random.default_rng(1), 12, chains, length)
    by_gene = draws.transpose(1, 2, 0)[..., None]
    found = chain_diagnostics(by_gene)
    np.testing.assert_allclose(found["rhat"], by_arviz(arviz.rhat, draws), rtol=1e-10)
    np.testing.assert_allclose(found["ess_bulk"], by_arviz(arviz.ess, draws), rtol=1e-10)
    tails = by_arviz(arviz.ess, draws, method="tail", prob=(0.05, 0.95))
    np.testing.assert_allclose(found["ess_tail"], tails, rtol=1e-10)
    np.testing.assert_allclose(effective_sizes(draws), by_arviz(arviz.ess, draws, method="mean"), rtol=1e-10)


def test_effective_size_of_an_autoregression_is_what_theory_says():
    """For x_t = m x_(t-1) + noise it is n (1 - m) / (1 + m)."""
    draws = autoregressive(np.random.default_rng(5), 12, 4, 5000)[4:9]
    memory = np.linspace(-0.6, 0.99, 12)[4:9]
    expected = 20_000 * (1.0 - memory) / (1.0 + memory)
    np.testing.assert_allclose(effective_sizes(draws), expected, rtol=0.15)


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


def test_arviz_1_gets_a_data_tree(monkeypatch):
    """From 1.0 on arviz.InferenceData is an alias of xarray's DataTree, which is made in another way."""
    draws = xr.Dataset({"beta": (("chain", "draw"), np.zeros((2, 3)))})
    monkeypatch.setattr(arviz, "__version__", "1.3.0")
    tree = to_arviz(draws)
    assert isinstance(tree, xr.DataTree)
    assert tree["posterior"]["beta"].shape == (2, 3)
