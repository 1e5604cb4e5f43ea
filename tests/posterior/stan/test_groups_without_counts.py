"""Genes with a group without counts, whose effect the counts keep from infinity on one side only."""

from __future__ import annotations

import numpy as np
import pandas as pd

import bayesde as bde
from bayesde.model.density import ConditionalModel
from bayesde.posterior.stan.data import without_bound

TWO = np.column_stack([np.ones(8), np.repeat([0.0, 1.0], 4)])
THREE = np.column_stack([np.ones(9), *(np.repeat(np.eye(3)[k], 3) for k in range(3))])
NONE, SOME = [0, 0, 0, 0], [3, 0, 5, 0]


def model_of(y, x, shrunken, factor=None):
    y = np.array(y)
    return ConditionalModel(
        y=y,
        log_nf=np.zeros(y.shape),
        x=np.ascontiguousarray(x),
        base_mean=y.mean(axis=1),
        log_trend=np.zeros(len(y)),
        shrunken=np.array(shrunken),
        shrinkage_scale=np.ones(len(shrunken)),
        dispersion_sd=0.5,
        nu=np.inf,
        factor=None if factor is None else np.array(factor),
    )


def test_two_groups():
    y = [NONE + SOME, SOME + NONE, SOME + SOME, [*SOME, 0, 0, 0, 1], [1, 2, 3, 4] * 2]
    found = without_bound(model_of(y, TWO, [False, True]))
    np.testing.assert_array_equal(found, [[False, one] for one in (True, True, False, False, False)])


def test_levels_around_a_center():
    y = [[0, 0, 0, 4, 5, 0, 2, 3, 4], [4, 5, 6, 0, 0, 0, 0, 0, 0], [1, 0, 0, 1, 0, 0, 1, 0, 0]]
    found = without_bound(model_of(y, THREE, [False, True, True, True], [-1, 0, 0, 0]))
    np.testing.assert_array_equal(found[0], [False, True, False, False])
    np.testing.assert_array_equal(found[1, 2:], [True, True])
    assert not found[2].any()


def test_covariates_and_coefficients_that_are_not_shrunken():
    """A covariate could be anything only if all samples with counts had the same value, at one end."""
    dose = np.column_stack([np.ones(8), np.arange(8.0) - 3.5])
    y = [[*NONE, 3, 4, 5, 6], [0] * 7 + [5], [0, 0, 0, 5, 0, 0, 0, 0]]
    found = without_bound(model_of(y, dose, [False, True]))
    np.testing.assert_array_equal(found[:, 1], [False, True, False])
    assert not without_bound(model_of(y, dose, [False, False])).any()


def test_chains_reach_the_tail_in_few_steps(cmdstan):
    rng = np.random.default_rng(4)
    counts = rng.poisson(rng.gamma(5.0, 0.2, (12, 8)) * 60.0)
    counts[:3, :4], counts[3:5, 4:] = 0, 0
    names = [f"s{j}" for j in range(8)]
    table = pd.DataFrame({"group": ["a"] * 4 + ["b"] * 4}, index=names)
    given = bde.Counts(counts, [f"g{g}" for g in range(12)], names, sample_table=table)
    hyper = bde.Hyperparameters({"group[T.b]": 0.5}, 0.5, 0.2, 1.0)
    fit = bde.fit_eb(given, "~ group")
    by_nuts, by_psis = (
        bde.fit_posterior(given, fit.design, eb=fit, hyperparameters=hyper, engine=engine, draws=draws)
        for engine, draws in (("nuts", 500), ("psis", 8000))
    )
    assert by_nuts.diagnostics["gradients"].max() < 60.0
    assert (by_nuts.diagnostics["attempts"] == 1.0).all()
    assert np.abs(by_nuts.gene_draws.theta[:5, :, 1]).max() > 1000.0
    assert (by_nuts.results()["lfsr"] - by_psis.results()["lfsr"]).abs().max() < 0.05
    middle = np.median(by_nuts.gene_draws.theta[:5, :, 1], axis=1)
    weights, theirs = by_psis.gene_draws.weights()[:5], by_psis.gene_draws.theta[:5, :, 1]
    below = (weights * (theirs < middle[:, None])).sum(axis=1)
    np.testing.assert_allclose(below, 0.5, atol=0.06)
