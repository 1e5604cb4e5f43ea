"""The Monte-Carlo bias and error of log marginal likelihoods, against the spread of many of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import norm, t

from bayesde.model.hyperparameter_space import HyperparameterSpace
from bayesde.posterior.hyper.evidence_error import bias_of_logs, error_of_difference
from bayesde.posterior.hyper.laws import log_likelihood
from bayesde.posterior.hyper.marginal_likelihood import MarginalLikelihood

N_GENES, SETS, SPREAD = 100, 200, 0.8
SHARE_OF_ZEROS = 0.4
CAUCHY = HyperparameterSpace(("Intercept", "b"), (1,), False, False)
SPIKE = replace(CAUCHY, families=("spike_t",))


def made(n_draws, space, rng):
    """Draws of genes whose log ratios do not matter, and so have a spread of their own."""
    zeros = int(SHARE_OF_ZEROS * n_draws) if space is SPIKE else 0
    theta = np.zeros((N_GENES, n_draws + zeros, 3), dtype=np.float32)
    theta[:, :n_draws, 1] = rng.standard_t(4, (N_GENES, n_draws))
    theta[:, :, 2] = -2.0 + 0.5 * rng.standard_normal(theta.shape[:2])
    log_ratio = SPREAD * rng.standard_normal(theta.shape[:2])
    if zeros:
        log_ratio[:, :n_draws] += np.log((n_draws + zeros) / n_draws)
        log_ratio[:, n_draws:] += np.log((n_draws + zeros) / zeros)
    return MarginalLikelihood(
        space, np.full(N_GENES, 50.0), theta, log_ratio.astype(np.float32), np.zeros(N_GENES)
    )


def psi_of(space):
    values = {"shrinkage_scale": -0.5, "effect_nu": 1.2, "pi0": 0.1, "dispersion_sd": -0.6}
    return np.array([values.get(kind, -2.0) for kind in space.kinds])


def exact(space, psi):
    """Log marginal likelihood by quadrature."""
    phi = dict(zip(space.kinds, space.phi(psi), strict=True))
    pi0, law = phi.get("pi0", 0.0), t(phi.get("effect_nu", 1.0), scale=phi["shrinkage_scale"])
    effect = quad(lambda b: t(4).pdf(b) * law.pdf(b), 0.0, np.inf)[0] * 2.0
    residual = norm.pdf(0.0, scale=np.hypot(0.5, phi["dispersion_sd"]))
    return N_GENES * (0.5 * SPREAD**2 + np.log((pi0 + (1.0 - pi0) * effect) * residual))


@pytest.mark.parametrize("space", [CAUCHY, SPIKE], ids=["cauchy", "spike_t"])
def test_bias_and_error(space):
    """Of 60 draws, which are so few that the bias can be seen."""
    rng, psi = np.random.default_rng(3), psi_of(space)
    small = [made(60, space, rng) for _ in range(SETS)]
    logs = np.array([log_likelihood(one, psi) for one in small])
    bias = np.array([bias_of_logs(one, psi) for one in small])
    error = logs.std(ddof=1) / np.sqrt(SETS)
    truth = exact(space, psi)
    assert truth - logs.mean() > 5.0 * error  # there is a bias
    assert abs(logs.mean() + bias.mean() - truth) < 4.0 * error + 0.1 * bias.mean()
    # the variance of a sum of logs is twice their bias
    assert 2.0 * bias.mean() == pytest.approx(logs.var(ddof=1), rel=0.35)


def test_error_of_the_difference_between_laws():
    """They share the draws without zeros; against themselves laws have none."""
    rng, one, other = np.random.default_rng(4), psi_of(SPIKE), psi_of(CAUCHY)
    gaps, errors = [], []
    for _ in range(SETS):
        with_zeros = made(60, SPIKE, rng)
        shared = with_zeros.log_ratio[:, :60] - np.float32(np.log(1.0 + SHARE_OF_ZEROS))
        without = replace(with_zeros, space=CAUCHY, log_ratio=shared)
        gaps.append(log_likelihood(with_zeros, one) - log_likelihood(without, other))
        errors.append(error_of_difference(with_zeros, one, without, other))
    assert np.sqrt(np.mean(np.square(errors))) == pytest.approx(np.std(gaps, ddof=1), rel=0.2)
    assert error_of_difference(without, other, with_zeros, one) == errors[-1]
    assert error_of_difference(with_zeros, one, with_zeros, one) == 0.0
