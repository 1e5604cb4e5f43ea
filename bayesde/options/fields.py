"""Options as fields of dataclasses: default, help, what is allowed, and spelling on the command line.

    @documented
    @dataclass(frozen=True, kw_only=True)
    class FilterOptions:
        \"\"\"Which genes are tested.\"\"\"

        fdr: float = option(0.1, Number(0.0, 1.0, open_ends=True), "The false discovery rate.", flag("--fdr"))

        def __post_init__(self) -> None:
            check_fields(self)

From such a field come the check of its value (`check_fields`), the section Parameters of the class's
docstring (`documented`), the key of a TOML table (`bayesde.options.toml`) and the option of a command
(`bayesde.cli.arguments`).
"""

from __future__ import annotations

import dataclasses
import inspect
import textwrap
from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, dataclass
from typing import Any, TypeVar

from bayesde.options.kinds import Kind, Switch, Words

__all__ = [
    "Flag",
    "Option",
    "about",
    "check_fields",
    "described",
    "documented",
    "flag",
    "option",
    "options_of",
    "parameter_lines",
]

_KEY = "bayesde"
_WIDTH = 106
"""Of the lines of a generated docstring, which is indented by four spaces in the source."""

Class = TypeVar("Class", bound=type)


@dataclass(frozen=True, kw_only=True)
class Flag:
    """How an option is spelt on the command line.

    Parameters
    ----------
    names : tuple of str
        For example ``("--out", "-o")``; empty for an argument without a name.
    metavar : str, optional
        What stands for the value in the help.
    help : str, optional
        Where the command line needs another text than the field, as for a switch that turns something off.
    commands : tuple of str, optional
        The commands that have it; by default all that use the class.
    panel : str, optional
        The box of the help that it is in.
    required : bool
        Whether the command cannot do without it.
    repeated : bool
        Whether it may be given several times, which makes a list.
    sets : bool
        The value that a switch sets.
    read : callable, optional
        From the text (or the list of texts) to the value of the field.
    """

    names: tuple[str, ...]
    metavar: str | None = None
    help: str | None = None
    commands: tuple[str, ...] | None = None
    panel: str | None = None
    required: bool = False
    repeated: bool = False
    sets: bool = True
    read: Callable[[Any], Any] | None = None


@dataclass(frozen=True)
class Option:
    """What is known of a field beside its name, type and default."""

    kind: Kind
    help: str
    flag: Flag | None = None


def flag(*names: str, **details: Any) -> Flag:
    """Say how an option is spelt on the command line.

    Parameters
    ----------
    *names : str
        For example ``"--out", "-o"``.
    **details
        See `Flag`.

    Returns
    -------
    Flag
    """
    return Flag(names=names, **details)


def described(kind: Kind, help: str, flag: Flag | None = None) -> Mapping[str, Option]:
    """Return the metadata of a field that has no default: ``field(metadata=described(...))``.

    Parameters
    ----------
    kind : Kind
        What is allowed.
    help : str
        What the option does, in whole sentences; Markdown.
    flag : Flag, optional
        Its spelling on the command line, if it has one.

    Returns
    -------
    mapping
    """
    return {_KEY: Option(kind, help, flag)}


def option(default: Any, kind: Kind, help: str, flag: Flag | None = None) -> Any:
    """Make a field with a default.

    Parameters
    ----------
    default : object
        A class or function without arguments is called for every new object (``default_factory``).
    kind, help, flag
        See `described`.

    Returns
    -------
    dataclasses.Field
    """
    metadata = described(kind, help, flag)
    if callable(default):
        return dataclasses.field(default_factory=default, metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


def about(entry: Field[Any]) -> Option | None:
    """Return what is known of a field; None if it was not made by `option` or `described`.

    Parameters
    ----------
    entry : dataclasses.Field

    Returns
    -------
    Option or None
    """
    return entry.metadata.get(_KEY)


def options_of(kind: Any) -> dict[str, tuple[Field[Any], Option]]:
    """Return the options of a class, by name.

    Parameters
    ----------
    kind : type
        A dataclass.

    Returns
    -------
    dict of str to (dataclasses.Field, Option)
    """
    known = [(entry, about(entry)) for entry in dataclasses.fields(kind)]
    return {entry.name: (entry, one) for entry, one in known if one is not None}


def check_fields(options: Any) -> None:
    """Check every field of a new object, and keep the values as their kinds have them.

    None is allowed where it is the default.

    Parameters
    ----------
    options : object
        Of an option class; to be called in its ``__post_init__``.

    Raises
    ------
    OptionError
        For the first value that is not allowed.
    """
    for name, (entry, one) in options_of(options).items():
        value = getattr(options, name)
        if value is not None or entry.default is not None:
            object.__setattr__(options, name, one.kind(name, value))


def documented(kind: Class) -> Class:
    """Write the section Parameters of a class's docstring from its fields.

    Parameters
    ----------
    kind : type
        A dataclass.

    Returns
    -------
    type
        The same class.
    """
    if kind.__doc__ is not None:  # as it is under python -OO
        text = inspect.cleandoc(kind.__doc__)  # indented before Python 3.13, and not since
        head, rule, tail = text.partition("\n\nRaises\n")
        section = "\n".join(["", "", "Parameters", "----------", *parameter_lines(kind)])
        kind.__doc__ = f"{head}{section}{rule}{tail}\n"
    return kind


def parameter_lines(kind: Any) -> list[str]:
    """Describe the fields of an option class as a numpydoc section does.

    Parameters
    ----------
    kind : type
        A dataclass.

    Returns
    -------
    list of str
        Without indentation.
    """
    lines = []
    for name, (entry, one) in options_of(kind).items():
        lines.append(f"{name} : {one.kind.described}{_default(entry)}")
        lines += [
            f"    {line}" for line in textwrap.wrap(full_help(entry, one).replace("`", "``"), _WIDTH - 8)
        ]
    return lines


def _default(entry: Field[Any]) -> str:
    """Write the default behind a type."""
    if entry.default is None:
        return ", optional"
    if entry.default is MISSING:
        return ""
    return f", default {entry.default!r}".replace("'", '"')


def full_help(entry: Field[Any], one: Option) -> str:
    """Return the help of a field, with the meanings of its words.

    Parameters
    ----------
    entry : dataclasses.Field
    one : Option

    Returns
    -------
    str
    """
    meanings = one.kind.meanings(entry.default) if isinstance(one.kind, Words) else ""
    return f"{one.help} {meanings}".strip()


def command_help(entry: Field[Any], one: Option) -> str:
    """Return the help of an option on the command line, with its default unless it is a word or a switch.

    Parameters
    ----------
    entry : dataclasses.Field
    one : Option

    Returns
    -------
    str
    """
    spelling = one.flag
    text = spelling.help if spelling is not None and spelling.help else full_help(entry, one)
    if isinstance(one.kind, Words | Switch) or entry.default in (MISSING, None, ()) or "Default:" in text:
        return text
    values = entry.default if isinstance(entry.default, tuple) else (entry.default,)
    shown = ",".join(f"{value:g}" if isinstance(value, float) else str(value) for value in values)
    return f"{text} [default: {shown}]"
