r"""How much a posterior owes to its priors.

`sensitivity` compares the tables of a fit under its priors and under others (`reweight` has the mathematics).
`power_scaling` asks what a small change does: each prior p(phi) is raised to the powers alpha = 1.01 and
1 / 1.01, the points of the hyperparameters are weighted by p(phi)^(alpha - 1), and what moves is measured by
the cumulative Jensen-Shannon distance of the distribution functions P and Q before and after,

    CJS(P, Q)^2 = [ C(P | Q) + C(Q | P) ] / integral (P + Q),
    C(P | Q) = integral P log2(2 P / (P + Q)) + integral (Q - P) / (2 ln 2),

the larger one of phi and of -phi. Its derivative by log2(alpha), by difference, is the sensitivity
(Kallioinen, Paananen, Bürkner and Vehtari 2024, doi:10.1007/s11222-023-10366-5), which calls a prior
informative above 0.05.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Generic

import numpy as np
import pandas as pd

from bayesde.errors import InputError
from bayesde.model.hyperparameter_space import HyperparameterSpace
from bayesde.model.hyperparameters import Hyperparameters
from bayesde.model.priors import Priors
from bayesde.options import check_range
from bayesde.posterior.data import PosteriorData, PosteriorT
from bayesde.posterior.hyper.hyperparameter_posterior import HyperparameterPosterior
from bayesde.posterior.queries.other_models.other_references import as_coefficient
from bayesde.posterior.queries.other_models.reweight import hyper_points, reweighted
from bayesde.posterior.summaries.tables import results_table
from bayesde.statuses import FAILED

__all__ = ["Sensitivity", "power_scaling", "sensitivity"]


CALLED = 0.005
POWER = 0.01
INFORMATIVE = 0.05


@dataclass(frozen=True, eq=False)
class Sensitivity(Generic[PosteriorT]):
    """How a table changes with the priors; printed, it is summarized in a sentence.

    Attributes
    ----------
    table : pandas.DataFrame
        One row per sampled gene: ``log2_fold_change``, ``lfc_se``, ``lfsr`` and ``s_value`` under the priors
        of the fit and, with the ending ``_other``, under the others; ``change`` of the posterior mean (log2),
        and ``change_in_sd``, the same in posterior standard deviations; ``called`` and ``called_other``,
        whether the s-value is below the level; ``pareto_k`` and ``status`` under the other priors.
    posterior : PosteriorData
        Under the other priors, of the type given.
    level : float
        Of the s-value.
    """

    table: pd.DataFrame
    posterior: PosteriorT
    level: float

    @property
    def changed(self) -> pd.DataFrame:
        """Rows of the genes that change their call, those that move most first."""
        rows = self.table[self.table["called"] != self.table["called_other"]]
        return rows.sort_values("change_in_sd", key=np.abs, ascending=False, kind="stable")

    def __str__(self) -> str:
        """Return how many calls change, and by how much effects do, as a sentence."""
        table, moved = self.table, self.table["change_in_sd"].abs()
        failed = int(table["status"].isin(FAILED).sum())
        return (
            f"{len(table):,} genes: {len(self.changed):,} change their call at s-value < {self.level:g} "
            f"({table['called'].sum():,} before, {table['called_other'].sum():,} after); posterior means "
            f"move by {moved.median():.2g} posterior sd in the median, by {moved.max():.2g} at most "
            f"({moved.idxmax()}); {failed:,} genes have unreliable weights"
        )


def sensitivity(
    posterior: PosteriorT,
    *,
    priors: Priors | None = None,
    hyperparameters: Hyperparameters | None = None,
    contrast: Any = None,
    lfc_threshold: float = 0.0,
    level: float = CALLED,
) -> Sensitivity[PosteriorT]:
    """Compare the table of a fit with that under other priors; nothing is sampled again.

    Parameters
    ----------
    posterior : PosteriorData
    priors : Priors, optional
        Other priors.
    hyperparameters : Hyperparameters, optional
        Fixed values in place of their posterior. One of the two is needed.
    contrast, lfc_threshold
        As in `Posterior.results`.
    level : float
        Of the s-value, below which a gene counts as called.

    Returns
    -------
    Sensitivity

    Raises
    ------
    InputError
        If neither or both are given, or they do not suit the fit (see `reweighted`).
    FitError
        If the draws have too little information on the hyperparameters under these priors.
    """
    if (priors is None) == (hyperparameters is None):
        raise InputError("sensitivity: give either other priors or other hyperparameters.")
    check_range("level", level, 0.0, 1.0, open_ends=True)
    other = reweighted(posterior, priors=priors, hyperparameters=hyperparameters)
    before = reweighted(posterior)  # averaged over the same points of the hyperparameters
    one, two = (
        results_table(as_coefficient(each, contrast), contrast, lfc_threshold).loc[posterior.genes]
        for each in (before, other)
    )
    return Sensitivity(_compared(one, two, level), other, level)


def _compared(one: pd.DataFrame, two: pd.DataFrame, level: float) -> pd.DataFrame:
    """Put two results tables side by side."""
    names = ["log2_fold_change", "lfc_se", "lfsr", "s_value"]
    table = pd.DataFrame(one[names]).join(pd.DataFrame(two[names]).add_suffix("_other"))
    table["change"] = table["log2_fold_change_other"] - table["log2_fold_change"]
    table["change_in_sd"] = table["change"] / table["lfc_se"]
    table["called"], table["called_other"] = one["s_value"] < level, two["s_value"] < level
    return table.join(pd.DataFrame(two[["pareto_k", "status"]]))


def power_scaling(posterior: PosteriorData) -> pd.DataFrame:
    """Return how sensitive the hyperparameters are to their priors.

    Parameters
    ----------
    posterior : PosteriorData
        With hyperparameters that were learnt.

    Returns
    -------
    pandas.DataFrame (hyperparameter, prior)
        Above 0.05 a prior is informative. Fields of `Priors` are its columns.

    Raises
    ------
    InputError
        If the hyperparameters are fixed.
    """
    if not (posterior.request.learning and posterior.hyperparameters.draws):
        raise InputError("power_scaling: the hyperparameters of this posterior are fixed, and have no prior.")
    points = hyper_points(posterior)
    values = points.space.by_name(points.phi)
    columns = {
        name: [_power_sensitivity(value, points.weight, log_prior) for value in values.values()]
        for name, log_prior in _log_priors(points.space, points).items()
    }
    return pd.DataFrame(columns, index=pd.Index(list(values), name="hyperparameter"))


def _log_priors(space: HyperparameterSpace, points: HyperparameterPosterior) -> dict[str, np.ndarray]:
    """Return the log density of each prior at every point."""
    psi = space.psi(points.phi)
    names = space.kinds
    result = {name: np.zeros(len(psi)) for name in dict.fromkeys(names)}
    for name, column in zip(names, psi.T, strict=True):
        law = getattr(space.priors, name)
        result[name] += [law.log_density(value)[0] for value in column.tolist()]
    return result


def _power_sensitivity(values: np.ndarray, weights: np.ndarray, log_prior: np.ndarray) -> float:
    """Return the derivative of the distance by log2 of the power, by central difference."""
    total = 0.0
    for power in (1.0 / (1.0 + POWER), 1.0 + POWER):
        scaled = weights * np.exp((power - 1.0) * (log_prior - log_prior.max()))
        scaled /= scaled.sum()
        total += max(_distance(values, weights, scaled), _distance(-values, weights, scaled))
    return total / (2.0 * math.log2(1.0 + POWER))


def _distance(values: np.ndarray, one: np.ndarray, two: np.ndarray) -> float:
    """Return the cumulative Jensen-Shannon distance of two weightings (point,) of the same values."""
    order = np.argsort(values)
    width = np.diff(values[order])
    p, q = (np.cumsum(weights[order])[:-1] for weights in (one, two))
    bound = float(width @ (p + q))
    if bound <= 0.0:
        return 0.0
    middle = np.log2(0.5 * (p + q))
    both = float(width @ (p * (np.log2(p) - middle) + q * (np.log2(q) - middle)))
    return math.sqrt(max(both, 0.0) / bound)
