"""Laws with zero where some of many genes teach them first: the same as if all did from the beginning."""

from __future__ import annotations

import numpy as np
import pytest

import bayesde as bde

NAME = "condition[T.treated]"


@pytest.fixture(scope="module")
def fit():
    options = bde.SimulationOptions(
        effects="student_t", effect_scale=0.6, zero_share=0.6, trend=(0.03, 1.0), median_mean=300.0
    )
    return bde.fit_eb(bde.simulate(300, groups=(4, 4), seed=6, options=options).counts, "~ condition")


def sampled(fit, law, **given):
    options = bde.SamplingOptions(effects=law, hand_over=False)
    return bde.fit_posterior(fit.counts, fit.design, eb=fit, options=options, **given)


@pytest.fixture
def many(monkeypatch):
    """As if there were thousands of genes."""
    for module in ("laws", "learning"):
        monkeypatch.setattr(f"bayesde.posterior.hyper.{module}.ENOUGH_GENES", 120)
    monkeypatch.setattr("bayesde.posterior.hyper.adaptive_sampling.SURVEYED_GENES", 200)


def test_spike_t(fit, request):
    one = sampled(fit, "spike_t")
    request.getfixturevalue("many")
    other = sampled(fit, "spike_t")
    expected = one.hyperparameters
    for name, value in other.hyperparameters.named.items():
        assert abs(value - expected.named[name]) < 0.5 * expected.sd[name], name
        assert 0.6 < other.hyperparameters.sd[name] / expected.sd[name] < 1.6, name
    gap = (one.results()["p_zero"] - other.results()["p_zero"]).abs()
    assert gap.median() < 0.03
    assert gap.quantile(0.95) < 0.12
    assert (other.diagnostics["pareto_k"] < 0.7).mean() > 0.98


def test_mixture(fit, request):
    one = sampled(fit, "mixture")
    request.getfixturevalue("many")
    other = sampled(fit, "mixture")
    laws = [posterior.hyperparameters.mixtures[NAME] for posterior in (one, other)]
    np.testing.assert_array_equal(laws[0].scale, laws[1].scale)
    assert abs(laws[0].null - laws[1].null) < 0.1
    assert (one.results()["p_zero"] - other.results()["p_zero"]).abs().median() < 0.05


def test_some_genes_are_sampled_under_the_law_of_all(fit):
    """Their proposals with zeros are made once more, for the law that all have taught."""
    some = list(fit.counts.genes[20:40])
    everyone, few = (sampled(fit, "spike_t", genes=genes) for genes in (None, some))
    assert few.hyperparameters.named == everyone.hyperparameters.named
    np.testing.assert_allclose(
        few.results().loc[some, "p_zero"], everyone.results().loc[some, "p_zero"], atol=0.1
    )
