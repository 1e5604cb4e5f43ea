"""Contrasts: from what a user asks for to weights of the coefficients."""

from __future__ import annotations

import re
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from formulaic.errors import FormulaicError
from formulaic.utils.constraints import LinearConstraints

from bayesde.design.formula import variables
from bayesde.design.matrix import DesignMatrix
from bayesde.design.rank import linear_text
from bayesde.errors import InputError, first_few
from bayesde.options import nearest

__all__ = ["Contrast", "default_contrast", "read_contrast"]

_VERSUS = r"[\s_.]+(?:vs\.?|versus|against|v|over|to)[\s_.]+"


@dataclass(frozen=True, eq=False)
class Contrast:
    """A weighted sum of coefficients, ``vector @ beta``.

    Attributes
    ----------
    name : str
        For display, such as ``"condition treated vs control"``.
    vector : numpy.ndarray, float64, (coefficient,)
        Weights; read-only.
    coefficient : str or None
        Name of the coefficient, if the contrast is exactly one coefficient with weight 1.
    factor, level, reference : str or None
        Set for a comparison of two levels of a factor.
    """

    name: str
    vector: np.ndarray
    coefficient: str | None = None
    factor: str | None = None
    level: str | None = None
    reference: str | None = None


def read_contrast(design: DesignMatrix, spec: Any) -> Contrast:
    """Read any form of contrast that `Design.contrast` describes.

    Parameters
    ----------
    design : DesignMatrix
        Whose coefficients are weighted.
    spec : tuple of three str, str, array-like (coefficient,), Contrast or None
        The requested contrast.

    Returns
    -------
    Contrast

    Raises
    ------
    InputError
        If it does not fit the design.
    """
    if spec is None:
        spec = default_contrast(design)
    if isinstance(spec, Contrast):
        return _of_vector(design, spec.vector, spec.name, spec.factor, spec.level, spec.reference)
    if isinstance(spec, str):
        return _of_text(design, spec)
    if isinstance(spec, (tuple, list)) and spec and isinstance(spec[0], str):
        if len(spec) != 3:
            raise InputError(
                f"the contrast {tuple(spec)!r} has {len(spec)} parts; give (factor, level, reference)."
            )
        return _of_levels(design, *(str(part) for part in spec))
    return _of_vector(design, spec)


def default_contrast(design: DesignMatrix) -> Any:
    """Choose the contrast when none is given.

    Parameters
    ----------
    design : DesignMatrix

    Returns
    -------
    str or tuple of three str
        The last coefficient; without an intercept, the last against the first level of the last factor.
    """
    if design.has_intercept or not design.factors:
        return design.coefficients[-1]
    factor, levels = list(design.factors.items())[-1]
    return (factor, levels[-1], levels[0])


def _of_vector(
    design: DesignMatrix,
    weights: Any,
    name: str | None = None,
    factor: str | None = None,
    level: str | None = None,
    reference: str | None = None,
) -> Contrast:
    """Check weights, and find out whether they select a single coefficient."""
    try:
        vector = np.array(weights, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(
            f"the contrast {weights!r} is not understood: give (factor, level, reference), a name, "
            "or one number for each coefficient."
        ) from error
    if vector.shape != (design.n_coefficients,):
        raise InputError(
            f"the contrast has shape {vector.shape}; {design.n_coefficients} weights are needed, for "
            f"{first_few(design.coefficients, 20)}."
        )
    if not np.isfinite(vector).all() or not vector.any():
        raise InputError(f"the contrast {vector.tolist()} must be finite and not all zero.")
    single = np.count_nonzero(vector) == 1 and vector.max() == 1.0
    coefficient = design.coefficients[int(vector.argmax())] if single else None
    vector.flags.writeable = False
    return Contrast(
        name or coefficient or linear_text(vector, design.coefficients),
        vector,
        coefficient,
        factor,
        level,
        reference,
    )


def _of_text(design: DesignMatrix, text: str) -> Contrast:
    """Read the name of a coefficient, or an expression of several."""
    if text in design.coefficients:
        return _of_vector(design, np.array([float(name == text) for name in design.coefficients]))
    places = {f"c_{i}_": i for i in range(design.n_coefficients)}
    coded = text
    for token, i in sorted(places.items(), key=lambda item: -len(design.coefficients[item[1]])):
        coded = re.sub(_whole_name(design.coefficients[i]), token, coded)
    if coded == text:
        raise _unknown_coefficient(design, text)
    try:
        constraint = LinearConstraints.from_spec(coded, variable_names=list(places))
    except (FormulaicError, KeyError, RuntimeError, TypeError, ValueError, SyntaxError) as error:
        unknown = [part for part in re.findall(r"[A-Za-z_.][^\s*/+()-]*", coded) if part not in places]
        if unknown:
            whole = text if _comparison_hint(design, text) else unknown[0]
            raise _unknown_coefficient(design, whole) from error
        raise InputError(
            f"the contrast '{text}' cannot be read; write sums of coefficients, such as "
            "'a - b' or '0.5 * a + 0.5 * b'."
        ) from error
    rows = np.asarray(constraint.constraint_matrix, dtype=np.float64)
    if rows.shape[0] != 1 or np.any(np.asarray(constraint.constraint_values) != 0):
        raise InputError(f"the contrast '{text}' must be a single sum of coefficients, without a constant.")
    return _of_vector(design, rows[0], name=text.strip())


def _unknown_coefficient(design: DesignMatrix, text: str) -> InputError:
    """Explain that a coefficient does not exist."""
    hint = _comparison_hint(design, text) or nearest(text, design.coefficients) or _level_hint(design, text)
    if text in design.factors:
        levels = design.factors[text]
        hint = f" '{text}' is a factor; two levels are compared by ('{text}', '{levels[-1]}', '{levels[0]}')."
    elif text.split(",")[0] in design.factors:
        hint = " A comparison of levels has three parts: FACTOR,LEVEL,REFERENCE."
    return InputError(
        f"unknown coefficient '{text}'.{hint} The design's coefficients are "
        f"{first_few(design.coefficients, 20)}."
    )


def _level_hint(design: DesignMatrix, text: str) -> str:
    """Explain how a level is compared, if the text names one."""
    for factor, levels in design.factors.items():
        if text in levels:
            other = next(level for level in levels if level != text)
            return f" '{text}' is a level of '{factor}'; it is compared by {factor},{text},{other}."
    return ""


def _comparison_hint(design: DesignMatrix, text: str) -> str:
    """Explain how two levels are compared, if the text is such a comparison in other words."""
    for factor, levels in design.factors.items():
        bare = re.sub(rf"^\s*{re.escape(factor)}(?:[\s_:,.=]+|(?=\[))", "", text)
        parts = re.split(_VERSUS, bare, maxsplit=1, flags=re.IGNORECASE)
        pairs = [parts] if len(parts) == 2 else []
        pairs += [
            [bare[: found.start()], bare[found.end() :]] for found in re.finditer(r"\s*[-/:~,]\s*", bare)
        ]
        for pair in pairs:
            level, other = (_nearest_level(part.strip().removeprefix(factor), levels) for part in pair)
            if level is not None and other is not None and level != other:
                return f" Levels of '{factor}' are compared by {factor},{level},{other}."
    if design.factors and re.search(_VERSUS, text, flags=re.IGNORECASE):
        factor, levels = list(design.factors.items())[-1]
        return f" Levels are compared by FACTOR,LEVEL,REFERENCE, such as {factor},{levels[-1]},{levels[0]}."
    return ""


def _nearest_level(text: str, levels: tuple[str, ...]) -> str | None:
    """Find the level that a text names, ignoring case and the brackets or quotes around it."""
    bare = text.strip(" \t[]()'\"`").removeprefix("T.")
    exact = [level for level in levels if level == bare]
    alike = [level for level in levels if level.casefold() == bare.casefold()]
    return exact[0] if exact else alike[0] if len(alike) == 1 else None


def _of_levels(design: DesignMatrix, factor: str, level: str, reference: str) -> Contrast:
    """Compare two levels of a factor."""
    levels = design.factors.get(factor)
    if levels is None:
        if design.spec is not None and factor in variables(design.spec.formula):
            raise InputError(
                f"'{factor}' is a numeric covariate and not a factor of the design; write C({factor}) in the "
                "formula to compare levels, or give the name of its coefficient."
            )
        known = f"its factors are {first_few(design.factors)}" if design.factors else "it has no factors"
        raise InputError(
            f"'{factor}' is not a factor of the design; {known}.{nearest(factor, design.factors)} For a "
            "covariate give the name of its coefficient."
        )
    for name in (level, reference):
        if name not in levels:
            raise InputError(
                f"'{name}' is not a level of '{factor}'; its levels are {first_few(levels, 20)}."
                f"{nearest(name, levels)}"
            )
    if level == reference:
        raise InputError(f"the contrast compares level '{level}' of '{factor}' with itself.")
    vector = _difference(design, factor, level, reference)
    return _of_vector(design, vector, f"{factor} {level} vs {reference}", factor, level, reference)


def _difference(design: DesignMatrix, factor: str, level: str, reference: str) -> np.ndarray:
    """Subtract the model rows of two samples that differ in one factor only."""
    spec: Any = design.spec
    rows: dict[str, Any] = {
        name: np.ones(2) for name in variables(spec.formula) if name not in design.factors
    }
    for name, levels in design.factors.items():
        pair = [level, reference] if name == factor else [levels[0]] * 2
        rows[name] = pd.Categorical(pair, categories=list(levels))
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        matrix = spec.get_model_matrix(pd.DataFrame(rows), na_action="ignore")
    values = matrix.to_numpy(dtype=np.float64)
    vector = np.zeros(design.n_coefficients)
    for term, columns in spec.term_slices.items():
        # Columns of other factors do not change, and those of a covariate are 0 where the covariate is.
        used = variables([term])
        if factor in used and all(name in design.factors for name in used):
            vector[columns] = values[0, columns] - values[1, columns]
    if not vector.any():
        raise InputError(
            f"'{factor}' has no main effect in '{design.formula}'; give the contrast as numbers, one for "
            "each coefficient."
        )
    return vector


def _whole_name(name: str) -> str:
    """Return a pattern that finds a name but not a longer one that contains it."""
    return rf"(?<![\w.\[:]){re.escape(name)}(?![\w.\[(:\]])"
