"""Summaries of draws whose distribution is known."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm, t

from bayesde.posterior.summaries import LARGEST_EFFECT, contrast_summary, gene_status
from bayesde.posterior.tails import probability_below


def test_summary_of_normal_draws():
    rng = np.random.default_rng(1)
    beta = rng.normal([[0.0, 1.0], [2.0, -1.0]], 0.5, (4, 5000, 2, 2))
    found = contrast_summary(beta, np.array([1.0, -1.0]), threshold=1.0, ci_prob=0.9)
    sd = np.sqrt(0.5)
    np.testing.assert_allclose(found["log2_fold_change"], [-1.0, 3.0], atol=0.03)
    np.testing.assert_allclose(found["lfc_se"], sd, rtol=0.03)
    np.testing.assert_allclose(found["lfc_lower"], [-1 - 1.645 * sd, 3 - 1.645 * sd], atol=0.05)
    np.testing.assert_allclose(found["lfc_upper"], [-1 + 1.645 * sd, 3 + 1.645 * sd], atol=0.05)
    np.testing.assert_allclose(found["lfsr"][0], norm.cdf(-1 / sd), rtol=0.1)
    assert 0 < found["lfsr"][1] < 1e-3
    expected = norm.cdf(0) + norm.sf(2 / sd)
    np.testing.assert_allclose(found["prob_gt_threshold"][0], expected, rtol=0.05)
    assert "prob_gt_threshold" not in contrast_summary(beta, np.array([1.0, 0.0]))


@pytest.mark.parametrize("distance", [2.5, 3.5, 5.0, 7.0])
def test_small_tail_probabilities_of_a_normal(distance):
    draws = np.random.default_rng(2).normal(distance, 1.0, (4000, 300))
    found = np.log(probability_below(draws, 0.0))
    assert np.median(found) == pytest.approx(norm.logcdf(-distance), rel=0.05)
    assert found.std() < 0.12 * abs(norm.logcdf(-distance))


def test_order_of_sure_genes_is_kept():
    draws = np.random.default_rng(3).normal(0, 1, (4000, 1)) + np.array([4.0, 6.0, 8.0, 12.0])
    assert (np.diff(probability_below(draws, 0.0)) < 0).all()


def test_tail_and_counting_join():
    """Let draws pass the bound one by one: the estimate rises with them, and is soon right."""
    draws = np.sort(np.random.default_rng(4).standard_t(5, 4000))
    bounds = (draws[:300] + draws[1:301]) / 2.0
    estimates = np.array([probability_below(draws[:, None] - bound, 0.0)[0] for bound in bounds])
    assert (np.diff(np.log(estimates)) > -0.02).all()
    exact = t.cdf(bounds, 5)
    assert (np.abs(np.log(estimates / exact))[10:] < 0.4).all()


def test_probabilities_of_a_constant_and_of_missing_draws():
    draws = np.column_stack([np.full(100, 2.0), np.full(100, -2.0), np.full(100, np.nan)])
    below = probability_below(draws, 0.0)
    assert 0 < below[0] < 0.011
    assert below[1] == 1.0
    assert np.isnan(below[2])


def test_effects_without_end_are_bounded():
    beta = np.full((1, 100, 1, 1), -5000.0)
    assert contrast_summary(beta, np.array([1.0]))["log2_fold_change"][0] == -LARGEST_EFFECT


def test_status_is_the_first_reason_that_applies():
    table = pd.DataFrame(
        {
            "all_zero": [True, False, False, False, False, False, False],
            "sampled": [False, False, True, True, True, True, True],
            "rhat": [np.nan, np.nan, np.nan, 1.2, 1.0, 1.0, 1.0],
            "ess_bulk": [np.nan, np.nan, np.nan, 10.0, 10.0, 900.0, 900.0],
            "ess_tail": [np.nan, np.nan, np.nan, 10.0, 900.0, 900.0, 900.0],
            "divergences": [np.nan, np.nan, np.nan, 3.0, 3.0, 3.0, 0.0],
        }
    )
    expected = ["all_zero", "not_selected", "failed", "not_converged", "low_ess", "divergences", "ok"]
    assert gene_status(table, 1.01, 400.0).tolist() == expected


def test_an_effective_size_that_is_missing_is_not_passed_off_as_good():
    frame = pd.DataFrame(
        {
            "rhat": [1.0, 1.0],
            "ess_bulk": [np.nan, 900.0],
            "ess_tail": [900.0, 900.0],
            "divergences": [0.0, 0.0],
            "sampled": True,
            "all_zero": False,
        }
    )
    assert gene_status(frame, 1.01, 400.0).tolist() == ["low_ess", "ok"]


def test_with_a_threshold_the_local_rate_is_that_of_small_or_wrong():
    effect = np.random.default_rng(4).normal(1.0, 0.5, (4, 1000, 1, 1)).astype(np.float32)
    plain, strict = contrast_summary(effect, np.ones(1)), contrast_summary(effect, np.ones(1), 0.7)
    assert plain["local_rate"][0] == plain["lfsr"][0]
    assert strict["lfsr"][0] == plain["lfsr"][0]
    assert strict["local_rate"][0] == pytest.approx(norm.cdf(0.7, 1.0, 0.5), abs=0.03)
