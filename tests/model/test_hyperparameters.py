"""The priors' values: from the point estimates, to a file and back, and what a file may not hold."""

from __future__ import annotations

import json

import numpy as np
import pytest

from bayesde.eb.fit import fit_eb
from bayesde.eb.options import EbOptions
from bayesde.errors import BayesdeWarning, InputError
from bayesde.posterior import Hyperparameters

GOOD = {
    "shrinkage_scale": {"condition[T.untreated]": 0.2},
    "dispersion_sd": 0.7,
    "asymptotic_dispersion": 0.05,
    "extra_poisson": 2.0,
    "residuals": "normal",
    "nu": None,
}


def written(tmp_path, **changes):
    path = tmp_path / "hyperparameters.json"
    path.write_text(json.dumps({**GOOD, **changes}))
    return path


def test_from_point_estimates(pasilla_fit):
    hyper = Hyperparameters.from_eb(pasilla_fit)
    assert set(hyper.shrinkage_scale) == set(pasilla_fit.design.coefficients) - {"Intercept"}
    assert hyper.dispersion_sd**2 == pytest.approx(pasilla_fit.dispersion_prior_var)
    np.testing.assert_allclose(np.exp(hyper.log_trend(np.array([10.0]))), pasilla_fit.trend(np.array([10.0])))


def test_file_brings_everything_back(tmp_path):
    draws = {"dispersion_sd": np.array([0.6, 0.8]), "shrinkage_scale[a]": np.array([0.1, 0.3])}
    hyper = Hyperparameters(
        {"a": 0.2}, 0.7, 0.05, 0.0, "student_t", 5.0, {"dispersion_sd": 0.1}, draws, "joint"
    )
    hyper.to_json(tmp_path / "h.json")
    back = Hyperparameters.from_json(tmp_path / "h.json")
    assert (back.shrinkage_scale, back.nu, back.sd) == (hyper.shrinkage_scale, 5.0, hyper.sd)
    assert back.source == "file"
    for name, column in draws.items():
        np.testing.assert_array_equal(back.draws[name], column)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"shrinkage_scale": {"a": 0.0}}, "shrinkage_scale"),
        ({"shrinkage_scale": {"a": "wide"}}, "shrinkage_scale"),
        ({"shrinkage_scale": [0.2]}, "must be an object"),
        ({"dispersion_sd": -1}, "dispersion_sd"),
        ({"dispersion_sd": True}, "dispersion_sd"),
        ({"asymptotic_dispersion": 0}, "asymptotic_dispersion"),
        ({"extra_poisson": float("nan")}, "extra_poisson"),
        ({"residuals": "student-t"}, "Did you mean 'student_t'"),
        ({"residuals": "student_t"}, "nu must be a number"),
        ({"nu": 4}, "nu is for student_t"),
        ({"dispersion_scale": 1}, "Did you mean 'dispersion_sd'"),
        ({"draws": {"nu": ["a"]}}, "list of finite numbers"),
        ({"draws": {"nu": [1.0], "dispersion_sd": [1.0, 2.0]}}, "one length"),
    ],
)
def test_what_a_file_may_not_hold(tmp_path, changes, message):
    with pytest.raises(InputError, match=message):
        Hyperparameters.from_json(written(tmp_path, **changes))


def test_missing_keys_files_and_broken_json(tmp_path):
    path = tmp_path / "h.json"
    path.write_text(json.dumps({name: GOOD[name] for name in list(GOOD)[:3]}))
    with pytest.raises(InputError, match="missing key 'extra_poisson', 'residuals', 'nu'"):
        Hyperparameters.from_json(path)
    path.write_text("{")
    with pytest.raises(InputError, match="not valid JSON"):
        Hyperparameters.from_json(path)
    path.write_text("[]")
    with pytest.raises(InputError, match="one JSON object"):
        Hyperparameters.from_json(path)
    with pytest.raises(InputError, match="cannot read"):
        Hyperparameters.from_json(tmp_path / "absent.json")


def test_a_scale_of_no_coefficient_is_refused(tmp_path, pasilla_fit):
    hyper = Hyperparameters.from_json(written(tmp_path, shrinkage_scale={"condition[T.treated]": 0.2}))
    with pytest.raises(InputError, match="Did you mean 'condition"):
        hyper.scales_of(pasilla_fit.design)


@pytest.mark.parametrize(
    ("draws", "message"),
    [
        ({"dispersion_sdd": [1.0]}, r"draws has 'dispersion_sdd'; Did you mean 'dispersion_sd'"),
        ({"asymptotic_dispersion": [0.1, -1.0]}, "must be above 0; the smallest is -1"),
        ({"nu": [4.0]}, "draws has 'nu'"),
    ],
)
def test_draws_of_impossible_things_are_refused(tmp_path, draws, message):
    with pytest.raises(InputError, match=message):
        Hyperparameters.from_json(written(tmp_path, draws=draws))


def test_without_an_intercept_nothing_is_shrunken(pasilla_fit):
    levels = fit_eb(pasilla_fit.counts, "~ 0 + condition")
    with pytest.warns(BayesdeWarning, match="no intercept"):
        assert Hyperparameters.from_eb(levels).shrinkage_scale == {}


def test_a_local_trend_gives_the_nearest_parametric_one(pasilla_fit):
    local = fit_eb(pasilla_fit.counts, pasilla_fit.design, options=EbOptions(trend="local"))
    with pytest.warns(BayesdeWarning, match="in its place stands"):
        hyper = Hyperparameters.from_eb(local)
    mean = np.array([30.0, 300.0, 3000.0])
    assert np.abs(hyper.log_trend(mean) - np.log(local.trend(mean))).max() < 0.7
    assert hyper.dispersion_sd >= 0.5
