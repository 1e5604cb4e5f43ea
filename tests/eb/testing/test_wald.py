import numpy as np
import pytest
from scipy.stats import norm, t

from bayesde.eb.options import ALTERNATIVES
from bayesde.eb.testing.wald import wald_test
from bayesde.errors import OptionError
from benchmarks.parity.reference import answers

EFFECT = np.array([-3.0, -0.4, 0.0, 0.2, 1.0, 5.0])
ERROR = np.array([1.0, 0.1, 0.5, 0.3, 0.5, 2.0])


def test_without_a_threshold_it_is_the_two_sided_normal_test():
    stat, p_value = wald_test(EFFECT, ERROR)
    assert np.allclose(stat, EFFECT / ERROR)
    assert np.allclose(p_value, 2.0 * norm.sf(np.abs(EFFECT / ERROR)))
    assert np.allclose(wald_test(EFFECT, ERROR, 0.0, "greaterAbs2014")[1], p_value)


def test_one_sided_tests_mirror_each_other():
    stat, p_value = wald_test(EFFECT, ERROR, 0.5, "greater")
    mirrored = wald_test(-EFFECT, ERROR, 0.5, "less")
    assert np.allclose(stat, -mirrored[0])
    assert np.allclose(p_value, mirrored[1])
    assert np.allclose(p_value, norm.sf((EFFECT - 0.5) / ERROR))


def test_small_effects_are_claimed_only_where_both_bounds_are_far():
    p_value = wald_test(np.array([0.0, 0.0, 2.0]), np.array([0.1, 5.0, 0.1]), 1.0, "lessAbs")[1]
    assert p_value[0] < 1e-10
    assert p_value[1] > 0.4
    assert p_value[2] > 0.99


def test_a_larger_threshold_is_harder_to_exceed():
    values = [wald_test(EFFECT, ERROR, t, "greaterAbs")[1] for t in (0.0, 0.3, 1.0)]
    assert np.all(values[0] <= values[1])
    assert np.all(values[1] <= values[2])


@pytest.mark.parametrize("alternative", ALTERNATIVES)
def test_missing_effects_stay_missing(alternative):
    stat, p_value = wald_test(np.array([np.nan, 1.0]), np.array([np.nan, 1.0]), 0.5, alternative)
    assert np.isnan([stat[0], p_value[0]]).all()
    assert np.isfinite([stat[1], p_value[1]]).all()


def test_nonsense_is_refused():
    with pytest.raises(OptionError, match="greaterAbs"):
        wald_test(EFFECT, ERROR, 0.5, "greaterabs")
    with pytest.raises(OptionError, match="-1"):
        wald_test(EFFECT, ERROR, -1.0)
    with pytest.raises(OptionError, match="lessAbs"):
        wald_test(EFFECT, ERROR, 0.0, "lessAbs")


@pytest.mark.parametrize("alternative", ALTERNATIVES)
def test_with_degrees_of_freedom_it_is_student_s_test(alternative):
    stat, p_value = wald_test(EFFECT, ERROR, 0.5, alternative, df=3.0)
    assert np.array_equal(stat, wald_test(EFFECT, ERROR, 0.5, alternative)[0])
    above, below, beyond = (EFFECT - 0.5) / ERROR, (EFFECT + 0.5) / ERROR, (np.abs(EFFECT) - 0.5) / ERROR
    expected = {
        "greaterAbs": t.sf(beyond, 3) + t.sf((np.abs(EFFECT) + 0.5) / ERROR, 3),
        "greaterAbs2014": np.minimum(2.0 * t.sf(beyond, 3), 1.0),
        "lessAbs": np.maximum(t.cdf(above, 3), t.sf(below, 3)),
        "greater": t.sf(above, 3),
        "less": t.cdf(below, 3),
    }
    assert np.allclose(p_value, expected[alternative], rtol=1e-12, atol=0.0)


def test_degrees_of_freedom_may_differ_between_genes_and_must_be_positive():
    df = np.array([1.0, 2.5, 0.0, -1.0, 4.0, 1e6])
    stat, p_value = wald_test(EFFECT, ERROR, df=df)
    assert np.array_equal(np.isnan(p_value), df <= 0.0)
    assert np.isfinite(stat).all()
    assert p_value[1] == pytest.approx(2.0 * t.sf(4.0, 2.5), rel=1e-12)
    assert np.isnan(wald_test(EFFECT, ERROR, df=0.0)[1]).all()


@pytest.mark.parametrize("alternative", ["t", "greaterAbs", "lessAbs", "greater", "less"])
def test_student_s_tests_are_those_of_r(pasilla_two_factors, alternative):
    """R 1.38.3 has the older form of the two-sided test against a threshold, here 0.5 on the log2 scale."""
    fit = pasilla_two_factors.fit
    theirs = answers("deseq2_t_tests")
    rows, k = (
        fit.counts.genes.get_indexer(theirs.index),
        fit.design.coefficients.index(pasilla_two_factors.coef),
    )
    threshold = 0.0 if alternative == "t" else 0.5 * np.log(2.0)
    ours = {"t": "greaterAbs", "greaterAbs": "greaterAbs2014"}.get(alternative, alternative)
    stat, p_value = wald_test(
        fit.beta[rows, k],
        fit.beta_se[rows, k],
        threshold,
        ours,
        df=float(np.subtract(*fit.design.matrix.shape)),
    )
    assert np.allclose(stat, theirs[f"{alternative}_stat"], rtol=1e-6, atol=1e-12)
    assert np.allclose(p_value, theirs[f"{alternative}_p"], rtol=1e-6, atol=0.0)
