"""Engines calibrated by simulation, on fewer and smaller data sets than `make calibrate` takes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from bayesde.model.effect_laws import EffectMixture
from bayesde.posterior import LogNormal
from benchmarks.calibration import engines
from benchmarks.calibration.designs import COEFFICIENTS, DESIGNS, quantity_names
from benchmarks.calibration.experiments import PRIORS, VARIANTS, draw_experiment
from benchmarks.calibration.laws import GRID, LAWS
from benchmarks.calibration.pictures import columns_of, draw_picture, summary
from benchmarks.calibration.tables import Tables, shared_names
from benchmarks.calibration.uniformity import clustered, clustered_p_values, independent, p_values

SMALLEST_P = 1e-4
"""Of a right engine one test in ten thousand would find less; engine psis draws the same everywhere."""
SMALLEST_P_OF_STAN = 1e-6
"""Its draws differ between machines, of which one in 70,000 would find less in one of 14 tests."""


FALSE_ALARM = 1e-3
"""Of a right engine, the probability that one of all tests of a law of effects fails."""


def shared_by_name(answers, law="cauchy", design="fixed"):
    names = [name for name in shared_names(law, design) if any(name in answer.shared for answer in answers)]
    return {name: np.array([a.shared[name] for a in answers if name in a.shared]) for name in names}


@pytest.fixture(scope="module")
def by_importance():
    """48 data sets of 20 genes with 1,000 draws each; with 300 the tails are a little short."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engines, "PSIS_DRAWS", 1000)
        return [engines.by_importance(draw_experiment(i, 20, 3), 3 + i) for i in range(48)]


def test_psis_hyperparameters(by_importance):
    found = shared_by_name(by_importance)
    assert tuple(found) == shared_names()
    for name, u in found.items():
        assert min(p_values(u)) > SMALLEST_P, name


@pytest.mark.parametrize("quantity", range(len(engines.QUANTITIES)), ids=engines.QUANTITIES)
def test_psis_genes(by_importance, quantity):
    u = np.stack([answer.genes[:, quantity] for answer in by_importance])
    assert clustered(u).p_value > 1e-3


def test_another_prior_is_noticed(monkeypatch):
    """Scales of the dispersions that the analysis holds for three times what they are."""
    monkeypatch.setattr(engines, "PSIS_DRAWS", 200)
    wrong = replace(PRIORS, dispersion_sd=LogNormal(1.5, 0.1))
    monkeypatch.setattr("benchmarks.calibration.experiments.ANALYSIS_PRIORS", wrong)
    answers = [engines.by_importance(draw_experiment(i, 10, 4), i) for i in range(8)]
    assert min(p_values(shared_by_name(answers)["dispersion_sd"])) < SMALLEST_P


def under_law(law, monkeypatch, sets=16, genes=20, seed=12, told=None):
    """Answers to data sets of a law; engines may be told another one."""
    monkeypatch.setattr("bayesde.posterior.hyper.learning.DRAWS_TIMES_GENES", 60_000)
    answers = []
    for number in range(sets):
        experiment = draw_experiment(number, genes, seed, law)
        if told is not None:
            experiment = replace(experiment, variant=replace(experiment.variant, law=told))
        answers.append(engines.by_importance(experiment, seed + number))
    return answers


def smallest_p(answers, law, design="fixed"):
    """The smallest p-value of all hyperparameters and of the genes' quantities, times their number."""
    found = [p for u in shared_by_name(answers, law, design).values() for p in p_values(u)]
    genes = np.stack([answer.genes for answer in answers])
    found += [p for quantity in range(genes.shape[2]) for p in clustered_p_values(genes[:, :, quantity])]
    return len(found) * min(found)


@pytest.mark.parametrize("law", ["student_t", "spike_t", "known"])
def test_laws_of_effects(law, monkeypatch):
    """Ranks of effects and draws that are both 0 are random."""
    answers = under_law(law, monkeypatch)
    assert tuple(shared_by_name(answers, law)) == shared_names(law)
    assert smallest_p(answers, law) > FALSE_ALARM


def test_random_effects(monkeypatch):
    """Of donors, their law and every gene's standard deviation included."""
    monkeypatch.setattr("bayesde.posterior.hyper.learning.DRAWS_TIMES_GENES", 60_000)
    answers = [engines.by_importance(draw_experiment(i, 12, 14, design="donors"), i) for i in range(10)]
    assert tuple(shared_by_name(answers, design="donors")) == shared_names(design="donors")
    assert answers[0].genes.shape == (12, len(quantity_names(("donor",))))
    assert smallest_p(answers, "cauchy", "donors") > FALSE_ALARM


def test_data_sets_with_random_effects():
    """Means of the effects of levels and standard deviations are those of the law."""
    for design, names in (("donors", ["donor"]), ("nested", ["clinic", "clinic:patient"])):
        experiment = draw_experiment(2, 400, 15, design=design)
        model, theta, phi = experiment.model, experiment.theta, experiment.phi
        assert list(DESIGNS[design].random_effects) == names
        assert theta.shape == (400, len(quantity_names(tuple(names))) - 1)
        for i, name in enumerate(names):
            median, spread = phi[f"random_effect_sd[{name}]"], phi[f"random_effect_sd_spread[{name}]"]
            z = (theta[:, 3 + i] - np.log(median)) / spread
            assert abs(z.mean()) < 4.0 / 20.0
            assert abs(z.std() - 1.0) < 0.15
            assert model.random.center[i] == pytest.approx(np.log(median))
            assert model.random.spread[i] == spread
        fixed = DESIGNS[design].x
        np.testing.assert_array_equal(model.x[:, :3], fixed)
        assert not model.x[:, 3:].any()
        guessed = experiment.model_at_guess.random
        assert len(set(guessed.center)) == len(set(guessed.spread)) == 1


def test_another_law_is_noticed(monkeypatch):
    """Effects up to 3 and more, analyzed with a law that holds all of them for small."""
    wrong = EffectMixture(np.array([0.9, 0.1, 0.0, 0.0, 0.0, 0.0]), GRID)
    monkeypatch.setitem(LAWS, "wrong", replace(LAWS["known"], known=wrong))
    answers = under_law("known", monkeypatch, sets=12, told="wrong")
    assert smallest_p(answers, "known") < FALSE_ALARM


@pytest.mark.parametrize("law", LAWS)
def test_effects_are_of_their_law(law):
    """Shares of zeros, and quartiles of the others."""
    rng, names, n = np.random.default_rng(13), COEFFICIENTS[1:], 40_000
    values = {"shrinkage_scale": 0.5, "effect_nu": 3.0, "pi0": 0.7}
    phi = {f"{part}[{name}]": values[part] for part in LAWS[law].parts for name in names}
    effects = LAWS[law].effects(rng, n, names, phi)
    assert effects.shape == (n, len(names))
    expected = {"spike_t": 0.7, "known": 0.6}
    if law != "mixture":  # whose weights are random
        assert abs((effects == 0.0).mean() - expected.get(law, 0.0)) < 0.01
    inside = {"cauchy": 0.5, "student_t": 0.6090, "spike_t": 0.6090}  # of t_3 within its scale
    if law in inside:
        own = np.abs(effects[effects != 0.0]) < 0.5
        assert abs(own.mean() - inside[law]) < 0.02


@pytest.mark.usefixtures("cmdstan")
def test_nuts_genes():
    """Given the hyperparameters the genes of a data set are independent."""
    genes = np.vstack([engines.by_blocks(draw_experiment(number, 40, 5), number).genes for number in (0, 2)])
    for quantity, name in enumerate(engines.QUANTITIES):
        assert min(p_values(genes[:, quantity])) > SMALLEST_P_OF_STAN, name


@pytest.mark.usefixtures("cmdstan")
def test_joint_hyperparameters(monkeypatch):
    monkeypatch.setattr(engines, "CHAINS", replace(engines.CHAINS, warmup=200, draws=100))
    answers = [engines.jointly(draw_experiment(i, 5, 6), i) for i in range(12)]
    for name, u in shared_by_name(answers).items():
        assert min(p_values(u)) > SMALLEST_P_OF_STAN, name


def test_data_sets_are_of_their_variant():
    for number, variant in enumerate(VARIANTS):
        experiment = draw_experiment(number, 30, 7)
        assert experiment.variant == variant
        assert ("nu" in experiment.phi) == variant.student_t
        assert ("extra_poisson" in experiment.phi) == variant.trend
        assert np.isfinite(experiment.model.nu) == variant.student_t
        again = draw_experiment(number, 30, 7)
        np.testing.assert_array_equal(experiment.model.y, again.model.y)
        assert experiment.phi == again.phi


def test_counts_have_the_mean_and_variance_of_the_model():
    """Standardized by the truth, over genes of moderate dispersion: mean 0 and variance 1."""
    z = []
    for number in range(60):
        experiment = draw_experiment(number, 50, 8)
        model, theta = experiment.model, experiment.theta
        log_mean = theta[:, :-1] @ model.x.T + model.log_nf
        alpha = np.exp(theta[:, -1:])
        usual = (np.abs(log_mean - 4.0) < 3.0) & (alpha < 0.5)
        mean = np.exp(np.where(usual, log_mean, 0.0))
        z.append(((model.y - mean) / np.sqrt(mean + alpha * mean**2))[usual])
    z = np.concatenate(z)
    assert abs(z.mean()) < 4.0 / np.sqrt(z.size)
    assert abs(np.mean(z**2) - 1.0) < 0.1


def test_p_values_of_uniform_numbers_are_uniform():
    rng = np.random.default_rng(9)
    alone = [independent(rng.random(60)).p_value for _ in range(60)]
    effects = rng.normal(size=(60, 30, 1))
    from scipy.stats import norm

    together = [clustered(norm.cdf((e + rng.normal(size=(30, 20))) / np.sqrt(2.0))).p_value for e in effects]
    for found in (alone, together):
        assert min(p_values(np.array(found))) > 1e-3


@pytest.mark.parametrize("power", [0.6, 1.6])
def test_numbers_that_are_not_uniform_are_noticed(power):
    u = np.random.default_rng(10).random(400)
    wrong = np.where(u < 0.5, 0.5 * (2 * u) ** power, 1 - 0.5 * (2 - 2 * u) ** power)
    assert independent(u).p_value > 0.01
    assert independent(wrong).p_value < 0.01
    assert p_values(wrong)[1] < 1e-3
    assert clustered(wrong.reshape(40, 10)).p_value < 0.01


def test_tables_pictures_and_going_on(tmp_path, monkeypatch):
    monkeypatch.setattr(engines, "PSIS_DRAWS", 100)
    tables = Tables(tmp_path, "psis")
    for number in (1, 0, 2, 3):
        experiment = draw_experiment(number, 5, 11)
        tables.append(number, experiment, engines.by_importance(experiment, number))
    assert tables.sets()["set"].tolist() == [0, 1, 2, 3]
    assert len(tables.genes()) == 20
    found = columns_of(tables)
    assert {"S[batch]", "sigma", "nu", "contrast"} <= set(found)
    assert summary(found)["ranks"].tolist()[-1] == 20
    draw_picture(found, "four data sets", tmp_path / "psis.png")
    assert (tmp_path / "psis.png").stat().st_size > 10_000
