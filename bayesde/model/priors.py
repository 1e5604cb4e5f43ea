r"""The priors of what all genes share, and of the coefficients that are not shrunken.

    ln S_k   ~ Normal(ln 0.2, 1.5)      scale of the prior of coefficient k
    ln nu_k  ~ Normal(ln 5, 1.2)        degrees of freedom of that prior, where they are learnt
    pi0_k    ~ Beta(1, 1)               probability that an effect is 0, where it is learnt
    ln sigma ~ Normal(ln 0.7, 0.7)      scale of log dispersions around their trend
    ln a0    ~ Normal(ln 0.05, 2)       dispersion at high counts
    ln a1    ~ Normal(ln 2, 2)          what low counts add, times the mean
    nu       ~ Gamma(2, 0.1) above 2    degrees of freedom of Student-t residuals (Juarez and Steel 2010,
                                        doi:10.1198/jbes.2009.07145)
    w        ~ Beta(1, 9)               share of the wide one of two normal components of these residuals
    tau      ~ 1 + LogNormal(ln 2, 0.7) its standard deviation, over that of the other one
    m_tau    ~ Normal(ln 0.3, 1)        mean of the log standard deviations of random effects over the genes
    ln s_tau ~ Normal(ln 0.7, 0.7)      and their standard deviation
    beta_u   ~ Normal(0, 15)            coefficients that are not shrunken, as apeglm has them (Zhu, Ibrahim
                                        and Love 2018, doi:10.1093/bioinformatics/bty895)

All in natural-log units. They are weak, but proper: a coefficient without effects would otherwise let S_k go
to 0 without end. `stan/README.md` says what the defaults mean for real experiments.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from bayesde.errors import OptionError, first_few
from bayesde.options import check_range, nearest

if TYPE_CHECKING:
    import numpy as np

__all__ = ["Beta", "LogNormal", "Priors", "ShiftedGamma", "ShiftedLogNormal"]

LARGEST = 1e6


@dataclass(frozen=True)
class LogNormal:
    """A positive number whose natural log is normal.

    Parameters
    ----------
    median : float
        Above 0.
    log_sd : float
        Standard deviation of the natural log, above 0: 95 % lie within a factor exp(2 log_sd) of the median.
    """

    median: float
    log_sd: float

    def __post_init__(self) -> None:
        check_range("median", self.median, 0.0, LARGEST, open_ends=True)
        check_range("log_sd", self.log_sd, 0.0, 100.0, open_ends=True)

    @property
    def log_median(self) -> float:
        """Mean of the natural log."""
        return math.log(self.median)

    def log_density(self, psi: float) -> tuple[float, float, float]:
        """Return the log density of the natural log of a value, with derivatives.

        Parameters
        ----------
        psi : float
            ln value.

        Returns
        -------
        log_density, slope, information : float
            The last is the negative second derivative.
        """
        z = (psi - self.log_median) / self.log_sd
        height = -math.log(self.log_sd * math.sqrt(2.0 * math.pi))
        return height - 0.5 * z * z, -z / self.log_sd, self.log_sd**-2.0

    def draw(self, rng: np.random.Generator, size: int) -> np.ndarray:
        """Draw values.

        Parameters
        ----------
        rng : Generator
        size : int

        Returns
        -------
        ndarray (size,)
        """
        import numpy as np  # the command line reads the defaults without loading it

        return np.asarray(self.median * np.exp(self.log_sd * rng.standard_normal(size)))


@dataclass(frozen=True)
class ShiftedLogNormal(LogNormal):
    """A number above 1, whose excess over 1 has a normal natural log.

    Parameters
    ----------
    median : float
        Of the excess, above 0.
    log_sd : float
        Standard deviation of the natural log of the excess, above 0.
    """

    @property
    def above(self) -> float:
        """What values exceed."""
        return 1.0

    def draw(self, rng: np.random.Generator, size: int) -> np.ndarray:
        """Draw values.

        Parameters
        ----------
        rng : Generator
        size : int

        Returns
        -------
        ndarray (size,)
        """
        return self.above + super().draw(rng, size)


@dataclass(frozen=True)
class ShiftedGamma:
    """A Gamma distribution cut off below.

    Parameters
    ----------
    shape, rate : float
        Above 0.
    above : float
        Values are larger than this, 0 or more.
    """

    shape: float
    rate: float
    above: float = 2.0

    def __post_init__(self) -> None:
        check_range("shape", self.shape, 0.0, LARGEST, open_ends=True)
        check_range("rate", self.rate, 0.0, LARGEST, open_ends=True)
        if self.above != 2.0:
            raise OptionError(
                f"above must be 2, below which residuals have no variance and Stan's program does not go; "
                f"got {self.above!r}."
            )

    def log_density(self, psi: float) -> tuple[float, float, float]:
        """Return the log density of the natural log of what a value exceeds ``above`` by, with derivatives.

        Parameters
        ----------
        psi : float
            ln(value - above).

        Returns
        -------
        log_density, slope, information : float
            The first up to a constant; the last is the negative second derivative.
        """
        beyond = math.exp(psi)
        value = beyond + self.above
        log_density = (self.shape - 1.0) * math.log(value) - self.rate * value + psi
        slope = beyond * ((self.shape - 1.0) / value - self.rate) + 1.0
        return log_density, slope, beyond * self.rate

    def draw(self, rng: np.random.Generator, size: int) -> np.ndarray:
        """Draw values, by the inverse of the distribution function.

        Parameters
        ----------
        rng : Generator
        size : int

        Returns
        -------
        ndarray (size,)
        """
        import numpy as np
        from scipy.special import gammaincc, gammainccinv

        beyond = gammaincc(self.shape, self.rate * self.above)
        return np.asarray(gammainccinv(self.shape, rng.random(size) * beyond) / self.rate)


@dataclass(frozen=True)
class Beta:
    """A probability.

    Parameters
    ----------
    a, b : float
        Above 0; 1 and 1 are the uniform distribution. The mean is a / (a + b).
    """

    a: float
    b: float

    def __post_init__(self) -> None:
        check_range("a", self.a, 0.0, LARGEST, open_ends=True)
        check_range("b", self.b, 0.0, LARGEST, open_ends=True)

    def log_density(self, psi: float) -> tuple[float, float, float]:
        """Return the log density on the scale of `bayesde.model.probability_scale`, with derivatives.

        Parameters
        ----------
        psi : float

        Returns
        -------
        log_density, slope, information : float
            The first up to a constant; the last is the negative second derivative.
        """
        from bayesde.model.probability_scale import (  # the command line reads the defaults without it
            direction,
            roots,
        )

        a, b = (float(root) for root in roots(psi))
        c = a * a + b * b
        a1, b1 = b * b / c, -a * a / c
        c1 = 2.0 * (a * a1 + b * b1)
        a2, b2 = (2.0 * b * b1 - a1 * c1) / c, (-2.0 * a * a1 - b1 * c1) / c
        c2 = 2.0 * (a1 * a1 + a * a2 + b1 * b1 + b * b2)
        p, q = 3.0 * self.a - 1.0, 3.0 * self.b - 1.0
        value = p * math.log(a) + q * math.log(b) - math.log(c)
        slope = p * a1 / a + q * b1 / b - c1 / c
        bent = p * (a2 / a - (a1 / a) ** 2) + q * (b2 / b - (b1 / b) ** 2) - (c2 / c - (c1 / c) ** 2)
        return value, direction(psi) * slope, -bent

    def draw(self, rng: np.random.Generator, size: int) -> np.ndarray:
        """Draw values.

        Parameters
        ----------
        rng : Generator
        size : int

        Returns
        -------
        ndarray (size,)
        """
        return rng.beta(self.a, self.b, size)


_KINDS: dict[str, type] = {
    "nu": ShiftedGamma,
    "pi0": Beta,
    "wide_share": Beta,
    "wide_ratio": ShiftedLogNormal,
}
_EXAMPLES = {
    ShiftedLogNormal: "ShiftedLogNormal(2.0, 0.7)",
    LogNormal: "LogNormal(0.2, 1.5)",
    ShiftedGamma: "ShiftedGamma(2.0, 0.1)",
    Beta: "Beta(1.0, 1.0)",
}


@dataclass(frozen=True, kw_only=True)
class Priors:
    """Priors of a whole experiment.

    Parameters
    ----------
    shrinkage_scale : LogNormal
        S_k of every shrunken coefficient, natural log of fold changes.
    effect_nu : LogNormal
        Degrees of freedom of Student-t priors of effects.
    pi0 : Beta
        Probability that an effect is 0.
    wide_share : Beta
        Share of the wide one of two normal components of the residuals.
    wide_ratio : ShiftedLogNormal
        Its standard deviation over that of the other one.
    dispersion_sd : LogNormal
        sigma, scale of log dispersions around their trend.
    asymptotic_dispersion, extra_poisson : LogNormal
        a0 and a1 of the trend a0 + a1 / mean.
    nu : ShiftedGamma
        Degrees of freedom of Student-t residuals.
    unshrunken_sd : float
        Standard deviation of the normal prior of the other coefficients, natural log.
    random_effect_sd : LogNormal
        exp(m_tau), median over the genes of the standard deviations of random effects, natural log.
    random_effect_sd_spread : LogNormal
        s_tau, standard deviation of their logarithms.
    """

    shrinkage_scale: LogNormal = field(default_factory=lambda: LogNormal(0.2, 1.5))
    dispersion_sd: LogNormal = field(default_factory=lambda: LogNormal(0.7, 0.7))
    asymptotic_dispersion: LogNormal = field(default_factory=lambda: LogNormal(0.05, 2.0))
    extra_poisson: LogNormal = field(default_factory=lambda: LogNormal(2.0, 2.0))
    nu: ShiftedGamma = field(default_factory=lambda: ShiftedGamma(2.0, 0.1))
    unshrunken_sd: float = 15.0
    effect_nu: LogNormal = field(default_factory=lambda: LogNormal(5.0, 1.2))
    pi0: Beta = field(default_factory=lambda: Beta(1.0, 1.0))
    wide_share: Beta = field(default_factory=lambda: Beta(1.0, 9.0))
    wide_ratio: ShiftedLogNormal = field(default_factory=lambda: ShiftedLogNormal(2.0, 0.7))
    random_effect_sd: LogNormal = field(default_factory=lambda: LogNormal(0.3, 1.0))
    random_effect_sd_spread: LogNormal = field(default_factory=lambda: LogNormal(0.7, 0.7))

    def __post_init__(self) -> None:
        check_range("unshrunken_sd", self.unshrunken_sd, 0.0, 1000.0, open_ends=True)
        for entry in dataclasses.fields(self):
            kind = _KINDS.get(entry.name, LogNormal)
            if entry.name != "unshrunken_sd" and not isinstance(getattr(self, entry.name), kind):
                raise OptionError(
                    f"{entry.name} must be a {kind.__name__}; got {getattr(self, entry.name)!r}. For example "
                    f"{_EXAMPLES[kind]}."
                )

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], where: str = "priors") -> Priors:
        """Make priors from plain values, as TOML and JSON have them.

        Parameters
        ----------
        values : mapping
            By name: ``{"median": 0.2, "log_sd": 1.5}``, of which what is left out keeps its default, or
            ``[0.2, 1.5]``; for ``unshrunken_sd`` a number. Priors that are not named keep their defaults.
        where : str
            How messages call the source of the values.

        Raises
        ------
        OptionError
            For an unknown name (with the nearest match) or a value that is not allowed.
        """
        usual = cls()
        names = [entry.name for entry in dataclasses.fields(cls)]
        _check_names(values, names, where)
        laws = {name: _law(value, getattr(usual, name), f"{where}: {name}") for name, value in values.items()}
        try:
            return cls(**laws)
        except OptionError as error:
            raise OptionError(f"{where}: {error}") from None


def _law(value: Any, usual: Any, where: str) -> Any:
    """Make one prior of plain values; `usual` is its default."""
    if isinstance(usual, float) or isinstance(value, type(usual)):
        return value
    names = [entry.name for entry in dataclasses.fields(usual)]
    if isinstance(value, Mapping):
        _check_names(value, names, where)
        given = dict(value)
    elif isinstance(value, list | tuple) and len(value) == 2:
        given = dict(zip(names, value, strict=False))
    else:
        pair = ", ".join(f"{name} = {getattr(usual, name):g}" for name in names[:2])
        raise OptionError(f"{where} must be a table, {{{pair}}}, or two numbers; got {value!r}.")
    try:
        return dataclasses.replace(usual, **given)
    except OptionError as error:
        raise OptionError(f"{where}: {error}") from None


def _check_names(values: Mapping[str, Any], allowed: list[str], where: str) -> None:
    """Refuse names that mean nothing here."""
    unknown = [name for name in values if name not in allowed]
    if unknown:
        raise OptionError(
            f"{where}: unknown key {first_few(unknown)}.{nearest(unknown[0], allowed)} "
            f"Allowed are {', '.join(allowed)}."
        )
