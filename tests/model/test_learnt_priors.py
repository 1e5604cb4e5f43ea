"""Priors made of the hyperparameters of an earlier experiment, against the moments of their draws."""

from __future__ import annotations

import numpy as np
import pytest

from bayesde.errors import InputError, OptionError
from bayesde.model.hyperparameters import Hyperparameters
from bayesde.model.priors import Priors

RNG = np.random.default_rng(2)
DRAWS = {
    "shrinkage_scale[a]": np.exp(RNG.normal(-2.0, 0.1, 400)),
    "shrinkage_scale[b]": np.exp(RNG.normal(-1.0, 0.1, 400)),
    "effect_nu[b]": np.exp(RNG.normal(1.0, 0.3, 400)),
    "pi0[b]": RNG.beta(80.0, 20.0, 400),
    "dispersion_sd": np.exp(RNG.normal(-0.3, 0.02, 400)),
    "asymptotic_dispersion": np.exp(RNG.normal(-3.0, 0.05, 400)),
    "extra_poisson": np.zeros(400),
}


@pytest.fixture
def hyper():
    laws = {"effect_nu": {"b": 3.0}, "pi0": {"b": 0.8}}
    return Hyperparameters({"a": 0.1, "b": 0.3}, 0.7, 0.05, 0.0, draws=DRAWS, **laws)


@pytest.mark.parametrize("widen", [1.0, 3.0])
def test_priors_have_the_moments_of_the_draws(hyper, widen):
    priors = hyper.as_priors(widen)
    logs = np.log(np.concatenate([DRAWS["shrinkage_scale[a]"], DRAWS["shrinkage_scale[b]"]]))
    assert priors.shrinkage_scale.log_median == pytest.approx(logs.mean())
    assert priors.shrinkage_scale.log_sd == pytest.approx(widen * logs.std())
    assert priors.effect_nu.log_sd == pytest.approx(widen * np.log(DRAWS["effect_nu[b]"]).std())
    a, b = priors.pi0.a, priors.pi0.b
    assert a / (a + b) == pytest.approx(DRAWS["pi0[b]"].mean())
    assert np.sqrt(a * b / (a + b + 1.0)) / (a + b) == pytest.approx(widen * DRAWS["pi0[b]"].std())
    assert priors.extra_poisson == Priors().extra_poisson
    assert priors.nu == Priors().nu


def test_what_no_prior_can_be_made_of_is_refused(hyper):
    with pytest.raises(InputError, match="have no draws"):
        Hyperparameters({"a": 0.1}, 0.7, 0.05, 0.0).as_priors()
    with pytest.raises(OptionError, match="widen"):
        hyper.as_priors(0.0)
