"""The laws that simulated genes are drawn from."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bayesde.errors import OptionError
from bayesde.options import check_choice, check_range

__all__ = ["SimulationOptions"]

EFFECTS = ("cauchy", "normal", "student_t", "mixture")
RESIDUALS = ("normal", "student_t")


@dataclass(frozen=True, kw_only=True)
class SimulationOptions:
    """The laws that genes are drawn from; effects and dispersions in natural-log units.

    Parameters
    ----------
    effects : {"cauchy", "normal", "student_t", "mixture"}
        Law of the effects: Cauchy(0, S), as the model has it; Normal(0, S^2); S times Student-t;
        or ``"mixture"``, half of the effects Normal(S, (S/4)^2) and half Normal(-S, (S/4)^2).
    effect_scale : float or mapping of str to float
        S, 0 or more, of every coefficient but the intercept (of a covariate: per unit); or by coefficient,
        those not named having no effect.
    effect_df : float
        Degrees of freedom of ``"student_t"`` effects.
    zero_share : float
        Share of genes whose effect is exactly 0, independently for each coefficient.
    largest_effect : float
        Effects are drawn from their law given that they are within plus or minus this: a Cauchy law now and
        then has effects of e^1000-fold, which are no counts.
    trend : (float, float) or callable
        a0 and a1 of the dispersion trend a0 + a1 / base mean, or a function of base means (gene,), such as
        the ``trend`` of a fit. ``(0, 0)`` makes Poisson counts.
    dispersion_sd : float
        sigma, the scale of ln dispersion around the trend. Dispersions beyond 1e-8 or 1e8 are set to these.
    residuals : {"normal", "student_t"}
        Law of ln dispersion around the trend.
    nu : float
        Degrees of freedom of ``"student_t"`` residuals.
    median_mean, mean_log_sd : float
        Median of the log-normal base means, and standard deviation of their natural logarithm.
    size_factor_sd : float
        Standard deviation of ln size factors; their geometric mean is 1.

    Raises
    ------
    OptionError
        For a value that is not allowed.
    """

    effects: str = "cauchy"
    effect_scale: float | Mapping[str, float] = 0.5
    effect_df: float = 3.0
    zero_share: float = 0.0
    largest_effect: float = 10.0
    trend: tuple[float, float] | Callable[[np.ndarray], np.ndarray] = (0.05, 2.0)
    dispersion_sd: float = 0.5
    residuals: str = "normal"
    nu: float = 4.0
    median_mean: float = 100.0
    mean_log_sd: float = 1.5
    size_factor_sd: float = 0.2

    def __post_init__(self) -> None:
        check_choice("effects", self.effects, EFFECTS)
        check_choice("residuals", self.residuals, RESIDUALS)
        check_range("largest_effect", self.largest_effect, 0.0, 100.0, open_ends=True)
        scales = self.effect_scale
        for name, scale in scales.items() if isinstance(scales, Mapping) else [("", scales)]:
            check_range(
                f"effect_scale[{name}]" if name else "effect_scale", scale, 0.0, float(self.largest_effect)
            )
        check_range("zero_share", self.zero_share, 0.0, 1.0)
        for name in ("dispersion_sd", "mean_log_sd", "size_factor_sd"):
            check_range(name, getattr(self, name), 0.0, 10.0)
        for name, high in {"effect_df": 1e6, "nu": 1e6, "median_mean": 1e9}.items():
            check_range(name, getattr(self, name), 0.0, high, open_ends=True)
        _check_trend(self.trend)


def _check_trend(trend: Any) -> None:
    if callable(trend):
        return
    if not isinstance(trend, Sequence) or isinstance(trend, str) or len(trend) != 2:
        raise OptionError(
            f"trend must be two numbers, a0 and a1 of a0 + a1 / base mean, or a function; got {trend!r}."
        )
    for name, value in zip(("a0", "a1"), trend, strict=True):
        check_range(f"{name} of the trend", value, 0.0, 1e6)
