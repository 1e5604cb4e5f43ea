"""Counts that no draw explains: flagged where they were planted, and left out of their genes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from bayesde.counts import Counts
from bayesde.eb.fit import fit_eb
from bayesde.eb.options import EbOptions
from bayesde.errors import InputError, OptionError
from bayesde.posterior import Hyperparameters, fit_posterior
from bayesde.posterior.draws.gene_draws import GeneDraws
from bayesde.posterior.draws.resampling import resampled
from bayesde.posterior.queries.other_models.reweight import reweighted

HYPER = Hyperparameters({"group[T.b]": 0.2}, 0.4, 0.03, 2.0)
PLANTED = {("g10", "s1"): 12.0, ("g50", "s6"): 12.0, ("g90", "s0"): 0.02, ("g130", "s3"): 30.0}


def counts_of(matrix):
    table = pd.DataFrame({"group": list("aaaabbbb")}, index=[f"s{j}" for j in range(8)])
    genes = [f"g{i}" for i in range(matrix.shape[0])]
    return Counts(matrix, genes=genes, samples=table.index, sample_table=table)


@pytest.fixture(scope="module")
def clean():
    rng = np.random.default_rng(23)
    mean = np.exp(rng.normal(5.5, 0.8, 200))[:, None]
    dispersion = np.exp(np.log(0.03 + 2.0 / mean) + 0.4 * rng.standard_normal((200, 1)))
    return rng.poisson(rng.gamma(1.0 / dispersion, np.broadcast_to(mean * dispersion, (200, 8))))


def sampled(matrix, **arguments):
    counts = counts_of(matrix)
    fit = fit_eb(counts, "~ group", size_factors=np.ones(8), options=EbOptions(trend="mean"))
    return fit_posterior(counts, fit.design, eb=fit, hyperparameters=HYPER, **arguments)


@pytest.fixture(scope="module")
def posterior(clean):
    matrix = clean.copy()
    for (gene, sample), factor in PLANTED.items():
        matrix[int(gene[1:]), int(sample[1:])] = int(factor * clean[int(gene[1:])].mean())
    return sampled(matrix)


@pytest.fixture(scope="module")
def flagged(posterior):
    return posterior.loo().outlier_counts()


def test_planted_counts_are_flagged_and_hardly_any_other(flagged):
    assert set(PLANTED) <= set(zip(flagged["gene"], flagged["sample"], strict=True))
    assert len(flagged) <= len(PLANTED) + 2  # one is expected by chance
    assert flagged["tail_probability"].is_monotonic_increasing
    known = flagged.set_index(["gene", "sample"])
    for place, factor in PLANTED.items():
        row = known.loc[place]
        assert row["count"] / row["expected"] == pytest.approx(factor, rel=0.6)
        assert row["tail_probability"] < 1.0 / 1600
        assert row["pareto_k"] < 0.7


@pytest.mark.parametrize("false_flags", [1.0, 20.0])
def test_the_search_finds_what_predicting_every_count_finds(posterior, false_flags):
    """Only counts at the border may differ, whose tails are from weights here and from other draws there."""
    everything = posterior.loo().outlier_counts(false_flags)
    found = posterior.outlier_counts(false_flags)
    assert list(found.columns) == list(everything.columns)
    one, two = (frame.set_index(["gene", "sample"])["tail_probability"] for frame in (everything, found))
    level = false_flags / 1600
    for alone in (one.drop(two.index, errors="ignore"), two.drop(one.index, errors="ignore")):
        assert (alone > 0.5 * level).all()
    assert set(PLANTED) <= set(two.index)
    shared = one.index.intersection(two.index)
    np.testing.assert_allclose(np.log10(two[shared]), np.log10(one[shared]), atol=1.0)
    with pytest.raises(OptionError, match="false_flags"):
        posterior.outlier_counts(-1.0)


def test_the_search_passes_over_counts_that_had_been_left_out(posterior, flagged):
    again = posterior.without_outliers(flagged).outlier_counts()
    assert not set(PLANTED) & set(zip(again["gene"], again["sample"], strict=True))


def test_no_more_flags_than_one_lets_oneself_in_for(clean):
    loo = sampled(clean).loo()
    numbers = [len(loo.outlier_counts(false_flags)) for false_flags in (1.0, 16.0, 160.0)]
    assert numbers[0] <= 4  # P(Poisson(1) > 4) is 0.4 %
    assert 2 <= numbers[1] <= 32
    assert 100 <= numbers[2] <= 200
    with pytest.raises(OptionError, match="false_flags"):
        loo.outlier_counts(0.0)


def test_genes_are_as_they_would_be_without_the_count(posterior, clean, flagged):
    """Against the same gene in an experiment that never had the sample."""
    new = posterior.without_outliers(flagged)
    rows = [j for j in range(8) if j != 1]
    counts = counts_of(clean).subset(samples=[f"s{j}" for j in rows])
    fit = fit_eb(counts, "~ group", size_factors=np.ones(7), options=EbOptions(trend="mean"))
    other = fit_posterior(counts, fit.design, eb=fit, hyperparameters=HYPER, genes=["g10"], draws=4000)
    one, two = new.results().loc["g10"], other.results().loc["g10"]
    assert one["log2_fold_change"] == pytest.approx(two["log2_fold_change"], abs=0.2 * two["lfc_se"])
    assert one["lfc_se"] == pytest.approx(two["lfc_se"], rel=0.15)
    assert one["dispersion"] == pytest.approx(two["dispersion"], rel=0.15)


def test_only_these_genes_change(posterior, flagged):
    before, after = posterior.results(), posterior.without_outliers(flagged).results()
    touched = before.index.isin(flagged["gene"])
    pd.testing.assert_frame_equal(
        before[~touched], after[~touched].assign(s_value=before["s_value"][~touched])
    )
    assert (after["status"][touched] == "outlier_left_out").all()
    assert (after["dispersion"][touched] < 0.8 * before["dispersion"][touched]).all()
    assert (posterior.diagnostics["status"] != "outlier_left_out").all()


def test_what_was_left_out_is_known_and_not_flagged_again(posterior, flagged):
    new = posterior.without_outliers(flagged)
    assert set(zip(new.left_out["gene"], new.left_out["sample"], strict=True)) == set(
        zip(flagged["gene"], flagged["sample"], strict=True)
    )
    loo = new.loo()
    again = loo.outlier_counts()
    assert not set(PLANTED) & set(zip(again["gene"], again["sample"], strict=True))
    gene, sample = "g10", "s1"
    point = loo.pointwise.sel(gene=gene, sample=sample)
    assert bool(point["left_out"])
    assert float(point["lpd"]) == pytest.approx(float(point["elpd"]), abs=4.0 * float(point["elpd_error"]))
    more = new.without_outliers(pd.DataFrame({"gene": ["g10", "g0"], "sample": ["s2", "s2"]}))
    assert len(more.left_out) == len(flagged) + 2


def test_other_priors_come_before_leaving_out(posterior, flagged):
    with pytest.raises(InputError, match="counts were left out"):
        reweighted(posterior.without_outliers(flagged), hyperparameters=HYPER)


def test_by_default_the_flagged_counts_are_left_out(posterior, flagged):
    new = posterior.without_outliers()
    assert len(new.left_out) == len(flagged)


def test_draws_of_equal_weight_stay_so(posterior, flagged):
    seeds = posterior.request.seeds(posterior.request.rows)
    theta = np.ascontiguousarray(resampled(posterior.gene_draws, seeds)[0].transpose(1, 0, 2))
    equal = replace(posterior, gene_draws=GeneDraws(theta, chains=2))
    new = equal.without_outliers(flagged)
    assert new.gene_draws.log_weights is None
    assert new.gene_draws.theta.shape == theta.shape
    one = new.results().loc[flagged["gene"]]
    two = posterior.without_outliers(flagged).results().loc[flagged["gene"]]
    np.testing.assert_allclose(one["log2_fold_change"], two["log2_fold_change"], atol=0.1)
    np.testing.assert_array_equal(equal.gene_draws.theta, theta)  # nothing was written into


def test_a_gene_without_other_counts():
    matrix = np.random.default_rng(2).negative_binomial(9, 0.1, (40, 8))
    matrix[7] = 0
    matrix[7, 2] = 80
    posterior = sampled(matrix)
    new = posterior.without_outliers(pd.DataFrame({"gene": ["g7"], "sample": ["s2"]}))
    row = new.results().loc["g7"]
    assert row["status"] == "outlier_left_out"
    assert abs(row["log2_fold_change"]) < row["lfc_se"]  # nothing but the prior is left


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"gene": ["g1"]}, "no column 'sample'"),
        ({"gene": ["nobody"], "sample": ["s1"]}, "no posterior of 'nobody'"),
        ({"gene": ["g1"], "sample": ["s9"]}, "no sample 's9'"),
        ({"gene": ["g1"] * 8, "sample": [f"s{j}" for j in range(8)]}, "no count would be left of 'g1'"),
    ],
)
def test_what_cannot_be_left_out(posterior, table, message):
    with pytest.raises(InputError, match=message):
        posterior.without_outliers(pd.DataFrame(table))
