"""Priors: their densities against SciPy's, and what they may be made of."""

from __future__ import annotations

import dataclasses
import json
import math

import numpy as np
import pytest
from scipy.stats import gamma, kstest, lognorm

from bayesde import LogNormal, Priors, ShiftedGamma
from bayesde.errors import InputError, OptionError
from bayesde.model.hyperparameters_of_fit import named_coefficients
from bayesde.posterior import Hyperparameters, SamplingOptions, fit_posterior
from bayesde.posterior.stan.joint import _hyperpriors

LAWS = {
    "log-normal": (LogNormal(0.3, 1.2), lambda v: lognorm(1.2, scale=0.3).logpdf(v) + math.log(v), 0.0),
    "gamma": (ShiftedGamma(3.0, 0.2), lambda v: gamma(3.0, scale=5.0).logpdf(v) + math.log(v - 2.0), 2.0),
}


@pytest.mark.parametrize("name", LAWS)
def test_densities_of_the_logarithm_with_slope_and_curvature(name):
    law, expected, above = LAWS[name]
    psi, step = np.array([-1.0, 0.2, 1.5, 3.0]), 1e-4

    def density(x):
        return law.log_density(x)[0]

    gaps = [density(x) - expected(math.exp(x) + above) for x in psi]
    np.testing.assert_allclose(
        gaps, gaps[0], atol=1e-10
    )  # a constant, which the log-normal does not leave out
    assert name == "gamma" or gaps[0] == pytest.approx(0.0, abs=1e-12)
    for x in psi:
        slope = (density(x + step) - density(x - step)) / (2.0 * step)
        assert law.log_density(x)[1] == pytest.approx(slope, rel=1e-5, abs=1e-7)


def test_draws_have_the_distributions():
    rng = np.random.default_rng(2)
    assert kstest(LogNormal(0.3, 1.2).draw(rng, 4000), lognorm(1.2, scale=0.3).cdf).pvalue > 1e-3
    law = gamma(2.0, scale=10.0)
    values = ShiftedGamma(2.0, 0.1).draw(rng, 4000)
    assert values.min() > 2.0
    assert kstest(values, lambda v: 1.0 - law.sf(v) / law.sf(2.0)).pvalue > 1e-3


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({}, Priors()),
        ({"unshrunken_sd": 9}, Priors(unshrunken_sd=9)),
        ({"dispersion_sd": [0.5, 1]}, Priors(dispersion_sd=LogNormal(0.5, 1))),
        ({"shrinkage_scale": {"median": 0.1}}, Priors(shrinkage_scale=LogNormal(0.1, 1.5))),
        ({"nu": (4.0, 0.3)}, Priors(nu=ShiftedGamma(4.0, 0.3))),
        ({"nu": ShiftedGamma(4.0, 0.3)}, Priors(nu=ShiftedGamma(4.0, 0.3))),
    ],
)
def test_priors_from_plain_values_and_back(values, expected):
    made = Priors.from_dict(values)
    assert made == expected
    assert Priors.from_dict(json.loads(json.dumps(dataclasses.asdict(made)))) == expected


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"shrinkage": 1}, "unknown key 'shrinkage'. Did you mean 'shrinkage_scale'"),
        ({"nu": {"shap": 2}}, "nu: unknown key 'shap'. Did you mean 'shape'"),
        ({"dispersion_sd": 0.7}, "must be a table, {median = 0.7, log_sd = 0.7}, or two numbers"),
        ({"dispersion_sd": [0.7, 1, 2]}, "or two numbers"),
        ({"dispersion_sd": ["a", 1]}, "dispersion_sd: median must be a number"),
        ({"extra_poisson": {"log_sd": 0}}, "extra_poisson: log_sd must be a number"),
        ({"nu": {"above": 0}}, "above must be 2"),
        ({"unshrunken_sd": [1, 2]}, "unshrunken_sd must be a number"),
    ],
)
def test_what_is_no_prior(values, message):
    with pytest.raises(OptionError, match=message.replace("{", r"\{").replace("}", r"\}")):
        Priors.from_dict(values, "here")


def test_priors_are_priors():
    with pytest.raises(OptionError, match="shrinkage_scale must be a LogNormal"):
        Priors(shrinkage_scale=0.2)


def test_engine_joint_is_given_the_priors():
    given = _hyperpriors(Priors(dispersion_sd=LogNormal(0.4, 0.3), nu=ShiftedGamma(4.0, 0.3)))
    assert given["dispersion_sd_hyper"][:2] == [math.log(0.4), 0.3]
    assert (given["nu_shape"], given["nu_rate"]) == (4.0, 0.3)


@pytest.mark.parametrize(
    ("names", "columns"),
    [
        (["condition"], (2,)),
        (["condition[T.untreated]"], (2,)),
        (["type", "condition"], (1, 2)),
        (["condition[T.untreated]", "condition"], (2,)),
        ([], ()),
    ],
)
def test_what_is_shrunken_goes_by_coefficient_or_term(pasilla_fit, names, columns):
    assert named_coefficients(pasilla_fit.design, names) == columns
    scales = Hyperparameters.from_eb(pasilla_fit, names).shrinkage_scale
    assert list(scales) == [pasilla_fit.design.coefficients[k] for k in columns]


def test_an_unknown_coefficient_is_refused(pasilla_fit):
    with pytest.raises(InputError, match="Did you mean 'condition'"):
        Hyperparameters.from_eb(pasilla_fit, ["conditon"])


GIVEN = Hyperparameters({"group[T.b]": 0.2}, 0.7, 0.05, 2.0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"hyperparameters": "eb", "options": {"residuals": "student_t"}},
            "or let the hyperparameters be learnt",
        ),
        ({"hyperparameters": GIVEN, "options": {"trend": "constant"}}, "their trend is 0.05 \\+ 2 / mean"),
        ({"hyperparameters": GIVEN, "options": {"shrink": ["group"]}}, "leave one of them out"),
        ({"hyperparameters": "ebb"}, "must be a Hyperparameters object, 'eb' or None"),
    ],
)
def test_options_that_do_not_go_with_the_hyperparameters(tiny_fit, arguments, message):
    options = SamplingOptions(**arguments.pop("options", {}))
    with pytest.raises(OptionError, match=message):
        fit_posterior(tiny_fit.counts, tiny_fit.design, eb=tiny_fit, options=options, **arguments)
