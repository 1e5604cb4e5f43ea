"""The regularized logarithm against R's answers, an optimizer, and its limits."""

import math

import numpy as np
import pytest
from reference.transforms import answer, answer_by_sample, pasilla, pasilla_with_lengths
from scipy.optimize import minimize
from scipy.stats import nbinom, norm

from bayesde import Counts, Design, InputError
from bayesde.eb.dispersion.trend import DispersionTrend
from bayesde.eb.transforms.rlog import rlog

TREND = DispersionTrend("parametric", 0.05, 2.0)


@pytest.fixture(scope="module")
def counts():
    rng = np.random.default_rng(6)
    means = rng.lognormal(4.0, 1.5, (200, 1)) * np.exp(rng.normal(0.0, 0.5, (200, 6)))
    return Counts(rng.negative_binomial(10.0, 10.0 / (10.0 + means)) + 1)


def assert_like_r(ours, quantity, rtol=1e-8, atol=1e-8):
    theirs = answer(quantity)
    np.testing.assert_allclose(ours.loc[theirs.index, theirs.columns], theirs, rtol=rtol, atol=atol)


def test_rlog_as_r_does_it():
    ours = rlog(pasilla())
    assert_like_r(ours, "rlog")
    assert ours.attrs["prior_var"] == pytest.approx(answer_by_sample("trend and prior").iloc[2], rel=1e-9)
    assert_like_r(rlog(pasilla_with_lengths()), "rlog lengths")


def test_rlog_with_a_design_as_r_does_it():
    references = {"condition": "untreated"}
    design = Design.from_formula("~ condition", pasilla().sample_table, references=references)
    assert_like_r(rlog(pasilla(), design), "rlog design")


def test_a_trend_that_is_known_gives_nearly_every_digit():
    a0, a1, prior_var = answer_by_sample("trend and prior").iloc[:3]
    ours = rlog(pasilla(), trend=DispersionTrend("parametric", a0, a1))
    assert ours.attrs["prior_var"] == pytest.approx(prior_var, rel=1e-13)
    assert_like_r(ours, "rlog", rtol=1e-12, atol=1e-13)


def test_the_mode_is_near_that_of_an_optimizer(counts):
    factors = np.linspace(0.7, 1.3, 6)
    ours = rlog(counts, trend=TREND, prior_var=0.5, size_factors=factors)
    sd = math.sqrt(0.5) * math.log(2.0)
    for gene in (0, 50, 120):
        y = counts.matrix[gene]
        r = 1.0 / TREND(np.array([(y / factors).mean()]))[0]

        def negative(b, y=y, r=r):
            mu = factors * np.exp(b[0] + b[1:])
            return -nbinom.logpmf(y, r, r / (r + mu)).sum() - norm.logpdf(b[1:], scale=sd).sum()

        start = np.append(np.log((y / factors).mean()), np.zeros(6))
        best = minimize(negative, start, method="BFGS", options={"gtol": 1e-4}).x
        # the iteration stops at a relative change of the deviance of 1e-4, not at the mode
        np.testing.assert_allclose(ours.iloc[gene], (best[0] + best[1:]) / math.log(2.0), atol=0.02)


def test_the_prior_decides_how_far_counts_are_shrunk(counts):
    ones = np.ones(6)
    free = rlog(counts, trend=TREND, prior_var=1e6, size_factors=ones)
    np.testing.assert_allclose(free, np.log2(counts.matrix), atol=0.05)
    tight = rlog(counts, trend=TREND, prior_var=1e-8, size_factors=ones)
    assert np.ptp(tight.to_numpy(), axis=1).max() < 1e-5


def test_a_gene_without_counts_is_zero(counts):
    matrix = counts.matrix.copy()
    matrix[3] = 0
    assert (rlog(Counts(matrix), trend=TREND).iloc[3] == 0.0).all()


@pytest.mark.parametrize("prior_var", [0.0, -1.0, math.inf, math.nan])
def test_a_variance_that_is_none(counts, prior_var):
    with pytest.raises(InputError, match="variance of the prior"):
        rlog(counts, prior_var=prior_var)
