"""Laws of effects: known mixtures against SciPy, and the hyperparameters of laws in files and priors."""

from __future__ import annotations

import dataclasses
import json
import math

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import beta, kstest, norm, t

from bayesde.errors import InputError, OptionError
from bayesde.model.effect_laws import EffectMixture
from bayesde.model.hyperparameters import Hyperparameters
from bayesde.model.priors import Beta, LogNormal, Priors
from bayesde.model.probability_scale import probability

WEIGHT, SCALE, NU = [0.5, 0.2, 0.1, 0.2], [0.0, 0.1, 0.6, 1.5], [math.inf, math.inf, 3.0, 1.0]
LAW = EffectMixture(WEIGHT, SCALE, NU)
PARTS = [(0.2, norm(scale=0.1)), (0.1, t(3.0, scale=0.6)), (0.2, t(1.0, scale=1.5))]
"""The continuous part of the same law."""


def expected(effects, what="pdf"):
    return sum(weight * getattr(law, what)(effects) for weight, law in PARTS)


def test_density_of_a_mixture():
    effects = np.array([[-30.0, -0.4, 1e-6], [0.02, 0.7, 4.0]])
    np.testing.assert_allclose(LAW.log_density(effects), np.log(expected(effects)), rtol=1e-12)
    assert LAW.log_density(np.array([0.0, -0.0])).tolist() == [math.log(0.5)] * 2
    assert LAW.log_density(0.3) == pytest.approx(math.log(expected(0.3)), rel=1e-12)


def test_zero_has_no_density_without_an_atom_and_components_without_weight_do_not_count():
    law = EffectMixture([0.0, 1.0, 0.0], [0.0, 0.5, 3.0])
    assert law.null == 0.0
    assert law.log_density(np.array([0.0]))[0] == -math.inf
    effects = np.array([-1.0, 0.2])
    np.testing.assert_allclose(law.log_density(effects), norm.logpdf(effects, scale=0.5), rtol=1e-12)


def test_densities_that_underflow_are_small_and_finite():
    law = EffectMixture([0.3, 0.7], [0.0, 0.01])
    assert -1e4 < law.log_density(np.array([30.0]))[0] < -600.0


def test_probability_near_zero():
    for size in (0.0, 0.05, 0.5, 20.0):
        inside = sum(weight * (law.cdf(size) - law.cdf(-size)) for weight, law in PARTS)
        assert LAW.probability_within(size) == pytest.approx(0.5 + inside, rel=1e-12)
    inside = quad(lambda x: math.exp(LAW.continuous.log_density(np.array([x]))[0]), 1e-12, 0.5)[0]
    assert LAW.probability_within(0.5) == pytest.approx(0.5 + 0.5 * 2.0 * inside, rel=1e-6)


def test_median_size_is_of_effects_that_are_not_zero():
    size = LAW.median_size
    assert 2.0 * (expected(size, "cdf") / 0.5) - 1.0 == pytest.approx(0.5, rel=1e-9)
    assert EffectMixture([1.0], [0.4]).median_size == pytest.approx(0.4 * norm.ppf(0.75), rel=1e-9)
    assert EffectMixture([0.9, 0.1], [0.0, 2.0], [9.0, 1.0]).median_size == pytest.approx(2.0, rel=1e-9)


def test_draws_of_a_mixture():
    drawn = LAW.draw(np.random.default_rng(3), 20_000)
    assert drawn.shape == (20_000,)
    assert (drawn == 0.0).mean() == pytest.approx(0.5, abs=5.0 * math.sqrt(0.25 / 20_000))
    assert kstest(drawn[drawn != 0.0], lambda x: expected(x, "cdf") / 0.5).pvalue > 1e-4


def test_the_continuous_part():
    rest = LAW.continuous
    assert rest.null == 0.0
    np.testing.assert_allclose(rest.weight, [0.4, 0.2, 0.4])
    assert rest.scale.tolist() == SCALE[1:]
    assert rest.df.tolist() == NU[1:]
    heights = [-math.inf, *(law.logpdf(0.0) for _, law in PARTS)]
    np.testing.assert_allclose(LAW.log_heights, heights, rtol=1e-12)


def test_plain_values_of_a_mixture_and_back():
    plain = json.loads(json.dumps(LAW.to_dict(), allow_nan=False))
    assert plain["nu"] == [None, None, 3.0, 1.0]
    again = EffectMixture.from_dict(plain)
    for name in ("weight", "scale", "nu"):
        np.testing.assert_array_equal(getattr(again, name), getattr(LAW, name))
    normal = EffectMixture.from_dict({"weight": [0.2, 0.8], "scale": [0, 1]})
    assert normal.df.tolist() == [math.inf, math.inf]


def test_a_mixture_does_not_share_the_arrays_it_was_made_of():
    weight = np.array([0.5, 0.5])
    law = EffectMixture(weight, [0.0, 1.0])
    weight[:] = 0.0
    assert law.weight.tolist() == [0.5, 0.5]


@pytest.mark.parametrize(
    ("weight", "scale", "nu", "message"),
    [
        ([], [], None, "weight must be a list of 1 to 200 numbers"),
        (0.5, [1.0], None, "weight must be a list of 1 to 200 numbers; got 0.5"),
        ([1.0], "wide", None, "scale must be a list of 1 to 200 numbers; got 'wide'"),
        ([1.0], [[1.0]], None, "scale must be a list"),
        ([1.0], [1.0], ["few"], "nu must be a list"),
        (np.full(201, 1 / 201), np.ones(201), None, "list of 1 to 200 numbers"),
        ([0.5, 0.5], [1.0], None, "must be of one length; got {'weight': 2, 'scale': 1, 'nu': 1}"),
        ([0.5, 0.5], [1.0, 2.0], [3.0], "must be of one length"),
        ([1.5, -0.5], [1.0, 2.0], None, "weights must be 0 or more; got [1.5, -0.5]"),
        ([math.nan, 1.0], [1.0, 2.0], None, "weights must be 0 or more"),
        ([0.5, 0.6], [1.0, 2.0], None, "weights must add up to 1; their sum is 1.1"),
        ([0.5, 0.5], [1.0, -2.0], None, "scales must be 0 or more; got [1.0, -2.0]"),
        ([0.5, 0.5], [1.0, math.inf], None, "scales must be 0 or more"),
        ([0.5, 0.5], [1.0, 2.0], [3.0, 0.0], "nu must be above 0; got [3.0, 0.0]"),
        ([0.5, 0.5], [1.0, 2.0], [3.0, math.nan], "nu must be above 0"),
        ([1.0, 0.0], [0.0, 2.0], None, "all the weight is on zero"),
    ],
)
def test_what_is_no_mixture(weight, scale, nu, message):
    with pytest.raises(InputError) as refused:
        EffectMixture(weight, scale, nu)
    assert message in str(refused.value)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"weight": [1.0]}, "an object with weight, scale and, optionally, nu is needed"),
        ({"weight": [1.0], "scale": [1.0], "df": [3.0]}, "an object with weight"),
        ([1.0], "an object with weight"),
        ({"weight": [1.0], "scale": [1.0], "nu": "3"}, "nu must be a list"),
        ({"weight": [1.0], "scale": [1.0], "nu": ["many"]}, "nu must be a list"),
        ({"weight": {"a": 1.0}, "scale": [1.0]}, "weight must be a list"),
        ({"weight": None, "scale": [1.0]}, "weight must be a list"),
        ({"weight": [1.0], "scale": None}, "scale must be a list"),
        ({"weight": [True], "scale": ["1"]}, "must be a list"),
    ],
)
def test_what_plain_values_are_no_mixture(values, message):
    with pytest.raises(InputError) as refused:
        EffectMixture.from_dict(values)
    assert message in str(refused.value)


REST = {"dispersion_sd": 0.7, "asymptotic_dispersion": 0.05, "extra_poisson": 2.0}
SCALES = {"a": 0.2, "b": 0.4, "c": 0.3, "d": 0.1}
MIXED = Hyperparameters(
    shrinkage_scale=SCALES,
    effect_nu={"a": 4.0, "b": 2.5},
    pi0={"b": 0.8},
    mixtures={"c": LAW},
    sd={"pi0[b]": 0.05},
    draws={"pi0[b]": np.array([0.75, 0.85]), "effect_nu[a]": np.array([3.0, 5.0])},
    **REST,
)


def test_laws_by_coefficient():
    assert [MIXED.family(name) for name in SCALES] == ["student_t", "spike_t", "mixture", "cauchy"]
    assert MIXED.named == {
        **{f"shrinkage_scale[{name}]": value for name, value in SCALES.items()},
        "effect_nu[a]": 4.0,
        "effect_nu[b]": 2.5,
        "pi0[b]": 0.8,
        **REST,
    }
    text = repr(MIXED)
    assert "effect_nu a 4, b 2.5" in text
    assert "pi0 b 0.8 (sd 0.05)" in text
    assert "mixture c" in text


def test_hyperparameters_of_values_by_name():
    again = Hyperparameters.from_named(MIXED.named, mixtures=MIXED.mixtures)
    assert again.named == MIXED.named
    assert [again.family(name) for name in SCALES] == [MIXED.family(name) for name in SCALES]
    values = {name: value for name, value in MIXED.named.items() if name != "shrinkage_scale[c]"}
    other = Hyperparameters.from_named(values, mixtures=MIXED.mixtures, shrinkage_scale={"c": 0.9})
    assert other.shrinkage_scale == {**SCALES, "c": 0.9}


def test_laws_in_a_file(tmp_path):
    MIXED.to_json(tmp_path / "h.json")
    again = Hyperparameters.from_json(tmp_path / "h.json")
    assert again.named == MIXED.named
    assert again.sd == MIXED.sd
    np.testing.assert_array_equal(again.mixtures["c"].df, LAW.df)
    np.testing.assert_array_equal(again.mixtures["c"].weight, LAW.weight)
    for name, column in MIXED.draws.items():
        np.testing.assert_array_equal(again.draws[name], column)


def test_files_of_cauchy_laws_have_the_keys_they_always_had(tmp_path):
    Hyperparameters(SCALES, **REST).to_json(tmp_path / "h.json")
    values = json.loads((tmp_path / "h.json").read_text())
    assert not {"effect_nu", "pi0", "mixtures"} & set(values)
    again = Hyperparameters.from_json(tmp_path / "h.json")
    assert (again.effect_nu, again.pi0, again.mixtures) == ({}, {}, {})
    assert {again.family(name) for name in SCALES} == {"cauchy"}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"effect_nu": {"z": 3.0}}, "effect_nu names 'z', without a shrinkage_scale; 'a', 'b', 'c', 'd' has"),
        ({"pi0": {"z": 0.3}}, "pi0 names 'z', without a shrinkage_scale"),
        ({"mixtures": {"z": LAW}}, "mixtures names 'z', without a shrinkage_scale"),
        ({"effect_nu": {"a": 0.0}}, "effect_nu['a'] must be a number above 0 to 1e+06; got 0.0"),
        ({"effect_nu": {"a": "many"}}, "effect_nu['a'] must be a number"),
        ({"pi0": {"a": 0.5}}, "pi0['a'] needs effect_nu['a'] beside it"),
        ({"effect_nu": {"a": 3.0}, "pi0": {"a": 1.0}}, "pi0['a'] must be below 1; got 1.0"),
        ({"effect_nu": {"a": 3.0}, "pi0": {"a": 0.0}}, "pi0['a'] must be a number above 0"),
        ({"effect_nu": {"a": 3.0}, "mixtures": {"a": LAW}}, "'a' has both effect_nu and a mixture"),
        ({"mixtures": {"a": {"weight": [1.0]}}}, "mixtures['a'] must be an EffectMixture"),
        ({"effect_nu": {"a": 3.0}, "draws": {"effect_nu[a]": np.array([0.0])}}, "must be above 0"),
        ({"draws": {"pi0[a]": np.array([0.5])}}, "draws has 'pi0[a]'"),
        (
            {"effect_nu": {"a": 3.0}, "pi0": {"a": 0.5}, "draws": {"pi0[a]": np.array([0.5, 1.5])}},
            "draws['pi0[a]'] must be below 1; the largest is 1.5",
        ),
    ],
)
def test_laws_that_cannot_be(changes, message):
    with pytest.raises(InputError) as refused:
        Hyperparameters(SCALES, **REST, **changes)
    assert message in str(refused.value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"pi0": [0.5]}, "pi0 must be an object"),
        ({"effect_nu": 3.0}, "effect_nu must be an object"),
        ({"mixtures": {"a": [1.0]}}, "an object with weight, scale and, optionally, nu is needed"),
        ({"mixtures": {"a": {"weight": [1.0], "scale": [0.0]}}}, "all the weight is on zero"),
        ({"pi_0": {}}, "unknown key 'pi_0'"),
    ],
)
def test_files_of_laws_that_cannot_be(tmp_path, changes, message):
    path = tmp_path / "h.json"
    path.write_text(
        json.dumps({"shrinkage_scale": SCALES, **REST, "residuals": "normal", "nu": None} | changes)
    )
    with pytest.raises(InputError) as refused:
        Hyperparameters.from_json(path)
    assert message in str(refused.value)


@pytest.mark.parametrize("law", [Beta(1.0, 1.0), Beta(2.0, 0.5), Beta(30.0, 10.0)])
def test_density_of_a_probability_on_its_scale(law):
    psi, step = np.array([-0.97, -0.4, 0.0, 0.3, 0.8, 0.97]), 1e-5
    slope = (probability(psi + step) - probability(psi - step)) / (2.0 * step)
    gaps = [law.log_density(x)[0] for x in psi] - (
        beta(law.a, law.b).logpdf(probability(psi)) + np.log(slope)
    )
    np.testing.assert_allclose(gaps, gaps[2], rtol=1e-7, atol=1e-6)
    for x in [*psi, -1.2, 1.4]:
        ahead, here, behind = (law.log_density(x + shift) for shift in (step, 0.0, -step))
        assert here[1] == pytest.approx((ahead[0] - behind[0]) / (2.0 * step), rel=1e-5, abs=1e-6)
        assert -here[2] == pytest.approx((ahead[1] - behind[1]) / (2.0 * step), rel=1e-5, abs=1e-6)


def test_densities_at_the_ends_are_finite():
    for psi in (-1.0, 1.0, 800.0):
        assert np.isfinite(Beta(2.0, 3.0).log_density(psi)).all()


def test_draws_of_a_probability():
    drawn = Beta(2.0, 5.0).draw(np.random.default_rng(4), 4000)
    assert kstest(drawn, beta(2.0, 5.0).cdf).pvalue > 1e-4


@pytest.mark.parametrize(("a", "b", "message"), [(0.0, 1.0, "a must be"), (1.0, -2.0, "b must be")])
def test_what_is_no_prior_of_a_probability(a, b, message):
    with pytest.raises(OptionError, match=message):
        Beta(a, b)


@pytest.mark.parametrize(
    ("values", "made"),
    [
        ({"pi0": [2.0, 0.5]}, Priors(pi0=Beta(2.0, 0.5))),
        ({"pi0": {"a": 3.0}}, Priors(pi0=Beta(3.0, 1.0))),
        ({"effect_nu": {"median": 8.0}}, Priors(effect_nu=LogNormal(8.0, 1.2))),
        ({"effect_nu": [4, 1], "pi0": Beta(1.0, 9.0)}, Priors(effect_nu=LogNormal(4, 1), pi0=Beta(1.0, 9.0))),
    ],
)
def test_priors_of_laws_from_plain_values_and_back(values, made):
    found = Priors.from_dict(values)
    assert found == made
    assert Priors.from_dict(json.loads(json.dumps(dataclasses.asdict(found)))) == made


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"pi0": 0.5}, "pi0 must be a table, {a = 1, b = 1}, or two numbers; got 0.5"),
        ({"pi0": [0.0, 1.0]}, "pi0: a must be a number"),
        ({"pi0": {"alpha": 1.0}}, "pi0: unknown key 'alpha'"),
        ({"effect_nu": {"shape": 2.0}}, "effect_nu: unknown key 'shape'"),
        ({"pi_0": [1.0, 1.0]}, "unknown key 'pi_0'. Did you mean 'pi0'"),
    ],
)
def test_what_is_no_prior_of_a_law(values, message):
    with pytest.raises(OptionError) as refused:
        Priors.from_dict(values, "here")
    assert message in str(refused.value)


def test_priors_of_laws_are_of_their_kind():
    with pytest.raises(OptionError, match="pi0 must be a Beta"):
        Priors(pi0=LogNormal(0.5, 1.0))
    with pytest.raises(OptionError, match="effect_nu must be a LogNormal"):
        Priors(effect_nu=Beta(1.0, 1.0))
