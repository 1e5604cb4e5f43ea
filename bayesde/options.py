"""Options: frozen, self-checking, written to and read from TOML.

Each options class lists its fields with their defaults; a value that is not allowed is refused when the
object is made, and an unknown key in a TOML file is refused with the nearest match.
"""

from __future__ import annotations

import dataclasses
import difflib
import tomllib
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import tomli_w

from bayesde.errors import OptionError, first_few

__all__ = ["EbOptions", "check_choice", "check_range", "nearest", "options_from_dict", "read_toml", "to_toml"]

Options = TypeVar("Options")


def nearest(name: str, allowed: Collection[str]) -> str:
    """Return ``" Did you mean 'x'?"`` for the closest allowed name, or nothing.

    Parameters
    ----------
    name : str
        What the user wrote.
    allowed : collection of str
        What would have been understood.

    Returns
    -------
    str
        A hint that can be appended to a message; empty when nothing is close.
    """
    close = difflib.get_close_matches(name, list(allowed), n=1, cutoff=0.6)
    return f" Did you mean '{close[0]}'?" if close else ""


def check_choice(name: str, value: object, allowed: Collection[str]) -> None:
    """Refuse a value that is not one of the allowed words.

    Raises
    ------
    OptionError
        Naming the option, the value, and the words that are allowed.
    """
    if value not in allowed:
        words = ", ".join(f"'{word}'" for word in allowed)
        raise OptionError(f"{name} must be one of {words}; got {value!r}.{nearest(str(value), allowed)}")


def check_range(name: str, value: float, low: float, high: float, *, open_ends: bool = False) -> None:
    """Refuse a number outside an interval (or on its ends, with ``open_ends``), or a bool, or a non-number.

    Raises
    ------
    OptionError
        Naming the option, the value and the interval.
    """
    number = isinstance(value, int | float | np.number) and not isinstance(value, bool)
    inside = number and (low < value < high if open_ends else low <= value <= high)
    if not inside:
        left, right = ("(", ")") if open_ends else ("[", "]")
        raise OptionError(f"{name} must be a number in {left}{low:g}, {high:g}{right}; got {value!r}.")


@dataclasses.dataclass(frozen=True, kw_only=True)
class EbOptions:
    """What may be chosen in the empirical-Bayes fit.

    Parameters
    ----------
    trend : {"parametric", "local", "mean"}
        Dispersion trend: a0 + a1 / mean, a local regression, or one constant (a trimmed mean).
    fdr : float
        False discovery rate at which independent filtering chooses its threshold; in (0, 1).
    independent_filtering : bool
        Whether genes of low mean are left out of the multiple-testing adjustment.
    cooks_cutoff : bool
        Whether a gene with a count of excessive Cook's distance loses its p-value (``count_outlier``).
    replace_outliers : bool
        Whether such counts are replaced, and the gene fitted again, where there are enough replicates.
    min_replicates : int
        How many replicates are enough for that; at least 3.
    use_t : bool
        Whether Wald statistics are compared with t distributions (samples less coefficients degrees of
        freedom) instead of the normal one.
    min_mu : float
        Expected counts are held above this while coefficients are fitted; above 0.
    """

    trend: str = "parametric"
    fdr: float = 0.1
    independent_filtering: bool = True
    cooks_cutoff: bool = True
    replace_outliers: bool = True
    min_replicates: int = 7
    use_t: bool = False
    min_mu: float = 0.5

    def __post_init__(self) -> None:
        check_choice("trend", self.trend, ("parametric", "local", "mean"))
        check_range("fdr", self.fdr, 0.0, 1.0, open_ends=True)
        check_range("min_replicates", self.min_replicates, 3, 10**6)
        if self.min_replicates != int(self.min_replicates):
            raise OptionError(f"min_replicates must be a whole number; got {self.min_replicates!r}.")
        check_range("min_mu", self.min_mu, 0.0, 1e6, open_ends=True)
        for name in ("independent_filtering", "cooks_cutoff", "replace_outliers", "use_t"):
            if not isinstance(getattr(self, name), bool):
                raise OptionError(f"{name} must be true or false; got {getattr(self, name)!r}.")


def options_from_dict(kind: type[Options], values: Mapping[str, Any], where: str) -> Options:
    """Build an options object from a mapping, refusing keys that it does not have.

    Parameters
    ----------
    kind : type
        The options dataclass.
    values : mapping
        Field names and values; fields that are absent keep their defaults.
    where : str
        How messages call the source of the values.

    Raises
    ------
    OptionError
        For an unknown key (with the nearest match) or a value that is not allowed.
    """
    allowed = [field.name for field in dataclasses.fields(kind)]  # type: ignore[arg-type]
    unknown = [key for key in values if key not in allowed]
    if unknown:
        raise OptionError(
            f"{where}: unknown key {first_few(unknown)}.{nearest(unknown[0], allowed)} "
            f"Allowed are {', '.join(allowed)}."
        )
    return kind(**values)


def read_toml(path: str | Path) -> dict[str, Any]:
    """Read a TOML file.

    Raises
    ------
    OptionError
        If the file cannot be read or is not TOML, with the parser's line and column.
    """
    try:
        with open(path, "rb") as handle:
            return tomllib.load(handle)
    except OSError as problem:
        raise OptionError(f"cannot read the options file '{path}': {problem.strerror}.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as problem:
        raise OptionError(f"'{path}' is not valid TOML: {problem}.") from None


def to_toml(options: object) -> str:
    """Write an options dataclass as TOML; fields that are None are left out (TOML has no null)."""
    values = dataclasses.asdict(options)  # type: ignore[call-overload]
    return tomli_w.dumps({key: value for key, value in values.items() if value is not None})
