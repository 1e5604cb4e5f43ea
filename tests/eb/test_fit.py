import numpy as np
import pandas as pd
import pytest

from bayesde import fit_eb
from bayesde.counts import Counts
from bayesde.design import Design
from bayesde.eb.options import EbOptions
from bayesde.errors import BayesdeWarning, InputError, OptionError


def experiment(n_genes=400, n_samples=8, seed=11):
    rng = np.random.default_rng(seed)
    condition = np.repeat(["control", "treated"], n_samples // 2)
    table = pd.DataFrame({"condition": condition, "batch": np.tile(["a", "b"], n_samples // 2)})
    table.index = [f"s{j}" for j in range(n_samples)]
    mean = rng.lognormal(4.0, 1.5, n_genes)
    effect = np.where(rng.uniform(size=n_genes) < 0.2, rng.normal(0.0, 1.5, n_genes), 0.0)
    mu = mean[:, None] * np.exp(effect[:, None] * (condition == "treated")) * rng.uniform(0.7, 1.4, n_samples)
    shape = 1.0 / (0.05 + 2.0 / mean)[:, None]
    matrix = rng.poisson(rng.gamma(shape, mu / shape))
    matrix[0] = 0
    return Counts(matrix, samples=table.index, sample_table=table)


@pytest.fixture(scope="module")
def counts():
    return experiment()


@pytest.fixture(scope="module")
def fit(counts):
    return fit_eb(counts, "~ batch + condition")


def test_all_zero_genes_are_missing_and_said_to_be(fit):
    table = fit.results()
    assert fit.all_zero[0]
    assert table["status"].iloc[0] == "all_zero"
    assert table["base_mean"].iloc[0] == 0.0
    assert table[["log2_fold_change", "lfc_se", "p_value", "padj"]].iloc[0].isna().all()


def test_every_missing_number_has_a_reason(fit):
    for table in (fit.results(), fit.shrink()):
        missing = table.drop(columns=["status", "engine"]).isna().any(axis=1)
        assert not (missing & (table["status"] == "ok")).any()


def test_a_contrast_is_minus_its_reverse(fit):
    forward = fit.results(contrast=("condition", "treated", "control"))
    backward = fit.results(contrast=("condition", "control", "treated"))
    assert np.allclose(forward["log2_fold_change"], -backward["log2_fold_change"], equal_nan=True)
    assert np.allclose(forward["p_value"], backward["p_value"], equal_nan=True, rtol=1e-10)


def test_coefficient_contrast_and_vector_agree(fit):
    by_name = fit.results(coef="condition[T.treated]")
    by_vector = fit.results(contrast=[0.0, 0.0, 1.0])
    pd.testing.assert_frame_equal(by_name, by_vector)


def test_shrinking_a_contrast_equals_shrinking_the_coefficient_that_it_is(fit):
    by_name = fit.shrink(coef="condition[T.treated]")
    doubled = fit.shrink(contrast=[0.0, 0.0, -1.0])
    assert np.allclose(by_name["log2_fold_change"], -doubled["log2_fold_change"], atol=1e-7, equal_nan=True)
    assert np.allclose(by_name["lfsr"], doubled["lfsr"], rtol=1e-6, equal_nan=True)


@pytest.mark.parametrize("threshold", [-1.0, 101.0])
def test_a_threshold_out_of_range_is_named_as_it_was_given(fit, threshold):
    for table in (fit.results, fit.shrink):
        with pytest.raises(OptionError, match=rf"lfc_threshold .*\b0, 100\b.* got {threshold}"):
            table(lfc_threshold=threshold)


def test_a_threshold_makes_s_values_larger(fit):
    plain, strict = fit.shrink(), fit.shrink(lfc_threshold=0.5)
    known = plain["s_value"].notna()
    assert (strict["s_value"][known] >= plain["s_value"][known] - 1e-12).all()
    assert strict["prob_gt_threshold"][known].between(0.0, 1.0).all()


def test_normalization_factors_are_taken_wherever_size_factors_are(counts, fit):
    repeated = np.tile(fit.size_factors.to_numpy(), (counts.n_genes, 1))
    again = fit_eb(counts, "~ batch + condition", size_factors=repeated)
    pd.testing.assert_frame_equal(again.results(), fit.results())
    rng = np.random.default_rng(0)
    lengths = rng.uniform(0.8, 1.2, repeated.shape)
    other = fit_eb(counts, "~ batch + condition", size_factors=repeated * lengths)
    assert other.size_factors is None
    carried = Counts(
        counts.matrix,
        counts.genes,
        counts.samples,
        counts.sample_table,
        normalization_factors=repeated * lengths,
    )
    pd.testing.assert_frame_equal(fit_eb(carried, "~ batch + condition").results(), other.results())


def test_genes_far_above_the_trend_keep_their_own_dispersion(fit):
    kept = fit.dispersion_outlier
    assert np.array_equal(fit.dispersion[kept], fit.dispersion_gene_wise[kept])
    usual = ~kept & ~fit.all_zero
    assert np.array_equal(fit.dispersion[usual], fit.dispersion_map[usual])


def test_nothing_of_the_callers_is_changed(counts):
    matrix, table = counts.matrix.copy(), counts.sample_table.copy()
    fit_eb(counts, "~ condition").shrink()
    assert np.array_equal(counts.matrix, matrix)
    pd.testing.assert_frame_equal(counts.sample_table, table)


def test_a_gene_without_counts_in_the_compared_groups_has_no_effect():
    counts = experiment()
    matrix = counts.matrix.copy()
    table = counts.sample_table.assign(group=["a", "a", "b", "b", "b", "c", "c", "c"])
    matrix[5] = [0, 0, 0, 0, 0, 30, 40, 35]
    fit = fit_eb(Counts(matrix, samples=counts.samples, sample_table=table), "~ group")
    row = fit.results(contrast=("group", "b", "a")).iloc[5]
    assert (row["log2_fold_change"], row["stat"], row["p_value"]) == (0.0, 0.0, 1.0)
    assert fit.results(contrast=("group", "c", "a"))["p_value"].iloc[5] < 1e-3


def test_the_constant_trend_and_the_options_are_honoured(counts):
    plain = EbOptions(trend="mean", independent_filtering=False, cooks_cutoff=False)
    fit = fit_eb(counts, "~ condition", options=plain)
    assert fit.trend.extra_poisson == 0.0
    table = fit.results()
    assert set(table["status"]) == {"ok", "all_zero"}


def test_designs_and_counts_that_do_not_go_together_are_refused(counts):
    short = Design.from_matrix(np.column_stack([np.ones(6), [0, 0, 0, 1, 1, 1]]))
    with pytest.raises(InputError, match="6 rows"):
        fit_eb(counts, short)
    made = Design.from_formula("~ condition", counts.sample_table)
    with pytest.raises(InputError, match="reference"):
        fit_eb(counts, made, references={"condition": "treated"})
    with pytest.raises(InputError, match="not both"):
        fit_eb(counts, made).results(contrast=[0.0, 1.0], coef="Intercept")


def test_counts_without_extra_poisson_noise_are_diagnosed():
    counts = Counts(np.full((50, 6), 7), sample_table=experiment(n_samples=6).sample_table)
    with pytest.warns(BayesdeWarning, match="Poisson"):
        table = fit_eb(counts, "~ condition").results()
    assert np.allclose(table["log2_fold_change"], 0.0, atol=1e-6)
    assert (table["p_value"] > 0.99).all()


def test_a_wild_count_among_many_replicates_is_replaced_and_the_gene_fitted_again():
    counts = experiment(n_samples=16)
    matrix = counts.matrix.copy()
    matrix[7, 3] = 50 * matrix[7].max()
    matrix[8], matrix[8, 0] = 0, 5000
    spoilt = Counts(matrix, samples=counts.samples, sample_table=counts.sample_table)
    clean, fit = fit_eb(counts, "~ condition"), fit_eb(spoilt, "~ condition")
    assert fit.replaced[7]
    assert abs(fit.beta[7, 1] - clean.beta[7, 1]) < 0.5
    assert abs(fit.base_mean[7] / clean.base_mean[7] - 1.0) < 0.2
    row = fit.results().iloc[8]
    assert (row["base_mean"], row["log2_fold_change"], row["p_value"]) == (0.0, 0.0, 1.0)
    assert row["status"] == "count_outlier"
    assert fit.shrink()["status"].iloc[8] == "count_outlier"
    kept = fit_eb(spoilt, "~ condition", options=EbOptions(replace_outliers=False))
    assert not kept.replaced.any()
    assert kept.count_outlier[7]
    assert np.array_equal(spoilt.matrix, matrix)


def test_a_likelihood_ratio_needs_nested_designs(fit):
    table = fit.test_lrt("~ batch")
    wald = fit.results()
    close = fit.converged & (wald["p_value"] > 1e-3).to_numpy()
    assert np.corrcoef(table["stat"][close], wald["stat"][close] ** 2)[0, 1] > 0.98
    with pytest.raises(InputError, match="cannot express"):
        fit_eb(fit.counts, "~ condition").test_lrt("~ batch")
    with pytest.raises(InputError, match="equivalent to the full design"):
        fit.test_lrt("~ condition + batch")


def test_a_design_of_samples_in_another_order_is_refused(counts):
    turned = Design.from_formula("~ condition", counts.sample_table.iloc[::-1])
    with pytest.raises(InputError, match="row 1 is 's7', sample 1 is 's0'"):
        fit_eb(counts, turned)
    unnamed = Design.from_matrix(Design.from_formula("~ condition", counts.sample_table).matrix)
    assert fit_eb(counts, unnamed).beta.shape == (counts.n_genes, 2)


def test_other_things_than_counts_and_designs_are_refused(counts):
    with pytest.raises(InputError, match="Counts are needed"):
        fit_eb(pd.DataFrame(counts.matrix), "~ condition")
    with pytest.raises(InputError, match="formula or a Design"):
        fit_eb(counts, None)


def test_numeric_looking_levels_of_a_covariate_can_be_compared(counts):
    """Levels are text; those of a float column read 1.0 and not 1."""
    table = counts.sample_table.assign(dose=np.repeat([1.0, 2.0], 4))
    fit = fit_eb(Counts(counts.matrix, samples=counts.samples, sample_table=table), "~ C(dose)")
    factor, levels = next(iter(fit.design.factors.items()))
    table = fit.results(contrast=(factor, levels[1], levels[0]))
    assert (table["log2_fold_change"].abs() > 0.01).mean() > 0.9
