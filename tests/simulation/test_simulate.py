"""Simulated counts: the moments and laws that they are said to have, and the whole road back to the truth."""

import json
import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import bayesde as bde
from bayesde.model.hyperparameters import Hyperparameters

LN2 = math.log(2.0)
Z = 4.5
"""A correct program fails a check of this width once in 150,000 seeds, and the seeds are fixed."""
TREATED = "condition[T.treated]"


def options(**values):
    return bde.SimulationOptions(**values)


def two_factors(n=3):
    table = pd.DataFrame({"batch": ["a", "b"] * (2 * n), "condition": ["ctl"] * (2 * n) + ["trt"] * (2 * n)})
    return table.set_index(pd.Index([f"s{j}" for j in range(4 * n)], name="sample"))


def test_counts_have_the_moments_of_the_negative_binomial():
    mu, alpha, n = 40.0, 0.3, 40_000
    laws = options(effect_scale=0.0, dispersion_sd=0.0, trend=(alpha, 0.0))
    simulation = bde.simulate(
        base_mean=np.full(n, mu), groups=(3,), size_factors=[1.0, 2.0, 3.0], options=laws, seed=5
    )
    for column, mean in zip(simulation.counts.matrix.T, (mu, 2.0 * mu, 3.0 * mu), strict=True):
        law = stats.nbinom(1.0 / alpha, 1.0 / (1.0 + alpha * mean))
        variance, kurtosis = law.var(), float(law.stats("k"))
        assert variance == pytest.approx(mean + alpha * mean**2)
        assert abs(column.mean() - mean) < Z * math.sqrt(variance / n)
        assert abs(column.var() - variance) < Z * variance * math.sqrt((kurtosis + 2.0) / n)
        share, expected = (column < 20).mean(), law.cdf(19)
        assert abs(share - expected) < Z * math.sqrt(expected * (1.0 - expected) / n)


def test_a_trend_of_zero_makes_poisson_counts():
    mu, n = 25.0, 40_000
    laws = options(effect_scale=0.0, trend=(0, 0), size_factor_sd=0.0)
    simulation = bde.simulate(base_mean=np.full(n, mu), groups=(2,), options=laws)
    matrix = simulation.counts.matrix
    assert simulation.design.coefficients == ("Intercept",)
    assert abs(matrix.mean() - mu) < Z * math.sqrt(mu / matrix.size)
    assert abs(matrix.var() - mu) < Z * mu * math.sqrt((1.0 / mu + 2.0) / matrix.size)
    assert (simulation.truth["dispersion"] == 0.0).all()
    assert stats.kstest(stats.norm.ppf(_mid_p(matrix[:, 0], mu)), "norm").pvalue > 1e-4


def _mid_p(counts, mu):
    """Randomized distribution function, uniform if the counts are Poisson."""
    law, random = stats.poisson(mu), np.random.default_rng(0)
    return law.cdf(counts - 1) + random.uniform(size=counts.size) * law.pmf(counts)


LAWS = {
    "cauchy": stats.cauchy(scale=0.4),
    "normal": stats.norm(scale=0.4),
    "student_t": stats.t(5.0, scale=0.4),
}


@pytest.mark.parametrize("name", LAWS)
def test_effects_have_their_law_within_the_limits(name):
    limit = 2.0
    laws = options(effects=name, effect_scale=0.4, effect_df=5.0, largest_effect=limit)
    drawn = bde.simulate(20_000, (1, 2), options=laws).beta[:, 1]
    low, high = LAWS[name].cdf([-limit, limit])
    assert np.abs(drawn).max() <= limit
    assert stats.kstest(drawn, lambda x: (LAWS[name].cdf(x) - low) / (high - low)).pvalue > 1e-4


def test_a_mixture_has_effects_of_one_size_and_both_signs():
    drawn = bde.simulate(20_000, (2, 2), options=options(effects="mixture", effect_scale=0.8)).beta[:, 1]
    law = stats.norm(0.8, 0.2)
    assert stats.kstest(drawn, lambda x: 0.5 * law.cdf(x) + 0.5 * law.sf(-x)).pvalue > 1e-4


def test_a_share_of_the_effects_is_exactly_zero_coefficient_by_coefficient():
    n, share = 20_000, 0.7
    simulation = bde.simulate(
        n, sample_table=two_factors(), design="~ batch + condition", options=options(zero_share=share)
    )
    zero = simulation.beta[:, 1:] == 0.0
    width = Z * math.sqrt(share * (1.0 - share) / n)
    assert np.abs(zero.mean(axis=0) - share).max() < width
    both = share**2
    assert abs(zero.all(axis=1).mean() - both) < Z * math.sqrt(both * (1.0 - both) / n)


@pytest.mark.parametrize("residuals", ["normal", "student_t"])
def test_dispersions_scatter_around_the_trend(residuals):
    laws = options(trend=(0.1, 3.0), dispersion_sd=0.6, residuals=residuals, nu=4.0)
    truth = bde.simulate(20_000, (2, 2), options=laws).truth
    np.testing.assert_allclose(truth["dispersion_trend"], 0.1 + 3.0 / truth["base_mean"], rtol=1e-14)
    scaled = np.log(truth["dispersion"] / truth["dispersion_trend"]) / 0.6
    law = stats.norm() if residuals == "normal" else stats.t(4.0)
    assert stats.kstest(scaled, law.cdf).pvalue > 1e-4


def test_base_means_and_size_factors_have_their_laws():
    laws = options(median_mean=50.0, mean_log_sd=1.2, size_factor_sd=0.4)
    simulation = bde.simulate(20_000, (60, 60), options=laws)
    logs = np.log(simulation.truth["base_mean"])
    assert stats.kstest(logs, stats.norm(math.log(50.0), 1.2).cdf).pvalue > 1e-4
    assert np.log(simulation.size_factors).mean() == pytest.approx(0.0, abs=1e-12)
    assert stats.kstest(np.log(simulation.size_factors), stats.norm(0.0, 0.4).cdf).pvalue > 1e-4


@pytest.mark.parametrize("design", ["~ batch + condition", "~ 0 + condition", "~ batch * condition"])
def test_the_base_mean_is_the_mean_of_the_normalized_means(design):
    simulation = bde.simulate(500, sample_table=two_factors(), design=design)
    mu = np.exp(simulation.beta @ simulation.design.matrix.T)
    np.testing.assert_allclose(mu.mean(axis=1), simulation.truth["base_mean"], rtol=1e-10)


def test_truth_is_the_contrast_of_the_coefficients():
    simulation = bde.simulate(100, (3, 3, 2))
    assert list(simulation.counts.sample_table["condition"].unique()) == ["group1", "group2", "group3"]
    truth, beta = simulation.truth, simulation.beta
    np.testing.assert_array_equal(truth["log2_fold_change"], beta[:, 2] / LN2)
    np.testing.assert_array_equal(truth["log2[condition[T.group2]]"], beta[:, 1] / LN2)
    between = simulation.log2_fold_change(("condition", "group2", "group3"))
    np.testing.assert_allclose(between, (beta[:, 1] - beta[:, 2]) / LN2, atol=1e-13)
    assert list(between.index) == list(simulation.counts.genes)


def test_levels_without_an_intercept_differ_by_their_effects():
    simulation = bde.simulate(50, (2, 2), design="~ 0 + condition", options=options(effects="normal"))
    difference = simulation.beta[:, 1] - simulation.beta[:, 0]
    np.testing.assert_allclose(simulation.truth["log2_fold_change"], difference / LN2, atol=1e-13)


def test_same_seed_same_numbers_and_another_seed_others():
    first, again, other = bde.simulate(300, seed=7), bde.simulate(300, seed=7), bde.simulate(300, seed=8)
    np.testing.assert_array_equal(first.counts.matrix, again.counts.matrix)
    pd.testing.assert_frame_equal(first.truth, again.truth)
    assert (first.counts.matrix != other.counts.matrix).any()
    assert (first.seed, other.seed) == (7, 8)
    assert repr(first) == "<Simulation: 300 genes, 8 samples, design '~ condition', seed 7>"


def test_a_generator_gives_new_counts_each_time_and_the_same_ones_when_made_again():
    generator = np.random.default_rng(3)
    first, second = bde.simulate(100, seed=generator), bde.simulate(100, seed=generator)
    assert (first.counts.matrix != second.counts.matrix).any()
    again = bde.simulate(100, seed=np.random.default_rng(3))
    np.testing.assert_array_equal(first.counts.matrix, again.counts.matrix)
    assert first.seed is None


def test_each_part_has_random_numbers_of_its_own():
    plain = bde.simulate(200)
    other = bde.simulate(200, options=options(effects="normal", zero_share=0.5))
    for column in ("base_mean", "dispersion", "dispersion_trend"):
        np.testing.assert_array_equal(plain.truth[column], other.truth[column])
    np.testing.assert_array_equal(plain.size_factors, other.size_factors)
    longer = bde.simulate(200, (4, 5))
    np.testing.assert_array_equal(plain.truth["base_mean"], longer.truth["base_mean"])
    np.testing.assert_array_equal(plain.beta[:, 1], longer.beta[:, 1])


def test_scales_by_coefficient():
    laws = options(effect_scale={"condition[T.trt]": 0.3})
    simulation = bde.simulate(50, sample_table=two_factors(), design="~ batch + condition", options=laws)
    assert (simulation.truth["log2[batch[T.b]]"] == 0.0).all()
    assert (simulation.truth["log2[condition[T.trt]]"] != 0.0).all()
    assert simulation.hyperparameters["shrinkage_scale"] == {"condition[T.trt]": 0.3}


def test_means_and_trend_of_a_real_fit_are_taken_as_they_are():
    counts = bde.load_pasilla().subset(genes=np.arange(0, 14_599, 10))
    fit = bde.fit_eb(counts, "~ type + condition")
    laws = options(trend=fit.trend, dispersion_sd=math.sqrt(fit.dispersion_prior_var))
    simulation = bde.simulate(
        base_mean=fit.base_mean,
        sample_table=counts.sample_table,
        design="~ type + condition",
        size_factors=fit.size_factors,
        options=laws,
    )
    np.testing.assert_array_equal(simulation.truth["base_mean"], fit.base_mean)
    np.testing.assert_array_equal(simulation.truth["dispersion_trend"], fit.dispersion_trend)
    empty = fit.base_mean == 0.0
    assert empty.any()
    assert not simulation.counts.matrix[empty].any()
    assert simulation.truth.loc[empty, "log2_fold_change"].isna().all()
    assert simulation.hyperparameters["asymptotic_dispersion"] is None
    more = bde.simulate(3000, base_mean=fit.base_mean)
    assert np.isin(more.truth["base_mean"], fit.base_mean).all()


def test_enormous_effects_and_means_stay_counts():
    laws = options(effect_scale=20.0, largest_effect=99.0, dispersion_sd=3.0)
    simulation = bde.simulate(2000, (1, 30), options=laws)
    mu = simulation.counts.matrix / simulation.size_factors.to_numpy()
    assert mu.max() < 2**53
    with pytest.warns(bde.BayesdeWarning, match="would be beyond 2\\*\\*52"):
        largest = bde.simulate(base_mean=[1e16, 10.0], options=options(effect_scale=0.0))
    assert largest.counts.matrix.max() <= 2**53


BAD = {
    "groups must be whole numbers": {"groups": (4, 0)},
    "such as \\(4, 4\\); got '44'": {"groups": "44"},
    "the number of genes must be a whole number": {"n_genes": 2.5},
    "base means must be finite": {"base_mean": [1.0, -1.0]},
    "8 size factors are needed": {"size_factors": [1.0, 0.0]},
    "seed must be a whole number": {"seed": -1},
    "a sample table needs a design": {"sample_table": two_factors()},
    "the sample table is a dict": {"sample_table": {}, "design": "~ a"},
    "Did you mean 'condition'": {"design": "~ conditon"},
    "effect_scale names 'treated'": {"options": options(effect_scale={"treated": 1.0})},
    "no combination of the columns of '~ 0 \\+ age'": {
        "sample_table": two_factors().assign(age=np.arange(12.0)),
        "design": "~ 0 + age",
    },
    "the trend must return a finite dispersion": {"options": options(trend=lambda mean: -mean)},
    "the design is saturated": {"groups": (1, 1)},
}


@pytest.mark.parametrize("message", BAD)
def test_bad_arguments_are_refused(message):
    with pytest.raises(bde.InputError, match=message):
        bde.simulate(**BAD[message])


BAD_OPTIONS = {
    "Did you mean 'cauchy'": {"effects": "cauchi"},
    "residuals must be one of": {"residuals": "cauchy"},
    "effect_scale must be a number": {"effect_scale": -1.0},
    "effect_scale\\[a\\] must be": {"effect_scale": {"a": math.nan}},
    "zero_share must be": {"zero_share": 1.5},
    "trend must be two numbers": {"trend": "local"},
    "a1 of the trend": {"trend": (0.1, -1.0)},
    "nu must be": {"nu": 0.0},
}


@pytest.mark.parametrize("message", BAD_OPTIONS)
def test_bad_options_are_refused(message):
    with pytest.raises(bde.OptionError, match=message):
        options(**BAD_OPTIONS[message])


def test_what_is_given_is_not_modified():
    table, means, factors = two_factors(), np.array([5.0, 50.0]), np.ones(12)
    before = table.copy()
    bde.simulate(
        base_mean=means, size_factors=factors, sample_table=table, design="~ batch + condition", seed=2
    )
    pd.testing.assert_frame_equal(table, before)
    assert means.tolist() == [5.0, 50.0]
    assert (factors == 1.0).all()


# --- from the command line, through files, to a fit ---


@pytest.fixture(scope="module")
def large():
    return bde.simulate(4000, (6, 6), options=options(effects="normal", zero_share=0.5), seed=11)


def test_files_are_read_as_they_were_written(large, tmp_path):
    folder = large.write(tmp_path / "made" / "here")
    counts = bde.read_counts(folder / "counts.tsv.gz", samples=folder / "samples.tsv")
    np.testing.assert_array_equal(counts.matrix, large.counts.matrix)
    assert list(counts.genes) == list(large.counts.genes)
    assert list(counts.sample_table["condition"]) == list(large.counts.sample_table["condition"])
    np.testing.assert_allclose(counts.sample_table["size_factor"], large.size_factors, rtol=1e-15)
    truth = pd.read_csv(folder / "truth.tsv", sep="\t", index_col="gene", float_precision="round_trip")
    pd.testing.assert_frame_equal(truth, large.truth, check_exact=True, check_index_type=False)
    assert not [entry for entry in folder.iterdir() if entry.name.startswith(".")]
    assert not (folder / "hyperparameters.json").exists(), "the model of the package has Cauchy effects"


def test_a_fit_of_the_files_recovers_the_truth(large, tmp_path):
    """Wald intervals of 95 % cover no less than their share less 4 points, and no more than plus 2.

    They are normal intervals around 12 counts with an estimated dispersion: a little short.
    """
    folder = large.write(tmp_path)
    fit = bde.fit_eb(bde.read_counts(folder / "counts.tsv.gz", samples=folder / "samples.tsv"), "~ condition")
    table, truth = fit.results(), large.truth
    known = (table["status"] == "ok") & (truth["base_mean"] > 10.0)
    error = table["log2_fold_change"] - truth["log2_fold_change"]
    assert known.sum() > 3000
    assert np.corrcoef(table["log2_fold_change"][known], truth["log2_fold_change"][known])[0, 1] > 0.85
    assert abs(error[known].median()) < 0.02
    covered = (np.abs(error) < 1.96 * table["lfc_se"])[known].mean()
    width = Z * math.sqrt(0.95 * 0.05 / known.sum())
    assert 0.95 - 0.04 - width < covered < 0.95 + 0.02 + width
    null = known & (truth["log2_fold_change"] == 0.0)
    assert (table["p_value"][null] < 0.05).mean() < 0.09
    np.testing.assert_allclose(np.log(fit.size_factors), np.log(large.size_factors), atol=0.03)
    ratio = np.log(fit.dispersion / truth["dispersion"])[known]
    assert abs(ratio.median()) < 0.1
    assert fit.trend.asymptotic_dispersion == pytest.approx(0.05, rel=0.35)
    assert fit.trend.extra_poisson == pytest.approx(2.0, rel=0.35)
    assert fit.dispersion_prior_var == pytest.approx(0.25, abs=0.1)


def test_shrunken_effects_are_nearer_to_the_truth():
    simulation = bde.simulate(2000, (3, 3), options=options(effects="cauchy", effect_scale=0.1))
    fit = bde.fit_eb(simulation.counts, "~ condition")
    truth = simulation.truth["log2_fold_change"]
    plain, shrunken = fit.results()["log2_fold_change"] - truth, fit.shrink()["log2_fold_change"] - truth
    assert shrunken.abs().mean() < 0.8 * plain.abs().mean()


def test_the_command_writes_what_other_commands_read(bayesde, tmp_path):
    out = tmp_path / "simulated"
    code, text, _ = bayesde(
        "simulate", "--genes", "400", "--samples", "3,4", "--seed", "4", "--zero-share", "0.5", "-o", out
    )
    assert code == 0
    assert "400 genes, 7 samples in" in text
    same = bde.simulate(400, (3, 4), seed=4, options=options(zero_share=0.5))
    counts = bde.read_counts(out / "counts.tsv.gz", samples=out / "samples.tsv")
    np.testing.assert_array_equal(counts.matrix, same.counts.matrix)
    record = json.loads((out / "simulation.json").read_text())
    assert record["seed"] == 4
    assert record["options"]["zero_share"] == 0.5
    assert record["hyperparameters"] == same.hyperparameters
    hyperparameters = Hyperparameters.from_json(out / "hyperparameters.json")
    assert hyperparameters.shrinkage_scale == {TREATED: 0.5}
    fitted = tmp_path / "fitted"
    arguments = (out / "counts.tsv.gz", out / "samples.tsv", "-d", "~ condition", "-o", fitted)
    assert bayesde("eb", *arguments)[0] == 0
    assert len(bde.read_results(fitted)) == 400

    code, _, message = bayesde("simulate", "-o", out)
    assert code == 2
    assert "--force replaces them" in message
    again = bayesde("simulate", "-o", out, "--force", "-g", "100", "--effects", "normal", "--trend", "0.1,1")
    assert again[0] == 0
    assert not (out / "hyperparameters.json").exists()
    assert json.loads((out / "simulation.json").read_text())["options"]["trend"] == [0.1, 1.0]

    table = two_factors()
    table.to_csv(tmp_path / "table.tsv", sep="\t")
    code, text, _ = bayesde(
        "simulate", "-s", tmp_path / "table.tsv", "-d", "~ batch + condition",
        "--base-means", fitted / "results.tsv", "-o", tmp_path / "more",
    )  # fmt: skip
    assert code == 0
    assert "400 genes, 12 samples" in text


BAD_COMMANDS = {
    "effects must be one of": ["--effects", "cauchi"],
    "seed must be a whole number": ["--seed", "-1"],
    "--trend '1' is not understood": ["--trend", "1"],
    "--samples '4.5' is not understood": ["--samples", "4.5"],
    "groups must be whole numbers": ["--samples", "4,0"],
    "the number of genes must be": ["--genes", "0"],
    "the sample table file 'absent.tsv' does not exist": ["--samples", "absent.tsv"],
    "the gene table file 'absent.tsv' does not exist": ["--base-means", "absent.tsv"],
    "zero_share must be a number": ["--zero-share", "2"],
}


@pytest.mark.parametrize("message", BAD_COMMANDS)
def test_bad_options_of_the_command_leave_nothing_behind(bayesde, tmp_path, message):
    code, _, shown = bayesde("simulate", *BAD_COMMANDS[message], "-o", tmp_path / "out")
    assert code == 2
    assert message in shown
    assert not (tmp_path / "out").exists()


def test_a_folder_of_a_run_or_a_file_is_not_written_to(bayesde, tmp_path):
    (tmp_path / "run.json").write_text("{}")
    assert bayesde("simulate", "-o", tmp_path)[0] == 2
    (tmp_path / "file").write_text("mine")
    code, _, message = bayesde("simulate", "-g", "50", "-o", tmp_path / "file")
    assert code == 2
    assert "is a file; --out needs a folder" in message
    assert (tmp_path / "file").read_text() == "mine"


def test_the_help_shows_examples(bayesde):
    code, text, _ = bayesde("simulate", "--help")
    assert code == 0
    assert "bayesde simulate --genes 20000" in text
