"""Patterns of zeros: their probabilities, and how a gene's draws are divided among them."""

import numpy as np
import pytest

from bayesde.model.effect_laws import EffectMixture
from bayesde.model.hyperparameter_space import HyperparameterSpace
from bayesde.model.hyperparameters import Hyperparameters
from bayesde.posterior.hyper.hyperparameter_posterior import HyperparameterPosterior
from bayesde.posterior.proposal.patterns import BY_PROBABILITY, Patterns

NULL = {1: 0.75, 3: 0.02}


@pytest.mark.parametrize("n_draws", [100, 1000, 9999])
@pytest.mark.parametrize("null", [None, NULL])
def test_every_pattern_has_draws_and_all_draws_have_a_pattern(n_draws, null):
    patterns = Patterns.of((1, 3), null)
    sizes = patterns.sizes(n_draws)
    assert patterns.zeros == ((), (1,), (3,), (1, 3))
    assert sum(sizes) == n_draws
    assert min(sizes) > 0


def test_probabilities_of_patterns():
    assert Patterns.of((1, 3), NULL).probability == pytest.approx((0.245, 0.735, 0.005, 0.015))
    assert Patterns.of((), {}).sizes(1000) == [1000]


def test_likely_patterns_have_more_draws():
    """Half of the draws are divided by probability, and the other half as without it."""
    known, unknown = Patterns.of((1, 3), NULL), np.array(Patterns.of((1, 3)).sizes(10_000))
    expected = BY_PROBABILITY * 10_000 * np.array(known.probability) + (1.0 - BY_PROBABILITY) * unknown
    assert known.sizes(10_000) == pytest.approx(expected, abs=4.0)


def test_probabilities_of_zero_are_those_of_the_laws():
    """Of a spike their mean over the points, of a mixture its weight of zero."""
    names, mixture = ("Intercept", "a", "b", "c"), EffectMixture([0.6, 0.4], [0.0, 0.5])
    hyper = Hyperparameters(
        {"a": 0.3, "b": 0.3, "c": 0.5}, 0.5, 0.1, 1.0, effect_nu={"b": 3.0}, pi0={"b": 0.5},
        mixtures={"c": mixture}, draws={"pi0[b]": np.array([0.2, 0.6])},
    )  # fmt: skip
    points = HyperparameterPosterior.fixed(HyperparameterSpace.of(names, hyper), hyper, 10)
    assert points.null == pytest.approx({2: 0.4, 3: 0.6})
