"""Arguments and options of the commands, made from the fields of option classes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import MISSING, Field, dataclass, field
from inspect import Parameter, Signature
from typing import Annotated, Any

import typer

from bayesde.options import Flag, Kind, Option, Switch, options_of
from bayesde.options.fields import command_help

__all__ = ["Chosen", "Part", "with_options"]

Chosen = dict[str, dict[str, Any]]
"""What the user chose: values by the name of a part and of a field, without what was left out."""


@dataclass(frozen=True)
class Part:
    """Fields of an option class that a command has as options.

    Parameters
    ----------
    name : str
        Under which the command finds their values.
    kind : type
        The option class.
    fields : tuple of str, optional
        Which of them; by default all that have a flag for the command.
    defaults : dict, optional
        Values of required fields that this command can do without.
    """

    name: str
    kind: type
    fields: tuple[str, ...] | None = None
    defaults: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class _Place:
    """Where the value of a parameter goes."""

    part: str
    name: str
    kind: Kind
    flag: Flag

    def value(self, given: Any) -> Any:
        """Return the value of the field; refuse what is not allowed."""
        if isinstance(self.kind, Switch):
            return self.flag.sets
        if self.flag.read is not None:
            return self.flag.read(given)
        self.kind(self.name, given)
        return given


def with_options(
    command: str, parts: Iterable[Part], function: Callable[[Chosen], None]
) -> Callable[..., None]:
    """Make a command of a function of what the user chose.

    Parameters
    ----------
    command : str
        Its name.
    parts : iterable of Part
        The options that it has, in the order of its help; those that are required come first.
    function : callable

    Returns
    -------
    callable
        Which has a parameter for every option, as typer wants it.
    """
    parts = tuple(parts)
    known = list(_parameters(command, parts))
    known.sort(key=lambda pair: pair[0].default is not Parameter.empty)  # a stable sort
    places = {parameter.name: place for parameter, place in known}

    def called(**values: Any) -> None:
        function(_chosen(parts, places, values))

    called.__name__, called.__doc__ = function.__name__, function.__doc__
    called.__signature__ = Signature([parameter for parameter, _ in known])  # type: ignore[attr-defined]
    called.__annotations__ = {parameter.name: parameter.annotation for parameter, _ in known}
    return called


def _chosen(parts: Iterable[Part], places: dict[str, _Place], values: dict[str, Any]) -> Chosen:
    """Sort the values by part and field, and leave out what was not given."""
    chosen: Chosen = {part.name: {} for part in parts}
    for parameter, value in values.items():
        if value is not None and value is not False and value != []:
            place = places[parameter]
            chosen[place.part][place.name] = place.value(value)
    return chosen


def _parameters(command: str, parts: Iterable[Part]) -> Iterable[tuple[Parameter, _Place]]:
    """Make the parameters of a command."""
    for part in parts:
        for name, (entry, one) in options_of(part.kind).items():
            spelling = one.flag
            if spelling is None or (part.fields is not None and name not in part.fields):
                continue
            if spelling.commands is None or command in spelling.commands:
                parameter = _parameter(entry, one, spelling, part.defaults.get(name, MISSING))
                yield parameter, _Place(part.name, name, one.kind, spelling)


def _parameter(entry: Field[Any], one: Option, spelling: Flag, default: Any) -> Parameter:
    """Make the parameter of one field; a default of the command replaces that it is required."""
    text = command_help(entry, one)
    if default is not MISSING:
        text = f"{text} [default: {default}]"
    looks: dict[str, Any] = {"metavar": spelling.metavar, "help": text, "rich_help_panel": spelling.panel}
    name = spelling.names[0].removeprefix("--").replace("-", "_") if spelling.names else entry.name
    if not spelling.names:
        about: Any = typer.Argument(**looks)
    else:
        about = typer.Option(*spelling.names, **looks)
    required = spelling.required and default is MISSING
    value: Any = list[str] if spelling.repeated else one.kind.parsed
    missing: Any = False if isinstance(one.kind, Switch) else None
    if not required and missing is None:
        value = value | None
    return Parameter(
        name,
        Parameter.KEYWORD_ONLY,
        default=Parameter.empty if required else missing,
        annotation=Annotated[value, about],
    )
