r"""Coefficients that treat the levels of a factor alike.

Under treatment coding the effects of the levels are shrunken towards the reference, so that the answer
depends on which level that is. Here every level has an effect of its own, around a center m that is not
shrunken (one column more than the design has),

    log mean of level l = m + u_l,     u_l ~ F(0, S)  independently, given m and S,

and so for every term of the formula and all its margins: an interaction of the factors a and b has the blocks
a, b and a:b, with a column for every combination of levels that samples have, and a scale S for each block.
The result is the same for ``~ group``, any reference, and ``~ 0 + group``; for ``a*b``, ``a:b`` and
``0 + a:b``. Of covariates the columns stay those of the design; a slope that differs by level has a column
for each level, beside that of the common slope.

A factor of two levels takes one column, the difference d = u_2 - u_1: with m, that is all there is, and the
law of d does not depend on which of the levels comes first. (If u is Cauchy(0, S), d is Cauchy(0, 2S).)
Factors that are not shrunken need not have levels treated alike, since all codings of them are equivalent.

Single factors may keep treatment coding, the differences from a reference level, beside others whose levels
are treated alike: those whose coefficients are named one by one, and others that the caller names, such as
factors of more than `MOST_LEVELS` levels.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from bayesde.design.codings.coding import Coding
from bayesde.design.formula import variables
from bayesde.design.matrix import DesignMatrix
from bayesde.errors import first_few

__all__ = ["MOST_LEVELS", "coding_by_levels", "crossed_factors", "levels_of_terms", "margins_of"]

INTERCEPT = "Intercept"
MOST_LEVELS = 8
"""Of a factor whose levels are treated alike by default. With more, each of few samples, importance weights
of many genes fail."""
LEAST_ANGLE = 1e-9
"""Of a column to the span of others, of which it is independent."""


@dataclass(frozen=True, eq=False)
class _Block:
    """A term of the formula, or a margin of one.

    Attributes
    ----------
    name : str
    factors : tuple of str
        Factors whose levels are crossed.
    covariates : tuple of str
        Expressions of numbers that these are multiplied by.
    columns : ndarray (sample, column)
        One for every covariate's column and combination of levels.
    labels : tuple of str
        Names of the columns.
    cells : int
        Number of combinations of levels.
    by_reference : bool
        Whether the columns are to be differences from a reference level.
    """

    name: str
    factors: tuple[str, ...]
    covariates: tuple[str, ...]
    columns: np.ndarray
    labels: tuple[str, ...]
    cells: int = 1
    by_reference: bool = False

    @property
    def order(self) -> int:
        """Number of variables."""
        return len(self.factors) + len(self.covariates)


def coding_by_levels(
    design: DesignMatrix, shrink: Sequence[str] | None = None, apart: Mapping[str, str] | None = None
) -> Coding:
    """Return coefficients in which the levels of shrunken factors are treated alike.

    Parameters
    ----------
    design : DesignMatrix
    shrink : sequence of str, optional
        The terms that are shrunken, margins of interactions included, and covariates; by default all but
        the intercept. A factor all of whose coefficients are named instead keeps these, and all factors keep
        theirs where no term is named.
    apart : mapping of str to str, optional
        Terms that keep treatment coding, and why.

    Returns
    -------
    Coding
        That of the design itself where nothing depends on it: no shrunken factor has more than two levels. Or
        where levels cannot be treated alike. Where that is not what was asked for, `Coding.note` says why.
    """
    if not design.factors or (shrink is not None and set(shrink) <= set(design.coefficients)):
        return Coding.of(design)
    blocks = _blocks(design)
    if isinstance(blocks, str):
        return Coding.of(design, blocks)
    shrunken = _shrunken(design, blocks, shrink)
    if isinstance(shrunken, str):
        return Coding.of(design, shrunken)
    kept = {one.name for one in shrunken if _has_levels(one)} & set(apart or ())
    note = "; ".join((apart or {})[name] for name in sorted(kept))
    shrunken = [replace(one, by_reference=one.by_reference or one.name in kept) for one in shrunken]
    crossed = any(one.by_reference and not _is_alone(one, blocks) for one in shrunken)
    with_levels = any(_has_levels(one) and not one.by_reference for one in shrunken)
    if crossed or (design.has_intercept and not with_levels):
        return Coding.of(design, note)
    flat = [one for one in blocks if one.name not in {other.name for other in shrunken}]
    return _coding(design, flat, [_as_sampled(design, blocks, one) for one in shrunken], note)


def levels_of_terms(design: DesignMatrix) -> dict[str, int]:
    """Return how many levels, or combinations of levels, the terms of a design and their margins have.

    Parameters
    ----------
    design : DesignMatrix

    Returns
    -------
    dict of str to int
        1 for covariates.
    """
    blocks = _blocks(design) if design.factors else ()
    return {block.name: block.cells for block in (() if isinstance(blocks, str) else blocks)}


def crossed_factors(design: DesignMatrix) -> dict[str, tuple[str, ...]]:
    """Return the factors of every term of factors alone that is no margin of another term.

    Parameters
    ----------
    design : DesignMatrix

    Returns
    -------
    dict of str to tuple of str
        One factor for a main effect, several for an interaction, whose cells are then the levels.
    """
    blocks = _blocks(design) if design.factors else []
    if isinstance(blocks, str):
        return {}
    found = [block for block in blocks if block.factors and not block.covariates and block.cells > 1]
    return {block.name: block.factors for block in found if not _is_margin(block, blocks)}


def margins_of(design: DesignMatrix, name: str) -> set[str]:
    """Return the terms, or margins of terms, that an interaction is made of.

    Parameters
    ----------
    design : DesignMatrix
    name : str
        Of the interaction.

    Returns
    -------
    set of str
        Empty for a main effect.
    """
    blocks = _blocks(design)
    assert not isinstance(blocks, str)
    (own,) = (set(block.factors) for block in blocks if block.name == name)
    return {block.name for block in blocks if set(block.factors) < own and not block.covariates}


def _is_margin(block: _Block, blocks: list[_Block]) -> bool:
    """Return whether another block has all factors of a block."""
    own = set(block.factors)
    return any(own <= set(other.factors) for other in blocks if other.name != block.name)


def _is_alone(block: _Block, blocks: list[_Block]) -> bool:
    """Return whether a block is of one factor without covariates, and part of no interaction."""
    return len(block.factors) == 1 and not block.covariates and not _is_margin(block, blocks)


def _blocks(design: DesignMatrix) -> list[_Block] | str:
    """Return the terms of a design and their margins, lower ones first, or say what cannot be read."""
    spec: Any = design.spec
    found: dict[tuple[frozenset[str], frozenset[str]], _Block] = {}
    for term, columns in spec.term_slices.items():
        parts = _variables(design, term)
        if parts is None:
            return f"the term {term} is a function of a factor"
        factors, covariates = parts
        own = design.matrix[:, columns]
        for size in range(len(factors) + 1):
            for some in itertools.combinations(factors, size):
                key = frozenset(some), frozenset(covariates)
                if key not in found and (some or covariates):
                    of_covariates = _of_covariates(design, covariates, own)
                    if of_covariates is None:
                        return f"the term {term} has no {':'.join(covariates)} beside it"
                    found[key] = _block(design, some, covariates, *of_covariates)
    return sorted(_without_twins(design, list(found.values())), key=lambda block: block.order)


def _variables(design: DesignMatrix, term: Any) -> tuple[tuple[str, ...], tuple[str, ...]] | None:
    """Return the factors and the covariates of a term; None for anything else that is made of a factor."""
    factors, covariates = [], []
    for one in term.factors:
        names = [str(name) for name in variables([_Single(one)])]
        if any(name in design.factors for name in names):
            if len(names) != 1 or not (one.expr == names[0] or one.expr.startswith("C(")):
                return None
            factors.append(names[0])
        elif names:
            covariates.append(str(one.expr))
    return tuple(factors), tuple(covariates)


@dataclass(frozen=True)
class _Single:
    """A term of one variable, as `variables` reads them."""

    factor: Any

    @property
    def factors(self) -> tuple[Any]:
        """The variable."""
        return (self.factor,)


def _of_covariates(
    design: DesignMatrix, covariates: tuple[str, ...], own: np.ndarray
) -> tuple[np.ndarray, tuple[str, ...]] | None:
    """Return the columns of covariates without factors, and their names; None if they are not known."""
    if not covariates:
        return np.ones((design.n_samples, 1)), (INTERCEPT,)
    spec: Any = design.spec
    for term, columns in spec.term_slices.items():
        if {str(one.expr) for one in term.factors} == set(covariates):
            return design.matrix[:, columns], design.coefficients[columns]
    # without a term of its own, each sample's value is in the column of its level
    if len(covariates) == 1 and (np.count_nonzero(own, axis=1) <= 1).all():
        return own.sum(axis=1, keepdims=True), (covariates[0],)
    return None


def _block(
    design: DesignMatrix,
    factors: tuple[str, ...],
    covariates: tuple[str, ...],
    values: np.ndarray,
    names: tuple[str, ...],
) -> _Block:
    """Return the block of some factors crossed, times covariates."""
    spec: Any = design.spec
    name = next(
        (
            str(term)
            for term in spec.term_slices
            if _variables(design, term) is not None
            and tuple(map(frozenset, _variables(design, term) or ()))
            == (frozenset(factors), frozenset(covariates))
        ),
        ":".join((*factors, *covariates)),
    )
    if not factors:
        return _Block(name, factors, covariates, values, names)
    cells = list(zip(*(design.groups[factor] for factor in sorted(factors)), strict=True))
    levels = sorted(set(cells))
    indicator = np.array([[float(cell == level) for level in levels] for cell in cells])
    columns = np.concatenate([value[:, None] * indicator for value in values.T], axis=1)
    labels = tuple(f"{name}[{', '.join(level)}]" for _ in names for level in levels)
    return _Block(name, factors, covariates, columns, labels, len(levels))


def _without_twins(design: DesignMatrix, blocks: list[_Block]) -> list[_Block]:
    """Leave out margins with the same columns as a term, such as donors that are nested in a condition."""
    kept: list[_Block] = []
    for block in sorted(blocks, key=lambda block: block.name not in design.terms):
        columns = {tuple(column) for column in block.columns.T}
        if not any({tuple(column) for column in other.columns.T} == columns for other in kept):
            kept.append(block)
    return [block for block in blocks if block in kept]


def _shrunken(design: DesignMatrix, blocks: list[_Block], shrink: Sequence[str] | None) -> list[_Block] | str:
    """Return the blocks that are shrunken; of covariates single columns may be."""
    own = np.column_stack([np.ones(design.n_samples), *(block.columns for block in blocks)])
    if not _same_span(own, design.matrix):
        return "its terms, with their margins and a center, span more or less than its columns"
    if shrink is None:
        return blocks
    found, left = [], set(shrink)
    for block in blocks:
        names = set(_names(design, block, blocks)) | {block.name}
        each = set(_coefficients(design, block))
        if block.cells > 1 and each and each <= left - names:
            found.append(replace(block, by_reference=True))
            left -= each
        elif left & names:
            if block.name not in left and not names <= left | {block.name}:
                return f"only some of the coefficients of {block.name} are shrunken"
            found.append(block)
            left -= names
    if left:
        return f"{first_few(sorted(left))} is not a whole term of the formula"
    names = {block.name for block in found}
    flat = [np.ones((design.n_samples, 1)), *(block.columns for block in blocks if block.name not in names)]
    for block in found:
        if _same_span(np.column_stack(flat), np.column_stack([*flat, block.columns])):
            return f"{block.name} is shrunken, but not the interactions that it is part of"
    return found


def _names(design: DesignMatrix, block: _Block, blocks: list[_Block]) -> tuple[str, ...]:
    """Return the names of the columns of a block where each is shrunken on its own."""
    if not block.factors:
        return block.labels
    return () if _has_levels(block) else _with_difference(design, blocks, block).labels


def _coefficients(design: DesignMatrix, block: _Block) -> tuple[str, ...]:
    """Return the names of the columns under treatment coding: the design's where it has such columns."""
    own = tuple(design.coefficients[k] for k in design.terms.get(block.name, ()))
    if len(own) == block.cells - 1 or len(block.factors) != 1 or block.covariates:
        return own
    return tuple(f"{block.name}[T.{level}]" for level in design.factors[block.factors[0]][1:])


def _has_levels(block: _Block) -> bool:
    """Return whether the law of a block depends on how it is coded."""
    return block.cells > 2 or (block.cells > 1 and bool(block.covariates))


def _as_sampled(design: DesignMatrix, blocks: list[_Block], block: _Block) -> _Block:
    """Return a block with the columns that are sampled."""
    return _by_reference(design, block) if block.by_reference else _with_difference(design, blocks, block)


def _by_reference(design: DesignMatrix, block: _Block) -> _Block:
    """Replace the columns of all levels by those of their differences from the reference level."""
    columns, labels = design.terms.get(block.name, ()), _coefficients(design, block)
    if len(columns) == len(labels):
        return replace(block, columns=design.matrix[:, columns], labels=labels, cells=1)
    (factor,) = block.factors
    levels = design.factors[factor][1:]
    own = np.array([[float(one == level) for level in levels] for one in design.groups[factor]])
    return replace(block, columns=own, labels=labels, cells=1)


def _with_difference(design: DesignMatrix, blocks: list[_Block], block: _Block) -> _Block:
    """Replace the columns of two levels by one for their difference, the design's own where it has that."""
    if len(block.factors) != 1 or block.cells != 2 or block.covariates:
        return block
    (factor,) = block.factors
    columns = design.terms.get(block.name, ())
    crossed = any(factor in other.factors for other in blocks if other.name != block.name)
    if len(columns) == 1 and not crossed:
        own = design.matrix[:, columns]
        return replace(block, columns=own, labels=(design.coefficients[columns[0]],), cells=1)
    reference = design.factors[factor][0] if not crossed else min(design.factors[factor])
    other = np.array([[float(level != reference)] for level in design.groups[factor]])
    return replace(block, columns=other, labels=(block.name,), cells=1)


def _coding(design: DesignMatrix, flat: list[_Block], shrunken: list[_Block], note: str) -> Coding:
    """Put the columns of all blocks beside each other: the center and others that are not shrunken first."""
    columns, names, terms = [np.ones(design.n_samples)], [INTERCEPT], [INTERCEPT]
    for block in flat:
        for column, label in zip(block.columns.T, block.labels, strict=True):
            if not _same_span(np.column_stack(columns), np.column_stack([*columns, column])):
                columns.append(column)
                names.append(label)
                terms.append(block.name)
    factor, order = [-1] * len(names), [0] * len(names)
    number = 0
    for block in shrunken:
        for first in range(0, len(block.labels), block.cells):
            cells = range(first, first + block.cells)
            columns += [block.columns[:, k] for k in cells]
            terms += [block.name] * block.cells
            names += [block.name if block.cells > 1 else block.labels[k] for k in cells]
            together = block.cells > 1 or _is_crossed(block, shrunken)
            factor += [number if together else -1] * block.cells
            order += [block.order] * block.cells
            number += together
    return replace(Coding.by_levels(design, columns, names, terms, factor, order), note=note)


def _is_crossed(block: _Block, blocks: list[_Block]) -> bool:
    """Return whether an interaction could explain what a block does, with columns that span its own."""
    return any(
        set(block.factors) < set(other.factors) and block.covariates == other.covariates for other in blocks
    )


def _same_span(one: np.ndarray, other: np.ndarray) -> bool:
    """Return whether two matrices have the same column space."""
    ranks = {_rank(one), _rank(other), _rank(np.column_stack([one, other]))}
    return len(ranks) == 1


def _rank(matrix: np.ndarray) -> int:
    sizes = np.linalg.norm(matrix, axis=0)
    unit = matrix[:, sizes > 0.0] / sizes[sizes > 0.0]
    return int(np.linalg.matrix_rank(unit, tol=LEAST_ANGLE * np.sqrt(max(unit.shape)))) if unit.size else 0
