"""Leave-one-out: against quadrature, against ArviZ, and weights against sampling again."""

from __future__ import annotations

from dataclasses import replace

import arviz
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from numba.core import config
from reference.pareto_smoothing import ARVIZ_IS_NEWER, relative_size
from scipy import stats

from bayesde.counts import Counts
from bayesde.design import Design
from bayesde.eb.fit import fit_eb
from bayesde.eb.options import EbOptions
from bayesde.posterior import Hyperparameters, fit_posterior
from bayesde.posterior.draws.gene_draws import GeneDraws
from bayesde.posterior.draws.resampling import resampled
from bayesde.posterior.queries import left_out_predictions, loo
from bayesde.posterior.queries.left_out import sample_without
from bayesde.posterior.queries.pointwise import log_probabilities

BETA, LOG_DISPERSION = np.linspace(-6.0, 10.0, 401), np.linspace(-6.0, 5.0, 111)
ATTRIBUTES = ("elpd", "below", "above", "pareto_k", "ess", "lpd", "expected")


@pytest.fixture(scope="module")
def posterior(pasilla_fit, panel):
    names = list(pasilla_fit.counts.genes[panel])
    return fit_posterior(
        pasilla_fit.counts, pasilla_fit.design, eb=pasilla_fit, genes=names, hyperparameters="eb"
    )


@pytest.fixture(scope="module")
def left_out(posterior):
    return posterior.loo()


@pytest.fixture(scope="module")
def single():
    """Genes with nothing but a level and a dispersion; one of them has an outlier."""
    rng = np.random.default_rng(3)
    matrix = rng.negative_binomial(4, 4 / (4 + rng.uniform(1, 300, (12, 1))), (12, 6))
    matrix[5] = [20, 25, 18, 400, 22, 19]
    matrix[6] = [0, 0, 3, 0, 1, 0]
    counts = Counts(matrix, genes=[f"g{i}" for i in range(12)], samples=[f"s{j}" for j in range(6)])
    design = Design.from_matrix(np.ones((6, 1)), ["Intercept"], counts.samples)
    return fit_eb(counts, design, options=EbOptions(trend="mean"))


def grid_log_likelihood(y, factor):
    mu = factor * np.exp(BETA)[:, None]
    r = np.exp(-LOG_DISPERSION)[None, :]
    return stats.nbinom.logpmf(y, r, r / (r + mu)), stats.nbinom(r, r / (r + mu))


def by_quadrature(model, g, j):
    """Return ln p(y_j | others), P(Y < y_j | others) and P(Y > y_j | others)."""
    log_weight = stats.norm.logpdf(BETA, 0.0, model.unshrunken_sd)[:, None] + stats.norm.logpdf(
        LOG_DISPERSION, model.log_trend[g], model.dispersion_sd
    )
    factors = np.exp(model.log_nf[g])
    for i in range(model.y.shape[1]):
        if i != j:
            log_weight = log_weight + grid_log_likelihood(model.y[g, i], factors[i])[0]
    weight = np.exp(log_weight - log_weight.max())
    weight /= weight.sum()
    log_p, law = grid_log_likelihood(model.y[g, j], factors[j])
    y = model.y[g, j]
    return np.log((weight * np.exp(log_p)).sum()), (weight * law.cdf(y - 1)).sum(), (weight * law.sf(y)).sum()


def test_quadrature_gives_the_same(single):
    posterior = fit_posterior(single.counts, single.design, eb=single, hyperparameters="eb", draws=4000)
    found = posterior.loo().pointwise
    model = posterior.model()
    exact = np.array([[by_quadrature(model, g, j) for j in range(6)] for g in range(12)])
    assert found["refitted"].any()
    error = 5.0 * found["elpd_error"].to_numpy() + 1e-3
    assert np.median(error) < 0.1
    assert (np.abs(found["elpd"].to_numpy() - exact[..., 0]) < error).all()
    for name, column in (("below", exact[..., 1]), ("above", exact[..., 2])):
        np.testing.assert_allclose(found[name], column, rtol=0.15, atol=0.02)
    # the outlier: a probability of one in some thousands, with a relative error below one
    assert exact[5, 3, 2] < 1e-4
    assert found["elpd_error"].to_numpy()[5, 3] < 1.0
    assert found["above"].to_numpy()[5, 3] == pytest.approx(exact[5, 3, 2], rel=0.6)


def test_log_probabilities_agree_with_scipy(posterior):
    model = posterior.model()
    theta = posterior.gene_draws.theta[:, :50]
    found = log_probabilities(model, theta)
    mean = np.exp(
        np.clip(
            np.einsum("gmk,jk->gjm", theta[..., :-1].astype(float), model.x) + model.log_nf[:, :, None],
            -700,
            700,
        )
    )
    dispersion = np.exp(theta[:, None, :, -1].astype(float))
    size, y = 1.0 / dispersion, model.y[:, :, None]
    usual = (dispersion > 1e-4) & (np.abs(np.log(mean)) < 20.0)  # beyond, SciPy loses digits
    expected = stats.nbinom.logpmf(y, size, size / (size + mean))
    assert usual.mean() > 0.9
    np.testing.assert_allclose(found[usual], expected[usual], rtol=1e-6, atol=1e-6)


def test_weights_agree_with_sampling_again(posterior):
    """Counts that weights are trusted with, left out exactly all the same."""
    found = posterior.loo(refit=False)
    model = posterior.model()
    everyone = np.arange(model.n_genes)
    gaps = []
    for j in range(model.y.shape[1]):
        without = np.arange(model.y.shape[1]) == j
        sampled = sample_without(posterior, everyone, without, 4000)
        log_p = log_probabilities(model, sampled.draws.theta)[:, j]
        exact = np.log((sampled.draws.weights() * np.exp(log_p)).sum(axis=1))
        trusted = found.reliable.to_numpy()[:, j] & (sampled.report["pareto_k"] < 0.7)
        error = found.pointwise["elpd_error"].to_numpy()[:, j] + 0.01
        gaps.append(((found.pointwise["elpd"].to_numpy()[:, j] - exact) / error)[trusted])
    gaps = np.concatenate(gaps)
    assert gaps.size > 0.8 * model.y.size
    assert (np.abs(gaps) < 4.0).mean() > 0.99  # errors of heavy-tailed weights are estimated too small
    assert abs(gaps.mean()) < 0.3


def test_arviz_gives_the_same_from_draws_of_equal_weight(posterior):
    seeds = posterior.request.seeds(posterior.request.rows)
    theta = np.ascontiguousarray(resampled(posterior.gene_draws, seeds)[0].transpose(1, 0, 2))
    # no draw twice: versions of ArviZ differ in the ties at the end of the tail
    theta = theta + np.random.default_rng(1).normal(0.0, 1e-3, theta.shape).astype(np.float32)
    equal = replace(posterior, gene_draws=GeneDraws(theta))
    found = equal.loo(refit=False)
    log_p = log_probabilities(equal.model(), theta)
    with pytest.warns(UserWarning, match="shape parameter"):
        theirs = arviz_loo(log_p)
    np.testing.assert_allclose(found.pointwise["elpd"], theirs["each"], rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(found.pointwise["pareto_k"], theirs["pareto_k"], atol=1e-6)
    assert found.summary()["elpd"] == pytest.approx(theirs["elpd"], rel=1e-8)
    assert found.summary()["p_loo"] == pytest.approx(theirs["p_loo"], rel=1e-6)


def arviz_loo(log_p):
    """ArviZ's own, from log probabilities (gene, sample, draw), by the names of 0.x or of 1.x."""
    groups = {
        "posterior": {"draw_number": np.arange(log_p.shape[2], dtype=float)[None]},
        "log_likelihood": {"y": log_p.transpose(2, 0, 1)[None]},
    }
    if not ARVIZ_IS_NEWER:
        data, names = arviz.from_dict(**groups), {"each": "loo_i", "elpd": "elpd_loo", "p_loo": "p_loo"}
    else:
        data, names = arviz.from_dict(groups), {"each": "elpd_i", "elpd": "elpd", "p_loo": "p"}
    found = arviz.loo(data, pointwise=True, reff=relative_size(log_p.shape[2]))
    return {"pareto_k": found.pareto_k} | {ours: getattr(found, name) for ours, name in names.items()}


def test_what_weights_cannot_do_is_sampled_again(posterior, left_out):
    weighted = posterior.loo(refit=False)
    again = left_out.pointwise["refitted"].to_numpy()
    low = weighted.pointwise["ess"].to_numpy() < loo.FEWEST
    np.testing.assert_array_equal(again, ~weighted.reliable.to_numpy() | low)
    assert 0 < again.sum() < 0.3 * again.size
    assert left_out.reliable.to_numpy()[again].mean() > 0.9
    for name in ("elpd", "below", "pareto_k"):
        one, other = (values.pointwise[name].to_numpy() for values in (weighted, left_out))
        np.testing.assert_array_equal(one[~again], other[~again])


def test_numbers_do_not_depend_on_pieces_or_threads(posterior, left_out, monkeypatch):
    monkeypatch.setattr(config, "NUMBA_NUM_THREADS", 1)
    monkeypatch.setattr(left_out_predictions, "VALUES_AT_A_TIME", 7 * 1000 * 3)
    other = posterior.loo()
    for name in ATTRIBUTES:
        np.testing.assert_array_equal(other.pointwise[name], left_out.pointwise[name])


def test_memory_maps_are_read_as_they_are(posterior, left_out, tmp_path):
    draws = posterior.gene_draws
    maps = {}
    for name in ("theta", "log_weights"):
        values = getattr(draws, name)
        maps[name] = np.memmap(tmp_path / name, dtype=values.dtype, mode="w+", shape=values.shape)
        maps[name][:] = values
    other = replace(posterior, gene_draws=GeneDraws(maps["theta"], maps["log_weights"])).loo(refit=False)
    once = ~left_out.pointwise["refitted"].to_numpy()
    for name in ATTRIBUTES:
        np.testing.assert_array_equal(
            other.pointwise[name].to_numpy()[once], left_out.pointwise[name].to_numpy()[once]
        )


def test_a_sample_that_alone_has_a_coefficient_can_be_left_out():
    rng = np.random.default_rng(9)
    table = pd.DataFrame({"group": list("aaab"), "other": list("ccdd")}, index=[f"s{j}" for j in range(4)])
    matrix = rng.negative_binomial(5, 0.1, (30, 4)) + 1
    counts = Counts(matrix, genes=[f"g{i}" for i in range(30)], samples=table.index, sample_table=table)
    fit = fit_eb(counts, "~ group", options=EbOptions(trend="mean"))
    hyper = Hyperparameters({"group[T.b]": 0.3}, 0.5, 0.2, 0.0)
    wide = Hyperparameters({"group[T.b]": 3.0}, 0.5, 0.2, 0.0)
    errors = []
    for given in (hyper, wide):
        found = fit_posterior(counts, fit.design, eb=fit, hyperparameters=given).loo()
        assert np.isfinite(found.pointwise["elpd"]).all()
        errors.append(float(found.pointwise["elpd"].sel(sample="s3").sum()))
    assert errors[0] > errors[1]  # nothing but the prior speaks of the effect


def test_transforms_and_tails(left_out):
    values = left_out.pointwise
    equal = np.exp(values["elpd"])
    np.testing.assert_allclose(values["below"] + equal + values["above"], 1.0, atol=1e-6)
    middle = left_out.pit(None)
    np.testing.assert_allclose(middle, values["below"] + 0.5 * equal, atol=1e-12)
    one, other = left_out.pit(1), left_out.pit(2)
    assert ((one >= values["below"]) & (one <= values["below"] + equal)).all()
    assert not np.array_equal(one, other)
    xr.testing.assert_identical(one, left_out.pit(1))
    tail = left_out.tail_probability
    assert ((tail > 0.0) & (tail <= 1.0)).all()
    assert (tail >= 2.0 * np.minimum(one, 1.0 - one) - 1e-6).all()


def test_tables(left_out):
    table, summary = left_out.genes(), left_out.summary()
    assert summary["elpd"] == pytest.approx(float(left_out.pointwise["elpd"].sum()))
    assert summary["counts"] == 7 * summary["genes"] == left_out.pointwise["elpd"].size
    assert summary["se"] == pytest.approx(np.sqrt(len(table)) * table["elpd"].std(ddof=0))
    assert summary["p_loo"] == pytest.approx(table["p_loo"].sum())
    assert summary["refitted"] == table["refitted"].sum()
    assert table["p_loo"].median() > 0.0
    np.testing.assert_array_equal(table["smallest_tail"], left_out.tail_probability.min("sample"))


def test_transforms_are_uniform_where_the_model_is_true():
    rng = np.random.default_rng(17)
    n, hyper = 400, Hyperparameters({"group[T.b]": 0.3}, 0.5, 0.1, 2.0)
    mean = np.exp(rng.normal(4.0, 1.5, n))
    dispersion = np.exp(np.log(0.1 + 2.0 / mean) + 0.5 * rng.standard_normal(n))
    effect = np.clip(0.3 * rng.standard_cauchy(n), -5.0, 5.0)
    group = np.array([0, 0, 0, 1, 1, 1])
    mu = mean[:, None] * np.exp(effect[:, None] * (group - 0.5))
    matrix = rng.poisson(rng.gamma(1.0 / dispersion[:, None], mu * dispersion[:, None]))
    kept = matrix.sum(axis=1) > 0
    table = pd.DataFrame({"group": list("aaabbb")}, index=[f"s{j}" for j in range(6)])
    counts = Counts(
        matrix[kept], genes=[f"g{i}" for i in np.flatnonzero(kept)], samples=table.index, sample_table=table
    )
    fit = fit_eb(counts, "~ group", size_factors=np.ones(6))
    found = fit_posterior(counts, fit.design, eb=fit, hyperparameters=hyper).loo()
    one_each = found.pit().to_numpy()[np.arange(kept.sum()), np.arange(kept.sum()) % 6]
    assert stats.kstest(one_each, "uniform").pvalue > 1e-3
