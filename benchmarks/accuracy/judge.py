"""All scores of a problem, as tidy tables: one row per score."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.accuracy import metrics
from benchmarks.accuracy.answers import LEVELS
from benchmarks.accuracy.records import Answer, Problem, Truth

__all__ = ["COLUMNS", "Case", "calibration", "cases", "curves", "laws", "learnt", "scores"]

REFERENCE = "psis"
OFFSET_FROM = "DESeq2 (MLE)"
THRESHOLDS = (0.01, 0.05, 0.1)
RATES = (0.01, 0.05)
TOPS = (100, 500)
QUARTILES = 4
S_GRID = np.logspace(-3.0, np.log10(0.3), 30)
PIT_BINS = 10
COLUMNS = (
    "problem truth stratum method genes mae mae_above_psis mae_above_psis_se rmse coverage_50 coverage_80 "
    "coverage_95 coverage_50_with_error coverage_80_with_error coverage_95_with_error "
    "coverage_50_split coverage_80_split coverage_95_split width_95 "
    "width_covering_95 called_at_0.01 false_signs_at_0.01 called_at_0.05 false_signs_at_0.05 "
    "called_at_0.1 false_signs_at_0.1 power_at_0.01 power_at_0.05 power_at_0.01_se power_at_0.05_se "
    "top_100 top_500"
).split()
"""Of the scores; accuracy.md explains them."""

Row = dict[str, Any]


@dataclass(frozen=True, eq=False)
class Case:
    """The genes that are scored against one truth; all arrays are of these genes.

    Attributes
    ----------
    problem : Problem
    truth : Truth
    effect : ndarray (gene,)
        True effects, log2, on the scale of the fits.
    error : ndarray (gene,) or None
    base_mean : ndarray (gene,)
    seen_in_both : ndarray of bool (gene,)
    answers : tuple of Answer
    offset : float
        Was added to the truth, log2.
    left_out : int
        Genes with counts and a known truth of which some method has no estimate.
    """

    problem: Problem
    truth: Truth
    effect: np.ndarray
    error: np.ndarray | None
    base_mean: np.ndarray
    seen_in_both: np.ndarray
    answers: tuple[Answer, ...]
    offset: float
    left_out: int

    @property
    def key(self) -> Row:
        """The leading columns of the rows of this case."""
        return {"problem": self.problem.name, "truth": self.truth.name}

    @property
    def distrusted(self) -> int:
        """Number of genes that fail the diagnostics of psis."""
        trusted = next(answer for answer in self.answers if answer.method == REFERENCE).trusted
        return 0 if trusted is None else int((~trusted).sum())

    def strata(self) -> dict[str, np.ndarray]:
        """Name groups of genes: all, those with counts in both groups, quarters of these by base mean."""
        groups = {"all": np.ones(self.effect.size, dtype=bool), "both": self.seen_in_both}
        quarter = _quarters(self.base_mean, self.seen_in_both)
        return groups | {f"expression {i + 1}": quarter == i for i in range(QUARTILES)}


def _quarters(values: np.ndarray, among: np.ndarray) -> np.ndarray:
    """Return which quarter (0 to 3) of some genes each of them belongs to, -1 for the others."""
    quarter = np.full(values.size, -1)
    rank = np.argsort(np.argsort(values[among], kind="stable"), kind="stable")
    quarter[among] = rank * QUARTILES // max(rank.size, 1)
    return quarter


def cases(problem: Problem, answers: Sequence[Answer], base_mean: np.ndarray) -> list[Case]:
    """Combine answers and truths.

    Genes are judged that have counts, a known truth, and an estimate by every method, so that all methods are
    judged by the same genes.

    Parameters
    ----------
    problem : Problem
    answers : sequence of Answer
        Of all genes.
    base_mean : ndarray (gene,)

    Returns
    -------
    list of Case
        One for each truth.
    """
    return [_case(problem, truth, answers, base_mean) for truth in problem.truths]


def _case(problem: Problem, truth: Truth, answers: Sequence[Answer], base_mean: np.ndarray) -> Case:
    genes = problem.counts.genes
    effect = truth.effect.reindex(genes).to_numpy(dtype=float)
    known = np.isfinite(effect) & (base_mean > 0.0)
    judged = known & np.all([np.isfinite(answer.estimate) for answer in answers], axis=0)
    offset = 0.0
    if truth.anchors is not None:
        anchors = judged & truth.anchors.reindex(genes, fill_value=False).to_numpy(dtype=bool)
        first = next(answer for answer in answers if answer.method == OFFSET_FROM)
        offset = _offset(first.estimate[anchors] - effect[anchors], base_mean[anchors])
    rows = np.flatnonzero(judged)
    return Case(
        problem,
        truth,
        effect[rows] + offset,
        None if truth.error is None else truth.error.reindex(genes).to_numpy(dtype=float)[rows],
        base_mean[rows],
        problem.seen_in_both[rows],
        tuple(_of(answer, rows) for answer in answers),
        offset,
        int((known & ~judged).sum()),
    )


def _offset(difference: np.ndarray, base_mean: np.ndarray) -> float:
    """Return the median difference of the better expressed half."""
    return float(np.median(difference[base_mean >= np.median(base_mean)]))


def _of(answer: Answer, rows: np.ndarray) -> Answer:
    """Select some genes of an answer."""

    def some(values: np.ndarray | None) -> np.ndarray | None:
        return None if values is None else values[rows]

    return replace(
        answer,
        estimate=answer.estimate[rows],
        lfsr=some(answer.lfsr),
        s_value=some(answer.s_value),
        intervals={level: (ends[0][rows], ends[1][rows]) for level, ends in answer.intervals.items()},
        pit=some(answer.pit),
        dispersion_pit=some(answer.dispersion_pit),
        trusted=some(answer.trusted),
    )


def scores(case: Case) -> pd.DataFrame:
    """Return every score of every method, by stratum.

    Parameters
    ----------
    case : Case

    Returns
    -------
    pandas.DataFrame
        One row a stratum and method, with the columns `COLUMNS`. Beside the strata of the case there are
        quarters of the genes by a method's own absolute estimate.
    """
    rows = []
    everyone = np.ones(case.effect.size, dtype=bool)
    for answer in case.answers:
        size = _quarters(np.abs(answer.estimate), everyone)
        strata = case.strata() | {f"estimate {i + 1}": size == i for i in range(QUARTILES)}
        for stratum, group in strata.items():
            named = case.key | {"stratum": stratum, "method": answer.method, "genes": int(group.sum())}
            if group.any():
                rows.append(named | _numbers(case, answer, np.flatnonzero(group)))
    return _with_power_errors(case, pd.DataFrame(rows, columns=COLUMNS))


def _with_power_errors(case: Case, table: pd.DataFrame) -> pd.DataFrame:
    """Fill in, for all genes, the standard errors of each method's power minus that of psis."""
    ranked = {answer.method: metrics.surest_first(answer) for answer in case.answers}
    orders = {method: order for method, order in ranked.items() if order is not None}
    methods = sorted(orders, key=lambda method: method != REFERENCE)
    falses = [
        metrics.false_signs(answer.estimate, case.effect)
        for method in methods
        for answer in case.answers
        if answer.method == method
    ]
    for rate in RATES:
        rng = np.random.default_rng(1)
        errors = metrics.power_errors([orders[method] for method in methods], falses, rate, rng)
        found = table["method"].map(dict(zip(methods, errors, strict=True)))
        table[f"power_at_{rate:g}_se"] = found.where(table["stratum"] == "all")
    return table


def _numbers(case: Case, answer: Answer, rows: np.ndarray) -> Row:
    """Return the scores of some genes (positions)."""
    chosen, effect = _of(answer, rows), case.effect[rows]
    error = None if case.error is None else case.error[rows]
    found: Row = dict(metrics.errors(chosen.estimate, effect))
    found |= _above_reference(case, chosen, rows)
    found |= _interval_numbers(chosen, effect, error) | _sign_numbers(chosen, effect)
    for top in TOPS:
        if 2 * top <= rows.size:
            found[f"top_{top}"] = metrics.concordance(chosen.estimate, effect, top)
    return found


def _above_reference(case: Case, chosen: Answer, rows: np.ndarray) -> Row:
    """Mean absolute error above that of psis, with the standard error of the paired difference."""
    reference = next(other for other in case.answers if other.method == REFERENCE)
    effect = case.effect[rows]
    excess = np.abs(chosen.estimate - effect) - np.abs(reference.estimate[rows] - effect)
    error = float(excess.std(ddof=1) / np.sqrt(rows.size)) if rows.size > 1 else np.nan
    return {"mae_above_psis": float(excess.mean()), "mae_above_psis_se": error}


def _interval_numbers(chosen: Answer, effect: np.ndarray, error: np.ndarray | None) -> Row:
    """Coverage at all levels; median widths of the widest intervals, as given and rescaled to cover."""
    found: Row = {}
    for level, ends in chosen.intervals.items():
        name = f"coverage_{100 * level:.0f}"
        found[name] = metrics.coverage(ends, effect)
        if error is not None:
            wider = metrics.widened(ends, chosen.estimate, error, level)
            found[f"{name}_with_error"] = metrics.coverage(wider, effect)
        if chosen.pit is not None:
            found[f"{name}_split"] = float((np.abs(chosen.pit - 0.5) <= level / 2.0).mean())
    level = max(LEVELS)
    if level in chosen.intervals:
        ends = chosen.intervals[level]
        found["width_95"] = float(np.nanmedian(ends[1] - ends[0]))
        found["width_covering_95"] = metrics.interval_width(ends, chosen.estimate, effect, level)
    return found


def _sign_numbers(chosen: Answer, effect: np.ndarray) -> Row:
    """Realized false sign rates at s-values, and power at false sign rates."""
    order = metrics.surest_first(chosen)
    if order is None:
        return {}
    found: Row = {}
    false = metrics.false_signs(chosen.estimate, effect)
    for threshold in THRESHOLDS:
        called, wrong = metrics.realized_rate(chosen, false, threshold)
        found[f"called_at_{threshold:g}"] = called
        found[f"false_signs_at_{threshold:g}"] = wrong / called if called else np.nan
    return found | {f"power_at_{rate:g}": metrics.power(order, false, rate) for rate in RATES}


def curves(case: Case) -> pd.DataFrame:
    """Return the realized false sign rate at every s-value of a grid.

    Parameters
    ----------
    case : Case

    Returns
    -------
    pandas.DataFrame
        ``problem``, ``truth``, ``method``, ``s_value``, ``called``, ``false``.
    """
    rows = []
    for answer in case.answers:
        if answer.s_value is None or np.isnan(answer.s_value).all():
            continue
        false = metrics.false_signs(answer.estimate, case.effect)
        for threshold in S_GRID:
            called, wrong = metrics.realized_rate(answer, false, threshold)
            rows.append(
                case.key | {"method": answer.method, "s_value": threshold, "called": called, "false": wrong}
            )
    return pd.DataFrame(rows)


def calibration(case: Case) -> pd.DataFrame:
    """Count genes by the posterior probability below the true effect or dispersion: uniform if calibrated.

    Parameters
    ----------
    case : Case

    Returns
    -------
    pandas.DataFrame
        ``problem``, ``truth``, ``method``, ``quantity``, ``stratum``, ``bin`` (its lower end), ``genes``.
    """
    rows = []
    for answer in case.answers:
        for quantity, pit in (("effect", answer.pit), ("dispersion", answer.dispersion_pit)):
            if pit is None:
                continue
            for stratum, group in case.strata().items():
                counted, ends = np.histogram(pit[group], PIT_BINS, (0.0, 1.0))
                named = {"method": answer.method, "quantity": quantity, "stratum": stratum}
                rows += [
                    case.key | named | {"bin": round(end, 3), "genes": int(genes)}
                    for end, genes in zip(ends, counted, strict=False)
                ]
    return pd.DataFrame(rows)


def learnt(case: Case) -> pd.DataFrame:
    """Compare the hyperparameters' posteriors with the true values.

    Parameters
    ----------
    case : Case

    Returns
    -------
    pandas.DataFrame
        ``problem``, ``method``, ``hyperparameter``, ``true`` (NaN where there is none), ``mean``, ``sd``.
    """
    true = case.problem.hyperparameters
    return pd.DataFrame(
        [
            {
                "problem": case.problem.name,
                "method": answer.method,
                "hyperparameter": name,
                "true": true.get(name, np.nan),
                "mean": mean,
                "sd": sd,
            }
            for answer in case.answers
            for name, (mean, sd) in answer.hyperparameters.items()
        ]
    )


def laws(case: Case) -> pd.DataFrame:
    """Return what is known of the laws of the effects.

    Parameters
    ----------
    case : Case

    Returns
    -------
    pandas.DataFrame
        ``problem``, ``method``, ``sampled``, the number of genes sampled, and the columns of
        `benchmarks.accuracy.laws.under_laws`.
    """
    sampled = int((~case.problem.counts.all_zero).sum())
    return pd.DataFrame(
        [
            {"problem": case.problem.name, "method": answer.method, "sampled": sampled, **answer.law}
            for answer in case.answers
            if answer.law
        ]
    )
