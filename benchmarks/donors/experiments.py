r"""Simulated experiments in which donors give several samples.

    mu_gj = s_j exp(b_g + beta_g x_j + u_gd),     u_gd ~ Normal(0, tau_g^2),     y ~ NB(mu, alpha_g),

with ln tau_g ~ Normal(ln 0.3, 0.6), 0 for a share of the genes, and an effect that is 0 for 70 % of the genes
and otherwise Normal(0, 0.5), natural log.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from bayesde import Counts

__all__ = ["Experiment", "Truth", "simulated"]

NULL_SHARE, EFFECT_SD = 0.7, 0.5
LOG_MEAN, LOG_MEAN_SD = 4.5, 1.5
TAU_MEDIAN, TAU_SPREAD = 0.3, 0.6
ASYMPTOTIC, EXTRA_POISSON, DISPERSION_SD = 0.05, 2.0, 0.5


@dataclass(frozen=True)
class Experiment:
    """An experiment to simulate.

    Attributes
    ----------
    donors, samples : int
        Number of donors, and of samples of each.
    between : bool
        Whether a donor has one condition or all.
    no_donor_effect : float
        Share of genes with a tau of 0.
    genes : int
    """

    donors: int
    samples: int
    between: bool
    no_donor_effect: float = 0.0
    genes: int = 1500

    @property
    def name(self) -> str:
        """What tables call it."""
        kind = "between" if self.between else "within"
        zero = f", tau = 0 in {100 * self.no_donor_effect:.0f} %" if self.no_donor_effect else ""
        return f"{self.donors} donors x {self.samples}, condition {kind} donors{zero}"


@dataclass(frozen=True, eq=False)
class Truth:
    """What counts were drawn from.

    Attributes
    ----------
    effect, sd, dispersion : ndarray (gene,)
        Effect of the condition and standard deviation between donors, natural log.
    """

    effect: np.ndarray
    sd: np.ndarray
    dispersion: np.ndarray


def simulated(experiment: Experiment, seed: int) -> tuple[Counts, Truth]:
    """Draw an experiment.

    Parameters
    ----------
    experiment : Experiment
    seed : int

    Returns
    -------
    counts : Counts
        With ``donor`` and ``condition`` in the sample table.
    truth : Truth
    """
    rng, n = np.random.default_rng(seed), experiment.genes
    donor = np.repeat(np.arange(experiment.donors), experiment.samples)
    if experiment.between:
        treated = donor >= experiment.donors // 2
    else:
        treated = np.tile(np.arange(experiment.samples) % 2 == 1, experiment.donors)
    sd = np.exp(rng.normal(np.log(TAU_MEDIAN), TAU_SPREAD, n))
    sd[rng.random(n) < experiment.no_donor_effect] = 0.0
    effect = np.where(rng.random(n) < NULL_SHARE, 0.0, rng.normal(0.0, EFFECT_SD, n))
    level = rng.normal(LOG_MEAN, LOG_MEAN_SD, n)
    dispersion = np.exp(rng.normal(np.log(ASYMPTOTIC + EXTRA_POISSON / np.exp(level)), DISPERSION_SD))
    u = rng.normal(size=(n, experiment.donors)) * sd[:, None]
    log_mean = level[:, None] + effect[:, None] * treated + u[:, donor] + rng.normal(0.0, 0.2, donor.size)
    rate = rng.gamma(np.broadcast_to(1.0 / dispersion[:, None], log_mean.shape)) * dispersion[:, None]
    matrix = rng.poisson(rate * np.exp(log_mean))
    names = [f"s{j}" for j in range(donor.size)]
    table = pd.DataFrame(
        {"donor": [f"d{d + 1}" for d in donor], "condition": np.where(treated, "b", "a")}, index=names
    )
    counts = Counts(matrix, genes=[f"g{g}" for g in range(n)], samples=names, sample_table=table)
    return counts, Truth(effect, sd, dispersion)
