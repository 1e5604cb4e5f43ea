import numpy as np
import pytest
from scipy.stats import norm

from bayesde.eb.wald import ALTERNATIVES, wald_test
from bayesde.errors import OptionError

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
