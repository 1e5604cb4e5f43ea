r"""Priors for the next experiment from the hyperparameters that an earlier one has taught.

The log-normal priors get the mean m and c times the standard deviation s of the logarithms of the draws, the
Beta prior of pi0 a mean of m and a variance of (c s)^2:

    LogNormal(exp(m), c s),      Beta(m k, (1 - m) k),  k = m (1 - m) / (c s)^2 - 1.

A prior that all coefficients share takes the draws of all of them together, so that s contains how much they
differ.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from bayesde.errors import InputError
from bayesde.model.hyperparameter_names import PI0, effect_part, random_part
from bayesde.model.priors import Beta, LogNormal, Priors
from bayesde.options import check_range

__all__ = ["priors_of_draws"]

LEAST_SD = 0.01
"""Of a logarithm, so that no prior is a point."""
LARGEST_SIZE, LEAST_SIZE = 1e5, 2.0
"""Of a + b of the Beta distribution, for the same reason; and that of the uniform distribution."""


def priors_of_draws(draws: Mapping[str, np.ndarray], widen: float) -> Priors:
    """Return priors with the location of draws, and a multiple of their spread.

    Parameters
    ----------
    draws : mapping of str to ndarray (draw,)
        As `Hyperparameters.draws`; what has none keeps its default prior, as do degrees of freedom of
        residuals.
    widen : float
        How much wider than the draws the priors are, from 0.1 to 100.

    Returns
    -------
    Priors

    Raises
    ------
    InputError
        If there are no draws.
    OptionError
        If ``widen`` is out of its range.
    """
    check_range("widen", widen, 0.1, 100.0)
    if not draws:
        raise InputError(
            "these hyperparameters have no draws that a prior could be made of; take those of a posterior "
            "whose hyperparameters were learnt (posterior.hyperparameters, hyperparameters.json of a run)."
        )
    by_kind: dict[str, list[np.ndarray]] = {}
    for name, column in draws.items():
        part = effect_part(name) or random_part(name)
        by_kind.setdefault(name if part is None else part[0], []).append(np.asarray(column, dtype=np.float64))
    found: dict[str, Any] = {}
    for kind, columns in by_kind.items():
        values = np.concatenate(columns)
        if kind == PI0:
            found[kind] = _beta(values, widen)
        elif kind != "nu" and (values > 0.0).all():
            logs = np.log(values)
            found[kind] = LogNormal(float(np.exp(logs.mean())), max(LEAST_SD, widen * float(logs.std())))
    return Priors(**found)


def _beta(values: np.ndarray, widen: float) -> Beta:
    """Return the Beta distribution with the mean of some values and a multiple of their spread."""
    mean, variance = float(values.mean()), (widen * float(values.std())) ** 2
    size = LARGEST_SIZE if variance == 0.0 else min(LARGEST_SIZE, mean * (1.0 - mean) / variance - 1.0)
    size = max(size, LEAST_SIZE)
    return Beta(mean * size, (1.0 - mean) * size)
