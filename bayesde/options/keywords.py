"""Functions whose ``**keywords`` are the fields of an option class."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping
from inspect import Parameter
from typing import Any, TypeVar

from bayesde.errors import OptionError, first_few
from bayesde.options.checks import nearest
from bayesde.options.fields import options_of, parameter_lines

__all__ = ["from_keywords", "takes_fields_of"]

Function = TypeVar("Function", bound=Callable[..., Any])
Options = TypeVar("Options")

_ENTRY = re.compile(r"^\*\*\w+.*\n(?:    .*\n)*", flags=re.MULTILINE)
"""What the docstring of such a function has for its keywords, which their own descriptions replace."""


def takes_fields_of(kind: type) -> Callable[[Function], Function]:
    """Let a function show the fields of an option class in place of its ``**keywords``.

    Its signature (`inspect.signature`, `help`, the completion of an interpreter) and the Parameters of its
    docstring have them with types and defaults. The function makes the object by `from_keywords`.

    Parameters
    ----------
    kind : type
        An option class.

    Returns
    -------
    callable
        A decorator, which returns the same function.
    """

    def shown(function: Function) -> Function:
        own = inspect.signature(function)
        keywords = [
            Parameter(name, Parameter.KEYWORD_ONLY, default=entry.default, annotation=entry.type)
            for name, (entry, _) in options_of(kind).items()
        ]
        given = [one for one in own.parameters.values() if one.kind is not Parameter.VAR_KEYWORD]
        places = [one for one in given if one.kind is not Parameter.KEYWORD_ONLY]
        parameters = [*places, *keywords, *given[len(places) :]]
        function.__signature__ = own.replace(parameters=parameters)  # type: ignore[attr-defined]
        if function.__doc__ is not None:
            described = "".join(f"{line}\n" for line in parameter_lines(kind))
            text = inspect.cleandoc(function.__doc__)  # indented before Python 3.13, and not since
            function.__doc__ = _ENTRY.sub(lambda _: described, text, count=1)
        return function

    return shown


def from_keywords(kind: type[Options], keywords: Mapping[str, Any], function: Callable[..., Any]) -> Options:
    """Make the options of a function from its ``**keywords``.

    Parameters
    ----------
    kind : type
        The option class.
    keywords : mapping
        What was given.
    function : callable
        The function, for messages.

    Returns
    -------
    object
        Of the class `kind`.

    Raises
    ------
    OptionError
        For a name that the function does not have (with the nearest one), or a value that is not allowed.
    """
    known = options_of(kind)
    unknown = [name for name in keywords if name not in known]
    if unknown:
        name, allowed = getattr(function, "__name__", "the function"), inspect.signature(function).parameters
        raise OptionError(
            f"{name}() has no argument {first_few(unknown)}.{nearest(unknown[0], allowed)} "
            f"It has {', '.join(allowed)}."
        )
    return kind(**keywords)
