"""One scale for all coefficients of a term: engine joint, and engine psis on the same panel."""

from __future__ import annotations

import numpy as np
import pytest
from reference.monte_carlo import log_scores

from bayesde.datasets import load_airway
from bayesde.eb.fit import fit_eb
from bayesde.posterior import Hyperparameters, Priors, SamplingOptions, fit_posterior
from bayesde.posterior.hyper.learning import learn
from bayesde.posterior.request import Request

OPTIONS = SamplingOptions(scales="term", coding="treatment")
CELLS = [f"cell[T.{name}]" for name in ("N061011", "N080611", "N61311")]
DEX = "dex[T.untrt]"


@pytest.fixture(scope="module")
def airway():
    return fit_eb(load_airway(), "~ cell + dex")


@pytest.fixture(scope="module")
def rows(airway):
    """Rows of 30 genes at equal steps of the rank of their mean, those of next to no counts left out."""
    expressed = np.flatnonzero(airway.estimated & (airway.base_mean > 20.0))
    order = expressed[np.argsort(airway.base_mean[expressed], kind="stable")]
    return np.sort(order[np.linspace(0, order.size - 1, 30).astype(int)])


@pytest.fixture(scope="module")
def by_joint(airway, rows, cmdstan):
    return fit_posterior(
        airway.counts,
        airway.design,
        engine="joint",
        genes=list(airway.counts.genes[rows]),
        eb=airway,
        options=OPTIONS,
        chains=2,
        warmup=250,
        draws=500,
        workers=2,
    )


@pytest.fixture(scope="module")
def by_psis(airway, rows):
    """Three times: of so few genes the weighted draws of one run leave errors of up to half an sd."""
    return [learnt(airway, rows, OPTIONS, draws=2000, seed=seed) for seed in (1, 2, 3)]


def learnt(airway, rows, options, draws, seed):
    start = Hyperparameters.from_eb(airway)
    request = Request(airway, rows, start, True, draws, 1, 1, seed, 1, options, Priors())
    rng, space = np.random.default_rng(seed), request.space
    return learn(request.model(rows), request.start(rows), space, space.psi_of(start), rng).summary(rng)


def test_coefficients_of_a_term_have_the_same_draws(by_joint, by_psis):
    hyper = by_joint.hyperparameters
    names = [f"shrinkage_scale[{name}]" for name in (*CELLS, DEX)]
    rest = ["dispersion_sd", "asymptotic_dispersion", "extra_poisson"]
    assert list(hyper.draws) == list(by_psis[0].draws) == list(by_joint.shared) == names + rest
    assert list(hyper.sd) == list(by_psis[0].sd)
    first, *others = (by_joint.shared[name] for name in names[:3])
    for other in others:
        np.testing.assert_array_equal(other, first)
    assert len({hyper.shrinkage_scale[name] for name in CELLS}) == 1
    assert hyper.shrinkage_scale[DEX] != hyper.shrinkage_scale[CELLS[0]]
    assert not np.array_equal(by_joint.shared[names[3]], first)
    assert (by_joint.hyperparameter_summary.loc[names, "ess_bulk"] > 50.0).all()


def test_engines_learn_the_same_scales(by_joint, by_psis):
    size = sum(run.checks["effective_points"] for run in by_psis)
    for name, draws in by_joint.shared.items():
        points = np.concatenate([run.draws[name] for run in by_psis])
        assert np.abs(log_scores(draws, points, size)).max() < 5.0, name


def test_a_shared_scale_is_known_better_than_those_of_single_coefficients(airway, rows, by_joint):
    """Three times as many coefficients speak of it."""
    single = learnt(airway, rows, SamplingOptions(), draws=1000, seed=1)
    names = [f"shrinkage_scale[{name}]" for name in CELLS]
    spread = [np.log(single.draws[name]).std() for name in names]
    assert np.log(by_joint.hyperparameters.draws[names[0]]).std() < min(spread)
