"""Everything that engine psis and its tables compile, called once on very little data.

``python -m bayesde.posterior.warm_up PART`` leaves the compiled loops of a part in numba's cache, so that
several processes can share the work of a first run. A part calls what a run calls, with arrays of the same
types and layouts; `tests/posterior/test_warm_up.py` holds it to that.
"""

from __future__ import annotations

import sys

import numpy as np

from bayesde.model.density import ConditionalModel
from bayesde.model.hyperparameter_space import HyperparameterSpace
from bayesde.model.hyperparameters import Hyperparameters
from bayesde.model.modes import Starts
from bayesde.numerics.elementary import exponentials
from bayesde.numerics.small_matrices import inverse, products, solve
from bayesde.posterior.draws.gene_draws import GeneDraws
from bayesde.posterior.draws.pareto_smoothing import effective_size, smooth_log_weights, smoothed
from bayesde.posterior.draws.resampling import resampled
from bayesde.posterior.hyper.hyperparameter_posterior import HyperparameterPosterior
from bayesde.posterior.hyper.learning import draw_all
from bayesde.posterior.hyper.marginal_likelihood import gene_weights
from bayesde.posterior.proposal.adaptation import adapted
from bayesde.posterior.proposal.components import gene_mixtures
from bayesde.posterior.proposal.drawing import fitted_shares
from bayesde.posterior.proposal.genes import ProposedGenes
from bayesde.posterior.proposal.mixture import Mixture
from bayesde.posterior.queries.pointwise import leave_out_weights, log_probabilities, predictions
from bayesde.posterior.summaries.one_contrast import contrast_summary, mean_dispersion

__all__ = ["PARTS", "warm_up"]

GENES, SAMPLES, DRAWS = 3, 4, 100
EFFECT = 3.0
"""Far from zero, for the tail to be followed to there."""
HYPER = Hyperparameters(
    shrinkage_scale={"effect": 0.1}, dispersion_sd=0.5, asymptotic_dispersion=0.1, extra_poisson=1.0
)


def warm_up(part: str) -> None:
    """Compile a part, or load it.

    Parameters
    ----------
    part : {"components", "draws", "tables", "outliers"}
    """
    PARTS[part]()


def _model() -> ConditionalModel:
    x = np.column_stack([np.ones(SAMPLES), np.arange(SAMPLES) % 2.0])
    x.flags.writeable = False
    return ConditionalModel(
        y=np.tile(np.array([10, 200], dtype=np.int64), (GENES, SAMPLES // 2)),
        log_nf=np.zeros((GENES, SAMPLES)),
        x=x,
        base_mean=np.full(GENES, 105.0),
        log_trend=HYPER.log_trend(np.full(GENES, 105.0)),
        shrunken=np.array([False, True]),
        shrinkage_scale=np.array([1.0, 0.1]),
        dispersion_sd=0.5,
        nu=HYPER.degrees_of_freedom,
    )


def _start() -> Starts:
    seeds = np.arange(GENES, dtype=np.uint32)
    return Starts(np.tile([2.3, EFFECT], (GENES, 1)), np.full(GENES, -2.0), seeds)


def _components() -> None:
    start = _start()
    gene_mixtures(_model(), start.beta, start.log_dispersion)


def _draws() -> None:
    model, start = _model(), _start()
    location = np.column_stack([start.beta, start.log_dispersion])[:, None].repeat(2, axis=1)
    shape = np.broadcast_to(3.0 * np.eye(3), (GENES, 2, 3, 3)).copy()
    half = np.zeros(location.shape, dtype=np.int8)
    proposal = Mixture(location, shape, np.zeros(location.shape), half, np.full((GENES, 2), 0.5))
    piece = ProposedGenes(np.arange(GENES), model, start, fitted_shares(model, proposal, start.seeds))
    space = HyperparameterSpace(("Intercept", "effect"), (1,), True, False)
    room = np.empty((GENES, DRAWS, 3), dtype=np.float32)
    likelihood, psi = draw_all([piece], space, DRAWS, room), space.psi_of(HYPER)
    _, gradient, scores = likelihood.evaluate(psi)
    likelihood.log_posterior(psi[None])
    information = products(scores) + np.eye(psi.size)
    solve(information, gradient)
    inverse(information)
    points = HyperparameterPosterior.fixed(space, HYPER, 1)
    weights = gene_weights(space, model.base_mean, likelihood.theta, likelihood.log_ratio, points)
    log_weights, _ = smoothed(weights)
    effective_size(log_weights)
    adapted(piece.proposal, likelihood.theta, exponentials(log_weights))


def _tables() -> None:
    rng = np.random.default_rng(1)
    theta = rng.normal([2.3, EFFECT, -2.0], 0.1, (GENES, DRAWS, 3)).astype(np.float32)
    log_weights = np.full((GENES, DRAWS), -np.log(DRAWS), dtype=np.float32)
    draws = GeneDraws(theta, log_weights, has_atoms=True)  # which needs one loop more than without
    contrast_summary(draws, np.array([0.0, 1.0]), models=[_model()])
    mean_dispersion(draws)
    resampled(draws, _start().seeds)


def _outliers() -> None:
    """Predict counts by weights, and from draws that have not seen them."""
    model, theta = _model(), np.zeros((GENES, DRAWS, 3), dtype=np.float32)
    weights = np.full((GENES, DRAWS), 1.0 / DRAWS)
    for some in (theta, theta[:, ::2].copy()):
        log_p = log_probabilities(model, some)
        left_out = np.zeros(model.y.shape, dtype=bool)
        log_weights, _ = leave_out_weights(log_p, weights[:, : some.shape[1]].copy(), left_out)
        smooth_log_weights(log_weights.reshape(-1, log_weights.shape[-1]))
        predictions(model, some, log_p, log_weights)


PARTS = {"components": _components, "draws": _draws, "tables": _tables, "outliers": _outliers}


if __name__ == "__main__":
    warm_up(sys.argv[1])
