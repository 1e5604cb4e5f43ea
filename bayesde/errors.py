"""The exceptions of bayesde: who is at fault, and what the command line exits with."""

from __future__ import annotations

from collections.abc import Iterable

__all__ = [
    "BayesdeError",
    "BayesdeNote",
    "BayesdeWarning",
    "FitError",
    "InputError",
    "OptionError",
    "ToolchainError",
    "first_few",
]


class BayesdeError(Exception):
    """Root of everything that bayesde raises on purpose; its message is written for the user."""

    exit_code = 1


class InputError(BayesdeError, ValueError):
    """Counts, tables, designs or files that cannot be used as they are."""

    exit_code = 2


class OptionError(InputError):
    """An option with a value, or a name, that is not allowed."""


class ToolchainError(BayesdeError):
    """No compiler or no CmdStan, where an engine needs one."""

    exit_code = 2


class FitError(BayesdeError):
    """Good input on which a whole fit (not one gene of it) is impossible."""


class BayesdeWarning(UserWarning):
    """Something in a fit that the user should know; said once, with counts."""


class BayesdeNote(BayesdeWarning):
    """Something that was done with the input, or decided in the user's place."""


def first_few(names: Iterable[object], limit: int = 5) -> str:
    """Quote the first names and say how many more there are.

    Parameters
    ----------
    names : iterable
        Names of genes, samples, columns or levels.
    limit : int
        How many are spelled out.

    Returns
    -------
    str
        For example ``"'geneA', 'geneB' and 12 more"``.
    """
    listed = [str(name) for name in names]
    shown = ", ".join(f"'{name}'" for name in listed[:limit])
    rest = len(listed) - limit
    return f"{shown} and {rest} more" if rest > 0 else shown
