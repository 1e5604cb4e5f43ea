r"""Tables of point estimates of designs with random effects: effects and standard errors, without p-values.

The standard error of a contrast c is sqrt(c' V c), with V the inverse of minus the Hessian at the mode, of
all of a gene's parameters. Shrunken effects are those of the mode with the Cauchy priors whose scales were
learnt, all coefficients but the intercept shrunken, as engine psis has them (and apeglm, of one coefficient).

There are no p-values: few levels leave the standard deviation between them, and with it the standard error,
uncertain, and an estimate over its standard error is not normal. The posterior integrates over that
uncertainty.
"""

from __future__ import annotations

import math

import numpy as np

from bayesde.design import Contrast
from bayesde.eb.tables import refuse_level
from bayesde.errors import InputError
from bayesde.model.modes import NEARLY_FLAT, curvature_factors, find_modes
from bayesde.numerics.linear import combine
from bayesde.posterior.point_estimates.estimates import RandomEffectsEstimates, with_wide_priors
from bayesde.results import ResultsTable, build_results

__all__ = ["estimates_table", "shrunken_estimates_table"]


def estimates_table(fit: RandomEffectsEstimates, contrast: Contrast) -> ResultsTable:
    """Tabulate a contrast of maximum-likelihood coefficients.

    Parameters
    ----------
    fit : RandomEffectsEstimates
    contrast : Contrast

    Returns
    -------
    ResultsTable
    """
    effect, weights = combine(fit.beta, contrast.vector), _weights(fit, contrast)
    error = np.full(effect.size, math.nan)
    for genes, model in fit.blocks():
        scale = curvature_factors(with_wide_priors(model), fit.location[genes])
        error[genes] = _standard_errors(scale, weights)
    return _table(fit, effect, error, fit.converged)


def shrunken_estimates_table(fit: RandomEffectsEstimates, contrast: Contrast) -> ResultsTable:
    """Tabulate a contrast of coefficients under the priors that were learnt.

    Parameters
    ----------
    fit : RandomEffectsEstimates
    contrast : Contrast

    Returns
    -------
    ResultsTable

    Raises
    ------
    InputError
        If the contrast is a level of expression, or nothing is shrunken because the design has no intercept.
    """
    refuse_level(fit.design, contrast)
    if not fit.hyperparameters.shrinkage_scale:
        raise InputError(
            f"the coefficients of the design '{fit.design.formula}', which has no intercept, are levels of "
            "expression: no prior shrinks them. Write the design with an intercept, such as '~ condition + "
            "(1 | donor)'; contrasts remain the same."
        )
    effect, error = np.full(fit.converged.size, math.nan), np.full(fit.converged.size, math.nan)
    weights, converged = _weights(fit, contrast), fit.converged.copy()
    for genes, model in fit.blocks():
        start = fit.location[genes]
        modes = find_modes(model, start[:, :-1], start[:, -1], flat=NEARLY_FLAT)
        effect[genes] = combine(modes.location, weights)
        error[genes] = _standard_errors(modes.scale, weights)
        converged[genes] &= modes.converged
    return _table(fit, effect, error, converged)


def _weights(fit: RandomEffectsEstimates, contrast: Contrast) -> np.ndarray:
    """Return the weights of all of a gene's parameters in a contrast."""
    weights = np.zeros(fit.location.shape[1])
    weights[: contrast.vector.size] = contrast.vector
    return weights


def _standard_errors(scale: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return sqrt(c' U U' c) (gene,)."""
    along = (scale * weights[:, None]).sum(axis=1)
    return np.asarray(np.sqrt((along**2).sum(axis=1)))


def _table(
    fit: RandomEffectsEstimates, effect: np.ndarray, error: np.ndarray, converged: np.ndarray
) -> ResultsTable:
    status = np.where(converged, "ok", np.where(fit.estimated, "not_converged", "all_zero")).astype(object)
    columns = {
        "base_mean": fit.base_mean,
        "log2_fold_change": effect,
        "lfc_se": error,
        "dispersion": fit.dispersion,
        **{f"{name}_sd": values for name, values in fit.random_effect_sd.items()},
        "engine": "eb",
        "status": status,
    }
    names = fit.counts.gene_names
    return build_results(fit.counts.genes, columns if names is None else columns | {"gene_name": names})
