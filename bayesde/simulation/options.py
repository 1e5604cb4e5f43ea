"""The distributions that simulated genes are drawn from."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bayesde.errors import OptionError
from bayesde.options import (
    Number,
    Other,
    Words,
    check_fields,
    check_range,
    documented,
    flag,
    option,
)

if TYPE_CHECKING:
    import numpy as np

__all__ = ["SimulationOptions"]


def _trend(name: str, trend: Any) -> Any:
    """Refuse what is neither two numbers nor a function."""
    if callable(trend):
        return trend
    if not isinstance(trend, Sequence) or isinstance(trend, str) or len(trend) != 2:
        raise OptionError(
            f"{name} must be two numbers, a0 and a1 of a0 + a1 / base mean, or a function; got {trend!r}."
        )
    for part, value in zip(("a0", "a1"), trend, strict=True):
        check_range(f"{part} of the trend", value, 0.0, 1e6)
    return trend


def _read_trend(text: str) -> tuple[float, float]:
    """Read a0 and a1."""
    try:
        first, second = (float(part) for part in text.split(","))
    except ValueError:
        raise OptionError(f"--trend {text!r} is not understood; give two numbers, such as 0.05,2.") from None
    return first, second


@documented
@dataclass(frozen=True, kw_only=True)
class SimulationOptions:
    """The distributions that genes are drawn from; effects and dispersions in natural-log units.

    Raises
    ------
    OptionError
        For a value that is not allowed.
    """

    effects: str = option(
        "cauchy",
        Words(
            {
                "cauchy": "Cauchy(0, S), as in the model",
                "normal": "Normal(0, S^2)",
                "student_t": "S times Student-t, by default with 3 degrees of freedom",
                "mixture": "half of the effects Normal(S, (S/4)^2), the other half Normal(-S, (S/4)^2)",
            }
        ),
        "Distribution of the effects, of scale S.",
        flag("--effects", metavar="LAW"),
    )
    effect_scale: float | Mapping[str, float] = option(
        0.5,
        Other("float or mapping of str to float", parsed=float),
        "S, 0 or more, of every coefficient but the intercept (of a covariate: per unit); or by coefficient, "
        "those not named having no effect.",
        flag("--effect-scale", metavar="S", help="Scale S of the effects, in natural-log units."),
    )
    effect_df: float = option(
        3.0, Number(0.0, 1e6, open_ends=True), "Degrees of freedom of Student-t effects."
    )
    zero_share: float = option(
        0.0,
        Number(0.0, 1.0),
        "Share of genes whose effect is exactly 0, independently for each coefficient.",
        flag("--zero-share", metavar="SHARE"),
    )
    largest_effect: float = option(
        10.0,
        Number(0.0, 100.0, open_ends=True),
        "Effects are drawn from their distribution truncated to plus or minus this: a Cauchy distribution "
        "occasionally gives effects of e^1000-fold, which are no counts.",
    )
    trend: tuple[float, float] | Callable[[np.ndarray], np.ndarray] = option(
        (0.05, 2.0),
        Other("(float, float) or callable", _trend),
        "a0 and a1 of the dispersion trend a0 + a1 / base mean, or a function of base means (gene,), such as "
        "the `trend` of a fit. (0, 0) makes Poisson counts.",
        flag(
            "--trend",
            metavar="A0,A1",
            help="Dispersion trend a0 + a1 / base mean; 0,0 makes Poisson counts.",
            read=_read_trend,
        ),
    )
    dispersion_sd: float = option(
        0.5,
        Number(0.0, 10.0),
        "sigma, the scale of ln dispersion around the trend. Dispersions beyond 1e-8 or 1e8 are set to "
        "these.",
        flag("--dispersion-sd", metavar="SIGMA", help="Scale of ln dispersion around the trend."),
    )
    residuals: str = option(
        "normal", Words(("normal", "student_t")), "Distribution of ln dispersion around the trend."
    )
    nu: float = option(4.0, Number(0.0, 1e6, open_ends=True), "Degrees of freedom of Student-t residuals.")
    median_mean: float = option(
        100.0, Number(0.0, 1e9, open_ends=True), "Median of the log-normal base means."
    )
    mean_log_sd: float = option(
        1.5, Number(0.0, 10.0), "Standard deviation of the natural logarithm of the base means."
    )
    size_factor_sd: float = option(
        0.2,
        Number(0.0, 10.0),
        "Standard deviation of ln size factors, whose geometric mean is 1.",
    )

    def __post_init__(self) -> None:
        check_fields(self)
        scales = self.effect_scale
        for name, scale in scales.items() if isinstance(scales, Mapping) else [("", scales)]:
            check_range(
                f"effect_scale[{name}]" if name else "effect_scale", scale, 0.0, float(self.largest_effect)
            )
