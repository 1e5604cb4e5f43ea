"""Counts of groups of which one differs in some of the genes, and posteriors of them."""

from __future__ import annotations

import numpy as np
import pandas as pd

from bayesde import Counts
from bayesde.design import Design
from bayesde.posterior import SamplingOptions, fit_posterior

__all__ = ["posterior_of", "simulated"]

LEVELS = "abcdefghi"


def simulated(genes, n_levels=3, replicates=4, seed=21, share=0.25):
    """Counts of groups, of which one differs in some of the genes; and the log effects of the groups."""
    rng = np.random.default_rng(seed)
    group = np.repeat(np.arange(n_levels), replicates)
    base = np.exp(rng.normal(np.log(100.0), 1.5, genes))
    alpha = (0.05 + 2.0 / base) * np.exp(rng.normal(0.0, 0.5, genes))
    effects = np.zeros((genes, n_levels))
    which = rng.integers(0, n_levels, genes)
    effects[np.arange(genes), which] = np.where(rng.random(genes) < share, rng.normal(0.0, 1.0, genes), 0.0)
    noise = rng.gamma(1.0 / alpha[:, None], alpha[:, None], (genes, group.size))
    counts = rng.poisson(base[:, None] * np.exp(effects[:, group]) * noise)
    names = [f"s{i}" for i in range(group.size)]
    table = pd.DataFrame(
        {"group": [LEVELS[g] for g in group], "batch": np.tile(["p", "q"], group.size)[: group.size]},
        index=names,
    )
    return pd.DataFrame(counts, index=[f"g{i}" for i in range(genes)], columns=names), table, effects


def posterior_of(frame, table, formula, coding="levels", references=None, hyperparameters=None, **options):
    """Return the posterior of a table of counts; options are those of `SamplingOptions`, draws and engine."""
    design = Design.from_formula(formula, table, references=references)
    draws, engine = options.pop("draws", 1000), options.pop("engine", "psis")
    return fit_posterior(
        Counts(frame, sample_table=table),
        design,
        hyperparameters=hyperparameters,
        options=SamplingOptions(coding=coding, **{"hand_over": False, **options}),
        draws=draws,
        engine=engine,
    )
