"""Laws of effects that are learnt: slopes against differences, maxima against SciPy, and known truth."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import cache

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import minimize
from scipy.special import logsumexp
from scipy.stats import norm, t

import bayesde as bde
from bayesde.model.effect_laws import EffectMixture
from bayesde.model.hyperparameter_space import HyperparameterSpace
from bayesde.model.hyperparameters import Hyperparameters
from bayesde.model.priors import Priors
from bayesde.posterior.effect_choice import laws_to_learn
from bayesde.posterior.hyper.hyperparameter_posterior import HyperparameterPosterior
from bayesde.posterior.hyper.laws import (
    TELLING,
    LawsToLearn,
    _fill_components,
    _reweighted,
    _under,
    gain_of_student_t,
    learn_laws,
    log_likelihood,
    with_mean_weights,
    with_zeros,
)
from bayesde.posterior.hyper.learning import draw_all
from bayesde.posterior.hyper.marginal_likelihood import gene_weights, with_mixtures
from bayesde.posterior.hyper.maximum import curvature_sd, maximize
from bayesde.posterior.options import SamplingOptions
from bayesde.posterior.proposal.genes import propose
from bayesde.posterior.request import Request

NULL_WEIGHT, SEED = 10.0, 5
KNOWN = EffectMixture([0.6, 0.3, 0.1], [0.0, 0.2, 0.8], [np.inf, np.inf, 4.0])


def drawn(fit, n_draws, atoms=(), residuals="normal"):
    """A request for a fit's genes, and the marginal likelihood of draws made under Cauchy's law."""
    hyper, options = Hyperparameters.from_eb(fit), SamplingOptions(residuals=residuals)
    rows = np.flatnonzero(fit.estimated)
    request = Request(fit, rows, hyper, True, n_draws, 1, 1, 1, 1, options, Priors())
    pieces = propose(request.start(rows), request.model(rows))
    room = np.empty((rows.size, n_draws, len(fit.design.coefficients) + 1), dtype=np.float32)
    likelihood = draw_all(pieces, request.space, n_draws, room)
    return request, with_zeros(likelihood, pieces, atoms)[0] if atoms else likelihood


@pytest.fixture(scope="module")
def two_effects():
    """80 genes with two coefficients that are shrunken."""
    table = pd.DataFrame({"batch": list("xyxyxyxy"), "group": list("aaaabbbb")}, index=list("stuvwxyz"))
    options = bde.SimulationOptions(effects="student_t", effect_scale=0.6, zero_share=0.5)
    simulated = bde.simulate(80, design="~ batch + group", sample_table=table, seed=4, options=options)
    return bde.fit_eb(simulated.counts, "~ batch + group")


SPACES = {
    "student_t": ((), {"shrunken": (1, 2), "families": ("student_t", "student_t")}),
    "one": ((2,), {"shrunken": (2,), "families": ("spike_t",)}),
    "two": ((1, 2), {"shrunken": (1, 2), "families": ("spike_t", "spike_t")}),
    "shared": ((1, 2), {"shrunken": (1, 2), "scale_of": (0, 0), "families": ("spike_t",)}),
    "shared, without zero": ((), {"shrunken": (1, 2), "scale_of": (0, 0), "families": ("student_t",)}),
    "zero and cauchy": ((1,), {"shrunken": (1, 2), "families": ("spike_t", "cauchy")}),
    "zero and student_t": ((2,), {"shrunken": (1, 2), "families": ("student_t", "spike_t")}),
    "known": ((1,), {"shrunken": (2,), "families": ("student_t",), "mixtures": ((1, KNOWN),)}),
    "known, and zero": ((1, 2), {"shrunken": (2,), "families": ("spike_t",), "mixtures": ((1, KNOWN),)}),
    "heavy": ((1, 2), {"shrunken": (1, 2), "families": ("spike_t", "spike_t"), "student_t": True}),
}


def surface(fit, name):
    atoms, given = SPACES[name]
    _, likelihood = drawn(fit, 200, atoms)
    given = {"student_t": False, "trend": True} | given
    space = HyperparameterSpace(fit.design.coefficients, **given)
    log_ratio = with_mixtures(space, likelihood.theta, likelihood.log_ratio).astype(np.float32)
    return replace(likelihood, space=space, log_ratio=log_ratio)


@pytest.mark.parametrize("name", SPACES)
def test_scores_are_the_slopes_of_the_surface(two_effects, name):
    likelihood = surface(two_effects, name)
    psi = likelihood.space.psi_of(Hyperparameters.from_eb(two_effects))
    psi = psi + 0.1 * np.random.default_rng(1).normal(size=psi.size)
    value, gradient, scores = likelihood.evaluate(psi)
    assert value == pytest.approx(likelihood.log_posterior(psi), rel=1e-12)
    assert scores.shape == (80, psi.size)
    np.testing.assert_allclose(gradient, scores.sum(axis=0) + likelihood.space.log_prior(psi)[1], rtol=1e-12)
    for i in range(psi.size):
        step = 1e-4 * np.eye(psi.size)[i]
        slope = np.diff(likelihood.log_posterior(np.stack([psi - step, psi + step])))[0] / 2e-4
        assert gradient[i] == pytest.approx(slope, rel=1e-5, abs=1e-4), likelihood.space.names[i]


@pytest.mark.parametrize("name", SPACES)
def test_the_surface_is_a_mean_of_weights(two_effects, name):
    """Each draw's density under the law, written down with SciPy."""
    likelihood = surface(two_effects, name)
    raw = drawn(two_effects, 200, SPACES[name][0])[1]
    space, psi = likelihood.space, likelihood.space.psi_of(Hyperparameters.from_eb(two_effects))
    phi, theta = space.phi(psi), raw.theta[:, : raw.n_draws].astype(float)
    parts, total = space.parts(phi, raw.base_mean), raw.log_ratio.astype(float)
    residual = (theta[:, :, -1] - parts.log_trend[:, None]) / parts.sd
    total += (t(parts.nu) if space.student_t else norm).logpdf(residual) - math.log(parts.sd)
    for k, scale, df, pi0 in zip(space.shrunken, parts.scale, parts.df, parts.pi0, strict=True):
        with np.errstate(divide="ignore"):
            total += np.where(
                theta[:, :, k] == 0.0,
                np.log(pi0),
                np.log1p(-pi0) + t.logpdf(theta[:, :, k], df, scale=scale),
            )
    for k, law in space.mixtures:
        total += law.log_density(theta[:, :, k])
    expected = (logsumexp(total, axis=1) - math.log(raw.n_draws)).sum()
    assert log_likelihood(likelihood, psi) == pytest.approx(expected, abs=2e-3)  # single precision


@cache
def one_effect(effects, zero_share, seed, df=3.0):
    """A fit of 300 genes that say much of one effect, of scale 0.5."""
    options = bde.SimulationOptions(
        effects=effects,
        effect_scale=0.5,
        effect_df=df,
        zero_share=zero_share,
        trend=(0.01, 0.5),
        median_mean=1000.0,
    )
    simulated = bde.simulate(300, groups=(5, 5), seed=seed, options=options)
    return bde.fit_eb(simulated.counts, "~ condition")


def learnt(fit, law, n_draws=600):
    request, likelihood = drawn(fit, n_draws, (1,) if law in ("spike_t", "mixture") else ())
    laws = laws_to_learn(fit, request.coding, request.space, law)
    under, psi = learn_laws(likelihood, laws, request.hyperparameters)
    return likelihood, laws, under, psi


def test_degrees_of_freedom_are_found():
    _, _, under, psi = learnt(one_effect("student_t", 0.0, SEED), "student_t")
    sd = curvature_sd(under, psi)
    assert under.space.names[:2] == [
        "shrinkage_scale[condition[T.treated]]",
        "effect_nu[condition[T.treated]]",
    ]
    assert sd[0] < 0.2
    assert sd[1] < 0.6
    assert (np.abs(psi - np.log([0.5, 3.0, *np.exp(psi[2:])]))[:2] < 4.0 * sd[:2]).all()


def test_the_probability_of_zero_is_found():
    _, _, under, psi = learnt(one_effect("student_t", 0.8, SEED), "spike_t")
    sd, at = curvature_sd(under, psi), under.space.kinds.index("pi0")
    assert sd[at] < 0.1
    assert abs(psi[at] - (np.cbrt(0.8) - np.cbrt(0.2))) < 4.0 * sd[at]
    assert abs(psi[0] - math.log(0.5)) < 4.0 * sd[0]


def test_effects_that_are_never_zero_have_a_small_probability_of_it():
    _, _, under, psi = learnt(one_effect("student_t", 0.0, SEED), "spike_t")
    assert under.space.phi(psi)[under.space.kinds.index("pi0")] < 0.3


def test_effects_with_a_normal_law_have_many_degrees_of_freedom():
    _, _, under, psi = learnt(one_effect("normal", 0.0, SEED), "student_t")
    assert under.space.phi(psi)[1] > 5.0
    likelihood = replace(under, space=replace(under.space, families=("cauchy",)))
    cauchy = maximize(likelihood, np.delete(psi, 1))
    assert log_likelihood(under, psi) > log_likelihood(likelihood, cauchy) + TELLING


@pytest.mark.parametrize("law", ["student_t", "spike_t"])
def test_the_maximum_is_the_one_that_scipy_finds(law):
    _, _, under, psi = learnt(one_effect("student_t", 0.5, SEED), law)

    def down(at):
        value, slope, _ = under.evaluate(at)
        return -value, -slope

    found = minimize(down, psi + 0.3, jac=True, method="BFGS", options={"gtol": 1e-4})
    assert -found.fun == pytest.approx(float(under.log_posterior(psi)), abs=0.02)


def densities(likelihood, scale, psi, coefficient=1):
    """L (gene, component), by NumPy, over the largest of every gene."""
    space = replace(likelihood.space, shrunken=(), scale_of=(), families=(), mixtures=())
    point = HyperparameterPosterior(space, space.phi(psi)[None], np.ones(1))
    theta = likelihood.theta[:, : likelihood.n_draws].astype(float)
    weights = gene_weights(space, likelihood.base_mean, likelihood.theta, likelihood.log_ratio, point)
    effect = theta[:, :, coefficient]
    columns = [
        (weights * ((effect == 0.0) if s == 0.0 else (effect != 0.0) * norm.pdf(effect, scale=s or 1.0))).sum(
            axis=1
        )
        for s in scale
    ]
    found = np.stack(columns, axis=1)
    return found / found.max(axis=1, keepdims=True)


def slopes(found, weight, scale):
    """Of the penalized log likelihood by the weights."""
    gain = (found / (found @ weight)[:, None]).sum(axis=0)
    null = scale == 0.0
    with np.errstate(divide="ignore", invalid="ignore"):
        gain[null] += np.where(weight[null] > 0.0, (NULL_WEIGHT - 1.0) / weight[null], np.inf)
    return gain, len(found) + (NULL_WEIGHT - 1.0) * null.any()


@pytest.mark.parametrize("zero_share", [0.0, 0.8])
def test_weights_of_a_mixture_are_optimal(zero_share):
    """Slopes are equal where there is weight, and smaller elsewhere (Karush, Kuhn and Tucker)."""
    likelihood, laws, _, _ = learnt(one_effect("student_t", zero_share, SEED), "mixture", 300)
    free, scale = replace(likelihood, space=laws.space), laws.scales[1]
    psi = free.space.psi_of(Hyperparameters({}, 0.5, 0.01, 0.5))
    even = EffectMixture(np.full(scale.size, 1.0 / scale.size), scale)
    law = _reweighted(free, {1: even}, 1, psi)
    gain, total = slopes(densities(free, scale, psi), law.weight, scale)
    np.testing.assert_allclose(gain[law.weight > 1e-6], total, rtol=1e-6)
    assert (gain <= total * (1.0 + 1e-6)).all()


@pytest.mark.parametrize("zero_share", [0.0, 0.8])
def test_a_learnt_mixture_and_the_rest_are_at_their_maximum(zero_share):
    """To what ends the search: neither new weights nor a new maximum of the rest would gain much."""
    fit = one_effect("student_t", zero_share, SEED)
    likelihood, _, under, psi = learnt(fit, "mixture", 300)
    ((_, law),) = under.space.mixtures
    gain, total = slopes(densities(likelihood, law.scale, psi), law.weight, law.scale)
    assert (gain.max() / total - 1.0) * total < 0.5  # bounds the gain in log likelihood: f is concave
    again = maximize(under, psi + 0.2)
    assert float(under.log_posterior(again)) == pytest.approx(float(under.log_posterior(psi)), abs=0.02)
    assert abs(law.null - zero_share) < (0.15 if zero_share else 0.6)
    if zero_share:  # otherwise the penalty keeps weight on zero, at the cost of some log units
        spike = learnt(fit, "spike_t", 300)
        assert log_likelihood(under, psi) > log_likelihood(spike[2], spike[3]) - 3.0


def test_where_no_effect_is_seen_a_mixture_has_nearly_all_its_weight_on_zero(monkeypatch):
    """The little that is left is on the smallest scale."""
    likelihood, laws, under, psi = learnt(one_effect("student_t", 1.0, SEED), "mixture", 200)
    ((_, law),) = under.space.mixtures
    assert law.weight.sum() == pytest.approx(1.0, rel=1e-9)
    assert 0.9 < law.null < 1.0
    all_on_zero = np.eye(law.scale.size)[0]
    monkeypatch.setattr("bayesde.posterior.hyper.laws.maximum_likelihood_weights", lambda _: all_on_zero)
    nothing = _reweighted(replace(likelihood, space=laws.space), {1: law}, 1, psi)
    assert nothing.weight[:2].tolist() == [1.0 - 0.1 / 300, 0.1 / 300]
    assert not nothing.weight[2:].any()


def test_weights_are_integrated_over():
    """Scales that the counts cannot tell from zero keep weight, and the rest of the law is at its maximum."""
    likelihood, laws, under, psi = learnt(one_effect("student_t", 0.8, SEED), "mixture", 300)
    mean, at = with_mean_weights(likelihood, laws, under, psi)
    ((_, best),), ((_, law),) = under.space.mixtures, mean.space.mixtures
    assert (best.weight < 1e-6).any()
    assert (law.weight > 0.0).all()
    assert law.null == pytest.approx(best.null, abs=0.1)
    again = maximize(mean, at + 0.2)
    assert float(mean.log_posterior(again)) == pytest.approx(float(mean.log_posterior(at)), abs=0.02)
    assert with_mean_weights(likelihood, replace(laws, scales={}), under, psi) == (under, psi)


def test_a_mixture_that_is_known_takes_part(two_effects):
    """By the densities under it, which are in the log ratios."""
    request, likelihood = drawn(two_effects, 200, (1, 2))
    laws = laws_to_learn(two_effects, request.coding, request.space, {"batch": KNOWN, "group": "spike_t"})
    under, psi = learn_laws(likelihood, laws, request.hyperparameters)
    assert under.space.mixtures == ((1, KNOWN),)
    expected = likelihood.log_ratio + KNOWN.log_density(likelihood.theta[:, : likelihood.n_draws, 1])
    np.testing.assert_allclose(under.log_ratio, expected, rtol=1e-6)
    assert np.abs(under.evaluate(psi)[1]).max() < 1.0


def test_many_genes_are_learnt_from_in_two_steps(two_effects, monkeypatch):
    """First of some; the maximum is that of all."""
    request, likelihood = drawn(two_effects, 200, (2,))
    laws = laws_to_learn(
        two_effects, request.coding, request.space, {"batch": "student_t", "group": "mixture"}
    )
    monkeypatch.setattr("bayesde.posterior.hyper.laws.ENOUGH_GENES", 60)
    under, psi = learn_laws(likelihood, laws, request.hyperparameters)
    assert under.base_mean.size == 80
    ((k, law),) = under.space.mixtures
    assert k == 2
    again = maximize(under, psi - 0.3)
    assert float(under.log_posterior(again)) == pytest.approx(float(under.log_posterior(psi)), abs=0.02)
    weighed = _under(replace(likelihood, space=laws.space), {2: law})
    np.testing.assert_array_equal(weighed.log_ratio, under.log_ratio)


def test_sums_of_normal_densities():
    rng = np.random.default_rng(8)
    theta = rng.normal(size=(7, 40, 3)).astype(np.float32)
    theta[:, ::3, 1] = 0.0
    weights, scale, found = rng.dirichlet(np.ones(30), 7), np.array([0.0, 0.05, 0.4, 3.0]), np.empty((7, 4))
    _fill_components(0, 7, theta, weights, 1, scale, found)
    effect = theta[:, :30, 1].astype(float)
    np.testing.assert_allclose(found[:, 0], (weights * (effect == 0.0)).sum(axis=1), rtol=1e-12)
    for j in (1, 2, 3):
        density = (weights * (effect != 0.0) * norm.pdf(effect, scale=scale[j])).sum(axis=1)
        np.testing.assert_allclose(found[:, j], density, rtol=1e-12)


@pytest.mark.parametrize("effects", ["normal", "cauchy"])
def test_the_gain_of_student_t(effects):
    """The difference of two maxima, which SciPy finds here; the ends of the interval by the curvature."""
    fit = one_effect(effects, 0.0, SEED)
    _, likelihood = drawn(fit, 400)
    psi = maximize(likelihood, likelihood.space.psi_of(Hyperparameters.from_eb(fit)))
    gain = gain_of_student_t(likelihood, psi)
    under = replace(likelihood, space=replace(likelihood.space, families=("student_t",)))

    def maximum(of, start):
        def down(at):
            value, slope, _ = of.evaluate(at)
            return -value, -slope

        return minimize(down, start, jac=True, method="BFGS", options={"gtol": 1e-4}).x

    top, other = maximum(likelihood, psi), maximum(under, np.insert(psi, 1, math.log(4.0)))
    expected = log_likelihood(under, other) - log_likelihood(likelihood, top)
    assert gain["student_t_gain"] == pytest.approx(expected, abs=0.1)
    name = "condition[T.treated]"
    if effects == "cauchy":
        assert gain["student_t_gain"] < TELLING
        assert list(gain) == ["student_t_gain"]
        return
    assert gain["student_t_gain"] > TELLING
    nu, sd = math.exp(other[1]), curvature_sd(under, other)[1]
    assert gain[f"student_t[{name}]"] == pytest.approx(nu, rel=0.1)
    for end, times in (("lower", -1.96), ("upper", 1.96)):
        expected = nu * math.exp(times * sd)
        assert gain[f"student_t_{end}[{name}]"] == pytest.approx(expected, rel=0.2)


def test_nothing_is_gained_where_nothing_is_shrunken(two_effects):
    _, likelihood = drawn(two_effects, 100)
    space = HyperparameterSpace(two_effects.design.coefficients, (), True, False)
    assert gain_of_student_t(replace(likelihood, space=space), np.log([0.5, 0.05, 2.0])) == {}


def test_coefficients_with_an_atom():
    space = HyperparameterSpace(
        ("Intercept", "a", "b", "c", "d"), (1, 2), True, False, families=("spike_t", "cauchy")
    )
    laws = LawsToLearn(space, {4: np.array([0.0, 1.0]), 3: np.array([0.5, 1.0])})
    assert laws.atoms == (1, 4)
