"""Summaries of chains of draws whose distribution is known, and the status of genes."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm

from bayesde.posterior.draws.gene_draws import GeneDraws
from bayesde.posterior.summaries.one_contrast import contrast_summary, gene_status


def test_summary_of_normal_draws():
    """To four to six standard errors of 20,000 draws; the ends of the shortest interval settle slowly."""
    rng = np.random.default_rng(1)
    theta = np.zeros((2, 20_000, 3), dtype=np.float32)
    theta[:, :, :2] = rng.normal([[[0.0, 1.0]], [[2.0, -1.0]]], 0.5, (2, 20_000, 2))
    draws, vector = GeneDraws(theta, chains=4), np.array([1.0, -1.0])
    found = contrast_summary(draws, vector, threshold=1.0, ci_prob=0.9)
    sd = np.sqrt(0.5)
    for name in ("mean", "median"):
        np.testing.assert_allclose(found[name], [-1.0, 3.0], atol=0.03)
    np.testing.assert_allclose(found["sd"], sd, rtol=0.03)
    for name, end, error in (("lower", -1.0, 0.05), ("upper", 1.0, 0.05), ("hdi_lower", -1.0, 0.15)):
        np.testing.assert_allclose(found[name], [-1 + end * 1.645 * sd, 3 + end * 1.645 * sd], atol=error)
    np.testing.assert_allclose(found["lfsr"][0], norm.cdf(-1 / sd), rtol=0.1)
    assert 0 < found["lfsr"][1] < 1e-3
    expected = norm.cdf(0) + norm.sf(2 / sd)
    np.testing.assert_allclose(found["prob_gt_threshold"][0], expected, rtol=0.05)
    np.testing.assert_allclose(found["lfdr"][0], 1.0 - expected, rtol=0.05)
    assert set(found) - set(contrast_summary(draws, vector)) == {"prob_gt_threshold", "lfdr", "fsos"}


def test_with_a_threshold_the_rates_are_of_small_or_wrong():
    theta = np.random.default_rng(4).normal(1.0, 0.5, (1, 4000, 2)).astype(np.float32)
    plain, strict = (
        contrast_summary(GeneDraws(theta), np.ones(1)),
        contrast_summary(GeneDraws(theta), np.ones(1), 0.7),
    )
    assert strict["lfsr"][0] == pytest.approx(plain["lfsr"][0])
    # 0.03 is four standard errors of a share of 4,000 draws
    assert strict["fsos"][0] == pytest.approx(norm.cdf(0.7, 1.0, 0.5), abs=0.03)
    assert strict["lfdr"][0] == pytest.approx(norm.cdf(0.7, 1.0, 0.5) - norm.cdf(-0.7, 1.0, 0.5), abs=0.03)


def test_the_shortest_interval_of_a_skewed_posterior():
    """Of an exponential, it starts where the density is highest: at the lower end."""
    theta = np.random.default_rng(5).exponential(1.0, (1, 20_000, 2)).astype(np.float32)
    found = contrast_summary(GeneDraws(theta), np.ones(1), ci_prob=0.8)
    assert found["hdi_lower"][0] == pytest.approx(0.0, abs=0.02)
    assert found["hdi_upper"][0] == pytest.approx(-np.log(0.2), abs=0.06)
    assert found["lower"][0] == pytest.approx(-np.log(0.9), abs=0.02)


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
