"""Effects that may be exactly zero: engine psis against quadrature, and where its draws have zeros."""

from __future__ import annotations

import math
from functools import cache

import numpy as np
import pytest
from numba.core import config
from scipy.special import gammaln, logsumexp
from scipy.stats import norm, t

from bayesde.model.density import ConditionalModel
from bayesde.model.effect_laws import EffectMixture
from bayesde.model.hyperparameter_space import HyperparameterSpace
from bayesde.model.hyperparameters import Hyperparameters
from bayesde.model.modes import Starts
from bayesde.posterior.draws.streams import Stream
from bayesde.posterior.hyper.hyperparameter_posterior import HyperparameterPosterior
from bayesde.posterior.importance import sampler
from bayesde.posterior.importance.engine import sample_given
from bayesde.posterior.proposal import genes as proposed
from bayesde.posterior.proposal.genes import propose
from bayesde.posterior.proposal.patterns import Patterns, slices

SEED, N_DRAWS, MOST = 1, 20_000, 5.0
"""The last: in Monte-Carlo standard errors, of a few hundred comparisons."""
SD, TREND = 0.5, 0.06
GENES = {
    "some effect": [30, 42, 35, 75, 61, 55],
    "no effect": [20, 22, 19, 21, 20, 18],
    "a group without counts": [12, 7, 15, 0, 0, 0],
    "a strong effect": [100, 120, 90, 2300, 2500, 2900],
    "few counts": [0, 1, 0, 2, 0, 1],
}
COUNTS = np.array(list(GENES.values()))
GROUP = np.array([0.0, 0.0, 0.0, 1.0, 1.0, 1.0])
SPIKE = Hyperparameters({"b": 0.4}, SD, TREND, 0.0, effect_nu={"b": 3.0}, pi0={"b": 0.7})
MIXTURE = EffectMixture([0.6, 0.1, 0.2, 0.1], [0.0, 0.1, 0.5, 2.0])
KNOWN = Hyperparameters({"b": 0.4}, SD, TREND, 0.0, mixtures={"b": MIXTURE})
LAWS = {"spike_t": SPIKE, "mixture": KNOWN}
BOTH = Hyperparameters(
    {"a": 0.4, "b": 0.3},
    SD,
    TREND,
    0.0,
    effect_nu={"a": 4.0},
    pi0={"a": 0.6},
    mixtures={"b": EffectMixture([0.5, 0.3, 0.2], [0.0, 0.2, 0.7])},
)
FACTORIAL = np.array([[1.0, 0.0, 0.0], [1.0, 1.0, 0.0], [1.0, 0.0, 1.0], [1.0, 1.0, 1.0]]).repeat(2, axis=0)
TWO_EFFECTS = np.array(
    [
        [25, 31, 28, 22, 27, 35, 24, 29],
        [20, 26, 45, 38, 22, 25, 52, 49],
        [33, 27, 30, 41, 70, 58, 52, 77],
        [15, 12, 29, 30, 28, 33, 61, 60],
        [3, 0, 1, 6, 2, 1, 3, 2],
    ]
)


def parts_of(law, name):
    """Probability of zero, and the rest as a density."""
    if name in law.mixtures:
        mixture = law.mixtures[name]
        pairs = [(w, norm(scale=s)) for w, s in zip(mixture.weight, mixture.scale, strict=True) if s > 0.0]
        return mixture.null, lambda b: sum(w * one.pdf(b) for w, one in pairs)
    pi0, density = law.pi0[name], t(law.effect_nu[name], scale=law.shrinkage_scale[name])
    return pi0, lambda b: (1.0 - pi0) * density.pdf(b)


def model_and_starts(counts, x, law, seed=None):
    """Genes with one trend, and rough estimates to start from."""
    names = ("Intercept", "a", "b") if x.shape[1] == 3 else ("Intercept", "b")
    shrunken = np.array([name in law.shrinkage_scale for name in names])
    df = np.array([law.effect_nu.get(name, 1.0) for name in names])
    model = ConditionalModel(
        y=counts,
        log_nf=np.zeros(counts.shape),
        x=x,
        base_mean=counts.mean(axis=1),
        log_trend=np.full(len(counts), math.log(TREND)),
        shrunken=shrunken,
        shrinkage_scale=np.array([law.shrinkage_scale.get(name, 1.0) for name in names]),
        dispersion_sd=SD,
        nu=np.inf,
        effect_df=None if (df == 1.0).all() else df,
    )
    beta = np.linalg.lstsq(x, np.log(counts + 0.5).T, rcond=None)[0].T
    seeds = np.arange(len(counts), dtype=np.uint32) + np.uint32(1000 * (SEED if seed is None else seed))
    start = Starts(np.ascontiguousarray(beta), np.full(len(counts), math.log(TREND)), seeds)
    return names, model, start


def sampled(counts, x, law, n_draws=N_DRAWS):
    names, model, start = model_and_starts(counts, x, law)
    points = HyperparameterPosterior.fixed(HyperparameterSpace.of(names, law), law, 200)
    return sample_given(model, start, points, np.arange(len(counts)), draws=n_draws)


def log_likelihoods(y, eta, a):
    """ln p(y | eta, ln alpha = a) of replicates with one mean, at all pairs (eta, a)."""
    r = np.exp(-a)
    constant = (gammaln(np.array(y)[:, None] + r) - gammaln(r) - gammaln(np.array(y) + 1.0)[:, None]).sum(
        axis=0
    )
    eta = np.asarray(eta)[..., None]
    return constant + sum(y) * (eta + a) - (sum(y) + len(y) * r) * np.logaddexp(0.0, eta + a)


@cache
def exact_one(gene, name):
    """Evidence and posterior of one effect, by the trapezoidal rule over (beta0, beta1, ln alpha)."""
    y, (null, density) = GENES[gene], parts_of(LAWS[name], "b")
    level = np.log(np.add.reduceat(y, [0, 3]) / 3.0 + 0.3)
    low = level.min() - (3.0 if level.min() > 1.0 else 10.0)  # far down where counts hardly bound it
    b0, h0 = np.linspace(low, level.max() + 3.0, 240, retstep=True)
    if "without" in gene:
        b0, h0 = np.linspace(level[0] - 3.0, level[0] + 3.0, 200, retstep=True)
    a, ha = np.linspace(math.log(TREND) - 8.0 * SD, math.log(TREND) + 10.0 * SD, 70, retstep=True)
    s, hs = np.linspace(-13.0, 7.0, 601, retstep=True)
    b1, jacobian = 0.1 * np.sinh(s), 0.1 * np.cosh(s)
    first = log_likelihoods(y[:3], b0, a) + norm.logpdf(b0, 0.0, 15.0)[:, None]
    first += norm.logpdf(a, math.log(TREND), SD)
    at_zero = math.exp(logsumexp(first + log_likelihoods(y[3:], b0, a))) * null * h0 * ha
    mass = np.empty(b1.size)
    for j, value in enumerate(b1):
        mass[j] = math.exp(logsumexp(first + log_likelihoods(y[3:], b0 + value, a)))
    mass *= density(b1) * jacobian * hs * h0 * ha
    evidence = at_zero + mass.sum()
    mass /= evidence
    mean = (mass * b1).sum()
    return {
        "p_zero": at_zero / evidence,
        "mean": mean,
        "sd": math.sqrt((mass * b1**2).sum() - mean**2),
        "negative": mass[b1 < 0.0].sum() + 0.5 * mass[b1 == 0.0].sum(),
        "log_evidence": math.log(evidence),
    }


def log_priors(theta, law, names):
    """ln p(theta) of the shrunken coefficients and the log dispersion, by SciPy."""
    theta = theta.astype(float)
    total = norm.logpdf(theta[..., -1], math.log(TREND), SD)
    for k, name in enumerate(names):
        if name in law.shrinkage_scale:
            null, density = parts_of(law, name)
            zero = theta[..., k] == 0.0
            with np.errstate(divide="ignore"):  # far out, normal densities underflow
                total += np.where(zero, math.log(null), np.log(density(theta[..., k])))
    return total


def log_evidence(made, law, names):
    """ln of the mean weight of every gene, and its standard error, pattern by pattern."""
    draws, space = made.draws, HyperparameterSpace.of(names, law)
    logs = draws.log_ratio + draws.log_level[:, None] + log_priors(draws.theta, law, names)
    top = logs.max(axis=1, keepdims=True)
    weights = np.exp(logs - top)
    variance = np.zeros(len(weights))
    null = HyperparameterPosterior.fixed(space, law, 200).null
    for part in slices(Patterns.of(space.atoms, null).sizes(draws.n_draws)):
        variance += weights[:, part].var(axis=1) * (part.stop - part.start) / draws.n_draws**2
    mean = weights.mean(axis=1)
    return np.log(mean) + top[:, 0], np.sqrt(variance) / mean


def weighted(made, values):
    """Weighted means of a function of the draws (gene, draw), with standard errors."""
    weights = made.draws.weights()
    mean = (weights * values).sum(axis=1)
    return mean, np.sqrt((weights**2 * (values - mean[:, None]) ** 2).sum(axis=1))


def check_one(made, name):
    effect = made.draws.theta[:, :, 1].astype(float)
    expected = {
        key: np.array([exact_one(gene, name)[key] for gene in GENES]) for key in exact_one("no effect", name)
    }
    found = {
        "p_zero": weighted(made, effect == 0.0),
        "mean": weighted(made, effect),
        "negative": weighted(made, effect < 0.0),
        "log_evidence": log_evidence(made, LAWS[name], ("Intercept", "b")),
    }
    square = weighted(made, (effect - expected["mean"][:, None]) ** 2)
    found["sd"] = np.sqrt(square[0]), 0.5 * square[1] / np.sqrt(square[0])
    for key, (value, error) in found.items():
        gap, p = np.abs(value - expected[key]), expected[key]
        if key == "negative":  # which may have happened in no draw
            error = np.hypot(error, np.sqrt(p * (1.0 - p) / made.draws.n_draws))
        if key == "sd" and name == "spike_t":  # whose fourth moment does not exist without counts
            gap = np.delete(gap, 2)
            error, p = np.delete(error, 2), np.delete(p, 2)
        least = 1e-3 * np.abs(expected["sd"] if key == "mean" else p)
        assert (gap < MOST * error + least).all(), (key, value, expected[key], error)
    assert (found["log_evidence"][1] < 0.05).all()


@pytest.mark.parametrize("name", LAWS)
def test_one_effect_against_quadrature(name):
    made = sampled(COUNTS, np.column_stack([np.ones(6), GROUP]), LAWS[name])
    assert (made.report["pareto_k"] <= 0.7).all()
    assert made.draws.has_atoms
    check_one(made, name)


def test_quadrature_tells_the_genes_apart():
    """So that agreement with it means something."""
    p_zero = {gene: exact_one(gene, "spike_t")["p_zero"] for gene in GENES}
    assert p_zero["a strong effect"] < 1e-4
    assert p_zero["a group without counts"] < 0.05
    assert 0.1 < p_zero["some effect"] < 0.6
    assert p_zero["no effect"] > 0.75


@pytest.mark.parametrize("name", LAWS)
def test_adapted_genes_agree_too(name, monkeypatch):
    """Every gene is adapted as often as possible: whatever its draws are worth, they are not enough."""
    monkeypatch.setattr(sampler, "SMALLEST_SIZE", 2.0)
    made = sampled(COUNTS, np.column_stack([np.ones(6), GROUP]), LAWS[name])
    np.testing.assert_array_equal(made.report["attempts"], 1.0 + sampler.ADAPTATIONS)
    check_one(made, name)
    zero = made.draws.theta[:, :, 1] == 0.0
    law = LAWS[name]
    null = law.mixtures["b"].null if law.mixtures else law.pi0["b"]
    n, zeros = Patterns.of((1,), {1: null}).sizes(N_DRAWS)
    assert not zero[:, :n].any()
    assert zero[:, n:].all()
    assert zeros == N_DRAWS // 8 + int(N_DRAWS / 2 * null)


def test_draws_of_the_hyperparameters_are_averaged_over():
    """Under half of the points an effect is rarely zero, under the others mostly."""
    shares = np.array([0.2, 0.95])
    law = Hyperparameters(
        {"b": 0.4}, SD, TREND, 0.0, effect_nu={"b": 3.0}, pi0={"b": 0.5}, draws={"pi0[b]": shares}
    )
    made = sampled(COUNTS, np.column_stack([np.ones(6), GROUP]), law)
    found, error = weighted(made, made.draws.theta[:, :, 1] == 0.0)
    for g, gene in enumerate(GENES):
        p, pi0 = exact_one(gene, "spike_t")["p_zero"], SPIKE.pi0["b"]
        odds = p / (1.0 - p) * (1.0 - pi0) / pi0 * shares / (1.0 - shares)
        assert abs(found[g] - (odds / (1.0 + odds)).mean()) < MOST * error[g] + 1e-4, gene


@cache
def exact_two(g):
    """Probabilities of the four patterns, means of the effects and evidence, on one lattice of all four."""
    y, h, half = TWO_EFFECTS[g], 0.05, 90
    center = math.log(y.mean() + 0.3)
    b0 = center + h * np.arange(-70, 71)
    effect = h * np.arange(-half, half + 1)
    table = center + h * np.arange(-70 - 2 * half, 71 + 2 * half)
    a, ha = np.linspace(math.log(TREND) - 7.0 * SD, math.log(TREND) + 8.0 * SD, 45, retstep=True)
    groups = [np.exp(log_likelihoods(y[2 * i : 2 * i + 2], table, a)) for i in range(4)]
    groups[0] *= norm.pdf(table, 0.0, 15.0)[:, None] * norm.pdf(a, math.log(TREND), SD) * h * ha
    joint = np.zeros((2 * half + 1, 2 * half + 1))
    both = np.arange(2 * half + 1)[:, None] + np.arange(2 * half + 1)
    for i in range(b0.size):
        middle = i + 2 * half
        near = slice(middle - half, middle + half + 1)
        for m in range(a.size):
            outer = groups[1][near, m][:, None] * groups[2][near, m]
            joint += groups[0][middle, m] * outer * groups[3][i : i + 4 * half + 1, m][both]
    priors = []
    for name in ("a", "b"):
        null, density = parts_of(BOTH, name)
        priors.append((null, density(effect) * h))
    (null_a, rest_a), (null_b, rest_b) = priors
    mass = {
        (): joint * rest_a[:, None] * rest_b,
        (1,): null_a * joint[half] * rest_b,
        (2,): null_b * joint[:, half] * rest_a,
        (1, 2): null_a * null_b * joint[half, half],
    }
    total = sum(float(np.sum(part)) for part in mass.values())
    mean_a = (mass[()] * effect[:, None]).sum() + (mass[2,] * effect).sum()
    mean_b = (mass[()] * effect).sum() + (mass[1,] * effect).sum()
    probability = {zero: float(np.sum(part)) / total for zero, part in mass.items()}
    return probability, np.array([mean_a, mean_b]) / total, math.log(total)


@pytest.fixture(scope="module")
def two():
    return sampled(TWO_EFFECTS, FACTORIAL, BOTH, 10_000)


def test_two_effects_against_quadrature(two):
    exact = [exact_two(g) for g in range(len(TWO_EFFECTS))]
    zero = two.draws.theta[:, :, 1:3] == 0.0
    for pattern in [(), (1,), (2,), (1, 2)]:
        value, error = weighted(two, (zero == [1 in pattern, 2 in pattern]).all(axis=2))
        expected = np.array([probability[pattern] for probability, _, _ in exact])
        assert (np.abs(value - expected) < MOST * error + 1e-3 * expected).all(), pattern
        assert 0.01 < expected.max()
    for k in (0, 1):
        value, error = weighted(two, two.draws.theta[:, :, k + 1].astype(float))
        assert (np.abs(value - [mean[k] for _, mean, _ in exact]) < MOST * error + 1e-4).all()
    value, error = log_evidence(two, BOTH, ("Intercept", "a", "b"))
    assert (np.abs(value - [evidence for _, _, evidence in exact]) < MOST * error + 1e-3).all()
    assert (error < 0.05).all()


def test_draws_are_zero_where_their_pattern_is(two):
    theta, space = two.draws.theta, HyperparameterSpace.of(("Intercept", "a", "b"), BOTH)
    patterns = Patterns.of((1, 2), HyperparameterPosterior.fixed(space, BOTH, 200).null)
    sizes = patterns.sizes(theta.shape[1])
    assert patterns.zeros == ((), (1,), (2,), (1, 2))
    for zero, part in zip(patterns.zeros, slices(sizes), strict=True):
        for k in range(4):
            assert (theta[:, part, k] == 0.0).all() == (k in zero)
            assert (theta[:, part, k] == 0.0).any() == (k in zero)


@pytest.mark.parametrize(
    ("atoms", "n_draws", "sizes", "beside"),
    [
        ((), 1000, [1000], [1000]),
        ((3,), 1000, [750, 250], [1000, 333]),
        ((0, 3), 1000, [601, 133, 133, 133], [1000, 222, 222, 222]),
        ((1, 2, 3), 1000, [503, *[71] * 7], [1000, *[142] * 7]),
        ((1, 2, 3, 4), 1000, [505, *[33] * 15], [1000, *[66] * 15]),
        ((1, 2, 3, 4), 100, [55, *[3] * 15], [100, *[6] * 15]),
    ],
)
def test_numbers_of_draws_of_the_patterns(atoms, n_draws, sizes, beside):
    patterns = Patterns.of(atoms)
    assert len(patterns.zeros) == 2 ** len(atoms)
    assert patterns.sizes(n_draws) == sizes
    assert patterns.sizes_beside(n_draws) == beside
    assert [part.stop - part.start for part in slices(sizes)] == sizes
    assert slices(sizes)[-1].stop == n_draws


def test_patterns_have_random_numbers_of_their_own():
    """Of the same gene: neither those of the draws without zeros, nor those of another pattern."""
    _, model, start = model_and_starts(TWO_EFFECTS, FACTORIAL, BOTH)
    (piece,) = propose(start, model)
    family = [piece, *Patterns.of((1, 2)).pieces_of(piece)]
    assert [own.zero for own in family] == [(), (1,), (2,), (1, 2)]
    for of_gene in np.stack([own.start.seeds for own in family], axis=1):
        assert np.unique(of_gene).size == 4
    for own in family[1:]:
        drawn = own.draws(50, Stream.KEPT)
        assert drawn.theta.shape == (len(TWO_EFFECTS), 50, 4)
        assert not drawn.theta[:, :, list(own.zero)].any()
        assert own.model.n_coefficients == 3 - len(own.zero)


def test_zeros_do_not_depend_on_threads_or_pieces(two, monkeypatch):
    monkeypatch.setattr(config, "NUMBA_NUM_THREADS", 1)
    monkeypatch.setattr(proposed, "GENES_AT_A_TIME", 2)
    alone = sampled(TWO_EFFECTS, FACTORIAL, BOTH, 10_000)
    for name in ("theta", "log_weights", "log_ratio", "log_level"):
        np.testing.assert_array_equal(getattr(alone.draws, name), getattr(two.draws, name))
    for name, values in two.report.items():
        np.testing.assert_array_equal(alone.report[name], values)
