"""The vector of the hyperparameters where coefficients have different laws of effects."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import beta, gamma, norm

from bayesde.model.density import ConditionalModel
from bayesde.model.effect_laws import EffectMixture
from bayesde.model.hyperparameter_space import HyperparameterSpace
from bayesde.model.hyperparameters import Hyperparameters
from bayesde.model.prior_at_draws import log_height
from bayesde.model.priors import Beta, LogNormal, Priors
from bayesde.model.probability_scale import probability

NAMES = ("Intercept", "a", "b", "c", "d", "e", "f")
LAW = EffectMixture([0.9, 0.1], [0.0, 1.0])
CONTINUOUS = EffectMixture([0.9, 0.1], [0.1, 1.0])
SPACE = HyperparameterSpace(
    NAMES,
    shrunken=(1, 2, 3, 4),
    trend=True,
    student_t=True,
    scale_of=(0, 1, 1, 2),
    families=("cauchy", "spike_t", "student_t"),
    mixtures=((5, LAW), (6, CONTINUOUS)),
)
"""a: Cauchy; b and c share a Student t with an atom; d has one without; the laws of e and f are known."""
PHI = np.array([0.1, 0.3, 0.9, 3.0, 7.0, 0.8, 0.6, 0.05, 2.0, 6.0])
OF_EFFECTS = {
    "shrinkage_scale[a]": 0.1,
    "shrinkage_scale[b]": 0.3,
    "shrinkage_scale[d]": 0.9,
    "effect_nu[b]": 3.0,
    "effect_nu[d]": 7.0,
    "pi0[b]": 0.8,
}
SHARED = {"dispersion_sd": 0.6, "asymptotic_dispersion": 0.05, "extra_poisson": 2.0, "nu": 6.0}
OF_C = {"shrinkage_scale[c]": 0.3, "effect_nu[c]": 3.0, "pi0[c]": 0.8}


def test_names_and_priors_of_the_numbers():
    assert SPACE.names == [*OF_EFFECTS, *SHARED]
    assert SPACE.kinds == [name.partition("[")[0] for name in SPACE.names]
    assert SPACE.n_scales == 3
    assert SPACE.atoms == (2, 3, 5)


def test_names_without_trend_and_student_t():
    space = HyperparameterSpace(NAMES, (2,), False, False, families=("spike_t",))
    assert space.names == [
        *("shrinkage_scale[b]", "effect_nu[b]", "pi0[b]"),
        *("dispersion_sd", "asymptotic_dispersion"),
    ]
    cauchy = HyperparameterSpace(NAMES, (1, 2), True, False)
    assert (cauchy.families, cauchy.scale_of, cauchy.atoms) == (("cauchy", "cauchy"), (0, 1), ())
    assert HyperparameterSpace(NAMES, (), True, False).names == [
        "dispersion_sd",
        "asymptotic_dispersion",
        "extra_poisson",
    ]


def test_values_by_name_are_those_of_every_coefficient():
    found = SPACE.by_name(PHI)
    assert {name: float(value) for name, value in found.items()} == OF_EFFECTS | OF_C | SHARED
    many = SPACE.by_name(np.tile(PHI, (5, 1)))
    assert {values.shape for values in many.values()} == {(5,)}


def test_logarithms_and_back():
    psi = SPACE.psi(PHI)
    expected = np.log([*PHI[:5], 1.0, *PHI[6:9], PHI[9] - 2.0])
    expected[5] = np.cbrt(0.8) - np.cbrt(0.2)
    np.testing.assert_allclose(psi, expected, rtol=1e-12)
    np.testing.assert_allclose(SPACE.phi(psi), PHI, rtol=1e-12)
    many = psi + np.random.default_rng(1).uniform(-0.6, 0.6, size=(4, 3, 10))
    before = many.copy()
    np.testing.assert_allclose(SPACE.psi(SPACE.phi(many)), many, rtol=1e-9, atol=1e-9)
    np.testing.assert_array_equal(many, before)
    for beyond, mirrored in ((1.2, 0.8), (-1.3, -0.7), (4.1, 0.1)):
        far, near = (np.where(np.arange(10) == 5, value, psi) for value in (beyond, mirrored))
        np.testing.assert_allclose(SPACE.phi(far), SPACE.phi(near), rtol=1e-9)


def test_values_become_hyperparameters_and_these_a_start():
    hyper = SPACE.hyperparameters(PHI)
    laws = ["cauchy", "spike_t", "spike_t", "student_t", "mixture", "mixture"]
    assert [hyper.family(name) for name in NAMES[1:]] == laws
    sizes = {f"shrinkage_scale[{name}]": law.median_size for name, law in (("e", LAW), ("f", CONTINUOUS))}
    assert hyper.named == OF_EFFECTS | OF_C | SHARED | sizes
    assert hyper.mixtures == {"e": LAW, "f": CONTINUOUS}
    np.testing.assert_allclose(SPACE.psi_of(hyper), SPACE.psi(PHI), rtol=1e-12)
    np.testing.assert_array_equal(SPACE.phi_of(hyper), PHI[None])


def test_starts_of_what_is_not_known():
    """nu = 3 and pi0 = 1/2; scales of coefficients that share one at their geometric mean."""
    hyper = Hyperparameters({"a": 0.1, "b": 0.2, "c": 0.8, "d": 0.9}, 0.6, 0.05, 0.0)
    found = SPACE.phi(SPACE.psi_of(hyper))
    np.testing.assert_allclose(found[:6], [0.1, 0.4, 0.9, 3.0, 3.0, 0.5], rtol=1e-12)


def test_points_of_given_draws():
    rng, size = np.random.default_rng(2), 6
    draws = {"pi0[b]": rng.random(size), "effect_nu[d]": rng.random(size), "nu": 2.0 + rng.random(size)}
    given = SPACE.hyperparameters(PHI)
    hyper = Hyperparameters(
        given.shrinkage_scale,
        *(SHARED[name] for name in ("dispersion_sd", "asymptotic_dispersion", "extra_poisson")),
        residuals="student_t",
        nu=6.0,
        effect_nu=given.effect_nu,
        pi0=given.pi0,
        mixtures=given.mixtures,
        draws=draws,
    )
    phi = SPACE.phi_of(hyper)
    assert phi.shape == (size, 10)
    for at, name in enumerate(SPACE.names):
        np.testing.assert_array_equal(phi[:, at], draws.get(name, np.full(size, PHI[at])))


def test_the_space_of_given_hyperparameters_has_their_laws():
    space = HyperparameterSpace.of(NAMES, SPACE.hyperparameters(PHI))
    assert space.shrunken == (1, 2, 3, 4)
    assert space.scale_of == (0, 1, 2, 3)
    assert space.families == ("cauchy", "spike_t", "spike_t", "student_t")
    assert space.mixtures == ((5, LAW), (6, CONTINUOUS))
    assert space.student_t
    assert space.atoms == SPACE.atoms
    mean = np.array([3.0, 50.0])
    one = space.parts(space.phi_of(SPACE.hyperparameters(PHI))[0], mean)
    for part, expected in zip(one, SPACE.parts(PHI, mean), strict=True):
        np.testing.assert_array_equal(part, expected)


def test_parts_of_the_priors():
    mean = np.array([1.0, 20.0, 400.0])
    parts = SPACE.parts(PHI, mean)
    np.testing.assert_array_equal(parts.scale, [0.1, 0.3, 0.3, 0.9])
    np.testing.assert_array_equal(parts.df, [1.0, 3.0, 3.0, 7.0])
    np.testing.assert_array_equal(parts.pi0, [0.0, 0.8, 0.8, 0.0])
    np.testing.assert_allclose(parts.log_trend, np.log(0.05 + 2.0 / mean))
    assert (parts.sd, parts.nu) == (0.6, 6.0)
    assert math.isfinite(log_height(parts))
    priors = SPACE.priors_at(np.stack([PHI, 2.0 * PHI]) * [1, 1, 1, 1, 1, 0.5, 1, 1, 1, 1], mean)
    assert priors.effects.columns.tolist() == [1, 2, 3, 4]
    assert priors.effects.scale.shape == (2, 4)
    assert np.isinf(priors.effects.log_null[:, [0, 3]]).all()
    assert np.isfinite(priors.effects.log_null[:, 1:3]).all()


def test_a_model_at_other_values():
    rng = np.random.default_rng(3)
    model = ConditionalModel(
        y=rng.poisson(20.0, (2, 8)),
        log_nf=np.zeros((2, 8)),
        x=rng.normal(size=(8, 7)),
        base_mean=np.array([5.0, 20.0]),
        log_trend=np.zeros(2),
        shrunken=np.array([False] + [True] * 6),
        shrinkage_scale=np.full(7, 0.77),
        dispersion_sd=1.0,
        nu=np.inf,
    )
    moved = SPACE.model_at(model, PHI)
    np.testing.assert_array_equal(moved.shrinkage_scale, [0.77, 0.1, 0.3, 0.3, 0.9, 0.77, 0.77])
    np.testing.assert_array_equal(moved.effect_df[1:], [1.0, 3.0, 3.0, 7.0, 1.0, 1.0])
    np.testing.assert_allclose(moved.log_trend, np.log(0.05 + 2.0 / model.base_mean))
    assert (moved.dispersion_sd, moved.nu) == (0.6, 6.0)
    assert model.effect_df is None
    assert HyperparameterSpace(NAMES, (1, 2), True, False).model_at(model, PHI[:5]).effect_df is None


@pytest.mark.parametrize(
    "priors",
    [
        Priors(),
        Priors(effect_nu=LogNormal(9.0, 0.4), pi0=Beta(2.0, 3.0), shrinkage_scale=LogNormal(0.5, 2.0)),
    ],
)
def test_prior_of_the_numbers(priors):
    space = HyperparameterSpace(
        NAMES, SPACE.shrunken, True, True, SPACE.scale_of, priors, SPACE.families, SPACE.mixtures
    )

    def expected(psi):
        p, slope = probability(psi[5]), (probability(psi[5] + 1e-6) - probability(psi[5] - 1e-6)) / 2e-6
        scale, nu = priors.shrinkage_scale, priors.effect_nu
        value = norm.logpdf(psi[:3], math.log(scale.median), scale.log_sd).sum()
        value += norm.logpdf(psi[3:5], math.log(nu.median), nu.log_sd).sum()
        value += beta.logpdf(p, priors.pi0.a, priors.pi0.b) + math.log(slope)
        value += norm.logpdf(psi[6:9], np.log([0.7, 0.05, 2.0]), [0.7, 2.0, 2.0]).sum()
        return value + gamma.logpdf(2.0 + math.exp(psi[9]), 2.0, scale=10.0) + psi[9]

    psi = SPACE.psi(PHI)
    other = psi + np.random.default_rng(4).uniform(-0.5, 0.5, size=10)
    found, gradient, information = space.log_prior(psi)
    assert found - space.log_prior(other)[0] == pytest.approx(expected(psi) - expected(other), rel=1e-7)
    for i in range(10):
        step = 1e-4 * np.eye(10)[i]
        ahead, behind = space.log_prior(psi + step), space.log_prior(psi - step)
        assert gradient[i] == pytest.approx((expected(psi + step) - expected(psi - step)) / 2e-4, rel=1e-5)
        if i < 9:  # of nu it is a bound that stays positive
            assert information[i] == pytest.approx((behind[1] - ahead[1])[i] / 2e-4, rel=1e-5)
