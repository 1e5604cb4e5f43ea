r"""Summaries of weighted draws of changes of usage, on the log2 scale and as percent spliced in.

With the linear predictor eta_0 of the reference (of a comparison of two levels of a factor: at the mean
design row of its samples; otherwise at that of all samples, without what is compared) and the change c,

    psi_0 = 1 / (1 + exp(ln(l_I / l_E) - eta_0)),   psi = 1 / (1 + exp(ln(l_I / l_E) - eta_0 - c)),

eta being the log ratio of inclusion to exclusion reads, and l the effective lengths.
"""

from __future__ import annotations

import numpy as np

from bayesde.design import Contrast, Design
from bayesde.errors import InputError
from bayesde.numerics.libm import exp

__all__ = ["changes_of_psi", "summarized"]


def summarized(values: np.ndarray, weights: np.ndarray, ci_prob: float, name: str) -> dict[str, np.ndarray]:
    """Summarize weighted draws.

    Parameters
    ----------
    values, weights : ndarray (feature, draw)
        The weights of each feature add up to 1.
    ci_prob : float
    name : str
        Of the columns of the interval.

    Returns
    -------
    dict of str to ndarray (feature,)
        ``mean``, ``sd``, ``NAME_lower``, ``NAME_upper``, ``lfsr``.

    Raises
    ------
    InputError
        If the probability is not between 0 and 1.
    """
    if not 0.0 < ci_prob < 1.0:
        raise InputError(f"ci_prob must be between 0 and 1; got {ci_prob!r}.")
    mean = (values * weights).sum(axis=1)
    sd = np.sqrt((np.square(values - mean[:, None]) * weights).sum(axis=1))
    lower, upper = quantiles(values, weights, (0.5 - 0.5 * ci_prob, 0.5 + 0.5 * ci_prob))
    below = (weights * (values < 0.0)).sum(axis=1)
    above = (weights * (values > 0.0)).sum(axis=1)
    rate = np.clip(np.minimum(1.0 - below, 1.0 - above), 0.0, 1.0)
    return {"mean": mean, "sd": sd, f"{name}_lower": lower, f"{name}_upper": upper, "lfsr": rate}


def quantiles(values: np.ndarray, weights: np.ndarray, probabilities: tuple[float, ...]) -> list[np.ndarray]:
    """Return weighted quantiles, between the draws by linear interpolation.

    Parameters
    ----------
    values, weights : ndarray (feature, draw)
    probabilities : tuple of float

    Returns
    -------
    list of ndarray (feature,)
    """
    order = np.argsort(values, axis=1, kind="stable")
    ordered = np.take_along_axis(values, order, axis=1)
    sorted_weights = np.take_along_axis(weights, order, axis=1)
    middles = np.cumsum(sorted_weights, axis=1) - 0.5 * sorted_weights
    found = np.empty((len(probabilities), len(values)))
    for g in range(len(values)):
        found[:, g] = np.interp(probabilities, middles[g], ordered[g])
    return list(found)


def changes_of_psi(
    beta: np.ndarray,
    weights: np.ndarray,
    log_length_ratio: np.ndarray,
    design: Design,
    contrast: Contrast,
    ci_prob: float,
) -> dict[str, np.ndarray]:
    """Summarize a change as percent spliced in.

    Parameters
    ----------
    beta : ndarray (event, draw, coefficient)
        Natural log.
    weights : ndarray (event, draw)
    log_length_ratio : ndarray (event,)
    design : Design
    contrast : Contrast
    ci_prob : float

    Returns
    -------
    dict of str to ndarray (event,)
        ``psi_reference``, ``psi``, ``delta_psi``, ``delta_psi_lower``, ``delta_psi_upper``; 0 to 1.
    """
    base = reference_row(design, contrast)
    eta = (beta * base.astype(np.float32)).sum(axis=-1, dtype=np.float64) - log_length_ratio[:, None]
    change = (beta * contrast.vector.astype(np.float32)).sum(axis=-1, dtype=np.float64)
    before, after = 1.0 / (1.0 + exp(-eta)), 1.0 / (1.0 + exp(-(eta + change)))
    found = summarized(after - before, weights, ci_prob, "delta_psi")
    return {
        "psi_reference": (before * weights).sum(axis=1),
        "psi": (after * weights).sum(axis=1),
        "delta_psi": found["mean"],
        "delta_psi_lower": found["delta_psi_lower"],
        "delta_psi_upper": found["delta_psi_upper"],
    }


def reference_row(design: Design, contrast: Contrast) -> np.ndarray:
    """Return the design row that a change starts from.

    Parameters
    ----------
    design : Design
    contrast : Contrast

    Returns
    -------
    ndarray (coefficient,)
    """
    if contrast.factor is not None and contrast.factor in design.groups:
        samples = np.array(design.groups[contrast.factor], dtype=object) == contrast.reference
        return np.asarray(design.matrix[samples].mean(axis=0))
    return np.where(contrast.vector == 0.0, design.matrix.mean(axis=0), 0.0)
