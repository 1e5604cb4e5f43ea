"""Simulated pairs of samples of several patients."""

from __future__ import annotations

import numpy as np
import pandas as pd

import bayesde as bde

FIXED = bde.Hyperparameters(
    {"patient": 0.2, "time[T.b]": 0.2}, dispersion_sd=0.5, asymptotic_dispersion=0.05, extra_poisson=2.0
)


def counts_of_patients(patients: int, genes: int, seed: int = 5) -> bde.Counts:
    """Simulate counts; the effects of patients are Cauchy(0, 0.2), truncated."""
    rng = np.random.default_rng(seed)
    patient, late = np.repeat(np.arange(patients), 2), np.tile([0, 1], patients)
    mean = np.exp(rng.uniform(1.5, 7.0, genes))
    u = 0.2 * np.clip(rng.standard_t(1, (genes, patients)), -8.0, 8.0)
    effect = np.where(rng.random(genes) < 0.5, 0.0, rng.normal(0.0, 0.6, genes))
    mu = mean[:, None] * np.exp(u[:, patient] + effect[:, None] * late)
    dispersion = (0.05 + 2.0 / mean)[:, None]
    counts = rng.poisson(mu * rng.gamma(1.0 / dispersion, dispersion, mu.shape))
    names = [f"s{j}" for j in range(patient.size)]
    table = pd.DataFrame(
        {"patient": [f"p{k:02d}" for k in patient], "time": np.where(late, "b", "a")}, index=names
    )
    return bde.Counts(counts, genes=[f"g{g}" for g in range(genes)], samples=names, sample_table=table)
