r"""Coefficients without those of a factor of many levels, whose effects are integrated out.

A factor whose levels share no samples, given the other coefficients, concerns each sample by one of its
levels. With all levels treated alike (`bayesde.design.codings.level_coding`),

    log mean of sample j = log nf_j + w_j . theta + u_level(j),     u_l ~ F(0, S)  independently,

the likelihood is a product of integrals over single numbers u_l, so that theta need not have them. The same
is true of the cells of an interaction of factors, given the main effects of these.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from bayesde.design.codings.coding import Coding, IntegratedFactor
from bayesde.design.codings.level_coding import (
    coding_by_levels,
    crossed_factors,
    levels_of_terms,
    margins_of,
)
from bayesde.design.matrix import DesignMatrix

__all__ = ["coding_with_factor", "largest_factor", "without_factor"]


def largest_factor(design: DesignMatrix, least: int, many: int) -> str | None:
    """Return the term of factors with the most levels that could be integrated out.

    Parameters
    ----------
    design : DesignMatrix
    least : int
        Levels that a main effect has at the least, where there are other terms.
    many : int
        Levels of the only term, and cells of an interaction, at the least.

    Returns
    -------
    str or None
        None if there is none.
    """
    n_levels, found = levels_of_terms(design), {}
    for name, factors in crossed_factors(design).items():
        others = set(design.terms) - {name, "1", "Intercept"}
        if n_levels[name] >= (least if len(factors) == 1 and others else many):
            found[name] = n_levels[name]
    return max(found, key=lambda name: found[name], default=None)


def coding_with_factor(
    design: DesignMatrix,
    name: str,
    shrink: Sequence[str] | None = None,
    apart: Mapping[str, str] | None = None,
) -> Coding | None:
    """Return coefficients in which all levels of a factor have one, with or without it among the shrunken.

    Parameters
    ----------
    design : DesignMatrix
    name : str
        Of a term of `largest_factor`.
    shrink, apart
        As of `bayesde.design.codings.level_coding.coding_by_levels`.

    Returns
    -------
    Coding or None
        None where its levels cannot be treated alike.
    """
    names = None if shrink is None else tuple(dict.fromkeys((*shrink, name)))
    alike = {name, *margins_of(design, name)}
    others = {term: why for term, why in (apart or {}).items() if term not in alike}
    coding = coding_by_levels(design, names, others)
    columns = coding.terms.get(name, ())
    levels = coding.matrix[:, columns]
    whole = coding.has_levels and bool((levels.sum(axis=1) == 1.0).all()) and len(columns) > 2
    return coding if whole else None


def without_factor(coding: Coding, design: DesignMatrix, name: str) -> Coding:
    """Leave out the columns of a factor's levels.

    Parameters
    ----------
    coding : Coding
        Of `coding_with_factor`.
    design : DesignMatrix
    name : str

    Returns
    -------
    Coding
        With the levels in `Coding.integrated`.
    """
    assert coding.transform is not None
    columns = np.array(coding.terms[name])
    kept = np.delete(np.arange(coding.n_coefficients), columns)
    place = {int(k): i for i, k in enumerate(kept)}
    terms = {term: tuple(place[k] for k in own) for term, own in coding.terms.items() if term != name}
    factor = np.where(coding.factor > coding.factor[columns[0]], coding.factor - 1, coding.factor)[kept]
    matrix = np.ascontiguousarray(coding.matrix[:, kept])
    matrix.flags.writeable = False
    level = coding.matrix[:, columns].argmax(axis=1)
    factors = crossed_factors(design)[name]
    of_samples = [":".join(one) for one in zip(*(design.groups[factor] for factor in factors), strict=True)]
    levels = tuple(of_samples[int(np.argmax(level == one))] for one in range(columns.size))
    return replace(
        coding,
        matrix=matrix,
        coefficients=tuple(coding.coefficients[k] for k in kept),
        terms=terms,
        factor=factor,
        order=coding.order[kept],
        transform=coding.transform[:, kept],
        integrated=IntegratedFactor(name, ":".join(factors), levels, level, coding.transform[:, columns]),
    )
