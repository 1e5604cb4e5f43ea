"""The joint posterior of contrasts, and the tables of one, against NumPy on the same draws."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from scipy.stats import multivariate_normal, norm

import bayesde as bde
from bayesde.design import Design
from bayesde.errors import InputError, OptionError
from bayesde.posterior.draws.gene_draws import GeneDraws
from bayesde.posterior.summaries.several_contrasts import event_probability, joint_summary, read_contrasts

LOG2 = math.log(2.0)


@pytest.fixture(scope="module")
def design():
    table = pd.DataFrame({"group": list("aabbcc")}, index=[f"s{j}" for j in range(6)])
    return Design.from_formula("~ group", table)


@pytest.fixture(scope="module")
def draws():
    """Two genes; effects of b and c correlated normals (log2), drawn from wider ones."""
    rng = np.random.default_rng(1)
    mean, covariance = np.array([1.0, -0.5]), np.array([[0.5, 0.3], [0.3, 0.4]])
    wide = multivariate_normal(mean, 1.7 * covariance)
    effects = wide.rvs((2, 20_000), random_state=rng)
    log_weights = multivariate_normal(mean, covariance).logpdf(effects) - wide.logpdf(effects)
    log_weights -= np.log(np.exp(log_weights).sum(axis=1, keepdims=True))
    theta = np.zeros((2, 20_000, 4), dtype=np.float32)
    theta[:, :, 1:3] = LOG2 * effects
    return GeneDraws(theta, log_weights.astype(np.float32)), multivariate_normal(mean, covariance)


def test_joint_posterior_of_correlated_normals(design, draws):
    """To four or more standard errors of 20,000 draws, which weigh as much as 17,000."""
    genes, law = draws
    read = read_contrasts(design, {"b": "group[T.b]", "c": "group[T.c]", "b - c": ("group", "b", "c")})
    found = joint_summary(genes, read, 1.0)
    assert list(found["contrast"].values) == ["b", "c", "b - c"]
    turn = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, -1.0]])
    for g in range(2):
        one = found.isel(gene=g)
        np.testing.assert_allclose(one["mean"], turn @ law.mean, atol=0.03)
        np.testing.assert_allclose(one["covariance"], turn @ law.cov @ turn.T, atol=0.03)
        np.testing.assert_allclose(one["sd"] ** 2, np.diag(one["covariance"]), rtol=1e-12)
        assert one["correlation"].values[0, 1] == pytest.approx(0.3 / math.sqrt(0.2), abs=0.03)
        np.testing.assert_allclose(np.diag(one["correlation"]), 1.0)
    two = joint_summary(genes, read[:2], 1.0)
    signs = law.cdf([np.inf, 0.0]) - law.cdf([0.0, 0.0])
    np.testing.assert_allclose(two["prob_signs_as_means"], signs, atol=0.015)
    small = law.cdf([1.0, 1.0], lower_limit=[-1.0, -1.0])
    np.testing.assert_allclose(two["prob_any_gt_threshold"], 1.0 - small, atol=0.015)
    assert (two["prob_all_gt_threshold"] < two["prob_any_gt_threshold"]).all()
    assert "prob_any_gt_threshold" not in joint_summary(genes, read, 0.0)


def test_probability_of_an_event(design, draws):
    genes, _ = draws
    read = read_contrasts(design, ["group[T.b]", "group[T.c]"])
    found = event_probability(genes, read, lambda e: e[..., 0] > e[..., 1] + 1.0)
    sd = math.sqrt(0.5 + 0.4 - 0.6)
    np.testing.assert_allclose(found, norm.sf((1.0 - 1.5) / sd), atol=0.015)


@pytest.mark.parametrize(
    "event", [lambda e: e[..., 0], lambda e: e > 0.0, lambda e: (e[..., 0] > 0.0).all(), lambda e: None]
)
def test_events_that_are_none(design, draws, event):
    with pytest.raises(InputError, match=r"\(gene, draw\)"):
        event_probability(draws[0], read_contrasts(design, None), event)


def test_contrasts_are_read_with_their_names(design):
    assert [one.name for one in read_contrasts(design, None)] == list(design.coefficients)
    named = read_contrasts(design, {"first": ("group", "b", "a")})[0]
    assert named.name == "first"
    np.testing.assert_array_equal(named.vector, [0.0, 1.0, 0.0])


@pytest.mark.parametrize(
    ("contrasts", "words"),
    [
        ("group[T.b]", "a list or a mapping"),
        ([], "empty"),
        (["group[T.b]", "group[T.b]"], "more than one is called"),
        (["group[T.d]"], "group"),
        (3, "a list or a mapping"),
    ],
)
def test_contrasts_that_cannot_be_read(design, contrasts, words):
    with pytest.raises(InputError, match=words):
        read_contrasts(design, contrasts)


@pytest.fixture(scope="module")
def posterior():
    """Sixty genes of three groups, half of them with effects; one has no counts."""
    rng = np.random.default_rng(6)
    table = pd.DataFrame({"group": list("aaabbbccc")}, index=[f"s{j}" for j in range(9)])
    effect = np.where(np.arange(60) % 2, rng.normal(0, 2, 60), 0.0)[:, None] * np.repeat([0, 1, 0.5], 3)
    mean = rng.uniform(50, 500, (60, 1)) * 2.0**effect
    matrix = rng.negative_binomial(10, 10 / (10 + mean))
    matrix[3] = 0
    counts = bde.Counts(matrix, genes=[f"g{i}" for i in range(60)], sample_table=table)
    fit = bde.fit_eb(counts, "~ group", options=bde.EbOptions(trend="mean"))
    hyper = bde.Hyperparameters.from_eb(fit)
    return bde.fit_posterior(counts, "~ group", eb=fit, hyperparameters=hyper, draws=400)


def test_both_tables_say_the_same(posterior):
    table, full = posterior.results(("group", "c", "b"), 0.5), posterior.summary(("group", "c", "b"), 0.5)
    for name, other in {
        "log2_fold_change": "mean",
        "lfc_se": "sd",
        "lfc_lower": "lower",
        "lfc_upper": "upper",
        "lfsr": "lfsr",
        "s_value": "s_value",
        "prob_gt_threshold": "prob_gt_threshold",
        "status": "status",
    }.items():
        pd.testing.assert_series_equal(table[name], full[other], check_names=False)
    other = posterior.results(("group", "c", "b"), 0.5, estimate="median", interval="hdi")
    pd.testing.assert_series_equal(other["log2_fold_change"], full["median"], check_names=False)
    pd.testing.assert_series_equal(other["lfc_lower"], full["hdi_lower"], check_names=False)
    pd.testing.assert_series_equal(other["lfc_upper"], full["hdi_upper"], check_names=False)
    assert list(table.to_deseq2().columns) == ["baseMean", "log2FoldChange", "lfcSE", "svalue"]


def test_summary_in_full(posterior):
    full = posterior.summary("group[T.b]", 0.5, mcse=True)
    assert list(full.columns) == [
        *("mean", "sd", "median", "lower", "upper", "hdi_lower", "hdi_upper"),
        *(
            "lfsr",
            "fsos",
            "lfdr",
            "prob_gt_threshold",
            "mcse_mean",
            "mcse_sd",
            "s_value",
            "s_value_sign",
            "status",
        ),
    ]
    assert full.loc["g3"].drop("status").isna().all()
    assert full.loc["g3", "status"] == "all_zero"
    there = full.drop(index="g3")
    assert (there["lfsr"] <= there["fsos"]).all()
    np.testing.assert_allclose(full["s_value"], bde.s_values(full["fsos"]))
    np.testing.assert_allclose(full["s_value_sign"], bde.s_values(full["lfsr"]))
    assert (there["mcse_mean"] < 0.2 * there["sd"]).all()
    plain = posterior.summary("group[T.b]")
    # tails are followed over other steps where there are more bounds: 1.5 % apart at 2e-8
    np.testing.assert_allclose(plain["s_value"], full["s_value_sign"], rtol=0.02)
    assert not {"fsos", "lfdr", "s_value_sign", "mcse_mean"} & set(plain.columns)


def test_sure_genes_are_ranked_beyond_their_draws(posterior):
    """None of the draws has the other sign, and the rates still tell the genes apart."""
    rates = posterior.summary("group[T.b]")["lfsr"].dropna()
    sure = rates[rates < 1e-4]
    assert sure.size > 5
    assert sure.nunique() == sure.size


@pytest.mark.parametrize("scales", ["coefficient", "term"])
def test_hyperparameters_may_be_learnt(posterior, scales):
    """Tails are averaged over their draws then; of genes that counting can judge, nothing depends on it."""
    options = bde.SamplingOptions(scales=scales, hand_over=False)
    learnt = bde.fit_posterior(posterior.eb.counts, "~ group", eb=posterior.eb, draws=400, options=options)
    rates = learnt.summary("group[T.b]")["lfsr"].drop("g3")
    up = learnt.probability(lambda e: e[..., 0] > 0.0, ["group[T.b]"]).drop("g3")
    counted = rates > 0.05
    np.testing.assert_allclose(np.minimum(up, 1.0 - up)[counted], rates[counted], rtol=0.5)
    assert 0.0 < rates.min() < 1e-4


def test_draws_of_a_contrast_are_those_of_its_coefficients(posterior):
    drawn = posterior.contrast_draws(("group", "c", "b"), ["g9", "g2"])
    beta = posterior.draws["beta"].sel(gene=["g9", "g2"])
    expected = (beta.sel(coefficient="group[T.c]") - beta.sel(coefficient="group[T.b]")) / LOG2
    assert drawn.dims == ("chain", "draw", "gene")
    assert drawn.attrs["unit"] == "log2"
    assert list(drawn["gene"].values) == ["g9", "g2"]
    np.testing.assert_allclose(drawn, expected, rtol=1e-4, atol=1e-5)
    assert posterior.contrast_draws().shape == (1, 400, 59)


def test_several_contrasts_and_events(posterior):
    found = posterior.contrasts({"b": "group[T.b]", "c": "group[T.c]"}, lfc_threshold=1.0)
    table = posterior.results("group[T.b]", 1.0)
    np.testing.assert_allclose(
        found["mean"].sel(contrast="b").to_series(), table["log2_fold_change"].drop("g3"), rtol=1e-9
    )
    np.testing.assert_allclose(
        found["sd"].sel(contrast="b").to_series(), table["lfc_se"].drop("g3"), rtol=1e-6
    )
    either = posterior.probability(
        lambda e: (abs(e) > 1.0).any(axis=-1), {"b": "group[T.b]", "c": "group[T.c]"}
    )
    np.testing.assert_allclose(either.drop("g3"), found["prob_any_gt_threshold"].to_series(), rtol=1e-12)
    assert np.isnan(either["g3"])
    up = posterior.probability(lambda e: e[..., 0] > 0.0, ["group[T.b]"]).drop("g3")
    rates = posterior.summary("group[T.b]")["lfsr"].drop("g3")
    counted = rates > 0.05
    np.testing.assert_allclose(np.minimum(up, 1.0 - up)[counted], rates[counted], rtol=0.5)


def test_what_tables_do_not_know(posterior):
    with pytest.raises(OptionError, match="estimate"):
        posterior.results(estimate="mode")
    with pytest.raises(OptionError, match="interval"):
        posterior.results(interval="wald")
    with pytest.raises(OptionError, match="lfc_threshold"):
        posterior.contrasts(lfc_threshold=-1.0)
    for tabulate in (posterior.contrasts, posterior.results, posterior.summary, posterior.eb.results):
        with pytest.raises(OptionError, match=r"lfc_threshold must be a number in \[0, 100\]; got 100.5"):
            tabulate(lfc_threshold=100.5)
    with pytest.raises(OptionError, match="ci_prob"):
        posterior.summary(ci_prob=1.0)
    with pytest.raises(InputError, match="'g3', 'nobody'"):
        posterior.contrast_draws(genes=["g3", "g1", "nobody"])
    with pytest.raises(InputError, match="a list of names"):
        posterior.contrast_draws(genes="g1")
