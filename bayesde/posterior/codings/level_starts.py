r"""Where searches start if the levels of factors are treated alike: from the counts, not from a coding.

With eta_c = ln[(sum_j y_j / nf_j + 1/2) / n_c], the log mean of the samples j of equal model rows, the start
is the theta of least squares that W theta = eta has; of the many there are, the one with the smallest
effects, those of interactions smaller than those of their margins. Scales of effects are those of differences
of two levels, estimated as apeglm does from their errors, sum_c (1 / mean_c + alpha) / n_c, and halved: the
difference of two Cauchy(0, S) is Cauchy(0, 2S).

What is taken from the empirical-Bayes fit, such as dispersions, does not depend on the coding but for the
tolerance of its searches; so starts are rounded, and draws are the same for every coding.
"""

from __future__ import annotations

import math

import numpy as np

from bayesde.counts import chunks
from bayesde.design import Coding
from bayesde.eb.fit import EbFit
from bayesde.eb.shrinkage.apeglm import prior_scale
from bayesde.model.hyperparameters import Hyperparameters
from bayesde.model.hyperparameters_of_fit import values_of_fit
from bayesde.numerics.elementary import exponentials, logarithms

__all__ = ["level_errors", "level_hyperparameters", "level_starts"]

PSEUDOCOUNT = 0.5
FREE, BY_ORDER = 1e4, 1e-2
"""How far coefficients that are not shrunken, and those of each further variable, may be from zero."""
ROUNDED = 12
"""Decimals of weights, so that they do not depend on the library that finds them."""
START_DECIMALS = 3
"""Of logarithms that are taken from the fit."""


def level_starts(fit: EbFit, coding: Coding, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return where the searches for the genes' modes start.

    Parameters
    ----------
    fit : EbFit
    coding : Coding
    rows : ndarray of int (gene,)
        Positions among all genes.

    Returns
    -------
    beta : ndarray (gene, sampled coefficient)
        Natural log.
    log_dispersion : ndarray (gene,)
    """
    beta = _weighted(_log_means(fit, coding, rows), _weights(coding))
    return beta, np.round(logarithms(fit.dispersion[rows]), START_DECIMALS)


def level_errors(fit: EbFit, coding: Coding, rows: np.ndarray) -> np.ndarray:
    """Return the standard errors of the coefficients where searches start.

    Parameters
    ----------
    fit : EbFit
    coding : Coding
    rows : ndarray of int (gene,)
        Positions among all genes.

    Returns
    -------
    ndarray (gene, sampled coefficient)
        Natural log. Those of a level are of its difference from the center of all levels.
    """
    return np.asarray(np.sqrt(_weighted(_variances(fit, coding, rows), _weights(coding) ** 2)))


def level_hyperparameters(fit: EbFit, coding: Coding) -> Hyperparameters:
    """Return the values of the hyperparameters of an empirical-Bayes fit, the scales of effects by term.

    Parameters
    ----------
    fit : EbFit
    coding : Coding

    Returns
    -------
    Hyperparameters
    """
    values = values_of_fit(fit, ())
    return Hyperparameters(
        shrinkage_scale={name: _rounded(scale) for name, scale in _scales(fit, coding).items()},
        dispersion_sd=_rounded(values["dispersion_sd"]),
        asymptotic_dispersion=_rounded(values["asymptotic_dispersion"]),
        extra_poisson=_rounded(values["extra_poisson"]),
    )


def _rounded(value: float) -> float:
    return math.exp(round(math.log(value), START_DECIMALS)) if value > 0.0 else value


def _scales(fit: EbFit, coding: Coding) -> dict[str, float]:
    """Estimate the scale of every term."""
    assert coding.transform is not None
    rows = np.flatnonzero(fit.estimated)
    eta, weights = _log_means(fit, coding, rows), _weights(coding)
    variance = _variances(fit, coding, rows)
    found: dict[str, list[float]] = {}
    for k in np.flatnonzero(coding.order > 0).tolist():
        name, levels = coding.coefficients[k], coding.levels_of(k)
        row = weights[k] - (weights[levels[levels.index(k) - 1]] if len(levels) > 1 else 0.0)
        error = np.sqrt(_weighted(variance, row[None] ** 2)[:, 0])
        scale = prior_scale(_weighted(eta, row[None])[:, 0], error)
        found.setdefault(name, []).append(scale if len(levels) == 1 else 0.5 * scale)
    return {name: math.exp(float(logarithms(scales).mean())) for name, scales in found.items()}


def _cells(coding: Coding) -> tuple[np.ndarray, np.ndarray]:
    """Return the model rows that samples have, each once, and which one each sample has."""
    rows, cell = np.unique(coding.matrix, axis=0, return_inverse=True)
    return rows, cell.ravel()


def _log_means(fit: EbFit, coding: Coding, rows: np.ndarray) -> np.ndarray:
    """Return eta (gene, cell)."""
    cell = _cells(coding)[1]
    size = np.bincount(cell)
    total = np.full((rows.size, size.size), PSEUDOCOUNT)
    for some in chunks((rows.size, cell.size)):
        normalized = fit.counts.rows(rows[some]) / fit.normalization_factors[rows[some]]
        for sample, c in enumerate(cell):
            total[some, c] += normalized[:, sample]
    return logarithms(total / size)


def _variances(fit: EbFit, coding: Coding, rows: np.ndarray) -> np.ndarray:
    """Return the sampling variances of eta (gene, cell)."""
    eta, size = _log_means(fit, coding, rows), np.bincount(_cells(coding)[1])
    return np.asarray((exponentials(-eta) + fit.dispersion[rows, None]) / size)


def _weights(coding: Coding) -> np.ndarray:
    """Return theta as linear functions of eta (sampled coefficient, cell)."""
    rows, cell = _cells(coding)
    root = np.sqrt(np.bincount(cell))
    far = np.where(coding.order == 0, FREE, BY_ORDER ** (np.maximum(coding.order, 1) - 1.0))
    solved = far[:, None] * np.linalg.pinv(root[:, None] * rows * far, rcond=1e-12) * root
    return np.round(solved, ROUNDED) + 0.0


def _weighted(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return sums (gene, row), in an order that depends on no library, of values (gene, cell) by weights."""
    found = np.zeros((len(values), len(weights)))
    for c in range(values.shape[1]):
        found += values[:, c, None] * weights[:, c]
    return found
