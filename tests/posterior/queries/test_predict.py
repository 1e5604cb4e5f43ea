"""Predicted counts: their law against SciPy's, their seeds, new samples, and checks of genes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from numba.core import config
from scipy import stats

from bayesde.errors import InputError, OptionError
from bayesde.posterior import fit_posterior
from bayesde.posterior.draws.gene_draws import GeneDraws


@pytest.fixture(scope="module")
def posterior(pasilla_fit, panel):
    names = list(pasilla_fit.counts.genes[panel])
    return fit_posterior(
        pasilla_fit.counts, pasilla_fit.design, eb=pasilla_fit, genes=names, hyperparameters="eb"
    )


def at_one_point(posterior, point):
    """The posterior with all of its draws at one point."""
    theta = np.broadcast_to(np.float32(point), posterior.gene_draws.theta.shape).copy()
    return replace(posterior, gene_draws=GeneDraws(theta))


@pytest.mark.parametrize(("level", "dispersion"), [(0.5, 2.0), (4.0, 0.1), (9.0, 1e-3)])
def test_given_the_parameters_counts_are_negative_binomial(posterior, level, dispersion):
    fixed = at_one_point(posterior, [level, 0.0, 0.0, np.log(dispersion)])
    counts = fixed.predict(draws=2000).to_numpy()
    r = 1.0 / dispersion
    mu = np.exp(level) * posterior.eb.normalization_factors[posterior.request.rows][3, 2]
    seen = counts[:, 3, 2]
    edges = np.unique(stats.nbinom.ppf(np.linspace(0.1, 0.9, 9), r, r / (r + mu)))
    share = np.diff(np.concatenate([[0.0], stats.nbinom.cdf(edges, r, r / (r + mu)), [1.0]]))
    observed = np.bincount(np.searchsorted(edges, seen), minlength=share.size)
    assert stats.chisquare(observed, 2000 * share).pvalue > 1e-3


def test_draws_come_by_their_weights(posterior):
    theta = posterior.gene_draws.theta.copy()
    theta[:, :, -1] = np.log(1e-6)
    theta[:, :, 1:-1] = 0.0
    half = theta.shape[1] // 2
    theta[:, :half, 0], theta[:, half:, 0] = np.log(100.0), np.log(10_000.0)
    weight = np.where(np.arange(2 * half) < half, 0.7, 0.3) / half
    log_weights = np.broadcast_to(np.log(weight), theta.shape[:2]).astype(np.float32)
    fixed = replace(posterior, gene_draws=GeneDraws(theta, log_weights))
    counts = fixed.predict(draws=1000).to_numpy()
    np.testing.assert_allclose((counts > 1500).mean(axis=0), 0.3, atol=0.002)
    first, second = (counts[half] > 1500 for half in (slice(500), slice(500, None)))
    np.testing.assert_allclose(first.mean(), second.mean(), atol=0.02)  # the order is random


def test_labels(posterior):
    counts = posterior.predict(draws=7)
    assert counts.dims == ("draw", "gene", "sample")
    assert counts.shape == (7, posterior.gene_draws.n_genes, 7)
    assert list(counts["sample"].values) == list(posterior.design.samples)
    assert list(counts["gene"].values) == list(posterior.genes)
    assert counts.dtype == np.int64


def test_a_gene_does_not_depend_on_others(posterior, monkeypatch):
    everything = posterior.predict(draws=20)
    chosen = list(posterior.genes[[30, 4, 11]])
    np.testing.assert_array_equal(posterior.predict(chosen, draws=20), everything.sel(gene=chosen))
    monkeypatch.setattr(config, "NUMBA_NUM_THREADS", 1)
    np.testing.assert_array_equal(posterior.predict(draws=20), everything)
    assert not np.array_equal(posterior.predict(draws=20, seed=2), everything)
    checked = posterior.predictive_check(draws=20)
    pd.testing.assert_frame_equal(posterior.predictive_check(chosen, draws=20), checked.loc[chosen])


def test_new_samples(posterior):
    fixed = at_one_point(posterior, [5.0, 1.0, -2.0, np.log(1e-6)])
    _, kind, condition = posterior.design.coefficients
    levels = [posterior.design.factors[name] for name in ("type", "condition")]
    table = pd.DataFrame({"type": levels[0], "condition": levels[1]}, index=["new1", "new2"])
    assert kind.endswith(f"{levels[0][1]}]")
    assert condition.endswith(f"{levels[1][1]}]")
    counts = fixed.predict(draws=400, samples=table, normalization_factors=[1.0, 3.0])
    assert list(counts["sample"].values) == ["new1", "new2"]
    mean = counts.mean(["draw", "gene"]).to_numpy()
    np.testing.assert_allclose(mean, [np.exp(5.0), 3.0 * np.exp(4.0)], rtol=0.01)
    one = fixed.predict(draws=400, samples=table).mean(["draw", "gene"]).to_numpy()
    np.testing.assert_allclose(one, [np.exp(5.0), np.exp(4.0)], rtol=0.01)
    by_gene = np.linspace(1.0, 2.0, 2 * len(fixed.genes)).reshape(-1, 2)
    many = fixed.predict(draws=400, samples=table, normalization_factors=by_gene).mean("draw")
    np.testing.assert_allclose(many / by_gene, np.broadcast_to(one, by_gene.shape), rtol=0.05)


def test_draws_without_end_make_large_counts(posterior):
    counts = at_one_point(posterior, [600.0, 0.0, 0.0, 3.0]).predict(draws=5).to_numpy()
    assert (counts >= 0).all()
    assert counts.max() == 2**53


def test_checks_see_what_the_model_cannot_bring_about(posterior):
    """All counts of a gene predicted at 100 with hardly any spread, against what was seen."""
    usual = posterior.predictive_check(draws=400)
    assert ((usual > 0.0) & (usual < 1.0)).all(axis=None)
    assert 0.3 < usual["p_spread"].median() < 0.7
    wrong = at_one_point(posterior, [np.log(100.0), 0.0, 0.0, np.log(1e-4)]).predictive_check(draws=200)
    model = posterior.model()
    largest = (model.y / np.exp(model.log_nf)).max(axis=1)
    assert (wrong["p_largest"][largest > 300] == 0.0).all()
    assert (wrong["p_largest"][largest < 50] == 1.0).all()
    zeros = (model.y == 0).sum(axis=1)
    assert (wrong["p_zeros"][zeros > 0] == 0.0).all()
    assert (wrong["p_zeros"][zeros == 0] == 0.5).all()
    assert (wrong["p_spread"] == 0.0).mean() > 0.9


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"genes": "g1"}, "a list of names is needed"),
        ({"genes": ["nobody"]}, "there is no posterior of 'nobody'"),
        ({"normalization_factors": [1.0]}, "are for new samples"),
        ({"samples": pd.DataFrame({"type": ["single-read"]})}, "'condition'"),
        ({"draws": 0}, "draws must be a whole number"),
        ({"seed": -1}, "seed must be a whole number"),
    ],
)
def test_what_is_refused(posterior, arguments, message):
    with pytest.raises((InputError, OptionError), match=message):
        posterior.predict(**arguments)


def test_factors_that_do_not_fit(posterior):
    levels = {name: [posterior.design.factors[name][0]] for name in ("type", "condition")}
    for factors in ([1.0, 2.0], [0.0], [np.nan]):
        with pytest.raises(InputError, match="positive numbers of shape"):
            posterior.predict(samples=pd.DataFrame(levels), normalization_factors=factors)
