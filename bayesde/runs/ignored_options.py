"""Options that were set for a run that does not use them; the log names them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from bayesde.model.effect_laws import WITH_NU, WITH_NULL
from bayesde.model.priors import Priors
from bayesde.posterior.options import SamplingOptions
from bayesde.runs.options import ModelPlan, SamplePlan
from bayesde.runs.plan import RunPlan

__all__ = ["ignored_options"]

_OF_TESTS = ("test", "alternative", "shrinkage", "reduced", "shrink")
_OF_CHAINS = ("warmup", "chains")
_OF_NUTS = (
    "block_size",
    "adapt_delta",
    "rerun_adapt_delta",
    "max_treedepth",
    "max_rhat",
    "min_ess",
)
_OF_LEARNING = ("scales",)  # residuals and trend are checked against what is fixed
_OF_HYPERPARAMETERS = (
    "shrinkage_scale",
    "effect_nu",
    "pi0",
    "dispersion_sd",
    "asymptotic_dispersion",
    "extra_poisson",
    "nu",
)


def ignored_options(plan: RunPlan) -> list[str]:
    """Return the tables and options that differ from their defaults and that a run does not use.

    Parameters
    ----------
    plan : RunPlan

    Returns
    -------
    list of str
        For example ``["[sampling] block_size", "[priors] nu"]``.
    """
    if plan.command == "eb":
        kinds = {"sample": SamplePlan, "sampling": SamplingOptions, "priors": Priors}
        return [f"[{name}]" for name, kind in kinds.items() if getattr(plan, name) != kind()]
    sample, sampling = _of_engine(plan)
    return [
        *_changed("model", plan.model, ModelPlan(design=""), _OF_TESTS),
        *_changed("sample", plan.sample, SamplePlan(), sample),
        *_changed("sampling", plan.sampling, SamplingOptions(), sampling),
        *_changed("priors", plan.priors, Priors(), _unused_priors(plan)),
    ]


def _of_engine(plan: RunPlan) -> tuple[list[str], list[str]]:
    """Return the options of ``[sample]`` and ``[sampling]`` that the plan's engine does not use."""
    engine = plan.sample.engine
    learning = list(_OF_LEARNING) if plan.fixed else []
    if engine == "joint":
        return [], ["block_size", "hand_over"]
    if engine == "nuts":
        return [], ["hand_over", *learning]
    if plan.sampling.hand_over:  # to engine nuts, which uses the rest
        return [], learning
    return list(_OF_CHAINS), [*_OF_NUTS, *learning]


def _unused_priors(plan: RunPlan) -> list[str]:
    """Return the priors of hyperparameters that are not learnt."""
    if plan.fixed:
        return list(_OF_HYPERPARAMETERS)
    effects = plan.sampling.effects
    chosen = [effects] if isinstance(effects, str) else effects.values()
    laws = {law for law in chosen if isinstance(law, str)}
    without = {
        "shrinkage_scale": plan.sampling.shrink == (),
        "extra_poisson": (plan.sampling.trend or plan.eb.trend) in ("constant", "mean"),
        "nu": plan.sampling.residuals != "student_t",
        "effect_nu": not laws & set(WITH_NU),
        "pi0": not laws & set(WITH_NULL),
    }
    return [name for name, absent in without.items() if absent]


def _changed(table: str, options: Any, default: Any, names: Iterable[str]) -> list[str]:
    """Return those of some options that differ from their defaults."""
    return [f"[{table}] {name}" for name in names if getattr(options, name) != getattr(default, name)]
