"""Engine joint: genes and hyperparameters in one posterior, for panels."""

from __future__ import annotations

import logging
import math
from dataclasses import replace
from typing import Any

import numpy as np

from bayesde.model.density import ConditionalModel
from bayesde.model.hyperparameter_space import HyperparameterSpace
from bayesde.model.hyperparameters import Hyperparameters
from bayesde.model.priors import Priors
from bayesde.posterior.draws.diagnostics import chain_diagnostics
from bayesde.posterior.draws.gene_draws import GeneDraws
from bayesde.posterior.options import SamplingOptions
from bayesde.posterior.progress import Progress
from bayesde.posterior.stan.data import shared_data
from bayesde.posterior.stan.first_look import FirstLook
from bayesde.posterior.stan.nuts import SampledGenes
from bayesde.posterior.stan.run import Chains, ChainSettings, run_chains
from bayesde.stan_runtime import compiled_model

__all__ = ["sample_joint"]

logger = logging.getLogger(__name__)

START_SPREAD = 1.5
"""Starts of the hyperparameters are spread this much wider than their posterior."""
KEPT_DRAWS = 1000
"""Of each hyperparameter, in `Hyperparameters.draws`; evenly from all chains."""


def sample_joint(
    look: FirstLook,
    settings: ChainSettings,
    *,
    options: SamplingOptions,
    seed: int,
    threads: int = 1,
    progress: Progress | None = None,
) -> tuple[SampledGenes, Hyperparameters, dict[str, np.ndarray]]:
    """Sample genes and hyperparameters together; once more, with smaller steps, if that diverged.

    Parameters
    ----------
    look : FirstLook
        Its space chooses the model of the dispersions, and has the priors of the hyperparameters.
    settings : ChainSettings
    options : SamplingOptions
    seed : int
    threads : int
        Processor cores to use; does not change a number.
    progress : callable, optional

    Returns
    -------
    genes : SampledGenes
        Divergences and tree depths are those of the whole posterior, for every gene.
    hyperparameters : Hyperparameters
        Posterior means, standard deviations and draws.
    shared : dict of str to ndarray (chain, draw)
        All draws of the hyperparameters, by the names that `Hyperparameters.draws` has.
    """
    program = compiled_model(
        "joint", threads=True, progress=None if progress is None else lambda text: progress(0, 1, text)
    )
    model, space = look.genes.model, look.space
    data, starts = _joint_data(look), _starts(look, np.random.default_rng(seed))
    names = ("beta", "log_dispersion", "shrinkage_scale", "dispersion_sd", "log_asymptotic_dispersion")
    names += ("log_extra_poisson",) * data["trend"] + ("nu",) * data["residuals"]
    if progress is not None:
        progress(0, 1, f"sampling {model.n_genes} genes and their hyperparameters together")
    seed, attempts = seed % (2**31 - 2) + 1, 1
    common = (names, threads, _variances(look))
    chains = run_chains(program, data, starts, settings, seed, *common)
    if chains.divergences:
        logger.info("%d divergent transitions: sampling again with smaller steps", chains.divergences)
        careful = replace(
            settings,
            adapt_delta=options.rerun_adapt_delta,
            max_treedepth=options.max_treedepth + 2,
            warmup=2 * settings.warmup,
        )
        chains, attempts = run_chains(program, data, starts, careful, seed + 1, *common), 2
    if progress is not None:
        progress(1, 1, "sampling")
    shared = _shared_draws(chains, space)
    hyper = _posterior_of(shared, space)
    return _genes(chains, model, attempts), hyper, shared


def _joint_data(look: FirstLook) -> dict[str, Any]:
    """Return the data of stan/joint.stan."""
    model, space = look.genes.model, look.space
    scales = space.priors.shrinkage_scale
    return (
        shared_data(look.genes)
        | _hyperpriors(space.priors)
        | {
            "base_mean": model.base_mean.tolist(),
            "K": space.n_scales,
            "scale_of": _scale_of(space),
            "log_scale_mean": [scales.log_median] * space.n_scales,
            "log_scale_sd": [scales.log_sd] * space.n_scales,
            "residuals": int(space.student_t),
            "trend": int(space.trend),
            "grainsize": max(1, model.n_genes // 8),
        }
    )


def _scale_of(space: HyperparameterSpace) -> list[int]:
    """Return which scale every coefficient has, counted from 1; 0 where it is not shrunken."""
    scale_of = dict(zip(space.shrunken, space.scale_of, strict=True))
    return [scale_of.get(k, -1) + 1 for k in range(len(space.coefficients))]


def _hyperpriors(priors: Priors) -> dict[str, Any]:
    """Return the priors of the hyperparameters as data."""
    return {
        "dispersion_sd_prior": 0,
        "dispersion_sd_hyper": [priors.dispersion_sd.log_median, priors.dispersion_sd.log_sd, 1.0],
        "log_asymptotic_dispersion_mean": priors.asymptotic_dispersion.log_median,
        "log_asymptotic_dispersion_sd": priors.asymptotic_dispersion.log_sd,
        "log_extra_poisson_mean": priors.extra_poisson.log_median,
        "log_extra_poisson_sd": priors.extra_poisson.log_sd,
        "nu_known": 0,
        "nu_value": 1.0,
        "nu_shape": priors.nu.shape,
        "nu_rate": priors.nu.rate,
    }


def _starts(look: FirstLook, rng: np.random.Generator) -> list[dict[str, Any]]:
    """Return starts of all parameters: hyperparameters from wider than their posterior."""
    scales = [name for name in look.hyper if name.startswith("shrinkage_scale")]

    def near(*names: str) -> list[float]:
        known = [look.hyper[name] for name in names if name in look.hyper]
        return [mean + START_SPREAD * sd * float(rng.standard_normal()) for mean, sd in known]

    return [
        {
            "z": z.tolist(),
            "log_shrinkage_scale": near(*scales),
            "log_dispersion_sd": near("dispersion_sd")[0],
            "log_asymptotic_dispersion": near("asymptotic_dispersion")[0],
            "log_extra_poisson": near("extra_poisson"),
            "nu": [2.0 + math.exp(value) for value in near("nu")],
        }
        for z in look.starts
    ]


def _variances(look: FirstLook) -> np.ndarray:
    """Return the variances of all that the sampler moves, in the order of its declaration."""
    return np.concatenate([look.variances.ravel(), [sd**2 for _, sd in look.hyper.values()]])


def _shared_draws(chains: Chains, space: HyperparameterSpace) -> dict[str, np.ndarray]:
    drawn = chains.variables
    shared = {
        f"shrinkage_scale[{space.coefficients[k]}]": drawn["shrinkage_scale"][:, :, k] for k in space.shrunken
    }
    shared["dispersion_sd"] = drawn["dispersion_sd"]
    shared["asymptotic_dispersion"] = np.exp(drawn["log_asymptotic_dispersion"])
    if "log_extra_poisson" in drawn:
        shared["extra_poisson"] = np.exp(drawn["log_extra_poisson"][:, :, 0])
    if "nu" in drawn:
        shared["nu"] = drawn["nu"][:, :, 0]
    return shared


def _posterior_of(shared: dict[str, np.ndarray], space: HyperparameterSpace) -> Hyperparameters:
    """Summarize the draws of the hyperparameters."""
    mean = {name: float(values.mean()) for name, values in shared.items()}
    step = max(1, next(iter(shared.values())).size // KEPT_DRAWS)
    names = [space.coefficients[k] for k in space.shrunken]
    return Hyperparameters(
        shrinkage_scale={name: mean[f"shrinkage_scale[{name}]"] for name in names},
        dispersion_sd=mean["dispersion_sd"],
        asymptotic_dispersion=mean["asymptotic_dispersion"],
        extra_poisson=mean.get("extra_poisson", 0.0),
        residuals="student_t" if space.student_t else "normal",
        nu=mean.get("nu"),
        sd={name: float(values.std(ddof=1)) for name, values in shared.items()},
        draws={name: values.reshape(-1)[::step].astype(np.float64) for name, values in shared.items()},
        source="joint",
    )


def _genes(chains: Chains, model: ConditionalModel, attempts: int) -> SampledGenes:
    drawn = chains.variables
    draws = np.concatenate([drawn["beta"], drawn["log_dispersion"][..., None]], axis=-1)
    report = chain_diagnostics(draws)
    for name in ("divergences", "treedepth_hits", "gradients"):
        report[name] = np.full(model.n_genes, float(getattr(chains, name)))
    report["attempts"] = np.full(model.n_genes, float(attempts))
    theta = np.ascontiguousarray(draws.transpose(2, 0, 1, 3), dtype=np.float32)
    shape = (model.n_genes, -1, draws.shape[3])
    return SampledGenes(GeneDraws(theta.reshape(shape), chains=draws.shape[0]), report, chains.statistics)
