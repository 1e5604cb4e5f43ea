"""Stan's engines sample levels that are treated alike as engine psis does."""

from __future__ import annotations

import numpy as np
import pytest
from reference.groups import posterior_of, simulated

from bayesde import Counts
from bayesde.eb.fit import fit_eb
from bayesde.model.priors import Priors
from bayesde.posterior import Hyperparameters, engines
from bayesde.posterior.codings.level_starts import level_errors
from bayesde.posterior.codings.starting_values import starting_values
from bayesde.posterior.options import SamplingOptions
from bayesde.posterior.request import Request
from bayesde.posterior.stan.blocks import plan_blocks
from bayesde.posterior.stan.data import SamplerCoordinates
from bayesde.posterior.stan.nuts import _keyed

C_TO_B = ("group", "c", "b")


@pytest.fixture(scope="module")
def data():
    frame, table, _ = simulated(40, seed=7, share=0.6)
    return frame, table


def test_standard_errors_of_levels_are_those_of_their_distance_from_the_mean(data):
    frame, table = data
    fit = fit_eb(Counts(frame, sample_table=table), "~ group")
    options, rows = SamplingOptions(), np.flatnonzero(fit.estimated)
    hyper = starting_values(fit, None, options)
    request = Request(fit, rows, hyper, True, 100, 2, 50, 1, 1, options, Priors())
    found = level_errors(fit, request.coding, rows)
    mean = (frame.to_numpy() / fit.normalization_factors).reshape(40, 3, 4).mean(axis=2) + 0.125
    variance = (1.0 / mean + fit.dispersion[:, None]) / 4.0
    expected = np.sqrt(4.0 / 9.0 * variance[:, 0] + (variance[:, 1] + variance[:, 2]) / 9.0)
    np.testing.assert_allclose(found[:, 1], expected, rtol=1e-6)
    assert found.shape == (40, 4)
    np.testing.assert_array_equal(request.errors(rows), found)


def test_keys_of_blocks_are_the_same_where_the_coding_does_not_matter(data):
    """So that runs of two groups, or with covariates, that were started before can be resumed."""
    frame, table = data[0].iloc[:, :8], data[1].iloc[:8].assign(age=np.arange(8) / 8.0)
    fit = fit_eb(Counts(frame, sample_table=table), "~ age + group")
    keys = []
    for coding in ("treatment", "levels"):
        options, rows = SamplingOptions(coding=coding), np.flatnonzero(fit.estimated)
        hyper = starting_values(fit, None, options)
        request = Request(fit, rows, hyper, True, 100, 2, 50, 1, 1, options, Priors())
        genes = SamplerCoordinates.of(request.model(rows), request.start(rows), request.errors(rows))
        keys.append([block.key for block in plan_blocks(genes, 10, _keyed(options))])
    assert keys[0] == keys[1]


def test_nuts_agrees_with_psis(data, cmdstan):
    """Effects of genes, given the hyperparameters."""
    frame, table = (data[0].iloc[:12], data[1])
    hyper = Hyperparameters({"group": 0.1}, 0.5, 0.05, 2.0)
    one, other = (
        posterior_of(frame, table, "~ group", hyperparameters=hyper, engine=engine, draws=draws)
        for engine, draws in (("psis", 4000), ("nuts", 400))
    )
    assert other.gene_draws.theta.shape[2] == 5
    assert (other.diagnostics["rhat"] < 1.05).all()
    for contrast in (C_TO_B, ("group", "b", "a")):
        found, expected = other.results(contrast), one.results(contrast)
        gap = (found["log2_fold_change"] - expected["log2_fold_change"]) / expected["lfc_se"]
        assert gap.abs().max() < 0.25
        np.testing.assert_allclose(found["lfc_se"], expected["lfc_se"], rtol=0.2)


def test_genes_are_handed_over(data, cmdstan, monkeypatch):
    monkeypatch.setattr(engines, "failed_genes", lambda diagnostics: np.array([0, 2]))
    frame, table = (data[0].iloc[:12], data[1])
    hyper = Hyperparameters({"group": 0.1}, 0.5, 0.05, 2.0)
    kept, found = (
        posterior_of(frame, table, "~ group", hyperparameters=hyper, draws=500, hand_over=hand_over)
        for hand_over in (False, True)
    )
    assert found.diagnostics["engine"].tolist() == ["nuts", "psis", "nuts"] + ["psis"] * 9
    assert found.gene_draws.theta.shape == (12, 500, 5)
    one, other = kept.results(C_TO_B), found.results(C_TO_B)
    gap = (one["log2_fold_change"] - other["log2_fold_change"]) / one["lfc_se"]
    assert gap.abs().max() < 0.3
    assert (gap.iloc[3:] == 0.0).all()
