"""Exceptions and warnings of bayesde, and the exit codes of the command line."""

from __future__ import annotations

from collections.abc import Iterable

__all__ = [
    "BayesdeError",
    "BayesdeNote",
    "BayesdeWarning",
    "ClusterError",
    "FitError",
    "InputError",
    "OptionError",
    "StorageError",
    "ToolchainError",
    "first_few",
]


class BayesdeError(Exception):
    """Base class of the exceptions of bayesde; their messages are written for the user."""

    exit_code = 1


class InputError(BayesdeError, ValueError):
    """Counts, tables, designs or files that cannot be used."""

    exit_code = 2


class OptionError(InputError):
    """An unknown option, or an option with a value that is not allowed."""


class ToolchainError(BayesdeError):
    """No compiler or no CmdStan, although an inference method needs one."""

    exit_code = 2


class FitError(BayesdeError):
    """Valid input for which the fit as a whole (not only of single genes) is impossible."""


class SamplerStopped(FitError):
    """A chain was stopped by a signal: sampling the same genes again is no remedy."""


class ClusterError(BayesdeError):
    """Workers on other machines that cannot be reached, or that do not share a folder."""


class StorageError(BayesdeError):
    """A disk that is full, or to which nothing can be written any more."""


class BayesdeWarning(UserWarning):
    """Something about a fit that the user should know; given once, with numbers of genes or samples."""


class BayesdeNote(BayesdeWarning):
    """Something that was done to the input, or a choice that was made for the user."""


def first_few(names: Iterable[object], limit: int = 5) -> str:
    """Quote the first names and say how many more there are.

    Parameters
    ----------
    names : iterable
        Names of genes, samples, columns or levels.
    limit : int
        How many are named.

    Returns
    -------
    str
        For example ``"'geneA', 'geneB' and 12 more"``.
    """
    listed = [str(name) for name in names]
    shown = ", ".join(f"'{name}'" for name in listed[:limit])
    rest = len(listed) - limit
    return f"{shown} and {rest} more" if rest > 0 else shown
