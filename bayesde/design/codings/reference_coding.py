"""Treatment coding with other reference levels than a design's, in which a contrast is a coefficient.

Of ``~ group`` with the levels a, b and c and the reference a, the comparison of c with b is a difference of
two coefficients. With the reference b it is the coefficient ``group[T.c]``, and has the prior of one.
"""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

from bayesde.design.codings.coding import Coding
from bayesde.design.construction import fields_from_formula
from bayesde.design.contrast import Contrast
from bayesde.design.matrix import DesignMatrix
from bayesde.errors import InputError

__all__ = ["coding_with_references", "references_of"]

MOST_TRIED = 64
"""Combinations of reference levels that are tried for a contrast that does not name its levels."""
SAME = 1e-9


def coding_with_references(
    design: DesignMatrix, table: pd.DataFrame, references: Mapping[str, str]
) -> Coding:
    """Return the coefficients that a design has with other reference levels.

    Parameters
    ----------
    design : DesignMatrix
        Of a formula.
    table : pandas.DataFrame
        The samples that it was made of.
    references : mapping of str to str
        Reference level by factor; of other factors it stays.

    Returns
    -------
    Coding

    Raises
    ------
    InputError
        If the design is not that of this table.
    """
    if not np.array_equal(_built(design, table, {}).matrix, design.matrix):
        raise InputError(f"the sample table of the counts does not give the design '{design.formula}'.")
    other = _built(design, table, references)
    terms = {column: name for name, columns in other.terms.items() for column in columns}
    names = [terms[k] for k in range(other.n_coefficients)]
    order = [int(k != other.intercept) for k in range(other.n_coefficients)]
    levels = [-1] * other.n_coefficients
    return Coding.by_levels(design, list(other.matrix.T), other.coefficients, names, levels, order)


def _built(design: DesignMatrix, table: pd.DataFrame, references: Mapping[str, str]) -> DesignMatrix:
    """Make the design again, with some other reference levels."""
    if design.formula is None:
        raise InputError("a bare design matrix has no reference levels.")
    own = {factor: levels[0] for factor, levels in design.factors.items()}
    with warnings.catch_warnings():  # the design itself has had them
        warnings.simplefilter("ignore")
        return DesignMatrix(**fields_from_formula(design.formula, table, own | dict(references)))


def references_of(design: DesignMatrix, table: pd.DataFrame, contrast: Contrast) -> dict[str, str] | None:
    """Return reference levels with which a contrast is a coefficient.

    Parameters
    ----------
    design : DesignMatrix
    table : pandas.DataFrame
        The samples that it was made of.
    contrast : Contrast
        With weights of the design's coefficients.

    Returns
    -------
    dict of str to str, or None
        Reference level by factor, of factors whose reference changes; None if there are none, or the contrast
        is a coefficient of the design itself.

    Raises
    ------
    InputError
        If the design is not that of this table.
    """
    vector = np.asarray(contrast.vector)
    if _single(vector) or not design.factors or not _of_effects(design, vector):
        return None
    found = None
    for references in _tried(design, contrast):
        own = coding_with_references(design, table, references).vector(vector)
        if _single(own):
            if own.max() > SAME:
                return references
            found = found or references  # minus a coefficient, unless another one is found
    return found


def _single(vector: np.ndarray) -> bool:
    """Return whether a contrast is a coefficient, or minus one."""
    return int(np.count_nonzero(np.abs(vector) > SAME)) == 1


def _of_effects(design: DesignMatrix, vector: np.ndarray) -> bool:
    return design.intercept is not None and abs(vector[design.intercept]) < SAME


def _tried(design: DesignMatrix, contrast: Contrast) -> Iterator[dict[str, str]]:
    """Yield reference levels to try: those of the contrast, or any others, of few factors first."""
    others: dict[str, Any] = {factor: levels[1:] for factor, levels in design.factors.items()}
    if contrast.factor is not None and contrast.reference is not None:
        yield {contrast.factor: contrast.reference}
        return
    tried = 0
    for size in range(1, len(others) + 1):
        for factors in itertools.combinations(others, size):
            for levels in itertools.product(*(others[factor] for factor in factors)):
                if tried == MOST_TRIED:
                    return
                tried += 1
                yield dict(zip(factors, levels, strict=True))
