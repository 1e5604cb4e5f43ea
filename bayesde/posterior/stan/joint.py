"""Engine joint: genes and hyperparameters in one posterior, for panels."""

from __future__ import annotations

import logging
import math
from dataclasses import replace
from typing import Any

import numpy as np

from bayesde.model.hyperparameter_names import EFFECT_NU, SCALE
from bayesde.model.hyperparameter_space import LOWEST_NU, HyperparameterSpace
from bayesde.model.priors import Priors
from bayesde.posterior.draws.diagnostics import chain_diagnostics
from bayesde.posterior.draws.gene_draws import GeneDraws
from bayesde.posterior.hyper.hyperparameter_posterior import HyperparameterPosterior
from bayesde.posterior.options import SamplingOptions
from bayesde.posterior.stan.data import SamplerCoordinates, draws_of, names_of_draws, shared_data
from bayesde.posterior.stan.effects import CAUCHY, MIXTURE, STUDENT_T
from bayesde.posterior.stan.first_look import FirstLook
from bayesde.posterior.stan.nuts import SampledGenes
from bayesde.posterior.stan.run import Chains, ChainSettings, run_chains
from bayesde.stan_runtime import compiled_model
from bayesde.workers.progress import Progress

__all__ = ["sample_joint"]

logger = logging.getLogger(__name__)

START_SPREAD = 1.5
"""Starts of the hyperparameters are spread this much wider than their posterior."""


def sample_joint(
    look: FirstLook,
    settings: ChainSettings,
    *,
    options: SamplingOptions,
    seed: int,
    threads: int = 1,
    progress: Progress | None = None,
) -> tuple[SampledGenes, HyperparameterPosterior]:
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
    hyperparameters : HyperparameterPosterior
        All draws of the chains.
    """
    program = compiled_model(
        "joint", threads=True, progress=None if progress is None else lambda text: progress(0, 1, text)
    )
    model, space = look.genes.model, look.space
    data, starts = _joint_data(look), _starts(look, np.random.default_rng(seed))
    names = (*names_of_draws(look.genes), SCALE, "dispersion_sd", "log_asymptotic_dispersion")
    names += ("log_extra_poisson",) * data["trend"] + ("nu",) * data["residuals"]
    names += (EFFECT_NU,) * (data["M"] > 0) + ("random_sd_law",) * (data["R"] > 0)
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
    return _genes(chains, look.genes, attempts), _hyperparameters(chains, space)


def _joint_data(look: FirstLook) -> dict[str, Any]:
    """Return the data of stan/joint.stan."""
    model, space = look.genes.model, look.space
    scales = space.priors.shrinkage_scale
    return (
        shared_data(look.genes)
        | _hyperpriors(space.priors)
        | _random_effect_priors(space)
        | _laws(space)
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


def _laws(space: HyperparameterSpace) -> dict[str, Any]:
    """Return the laws of the effects, and which degrees of freedom are sampled, with their priors."""
    prior = space.priors.effect_nu
    with_nu = [i for part, i in space.of_effects if part == EFFECT_NU]
    scale_of, mixed = dict(zip(space.shrunken, space.scale_of, strict=True)), {k for k, _ in space.mixtures}
    columns = range(len(space.coefficients))
    nu_of = [1 + with_nu.index(scale_of[k]) if scale_of.get(k) in with_nu else 0 for k in columns]
    codes = [MIXTURE if k in mixed else STUDENT_T if nu_of[k] else CAUCHY for k in columns]
    return {
        "effects": codes,
        "M": len(with_nu),
        "nu_of": nu_of,
        "effect_nu_value": [1.0] * len(nu_of),
        "log_effect_nu_mean": [prior.log_median] * len(with_nu),
        "log_effect_nu_sd": [prior.log_sd] * len(with_nu),
    }


def _scale_of(space: HyperparameterSpace) -> list[int]:
    """Return which scale every coefficient has, counted from 1; 0 where not shrunken, or a mixture."""
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


def _random_effect_priors(space: HyperparameterSpace) -> dict[str, Any]:
    """Return the priors of the laws of random effects' standard deviations as data."""
    laws = (space.priors.random_effect_sd, space.priors.random_effect_sd_spread)
    n = len(space.random_effects)
    return {
        "random_sd_law_mean": [[law.log_median for law in laws]] * n,
        "random_sd_law_sd": [[law.log_sd for law in laws]] * n,
    }


def _starts(look: FirstLook, rng: np.random.Generator) -> list[dict[str, Any]]:
    """Return starts of all parameters: hyperparameters from wider than their posterior."""
    space, n_scales, n = look.space, look.space.n_scales, len(look.space.of_effects)
    first = n + 2 + space.trend
    last = first + 2 * len(space.random_effects)
    starts = []
    for z in look.starts:
        psi = look.psi_mean + START_SPREAD * look.psi_sd * rng.standard_normal(look.psi_mean.size)
        starts.append(
            {
                "z": z.tolist(),
                "log_shrinkage_scale": psi[:n_scales].tolist(),
                "log_effect_nu": psi[n_scales:n].tolist(),
                "log_dispersion_sd": float(psi[n]),
                "log_asymptotic_dispersion": float(psi[n + 1]),
                "log_extra_poisson": psi[n + 2 : first].tolist(),
                "random_sd_law": psi[first:last].tolist(),
                "nu": [LOWEST_NU + math.exp(value) for value in psi[last:].tolist()],
            }
        )
    return starts


def _variances(look: FirstLook) -> np.ndarray:
    """Return the variances of all that the sampler moves, in the order of its declaration."""
    return np.concatenate([look.variances.ravel(), look.psi_sd**2])


def _hyperparameters(chains: Chains, space: HyperparameterSpace) -> HyperparameterPosterior:
    """Return the draws of the hyperparameters, one chain after the other."""
    drawn = chains.variables
    columns = [drawn[part][:, :, space.shrunken[space.scale_of.index(i)]] for part, i in space.of_effects]
    columns += [drawn["dispersion_sd"], np.exp(drawn["log_asymptotic_dispersion"])]
    if space.trend:
        columns.append(np.exp(drawn["log_extra_poisson"][:, :, 0]))
    if space.random_effects:
        columns += list(np.exp(drawn["random_sd_law"]).transpose(2, 0, 1))
    if space.student_t:
        columns.append(drawn["nu"][:, :, 0])
    phi = np.column_stack([column.ravel() for column in columns])
    return HyperparameterPosterior(space, phi, np.full(len(phi), 1.0 / len(phi)), len(columns[0]))


def _genes(chains: Chains, genes: SamplerCoordinates, attempts: int) -> SampledGenes:
    draws = draws_of(chains, genes)
    n_genes, size = draws.shape[2:]
    report = chain_diagnostics(draws)
    for name in ("divergences", "treedepth_hits", "gradients"):
        report[name] = np.full(n_genes, float(getattr(chains, name)))
    report["attempts"] = np.full(n_genes, float(attempts))
    theta = np.ascontiguousarray(draws.transpose(2, 0, 1, 3), dtype=np.float32).reshape(n_genes, -1, size)
    return SampledGenes(GeneDraws(theta, chains=draws.shape[0]), report, chains.statistics)
