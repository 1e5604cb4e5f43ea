"""Small probabilities beyond the draws under other laws of the effects than Cauchy's, against quadrature."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy.special import logsumexp
from scipy.stats import nbinom, norm
from scipy.stats import t as student

import bayesde as bde
from bayesde.model.density import ConditionalModel
from bayesde.model.effect_laws import EffectMixture
from bayesde.posterior import Hyperparameters, SamplingOptions, fit_posterior
from bayesde.posterior.summaries.laplace_tails import tail_ratios

SD, TREND = 0.6, 0.05
EFFECT = np.array([0.0, 1.0])
UP = [22, 31, 25, 90, 71, 102]
DOWN = [900, 700, 820, 90, 60, 75]
LAWS = {
    "normal": EffectMixture([1.0], [0.4]),
    "near normal": EffectMixture([1.0], [0.4], [30.0]),
    "mixture": EffectMixture([0.5, 0.3, 0.2], [0.05, 0.3, 1.5]),
    "with zero": EffectMixture([0.6, 0.2, 0.1, 0.1], [0.0, 0.05, 0.3, 1.5]),
}


def model_of(counts, law):
    """The model of a gene; its Student-t where the law is one, else the law as a mixture."""
    y = np.array(counts)
    known = law.scale.size == 1 and np.isfinite(law.df[0])
    return ConditionalModel(
        y=y[None],
        log_nf=np.zeros((1, 6)),
        x=np.column_stack([np.ones(6), [0.0, 0.0, 0.0, 1.0, 1.0, 1.0]]),
        base_mean=np.array([y.mean()]),
        log_trend=np.log([TREND]),
        shrunken=np.array([False, True]),
        shrinkage_scale=np.array([1.0, law.scale[0] if known else law.median_size]),
        dispersion_sd=SD,
        nu=np.inf,
        effect_df=np.array([1.0, law.df[0]]) if known else None,
        mixtures=() if known else ((1, law),),
    )


def log_marginal(counts, law, effects):
    """ln p(y, effect) on a fine grid of intercepts and log dispersions, up to a constant."""
    counts = np.array(counts)
    a, d = np.meshgrid(np.linspace(-1.5, 1.5, 241), np.linspace(-6.5, 2.5, 91), indexing="ij")
    size, found = np.exp(-d), np.empty(effects.size)
    prior = norm.logpdf(d, math.log(TREND), SD)
    for i, effect in enumerate(effects):
        # centred where both groups are explained about equally well
        middle = 0.5 * (np.log(counts[:3].mean()) + np.log(counts[3:].mean()) - effect)
        total = prior + norm.logpdf(middle + a, 0.0, 15.0)
        for y, shift in ((counts[:3], 0.0), (counts[3:], effect)):
            odds = size / (size + np.exp(middle + a + shift))
            total = total + nbinom.logpmf(y[:, None, None], size, odds).sum(axis=0)
        found[i] = logsumexp(total)
    parts = [
        math.log(w)
        + (student.logpdf(effects, df, scale=s) if np.isfinite(df) else norm.logpdf(effects, scale=s))
        for w, s, df in zip(law.weight, law.scale, law.df, strict=True)
        if s > 0.0
    ]
    return found + logsumexp(parts, axis=0)


def grid():
    """Effects in narrow cells around 0, and their widths."""
    effects = 0.02 * np.sinh(np.arange(-5.6, 5.6, 0.04) + 0.02)
    return effects, np.gradient(effects)


@pytest.mark.parametrize("law", list(LAWS))
@pytest.mark.parametrize("counts", [UP, DOWN], ids=["up", "down"])
def test_tail_beyond_a_draw_against_quadrature(counts, law):
    effects, width = grid()
    share = log_marginal(counts, LAWS[law], effects) + np.log(width)
    sign = 1.0 if counts is UP else -1.0
    vector = sign * EFFECT
    order = np.argsort(sign * effects)
    below = np.logaddexp.accumulate(share[order])
    values = (sign * effects)[order]
    total = below[-1]
    start = int(np.searchsorted(below - total, math.log(0.05)))
    theta = np.array([[np.log(np.mean(counts[:3])), sign * values[start], math.log(TREND)]])
    bounds = np.array([0.6, 0.3, 0.0, -0.2])
    bounds = bounds[bounds < values[start]]
    expected = np.interp(bounds, values + 0.5 * np.gradient(values), below) - below[start]
    found = tail_ratios(model_of(counts, LAWS[law]), vector, theta, bounds[None])[0]
    assert bounds.size >= 2
    np.testing.assert_allclose(np.log(found), expected, atol=0.3 + 0.02 * np.abs(expected).max())


@pytest.fixture(scope="module")
def strong():
    """Genes with strong effects among others, and a fit of them."""
    options = bde.SimulationOptions(effects="normal", effect_scale=1.2)
    return bde.fit_eb(bde.simulate(60, groups=(4, 4), options=options, seed=9).counts, "~ condition")


@pytest.mark.parametrize(
    "parts",
    [
        {"effect_nu": {"condition[T.treated]": 30.0}},
        {"mixtures": {"condition[T.treated]": EffectMixture([0.7, 0.3], [0.2, 1.2])}},
        {"mixtures": {"condition[T.treated]": EffectMixture([0.6, 0.2, 0.2], [0.0, 0.1, 1.2])}},
    ],
    ids=["near normal", "mixture", "mixture with zero"],
)
def test_false_sign_rates_are_those_of_many_more_draws(strong, parts):
    hyper = Hyperparameters({"condition[T.treated]": 0.8}, 0.5, 0.05, 2.0, **parts)
    options = SamplingOptions(hand_over=False)
    few, many = (
        fit_posterior(
            strong.counts,
            strong.design,
            eb=strong,
            hyperparameters=hyper,
            draws=n,
            options=options,
            seed=seed,
        )
        for n, seed in ((1000, 1), (100_000, 2))
    )
    values = many.gene_draws.theta[:, :, 1]
    weights = many.gene_draws.weights()
    exact = np.minimum(*((weights * side).sum(axis=1) for side in (values <= 0.0, values >= 0.0)))
    squares = np.minimum(*(((weights * side) ** 2).sum(axis=1) for side in (values <= 0.0, values >= 0.0)))
    small = (exact < 0.05) & (exact > 1e-12) & (exact**2 > 100.0 * squares)  # known to 10 %
    found = few.results()["lfsr"].loc[few.genes].to_numpy()
    assert small.sum() > 5
    gap = np.log(found[small] / exact[small])
    assert np.abs(gap).max() < 1.2
    assert np.sqrt((gap**2).mean()) < 0.5
    assert abs(gap.mean()) < 0.4


def test_a_stand_in_would_have_the_wrong_tail():
    """Cauchy's prior of the same median size, under which proposals are made, is no substitute."""
    law = LAWS["normal"]
    theta = np.array([[np.log(np.mean(DOWN[:3])), -1.8, math.log(TREND)]])
    model, bound = model_of(DOWN, law), np.array([[0.0]])
    right = tail_ratios(model, -EFFECT, theta, bound)[0, 0]
    wrong = tail_ratios(replace(model, mixtures=()), -EFFECT, theta, bound)[0, 0]
    assert abs(math.log(wrong / right)) > 0.5
