"""Have the chains found the posterior? R-hat and effective sample sizes of many parameters at once.

The definitions are those of Vehtari, Gelman, Simpson, Carpenter and Bürkner (2021, doi:10.1214/20-BA1221),
as in ArviZ, which a test holds these functions against; they are written anew because a transcriptome has
tens of thousands of parameters, and a call for each would take longer than sampling some of them.
"""

from __future__ import annotations

import numpy as np
from scipy.fft import irfft, next_fast_len, rfft
from scipy.special import ndtri
from scipy.stats import rankdata

__all__ = ["chain_diagnostics", "ess_bulk", "ess_mean", "ess_tail", "rhat"]

TAILS = (0.05, 0.95)


def chain_diagnostics(draws: np.ndarray) -> dict[str, np.ndarray]:
    """Return R-hat and effective sample sizes, the worst over each gene's parameters.

    Parameters
    ----------
    draws : ndarray (chain, draw, gene, parameter)

    Returns
    -------
    dict
        ``rhat``, ``ess_bulk``, ``ess_tail``, each ndarray (gene,). A parameter that did not move at all, or a
        number that is not finite, makes them NaN.
    """
    chains, length, genes, parameters = draws.shape
    flat = np.ascontiguousarray(draws.reshape(chains, length, -1).transpose(2, 0, 1), dtype=np.float64)
    flat[~np.isfinite(flat).all(axis=(1, 2))] = np.nan
    worst = {"rhat": (rhat, np.max), "ess_bulk": (ess_bulk, np.min), "ess_tail": (ess_tail, np.min)}
    return {
        name: pick(measure(flat).reshape(genes, parameters), axis=1)
        for name, (measure, pick) in worst.items()
    }


def rhat(draws: np.ndarray) -> np.ndarray:
    """Rank-normalized split R-hat, the larger of bulk and tail (equation 4 of the paper, and section 4).

    Parameters
    ----------
    draws : ndarray (parameter, chain, draw)

    Returns
    -------
    ndarray (parameter,)
    """
    halves = _split(draws)
    folded = np.abs(halves - np.median(halves, axis=(1, 2), keepdims=True))
    return np.maximum(_plain_rhat(_normal_scores(halves)), _plain_rhat(_normal_scores(folded)))


def ess_bulk(draws: np.ndarray) -> np.ndarray:
    """Effective sample size of the rank-normalized draws (parameter, chain, draw)."""
    return _effective_size(_normal_scores(_split(draws)))


def ess_mean(draws: np.ndarray) -> np.ndarray:
    """Effective sample size for the mean of draws (parameter, chain, draw)."""
    return _effective_size(_split(draws))


def ess_tail(draws: np.ndarray) -> np.ndarray:
    """Effective sample size of the 5 % and 95 % quantiles, the smaller one (parameter, chain, draw)."""
    sizes = []
    for probability in TAILS:
        bound = np.quantile(draws, probability, axis=(1, 2), keepdims=True)
        below = np.where(np.isnan(bound), np.nan, draws <= bound)
        sizes.append(_effective_size(_split(below)))
    return np.minimum(*sizes)


def _split(draws: np.ndarray) -> np.ndarray:
    """Cut every chain in two halves; the middle draw of an odd length is left out."""
    half = draws.shape[2] // 2
    return np.concatenate([draws[:, :, :half], draws[:, :, -half:]], axis=1)


def _normal_scores(draws: np.ndarray) -> np.ndarray:
    """Replace draws by the normal quantiles of their ranks among all chains."""
    flat = draws.reshape(draws.shape[0], -1)
    ranks = rankdata(flat, axis=1, nan_policy="propagate")
    return ndtri((ranks - 0.375) / (flat.shape[1] + 0.25)).reshape(draws.shape)


def _plain_rhat(draws: np.ndarray) -> np.ndarray:
    length = draws.shape[2]
    between = length * draws.mean(axis=2).var(axis=1, ddof=1)
    within = draws.var(axis=2, ddof=1).mean(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.sqrt((between / within + length - 1) / length)


def _autocovariance(draws: np.ndarray) -> np.ndarray:
    """Autocovariance at all lags, by Fourier transform; (parameter, chain, lag)."""
    length = draws.shape[2]
    size = next_fast_len(2 * length, real=True)
    centred = draws - draws.mean(axis=2, keepdims=True)
    spectrum = rfft(centred, n=size, axis=2)
    return irfft(np.abs(spectrum) ** 2, n=size, axis=2)[:, :, :length] / length


def _effective_size(draws: np.ndarray) -> np.ndarray:
    """Effective sample size by Geyer's initial monotone sequence (section 3.2 of the paper)."""
    chains, length = draws.shape[1:]
    covariance = _autocovariance(draws)
    within = covariance[:, :, 0].mean(axis=1) * length / (length - 1.0)
    pooled = within * (length - 1.0) / length + draws.mean(axis=2).var(axis=1, ddof=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        rho = 1.0 - (within[:, None] - covariance.mean(axis=1)) / pooled[:, None]
    rho[:, 0] = 1.0
    tau = np.array([_integrated_time(row) for row in rho])
    total = chains * length
    size = total / np.maximum(tau, 1.0 / np.log10(total))
    still = draws.max(axis=(1, 2)) - draws.min(axis=(1, 2)) < np.finfo(float).resolution
    return np.where(np.isnan(pooled), np.nan, np.where(still, total, size))


def _integrated_time(rho: np.ndarray) -> float:
    """Sum autocorrelations (lag,) in pairs while they are positive, each pair at most the one before."""
    length = rho.size
    usable = (length - 3) // 2 + 1  # the last pairs are too noisy to be looked at
    pairs = rho[: 2 * usable : 2] + rho[1 : 2 * usable : 2]
    negative = np.flatnonzero(~(pairs[1:] >= 0.0))
    n_pairs = int(negative[0]) + 1 if negative.size else usable - 1
    kept = np.minimum.accumulate(pairs[:n_pairs])
    following = rho[2 * n_pairs] if 2 * n_pairs < length else 0.0
    return float(-1.0 + 2.0 * kept.sum() + max(following, 0.0))
