"""Kinds of values that an option may take: called with a value, each checks it and returns what to keep."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from numbers import Integral
from os import PathLike, fspath
from pathlib import Path
from typing import Any, Protocol

from bayesde.errors import OptionError
from bayesde.options.checks import check_choice, check_range, check_whole

__all__ = ["File", "Formula", "Kind", "Number", "Other", "Switch", "Whole", "Words"]


class Kind(Protocol):
    """What a kind of values has."""

    @property
    def parsed(self) -> type:
        """The type that the command line makes of a text."""

    @property
    def described(self) -> str:
        """What is allowed, as the Parameters section of a docstring has it."""

    def __call__(self, name: str, value: Any) -> Any:
        """Refuse a value that is not allowed; return the one to keep.

        Parameters
        ----------
        name : str
            The option, as messages call it.
        value : object

        Raises
        ------
        OptionError
            With what was found and what is allowed.
        """


@dataclass(frozen=True)
class Words:
    """One of some words.

    Parameters
    ----------
    allowed : mapping of str to str, or tuple of str
        The words, with their meanings if those are not in the option's help.
    """

    allowed: Mapping[str, str] | tuple[str, ...]
    parsed: type = str

    @property
    def described(self) -> str:
        """The words in braces."""
        return "{" + ", ".join(f'"{word}"' for word in self.allowed) + "}"

    def __call__(self, name: str, value: Any) -> Any:
        """See `Kind`."""
        check_choice(name, value, tuple(self.allowed))
        return value

    def meanings(self, default: object) -> str:
        """List the words with their meanings, the default marked.

        Parameters
        ----------
        default : object
            One of the words, or anything else.

        Returns
        -------
        str
            Empty if the words have no meanings of their own.
        """
        if not isinstance(self.allowed, Mapping):
            return ""
        marks = {word: " (default)" if word == default else "" for word in self.allowed}
        return "; ".join(f"`{word}`{marks[word]}: {meaning}" for word, meaning in self.allowed.items()) + "."


@dataclass(frozen=True)
class Whole:
    """A whole number from `low` to `high`."""

    low: int
    high: int
    parsed: type = int

    @property
    def described(self) -> str:
        """The limits."""
        return f"int, {self.low:,} to {self.high:,}"

    def __call__(self, name: str, value: Any) -> Any:
        """See `Kind`; NumPy's integers and whole floating-point numbers become int."""
        number = isinstance(value, float) and value.is_integer()
        if (isinstance(value, Integral) and not isinstance(value, bool)) or number:
            value = int(value)
        check_whole(name, value, self.low, self.high)
        return value


@dataclass(frozen=True)
class Number:
    """A number in an interval, which contains its ends unless `open_ends`."""

    low: float
    high: float
    open_ends: bool = False
    parsed: type = float

    @property
    def described(self) -> str:
        """The interval."""
        left, right = ("(", ")") if self.open_ends else ("[", "]")
        return f"float in {left}{self.low:,.15g}, {self.high:,.15g}{right}"

    def __call__(self, name: str, value: Any) -> Any:
        """See `Kind`."""
        check_range(name, value, self.low, self.high, open_ends=self.open_ends)
        return value


@dataclass(frozen=True)
class Switch:
    """True or false."""

    parsed: type = bool
    described: str = "bool"

    def __call__(self, name: str, value: Any) -> Any:
        """See `Kind`."""
        if not isinstance(value, bool):
            raise OptionError(f"{name} must be true or false; got {value!r}.")
        return value


@dataclass(frozen=True)
class Formula:
    """A formula over the columns of the sample table."""

    parsed: type = str
    described: str = "str"

    def __call__(self, name: str, value: Any) -> Any:
        """See `Kind`."""
        if not isinstance(value, str):
            raise OptionError(f"{name} must be a formula, such as '~ batch + condition'; got {value!r}.")
        return value


@dataclass(frozen=True)
class File:
    """The path of a file or folder, which need not exist; it is kept as an absolute path, a str."""

    parsed: type = Path
    described: str = "path"

    def __call__(self, name: str, value: Any) -> Any:
        """See `Kind`."""
        if not isinstance(value, str | PathLike):
            raise OptionError(f"{name} must be the path of a file; got {value!r}.")
        return str(Path(fspath(value)).absolute())


def _any(name: str, value: Any) -> Any:
    """Allow everything."""
    return value


@dataclass(frozen=True)
class Other:
    """Values that a function of their own checks.

    Parameters
    ----------
    described : str
        What is allowed.
    checked : callable
        Called with the option's name and a value; returns the value to keep.
    """

    described: str
    checked: Callable[[str, Any], Any] = _any
    parsed: type = str  # of the command line

    def __call__(self, name: str, value: Any) -> Any:
        """See `Kind`."""
        return self.checked(name, value)
