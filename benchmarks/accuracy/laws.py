"""Posteriors under every law of the effects, and what is to be known of the laws."""

from __future__ import annotations

import time

import bayesde as bde

__all__ = ["LAWS", "under_laws"]

LAWS = ("cauchy", "student_t", "spike_t", "mixture")
TURNS = (*LAWS, "cauchy")
"""The fits, in their order; of those under Cauchy's law the one with less processor time counts, since the
first one compiles or loads kernels."""
MAX_K = 0.7

Laws = dict[str, dict[str, float]]


def under_laws(counts: bde.Counts, fit: bde.EbFit) -> tuple[dict[str, bde.Posterior], Laws]:
    """Sample the posterior under every law.

    No gene is sampled by Stan, so that results do not depend on whether Stan is installed.

    Parameters
    ----------
    counts : Counts
    fit : EbFit

    Returns
    -------
    posteriors : dict of str to Posterior
        By law.
    laws : dict of str to dict of str to float
        By law: `log_likelihood`, the log marginal likelihood, and its `difference` from the best law's;
        `parameters`, their number; `scale`, `nu` and `pi0` of the last coefficient; `unreliable`, the number
        of genes with a Pareto k above 0.7; `effective`, the median effective number of draws; and
        `cpu_ratio`, processor time over that under Cauchy's law.
    """
    posteriors, seconds = {}, {law: float("inf") for law in LAWS}
    for law in TURNS:
        start = time.process_time()
        options = bde.SamplingOptions(effects=law, hand_over=False)
        posteriors[law] = bde.fit_posterior(counts, fit.design, engine="psis", eb=fit, options=options)
        seconds[law] = min(seconds[law], time.process_time() - start)
    compared = posteriors["cauchy"].compare_effects()[["log_likelihood", "difference", "parameters"]]
    laws = {
        law: {"log_likelihood": round(float(compared["log_likelihood"][law]))}
        | {name: float(compared[name][law]) for name in ("difference", "parameters")}
        | _learnt(posterior)
        | {"cpu_ratio": seconds[law] / seconds["cauchy"]}
        for law, posterior in posteriors.items()
    }
    return posteriors, laws


def _learnt(posterior: bde.Posterior) -> dict[str, float]:
    """Return the law of the last coefficient, and how well the draws serve."""
    hyper, coefficient = posterior.hyperparameters, posterior.design.coefficients[-1]
    sampled = posterior.diagnostics[posterior.diagnostics["sampled"]]
    mixture = hyper.mixtures.get(coefficient)
    return {
        "scale": hyper.shrinkage_scale[coefficient],
        "nu": hyper.effect_nu.get(coefficient, float("nan")),
        "pi0": hyper.pi0.get(coefficient, float("nan")) if mixture is None else mixture.null,
        "unreliable": float((sampled["pareto_k"] > MAX_K).sum()),
        "effective": float(sampled["ess"].median()),
    }
