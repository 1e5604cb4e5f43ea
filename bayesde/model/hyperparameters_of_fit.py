"""Values of the hyperparameters from point estimates."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from bayesde.design import Coding, Design
from bayesde.eb.dispersion.estimates import MIN_DISPERSION
from bayesde.eb.dispersion.prior import fit_dispersion_prior
from bayesde.eb.fit import EbFit
from bayesde.eb.shrinkage.apeglm import prior_scale
from bayesde.errors import BayesdeWarning, InputError, first_few
from bayesde.options import nearest

__all__ = ["named_coefficients", "values_of_fit"]


def values_of_fit(fit: EbFit, shrink: Sequence[str] | None = None) -> dict[str, Any]:
    """Take the values of the hyperparameters from an empirical-Bayes fit.

    Parameters
    ----------
    fit : EbFit
    shrink : sequence of str, optional
        The coefficients that are shrunken, by name or by that of their term; see `Hyperparameters.from_eb`.

    Returns
    -------
    dict
        Arguments of `Hyperparameters`.

    Raises
    ------
    InputError
        If the design has no such coefficient or term.
    """
    asymptotic, extra = fit.trend.asymptotic_dispersion, fit.trend.extra_poisson
    dispersion_var = fit.dispersion_prior_var
    if fit.trend.kind == "local":
        asymptotic, extra, dispersion_var = _nearest_parametric(fit)
    return {
        "shrinkage_scale": _effect_scales(fit) if shrink is None else _named_scales(fit, shrink),
        "dispersion_sd": math.sqrt(dispersion_var),
        "asymptotic_dispersion": float(asymptotic),
        "extra_poisson": float(extra),
    }


def _effect_scales(fit: EbFit) -> dict[str, float]:
    """Scales of all coefficients but the intercept; none in a design without one."""
    if fit.design.has_intercept:
        return fit.shrinkage_scales()
    warnings.warn(
        f"the design '{fit.design.formula}' has no intercept: its coefficients are levels, not effects, and "
        "no effect is shrunken. Use a design with an intercept, or name the coefficients to be shrunken "
        "(SamplingOptions(shrink=[...]), --shrink-coefficient).",
        BayesdeWarning,
        stacklevel=5,
    )
    return {}


def _named_scales(fit: EbFit, names: Sequence[str]) -> dict[str, float]:
    """Scales of the coefficients that are named."""
    return {
        fit.design.coefficients[k]: prior_scale(fit.beta[:, k], fit.beta_se[:, k])
        for k in named_coefficients(fit.design, names)
    }


def named_coefficients(
    design: Design | Coding, names: Sequence[str], option: str = "shrink"
) -> tuple[int, ...]:
    """Find coefficients by their names or by that of their term.

    Parameters
    ----------
    design : Design or Coding
    names : sequence of str
        Of coefficients, ``"condition[T.treated]"``, or of terms of the formula, ``"condition"``, which stand
        for all their coefficients.
    option : str
        What messages call the names.

    Returns
    -------
    tuple of int
        Columns of the design, in ascending order.

    Raises
    ------
    InputError
        If the design has none of that name.
    """
    known: dict[str, tuple[int, ...]] = dict(design.terms)
    for name in dict.fromkeys(design.coefficients):
        known[name] = tuple(k for k, other in enumerate(design.coefficients) if other == name)
    unknown = [name for name in names if name not in known]
    if unknown:
        raise InputError(
            f"{option}: the design has no coefficient or term {first_few(unknown)};"
            f"{nearest(unknown[0], known)} its coefficients are "
            f"{first_few(dict.fromkeys(design.coefficients), 20)}, its terms {first_few(design.terms, 20)}."
        )
    return tuple(sorted({k for name in names for k in known[name]}))


def _nearest_parametric(fit: EbFit) -> tuple[float, float, float]:
    """Return a0, a1 and the prior variance around the curve a0 + a1 / mean that is nearest to a local trend.

    Nearest are the non-negative a0, a1 of least squares in (a0 + a1 / mean) / trend - 1.
    """
    rows = fit.estimated
    mean, local = fit.base_mean[rows], fit.dispersion_trend[rows]
    columns = np.column_stack([1.0 / local, 1.0 / (mean * local)])
    from scipy.optimize import nnls  # slow to load

    (asymptotic, extra), _ = nnls(columns, np.ones(mean.size))
    asymptotic = max(asymptotic, MIN_DISPERSION)
    gene_wise = fit.dispersion_gene_wise[rows]
    prior = fit_dispersion_prior(gene_wise, asymptotic + extra / mean, fit.design.residual_df)
    warnings.warn(
        f"the dispersion trend is a local regression, which a posterior cannot have; in its place stands "
        f"{asymptotic:.3g} + {extra:.3g} / mean, the nearest curve of that form. A constant: trend='mean' "
        "(--trend mean).",
        BayesdeWarning,
        stacklevel=5,
    )
    return asymptotic, extra, prior.prior_var
