"""One call of a Stan program, the only place where cmdstanpy samples. Its files are read and deleted."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from bayesde.errors import FitError, SamplerStopped

if TYPE_CHECKING:
    from cmdstanpy import CmdStanModel

__all__ = ["ChainSettings", "Chains", "run_chains"]

STATISTICS = {
    "lp": "lp__",
    "energy": "energy__",
    "diverging": "divergent__",
    "tree_depth": "treedepth__",
    "n_steps": "n_leapfrog__",
    "acceptance_rate": "accept_stat__",
    "step_size": "stepsize__",
}
"""What ArviZ calls the columns that CmdStan writes of every draw."""
SIGNIFICANT_DIGITS = 9
"""Of what CmdStan writes: enough for draws that are kept in single precision."""


@dataclass(frozen=True)
class ChainSettings:
    """How NUTS is run.

    Attributes
    ----------
    chains, warmup, draws, thin : int
        Of ``draws * thin`` iterations per chain every ``thin``-th is kept.
    adapt_delta : float
    max_treedepth : int
    """

    chains: int
    warmup: int
    draws: int
    adapt_delta: float
    max_treedepth: int
    thin: int = 1


@dataclass(frozen=True, eq=False)
class Chains:
    """Draws of some variables, and the sampler's diagnostics.

    Attributes
    ----------
    variables : dict of str to ndarray (chain, draw, ...)
    divergences, treedepth_hits : int
        Over all chains, without warm-up.
    gradients : float
        Evaluations of the gradient per draw, mean.
    step_size : ndarray (chain,)
    statistics : dict of str to ndarray (chain, draw)
        The sampler's statistics of every draw, by ArviZ's names: ``lp``, ``energy``, ``diverging``,
        ``tree_depth``, ``n_steps``, ``acceptance_rate``, ``step_size``.
    """

    variables: dict[str, np.ndarray]
    divergences: int
    treedepth_hits: int
    gradients: float
    step_size: np.ndarray
    statistics: dict[str, np.ndarray] = field(default_factory=dict)


def run_chains(
    program: CmdStanModel,
    data: dict[str, Any],
    starts: Sequence[Mapping[str, Any]],
    settings: ChainSettings,
    seed: int,
    variables: Sequence[str],
    threads: int = 1,
    variances: np.ndarray | None = None,
) -> Chains:
    """Sample a Stan program.

    Parameters
    ----------
    program : CmdStanModel
    data : dict
    starts : sequence of dict
        Starting values of the parameters, one per chain.
    settings : ChainSettings
    seed : int
        Chains with the same seed, data and starts are the same.
    variables : sequence of str
        Which variables to return.
    threads : int
        Chains that run at a time (or, in a program with threads, threads in all).
    variances : ndarray (parameter,), optional
        Of the unconstrained parameters, in the order of their declaration: where the adaptation of the
        metric starts. By default all 1.

    Returns
    -------
    Chains

    Raises
    ------
    FitError
        If a chain cannot be run to its end; the message has Stan's own.
    """
    if variances is None:
        variances = np.ones(sum(np.size(value) for value in starts[0].values()))
    with tempfile.TemporaryDirectory(prefix="bayesde-") as folder:
        try:
            fit = program.sample(
                data=data,
                chains=settings.chains,
                seed=seed,
                inits=list(starts),
                iter_warmup=settings.warmup,
                iter_sampling=settings.draws * settings.thin,
                thin=settings.thin,
                max_treedepth=settings.max_treedepth,
                adapt_delta=settings.adapt_delta,
                inv_metric={"inv_metric": variances.tolist()},
                output_dir=folder,
                sig_figs=SIGNIFICANT_DIGITS,
                show_progress=False,
                show_console=False,
                **_parallelism(program, settings.chains, threads),
            )
        except (RuntimeError, ValueError) as problem:
            if (signal := _signal_in(str(problem))) is not None:
                raise SamplerStopped(
                    f"Stan was stopped by signal {signal} while sampling {program.name} (9: probably out of "
                    "memory). Finished blocks are kept; the run can be resumed."
                ) from None
            raise FitError(f"Stan could not sample {program.name}: {_last_lines(str(problem))}") from problem
        return _read(fit, settings, variables)


def _parallelism(program: CmdStanModel, chains: int, threads: int) -> dict[str, Any]:
    """Divide threads among chains, as the program was compiled for."""
    if "STAN_THREADS" not in (program.cpp_options or {}):
        return {"parallel_chains": max(1, min(chains, threads))}
    at_once = max(1, min(chains, threads))
    return {"parallel_chains": at_once, "threads_per_chain": max(1, threads // at_once)}


def _read(fit: Any, settings: ChainSettings, variables: Sequence[str]) -> Chains:
    methods = fit.method_variables()
    shape = (settings.draws, settings.chains)
    drawn = {}
    for name in variables:
        flat = fit.stan_variable(name)  # (chain * draw, ...), chain after chain
        drawn[name] = flat.reshape(settings.chains, settings.draws, *flat.shape[1:])
    depth = np.asarray(methods["treedepth__"]).reshape(shape)
    return Chains(
        drawn,
        int(np.sum(methods["divergent__"])),
        int(np.sum(depth >= settings.max_treedepth)),
        float(np.mean(methods["n_leapfrog__"])),
        np.asarray(fit.step_size, dtype=np.float64),
        {name: np.asarray(methods[theirs]).reshape(shape).T for name, theirs in STATISTICS.items()},
    )


def _signal_in(message: str) -> int | None:
    """Find the signal that stopped a chain in cmdstanpy's message; -1 is a chain that did not start."""
    codes = re.search(r"retcodes=\[([-\d, ]*)\]", message)
    signals = [-int(code) for code in codes[1].split(",") if int(code) < -1] if codes else []
    return signals[0] if signals else None


def _last_lines(text: str, count: int = 6) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return " | ".join(lines[:count])
