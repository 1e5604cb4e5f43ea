"""Data at the edge of what can be fitted: no traceback, no stray warning, every missing number explained."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest

import bayesde as bde

TWO = ("control", "treated")


def of(matrix, condition=None, **columns):
    """Counts of a matrix; two groups unless told otherwise."""
    matrix = np.asarray(matrix)
    n = matrix.shape[1]
    levels = condition if condition is not None else [TWO[j >= n // 2] for j in range(n)]
    table = pd.DataFrame({"condition": levels, **columns}, index=[f"s{j}" for j in range(n)])
    return bde.Counts(matrix, sample_table=table)


pytestmark = pytest.mark.filterwarnings("ignore:sample.s. with far fewer reads:bayesde.BayesdeWarning")


def simulated(n_genes=60, groups=(4, 4), seed=1, **laws):
    return bde.simulate(n_genes, groups, seed=seed, options=bde.SimulationOptions(**laws)).counts


def changed(counts, rows, columns, value):
    """Write a value into some genes and samples."""
    matrix = counts.matrix.copy()
    matrix[rows, columns] = value
    return bde.Counts(matrix, genes=counts.genes, sample_table=counts.sample_table)


def noise(shape, seed=0):
    return np.random.default_rng(seed).negative_binomial(5, 0.05, shape)


def tables(counts, design="~ condition", reduced="~ 1", **how):
    """Fit, and make every table; the package's own warnings are returned, any other is an error."""
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("error")
        warnings.simplefilter("always", bde.BayesdeWarning)
        fit = bde.fit_eb(counts, design, **how)
        last = np.eye(fit.design.n_coefficients)[-1]
        made = {
            "results": fit.results(),
            "threshold": fit.results(lfc_threshold=1.0),
            "less": fit.results(lfc_threshold=1.0, alternative="lessAbs"),
            "negative": fit.results(contrast=-last),
        }
        if reduced is not None:  # else there is no effect to shrink either
            made |= {
                "shrink": fit.shrink(),
                "shrink_threshold": fit.shrink(lfc_threshold=0.5),
                "shrink_contrast": fit.shrink(contrast=-fit.design.contrast().vector),
                "lrt": fit.test_lrt(reduced),
            }
    return fit, made, [str(warning.message) for warning in told]


WHY_MISSING = {
    "ok": set(),
    "all_zero": {"log2_fold_change", "lfc_se", "lfc_lower", "lfc_upper", "stat", "p_value", "padj", "lfsr",
                 "s_value", "prob_gt_threshold", "dispersion"},
    "count_outlier": {"p_value", "padj"},
    "low_mean": {"padj"},
    "not_converged": set(),
}  # fmt: skip
"""What may be missing with a status; a gene that replacement has emptied is as one without counts."""


def assert_explained(fit, made):
    for name, table in made.items():
        assert list(table.index) == list(fit.counts.genes)
        numbers = table.drop(columns=["status", "engine"])
        assert not np.isinf(numbers.to_numpy(dtype=float)).any(), name
        for gene, status, emptied in zip(table.index, table["status"], fit.emptied, strict=True):
            missing = set(numbers.columns[numbers.loc[gene].isna()])
            allowed = WHY_MISSING["all_zero" if emptied else status]
            assert missing <= allowed, f"{name}: {gene} is {status} but has no {missing - allowed}"
        for column in set(numbers) & {"p_value", "padj", "lfsr", "s_value", "prob_gt_threshold"}:
            assert numbers[column].dropna().between(0.0, 1.0).all(), f"{name}: {column}"
        assert (numbers.get("lfc_se", pd.Series(dtype=float)).dropna() >= 0.0).all(), name


def outliers():
    """Counts that are replaced: ten genes have no other count, ten do."""
    counts = changed(simulated(200, (8, 8), seed=3), slice(0, 10), slice(None), 0)
    return changed(changed(counts, slice(0, 10), 3, 5000), slice(10, 20), 2, 10**8)


def absent_in_two_of_three():
    counts = simulated(120, (3, 3, 3))
    counts = changed(counts, slice(0, 20), slice(3, 9), 0)
    return changed(changed(counts, slice(20, 40), slice(0, 6), 0), slice(40, 60), slice(6, 9), 0)


ONES = np.ones(8)
CASES = {
    "one gene": lambda: (of(noise((1, 6))), {}),
    "two genes": lambda: (of(noise((2, 6))), {}),
    "two genes, one without counts": lambda: (of([[10, 20, 30, 40, 50, 60], [0] * 6]), {}),
    "all counts equal": lambda: (of(np.full((30, 6), 7)), {}),
    "all counts 1": lambda: (of(np.full((30, 6), 1)), {}),
    "no gene varies": lambda: (of(np.tile(np.arange(1, 31)[:, None], (1, 6))), {}),
    "a constant gene": lambda: (changed(simulated(), 3, slice(None), 17), {}),
    "one gene above zero": lambda: (
        of(np.where(np.arange(40)[:, None] == 5, [[9, 12, 7, 30, 22, 41]], 0)), {}
    ),
    "one count above zero": lambda: (
        of(np.vstack([7 * np.eye(1, 8, dtype=int), np.zeros((9, 8), int)])), {"size_factors": ONES}
    ),
    "a sample without counts": lambda: (changed(simulated(), slice(None), 3, 0), {"size_factors": ONES}),
    "Poisson": lambda: (simulated(trend=(0, 0)), {}),
    "Poisson without effects": lambda: (simulated(trend=(0, 0), effect_scale=0.0), {}),
    "counts of a billion": lambda: (
        bde.simulate(base_mean=np.full(60, 1e9), options=bde.SimulationOptions(trend=(0.05, 0))).counts, {}
    ),
    "a billion beside a hundred": lambda: (bde.simulate(base_mean=[1e9, *[100.0] * 59]).counts, {}),
    "less than one count a gene": lambda: (
        bde.simulate(base_mean=np.full(60, 0.3)).counts, {"size_factors": "poscounts"}
    ),
    "every gene absent in one group": lambda: (
        changed(simulated(), slice(None), slice(4, 8), 0), {"size_factors": ONES}
    ),
    "half of the genes absent in one group": lambda: (changed(simulated(), slice(0, 30), slice(4, 8), 0), {}),
    "three groups, genes absent in two": lambda: (absent_in_two_of_three(), {}),
    "cells of 1, 1 and 4": lambda: (simulated(groups=(1, 1, 4)), {}),
    "cells of 1, 1 and 2": lambda: (simulated(groups=(1, 1, 2)), {}),
    "one sample more than coefficients": lambda: (simulated(groups=(2, 1)), {}),
    "one sample more than 10 coefficients": lambda: (simulated(groups=(2, *[1] * 9)), {}),
    "20 coefficients": lambda: (simulated(groups=(2,) * 20), {}),
    "no intercept": lambda: (simulated(), {"design": "~ 0 + condition"}),
    "local trend of 2 genes": lambda: (of(noise((2, 6))), {"options": bde.EbOptions(trend="local")}),
    "constant trend of 2 genes": lambda: (of(noise((2, 6))), {"options": bde.EbOptions(trend="mean")}),
    "local trend of 30 genes": lambda: (simulated(30), {"options": bde.EbOptions(trend="local")}),
    "genes emptied by replacement": lambda: (outliers(), {}),
    "outliers kept": lambda: (outliers(), {"options": bde.EbOptions(replace_outliers=False)}),
    "outliers neither replaced nor flagged": lambda: (
        outliers(), {"options": bde.EbOptions(replace_outliers=False, cooks_cutoff=False)}
    ),
    "nothing left after replacement": lambda: (
        of(5000 * np.eye(16, dtype=int)), {"size_factors": np.ones(16)}
    ),
    "size factors 10^9 apart": lambda: (simulated(), {"size_factors": np.r_[1e-4, np.ones(6), 1e5]}),
    "100 genes, 200 samples": lambda: (simulated(100, (100, 100)), {}),
    "many genes, 5 samples": lambda: (simulated(3000, (3, 2)), {}),
}  # fmt: skip


AT_A_BOUND = {"counts of a billion": 1, "size factors 10^9 apart": 1}
"""Genes, at most, whose coefficients lie beyond 2^30, which DESeq2's bounded search does not leave: they are
told. How many do depends on the counts, which not every version of NumPy draws alike."""


@pytest.mark.parametrize("name", CASES)
def test_every_number_is_there_or_explained(name):
    counts, how = CASES[name]()
    fit, made, _ = tables(counts, **how)
    assert_explained(fit, made)
    assert np.sum(fit.estimated & ~fit.converged) <= AT_A_BOUND.get(name, 0)


def test_an_intercept_alone_can_be_fitted():
    fit, made, _ = tables(simulated(), "~ 1", reduced=None)
    assert_explained(fit, made)


FLAT = "varies more than Poisson noise"
FALLBACK = "dispersion trend does not fit the gene-wise dispersions"
TOLD = {
    "one gene": FLAT,
    "all counts equal": FLAT,
    "no gene varies": FLAT,
    "local trend of 2 genes": FALLBACK,
    "a sample without counts": FALLBACK,
    "nothing left after replacement": FALLBACK,
}


@pytest.mark.parametrize("name", TOLD)
def test_a_flat_or_impossible_trend_is_told_once(name):
    counts, how = CASES[name]()
    _, _, told = tables(counts, **how)
    assert len([text for text in told if TOLD[name] in text]) == 1


def test_genes_that_do_not_vary_have_no_effect_and_no_dispersion():
    fit, made, _ = tables(of(np.full((30, 6), 7)))
    assert (fit.dispersion == 1e-8).all()
    np.testing.assert_allclose(made["results"]["log2_fold_change"], 0.0, atol=1e-6)
    np.testing.assert_allclose(made["results"]["p_value"], 1.0, atol=1e-5)
    # Poisson: the variance of ln(mean of 3 counts of 7) is 1 / 21 in either group.
    np.testing.assert_allclose(made["results"]["lfc_se"], np.sqrt(2.0 / 21.0) / np.log(2.0), rtol=1e-4)


def test_a_gene_absent_in_one_group_has_a_large_and_uncertain_effect():
    counts = changed(simulated(200), slice(0, 20), slice(4, 8), 0)
    _, made, _ = tables(counts)
    absent = made["results"].iloc[:20]
    absent = absent[absent["base_mean"] > 20.0]
    assert len(absent) > 5
    assert (absent["log2_fold_change"] < -5.0).all()
    assert (absent["p_value"] < 0.01).all()
    shrunken = made["shrink"].loc[absent.index]
    assert (shrunken["log2_fold_change"] < -3.0).all()
    assert (made["lrt"].loc[absent.index, "p_value"] < 1e-4).all()


def test_levels_that_have_no_count_do_not_differ():
    """DESeq2 calls the effect 0 and the p-value 1 where both levels compared have no count at all."""
    fit = bde.fit_eb(absent_in_two_of_three(), "~ condition")
    table = fit.results(contrast=("condition", "group3", "group2")).iloc[:20]
    expressed = table[table["status"] == "ok"]
    assert len(expressed) > 10
    assert (expressed["log2_fold_change"] == 0.0).all()
    assert (expressed["p_value"] == 1.0).all()


def test_counts_of_a_billion_are_fitted_as_counts_of_a_thousand():
    """At such means the law of the counts is that of their rates: scaling it changes the intercept only."""
    laws = bde.SimulationOptions(trend=(0.05, 0), effects="normal", effect_scale=0.3)
    large = bde.simulate(base_mean=np.full(60, 1e9), options=laws)
    small = of(np.round(large.counts.matrix / 1e4).astype(int))
    options = bde.EbOptions(trend="mean")
    one = bde.fit_eb(large.counts, "~ condition", options=options, size_factors=large.size_factors)
    other = bde.fit_eb(small, "~ condition", options=options, size_factors=large.size_factors.to_numpy())
    np.testing.assert_allclose(
        one.results()["log2_fold_change"], other.results()["log2_fold_change"], atol=2e-3
    )
    np.testing.assert_allclose(one.results()["lfc_se"], other.results()["lfc_se"], rtol=0.02)
    np.testing.assert_allclose(
        one.shrink()["log2_fold_change"], other.shrink()["log2_fold_change"], atol=0.02
    )


def with_covariates():
    counts = simulated(100)
    columns = {
        "year": np.arange(2015, 2023),
        "grams": np.linspace(1.0, 8.0, 8),
        "bases": np.arange(8) ** 2 * 1e6,
    }
    columns["moles"] = columns["grams"] * 1e-6
    return bde.Counts(counts.matrix, sample_table=counts.sample_table.assign(**columns).rename_axis(None))


@pytest.mark.parametrize(
    ("design", "told"),
    [
        ("~ condition + year", "'year'"),
        ("~ bases + moles + condition", "'bases', 'moles'"),
        ("~ condition * year", "'year'"),
        ("~ condition + grams", None),
        ("~ condition + center(year)", None),
        ("~ condition + scale(year) + scale(bases)", None),
    ],
)
def test_covariates_far_from_zero_or_in_odd_units_are_told(design, told):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        bde.Design.from_formula(design, with_covariates().sample_table)
    texts = [str(warning.message) for warning in caught]
    assert len(texts) == (told is not None)
    assert all(f"the covariate(s) {told} of the design are far from 0" in text for text in texts)


@pytest.mark.parametrize("design", ["~ condition + center(year)", "~ scale(bases) + condition", "~ grams"])
def test_covariates_near_zero_are_fitted(design):
    fit, made, _ = tables(with_covariates(), design)
    assert_explained(fit, made)
    assert fit.converged[fit.estimated].all()


REFUSED = {
    "as many samples as coefficients": (
        lambda: bde.fit_eb(of(noise((20, 2))), "~ condition"),
        "the design is saturated: 2 coefficients for 2 samples",
    ),
    "a level for every sample": (
        lambda: bde.fit_eb(of(noise((20, 4)), list("abcd")), "~ condition"),
        "the design is saturated: 4 coefficients for 4 samples",
    ),
    "one level": (lambda: bde.fit_eb(of(noise((20, 4)), list("aaaa")), "~ condition"), "condition"),
    "a sample without counts": (
        lambda: bde.fit_eb(changed(simulated(), slice(None), 3, 0), "~ condition", size_factors="poscounts"),
        "no size factor for the sample\\(s\\) 'sample4'",
    ),
    "no gene with counts in all samples": (
        lambda: bde.fit_eb(of(np.eye(8, dtype=int)), "~ condition"),
        "every gene has a zero count in at least one sample",
    ),
    "a size factor of 0": (
        lambda: bde.fit_eb(simulated(), "~ condition", size_factors=[0.0, *[1.0] * 7]),
        "size factors must be between 1e-09 and 1e.09; found '0.0' for 'sample1'",
    ),
    "a missing size factor": (
        lambda: bde.fit_eb(simulated(), "~ condition", size_factors=[np.nan, *[1.0] * 7]),
        "size factors must be between",
    ),
    "no counts at all": (lambda: of(np.zeros((5, 6), int)), "every count is zero"),
    "the whole design as the reduced one": (
        lambda: bde.fit_eb(simulated(), "~ condition").test_lrt("~ 0 + condition"),
        "reduced design",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_fitted_is_refused(name):
    attempt, message = REFUSED[name]
    with pytest.raises(bde.InputError, match=message):
        attempt()


COMMANDS = [
    "one gene",
    "all counts equal",
    "one gene above zero",
    "cells of 1, 1 and 4",
    "genes emptied by replacement",
]


@pytest.mark.filterwarnings("default::bayesde.errors.BayesdeWarning")
@pytest.mark.parametrize("shrink", [False, True])
@pytest.mark.parametrize("name", COMMANDS)
def test_the_command_fits_them_too(bayesde, tmp_path, name, shrink):
    counts, _ = CASES[name]()
    counts.to_frame().to_csv(tmp_path / "counts.tsv", sep="\t")
    counts.sample_table.to_csv(tmp_path / "samples.tsv", sep="\t", index_label="sample")
    arguments = ("eb", tmp_path / "counts.tsv", tmp_path / "samples.tsv", "-d", "~ condition")
    code, _, message = bayesde(*arguments, "-o", tmp_path / "out", *(["--shrink"] if shrink else []))
    assert code in (0, 3), message
    table = bde.read_results(tmp_path / "out")
    assert list(table.index) == list(counts.genes)
    numbers = table.drop(columns=["status", "engine"])
    assert not (numbers.isna().any(axis=1) & (table["status"] == "ok")).any()


def test_the_command_refuses_a_saturated_design(bayesde, tmp_path):
    counts = of(noise((20, 2)))
    counts.to_frame().to_csv(tmp_path / "counts.tsv", sep="\t")
    counts.sample_table.to_csv(tmp_path / "samples.tsv", sep="\t", index_label="sample")
    code, _, message = bayesde(
        "eb", tmp_path / "counts.tsv", tmp_path / "samples.tsv", "-d", "~ condition", "-o", tmp_path / "out"
    )
    assert code == 2
    assert "the design is saturated" in message
    assert not (tmp_path / "out").exists()
