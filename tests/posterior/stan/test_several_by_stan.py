"""Stan's engines sample several random effects as engine psis does, which integrates them out."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from reference.monte_carlo import distribution_scores, log_scores

import bayesde as bde
from bayesde import BayesdeWarning, InputError
from bayesde.posterior import engines
from bayesde.posterior.stan.blocks import plan_blocks
from bayesde.posterior.stan.data import SamplerCoordinates, shared_data
from bayesde.posterior.stan.levels import level_coordinates
from benchmarks.donors.several_terms import SEVERAL, simulated_terms

SOME = [f"g{g}" for g in range(5)]


def known_of(experiment):
    """Hyperparameters that are given."""
    effect = "time" if experiment.contrast == "time" else "condition[T.b]"
    return bde.Hyperparameters(
        {effect: 0.15},
        0.5,
        0.05,
        2.0,
        random_effect_sd=dict.fromkeys(experiment.names, 0.3),
        random_effect_sd_spread=dict.fromkeys(experiment.names, 0.6),
    )


def fitted(experiment, counts, **arguments):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", BayesdeWarning)
        known = {"seed": 1, "hyperparameters": known_of(experiment)}
        return bde.fit_posterior(counts, experiment.formula, **(known | arguments))


@pytest.fixture(scope="module", params=SEVERAL)
def experiment(request):
    """An experiment, its counts, and the posterior by engine psis."""
    own = SEVERAL[request.param]
    counts = simulated_terms(own, 40, 11)[0]
    return own, counts, fitted(own, counts, genes=SOME, draws=4000)


def coordinates(posterior):
    request = posterior.request
    model = request.model(request.rows, posterior.hyperparameters)
    return SamplerCoordinates.of(model, request.start(request.rows), request.errors(request.rows))


def test_levels_and_covariates_are_those_of_the_samples(experiment):
    own, _, posterior = experiment
    genes = coordinates(posterior)
    data = shared_data(genes)
    assert data["R"] == 2
    assert data["L"] == sum(data["n_levels"]) == genes.n_levels
    for t in range(2):
        pairs = set(zip(data["level"][t], own.levels[:, t].tolist(), strict=True))
        assert len(pairs) == len(set(own.levels[:, t].tolist())) == data["n_levels"][t]
        np.testing.assert_array_equal(data["covariate"][t], own.z[:, t])


def test_coordinates_are_those_at_the_mode_of_all_levels(experiment):
    """Where z = 0 the derivative by every level's effect is 0."""
    posterior = experiment[2]
    genes = coordinates(posterior)
    model, levels = genes.model, level_coordinates(genes.model, genes.location)
    columns = np.hstack(
        [(level[:, None] == np.arange(level.max() + 1)) * z[:, None] for level, z in levels.terms]
    )
    tau = np.exp(genes.location[:, :-1][:, ~model.is_fixed])
    of_level = np.repeat(np.arange(2), [level.max() + 1 for level, _ in levels.terms])
    prior = tau[:, of_level] ** -2.0
    u = levels.precision_times_mean / (levels.precision + prior)
    r = np.exp(-genes.location[:, [-1]])
    mu = np.exp(model.log_nf + genes.location[:, :-1] @ model.x.T + u @ columns.T)
    slope = (r * (model.y - mu) / (mu + r)) @ columns - prior * u
    assert np.abs(slope / (levels.precision + prior)).max() < 1e-3


def test_keys_of_blocks_depend_on_levels_and_covariates():
    """Data sets that differ in nothing but the batches of one donor."""
    own = SEVERAL["crossed"]
    counts = simulated_terms(own, 40, 11)[0]
    table = counts.sample_table.copy()
    table["batch"] = [*table["batch"].iloc[:-4], *np.roll(table["batch"].iloc[-4:], 1)]
    other = bde.Counts(counts.to_frame(), sample_table=table)
    keys = [
        {block.key for block in plan_blocks(coordinates(fitted(own, one, genes=SOME, draws=100)), 5, {})}
        for one in (counts, other)
    ]
    assert not keys[0] & keys[1]


def test_nuts_agrees_with_psis(experiment, cmdstan):
    """Coefficients, both standard deviations and dispersion, given the hyperparameters."""
    own, counts, one = experiment
    two = fitted(own, counts, genes=SOME, draws=300, engine="nuts", chains=4)
    assert (two.diagnostics.loc[SOME, "rhat"] < 1.05).all()
    assert two.gene_draws.theta.shape == (5, 1200, 5)
    assert np.abs(distribution_scores(one.gene_draws, two.gene_draws)).max() < 5.0
    tables = [posterior.results(own.contrast).loc[SOME] for posterior in (one, two)]
    assert (tables[1]["engine"] == "nuts").all()
    for name in own.names:
        np.testing.assert_allclose(tables[1][f"{name}_sd"], tables[0][f"{name}_sd"], rtol=0.3)
        effects = [posterior.random_effects(SOME, name) for posterior in (one, two)]
        assert effects[0].sizes["level"] == effects[1].sizes["level"]
        gap = effects[0].mean(("chain", "draw")) - effects[1].mean(("chain", "draw"))
        assert float(np.abs(gap / effects[0].std(("chain", "draw"))).max()) < 0.5
    elpd = [posterior.loo(refit=False).pointwise["elpd"] for posterior in (one, two)]
    assert float(np.abs(elpd[0] - elpd[1]).median()) < 0.05
    with pytest.raises(InputError, match="none of 'absent'"):
        two.random_effects(SOME, "absent")


def test_genes_are_handed_over(experiment, cmdstan, monkeypatch):
    monkeypatch.setattr(engines, "failed_genes", lambda diagnostics: np.array([0, 2]))
    own, counts, kept = experiment
    found = fitted(own, counts, genes=SOME, draws=400)
    assert found.diagnostics.loc[SOME, "engine"].tolist() == ["nuts", "psis", "nuts", "psis", "psis"]
    assert found.gene_draws.theta.shape == (5, 400, 5)
    one, other = (posterior.results(own.contrast).loc[SOME] for posterior in (kept, found))
    gap = (one["log2_fold_change"] - other["log2_fold_change"]) / one["lfc_se"]
    assert gap.abs().max() < 0.5
    for name in own.names:
        np.testing.assert_allclose(one[f"{name}_sd"], other[f"{name}_sd"], rtol=0.4)


def test_joint_learns_both_laws(cmdstan):
    """As engine psis does from the same genes."""
    own = SEVERAL["slopes"]
    counts = simulated_terms(own, 12, 12)[0]
    psis = fitted(own, counts, draws=500, hyperparameters=None)
    joint = fitted(own, counts, draws=150, warmup=200, chains=2, engine="joint", hyperparameters=None)
    assert joint.gene_draws.theta.shape == (12, 300, 5)
    for name in own.names:
        assert np.isfinite(joint.results(own.contrast)[f"{name}_sd"]).all()
        for part in ("random_effect_sd", "random_effect_sd_spread"):
            drawn = joint.shared[f"{part}[{name}]"], psis.hyperparameters.draws[f"{part}[{name}]"]
            assert np.abs(log_scores(*drawn, 100.0)).max() < 5.0


@pytest.mark.parametrize("engine", ["nuts", "joint"])
def test_hyperparameters_of_other_random_effects_are_refused(engine):
    own = SEVERAL["nested"]
    counts = simulated_terms(own, 20, 12)[0]
    with pytest.raises(
        InputError, match=r"needed of the random effects of the design, 'clinic', 'clinic:pat"
    ):
        fitted(own, counts, engine=engine, hyperparameters=known_of(SEVERAL["crossed"]))
