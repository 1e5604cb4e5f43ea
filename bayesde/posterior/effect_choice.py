"""From the option ``effects`` to the laws of a design's coefficients."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from bayesde.design import Coding
from bayesde.design.codings.level_coding import MOST_LEVELS, levels_of_terms
from bayesde.design.matrix import DesignMatrix
from bayesde.eb.fit import EbFit
from bayesde.eb.shrinkage.ash import scale_grid
from bayesde.errors import InputError, OptionError, first_few
from bayesde.model.effect_laws import FAMILIES, EffectMixture
from bayesde.model.hyperparameter_space import HyperparameterSpace
from bayesde.model.hyperparameters import Hyperparameters
from bayesde.model.hyperparameters_of_fit import named_coefficients
from bayesde.posterior.hyper.laws import LawsToLearn
from bayesde.posterior.proposal.patterns import MOST_ATOMS
from bayesde.posterior.stan.effects import check_effects

__all__ = [
    "atoms_left_out",
    "check_engine",
    "check_laws",
    "chosen_laws",
    "kept_by_reference",
    "laws_to_learn",
]

logger = logging.getLogger(__name__)

LOW_QUANTILE, SHARE_OF_IT = 0.05, 0.5
"""The smallest scale of a mixture is so much of this quantile of the standard errors."""
MOST_ZERO_LEVELS = 3
"""Levels of a factor that are treated alike under a law with zero. Four have 16 sets that may be zero,
which share the draws of a gene: 65 of 400 genes then had a Pareto k above 0.7."""
LARGEST_ERROR = 5.0
"""Standard errors (natural log) of estimates that a mixture's grid is made of."""


def chosen_laws(coding: Coding, shrunken: tuple[int, ...], effects: Any) -> dict[int, Any]:
    """Return the law of every shrunken coefficient.

    Parameters
    ----------
    coding : Coding
    shrunken : tuple of int
    effects : str or mapping
        As `SamplingOptions.effects` has it.

    Returns
    -------
    dict of int to (str or EffectMixture)

    Raises
    ------
    InputError
        If the design has no such coefficient or term, or it is not shrunken.
    """
    if not isinstance(effects, Mapping):
        return dict.fromkeys(shrunken, effects)
    laws = dict.fromkeys(shrunken, effects.get("", "cauchy"))
    for name in sorted(effects, key=coding.coefficients.__contains__):  # those of single coefficients last
        columns = named_coefficients(coding, [name], "effects") if name else ()
        others = [coding.coefficients[k] for k in columns if k not in laws]
        if others:
            raise InputError(
                f"effects: {first_few(others)} is not shrunken, and so has no law of effects; shrunken are "
                f"{first_few(dict.fromkeys(coding.coefficients[k] for k in shrunken), 20) or 'none'}."
            )
        laws |= dict.fromkeys(columns, effects[name])
    return laws


def kept_by_reference(design: DesignMatrix, effects: Any) -> dict[str, str]:
    """Return the terms whose levels are not treated alike under the coding by levels, and why.

    Parameters
    ----------
    design : DesignMatrix
    effects : str or mapping
        As `SamplingOptions.effects` has it.

    Returns
    -------
    dict of str to str
        As `bayesde.design.codings.level_coding.coding_by_levels` takes them.
    """
    laws = effects if isinstance(effects, Mapping) else {"": effects}
    found = {}
    for term, n_levels in levels_of_terms(design).items():
        names = [design.coefficients[k] for k in design.terms.get(term, ())]
        law = laws.get(term, laws.get("", "cauchy"))
        if own := [name for name in names if name in laws and name != term]:
            found[term] = f"{first_few(own)} of {term} has a law of its own"
        elif n_levels > MOST_LEVELS:
            found[term] = f"{term} has {n_levels} levels, more than {MOST_LEVELS}"
        elif isinstance(law, str) and law == "mixture":
            found[term] = f"a mixture is learnt for {term}, whose grid is made of its coefficients' estimates"
        elif n_levels > MOST_ZERO_LEVELS and _has_atom(law):
            found[term] = (
                f"{term} has {n_levels} levels, of which at most {MOST_ZERO_LEVELS} can be exactly zero"
            )
    return found


def laws_to_learn(fit: EbFit, coding: Coding, space: HyperparameterSpace, effects: Any) -> LawsToLearn | None:
    """Return the laws of effects that are to be learnt.

    Parameters
    ----------
    fit : EbFit
        Whose estimates give the grids of mixtures.
    coding : Coding
        The coefficients that are sampled.
    space : HyperparameterSpace
        With Cauchy's law of all effects.
    effects : str or mapping
        As `SamplingOptions.effects` has it.

    Returns
    -------
    LawsToLearn or None
        None where all are Cauchy's.

    Raises
    ------
    InputError
        If the design has no such coefficient or term, it is not shrunken, or nothing would be left where all
        effects are zero.
    """
    laws = chosen_laws(coding, space.shrunken, effects)
    laws = _with_few_atoms(coding, laws)
    if all(law == "cauchy" for law in laws.values()):
        return None
    own = [k for k in space.shrunken if laws[k] in FAMILIES and laws[k] != "mixture"]
    group = dict(zip(space.shrunken, space.scale_of, strict=True))
    keys = [(group[k], laws[k]) for k in own]
    order = list(dict.fromkeys(keys))
    learnt = [k for k in laws if laws[k] in ("mixture", _NO_ZERO)]
    scales = {k: _grid(fit, coding.coefficients[k], zero=laws[k] == "mixture") for k in learnt}
    return LawsToLearn(
        replace(
            space,
            shrunken=tuple(own),
            scale_of=tuple(order.index(key) for key in keys),
            families=tuple(law for _, law in order),
            mixtures=tuple((k, law) for k, law in laws.items() if isinstance(law, EffectMixture)),
        ),
        scales,
    )


_NO_ZERO = "mixture without zero"


def _kept_atoms(coding: Coding, laws: dict[int, Any]) -> tuple[list[int], list[int]]:
    """Return the coefficients that keep their atom, the last of them, and the others; factors stay whole."""
    atoms = [k for k, law in laws.items() if _has_atom(law)]
    kept: list[int] = []
    for k in reversed(atoms):
        together = [level for level in coding.levels_of(k) if level in atoms]
        if k not in kept:
            if len(kept) + len(together) > MOST_ATOMS:
                break
            kept += together
    return sorted(kept), [k for k in atoms if k not in kept]


def _with_few_atoms(coding: Coding, laws: dict[int, Any]) -> dict[int, Any]:
    """Leave the atoms at zero of at most `MOST_ATOMS` coefficients, the last of them, and check the laws."""
    atoms = [k for k, law in laws.items() if _has_atom(law)]
    _check_not_all_zero(coding, len(atoms))
    for k in _kept_atoms(coding, laws)[1]:
        if isinstance(laws[k], EffectMixture):
            raise _too_many(len(atoms))
        laws[k] = {"spike_t": "student_t", "mixture": _NO_ZERO}[laws[k]]
    return laws


def _check_not_all_zero(coding: Coding, n_atoms: int) -> None:
    if 0 < n_atoms == coding.n_coefficients:
        raise InputError(
            f"effects: all coefficients of the design '{coding.formula}' could be zero, and then no expected "
            "count would be left; use a design with an intercept, or a law without zero (student_t)."
        )


def _too_many(n_atoms: int) -> InputError:
    return InputError(f"effects: at most {MOST_ATOMS} coefficients can have a law with zero; {n_atoms} have.")


def check_engine(laws: Sequence[Any], engine: str) -> None:
    """Refuse laws of effects that an engine cannot sample.

    Parameters
    ----------
    laws : sequence of str and EffectMixture
    engine : str

    Raises
    ------
    OptionError
    """
    if engine != "psis" and "mixture" in laws:
        raise OptionError(
            f"effects: engine '{engine}' cannot sample the law 'mixture', which has a point mass at zero. "
            "Use engine 'psis', the law 'student_t', or a known mixture without zero (EffectMixture)."
        )
    known = [law for law in laws if isinstance(law, EffectMixture)]
    check_effects(engine, [law for law in laws if isinstance(law, str)], known)


def check_laws(coding: Coding, hyper: Hyperparameters, effects: Any, engine: str) -> None:
    """Refuse laws of effects that a coding or an engine cannot have.

    Parameters
    ----------
    coding : Coding
    hyper : Hyperparameters
        Fixed, or where the search for them starts.
    effects : str or mapping
        As `SamplingOptions.effects` has it.
    engine : str

    Raises
    ------
    InputError
        If too many coefficients, or all of them, could be zero under the given hyperparameters.
    OptionError
        If the engine cannot sample a law.
    """
    if effects == "cauchy":  # or fixed
        laws: list[Any] = [hyper.mixtures.get(name, hyper.family(name)) for name in hyper.shrinkage_scale]
    else:
        shrunken = HyperparameterSpace.of(coding.coefficients, hyper).shrunken
        laws = list(chosen_laws(coding, shrunken, effects).values())
    check_engine(laws, engine)
    n_atoms = len(HyperparameterSpace.of(coding.coefficients, hyper).atoms)
    _check_not_all_zero(coding, n_atoms)
    if n_atoms > MOST_ATOMS:
        raise _too_many(n_atoms)


def _has_atom(law: Any) -> bool:
    return law.null > 0.0 if isinstance(law, EffectMixture) else law in ("spike_t", "mixture")


def atoms_left_out(coding: Coding, space: HyperparameterSpace, effects: Any) -> str:
    """Say which coefficients have a law without zero, because too many would have one with it.

    Parameters
    ----------
    coding : Coding
    space : HyperparameterSpace
        With Cauchy's law of all effects.
    effects : str or mapping
        As `SamplingOptions.effects` has it.

    Returns
    -------
    str
        Empty if there are none.
    """
    parts = _kept_atoms(coding, chosen_laws(coding, space.shrunken, effects))
    if not parts[1]:
        return ""
    kept, others = (list(dict.fromkeys(coding.coefficients[k] for k in some)) for some in parts)
    numbers = [len(some) for some in parts]
    return (
        f"only {numbers[0]} of {sum(numbers)} effects can be exactly zero: {first_few(kept)}. "
        f"{first_few(others)} have the same law without zero; name others by the option effects."
    )


def _grid(fit: EbFit, name: str, *, zero: bool) -> np.ndarray:
    """Return the scales of a mixture: ash's grid, from the estimates of all genes, and zero before them."""
    if name not in fit.design.coefficients:
        raise InputError(
            f"effects: the design '{fit.design.formula}' has no coefficient for {name}, from whose estimates "
            "the grid of a mixture could be made; choose spike_t or student_t, or a design with an intercept."
        )
    k = fit.design.coefficients.index(name)
    effect, error = fit.beta[:, k], fit.beta_se[:, k]
    usable = np.isfinite(effect) & (error > 0.0) & (error < LARGEST_ERROR)
    if not usable.any():
        raise InputError(
            f"effects: no gene has an estimate of {name} that the grid of a mixture "
            "could be made of; choose student_t."
        )
    error = error[usable]
    smallest = SHARE_OF_IT * float(np.sort(error)[int(LOW_QUANTILE * (error.size - 1))])
    scales = scale_grid(effect[usable], error, smallest)
    return np.concatenate([[0.0], scales]) if zero else scales
