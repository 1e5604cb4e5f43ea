import numpy as np
import pandas as pd
import pytest
from scipy.stats import chi2, nbinom

from bayesde.counts import Counts
from bayesde.design import Design
from bayesde.eb.fit import fit_eb
from bayesde.eb.options import EbOptions
from bayesde.eb.testing.lrt import estimates_for_lrt, likelihood_ratios
from benchmarks.parity.reference import answers


@pytest.fixture(scope="module")
def small():
    rng = np.random.default_rng(4)
    mean = rng.lognormal(4.0, 1.5, 200)
    matrix = rng.negative_binomial(4.0, 4.0 / (4.0 + mean[:, None] * np.ones(16)))
    matrix[3, 2] = 60_000
    matrix[5] = 0
    matrix[5, 1] = 9_000
    samples = pd.DataFrame({"group": list("aabb" * 4), "batch": list("xyxy" * 4)})
    return fit_eb(Counts(matrix, sample_table=samples), "~ group")


def test_a_replaced_count_is_replaced_in_this_test_too(small):
    refitted = estimates_for_lrt(small)
    assert refitted.replaced[3]
    assert refitted.emptied[5]
    assert np.array_equal(refitted.fitted_counts()[3], small.fitted_counts()[3])
    assert refitted.dispersion[3] == pytest.approx(small.dispersion[3], rel=1e-12)
    table = small.test_lrt("~ 1")
    assert table["p_value"].iloc[5] == 1.0
    assert table["stat"].iloc[5] == 0.0


def test_the_fit_itself_stays_as_it_was(small):
    before = small.dispersion.copy(), small.replaced.copy(), small.base_mean.copy()
    small.test_lrt("~ 1")
    assert np.array_equal(before[0], small.dispersion, equal_nan=True)
    assert np.array_equal(before[1], small.replaced)
    assert np.array_equal(before[2], small.base_mean)


def test_nothing_is_judged_where_it_was_not_asked_for(small):
    fit = fit_eb(small.counts, small.design, options=EbOptions(cooks_cutoff=False, replace_outliers=False))
    assert estimates_for_lrt(fit) is fit


def test_without_replacement_no_gene_is_fitted_again(small):
    fit = fit_eb(small.counts, small.design, options=EbOptions(replace_outliers=False))
    refitted = estimates_for_lrt(fit)
    assert not refitted.replaced.any()
    assert np.array_equal(refitted.dispersion, fit.dispersion, equal_nan=True)
    assert refitted.count_outlier[3]


def test_the_statistic_is_twice_the_gain_in_log_likelihood(small):
    refitted = estimates_for_lrt(small)
    stat, p_value = likelihood_ratios(refitted, Design.from_formula("~ 1", small.counts.sample_table))
    y, factors, x = refitted.fitted_counts(), refitted.normalization_factors, refitted.design.matrix
    for gene in (0, 7, 50):
        r = 1.0 / refitted.dispersion[gene]
        full = factors[gene] * np.exp(x @ refitted.beta[gene])
        reduced = factors[gene] * np.mean(y[gene] / factors[gene])
        difference = sum(
            sign * nbinom.logpmf(y[gene], r, r / (r + mu)).sum() for sign, mu in ((1, full), (-1, reduced))
        )
        assert stat[gene] == pytest.approx(2.0 * difference, rel=1e-6, abs=1e-9)
        assert p_value[gene] == pytest.approx(chi2.sf(2.0 * difference, 1), rel=1e-6)


def test_the_cohort_s_genes_are_judged_as_in_r(cohort):
    """R replaces counts of other genes in this test than in Wald's."""
    theirs = answers("deseq2_lrt_yoruba")
    fit = cohort.fit
    refitted = estimates_for_lrt(fit)
    assert set(fit.counts.genes[refitted.replaced]) == set(theirs.index[theirs["replace"]])
    assert set(fit.counts.genes[fit.replaced]) != set(fit.counts.genes[refitted.replaced])
    table = fit.test_lrt("~ 1")
    for ours, column in (("stat", "stat"), ("p_value", "pvalue"), ("padj", "padj")):
        values = cohort.ours(table[ours], theirs)
        assert np.allclose(values, theirs[column], rtol=1e-6, atol=1e-9, equal_nan=True)
