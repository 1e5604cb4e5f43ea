"""Genes that importance sampling cannot do go to Stan, where there is one."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import cauchy, norm

from bayesde.counts import Counts
from bayesde.eb.fit import fit_eb
from bayesde.errors import FitError
from bayesde.posterior import SamplingOptions, engines, fit_posterior
from bayesde.posterior.draws.gene_draws import GeneDraws
from bayesde.posterior.hyper.integrate import log_shared_prior
from bayesde.posterior.stan.hand_over import replace_genes, thinned
from bayesde.posterior.stan.nuts import SampledGenes


@pytest.fixture(scope="module")
def hard_fit():
    """Genes whose four effects may each be nothing or large, of which some are called hard (`low_limit`)."""
    rng = np.random.default_rng(2)
    cell = np.repeat(["a", "b", "c", "d"], 2)
    dex = np.tile(["x", "y"], 4)
    table = pd.DataFrame({"cell": cell, "dex": dex}, index=[f"s{j}" for j in range(8)])
    mean = rng.lognormal(4.0, 1.5, (150, 1)) * np.exp(0.05 * rng.standard_cauchy((150, 8)).clip(-40, 40))
    matrix = rng.negative_binomial(4, 4 / (4 + mean))
    counts = Counts(matrix, genes=[f"g{i}" for i in range(150)], samples=table.index, sample_table=table)
    return fit_eb(counts, "~ cell + dex")


def fitted(fit, **options):
    settings = SamplingOptions(coding="treatment", **options)  # under which more genes are hard
    return fit_posterior(fit.counts, fit.design, eb=fit, draws=200, workers=2, options=settings)


@pytest.fixture(scope="module", autouse=True)
def low_limit():
    """Real genes with k above 0.7 are few and change with the proposals: a low limit makes some."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engines, "MAX_K", 0.4)
        yield


@pytest.fixture(scope="module")
def kept(hard_fit, low_limit):
    return fitted(hard_fit, hand_over=False)


def test_some_genes_are_hard(kept):
    assert 0 < kept.diagnostics["status"].isin(["high_pareto_k", "low_ess"]).sum() < 40
    assert set(kept.diagnostics["engine"]) == {"psis"}


def test_without_stan_they_keep_their_status(hard_fit, kept, monkeypatch, caplog):
    monkeypatch.setattr(engines, "stan_is_there", lambda: False)
    with caplog.at_level("INFO"):
        posterior = fitted(hard_fit)
    assert "bayesde install-stan" in caplog.text
    assert (posterior.diagnostics["status"] == kept.diagnostics["status"]).all()


def test_with_stan_they_are_sampled_by_it(hard_fit, kept, cmdstan):
    posterior = fitted(hard_fit)
    handed = kept.diagnostics["status"].isin(["high_pareto_k", "low_ess"])
    found = posterior.diagnostics
    assert (found.loc[handed, "engine"] == "nuts").all()
    of_chains = ["rhat", "ess_bulk", "ess_tail"]
    assert found.loc[handed, of_chains].notna().all(axis=None)
    assert found.loc[~handed, of_chains].isna().all(axis=None)
    assert found["ess"].notna().equals(found["sampled"] & ~handed)
    assert list(found).index("ess") + 1 == list(found).index("rhat")
    assert not found.loc[handed, "status"].isin(["high_pareto_k"]).any()
    same = ["pareto_k", "ess", "engine", "status"]
    assert found.loc[~handed, same].equals(kept.diagnostics.loc[~handed, same])
    table, before = posterior.results(), kept.results()
    assert (table.loc[handed, "engine"] == "nuts").all()
    pairs = [(table.loc[~handed, name], before.loc[~handed, name]) for name in ("log2_fold_change", "lfsr")]
    for now, then in pairs:
        np.testing.assert_array_equal(now, then)
    rows = np.flatnonzero(handed)
    np.testing.assert_allclose(posterior.gene_draws.weights()[rows], 1.0 / 200)


def test_what_stan_cannot_sample_keeps_its_draws(hard_fit, kept, monkeypatch, caplog):
    def fails(*_):
        raise FitError("no program")

    monkeypatch.setattr(engines, "stan_is_there", lambda: True)
    monkeypatch.setattr(engines, "sampled_in_blocks", fails)
    assert fitted(hard_fit).diagnostics.equals(kept.diagnostics)
    assert "could not be sampled by Stan instead: no program" in caplog.text

    def gives_up(request, rows, hyper):
        shape = (rows.size, 40, request.fit.design.n_coefficients + 1)
        report = {
            name: np.full(rows.size, np.nan) for name in ("rhat", "ess_bulk", "ess_tail", "divergences")
        }
        return SampledGenes(GeneDraws(np.full(shape, np.nan, dtype=np.float32), chains=4), report)

    monkeypatch.setattr(engines, "sampled_in_blocks", gives_up)
    posterior = fitted(hard_fit)
    assert (posterior.diagnostics["status"] == kept.diagnostics["status"]).all()
    np.testing.assert_array_equal(posterior.gene_draws.theta, kept.gene_draws.theta)


def test_thinning_takes_draws_of_all_chains():
    theta = np.arange(2 * 40 * 3, dtype=np.float32).reshape(2, 40, 3)
    few = thinned(GeneDraws(theta, chains=4), 8)
    assert few.shape == (2, 8, 3)
    chain = few[0, :, 0] // 30  # ten draws of three numbers each
    assert np.bincount(chain.astype(int)).tolist() == [2, 2, 2, 2]


def test_the_prior_that_hyperparameters_change(panel_model):
    rng = np.random.default_rng(0)
    theta = rng.standard_normal((3, 5, panel_model.n_coefficients + 1))
    model = panel_model.genes(np.array([0, 9, 30]))
    expected = norm.logpdf(theta[..., -1], model.log_trend[:, None], model.dispersion_sd)
    for k in np.flatnonzero(model.shrunken):
        expected += cauchy.logpdf(theta[..., k], scale=model.shrinkage_scale[k])
    found = log_shared_prior(theta, model)
    np.testing.assert_allclose(found - found[0, 0], expected - expected[0, 0], rtol=1e-12, atol=1e-12)


def test_replaced_genes_have_equal_weights(panel_model):
    rng = np.random.default_rng(1)
    d = panel_model.n_coefficients + 1
    weights = np.log(rng.dirichlet(np.ones(10), 40)).astype(np.float32)
    draws = GeneDraws(rng.standard_normal((40, 10, d)).astype(np.float32), weights, np.zeros_like(weights))
    better = GeneDraws(rng.standard_normal((2, 40, d)).astype(np.float32), chains=4)
    rows = np.array([3, 17])
    replace_genes(draws, rows, better, panel_model.genes(rows))
    np.testing.assert_allclose(np.exp(draws.log_weights[rows]), 0.1, rtol=1e-6)
    assert np.isin(draws.theta[3, :, 0], better.theta[0, :, 0]).all()
    assert (draws.log_ratio[17] != 0.0).all()
