"""Option classes from mappings and TOML files, and back."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, TypeVar

from bayesde.errors import OptionError, first_few
from bayesde.options.checks import nearest

__all__ = ["check_keys", "options_from_dict", "read_toml", "to_toml"]

Options = TypeVar("Options")


def check_keys(values: Mapping[str, Any], allowed: Collection[str], where: str) -> None:
    """Refuse keys that are not among those allowed.

    Parameters
    ----------
    values : mapping
    allowed : collection of str
    where : str
        How messages call the source of the values.

    Raises
    ------
    OptionError
        With the unknown keys, the nearest match and all that are allowed.
    """
    unknown = [key for key in values if key not in allowed]
    if unknown:
        raise OptionError(
            f"{where}: unknown key {first_few(unknown)}.{nearest(unknown[0], allowed)} "
            f"Allowed are {', '.join(allowed)}."
        )


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

    Returns
    -------
    object
        Of the class `kind`.

    Raises
    ------
    OptionError
        For an unknown key (with the nearest match) or a value that is not allowed.
    """
    allowed = [field.name for field in dataclasses.fields(kind)]  # type: ignore[arg-type]
    check_keys(values, allowed, where)
    return kind(**values)


def read_toml(path: str | Path) -> dict[str, Any]:
    """Read a TOML file.

    Parameters
    ----------
    path : path

    Returns
    -------
    dict

    Raises
    ------
    OptionError
        If the file cannot be read or is not TOML, with the parser's line and column.
    """
    import tomllib  # what is run without a file does without

    try:
        with open(path, "rb") as handle:
            return tomllib.load(handle)
    except OSError as problem:
        raise OptionError(f"cannot read the options file '{path}': {problem.strerror}.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as problem:
        raise OptionError(f"'{path}' is not valid TOML: {problem}.") from None


def to_toml(options: object) -> str:
    """Write an options dataclass as TOML; fields that are None are left out (TOML has no null).

    Parameters
    ----------
    options : dataclass instance

    Returns
    -------
    str
    """
    import tomli_w

    values = dataclasses.asdict(options)  # type: ignore[call-overload]
    return tomli_w.dumps({key: value for key, value in values.items() if value is not None})
