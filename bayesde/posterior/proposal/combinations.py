r"""Which coefficients of a gene are taken for null together, in the components of its proposal.

Of up to `MOST_SPLIT` coefficients in doubt all combinations are taken; of more, all non-null, all null, and
all but one of either. Where levels of a factor are among them, that would leave out many of importance, such
as two non-null levels of six: so up to `EXTRA` more are found by a search. Genes that these do not serve, as
where two of five interactions are not null, get up to `THOROUGH` by a wider search, in the place of all but
one (which are kept where levels are among them). Near the non-null mode beta^ the
log likelihood is about a quadratic function with Fisher's information I, and a combination's evidence is

    ln Z = 0.5 b' (I + Lambda)^-1 b - 0.5 ln det(I + Lambda) + ln heights,      b = I beta^,

with the precisions Lambda of normal priors of scale S for null coefficients, and of next to flat ones for
the others, whose heights are those of Cauchy's law where they are estimated. Combinations in which a non-null
coefficient is estimated within S of zero are left out, since it would end as null. The evidence is computed
for three dispersions, since a gene's dispersion is larger where fewer coefficients explain its counts.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from bayesde.numerics.cholesky import cholesky, solve
from bayesde.numerics.compiled import copy_row, kernel

__all__ = ["choose_combinations", "most_combinations"]

MOST_SPLIT = 4
"""Coefficients up to which all combinations are taken."""
EXTRA = 12
"""Combinations that are searched for where there are more, at the most."""
THOROUGH = 24
"""Combinations that are searched for where the others did not serve."""
EXPANDED, MORE_EXPANDED = 8, 24
"""Combinations whose neighbours are looked at in a search, the two extremes first; and in a thorough one."""
UNLIKELY = 9.0
"""Log evidence below the best from which a combination is not taken."""
NON_NULL = 0.23
"""ln of the height of a normal distribution over that of Cauchy's, of the same scale."""


class Evidence(NamedTuple):
    """What the evidence of a gene's combinations is computed from, and work space.

    Attributes
    ----------
    split : ndarray of int64 (doubtful,)
        Coefficients in doubt.
    scale, wide : ndarray (coefficient,)
        Prior scales of null and of non-null coefficients.
    information : ndarray (coefficient, coefficient)
    pull : ndarray (coefficient,)
        b.
    work, factor : ndarray (coefficient, coefficient)
    solved : ndarray (coefficient,)
    """

    split: np.ndarray
    scale: np.ndarray
    wide: np.ndarray
    information: np.ndarray
    pull: np.ndarray
    work: np.ndarray
    factor: np.ndarray
    solved: np.ndarray


def most_combinations(n_shrunken: int, *, levels: bool, thorough: bool = False) -> int:
    """Return how many combinations a gene may have, whichever of its shrunken coefficients are in doubt.

    With 5 or 6 coefficients there are fewer combinations than with 4, where all are taken.

    Parameters
    ----------
    n_shrunken : int
    levels : bool
        Whether levels of a factor are among them.
    thorough : bool
        As `choose_combinations` takes it.

    Returns
    -------
    int
    """
    extra = THOROUGH if thorough else EXTRA if levels else 0
    return max(2**n if n <= MOST_SPLIT else 2 * n + 2 + extra for n in range(n_shrunken + 1))


@kernel
def choose_combinations(split, at, null_log_dispersion, data, prior, wide, kinds, chosen):  # type: ignore[no-untyped-def]
    """Fill which combinations to take; return how many.

    Parameters
    ----------
    split : ndarray of int64 (doubtful,)
        Coefficients in doubt.
    at : ndarray (P + 1,)
        The non-null mode.
    null_log_dispersion : float
        Log dispersion of the null mode.
    data : GeneData
        Of the gene.
    prior : GenePrior
        Of the gene.
    wide : ndarray (coefficient,)
        Prior scales of non-null coefficients.
    kinds : tuple of ndarray of int64 (coefficient,) and bool
        Which coefficients are levels, -1 for others; and whether to search thoroughly.
    chosen : ndarray of bool (combination, coefficient)
        Written to, in the first columns: whether each of the coefficients in doubt is null. In the first
        combination none is, in the last all are.
    """
    n, (factor, thorough) = split.size, kinds
    if n <= MOST_SPLIT:
        for number in range(2**n):
            for i in range(n):
                chosen[number, i] = (number >> i) & 1
        return 2**n
    chosen[0, :n] = False
    taken, levels = 1, False
    for i in range(n):
        levels |= factor[split[i]] >= 0
    if levels or not thorough:
        for i in range(n):
            chosen[1 + i, :n], chosen[1 + n + i, :n] = False, True
            chosen[1 + i, i], chosen[1 + n + i, i] = True, False
            taken += 2
    if levels or thorough:
        low, high = min(at[-1], null_log_dispersion), max(at[-1], null_log_dispersion)
        extra, expanded = (THOROUGH, MORE_EXPANDED) if thorough else (EXTRA, EXPANDED)
        own, first = _evidence(split, prior, wide), taken
        for part in range(3):
            _fill_information(at, math.exp(low + 0.5 * part * (high - low)), data, own)
            taken = _add_likely(own, chosen, taken, first + (part + 1) * extra // 3, expanded)
    chosen[taken, :n] = True
    return taken + 1


@kernel
def _evidence(split, prior, wide):  # type: ignore[no-untyped-def]
    """Return an `Evidence` of which information and pull are not filled yet."""
    p = wide.size
    square = np.empty((3, p, p))
    square[2] = 0.0
    return Evidence(split, prior.scale, wide, square[0], np.empty(p), square[1], square[2], np.empty(p))


@kernel
def _fill_information(at, dispersion, data, own):  # type: ignore[no-untyped-def]
    """Fill Fisher's information at the non-null mode, and its product with that."""
    log_nf, x = data.log_nf, data.x
    p = x.shape[1]
    own.information[:, :] = 0.0
    own.pull[:] = 0.0
    for j in range(log_nf.size):
        eta = log_nf[j]
        for k in range(p):
            eta += x[j, k] * at[k]
        mu = math.exp(eta)
        weight = mu / (1.0 + dispersion * mu)
        for k in range(p):
            if x[j, k] != 0.0:
                for i in range(p):
                    own.information[k, i] += weight * x[j, k] * x[j, i]
    for k in range(p):
        for i in range(p):
            own.pull[k] += own.information[k, i] * at[i]


@kernel
def _log_evidence(null, own):  # type: ignore[no-untyped-def]
    """Return ln Z of a combination, up to a constant of the gene."""
    split, scale, wide, information, pull, work, factor, solved = own
    p, total = pull.size, 0.0
    for k in range(p):
        for j in range(k + 1):
            work[k, j] = information[k, j]
        work[k, k] += 1.0 / wide[k] ** 2
    for i in range(split.size):
        if null[i]:
            work[split[i], split[i]] += 1.0 / scale[split[i]] ** 2
            total -= math.log(scale[split[i]])
    if not cholesky(work, factor):
        return -math.inf
    copy_row(pull, solved)
    solve(factor, solved)
    for k in range(p):
        total += 0.5 * pull[k] * solved[k] - math.log(factor[k, k])
    for i in range(split.size):
        if not null[i]:
            size = scale[split[i]]
            total -= NON_NULL + math.log(size) + math.log1p((solved[split[i]] / size) ** 2)
            if abs(solved[split[i]]) < size:  # it would end as null
                total -= UNLIKELY
    return total


@kernel
def _add_likely(own, chosen, taken, limit, expanded):  # type: ignore[no-untyped-def]
    """Add combinations that the posterior may have much mass in, by a search; return how many there are."""
    n = own.split.size
    most = (2 + expanded) * (n + 1)
    sets, values, done = np.zeros((most, n), np.bool_), np.empty(most), np.zeros(most, np.bool_)
    sets[1] = True  # all null, beside none
    for c in range(2):
        values[c] = _log_evidence(sets[c], own)
    found = 2
    for number in range(expanded):
        best = number if number < 2 else -1
        for c in range(found):
            if number >= 2 and not done[c] and (best < 0 or values[c] > values[best]):
                best = c
        if best < 0:
            break
        done[best] = True
        for i in range(n):
            copy_row(sets[best], sets[found])
            sets[found, i] = not sets[found, i]
            if not _is_among(sets[found], sets, found):
                values[found] = _log_evidence(sets[found], own)
                found += 1
    order = np.argsort(-values[:found])
    for c in order:
        if taken == limit or values[c] < values[order[0]] - UNLIKELY:
            break
        if not sets[c].all() and not _is_among(sets[c], chosen, taken):
            copy_row(sets[c], chosen[taken, :n])
            taken += 1
    return taken


@kernel
def _is_among(null, sets, found):  # type: ignore[no-untyped-def]
    """Return whether a combination is one of the first of those that are known."""
    for c in range(found):
        same = True
        for i in range(null.size):
            same &= sets[c, i] == null[i]
        if same:
            return True
    return False
