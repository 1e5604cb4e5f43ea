"""Stan's engines sample random effects as engine psis does, which integrates them out."""

from __future__ import annotations

import math
import warnings
from dataclasses import replace

import numpy as np
import pytest
from reference.log_density import gene_theta, levels
from reference.monte_carlo import distribution_scores, log_scores

import bayesde as bde
from bayesde import BayesdeWarning
from bayesde.design import Design
from bayesde.model.random_effects.quadrature import conditional_mode
from bayesde.posterior import engines
from bayesde.posterior.request import Request
from bayesde.posterior.stan.blocks import plan_blocks
from bayesde.posterior.stan.data import SamplerCoordinates, shared_data
from bayesde.posterior.stan.first_look import informed
from bayesde.posterior.stan.levels import errors_with_random_effects
from benchmarks.donors.experiments import Experiment, simulated

FORMULA = "~ condition + (1 | donor)"
LAW = ("random_effect_sd", "random_effect_sd_spread")
DESIGNS = {
    "between": Experiment(6, 2, between=True, genes=40),
    "within": Experiment(5, 2, between=False, genes=40),
}
SOME = [f"g{g}" for g in range(6)]
HYPER = bde.Hyperparameters(
    {"condition[T.b]": 0.15},
    0.5,
    0.05,
    2.0,
    random_effect_sd={"donor": 0.3},
    random_effect_sd_spread={"donor": 0.6},
)


@pytest.fixture(scope="module", params=DESIGNS)
def experiment(request):
    """Counts; and the coordinates of their genes under hyperparameters that are known."""
    counts = simulated(DESIGNS[request.param], 11)[0]
    return counts, coordinates(counts)


def fitted(counts, **arguments):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", BayesdeWarning)
        return bde.fit_posterior(counts, FORMULA, **({"seed": 1, "hyperparameters": HYPER} | arguments))


def coordinates(counts):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", BayesdeWarning)
        design = Design.from_formula(FORMULA, counts.sample_table)
    fit = bde.fit_eb(counts, "~ condition")
    rows = np.flatnonzero(fit.estimated)
    request = Request(
        fit, rows, HYPER, False, 100, 2, 50, 1, 1, bde.SamplingOptions(), bde.Priors(), full_design=design
    )
    return SamplerCoordinates.of(request.model(rows), request.start(rows), request.errors(rows))


def law(model):
    return model.random.center, model.random.spread


def test_levels_are_centered_where_their_counts_want_it(experiment):
    """At a gene's mode z = 0 is the mode of u given theta, and W + 1 / tau^2 the curvature there."""
    genes = experiment[1]
    model, data = genes.model, shared_data(genes)
    groups = model.random.groups
    for g in range(0, model.n_genes, 5):
        theta = genes.location[g]
        z = np.zeros(genes.n_levels)
        effects = levels(data, g, z, theta)[0][0].astype(float)
        eta, scale = model.log_nf[g] + model.x @ theta[:-1], math.exp(theta[-2])
        for d in range(genes.n_levels):
            members = groups.order[groups.bounds[d] : groups.bounds[d + 1]]
            u, curve = conditional_mode(
                model.y[g], eta, math.exp(-theta[-1]), members, math.inf, max(scale, math.exp(-10.0))
            )
            assert effects[d] == pytest.approx(u, abs=1e-4)
            precision = genes.levels.precision[g, d]
            assert precision + max(scale, math.exp(-10.0)) ** -2 == pytest.approx(curve, rel=1e-4)


def test_z_is_what_moves_theta_there(experiment):
    genes = experiment[1]
    model, rng = genes.model, np.random.default_rng(3)
    theta = genes.location[:, None] + rng.normal(0, 0.3, (model.n_genes, 4, 4))
    weights = np.full(theta.shape[:2], 0.25)
    for own in (genes, informed(genes, theta, weights)):
        data, z = shared_data(own), own.z(theta)
        for g in range(0, model.n_genes, 5):
            for m in range(4):
                known = model.shrinkage_scale, model.log_trend[g], model.dispersion_sd
                found = gene_theta(data, g, z[:, m], *known, law=law(model))
                np.testing.assert_allclose(found.astype(float), theta[g, m], rtol=1e-9, atol=1e-9)


def test_informed_standard_deviations_have_the_moments_of_the_draws(experiment):
    genes = experiment[1]
    rng = np.random.default_rng(4)
    theta = genes.location[:, None] + rng.normal(0, 0.1, (genes.model.n_genes, 500, 4))
    z = informed(genes, theta, np.full(theta.shape[:2], 1.0 / 500)).z(theta)[:, :, 2]
    np.testing.assert_allclose(z.mean(axis=1), 0.0, atol=1e-6)
    np.testing.assert_allclose(z.std(axis=1), 1.0, rtol=1e-6)


def test_standard_errors_of_a_condition_between_donors_grow():
    """By tau^2 (1 / 3 + 1 / 3) of six donors, and not at all within donors."""
    for name, added in (("between", 2.0 / 3.0), ("within", 0.0)):
        counts = simulated(DESIGNS[name], 11)[0]
        genes = coordinates(counts)
        model = replace(genes.model, log_nf=0.0 * genes.model.log_nf)
        location = genes.location.copy()
        location[:, 1], location[:, 2] = 0.0, math.log(0.4)  # all samples have the same weight
        without = np.full((model.n_genes, 2), 0.1)
        found = errors_with_random_effects(model, location, without)
        np.testing.assert_allclose(found[:, 1] ** 2, 0.01 + 0.16 * added, rtol=1e-6)


def test_keys_of_blocks_depend_on_the_random_effects(experiment):
    genes = experiment[1]
    model = genes.model
    level, covariate = genes.levels.terms[0]
    others = [
        replace(genes, levels=replace(genes.levels, terms=((level[::-1].copy(), covariate),))),
        replace(genes, levels=replace(genes.levels, precision=genes.levels.precision * 1.01)),
        *(
            replace(genes, model=replace(model, random=replace(model.random, **{part: values * 1.01})))
            for part, values in (("center", model.random.center), ("spread", model.random.spread))
        ),
    ]
    keys = {block.key for block in plan_blocks(genes, 10, {"seed": 1})}
    for other in others:
        assert not keys & {block.key for block in plan_blocks(other, 10, {"seed": 1})}


def test_nuts_agrees_with_psis(experiment, cmdstan):
    """Coefficients, standard deviation between donors and dispersion, given the hyperparameters."""
    counts = experiment[0]
    one = fitted(counts, genes=SOME, draws=4000)
    two = fitted(counts, genes=SOME, draws=300, engine="nuts", chains=4)
    assert (two.diagnostics.loc[SOME, "rhat"] < 1.05).all()
    scores = distribution_scores(one.gene_draws, two.gene_draws)
    assert np.abs(scores).max() < 5.0
    table = two.results()
    assert (table.loc[SOME, "engine"] == "nuts").all()
    np.testing.assert_allclose(table.loc[SOME, "donor_sd"], one.results().loc[SOME, "donor_sd"], rtol=0.3)
    effects = [posterior.random_effects(SOME) for posterior in (one, two)]
    assert effects[1].dims == ("chain", "draw", "gene", "level")
    means = [effect.mean(("chain", "draw")) for effect in effects]
    assert float(np.abs(means[0] - means[1]).max()) < 0.5 * float(effects[0].std(("chain", "draw")).max())
    assert "random_effect_sd" in two.to_arviz(SOME).posterior
    assert np.isfinite(two.loo().pointwise["elpd"]).all()


def test_draws_are_reweighted_where_the_law_is_known_roughly(cmdstan, monkeypatch):
    """And the donors do not differ, so that ln tau has its law: as where few genes have taught it."""
    counts = simulated(replace(DESIGNS["between"], no_donor_effect=1.0), 13)[0]
    rng = np.random.default_rng(5)
    draws = {
        "random_effect_sd[donor]": 0.1 * np.exp(0.4 * rng.standard_normal(200)),
        "random_effect_sd_spread[donor]": 0.5 * np.exp(0.5 * rng.standard_normal(200)),
    }
    means = {name: {"donor": float(values.mean())} for name, values in zip(LAW, draws.values(), strict=True)}
    rough = {"hyperparameters": replace(HYPER, draws=draws, **means), "genes": SOME}
    chains = {"engine": "nuts", "draws": 300, "chains": 4, "options": bde.SamplingOptions(min_ess=1)}
    one, two = fitted(counts, **rough, draws=4000), fitted(counts, **rough, **chains)
    monkeypatch.setattr(engines, "with_wide_laws", lambda model, points: model)
    narrow = fitted(counts, **rough, **chains)
    largest_k = [posterior.diagnostics.loc[SOME, "pareto_k"].max() for posterior in (two, narrow)]
    assert largest_k[0] < 0.5 < largest_k[1]
    assert (two.diagnostics.loc[SOME, "ess_bulk"] > 200.0).all()
    assert np.abs(distribution_scores(one.gene_draws, two.gene_draws)).max() < 5.0


def test_genes_are_handed_over(cmdstan, monkeypatch):
    monkeypatch.setattr(engines, "failed_genes", lambda diagnostics: np.array([0, 2]))
    counts = simulated(DESIGNS["between"], 11)[0]
    kept, found = (
        fitted(counts, genes=SOME, draws=400, options=bde.SamplingOptions(hand_over=hand_over))
        for hand_over in (False, True)
    )
    assert found.diagnostics.loc[SOME, "engine"].tolist() == ["nuts", "psis", "nuts"] + ["psis"] * 3
    assert found.gene_draws.theta.shape == (6, 400, 4)
    one, other = (posterior.results().loc[SOME] for posterior in (kept, found))
    gap = (one["log2_fold_change"] - other["log2_fold_change"]) / one["lfc_se"]
    assert gap.abs().max() < 0.5
    assert (gap.iloc[3:] == 0.0).all()
    np.testing.assert_allclose(one["donor_sd"], other["donor_sd"], rtol=0.4)


def test_joint_learns_the_law_of_the_standard_deviations(cmdstan):
    """As engine psis does from the same genes."""
    counts = simulated(replace(DESIGNS["between"], genes=30), 12)[0]
    psis = fitted(counts, draws=500, hyperparameters=None)
    joint = fitted(counts, draws=250, warmup=250, chains=2, engine="joint", hyperparameters=None)
    assert joint.gene_draws.theta.shape == (30, 500, 4)
    assert np.isfinite(joint.results()["donor_sd"]).all()
    for name in ("random_effect_sd[donor]", "random_effect_sd_spread[donor]", "dispersion_sd"):
        scores = log_scores(joint.shared[name], psis.hyperparameters.draws[name], 100.0)
        assert np.abs(scores).max() < 5.0
