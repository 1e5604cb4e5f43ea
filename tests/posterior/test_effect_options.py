"""The option ``effects``: what it may be, to which coefficients it speaks, and what does not go with it."""

from __future__ import annotations

import logging
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import bayesde as bde
from bayesde.design import Coding
from bayesde.errors import InputError, OptionError
from bayesde.model.effect_laws import EffectMixture
from bayesde.model.hyperparameters import Hyperparameters
from bayesde.model.priors import Priors
from bayesde.posterior.effect_choice import atoms_left_out, chosen_laws, laws_to_learn
from bayesde.posterior.hyper.laws import TELLING
from bayesde.posterior.options import SamplingOptions
from bayesde.posterior.proposal.patterns import MOST_ATOMS
from bayesde.posterior.request import Request
from bayesde.posterior.summaries.checks import better_law

LAW = EffectMixture([0.8, 0.2], [0.0, 1.0])
CONTINUOUS = EffectMixture([0.8, 0.2], [0.1, 1.0])
REST = {"dispersion_sd": 0.7, "asymptotic_dispersion": 0.05, "extra_poisson": 2.0}


@pytest.mark.parametrize("word", ["cauchy", "student_t", "spike_t", "mixture"])
def test_a_word_is_the_law_of_all(word):
    assert SamplingOptions(effects=word).effects == word
    assert SamplingOptions(effects={"group": word}).effects == {"group": word}


def test_a_known_mixture_is_the_law_of_all():
    assert SamplingOptions(effects=LAW).effects == {"": LAW}
    plain = SamplingOptions(effects={"group": LAW.to_dict(), "": "student_t"}).effects
    assert plain[""] == "student_t"
    np.testing.assert_array_equal(plain["group"].weight, LAW.weight)
    np.testing.assert_array_equal(plain["group"].df, LAW.df)


def test_the_mapping_that_was_given_stays_as_it_was():
    given = {"group": LAW.to_dict()}
    SamplingOptions(effects=given)
    assert given == {"group": LAW.to_dict()}


@pytest.mark.parametrize(
    ("effects", "message"),
    [
        ("spike", "effects must be one of 'cauchy', 'student_t', 'spike_t', 'mixture'; got 'spike'."),
        ("student-t", "Did you mean 'student_t'"),
        (None, "effects must be one of"),
        (3.0, "effects must be one of"),
        (["spike_t"], "effects must be one of"),
        ({"group": "mixtur"}, "effects['group'] must be one of"),
        ({"group": "mixtur"}, "Did you mean 'mixture'"),
        ({"group": None}, "effects['group'] must be one of"),
        ({"group": 0.5}, "effects['group'] must be one of"),
    ],
)
def test_what_is_no_law(effects, message):
    with pytest.raises(OptionError) as refused:
        SamplingOptions(effects=effects)
    assert message in str(refused.value)


@pytest.mark.parametrize(
    ("law", "message"),
    [
        ({"weight": [1.0]}, "an object with weight, scale and, optionally, nu is needed"),
        ({"weight": [0.5], "scale": [1.0]}, "weights must add up to 1"),
    ],
)
def test_what_is_no_mixture(law, message):
    with pytest.raises(OptionError) as refused:
        SamplingOptions(effects={"group": law})
    assert str(refused.value).startswith("effects['group']: mixture: ")
    assert message in str(refused.value)


@pytest.fixture(scope="module")
def fit():
    """Six effects: five of a factor of six levels, and one more."""
    table = pd.DataFrame({"line": list("abcdef") * 2, "dose": list("xxxxxxyyyyyy")})
    table.index = [f"s{j}" for j in range(12)]
    simulated = bde.simulate(60, design="~ line + dose", sample_table=table, seed=3)
    return bde.fit_eb(simulated.counts, "~ line + dose")


def request(fit, effects, **options):
    hyper = Hyperparameters.from_eb(fit, shrink=options.get("shrink"))
    chosen = SamplingOptions(effects=effects, **options)
    return Request(fit, np.flatnonzero(fit.estimated), hyper, True, 300, 1, 1, 1, 1, chosen, Priors())


@pytest.fixture
def quick(monkeypatch):
    """Fewer draws of every gene to learn from than a fit of so few genes takes, and fewer points."""
    for name, value in {"learning.DRAWS_TIMES": 40_000, "learning.POINTS_TIMES": 10_000}.items():
        monkeypatch.setattr(f"bayesde.posterior.hyper.{name}_GENES", value)
    monkeypatch.setattr("bayesde.posterior.importance.engine.AVERAGED_TIMES_GENES", 2000)


LINES = [f"line[T.{level}]" for level in "bcdef"]
DOSE = "dose[T.y]"


@pytest.mark.parametrize(
    ("effects", "lines", "dose"),
    [
        ("spike_t", ["spike_t"] * 5, "spike_t"),
        ({"line": "student_t"}, ["student_t"] * 5, "cauchy"),
        ({DOSE: "mixture"}, ["cauchy"] * 5, "mixture"),
        ({"": "student_t", "dose": LAW}, ["student_t"] * 5, LAW),
        ({"dose": LAW, "": "student_t"}, ["student_t"] * 5, LAW),
        ({"line": "student_t", LINES[1]: "mixture"}, ["student_t", "mixture", *["student_t"] * 3], "cauchy"),
        ({LINES[1]: "mixture", "line": "student_t"}, ["student_t", "mixture", *["student_t"] * 3], "cauchy"),
        ({}, ["cauchy"] * 5, "cauchy"),
    ],
)
def test_laws_go_by_coefficient_and_term(fit, effects, lines, dose):
    """The name of a coefficient comes before that of its term, and that before the empty name."""
    assert fit.design.coefficients == ("Intercept", *LINES, DOSE)
    laws = chosen_laws(fit.design, (1, 2, 3, 4, 5, 6), effects)
    assert laws == dict(enumerate([*lines, dose], start=1))


@pytest.mark.parametrize(
    ("effects", "message"),
    [
        ({"lines": "spike_t"}, "effects: the design has no coefficient or term 'lines'; Did you mean 'line'"),
        ({"Intercept": "spike_t"}, "'Intercept' is not shrunken, and so has no law of effects; shrunken are"),
    ],
)
def test_names_that_have_no_law(fit, effects, message):
    with pytest.raises(InputError) as refused:
        bde.fit_posterior(
            fit.counts,
            fit.design,
            eb=fit,
            draws=100,
            options=SamplingOptions(effects=effects, hand_over=False),
        )
    assert message in str(refused.value)


def test_coefficients_that_are_not_shrunken_have_no_law(fit):
    with pytest.raises(InputError, match=r"'line\[T.b\]', .* is not shrunken"):
        _ = request(fit, {"line": "spike_t"}, shrink=("dose",)).laws
    with pytest.raises(InputError, match="shrunken are none"):
        _ = request(fit, {"dose": "spike_t"}, shrink=()).laws
    assert request(fit, "spike_t", shrink=()).laws is None


def test_coefficients_of_a_term_share_a_law_if_they_share_a_scale(fit):
    laws = request(fit, {"line": "student_t", "dose": "spike_t"}, scales="term").laws
    assert laws.space.scale_of == (0, 0, 0, 0, 0, 1)
    assert laws.space.families == ("student_t", "spike_t")
    assert laws.atoms == (6,)
    apart = request(fit, {"line": "student_t", LINES[0]: "cauchy"}, scales="term").laws
    assert apart.space.scale_of == (0, 1, 1, 1, 1, 2)
    assert apart.space.families == ("cauchy", "student_t", "cauchy")


@pytest.mark.filterwarnings("ignore::bayesde.errors.BayesdeNote")
def test_only_some_coefficients_can_be_zero(fit, caplog, quick):
    """The last four; the first ones have the same law without zero, and that is said."""
    laws = request(fit, "spike_t").laws
    assert laws.space.families == ("student_t", "student_t", *["spike_t"] * MOST_ATOMS)
    assert laws.atoms == (3, 4, 5, 6)
    mixtures = request(fit, "mixture").laws
    assert mixtures.space.shrunken == ()
    assert mixtures.atoms == (3, 4, 5, 6)
    assert [float(mixtures.scales[k].min()) == 0.0 for k in range(1, 7)] == [False, False, *[True] * 4]
    with caplog.at_level(logging.WARNING, "bayesde"):
        made = bde.fit_posterior(
            fit.counts,
            fit.design,
            eb=fit,
            draws=300,
            options=SamplingOptions(effects="spike_t", hand_over=False),
        )
    told = [record.getMessage() for record in caplog.records if "exactly zero" in record.getMessage()]
    assert len(told) == 1
    assert told[0].startswith("only 4 of 6 effects can be exactly zero: 'line[T.d]', ")
    assert "'line[T.b]', 'line[T.c]' have the same law without zero" in told[0]
    assert set(made.hyperparameters.pi0) == {*LINES[2:], DOSE}
    assert set(made.hyperparameters.effect_nu) == {*LINES, DOSE}
    zero = (made.gene_draws.theta == 0.0).any(axis=(0, 1))
    assert zero.tolist() == [False] * 3 + [True] * 4 + [False]


def test_nothing_is_said_of_few_coefficients(fit):
    plain = request(fit, "cauchy").space
    for effects in ("cauchy", "student_t", {"line": "student_t", "dose": "spike_t"}, CONTINUOUS):
        assert atoms_left_out(Coding.of(fit.design), plain, SamplingOptions(effects=effects).effects) == ""


def test_too_many_known_mixtures_with_zero_are_refused(fit):
    with pytest.raises(InputError, match="at most 4 coefficients can have a law with zero; 6 have"):
        _ = request(fit, LAW).laws
    assert request(fit, CONTINUOUS).laws.atoms == ()


def test_all_coefficients_cannot_be_zero(fit):
    """Without an intercept, no expected count would be left."""
    levels = bde.fit_eb(fit.counts, "~ 0 + dose", options=bde.EbOptions(trend="mean"))
    for law in ("spike_t", "mixture", LAW):
        with pytest.raises(InputError, match="all coefficients of the design '~ 0 \\+ dose' could be zero"):
            _ = request(levels, law, shrink=("dose",)).laws
    assert request(levels, "student_t", shrink=("dose",)).laws.atoms == ()
    assert request(levels, {"dose[x]": "spike_t"}, shrink=("dose",)).laws.atoms == (0,)


def test_a_mixture_needs_estimates_for_its_grid(fit):
    without = replace(fit, beta_se=np.full_like(fit.beta_se, np.nan))
    plain = request(fit, "cauchy").space
    with pytest.raises(InputError, match=r"no gene has an estimate of dose\[T.y\] .* choose student_t"):
        laws_to_learn(without, Coding.of(without.design), plain, {"dose": "mixture"})


def test_fixed_hyperparameters_define_the_laws(fit):
    fixed = Hyperparameters.from_eb(fit)
    for given in ("eb", fixed):
        for effects in ("spike_t", {"dose": "student_t"}, LAW):
            with pytest.raises(
                OptionError, match="effects: the hyperparameters are fixed, and define the laws"
            ):
                bde.fit_posterior(
                    fit.counts,
                    fit.design,
                    eb=fit,
                    hyperparameters=given,
                    options=SamplingOptions(effects=effects),
                )


def test_fixed_hyperparameters_may_have_only_some_atoms(fit):
    names = [*LINES, DOSE]
    many = Hyperparameters(
        dict.fromkeys(names, 0.3), **REST, effect_nu=dict.fromkeys(names, 3.0), pi0=dict.fromkeys(names, 0.5)
    )
    with pytest.raises(InputError, match="at most 4 coefficients can have a law with zero; 6 have"):
        bde.fit_posterior(fit.counts, fit.design, eb=fit, hyperparameters=many, draws=100)
    levels = bde.fit_eb(fit.counts, "~ 0 + dose", options=bde.EbOptions(trend="mean"))
    names = list(levels.design.coefficients)
    all_zero = Hyperparameters(dict.fromkeys(names, 0.3), **REST, mixtures=dict.fromkeys(names, LAW))
    with pytest.raises(InputError, match="could be zero"):
        bde.fit_posterior(fit.counts, levels.design, eb=levels, hyperparameters=all_zero, draws=100)


@pytest.mark.filterwarnings("ignore::bayesde.errors.BayesdeNote")
@pytest.mark.parametrize("engine", ["nuts", "joint"])
def test_stan_samples_no_law_with_zero(fit, engine):
    known = {"eb": fit, "engine": engine, "genes": list(fit.counts.genes[:2])}
    with_zero = EffectMixture([0.5, 0.5], [0.0, 0.4])
    for effects in ("spike_t", "mixture", {"dose": "spike_t"}, with_zero):
        with pytest.raises(OptionError, match=f"engine '{engine}' cannot sample .* point mass"):
            bde.fit_posterior(fit.counts, fit.design, options=SamplingOptions(effects=effects), **known)
    if engine == "nuts":
        given = Hyperparameters({DOSE: 0.3}, **REST, effect_nu={DOSE: 3.0}, pi0={DOSE: 0.5})
        with pytest.raises(OptionError, match="Use engine 'psis'"):
            bde.fit_posterior(fit.counts, fit.design, hyperparameters=given, **known)


def test_fixed_laws_are_those_of_the_draws(fit):
    fixed = Hyperparameters(
        {LINES[0]: 0.3, DOSE: 0.4},
        **REST,
        effect_nu={DOSE: 3.0},
        pi0={DOSE: 0.9},
        mixtures={LINES[0]: CONTINUOUS},
    )
    made = bde.fit_posterior(
        fit.counts,
        fit.design,
        eb=fit,
        hyperparameters=fixed,
        draws=200,
        options=SamplingOptions(hand_over=False),
    )
    assert made.hyperparameters is fixed
    assert (made.gene_draws.theta == 0.0).any(axis=(0, 1)).tolist() == [False] * 6 + [True, False]
    assert (made.results(DOSE)["p_zero"] > 0.0).all()
    assert (made.results(LINES[0])["p_zero"] == 0.0).all()


def told(gain, **checks):
    names = {key.partition("[")[2][:-1] for key in checks}
    hyper = Hyperparameters(dict.fromkeys(sorted(names), 0.2) or {"a": 0.2}, **REST)
    return better_law(replace(hyper, checks={"student_t_gain": gain} | checks))


def law(name, value, lower, upper):
    ends = {"": value, "_lower": lower, "_upper": upper}
    return {f"student_t{end}[{name}]": number for end, number in ends.items()}


def test_a_better_law_is_named():
    assert told(1036.4, **law("a", 5.04, 3.91, 6.6)) == (
        "a Student t with nu = 5 (3.9 to 6.6) explains these effects better than the Cauchy by 1,036 log "
        "units (--effects student_t)"
    )
    two = told(50.0, **law("a", 2.34, 1.0, 9.96), **law("b", 12.4, 8.0, 1234.0))
    assert "nu = 2.3 (1 to 10, a), 12 (8 to 1,234, b) explains" in two


def test_of_many_laws_the_first_are_named():
    many = {key: value for name in "abcdef" for key, value in law(name, 3.0, 2.0, 4.0).items()}
    assert told(99.0, **many).count("3 (2 to 4, ") == 4
    assert " and 2 more explains" in told(99.0, **many)


def test_a_law_that_is_hardly_better_is_not_named():
    assert told(TELLING, **law("a", 5.0, 3.9, 6.6)) == ""
    assert told(-3.0) == ""
    assert told(float("nan")) == ""
    assert better_law(Hyperparameters({"a": 0.2}, **REST)) == ""


def test_the_sentence_of_a_fit_names_a_better_law(quick):
    options = bde.SimulationOptions(
        effects="normal", effect_scale=0.5, trend=(0.01, 0.5), median_mean=1000.0, dispersion_sd=0.4
    )
    fit = bde.fit_eb(bde.simulate(200, groups=(5, 5), seed=2, options=options).counts, "~ condition")
    made = bde.fit_posterior(
        fit.counts, fit.design, eb=fit, draws=300, options=SamplingOptions(hand_over=False)
    )
    sentence = better_law(made.hyperparameters)
    assert sentence.startswith("a Student t with nu = ")
    assert f"; {sentence}; " in made.checked
    other = bde.fit_posterior(
        fit.counts,
        fit.design,
        eb=fit,
        draws=300,
        options=SamplingOptions(hand_over=False, effects="student_t"),
    )
    assert "explains these effects better" not in other.checked
