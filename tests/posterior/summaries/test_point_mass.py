"""Rates and tables of contrasts that may be exactly 0, against SciPy and against the rest of the draws."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm, t

import bayesde as bde
from bayesde.design import Contrast
from bayesde.model.density import ConditionalModel
from bayesde.posterior.draws.gene_draws import GeneDraws
from bayesde.posterior.draws.labelled import equal_draws
from bayesde.posterior.queries.left_out import copied
from bayesde.posterior.queries.other_models.reweight import reweighted
from bayesde.posterior.summaries.one_contrast import contrast_summary
from bayesde.posterior.summaries.several_contrasts import event_probability, joint_summary
from bayesde.results import write_results

EFFECT = np.array([0.0, 1.0])
A, B, BOTH = np.array([0.0, 1.0, 0.0]), np.array([0.0, 0.0, 1.0]), np.array([0.0, 1.0, -1.0])


def mixed(theta, weights, coefficient, mass):
    """Mix draws of one gene (draw, P + 1) with copies in which a coefficient is 0, of total weight `mass`."""
    zero = theta.copy()
    zero[:, coefficient] = 0.0
    both = np.concatenate([zero, theta])
    shares = np.concatenate([mass * weights, (1.0 - mass) * weights])
    order = np.random.default_rng(0).permutation(len(both))
    return GeneDraws(
        both[order][None].astype(np.float32), np.log(shares[order][None]).astype(np.float32), has_atoms=True
    )


@pytest.mark.parametrize("mass", [0.7, 0.3, 0.02])
@pytest.mark.parametrize("center", [1.0, -0.4, 0.0])
def test_summary_of_a_mixture_whose_law_is_known(mass, center):
    """mass at 0, else N(center, 0.5), by draws at quantiles of a wider t distribution."""
    slab, n = norm(center, 0.5), 20_000
    z = t(5).ppf((np.arange(n) + 0.5) / n)
    weights = slab.pdf(center + 0.6 * z) / t(5).pdf(z)
    theta = np.stack([np.ones(n), center + 0.6 * z, -np.ones(n)], axis=1)
    draws = mixed(theta, weights / weights.sum(), 1, mass)
    found = {name: values[0] for name, values in contrast_summary(draws, EFFECT, 0.4, 0.9).items()}

    def quantile(level):
        below = (1.0 - mass) * slab.cdf(0.0)
        if below <= level <= below + mass:
            return 0.0
        return slab.ppf((level - (mass if level > below else 0.0)) / (1.0 - mass))

    mean = (1.0 - mass) * center
    expected = {
        "mean": mean,
        "sd": np.sqrt((1.0 - mass) * (0.25 + center**2) - mean**2),
        "median": quantile(0.5),
        "lower": quantile(0.05),
        "upper": quantile(0.95),
        "p_zero": mass,
        "lfsr": mass + (1.0 - mass) * min(slab.cdf(0.0), slab.sf(0.0)),
        "fsos": mass + (1.0 - mass) * min(slab.cdf(0.4), slab.sf(-0.4)),
        "lfdr": mass + (1.0 - mass) * (slab.cdf(0.4) - slab.cdf(-0.4)),
        "prob_gt_threshold": (1.0 - mass) * (slab.cdf(-0.4) + slab.sf(0.4)),
    }
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, rel=2e-3, abs=2e-3), name
        if value == 0.0:
            assert (found[name] == 0.0) == (name != "mean"), name
    assert found["p_zero"] == pytest.approx(mass, rel=1e-6)


@pytest.fixture(scope="module")
def two():
    """One gene; a = 0 with 0.5, else N(1, 1); b = 0 with 0.4, else N(-0.5, 0.7); 100,000 draws."""
    rng = np.random.default_rng(1)
    theta = np.zeros((1, 100_000, 4), dtype=np.float32)
    theta[0, :, 0] = 5.0
    theta[0, :, 1] = np.where(rng.random(100_000) < 0.5, 0.0, rng.normal(1.0, 1.0, 100_000))
    theta[0, :, 2] = np.where(rng.random(100_000) < 0.4, 0.0, rng.normal(-0.5, 0.7, 100_000))
    return GeneDraws(theta, has_atoms=True)


def test_a_contrast_is_zero_where_all_its_coefficients_are(two):
    """Of a - b: 0.2 nothing, 0.2 a alone, 0.3 b alone, 0.3 both; 0.007 is four standard errors of a share."""
    laws = [(0.2, norm(1.0, 1.0)), (0.3, norm(0.5, 0.7)), (0.3, norm(1.5, np.sqrt(1.49)))]
    found = contrast_summary(two, BOTH, 0.5)
    assert found["p_zero"][0] == pytest.approx(0.2, abs=0.006)
    assert found["lfsr"][0] == pytest.approx(0.2 + sum(w * law.cdf(0.0) for w, law in laws), abs=0.007)
    larger = sum(w * (law.cdf(-0.5) + law.sf(0.5)) for w, law in laws)
    assert found["prob_gt_threshold"][0] == pytest.approx(larger, abs=0.007)
    assert found["lfdr"][0] == pytest.approx(1.0 - larger, abs=0.007)
    for vector, expected in ((A, 0.5), (B, 0.4), (2.0 * B, 0.4), (np.array([1.0, 1.0, 0.0]), 0.0)):
        assert contrast_summary(two, vector)["p_zero"][0] == pytest.approx(expected, abs=0.007)


def test_turned_around_contrasts_have_the_same_rates(two):
    one, other = (contrast_summary(two, vector, 0.3) for vector in (BOTH, -BOTH))
    for name in ("lfsr", "sd", "prob_gt_threshold", "lfdr", "fsos", "p_zero"):
        np.testing.assert_allclose(one[name], other[name], rtol=1e-9)
    for low, high in (("lower", "upper"), ("hdi_lower", "hdi_upper")):
        np.testing.assert_allclose(one[low], -other[high], rtol=1e-9, atol=1e-12)


def test_an_effect_of_zero_has_no_sign(two):
    contrasts = [Contrast("a", A), Contrast("b", B)]
    found = joint_summary(two, contrasts, 0.0)
    expected = 0.5 * norm(1.0, 1.0).sf(0.0) * 0.6 * norm(-0.5, 0.7).cdf(0.0)
    assert found["prob_signs_as_means"].values[0] == pytest.approx(expected, abs=0.006)
    assert found["covariance"].values[0, 0, 0] * np.log(2.0) ** 2 == pytest.approx(0.75, abs=0.02)
    nothing = event_probability(two, contrasts, lambda e: (e == 0.0).all(axis=2))
    assert nothing[0] == pytest.approx(contrast_summary(two, BOTH)["p_zero"][0], rel=1e-9)
    empty = joint_summary(GeneDraws(np.zeros((1, 50, 4), dtype=np.float32), has_atoms=True), contrasts, 0.0)
    assert empty["prob_signs_as_means"].values[0] == 0.0
    assert np.isnan(empty["correlation"]).all()
    assert not empty["covariance"].any()


def far_draws(seed, n=2000):
    """Draws of one gene of six counts, far enough from 0 that few or none have the other sign."""
    rng = np.random.default_rng(seed)
    theta = rng.normal([3.2, 1.2, -3.0], [0.15, 0.25, 0.5], (n, 3)).astype(np.float32)
    y = np.array([[22, 31, 25, 90, 71, 102]])
    model = ConditionalModel(
        y=y,
        log_nf=np.zeros((1, 6)),
        x=np.column_stack([np.ones(6), [0.0, 0.0, 0.0, 1.0, 1.0, 1.0]]),
        base_mean=y.mean(axis=1),
        log_trend=np.log([0.05]),
        shrunken=np.array([False, True]),
        shrinkage_scale=np.array([1.0, 0.1]),
        dispersion_sd=0.6,
        nu=np.inf,
    )
    return theta, rng.dirichlet(np.full(n, 3.0)), model


@pytest.mark.parametrize("with_model", [True, False])
@pytest.mark.parametrize("mass", [1e-12, 1e-6, 0.3, 0.98])
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_tails_are_extended_within_the_continuous_part(with_model, mass, sign):
    """P(v < b) is that of the other draws times their share, whatever the share of the draws at 0."""
    theta, weights, model = far_draws(3)
    alone = GeneDraws(theta[None], np.log(weights[None]).astype(np.float32))
    models = [model] if with_model else []
    rest = contrast_summary(alone, sign * EFFECT, 0.3, models=models)
    found = contrast_summary(mixed(theta, weights, 1, mass), sign * EFFECT, 0.3, models=models)
    assert 0.0 < rest["lfsr"][0] < 1e-3
    share = found["p_zero"][0]
    assert share == pytest.approx(mass, rel=1e-5)
    for name in ("lfsr", "fsos", "lfdr"):
        expected = share + (1.0 - share) * rest[name][0]
        assert found[name][0] == pytest.approx(expected, rel=1e-5), name
    expected = (1.0 - share) * rest["prob_gt_threshold"][0]
    assert found["prob_gt_threshold"][0] == pytest.approx(expected, rel=1e-5)


def test_tails_of_few_draws_beside_a_heavy_atom_are_not_entered_there():
    """Thirty draws on one side and none on the other: what is below 0 comes from their tail, not from 0."""
    rng = np.random.default_rng(6)
    values = np.concatenate([np.zeros(970), rng.normal(3.0, 0.5, 30)])
    theta = np.stack([values, np.zeros(1000)], axis=1)[None].astype(np.float32)
    found = contrast_summary(GeneDraws(theta, has_atoms=True), np.ones(1), 1.0)
    assert found["p_zero"][0] == pytest.approx(0.97)
    assert 0.97 <= found["lfsr"][0] < 0.97 + 0.03 * 0.01
    assert found["prob_gt_threshold"][0] == pytest.approx(0.03, abs=3e-4)
    assert found["lfdr"][0] + found["prob_gt_threshold"][0] == pytest.approx(1.0, rel=1e-12)


def test_rates_are_in_order_where_few_draws_are_left():
    """P(= 0) <= P(|.| <= t) <= P(of wrong sign or small), and P(wrong sign) <= that, for 5 to 100 draws."""
    rng = np.random.default_rng(10)
    values = rng.normal(rng.normal(0.0, 1.0, (300, 1)), 0.7, (300, 1000))
    values[rng.random(values.shape) < rng.uniform(0.9, 0.995, (300, 1))] = 0.0
    theta = np.stack([values, np.zeros(values.shape)], axis=2).astype(np.float32)
    found = contrast_summary(GeneDraws(theta, has_atoms=True), np.ones(1), 0.4)
    for less, more in (("p_zero", "lfdr"), ("p_zero", "lfsr"), ("lfdr", "fsos"), ("lfsr", "fsos")):
        assert (found[less] <= found[more] + 1e-12).all(), (less, more)
    np.testing.assert_allclose(found["lfdr"] + found["prob_gt_threshold"], 1.0, rtol=1e-9)
    counted = (np.abs(values) > 0.4).mean(axis=1)
    np.testing.assert_allclose(found["prob_gt_threshold"], counted, atol=0.01)


def test_resampled_draws_keep_zeros(two):
    theta = np.array(two.theta[:, :2000])
    weights = np.random.default_rng(7).dirichlet(np.full(2000, 0.5))
    draws = GeneDraws(theta, np.log(weights[None] + 1e-30).astype(np.float32), has_atoms=True)
    equal = equal_draws(draws, np.array([1], dtype=np.uint32))[0, :, 0]
    share = contrast_summary(draws, BOTH)["p_zero"][0]
    assert (equal[:, 1:3] == 0.0).all(axis=1).mean() == pytest.approx(share, abs=0.02)
    assert np.isin(equal[:, 1], theta[0, :, 1]).all()


@pytest.fixture(scope="module")
def continuous():
    """Twenty genes in three groups."""
    rng = np.random.default_rng(8)
    table = pd.DataFrame({"group": list("aaabbbccc")}, index=[f"s{j}" for j in range(9)])
    matrix = rng.negative_binomial(10, 10 / (10 + rng.uniform(50, 500, (20, 1)) * np.ones(9)))
    matrix[3] = 0
    counts = bde.Counts(matrix, genes=[f"g{i}" for i in range(20)], sample_table=table)
    fit = bde.fit_eb(counts, "~ group", options=bde.EbOptions(trend="mean"))
    hyper = bde.Hyperparameters.from_eb(fit)
    return bde.fit_posterior(counts, "~ group", eb=fit, hyperparameters=hyper, draws=400)


@pytest.fixture(scope="module")
def sparse(continuous):
    """The same, with effects that are 0 in random draws."""
    theta = np.array(continuous.gene_draws.theta)
    theta[:, :, 1:3] *= np.random.default_rng(9).random((*theta.shape[:2], 2)) < 0.5
    return replace(continuous, gene_draws=replace(continuous.gene_draws, theta=theta, has_atoms=True))


def test_tables_have_the_column_only_if_there_are_atoms(continuous, sparse, tmp_path):
    contrast = ("group", "c", "b")
    assert "p_zero" not in continuous.results(contrast)
    assert "p_zero" not in continuous.summary(contrast)
    table, full = sparse.results(contrast, 0.5), sparse.summary(contrast, 0.5, mcse=True)
    names = list(table.columns)
    assert names[names.index("lfsr") :][:4] == ["lfsr", "s_value", "p_zero", "prob_gt_threshold"]
    assert list(full.columns)[-4:] == ["s_value", "s_value_sign", "p_zero", "status"]
    pd.testing.assert_series_equal(table["p_zero"], full["p_zero"])
    zero = (sparse.gene_draws.theta[:, :, 1:3] == 0.0).all(axis=2)
    expected = (sparse.gene_draws.weights() * zero).sum(axis=1)
    np.testing.assert_allclose(table["p_zero"].drop("g3"), expected, rtol=1e-12)
    assert 0.1 < expected.min() < expected.max() < 0.4
    assert np.isnan(table.loc["g3", "p_zero"])
    assert (full["lfsr"].drop("g3") >= full["p_zero"].drop("g3")).all()
    np.testing.assert_allclose(full["s_value_sign"], bde.s_values(full["lfsr"]))
    np.testing.assert_allclose(table["s_value"], bde.s_values(full["fsos"]))
    write_results(table, tmp_path)
    told = json.loads((tmp_path / "results.columns.json").read_text())["columns"]["p_zero"]
    assert told["unit"] == "probability"
    pd.testing.assert_frame_equal(bde.read_results(tmp_path), table)


def test_draws_of_equal_weight_are_exactly_zero_as_often(sparse):
    drawn = sparse.contrast_draws(("group", "c", "b"))
    share = (drawn == 0.0).mean(("chain", "draw")).to_numpy()
    expected = sparse.results(("group", "c", "b"))["p_zero"].drop("g3")
    np.testing.assert_allclose(share, expected, atol=0.06)


def test_draws_made_of_others_remember_their_atoms(continuous, sparse):
    for posterior, expected in ((continuous, False), (sparse, True)):
        draws = posterior.gene_draws
        assert draws.genes(slice(0, 5)).has_atoms is expected
        assert copied(draws, None).has_atoms is expected
        assert reweighted(posterior).gene_draws.has_atoms is expected
