r"""Posterior means, sds and sign probabilities of draws, with their Monte-Carlo standard errors.

Weighted draws (importance sampling; Owen 2013, Monte Carlo theory, ch. 9): with m = sum_i w_i x_i,

    se(m)^2 = sum_i w_i^2 (x_i - m)^2,   se(s) = sqrt(sum_i w_i^2 ((x_i - m)^2 - s^2)^2) / (2 s),

and for P(x < 0) the same with the indicator for x. Draws of chains have sd / sqrt(ESS) of x, of (x - m)^2 and
of the indicator; where they have weights as well, both are taken into account by the ratio of the weighted
error with and without weights.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.special import logit

from bayesde.posterior.draws.diagnostics import effective_sizes
from bayesde.posterior.draws.gene_draws import GeneDraws

__all__ = ["agreement", "moments", "z_scores"]

LARGEST = 30.0
"""Natural log; as the results table, which bounds draws at e^30-fold."""
FEWEST = 5.0
"""A sign probability is compared where this many effective draws have either sign, for both methods."""
ROUNDED = 1e-9
"""Nearer to 0 or 1 a probability is the rounding of a sum of weights: no draw has the other sign."""


def moments(draws: GeneDraws, size: int = 250) -> dict[str, np.ndarray]:
    """Return moments of every parameter.

    Parameters
    ----------
    draws : GeneDraws
    size : int
        Genes at a time.

    Returns
    -------
    dict of str to ndarray (gene, P + 1)
        ``mean``, ``sd``, ``negative`` (a probability) and their errors ``mean_se``, ``sd_se``,
        ``negative_se``.
    """
    parts = [_of_piece(theta, weights, draws) for _, theta, weights in draws.batches(size=size)]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _of_piece(theta: np.ndarray, weights: np.ndarray, draws: GeneDraws) -> dict[str, np.ndarray]:
    values = np.clip(theta, -LARGEST, LARGEST)
    values[..., -1] = theta[..., -1]
    w = weights[:, :, None]
    mean = (w * values).sum(axis=1)
    centred = values - mean[:, None]
    var = (w * centred**2).sum(axis=1)
    sign = (values < 0.0).astype(float)
    negative = (w * sign).sum(axis=1)
    sd = np.sqrt(var)
    return {
        "mean": mean,
        "mean_se": _error(centred, w, draws),
        "sd": sd,
        "sd_se": _error(centred**2 - var[:, None], w, draws) / (2.0 * sd),
        "negative": negative,
        "negative_se": _error(sign - negative[:, None], w, draws),
    }


def _error(centred: np.ndarray, w: np.ndarray, draws: GeneDraws) -> np.ndarray:
    """Return the standard error of the weighted mean of (gene, draw, parameter), centred."""
    independent = np.sqrt(((w * centred) ** 2).sum(axis=1))
    if draws.chains == 1:
        return np.asarray(independent)
    genes, total, size = centred.shape
    columns = centred.transpose(0, 2, 1).reshape(genes * size, draws.chains, total // draws.chains)
    with np.errstate(all="ignore"):
        effective = effective_sizes(columns).reshape(genes, size)
    return np.asarray(independent * np.sqrt(total / effective))


def z_scores(one: dict[str, np.ndarray], two: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return differences over their standard errors, (gene, P + 1); NaN where nothing can be compared.

    Of the probability of a negative sign the logits are compared, where both methods have seen either sign.
    """
    scores = {
        name: (one[name] - two[name]) / np.hypot(one[f"{name}_se"], two[f"{name}_se"])
        for name in ("mean", "sd")
    }
    errors, seen = [], np.ones(one["negative"].shape, dtype=bool)
    for part in (one, two):
        p, error = part["negative"], part["negative_se"]
        odds = np.maximum(p * (1.0 - p), 1e-300)
        effective = odds / np.maximum(error, 1e-150) ** 2
        rarer = np.minimum(p, 1.0 - p)
        seen &= (rarer > ROUNDED) & (effective * rarer >= FEWEST)
        errors.append(error / odds)
    with np.errstate(divide="ignore", invalid="ignore"):
        gap = (logit(one["negative"]) - logit(two["negative"])) / np.hypot(*errors)
    scores["lfsr, logit"] = np.where(seen, gap, np.nan)
    scores["lfsr, logit"][:, -1] = np.nan  # a dispersion has no sign
    return scores


def agreement(scores: dict[str, np.ndarray], rows: np.ndarray | None = None) -> pd.DataFrame:
    """Summarize z-scores: how many are compared, what share is within 4, and how they are spread.

    Parameters
    ----------
    scores : dict of str to ndarray (gene, P + 1)
    rows : ndarray of bool (gene,), optional
        Only these genes.

    Returns
    -------
    DataFrame (quantity,)
    """
    table = {}
    for name, z in scores.items():
        chosen = z if rows is None else z[rows]
        compared = np.isfinite(chosen)
        fine = np.where(compared, np.abs(chosen) < 4.0, True)
        values = chosen[compared]
        table[name] = {
            "parameters": int(compared.sum()),
            "genes": int(compared.any(axis=1).sum()),
            "genes within 4": float(fine[compared.any(axis=1)].all(axis=1).mean()),
            "parameters within 4": float((np.abs(values) < 4.0).mean()),
            "median |z|": float(np.median(np.abs(values))),
            "rms z": float(np.sqrt(np.mean(np.clip(values, -10, 10) ** 2))),
        }
    return pd.DataFrame(table).T
