"""Warnings and notes about the contrast that is used when none is given."""

from __future__ import annotations

import warnings
from typing import Any

from bayesde.design.contrast import read_contrast
from bayesde.design.formula import variables
from bayesde.design.matrix import DesignMatrix
from bayesde.errors import BayesdeNote, BayesdeWarning

__all__ = [
    "default_levels_note",
    "default_warning",
    "warn_default",
    "warn_default_on_command_line",
]


def warn_default(design: DesignMatrix, contrast: Any) -> None:
    """Warn where no contrast was given and the default is of little use.

    Parameters
    ----------
    design : DesignMatrix
    contrast : object
        The requested contrast; a warning is given only for None.

    Warns
    -----
    BayesdeWarning
        See `default_warning`.
    """
    text = default_warning(design) if contrast is None else ""
    if text:
        warnings.warn(text, BayesdeWarning, stacklevel=4)


def default_warning(design: DesignMatrix) -> str:
    """Explain why the default contrast is of little use.

    Parameters
    ----------
    design : DesignMatrix

    Returns
    -------
    str
        For a design with an intercept only, and for a last term of several numeric columns, such as a spline,
        of which the contrast is only one; otherwise empty.
    """
    if design.spec is None:
        return ""
    if design.has_intercept and design.n_coefficients == 1:
        return (
            f"the design '{design.formula}' has an intercept only: the table tests the mean level of "
            "expression against 0, which is not a comparison of samples. Add a variable in which the "
            "samples differ."
        )
    term, columns = list(design.terms.items())[-1]
    if len(columns) < 2 or all(name in design.factors for name in _variables(design, term)):
        return ""
    return (
        f"no contrast was given, and the last term, {term}, has {len(columns)} columns: the table "
        f"shows the last one alone, '{design.coefficients[-1]}'.{_whole_term(design)}"
    )


def default_levels_note(design: DesignMatrix) -> str:
    """Name the levels that are compared by default where the last factor has more than two.

    Parameters
    ----------
    design : DesignMatrix

    Returns
    -------
    str
        Empty where there is no choice.
    """
    if design.spec is None:
        return ""
    term, columns = list(design.terms.items())[-1]
    factors = [name for name in _variables(design, term) if name in design.factors]
    if len(columns) < 2 or len(factors) != 1:
        return ""
    (name,), levels = factors, design.factors[factors[0]]
    if len(levels) < 3:
        return ""
    taken = read_contrast(design, None)
    what = taken.name if taken.factor else f"'{taken.name}', {name} {levels[-1]} vs {levels[0]}"
    return (
        f"no contrast was given: the table shows {what}. Others: --contrast "
        f"{name},{levels[1]},{levels[0]}, for example.{_whole_term(design)}"
    )


def warn_default_on_command_line(design: DesignMatrix, *, lrt: bool) -> None:
    """Report which contrast the table of a run shows if none was given.

    Parameters
    ----------
    design : DesignMatrix
    lrt : bool
        Whether the run tests all columns of a term at once anyway.

    Warns
    -----
    BayesdeWarning
        See `default_warning`.
    BayesdeNote
        See `default_levels_note`.
    """
    if lrt:
        if default_warning(design) or default_levels_note(design):
            name = read_contrast(design, None).name
            warnings.warn(
                f"the effect shown beside the likelihood-ratio test is that of '{name}' alone.",
                BayesdeNote,
                stacklevel=4,
            )
        return
    warn_default(design, None)
    if text := default_levels_note(design):
        warnings.warn(text, BayesdeNote, stacklevel=4)


def _whole_term(design: DesignMatrix) -> str:
    """Explain how all columns of the last term are tested at once."""
    others = ["1" if name == "Intercept" else name for name in list(design.terms)[:-1]]
    if not design.has_intercept:
        others.insert(0, "0")
    reduced = f"~ {' + '.join(name for name in others if name != '1' or len(others) == 1)}"
    if reduced in ("~ ", "~ 0"):
        return ""
    return (
        f" All its columns are tested at once by --test lrt --reduced '{reduced}', in Python by "
        f'fit.test_lrt("{reduced}").'
    )


def _variables(design: DesignMatrix, term: str) -> list[str]:
    """List the variables of one term."""
    spec: Any = design.spec
    return next((variables([one]) for one in spec.term_slices if str(one) == term), [])
