r"""How far the dispersions of single genes lie from the trend: the width of the prior on ln alpha.

The spread of ln(gene-wise dispersion / trend) is the sum of the wanted prior variance and of the sampling
variance of a log dispersion, trigamma((m - p) / 2) for m - p residual degrees of freedom (Love, Huber and
Anders 2014, doi:10.1186/s13059-014-0550-8, equations 7 and 8). With 1 to 3 degrees of freedom the latter
is far from normal; then the prior variance is the one whose simulated spread looks most like the observed.
"""

from __future__ import annotations

import gzip
from dataclasses import dataclass
from importlib.resources import files

import numpy as np
from scipy.special import polygamma
from skmisc.loess import loess

from bayesde.numerics.libm import log

__all__ = ["DispersionPrior", "fit_dispersion_prior"]

MIN_PRIOR_VAR = 0.25
USABLE = 1e-6
"""Gene-wise dispersions below 100 x the smallest value allowed are uninformative about the spread."""
MAD_TO_SD = 1.4826
OUTLYING_SDS = 2.0
"""A gene this many robust sd above the trend (log scale) keeps its gene-wise dispersion."""
HISTOGRAM_EDGES = np.linspace(-10.0, 10.0, 41)
SIMULATED_VAR = np.linspace(0.0, 8.0, 200)
CANDIDATE_VAR = np.linspace(0.0, 8.0, 1000)


@dataclass(frozen=True)
class DispersionPrior:
    """Spread of log dispersions around their trend, natural-log units.

    Attributes
    ----------
    residual_var : float
        Robust variance of ln(gene-wise / trend), sampling noise included; decides what is an outlier.
    prior_var : float
        Variance of the prior, at least 0.25.
    """

    residual_var: float
    prior_var: float

    def outlying(self, gene_wise: np.ndarray, trend: np.ndarray) -> np.ndarray:
        """Tell which genes (gene,) are too far above the trend to be shrunk towards it.

        Parameters
        ----------
        gene_wise, trend : ndarray (gene,)
            Dispersions.

        Returns
        -------
        ndarray of bool (gene,)
        """
        return np.asarray(log(gene_wise) > log(trend) + OUTLYING_SDS * np.sqrt(self.residual_var))


def _simulated_densities(residual_df: int) -> np.ndarray:
    """Read the (200, 40) densities of ln(chi2_df / df) + Normal(0, v), one row per simulated variance v."""
    path = files("bayesde.eb.dispersion") / "prior_variance_small_df" / f"df{residual_df}.tsv.gz"
    with path.open("rb") as raw, gzip.open(raw) as table:
        return np.loadtxt(table)


def _match_by_simulation(residuals: np.ndarray, residual_df: int) -> float:
    """Return the prior variance whose simulated histogram is nearest in Kullback-Leibler divergence."""
    inside = residuals[(residuals > HISTOGRAM_EDGES[0]) & (residuals < HISTOGRAM_EDGES[-1])]
    # R's histograms are closed on the right: mirror the data to make NumPy's so.
    mirrored, _ = np.histogram(-inside, bins=HISTOGRAM_EDGES)
    observed = mirrored[::-1] / (inside.size * np.diff(HISTOGRAM_EDGES))
    divergence = np.empty(SIMULATED_VAR.size)
    for row, simulated in enumerate(_simulated_densities(residual_df)):
        both = np.concatenate([observed, simulated])
        small = both[both > 0.0].min()
        divergence[row] = np.sum(observed * (log(observed + small) - log(simulated + small)))
    curve = loess(SIMULATED_VAR, divergence, span=0.2, degree=2)
    curve.fit()
    return float(CANDIDATE_VAR[np.argmin(curve.predict(CANDIDATE_VAR).values)])


def fit_dispersion_prior(gene_wise: np.ndarray, trend: np.ndarray, residual_df: int) -> DispersionPrior:
    """Estimate the prior's width from gene-wise dispersions and their trend.

    Parameters
    ----------
    gene_wise, trend : ndarray (gene,)
        Dispersions of the genes that are not all zero.
    residual_df : int
        Samples minus coefficients, at least 1.

    Returns
    -------
    DispersionPrior
    """
    usable = gene_wise >= USABLE
    if not usable.any():
        return DispersionPrior(residual_var=MIN_PRIOR_VAR, prior_var=MIN_PRIOR_VAR)
    residuals = log(gene_wise[usable]) - log(trend[usable])
    deviation = np.abs(residuals - np.median(residuals))
    residual_var = float((MAD_TO_SD * np.median(deviation)) ** 2)
    if residual_df <= 3:
        wanted = _match_by_simulation(residuals, residual_df)
    else:
        wanted = residual_var - float(polygamma(1, residual_df / 2.0))
    return DispersionPrior(residual_var=residual_var, prior_var=max(wanted, MIN_PRIOR_VAR))
