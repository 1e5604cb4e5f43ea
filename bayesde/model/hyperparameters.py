"""The values of the priors that all genes share, and the file that holds them."""

from __future__ import annotations

import json
import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from bayesde.counts.display import html_table
from bayesde.design import Design
from bayesde.eb.dispersion.estimates import MIN_DISPERSION
from bayesde.eb.dispersion.prior import fit_dispersion_prior
from bayesde.eb.fit import EbFit
from bayesde.eb.shrinkage.apeglm import prior_scale
from bayesde.errors import BayesdeWarning, InputError, OptionError, first_few
from bayesde.io import write_atomically
from bayesde.numerics.elementary import logarithms
from bayesde.options import nearest
from bayesde.posterior.options import SamplingOptions

__all__ = ["Hyperparameters", "check_fixed", "named_coefficients"]

REQUIRED = ("shrinkage_scale", "dispersion_sd", "asymptotic_dispersion", "extra_poisson", "residuals", "nu")
OPTIONAL = ("sd", "draws", "source", "checks")
RESIDUALS = ("normal", "student_t")
LARGEST = 1e6
MOST_SHOWN = 8
"""Coefficients whose scales a short description lists."""


@dataclass(frozen=True, eq=False, repr=False)
class Hyperparameters:
    """Priors of the genes' parameters; natural-log units.

    Attributes
    ----------
    shrinkage_scale : dict of str to float
        S of the Cauchy prior, by coefficient. A coefficient that is not named is not shrunken.
    dispersion_sd : float
        Scale of log dispersions around their trend.
    asymptotic_dispersion, extra_poisson : float
        a0 > 0 and a1 >= 0 of the trend a0 + a1 / base_mean; a1 = 0 is a constant trend.
    residuals : {"normal", "student_t"}
        Distribution around the trend.
    nu : float or None
        Degrees of freedom of Student-t residuals.
    sd : dict of str to float
        Posterior standard deviations, by the names that `draws` has.
    draws : dict of str to ndarray (draw,)
        Posterior draws: ``"shrinkage_scale[COEFFICIENT]"``, ``"dispersion_sd"``, ``"asymptotic_dispersion"``,
        ``"extra_poisson"``, ``"nu"``; empty where the values are point estimates.
    source : {"eb", "psis", "joint", "file"}
    checks : dict of str to float
        How well engine psis knows them: its ``points``, how many ``effective_points`` they are worth, and the
        ``pareto_k`` of their weights.
    """

    shrinkage_scale: dict[str, float]
    dispersion_sd: float
    asymptotic_dispersion: float
    extra_poisson: float
    residuals: str = "normal"
    nu: float | None = None
    sd: dict[str, float] = field(default_factory=dict)
    draws: dict[str, np.ndarray] = field(default_factory=dict)
    source: str = "eb"
    checks: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _check_values(self)

    def __repr__(self) -> str:
        return f"<Hyperparameters: {'; '.join(f'{name} {text}' for name, text in self._values())}>"

    def _repr_html_(self) -> str:
        return html_table([("Hyperparameters", "natural log"), *self._values()])

    def _values(self) -> list[tuple[str, str]]:
        """Name what a reader wants to see: values with their posterior sd, where there is one."""

        def shown(key: str, value: float) -> str:
            sd = self.sd.get(key)
            return f"{value:.3g}" if sd is None else f"{value:.3g} (sd {sd:.2g})"

        scales = [
            f"{name} {shown(f'shrinkage_scale[{name}]', value)}"
            for name, value in list(self.shrinkage_scale.items())[:MOST_SHOWN]
        ]
        more = len(self.shrinkage_scale) - MOST_SHOWN
        nu = [] if self.nu is None else [("nu", shown("nu", self.nu))]
        names = ("dispersion_sd", "asymptotic_dispersion", "extra_poisson")
        return [
            ("shrinkage_scale", ", ".join(scales) + (f" and {more} more" if more > 0 else "") or "none"),
            *((name, shown(name, getattr(self, name))) for name in names),
            ("residuals", self.residuals),
            *nu,
            ("source", f"{self.source}, {len(next(iter(self.draws.values()), [])):,} draws"),
        ]

    @classmethod
    def from_eb(cls, fit: EbFit, shrink: Sequence[str] | None = None) -> Hyperparameters:
        """Take them from an empirical-Bayes fit.

        By default every coefficient but the intercept is shrunken. Without an intercept nothing is, because
        the coefficients are then levels and not effects. In place of a local dispersion trend stands the
        parametric one nearest to it. Both are told by a ``BayesdeWarning``.

        Parameters
        ----------
        fit : EbFit
        shrink : sequence of str, optional
            The coefficients that are shrunken, by name or by their term's; empty for none.

        Raises
        ------
        InputError
            If the design has no such coefficient or term.
        """
        asymptotic, extra = fit.trend.asymptotic_dispersion, fit.trend.extra_poisson
        dispersion_var = fit.dispersion_prior_var
        if fit.trend.kind == "local":
            asymptotic, extra, dispersion_var = _nearest_parametric(fit)
        return cls(
            shrinkage_scale=_effect_scales(fit) if shrink is None else _named_scales(fit, shrink),
            dispersion_sd=math.sqrt(dispersion_var),
            asymptotic_dispersion=float(asymptotic),
            extra_poisson=float(extra),
        )

    @classmethod
    def from_json(cls, path: str | PathLike[str]) -> Hyperparameters:
        """Read them from a file.

        Parameters
        ----------
        path : path
            JSON with the keys ``shrinkage_scale``, ``dispersion_sd``, ``asymptotic_dispersion``,
            ``extra_poisson``, ``residuals``, ``nu`` and, if wanted, ``sd``, ``draws``; ``source``
            and ``checks`` are passed over.

        Raises
        ------
        InputError
            If the file cannot be read, a key is missing or unknown, or a value is not allowed.
        """
        values = _read(Path(path))
        _check_keys(values, f"'{path}'")
        draws = values.get("draws") or {}
        for name in ("shrinkage_scale", "sd", "draws"):
            if not isinstance(values.get(name) or {}, Mapping):
                raise InputError(f"'{path}': {name} must be an object with names and numbers.")
        return cls(
            **{name: values[name] for name in REQUIRED},
            sd=dict(values.get("sd") or {}),
            draws={name: _draw_array(name, column) for name, column in draws.items()},
            source="file",
        )

    def to_json(self, path: str | PathLike[str]) -> None:
        """Write them to a file, under a temporary name first."""
        values: dict[str, Any] = {name: getattr(self, name) for name in REQUIRED}
        values |= {"sd": self.sd, "source": self.source, "checks": self.checks}
        values["draws"] = {name: column.tolist() for name, column in self.draws.items()} or None
        write_atomically(path, json.dumps(values, indent=1) + "\n")

    def log_trend(self, base_mean: np.ndarray) -> np.ndarray:
        """Return the natural log of the dispersion trend at the base means (gene,)."""
        return logarithms(self.asymptotic_dispersion + self.extra_poisson / base_mean)

    def scales_of(self, design: Design) -> tuple[np.ndarray, np.ndarray]:
        """Return which coefficients of a design are shrunken, and their scales (1 where they are not).

        Raises
        ------
        InputError
            If a scale is for a coefficient that the design does not have.
        """
        unknown = [name for name in self.shrinkage_scale if name not in design.coefficients]
        if unknown:
            raise InputError(
                f"hyperparameters: shrinkage_scale names {first_few(unknown)}, not in the design; its "
                f"coefficients are {first_few(design.coefficients, 20)}."
                f"{nearest(unknown[0], design.coefficients)}"
            )
        shrunken = np.array([name in self.shrinkage_scale for name in design.coefficients])
        scales = np.array([self.shrinkage_scale.get(name, 1.0) for name in design.coefficients])
        return shrunken, scales

    @property
    def degrees_of_freedom(self) -> float:
        """Degrees of freedom of the residuals; infinite for normal ones."""
        return float(self.nu) if self.residuals == "student_t" and self.nu is not None else math.inf


def _effect_scales(fit: EbFit) -> dict[str, float]:
    """Scales of all coefficients but the intercept; none in a design without one."""
    if fit.design.has_intercept:
        return fit.shrinkage_scales()
    warnings.warn(
        f"the design '{fit.design.formula}' has no intercept: its coefficients are levels, not effects, and "
        "no effect is shrunken. Use a design with an intercept, or name the coefficients to be shrunken "
        "(SamplingOptions(shrink=[...]), --shrink-coefficient).",
        BayesdeWarning,
        stacklevel=4,
    )
    return {}


def _named_scales(fit: EbFit, names: Sequence[str]) -> dict[str, float]:
    """Scales of the coefficients that are named."""
    return {
        fit.design.coefficients[k]: prior_scale(fit.beta[:, k], fit.beta_se[:, k])
        for k in named_coefficients(fit.design, names)
    }


def named_coefficients(design: Design, names: Sequence[str]) -> tuple[int, ...]:
    """Find coefficients by their names or by that of their term.

    Parameters
    ----------
    design : Design
    names : sequence of str
        Of coefficients, ``"condition[T.treated]"``, or of terms of the formula, ``"condition"``, which stand
        for all their coefficients.

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
    known |= {name: (k,) for k, name in enumerate(design.coefficients)}
    unknown = [name for name in names if name not in known]
    if unknown:
        raise InputError(
            f"shrink: the design has no coefficient or term {first_few(unknown)};"
            f"{nearest(unknown[0], known)} its coefficients are {first_few(design.coefficients, 20)}, its "
            f"terms {first_few(design.terms, 20)}."
        )
    return tuple(sorted({k for name in names for k in known[name]}))


def check_fixed(hyper: Hyperparameters, options: SamplingOptions) -> None:
    """Refuse options that speak of another model than the hyperparameters that are fixed.

    Raises
    ------
    OptionError
        If they ask for other residuals or for another trend.
    """
    if options.residuals != "normal" and options.residuals != hyper.residuals:
        raise OptionError(
            f"residuals: the hyperparameters are fixed, and are of {hyper.residuals} residuals; leave "
            f"'{options.residuals}' out, or let the hyperparameters be learnt, which gives nu as well."
        )
    if options.trend == "constant" and hyper.extra_poisson > 0.0:
        raise OptionError(
            f"trend: the hyperparameters are fixed, and their trend is {hyper.asymptotic_dispersion:.3g} + "
            f"{hyper.extra_poisson:.3g} / mean; leave 'constant' out, let them be learnt, or fit the point "
            "estimates with trend='mean' (--trend mean)."
        )


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
        stacklevel=4,
    )
    return asymptotic, extra, prior.prior_var


def _read(path: Path) -> dict[str, Any]:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except OSError as problem:
        raise InputError(f"cannot read the hyperparameters '{path}': {problem.strerror}.") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as problem:
        raise InputError(f"'{path}' is not valid JSON: {problem}.") from None
    if not isinstance(values, dict):
        raise InputError(f"'{path}' must hold one JSON object with the keys {', '.join(REQUIRED)}.")
    return values


def _check_keys(values: Mapping[str, Any], where: str) -> None:
    """Refuse keys that are missing or unknown."""
    unknown = [key for key in values if key not in REQUIRED + OPTIONAL]
    if unknown:
        raise InputError(
            f"{where}: unknown key {first_few(unknown)};{nearest(unknown[0], REQUIRED + OPTIONAL)} "
            f"allowed are {', '.join(REQUIRED + OPTIONAL)}."
        )
    missing = [key for key in REQUIRED if key not in values]
    if missing:
        raise InputError(f"{where}: missing key {first_few(missing)}; {', '.join(REQUIRED)} are all needed.")


def _check_number(name: str, value: Any, low: float, *, may_equal: bool = False) -> None:
    """Refuse anything but a finite number above (or at) a limit."""
    number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if not (number and (value > low or (may_equal and value == low)) and value <= LARGEST):
        raise InputError(
            f"hyperparameters: {name} must be a number {'from' if may_equal else 'above'} {low:g} to "
            f"{LARGEST:g}; got {value!r}."
        )


def _check_values(given: Hyperparameters) -> None:
    for name, scale in given.shrinkage_scale.items():
        _check_number(f"shrinkage_scale['{name}']", scale, 0.0)
    _check_number("dispersion_sd", given.dispersion_sd, 0.0)
    _check_number("asymptotic_dispersion", given.asymptotic_dispersion, 0.0)
    _check_number("extra_poisson", given.extra_poisson, 0.0, may_equal=True)
    if given.residuals not in RESIDUALS:
        raise InputError(
            f"hyperparameters: residuals must be one of 'normal', 'student_t'; got {given.residuals!r}."
            f"{nearest(str(given.residuals), RESIDUALS)}"
        )
    if given.residuals == "student_t":
        _check_number("nu", given.nu, 0.0)
    elif given.nu is not None:
        raise InputError(
            f"hyperparameters: nu is for student_t residuals; got {given.nu!r} with normal ones."
        )
    lengths = {name: len(column) for name, column in given.draws.items()}
    if len(set(lengths.values())) > 1:
        raise InputError(f"hyperparameters: draws must be of one length; got {lengths}.")
    _check_draws(given)


def _check_draws(given: Hyperparameters) -> None:
    """Refuse draws of what is no hyperparameter here, or of values that it cannot have."""
    scales = [f"shrinkage_scale[{name}]" for name in given.shrinkage_scale]
    allowed = [*scales, "dispersion_sd", "asymptotic_dispersion", "extra_poisson"]
    allowed += ["nu"] if given.residuals == "student_t" else []
    for name, column in given.draws.items():
        if name not in allowed:
            raise InputError(
                f"hyperparameters: draws has '{name}';{nearest(name, allowed)} allowed are "
                f"{first_few(allowed, 20)}."
            )
        low = float(np.min(column))
        if low < 0.0 or (low == 0.0 and name != "extra_poisson"):
            raise InputError(f"hyperparameters: draws['{name}'] must be above 0; the smallest is {low:g}.")


def _draw_array(name: str, column: Any) -> np.ndarray:
    """Read one column of draws."""
    try:
        values = np.asarray(column, dtype=np.float64)
    except (TypeError, ValueError):
        values = np.empty(0)
    if values.ndim != 1 or not values.size or not np.isfinite(values).all():
        raise InputError(f"hyperparameters: draws['{name}'] must be a list of finite numbers.")
    return values
