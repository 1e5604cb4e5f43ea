"""What must stay the same, and what must change how, when the same experiment is written in another way.

"Exactly" is bit for bit: each gene is computed by itself, and nothing that it is computed from has changed.
Where sums are taken in another order, or an iteration starts elsewhere, the tolerance says how far that may
carry.
"""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import bayesde as bde
from bayesde.eb.block import GeneBlock
from bayesde.eb.dispersion.trend import fit_trend
from bayesde.eb.genes import Setting, estimate_gene_wise, estimate_genes, mean_reciprocal_factor
from bayesde.eb.regression.design_layout import DesignLayout
from bayesde.eb.regression.glm import fit_glm

DESIGN = "~ batch + condition"
CONDITION = "condition[T.treated]"
NUMBERS = ["base_mean", "log2_fold_change", "lfc_se", "stat", "p_value", "padj", "dispersion"]

few = settings(max_examples=4)
seeds = st.integers(0, 10_000)


def experiment(seed, **laws):
    """Eight samples, two factors; some genes have low counts and a few none at all."""
    table = pd.DataFrame(
        {"batch": ["x", "y"] * 4, "condition": ["control"] * 4 + ["treated"] * 4, "plate": list("ppppqqqq")},
        index=[f"s{j}" for j in range(8)],
    )
    chosen = bde.SimulationOptions(**({"median_mean": 200.0, "mean_log_sd": 1.0, "zero_share": 0.5} | laws))
    return bde.simulate(120, sample_table=table, design=DESIGN, options=chosen, seed=seed).counts


def well_counted(seed):
    """Genes of several hundred counts in each sample, so that ridges and priors are small beside the data."""
    return experiment(seed, median_mean=500.0, mean_log_sd=0.3, effects="normal")


def fitted(counts, design=DESIGN, **how):
    """Fit; whether the trend fits is not the question here."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", bde.BayesdeWarning)
        return bde.fit_eb(counts, design, **how)


def estimates_given(fit, genes):
    """Estimates of some genes (positions), given the trend and the prior of a fit."""
    layout = DesignLayout.of(fit.design.matrix)
    factors = fit.normalization_factors
    block = GeneBlock.of(fit.counts.matrix[genes].astype(np.float64), factors[genes])
    gene_wise = estimate_gene_wise(block, layout, mean_reciprocal_factor(factors), fit.options.min_mu)
    setting = Setting(layout, np.zeros(fit.counts.n_samples, dtype=bool))
    return estimate_genes(block, gene_wise, fit.hierarchy, setting).estimates


def assert_same(table, other, rtol):
    """Demand the same numbers up to rounding, and exactly the same statuses."""
    assert list(table["status"]) == list(other["status"])
    for name in set(NUMBERS) & set(table.columns):
        np.testing.assert_allclose(table[name], other[name], rtol=rtol, atol=rtol, err_msg=name)


@few
@given(seed=seeds, order=st.permutations(range(120)))
def test_permuted_genes_give_permuted_results(seed, order):
    counts = experiment(seed)
    fit, permuted = fitted(counts), fitted(counts.subset(genes=list(order)))
    order = np.array(order)
    for exact in ("base_mean", "dispersion_gene_wise", "all_zero"):
        np.testing.assert_array_equal(getattr(permuted, exact), getattr(fit, exact)[order], err_msg=exact)
    np.testing.assert_array_equal(permuted.size_factors, fit.size_factors)
    assert_same(permuted.results(), fit.results().iloc[order], 1e-9)
    assert_same(permuted.test_lrt("~ batch"), fit.test_lrt("~ batch").iloc[order], 1e-9)
    assert_same(permuted.shrink(), fit.shrink().iloc[order], 1e-6)


@few
@given(seed=seeds, order=st.permutations(range(8)))
def test_permuted_samples_give_the_same_results(seed, order):
    counts = experiment(seed)
    fit, permuted = fitted(counts), fitted(counts.subset(samples=list(order)))
    np.testing.assert_allclose(permuted.size_factors, fit.size_factors.iloc[list(order)], rtol=1e-12)
    assert_same(permuted.results(), fit.results(), 1e-9)
    assert_same(permuted.test_lrt("~ batch"), fit.test_lrt("~ batch"), 1e-9)
    assert_same(permuted.shrink(), fit.shrink(), 1e-6)


@few
@given(seed=seeds, half=st.sets(st.integers(0, 119), min_size=1, max_size=119))
def test_genes_are_independent_given_trend_and_prior(seed, half):
    fit = fitted(experiment(seed), options=bde.EbOptions(replace_outliers=False))
    chosen = np.isin(np.arange(120), list(half))
    for part in (chosen, ~chosen):
        rows = np.flatnonzero(part & ~fit.all_zero)
        if rows.size:
            estimates = estimates_given(fit, rows)
            for name in ("dispersion_gene_wise", "dispersion_map", "dispersion", "beta", "beta_se"):
                expected = getattr(fit, name)[rows]
                np.testing.assert_allclose(getattr(estimates, name), expected, rtol=1e-9, err_msg=name)


@few
@given(seed=seeds, sample=st.integers(0, 7), factor=st.sampled_from([2, 3, 10]))
def test_a_sample_sequenced_deeper_has_a_larger_size_factor(seed, sample, factor):
    """With y_j replaced by c y_j the gene's log geometric mean grows by ln(c) / m.

    So s_j becomes c^(1 - 1/m) s_j, every other s_k becomes c^(-1/m) s_k, and all normalized counts, and
    with them base means, grow by c^(1/m): relative to each other they stay. (The noise does not: c y is not
    a count of a sample sequenced c times deeper.)
    """
    counts = experiment(seed)
    matrix = counts.matrix.copy()
    matrix[:, sample] *= factor
    deeper = bde.Counts(matrix, genes=counts.genes, sample_table=counts.sample_table)
    fit, other = fitted(counts), fitted(deeper)
    power = np.where(np.arange(8) == sample, 1.0 - 1.0 / 8.0, -1.0 / 8.0)
    np.testing.assert_allclose(other.size_factors, fit.size_factors * float(factor) ** power, rtol=1e-12)
    np.testing.assert_allclose(other.base_mean, fit.base_mean * float(factor) ** (1.0 / 8.0), rtol=1e-12)
    np.testing.assert_array_equal(other.all_zero, fit.all_zero)


@few
@given(seed=seeds, factor=st.sampled_from([0.25, 4.0, 16.0]))
def test_larger_size_factors_shift_the_intercept_only(seed, factor):
    """Factors c s_j give the same means with an intercept less by ln c, the dispersions being the same.

    With c a power of two base means are exactly 1 / c times what they were; the ridge on the intercept pulls
    at another value. (Gene-wise dispersions are not compared: the search for them starts from normalized
    counts, as if these were Poisson, as R's does, and where it starts too low it may stay there.)
    """
    counts = well_counted(seed)
    fit = fitted(counts)
    other = fitted(counts, size_factors=fit.size_factors * factor)
    np.testing.assert_array_equal(other.base_mean, fit.base_mean / factor)
    y, nf = counts.matrix.astype(np.float64), fit.normalization_factors
    shifted = fit_glm(y, nf * factor, fit.design.matrix, fit.dispersion)
    np.testing.assert_allclose(shifted.beta[:, 0], fit.beta[:, 0] - np.log(factor), atol=1e-4)
    np.testing.assert_allclose(shifted.beta[:, 1:], fit.beta[:, 1:], atol=1e-4)
    np.testing.assert_allclose(shifted.beta_se, fit.beta_se, rtol=1e-4)


@few
@given(seed=seeds, factor=st.sampled_from([0.1, 7.0]))
def test_a_trend_over_other_units_has_another_slope(seed, factor):
    """a0 + a1 / m is a0 + (a1 / c) / (m / c); the iteration stops at changes of 0.1 % or so."""
    truth = bde.simulate(2000, seed=seed).truth
    one = fit_trend("parametric", truth["dispersion"].to_numpy(), truth["base_mean"].to_numpy())
    other = fit_trend("parametric", truth["dispersion"].to_numpy(), truth["base_mean"].to_numpy() / factor)
    assert one.kind == other.kind == "parametric"
    assert other.asymptotic_dispersion == pytest.approx(one.asymptotic_dispersion, rel=0.005)
    assert other.extra_poisson == pytest.approx(one.extra_poisson / factor, rel=0.005)


@few
@given(seed=seeds)
def test_levels_renamed_in_the_same_order_change_no_bit(seed):
    counts = experiment(seed)
    table = counts.sample_table.replace({"control": "A", "treated": "B"})
    renamed = bde.Counts(counts.matrix, genes=counts.genes, sample_table=table)
    fit, other = fitted(counts), fitted(renamed)
    pd.testing.assert_frame_equal(
        fit.results(coef=CONDITION), other.results(coef="condition[T.B]"), check_exact=True
    )
    pd.testing.assert_frame_equal(
        fit.shrink(contrast=("condition", "treated", "control")),
        other.shrink(contrast=("condition", "B", "A")),
        check_exact=True,
    )


@few
@given(seed=seeds)
def test_the_other_reference_level_turns_the_effect_round(seed):
    """The same model in other coordinates; the ridge of 1e-6 on the coefficients is not quite the same."""
    counts = well_counted(seed)
    fit = fitted(counts)
    swapped = fitted(counts, references={"condition": "treated"})
    table, other = fit.results(), swapped.results(coef="condition[T.control]")
    np.testing.assert_allclose(other["dispersion"], table["dispersion"], rtol=1e-3)
    np.testing.assert_allclose(other["log2_fold_change"], -table["log2_fold_change"], atol=1e-4)
    np.testing.assert_allclose(other["stat"], -table["stat"], rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(other["p_value"], table["p_value"], rtol=0.01, atol=1e-4)
    # The intercept, with its prior Normal(0, 15), is the level of another group.
    shrunken, turned = fit.shrink(), swapped.shrink(coef="condition[T.control]")
    assert (
        np.abs(turned["log2_fold_change"] + shrunken["log2_fold_change"]) < 0.05 * shrunken["lfc_se"]
    ).all()
    assert (np.abs(turned["lfc_lower"] + shrunken["lfc_upper"]) < 0.1 * shrunken["lfc_se"]).all()


@few
@given(seed=seeds, place=st.integers(0, 120))
def test_a_gene_without_counts_changes_no_other_gene(seed, place):
    """No bit of an estimate; the filter on mean counts looks at all genes, so padj is compared without it."""
    counts = experiment(seed)
    matrix = np.insert(counts.matrix, place, 0, axis=0)
    names = np.insert(counts.genes.to_numpy(dtype=object), place, "nothing")
    plain = bde.EbOptions(independent_filtering=False)
    one = fitted(counts, options=plain)
    more = fitted(bde.Counts(matrix, genes=names, sample_table=counts.sample_table), options=plain)
    np.testing.assert_array_equal(more.size_factors, one.size_factors)
    for make in ("results", "shrink"):
        table = getattr(more, make)()
        assert table.loc["nothing", "status"] == "all_zero"
        assert table.loc["nothing", "base_mean"] == 0.0
        assert table.loc["nothing"].drop(["base_mean", "engine", "status"]).isna().all()
        pd.testing.assert_frame_equal(table.drop(index="nothing"), getattr(one, make)(), check_exact=True)


@few
@given(seed=seeds)
def test_a_column_that_the_design_does_not_use_changes_no_bit(seed):
    counts = experiment(seed)
    table = counts.sample_table.drop(columns="plate").assign(age=np.linspace(20.0, 90.0, 8), note="")
    other = bde.Counts(counts.matrix, genes=counts.genes, sample_table=table)
    pd.testing.assert_frame_equal(fitted(counts).results(), fitted(other).results(), check_exact=True)


@few
@given(seed=seeds, weights=st.lists(st.integers(-3, 3), min_size=3, max_size=3).filter(any))
def test_a_contrast_and_its_negative(seed, weights):
    fit = fitted(experiment(seed))
    forward, backward = fit.results(contrast=weights), fit.results(contrast=[-w for w in weights])
    for name in ("log2_fold_change", "stat"):
        np.testing.assert_allclose(backward[name], -forward[name], rtol=1e-9, atol=1e-12)
    for name in ("lfc_se", "p_value", "padj"):
        np.testing.assert_allclose(backward[name], forward[name], rtol=1e-9)
    doubled = fit.results(contrast=[2 * w for w in weights])
    np.testing.assert_allclose(doubled["log2_fold_change"], 2.0 * forward["log2_fold_change"], rtol=1e-9)
    np.testing.assert_allclose(doubled["stat"], forward["stat"], rtol=1e-9, atol=1e-12)


@few
@given(seed=seeds)
def test_one_contrast_in_four_spellings(seed):
    fit = fitted(experiment(seed))
    by_name = fit.results(coef=CONDITION)
    for spelling in ([0.0, 0.0, 1.0], CONDITION, None):
        pd.testing.assert_frame_equal(fit.results(contrast=spelling), by_name, check_exact=True)
    by_levels = fit.results(contrast=("condition", "treated", "control"))
    np.testing.assert_array_equal(by_levels["log2_fold_change"], by_name["log2_fold_change"])
    np.testing.assert_array_equal(by_levels["p_value"], by_name["p_value"])
    pd.testing.assert_frame_equal(
        fit.shrink(contrast=("condition", "treated", "control")), fit.shrink(coef=CONDITION), check_exact=True
    )


@few
@given(seed=seeds)
def test_a_design_given_as_a_matrix_is_the_formula(seed):
    counts = experiment(seed)
    fit = fitted(counts)
    bare = bde.Design.from_matrix(fit.design.matrix, fit.design.coefficients, fit.design.samples)
    other = fitted(counts, bare)
    for name in ("dispersion", "beta", "beta_se", "base_mean"):
        np.testing.assert_array_equal(getattr(other, name), getattr(fit, name))


@pytest.mark.parametrize("design", ["~ condition", "~ 0 + condition", DESIGN])
def test_levels_and_effects_are_the_same_model(design):
    """Without an intercept the coefficients are levels; the difference of two is the effect."""
    counts = well_counted(1)
    fit = fitted(counts, design)
    reference = fitted(counts, design.replace("0 + ", ""))
    table = fit.results(contrast=("condition", "treated", "control"))
    np.testing.assert_allclose(table["log2_fold_change"], reference.results()["log2_fold_change"], atol=1e-4)
    np.testing.assert_allclose(table["lfc_se"], reference.results()["lfc_se"], rtol=1e-3)
