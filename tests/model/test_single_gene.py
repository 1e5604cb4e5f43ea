"""The gene that the model's discussion started from: its posterior against its maximum likelihood."""

import math
from functools import cache

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from reference.monte_carlo import event_score, moment_scores
from scipy.special import logsumexp
from scipy.stats import nbinom, norm

import bayesde as bde

A, B = (7, 5, 103, 20, 80), (12, 40, 170, 92, 110)
DISPERSION, SD = 0.5, 0.7


@pytest.fixture(scope="module")
def start():
    names = [f"{group}{i}" for group in "ab" for i in range(1, 6)]
    samples = pd.DataFrame({"group": ["a"] * 5 + ["b"] * 5}, index=names)
    gene = bde.Counts(np.array([A + B]), genes=["gene"], sample_table=samples)
    return bde.fit_eb(gene, "~ group", size_factors=np.ones(10), options=bde.EbOptions(trend="mean"))


def sample(start, scale):
    hyperparameters = bde.Hyperparameters(
        shrinkage_scale=scale, dispersion_sd=SD, asymptotic_dispersion=DISPERSION, extra_poisson=0.0
    )
    return bde.fit_posterior(
        start.counts,
        start.design,
        engine="nuts",
        eb=start,
        hyperparameters=hyperparameters,
        draws=2000,
        seed=1,
    )


@pytest.fixture(scope="module")
def posteriors(start, cmdstan):
    """Without a prior on the effect, and with a Cauchy prior of scale 0.3."""
    return {scale: sample(start, {} if scale is None else {"group[T.b]": scale}) for scale in (None, 0.3)}


@cache
def on_a_grid(scale):
    """Mean, sd and probability below 0 of the effect (ln) by adding up the density over a grid."""
    mean = np.linspace(0.0, 9.0, 91)
    effect = np.arange(-8.0, 9.0, 0.025) + 0.0125  # midpoints: the prior has its peak at 0
    log_dispersion = np.linspace(-3.5, 3.0, 33)
    n = np.exp(-log_dispersion)[None, :]

    def group(counts, eta):
        mu = np.exp(eta)[:, None]
        return sum(nbinom.logpmf(y, n, n / (n + mu)) for y in counts)

    first = (
        group(A, mean)
        + norm.logpdf(mean, 0.0, 15.0)[:, None]
        + norm.logpdf(log_dispersion, math.log(DISPERSION), SD)
    )
    second = np.array([group(B, mean + b) for b in effect])  # (effect, mean, dispersion)
    prior = norm.logpdf(effect, 0.0, 15.0) if scale is None else -np.log1p((effect / scale) ** 2)
    log_density = logsumexp(second + first[None], axis=(1, 2)) + prior
    weight = np.exp(log_density - logsumexp(log_density))
    center = np.sum(weight * effect)
    return center, math.sqrt(np.sum(weight * (effect - center) ** 2)), weight[effect < 0].sum()


@pytest.mark.parametrize("scale", [None, 0.3])
def test_posterior_equals_the_density_added_up_on_a_grid(posteriors, scale):
    row = posteriors[scale].results().loc["gene"]
    mean, sd, negative = on_a_grid(scale)
    drawn = posteriors[scale].draws["beta"].values[:, :, 0, 1].astype(float)
    scores = [*moment_scores(drawn, mean, sd), event_score(drawn < 0.0, negative)]
    assert np.abs(scores).max() < 5.0
    assert row["rhat"] < 1.01
    assert row["log2_fold_change"] == pytest.approx(drawn.mean() / math.log(2), rel=1e-3)
    assert row["lfc_se"] == pytest.approx(drawn.std(ddof=1) / math.log(2), rel=1e-3)
    assert row["lfsr"] == pytest.approx((drawn < 0.0).mean(), abs=1e-3)


def test_flat_posterior_surrounds_the_maximum_likelihood_and_is_wider(start, posteriors):
    design = sm.add_constant(start.design.matrix[:, 1])
    mle = sm.NegativeBinomial(start.counts.matrix[0], design).fit(disp=False, maxiter=500)
    effect, error = mle.params[1], mle.bse[1]
    mean, sd, _ = on_a_grid(None)
    assert abs(mean - effect) < 0.05 * error
    assert sd > error
    row = posteriors[None].results().loc["gene"]
    assert row["lfc_lower"] < effect / math.log(2) < row["lfc_upper"]


def test_a_cauchy_prior_pulls_the_effect_in_and_keeps_both_readings_alive(posteriors):
    flat, shrunken = (posteriors[scale].results().loc["gene"] for scale in (None, 0.3))
    assert 0.0 < shrunken["log2_fold_change"] < 0.7 * flat["log2_fold_change"]  # on the grid 0.37
    assert shrunken["lfsr"] > flat["lfsr"]  # on the grid 0.27 and 0.13
    assert shrunken["lfc_upper"] > 1.0
