"""What was checked of a posterior, and what failed: a sentence, and a table of the hyperparameters."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import pandas as pd

from bayesde.errors import first_few
from bayesde.model.hyperparameters import Hyperparameters
from bayesde.posterior.data import PosteriorData
from bayesde.posterior.draws.diagnostics import chain_diagnostics
from bayesde.posterior.draws.pareto_smoothing import MAX_K
from bayesde.posterior.hyper.laws import TELLING
from bayesde.statuses import FAILED

__all__ = ["better_law", "checked", "hyperparameter_summary", "roughly_known", "smallest_bfmi"]

INTERVAL = (0.05, 0.95)
OF_POINTS = ("points", "effective_points", "pareto_k")
MOST_LAWS = 4
"""Coefficients whose laws a sentence lists."""
SMALLEST_BFMI = 0.3
FEWEST_POINTS = 20.0
"""Effective points of the hyperparameters below which their posterior is only roughly known."""


def checked(posterior: PosteriorData) -> str:
    """Say in one sentence what was checked of a posterior and what failed.

    Parameters
    ----------
    posterior : PosteriorData

    Returns
    -------
    str
        For example ``"12,359 genes by psis: Pareto k <= 0.7 for 12,355; 4 handed over to nuts, of which 4
        passed (R-hat <= 1.01, effective sizes >= 400, no divergence); hyperparameters: 310 effective points
        of 400 (Pareto k 0.21); nothing failed"``.
    """
    sampled = posterior.diagnostics[posterior.diagnostics["sampled"]]
    by_weights = posterior.engine == "psis"
    genes = _of_weights(sampled, posterior) if by_weights else _of_chains(sampled, posterior)
    parts = [genes, _of_hyperparameters(posterior), better_law(posterior.hyperparameters)]
    return "; ".join([*filter(None, parts), _failures(sampled, roughly_known(posterior))])


def better_law(hyper: Hyperparameters) -> str:
    """Say by how much another law explains the effects better than Cauchy's.

    Parameters
    ----------
    hyper : Hyperparameters

    Returns
    -------
    str
        For example ``"a Student t with nu = 5.0 (3.9 to 6.6) explains these effects better than the Cauchy by
        1,036 log units (--effects student_t)"``; empty if it does not, by more than `TELLING`.
    """
    gain = hyper.checks.get("student_t_gain", 0.0)
    if not gain > TELLING:
        return ""
    shown = [name for name in hyper.shrinkage_scale if f"student_t[{name}]" in hyper.checks]
    texts = [_degrees_of_freedom(hyper.checks, name, len(shown) > 1) for name in shown[:MOST_LAWS]]
    more = f" and {len(shown) - MOST_LAWS} more" if len(shown) > MOST_LAWS else ""
    return (
        f"a Student t with nu = {', '.join(texts)}{more} explains these effects better than the Cauchy by "
        f"{gain:,.0f} log units (--effects student_t)"
    )


def _degrees_of_freedom(checks: Mapping[str, float], name: str, several: bool) -> str:
    value, lower, upper = (checks[f"student_t{end}[{name}]"] for end in ("", "_lower", "_upper"))
    shown = [f"{one:,.0f}" if one >= 10.0 else f"{one:.2g}" for one in (value, lower, upper)]
    return f"{shown[0]} ({shown[1]} to {shown[2]}{f', {name}' if several else ''})"


def _of_weights(sampled: pd.DataFrame, posterior: PosteriorData) -> str:
    """Say what was checked of the genes of engine psis, and of those that it handed over."""
    own = sampled["engine"] == "psis"
    handed, kept = sampled[~own], sampled[own]
    passed = int((kept["pareto_k"] <= MAX_K).sum())
    parts = [f"{len(sampled):,} genes by psis: Pareto k <= {MAX_K:g} for {passed:,}"]
    if low := int((kept["status"] == "low_ess").sum()):
        parts.append(f"too few effective draws for {low:,}")
    if len(handed):
        fine = int((handed["status"] == "ok").sum())
        parts.append(
            f"{len(handed):,} handed over to {handed['engine'].iloc[0]}, of which {fine:,} passed "
            f"({_limits(posterior)})"
        )
    return "; ".join(parts)


def _of_chains(sampled: pd.DataFrame, posterior: PosteriorData) -> str:
    """Say what was checked of genes that Stan sampled."""
    request = posterior.request
    fine = int((sampled["status"] == "ok").sum())
    return (
        f"{len(sampled):,} genes by {posterior.engine}, {request.chains} chains of {request.draws:,} draws: "
        f"{_limits(posterior)} for {fine:,}"
    )


def _limits(posterior: PosteriorData) -> str:
    options = posterior.request.options
    return f"R-hat <= {options.max_rhat:g}, effective sizes >= {options.min_ess:g}, no divergence"


def _of_hyperparameters(posterior: PosteriorData) -> str:
    """Say how well the hyperparameters are known."""
    hyper = posterior.hyperparameters
    if posterior.shared:
        table = hyperparameter_summary(posterior)
        size = table[["ess_bulk", "ess_tail"]].min(axis=1)
        energy = "energy" in posterior.statistics
        moved = f", smallest E-BFMI {smallest_bfmi(posterior):.2f}" if energy else ""
        return (
            f"hyperparameters: largest R-hat {table['rhat'].max():.3f}, smallest effective size "
            f"{size.min():,.0f} ({size.idxmin()}){moved}"
        )
    if not hyper.draws:
        return "hyperparameters: fixed"
    if not hyper.checks:
        return "hyperparameters: averaged over given draws"
    return f"hyperparameters: {_of_points(hyper)}"


def smallest_bfmi(posterior: PosteriorData) -> float:
    """Return the estimated Bayesian fraction of missing information (E-BFMI) of the worst chain.

    Mean square of the energy's steps over its variance (Betancourt 2016, arXiv:1604.00695).

    Parameters
    ----------
    posterior : PosteriorData

    Returns
    -------
    float
        Infinite if the energy is not known.
    """
    energy = posterior.statistics.get("energy")
    if energy is None:
        return math.inf
    return float(np.min(np.square(np.diff(energy, axis=1)).mean(axis=1) / energy.var(axis=1)))


def _of_points(hyper: Hyperparameters) -> str:
    checks = hyper.checks
    text = f"{checks['effective_points']:,.0f} effective points of {checks['points']:,.0f}"
    return text + (f" (Pareto k {checks['pareto_k']:.2f})" if "pareto_k" in checks else "")


def roughly_known(posterior: PosteriorData) -> bool:
    """Return whether the hyperparameters, which were learnt or sampled, failed a check.

    Parameters
    ----------
    posterior : PosteriorData

    Returns
    -------
    bool
    """
    options, found = posterior.request.options, posterior.hyperparameters.checks
    if posterior.shared:
        table = hyperparameter_summary(posterior)
        size = table[["ess_bulk", "ess_tail"]].min(axis=1)
        fine = (table["rhat"] <= options.max_rhat) & (size >= options.min_ess)
        return not fine.all() or smallest_bfmi(posterior) < SMALLEST_BFMI
    if not found:
        return False
    few = found["effective_points"] < min(FEWEST_POINTS, 0.5 * found["points"])
    return few or found.get("pareto_k", 0.0) > MAX_K


def _failures(sampled: pd.DataFrame, rough: bool) -> str:
    """Say which checks failed, and the first genes that failed them."""
    failed = sampled[sampled["status"].isin(FAILED)]
    parts = ["the hyperparameters, which are only roughly known"] if rough else []
    if len(failed):
        counts = ", ".join(f"{count:,} {name}" for name, count in failed["status"].value_counts().items())
        advice = ", which engine nuts may do" if (failed["engine"] == "psis").all() else ""
        parts.append(f"{counts} ({first_few(failed.index, 3)}){advice}")
    return "failed: " + ", ".join(parts) if parts else "nothing failed"


def hyperparameter_summary(posterior: PosteriorData) -> pd.DataFrame:
    """Summarize the hyperparameters, with what is known of their sampling.

    Parameters
    ----------
    posterior : PosteriorData

    Returns
    -------
    pandas.DataFrame
        One row per hyperparameter, natural-log units: ``mean``, ``sd``, ``lower`` and ``upper`` (ends of the
        90 % interval). Engine joint adds ``rhat``, ``ess_bulk`` and ``ess_tail``; engine psis, which
        has weighted points, ``points``, ``effective_points`` and the ``pareto_k`` of their weights.
    """
    hyper = posterior.hyperparameters
    table = pd.DataFrame({"mean": hyper.named}, dtype=float)
    table["sd"] = pd.Series(hyper.sd, dtype=float)
    for name, level in zip(("lower", "upper"), INTERVAL, strict=True):
        values = {key: float(np.quantile(draws, level)) for key, draws in hyper.draws.items()}
        table[name] = pd.Series(values, dtype=float)
    if posterior.shared:
        draws = np.stack(list(posterior.shared.values()), axis=-1)[:, :, :, None]
        found = pd.DataFrame(chain_diagnostics(draws), index=list(posterior.shared))
        table = table.join(found)
    elif hyper.checks:
        table = table.assign(**{name: hyper.checks[name] for name in OF_POINTS if name in hyper.checks})
    return table.rename_axis("hyperparameter")
