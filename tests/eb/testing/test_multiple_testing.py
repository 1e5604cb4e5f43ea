import numpy as np
import pytest
from scipy.stats import false_discovery_control
from statsmodels.nonparametric.smoothers_lowess import lowess as statsmodels_lowess

from bayesde.eb.testing.multiple_testing import (
    _count_rejections,
    _quantiles,
    benjamini_hochberg,
    filter_and_adjust,
    lowess,
)


def test_adjusted_p_values_equal_scipys_and_leave_nan_alone():
    rng = np.random.default_rng(2)
    p_value = rng.uniform(size=500) ** 3
    p_value[:20] = np.nan
    ours = benjamini_hochberg(p_value)
    assert np.isnan(ours[:20]).all()
    assert np.allclose(ours[20:], false_discovery_control(p_value[20:]), rtol=1e-13)


def test_adjusting_nothing_gives_nothing():
    assert np.isnan(benjamini_hochberg(np.full(3, np.nan))).all()


def test_lowess_is_close_to_another_implementation():
    rng = np.random.default_rng(3)
    x = np.linspace(0.0, 0.95, 50)
    y = 100.0 * np.sin(3.0 * x) + rng.normal(size=50)
    y[20] += 60.0
    other = statsmodels_lowess(y, x, frac=0.2, it=3, return_sorted=False)
    assert np.allclose(lowess(x, y), other, atol=1.5)


def test_lowess_reproduces_a_line():
    x = np.linspace(0.0, 1.0, 50)
    assert np.allclose(lowess(x, 3.0 - 2.0 * x), 3.0 - 2.0 * x, atol=1e-12)


def test_quantiles_are_of_type_7_and_exact_at_data_values():
    values = np.array([5.0, 1.0, 1.0, 1.0, 9.0])
    probabilities = np.linspace(0.0, 1.0, 11)
    assert np.allclose(_quantiles(values, probabilities), np.quantile(values, probabilities))
    assert _quantiles(values, np.array([0.37]))[0] == 1.0


def test_filtering_gains_rejections_and_drops_only_low_means():
    rng = np.random.default_rng(4)
    mean = rng.lognormal(1.0, 2.0, 4000)
    signal = (mean > 20.0) & (rng.uniform(size=4000) < 0.5)
    p_value = np.where(signal, rng.beta(0.5, 100.0, 4000), rng.uniform(size=4000))
    found = filter_and_adjust(p_value, mean, 0.1)
    assert np.array_equal(np.isnan(found.padj), mean < found.threshold)
    assert (found.padj < 0.1).sum() > (benjamini_hochberg(p_value) < 0.1).sum()


def test_without_rejections_nothing_is_filtered():
    found = filter_and_adjust(np.linspace(0.1, 1.0, 100), np.arange(1.0, 101.0), 0.1)
    assert not np.isnan(found.padj).any()
    assert found.threshold == pytest.approx(1.0)


@pytest.mark.parametrize("fdr", [0.01, 0.1, 0.5, 1.0])
def test_the_filter_counts_rejections_as_adjusting_every_subset_would(fdr):
    rng = np.random.default_rng(4)
    p_value = np.where(rng.random(3000) < 0.3, rng.beta(0.2, 5.0, 3000), rng.random(3000))
    p_value[rng.random(3000) < 0.1] = np.nan
    p_value[10:20] = p_value[0]
    base_mean = rng.gamma(0.5, 100.0, 3000).round()
    cutoffs = np.quantile(base_mean, np.linspace(0.0, 0.99, 40))
    adjusted = [benjamini_hochberg(np.where(base_mean >= cutoff, p_value, np.nan)) for cutoff in cutoffs]
    expected = [np.sum(column < fdr) for column in adjusted]
    assert _count_rejections(p_value, base_mean, cutoffs, fdr).tolist() == expected
