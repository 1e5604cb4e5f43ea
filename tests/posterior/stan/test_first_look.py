"""What engine joint knows before it starts."""

from __future__ import annotations

import numpy as np
import pytest

from bayesde.errors import FitError
from bayesde.model.hyperparameter_space import HyperparameterSpace
from bayesde.model.hyperparameters import Hyperparameters
from bayesde.posterior.stan import first_look as first_look_module
from bayesde.posterior.stan.first_look import first_look
from bayesde.posterior.stan.joint import _joint_data, _starts, _variances


def look_at(pasilla_fit, panel_genes, panel, student_t=False, scale_of=()):
    space = HyperparameterSpace(pasilla_fit.design.coefficients, (1, 2), True, student_t, scale_of)
    return first_look(
        panel_genes.model,
        panel_genes.start,
        pasilla_fit.beta_se[panel],
        space=space,
        hyper=Hyperparameters.from_eb(pasilla_fit),
        chains=3,
        seed=1,
    )


@pytest.mark.parametrize("student_t", [False, True])
def test_everything_that_stan_moves_has_a_start_and_a_variance(pasilla_fit, panel_genes, panel, student_t):
    look = look_at(pasilla_fit, panel_genes, panel, student_t)
    starts, variances = _starts(look, np.random.default_rng(1)), _variances(look)
    assert len(starts) == 3
    for start in starts:
        assert sum(np.size(value) for value in start.values()) == variances.size == 40 * 4 + 5 + student_t
        assert all(np.isfinite(value).all() for value in start.values())
        assert (np.array(start["nu"]) > 2.0).all()
    assert (variances > 0.0).all()
    assert _joint_data(look)["residuals"] == student_t


@pytest.mark.parametrize("known", [True, False])
def test_a_shared_scale_is_one_parameter_with_one_prior(pasilla_fit, panel_genes, panel, known, monkeypatch):
    if not known:
        monkeypatch.setattr(first_look_module, "learn", nothing)
    look = look_at(pasilla_fit, panel_genes, panel, scale_of=(0, 0))
    data, starts = _joint_data(look), _starts(look, np.random.default_rng(1))
    assert (data["K"], data["scale_of"]) == (1, [0, 1, 1])
    assert len(data["log_scale_mean"]) == len(data["log_scale_sd"]) == 1
    assert all(len(start["log_shrinkage_scale"]) == 1 for start in starts)
    assert _variances(look).size == 40 * 4 + 4
    assert look.psi_mean.size == look.psi_sd.size == 4
    assert look.space.names[0] == f"shrinkage_scale[{pasilla_fit.design.coefficients[1]}]"


def nothing(*_, **__):
    raise FitError("too little")


def test_genes_start_within_their_posterior_and_hyperparameters_around_theirs(
    pasilla_fit, panel_genes, panel
):
    """Of all that genes move, squared distances from 0 in their own variance are near 1 on average."""
    look = look_at(pasilla_fit, panel_genes, panel)
    residuals = look.starts[..., -1]
    assert residuals.std() == pytest.approx(1.0, abs=0.3)
    assert abs(residuals.mean()) < 0.4
    place = look.space.names.index("dispersion_sd")
    mean, sd = look.psi_mean[place], look.psi_sd[place]
    drawn = [_starts(look, np.random.default_rng(seed))[0] for seed in range(200)]
    values = np.array([start["log_dispersion_sd"] for start in drawn])
    assert values.mean() == pytest.approx(mean, abs=0.5 * sd)
    assert values.std() == pytest.approx(1.5 * sd, rel=0.2)


def test_a_panel_that_says_too_little_starts_from_what_was_given(
    pasilla_fit, panel_genes, panel, monkeypatch
):
    monkeypatch.setattr(first_look_module, "learn", nothing)
    look = look_at(pasilla_fit, panel_genes, panel)
    hyper = Hyperparameters.from_eb(pasilla_fit)
    assert look.psi_mean[look.space.names.index("dispersion_sd")] == pytest.approx(
        np.log(hyper.dispersion_sd)
    )
    assert np.isfinite(look.starts).all()
    assert (look.variances == 1.0).all()
