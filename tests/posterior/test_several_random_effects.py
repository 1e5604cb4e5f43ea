"""Posteriors of designs with several random effects: nested, crossed, and slopes."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pandas as pd
import pytest

import bayesde as bde
from bayesde import BayesdeWarning, InputError
from bayesde.model.hyperparameter_space import HyperparameterSpace
from bayesde.posterior.hyper.marginal_likelihood import MarginalLikelihood
from bayesde.posterior.left_out_counts import without_samples
from bayesde.posterior.proposal.drawing import ProposalDraws
from bayesde.posterior.queries.pointwise import Among, log_probabilities
from bayesde.posterior.queries.several_terms import term_level_log_probabilities
from benchmarks.donors.several_terms import SEVERAL, simulated_terms

GENES = 40


@pytest.fixture(scope="module", params=list(SEVERAL))
def fitted(request):
    experiment = SEVERAL[request.param]
    counts, truth = simulated_terms(experiment, GENES, 3)
    return experiment, counts, truth, posterior_of(counts, experiment.formula)


def posterior_of(counts, design, **arguments):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", BayesdeWarning)
        return bde.fit_posterior(counts, design, **({"draws": 300, "seed": 1} | arguments))


def test_the_truth_is_covered(fitted):
    experiment, _, truth, posterior = fitted
    table = posterior.results(experiment.contrast)
    assert (table["pareto_k"] < 0.7).mean() > 0.95
    effect = truth.effect / math.log(2.0)
    assert ((table["lfc_lower"] <= effect) & (effect <= table["lfc_upper"])).mean() > 0.7
    assert set(posterior.hyperparameters.random_effect_sd) == set(experiment.names)
    for name, own in zip(experiment.names, truth.sd.T, strict=True):
        sd = own / math.log(2.0)
        within = (table[f"{name}_sd_lower"] <= sd) & (sd <= table[f"{name}_sd_upper"])
        assert within.mean() > 0.7
    shares = [f"{name}_variance_share" for name in (*experiment.names, "overdispersion", "poisson")]
    np.testing.assert_allclose(table[shares].sum(axis=1), 1.0)


def test_effects_of_levels(fitted):
    experiment, _, truth, posterior = fitted
    for name in experiment.names:
        effects = posterior.random_effects(["g3", "g11"], name)
        assert effects.dims == ("chain", "draw", "gene", "level")
        grouping = next(one for one in posterior.design.groupings if name in one.sd_names)
        assert list(effects["level"].to_numpy()) == list(grouping.levels)
    effects = posterior.random_effects(name=experiment.names[-1]).mean(("chain", "draw")).to_numpy()
    grouping = posterior.design.groupings[-1]
    first = [int(np.flatnonzero(grouping.level == d)[0]) for d in range(grouping.n_levels)]
    true = truth.effects[-1][:, experiment.levels[first, -1]] / math.log(2.0)
    assert np.corrcoef(effects.ravel(), true.ravel())[0, 1] > 0.5
    with pytest.raises(InputError, match="none of 'absent'"):
        posterior.random_effects(name="absent")


def test_marginal_likelihood_of_the_hyperparameters(fitted):
    """Its gradient by finite differences."""
    _, _, _, posterior = fitted
    space = HyperparameterSpace.of(posterior.coding.coefficients, posterior.hyperparameters)
    draws = posterior.gene_draws
    ratio = np.asarray(draws.log_ratio, dtype=np.float64)
    likelihood = MarginalLikelihood.of(space, posterior.model(), ProposalDraws(draws.theta, ratio))
    psi = space.psi_of(posterior.hyperparameters) + 0.05
    _, gradient, _ = likelihood.evaluate(psi)
    for i in range(psi.size):
        move = 1e-5 * np.eye(psi.size)[i]
        ends = likelihood.log_posterior(np.stack([psi + move, psi - move]))
        assert gradient[i] == pytest.approx((ends[0] - ends[1]) / 2e-5, rel=1e-4, abs=1e-3)


def test_counts_given_others(fitted):
    """Means over draws of ratios of estimates are those of integrals without the counts."""
    _, _, _, posterior = fitted
    model = posterior.model().genes(np.arange(2))
    theta = np.asarray(posterior.gene_draws.theta)[:2, :100]
    given = log_probabilities(model, theta)
    assert given.shape == (2, model.y.shape[1], 100)
    assert (given < 0.0).all()
    grouping = posterior.design.groupings[-1]
    of_levels = term_level_log_probabilities(model, theta, grouping.level)
    assert of_levels.shape == (2, grouping.n_levels, 100)
    lost = grouping.level == 1
    rest = without_samples(model, lost)
    kept = log_probabilities(rest, theta, Among(np.array([0]), np.zeros(rest.y.shape, dtype=bool)))[:, 0]
    left_out = np.broadcast_to(lost, model.y.shape)
    other = log_probabilities(model, theta, Among(np.array([int(np.flatnonzero(~lost)[0])]), left_out))[:, 0]
    assert float(np.abs(kept.mean(axis=1) - other.mean(axis=1)).max()) < 0.1


@pytest.mark.filterwarnings("ignore:the dispersion trend is a local regression")  # of so few genes
def test_queries(fitted):
    experiment, counts, _, posterior = fitted
    known = posterior.loo(refit=False)
    total = known.pointwise["below"] + known.pointwise["above"] + np.exp(known.pointwise["elpd"])
    assert float(np.abs(total - 1.0).quantile(0.95)) < 0.1
    assert 0.3 < known.pit().to_numpy().mean() < 0.7
    replicates = posterior.predict(["g1"], draws=20)
    assert replicates.sizes["sample"] == counts.n_samples
    assert 0.2 < posterior.predictive_check(draws=50)["p_largest"].mean() < 0.8
    new = counts.sample_table.iloc[:2].copy()
    new.iloc[1, 0] = "somebody"
    assert posterior.predict(["g1"], draws=20, samples=new).sizes["sample"] == 2
    grouping = posterior.design.groupings[-1]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", BayesdeWarning)
        table = posterior.without_levels(experiment.contrast, ["g1", "g2"], grouping.name)
    assert len(table) == 2 * grouping.n_levels
    assert set(table[grouping.name]) == set(grouping.levels)
    assert (table["elpd"] < 0.0).all()
    spike = posterior.with_effects("spike_t")
    assert spike.results()[f"{experiment.names[0]}_sd"].notna().all()


def test_predictions_need_the_covariate_of_a_slope():
    experiment = SEVERAL["slopes"]
    counts, _ = simulated_terms(experiment, 20, 2)
    posterior = posterior_of(counts, "~ 1 + (1 + time | donor)", draws=200, genes=["g1"])
    with pytest.raises(InputError, match="multiplied by 'time', which must be a column of numbers"):
        posterior.predict(samples=pd.DataFrame({"donor": ["d1"]}, index=["new"]))
