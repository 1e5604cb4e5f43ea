"""Checks of single values: words, numbers between limits, whole numbers."""

from __future__ import annotations

import difflib
from collections.abc import Collection
from numbers import Real

from bayesde.errors import OptionError

__all__ = ["check_choice", "check_range", "check_whole", "nearest"]


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

    Parameters
    ----------
    name : str
        The option, as messages call it.
    value : object
    allowed : collection of str

    Raises
    ------
    OptionError
        Naming the option, the value, and the words that are allowed.
    """
    if value not in allowed:
        words = ", ".join(f"'{word}'" for word in allowed)
        raise OptionError(f"{name} must be one of {words}; got {value!r}.{nearest(str(value), allowed)}")


def check_range(name: str, value: float, low: float, high: float, *, open_ends: bool = False) -> None:
    """Refuse anything but a number in an interval; booleans are not numbers.

    Parameters
    ----------
    name : str
        The option, as messages call it.
    value : float
    low, high : float
        The ends of the interval.
    open_ends : bool
        Whether the ends themselves are refused.

    Raises
    ------
    OptionError
        Naming the option, the value and the interval.
    """
    number = isinstance(value, Real) and not isinstance(value, bool)
    inside = number and (low < value < high if open_ends else low <= value <= high)
    if not inside:
        left, right = ("(", ")") if open_ends else ("[", "]")
        raise OptionError(f"{name} must be a number in {left}{low:g}, {high:g}{right}; got {value!r}.")


def check_whole(name: str, value: object, low: int, high: int) -> None:
    """Refuse anything but a whole number between two others.

    Parameters
    ----------
    name : str
        The option, as messages call it.
    value : object
    low, high : int
        The smallest and the largest number that is allowed.

    Raises
    ------
    OptionError
        Naming the option, the value and the limits.
    """
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise OptionError(f"{name} must be a whole number from {low} to {high}; got {value!r}.")
