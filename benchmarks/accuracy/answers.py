"""Results of the methods of bayesde on a problem: estimates, intervals, and local false sign rates."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from scipy.special import ndtri

import bayesde as bde
from bayesde.eb.shrinkage.ash import fit_mixture
from benchmarks.accuracy.laws import under_laws
from benchmarks.accuracy.records import Answer, Interval, Problem

__all__ = ["LEVELS", "around", "bayesde_answers"]

LEVELS = (0.5, 0.8, 0.95)
MIDDLE = 1e-9
"""Both ends of an interval with this probability are the median."""
LN2 = np.log(2.0)


def around(estimate: np.ndarray, error: np.ndarray) -> dict[float, Interval]:
    """Return estimate plus and minus normal quantiles times the standard error, at all levels."""
    half_width = {level: ndtri(0.5 + level / 2.0) * error for level in LEVELS}
    return {level: (estimate - half, estimate + half) for level, half in half_width.items()}


def bayesde_answers(problem: Problem) -> tuple[list[Answer], np.ndarray]:
    """Run all methods of bayesde on a problem.

    Parameters
    ----------
    problem : Problem

    Returns
    -------
    answers : list of Answer
        Method psis (posterior mean) and its posterior median, under every law of the effects, psis with
        Student-t residuals where the problem asks for it, maximum likelihood (DESeq2), apeglm and ashr.
    base_mean : ndarray (gene,)
    """
    fit = bde.fit_eb(problem.counts, problem.formula, size_factors=problem.size_factors,
                     references={problem.factor: problem.reference})  # fmt: skip
    contrast = (problem.factor, problem.level, problem.reference)
    posteriors, laws = under_laws(problem.counts, fit)
    answers = []
    for law, posterior in posteriors.items():
        name = "psis" if law == "cauchy" else f"psis, {law}"
        own = _posterior_mean(problem, posterior, contrast, name, laws[law])
        answers.append(own if law == "cauchy" else replace(own, hyperparameters={}))
        answers.append(_posterior_median(posterior, contrast, name))
    if problem.student_t:
        options = bde.SamplingOptions(residuals="student_t", hand_over=False)
        heavy = bde.fit_posterior(problem.counts, fit.design, engine="psis", eb=fit, options=options)
        answers.append(_posterior_mean(problem, heavy, contrast, "psis, t residuals"))
    answers += [_maximum_likelihood(fit, contrast), _apeglm(fit, contrast), _ashr(fit, contrast)]
    return answers, fit.base_mean


def _posterior_mean(
    problem: Problem,
    posterior: bde.Posterior,
    contrast: tuple[str, str, str],
    name: str,
    law: Mapping[str, float] | None = None,
) -> Answer:
    """Return the posterior mean with its intervals and rates."""
    tables = {level: posterior.results(contrast, ci_prob=level) for level in LEVELS}
    table = tables[max(LEVELS)]
    pit, dispersion_pit = _below_truth(problem, posterior, contrast)
    hyper = posterior.hyperparameters
    learnt = {key: (float(draws.mean()), hyper.sd[key]) for key, draws in hyper.draws.items()}
    return Answer(
        name,
        table["log2_fold_change"].to_numpy(),
        table["lfsr"].to_numpy(),
        table["s_value"].to_numpy(),
        {level: _interval(tables[level]) for level in LEVELS},
        pit,
        dispersion_pit,
        learnt,
        table["status"].to_numpy() == "ok",
        law or {},
    )


def _posterior_median(posterior: bde.Posterior, contrast: tuple[str, str, str], name: str) -> Answer:
    return Answer(f"{name}, median", _interval(posterior.results(contrast, ci_prob=MIDDLE))[0])


def _interval(table: bde.ResultsTable) -> Interval:
    return table["lfc_lower"].to_numpy(), table["lfc_upper"].to_numpy()


def _below_truth(
    problem: Problem, posterior: bde.Posterior, contrast: tuple[str, str, str]
) -> tuple[np.ndarray | None, np.ndarray | None]:
    """Return the shares of draws below the true effect and the true dispersion, NaN where not sampled.

    Of draws that equal the truth, as under a law with a point mass, a share drawn at random counts as below,
    so that the result is uniform if the posterior is calibrated.
    """
    if not problem.exact:
        return None, None
    genes = problem.counts.genes.get_indexer(posterior.draws.get_index("gene"))
    effect = problem.truths[0].effect.to_numpy()[genes] * LN2
    shares = np.full((2, problem.counts.n_genes), np.nan)
    drawn = posterior.draws["beta"].values @ posterior.design.contrast(contrast).vector
    below, equal = ((drawn < effect).mean(axis=(0, 1)), (drawn == effect).mean(axis=(0, 1)))
    shares[0, genes] = below + np.random.default_rng(1).random(genes.size) * equal
    if problem.dispersion is None:
        return shares[0], None
    log_dispersion = np.log(problem.dispersion[genes])
    shares[1, genes] = (posterior.draws["log_dispersion"].values < log_dispersion).mean(axis=(0, 1))
    return shares[0], shares[1]


def _maximum_likelihood(fit: bde.EbFit, contrast: tuple[str, str, str]) -> Answer:
    """Return DESeq2's estimates; under a flat prior the chance of a wrong sign is half the p-value."""
    table = fit.results(contrast)
    estimate, error = table["log2_fold_change"].to_numpy(), table["lfc_se"].to_numpy()
    lfsr = table["p_value"].to_numpy() / 2.0
    return Answer("DESeq2 (MLE)", estimate, lfsr, bde.s_values(lfsr), around(estimate, error))


def _apeglm(fit: bde.EbFit, contrast: tuple[str, str, str]) -> Answer:
    table = fit.shrink(contrast=contrast)
    estimate, error = table["log2_fold_change"].to_numpy(), table["lfc_se"].to_numpy()
    rates = table["lfsr"].to_numpy(), table["s_value"].to_numpy()
    return Answer("apeglm", estimate, *rates, around(estimate, error))


def _ashr(fit: bde.EbFit, contrast: tuple[str, str, str]) -> Answer:
    """Return ashr's posterior means, with the intervals of its own mixtures."""
    table, given = fit.shrink(contrast=contrast, method="ashr"), fit.results(contrast)
    effect, error = given["log2_fold_change"].to_numpy(), given["lfc_se"].to_numpy()
    usable = np.isfinite(effect) & np.isfinite(error) & (error > 0.0)
    posterior = fit_mixture(effect[usable], error[usable]).posterior(effect[usable], error[usable])

    def quantile(probability: float) -> np.ndarray:
        values = np.full(effect.size, np.nan)
        values[usable] = posterior.quantile(probability)
        return values

    ends = {level: (quantile(0.5 - level / 2.0), quantile(0.5 + level / 2.0)) for level in LEVELS}
    rates = table["lfsr"].to_numpy(), table["s_value"].to_numpy()
    return Answer("ashr", table["log2_fold_change"].to_numpy(), *rates, ends)
