"""Contrasts that are no coefficients have the prior of the coding in which they are (coding 'treatment')."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from reference.groups import posterior_of, simulated

from bayesde.errors import BayesdeNote
from bayesde.posterior import Hyperparameters
from bayesde.posterior.draws.gene_draws import GeneDraws
from bayesde.posterior.queries.other_models.other_references import as_coefficient
from bayesde.posterior.queries.other_models.sensitivity import sensitivity
from bayesde.posterior.summaries.tables import results_table

C_TO_B = ("group", "c", "b")


@pytest.fixture(scope="module")
def data():
    """One of the three groups differs in some of the genes, often a, so that c - b has a narrow prior."""
    frame, table, _ = simulated(80, seed=8, share=0.4)
    return frame, table


def with_both_references(data, effects):
    """The same counts with the references a and b."""
    return [
        posterior_of(*data, "~ group", "treatment", references={"group": level}, effects=effects)
        for level in "ab"
    ]


@pytest.fixture(scope="module")
def of_cauchy(data):
    return with_both_references(data, "cauchy")


@pytest.fixture(scope="module", params=["cauchy", "spike_t"])
def references(request, data, of_cauchy):
    return of_cauchy if request.param == "cauchy" else with_both_references(data, request.param)


@pytest.mark.filterwarnings("ignore:group c vs b. computed with the prior")  # a gene may have a high k
def test_a_contrast_is_the_coefficient_of_another_reference_within_monte_carlo_error(references):
    one, other = references
    found, expected = one.results(C_TO_B), other.results("group[T.c]")
    plain = results_table(one, C_TO_B)  # the prior of a difference of two coefficients
    error = {}
    for name, table in (("reweighted", found), ("plain", plain)):
        gap = (table["log2_fold_change"] - expected["log2_fold_change"]) / expected["lfc_se"]
        error[name] = float(np.sqrt((gap**2).mean()))
    assert error["reweighted"] < 0.12
    assert error["plain"] > 0.3
    assert (found["pareto_k"] <= 0.7).mean() > 0.97
    assert (found["lfsr"] - expected["lfsr"]).abs().mean() < 0.02


@pytest.mark.filterwarnings("ignore:group c vs b. computed with the prior")  # a gene may have a high k
def test_the_scales_are_those_of_the_other_reference(of_cauchy):
    """Under other laws so few genes hardly tell scales from degrees of freedom and probabilities of zero."""
    one, other = of_cauchy
    made = as_coefficient(one, C_TO_B)
    for name, value in other.hyperparameters.shrinkage_scale.items():
        assert made.hyperparameters.shrinkage_scale[name] == pytest.approx(value, rel=0.25)


def test_any_way_to_ask_for_it_gives_the_same_numbers(references):
    one, _ = references
    tables = [one.results(contrast) for contrast in (C_TO_B, [0.0, -1.0, 1.0], "group[T.c] - group[T.b]")]
    for table in tables[1:]:
        pd.testing.assert_frame_equal(tables[0], table)
    assert len(one.recoded) == 1
    assert one.summary(C_TO_B)["lfsr"].equals(pd.Series(tables[0]["lfsr"]))


def test_coefficients_and_other_sums_keep_their_numbers(references):
    one, _ = references
    for contrast in ("group[T.b]", ("group", "a", "c"), [0.0, 0.5, 0.5]):
        assert as_coefficient(one, contrast) is one


def test_levels_that_are_treated_alike_need_no_other_coding(data):
    posterior = posterior_of(*data, "~ group", "levels")
    assert as_coefficient(posterior, C_TO_B) is posterior


@pytest.mark.filterwarnings("ignore:group c vs b. computed with the prior")  # a gene may have a high k
def test_given_hyperparameters_are_averaged_over_the_term(data):
    hyper = Hyperparameters({"group[T.b]": 0.02, "group[T.c]": 0.5}, 0.5, 0.05, 2.0)
    one = posterior_of(*data, "~ group", "treatment", hyperparameters=hyper)
    made = as_coefficient(one, C_TO_B)
    assert made.hyperparameters.shrinkage_scale == pytest.approx({"group[T.a]": 0.1, "group[T.c]": 0.1})
    same = Hyperparameters({"group[T.a]": 0.1, "group[T.c]": 0.1}, 0.5, 0.05, 2.0)
    other = posterior_of(
        *data, "~ group", "treatment", references={"group": "b"}, hyperparameters=same
    ).results("group[T.c]")
    fine = made.diagnostics["pareto_k"] <= 0.7
    gap = (made.results(C_TO_B)["log2_fold_change"] - other["log2_fold_change"]) / other["lfc_se"]
    assert fine.mean() > 0.9
    assert np.sqrt((gap[fine] ** 2).mean()) < 0.15


def test_draws_of_chains_are_reweighted_too(of_cauchy):
    """Resampled draws of equal weight, as chains have them."""
    one, other = of_cauchy
    draws = one.gene_draws
    rng = np.random.default_rng(1)
    taken = np.stack([rng.choice(draws.n_draws, 1000, p=w / w.sum()) for w in draws.weights().astype(float)])
    theta = np.take_along_axis(np.asarray(draws.theta), taken[:, :, None], axis=1)
    chains = replace(
        one,
        gene_draws=GeneDraws(theta, chains=4),
        engine="nuts",
        diagnostics=one.diagnostics.assign(engine="nuts"),
    )
    expected = other.results("group[T.c]")
    gap = (chains.results(C_TO_B)["log2_fold_change"] - expected["log2_fold_change"]) / expected["lfc_se"]
    assert np.sqrt((gap**2).mean()) < 0.2


def test_where_it_is_not_possible_a_note_says_so(data, of_cauchy):
    some = posterior_of(*data, "~ group", "treatment", shrink=["group[T.b]"])
    with pytest.warns(BayesdeNote, match=r"group c vs b: .* only some of the coefficients of group"):
        assert as_coefficient(some, C_TO_B) is some
    one = of_cauchy[0]
    left = one.without_outliers(pd.DataFrame({"gene": ["g5"], "sample": ["s3"]}))
    with pytest.warns(BayesdeNote, match="counts were left out"):
        assert as_coefficient(left, C_TO_B) is left
    flat = posterior_of(*data, "~ group", "treatment", shrink=[])
    assert as_coefficient(flat, C_TO_B) is flat


def test_sensitivity_uses_the_same_prior(of_cauchy):
    one, _ = of_cauchy
    found = sensitivity(one, priors=one.request.priors, contrast=C_TO_B).table
    np.testing.assert_allclose(found["log2_fold_change"], one.results(C_TO_B)["log2_fold_change"], atol=0.03)
