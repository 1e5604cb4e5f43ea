"""The posterior of the effect of two groups of three, by adding up over grids of all three parameters."""

from __future__ import annotations

import numpy as np
from scipy.special import logsumexp
from scipy.stats import nbinom, norm

__all__ = ["effect_weights"]


def effect_weights(model, effect, log_prior):
    """Probabilities (effect,) of effects on a grid, under a log prior of them, of the model's only gene."""
    center, log_dispersion = np.log(model.y[0, :3].mean()), np.linspace(-5.0, 0.5, 25)
    mean, n = center + np.linspace(-1.5, 2.5, 120), np.exp(-log_dispersion)[None, :]

    def group(counts, eta):
        mu = np.exp(eta)[:, None]
        return sum(nbinom.logpmf(y, n, n / (n + mu)) for y in counts)

    first = group(model.y[0, :3], mean) + norm.logpdf(mean, 0.0, 15.0)[:, None]
    first += norm.logpdf(log_dispersion, model.log_trend[0], model.dispersion_sd)
    density = np.array([logsumexp(group(model.y[0, 3:], mean + b) + first) for b in effect]) + log_prior
    return np.exp(density - logsumexp(density))
