"""Points of hyperparameters by adaptive importance sampling, against known distributions."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from scipy.stats import beta

from bayesde.errors import FitError
from bayesde.model.hyperparameter_names import EFFECT_NU, PI0, SCALE
from bayesde.model.hyperparameter_space import HyperparameterSpace
from bayesde.model.priors import Beta
from bayesde.posterior.hyper import adaptive_sampling
from bayesde.posterior.hyper.adaptive_sampling import sample_adaptively

SPACE = HyperparameterSpace(("Intercept", "b"), (1,), False, False, families=("spike_t",))
"""ln S, ln nu, pi0, ln sigma and ln a0."""
BENT = 0.6


def posterior(law):
    """Of pi0 that law, of ln S a curve along the scale of pi0, and normal distributions of the rest."""

    def log_posterior(psi):
        inside = np.array([law.log_density(value)[0] for value in psi[:, 2]])
        assert (np.abs(psi[:, 2]) <= 1.0).all()
        rest = psi[:, 0] - BENT * psi[:, 2] ** 2, psi[:, 1] - 1.0, psi[:, 3], psi[:, 4]
        return inside - 0.5 * sum((part / 0.3) ** 2 for part in rest)

    one = SimpleNamespace(space=SPACE, log_posterior=log_posterior)
    one.spread = lambda _: one
    return one


def sampled(law, monkeypatch, center=0.0, sd=0.3, seed=1):
    assert SPACE.kinds[:3] == [SCALE, EFFECT_NU, PI0]
    covariance = np.diag([0.3, 0.3, sd, 0.3, 0.3]) ** 2
    monkeypatch.setattr(adaptive_sampling, "covariance_at", lambda *_: covariance)
    mode = np.array([0.0, 1.0, center, 0.0, 0.0])
    return sample_adaptively(posterior(law), mode, 1000, np.random.default_rng(seed))


@pytest.mark.parametrize(
    ("law", "center", "sd"),
    [
        (Beta(1.0, 1.0), 0.0, 0.5),
        (Beta(1.5, 30.0), -0.7, 0.1),
        (Beta(300.0, 2.0), 0.85, 0.2),
        (Beta(40.0, 60.0), 0.6, 0.1),  # a search that ended far away
    ],
)
def test_moments(monkeypatch, law, center, sd):
    points = sampled(law, monkeypatch, center, sd)
    assert points.effective_size >= 50.0
    assert points.checks["pareto_k"] < 0.7
    pi0, exact = points.phi[:, 2], beta(law.a, law.b)
    assert ((pi0 >= 0.0) & (pi0 <= 1.0)).all()
    mean = (points.weight * pi0).sum()
    spread = np.sqrt((points.weight * (pi0 - mean) ** 2).sum())
    assert abs(mean - exact.mean()) < 4.0 * exact.std() / np.sqrt(points.effective_size)
    assert spread == pytest.approx(exact.std(), rel=4.0 / np.sqrt(2.0 * points.effective_size) + 0.1)


def test_more_rounds_where_the_first_does_not_serve(monkeypatch):
    near = sampled(Beta(40.0, 60.0), monkeypatch, -0.1, 0.1)
    far = sampled(Beta(40.0, 60.0), monkeypatch, 0.7, 0.05)
    assert near.weight.size == adaptive_sampling.POINTS_OF_A_ROUND
    assert far.weight.size > near.weight.size


def test_no_covariance(monkeypatch):
    with pytest.raises(FitError, match="has no covariance"):
        sampled(Beta(1.0, 1.0), monkeypatch, sd=0.0)
