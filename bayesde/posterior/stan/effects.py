r"""The laws of effects as the Stan programs take them, and those that Stan cannot sample.

A noncentered coefficient is computed from z by  w asinh(c / w sinh(r z)), with

    c = S sqrt(nu),  r = sqrt((1 + (pi^2/4 - 1) / nu) / nu)     Student-t,
    c = S,           r = pi / 2                                 Cauchy, nu = 1,
    c = 1 / (pi p(0)),  r = pi / 2                              a mixture with the density p.

Under the prior z is then close to standard normal for any nu, and for a mixture it changes evenly with the
narrowest component that matters (`stan/README.md`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from bayesde.errors import OptionError
from bayesde.model.density import ConditionalModel
from bayesde.model.effect_laws import WITH_NULL, EffectMixture
from bayesde.model.hyperparameters import Hyperparameters

__all__ = [
    "CAUCHY",
    "MIXTURE",
    "STUDENT_T",
    "check_effects",
    "effect_codes",
    "effect_data",
    "has_atoms",
    "laws_of",
    "laws_as_bytes",
    "map_of_effects",
    "prior_widths",
]

CAUCHY, STUDENT_T, MIXTURE = 0, 1, 2
"""What the programs call the laws in ``effects``."""
NARROW = 0.05
"""Standard deviation that is proposed in place of a point mass, over the smallest scale. With 0.01 chains
hardly cross between the narrow component and the others (benchmarks/notes/stan.md)."""


def check_effects(engine: str, families: Sequence[str], mixtures: Iterable[EffectMixture] = ()) -> None:
    """Refuse laws of effects with a point mass at zero, which Stan's engines cannot sample.

    Parameters
    ----------
    engine : str
    families : sequence of str
        Names of the laws of the shrunken coefficients, of `bayesde.model.effect_laws.FAMILIES`.
    mixtures : iterable of EffectMixture
        Those that are known mixtures.

    Raises
    ------
    OptionError
        With what to do instead.
    """
    if engine == "psis":
        return
    for family in families:
        if family in WITH_NULL:
            raise OptionError(
                f"effects: engine '{engine}' cannot sample the law '{family}': Stan has no point mass at "
                "zero. Use engine 'psis', or the law 'student_t', or a known mixture with a narrow normal "
                "distribution in place of the point mass: EffectMixture(...).with_narrow_null(sd)."
            )
    for law in mixtures:
        if law.null > 0.0:
            narrow = NARROW * float(law.continuous.scale.min())
            raise OptionError(
                f"effects: engine '{engine}' cannot sample a mixture with a point mass at zero (weight "
                f"{law.null:.3g} at scale 0), because Stan has none. Use engine 'psis', or replace the point "
                f"mass by a narrow normal distribution: mixture.with_narrow_null({narrow:.2g}) gives it "
                f"{NARROW:g} of the smallest other scale."
            )


def laws_of(hyper: Hyperparameters) -> tuple[list[str], list[EffectMixture]]:
    """Return the laws of effects as `check_effects` takes them.

    Parameters
    ----------
    hyper : Hyperparameters

    Returns
    -------
    families : list of str
        Of all shrunken coefficients.
    mixtures : list of EffectMixture
    """
    return [hyper.family(name) for name in hyper.shrinkage_scale], list(hyper.mixtures.values())


def has_atoms(hyper: Hyperparameters) -> bool:
    """Return whether any law of effects has a point mass at zero, so that Stan cannot sample it.

    Parameters
    ----------
    hyper : Hyperparameters
    """
    families, mixtures = laws_of(hyper)
    return bool(set(families) & set(WITH_NULL)) or any(law.null > 0.0 for law in mixtures)


def effect_codes(model: ConditionalModel) -> np.ndarray:
    """Return what the programs call ``effects``: 0 for Cauchy, 1 for Student-t, 2 for a mixture.

    Parameters
    ----------
    model : ConditionalModel

    Returns
    -------
    ndarray of int (coefficient,)
        0 where a coefficient is not shrunken.
    """
    codes = np.where(_df(model) == 1.0, CAUCHY, STUDENT_T)
    codes[[k for k, _ in model.mixtures]] = MIXTURE
    return codes


def _df(model: ConditionalModel) -> np.ndarray:
    """Return the degrees of freedom of the shrunken coefficients, 1 for the others."""
    return np.where(model.shrunken, model.prior_df, 1.0)


def _cauchy_scale(law: EffectMixture) -> float:
    """Return the scale of the Cauchy distribution with the same density at zero."""
    return float(1.0 / (np.pi * (law.weight * np.exp(law.log_heights)).sum()))


def prior_widths(model: ConditionalModel) -> np.ndarray:
    """Return how wide the middle of every prior is.

    Parameters
    ----------
    model : ConditionalModel

    Returns
    -------
    ndarray (coefficient,)
        S; of a mixture that of the Cauchy distribution with the same density at zero. Natural log.
    """
    widths = np.array(model.shrinkage_scale, dtype=np.float64)
    for k, law in model.mixtures:
        widths[k] = _cauchy_scale(law)
    return widths


def map_of_effects(model: ConditionalModel) -> tuple[np.ndarray, np.ndarray]:
    """Return c and r, by which noncentered coefficients are computed from z.

    Parameters
    ----------
    model : ConditionalModel

    Returns
    -------
    scale, rate : ndarray (coefficient,)
        The first in natural log.
    """
    df = np.where(effect_codes(model) == STUDENT_T, _df(model), 1.0)
    rate = np.sqrt((1.0 + (0.25 * np.pi**2 - 1.0) / df) / df)
    return np.sqrt(df) * prior_widths(model), np.where(df == 1.0, np.pi / 2.0, rate)


def effect_data(model: ConditionalModel) -> dict[str, Any]:
    """Return the data of both programs that say which laws the effects have.

    Parameters
    ----------
    model : ConditionalModel
        Its mixtures are without point masses; components without weight are left out.

    Returns
    -------
    dict
    """
    used = {k: law.continuous for k, law in sorted(model.mixtures, key=lambda pair: pair[0])}
    fixed = model.is_fixed
    sizes = [used[k].weight.size if k in used else 0 for k in np.flatnonzero(fixed).tolist()]
    parts = {
        name: [value for law in used.values() for value in getattr(law, attribute).tolist()]
        for name, attribute in (("weight", "weight"), ("scale", "scale"), ("nu", "df"))
    }
    return {
        "effects": effect_codes(model)[fixed].tolist(),
        "components_of": sizes,
        **{f"component_{name}": values for name, values in parts.items()},
    }


def laws_as_bytes(model: ConditionalModel) -> bytes:
    """Return what distinguishes the laws of effects from Cauchy's, for the keys of blocks.

    Parameters
    ----------
    model : ConditionalModel

    Returns
    -------
    bytes
        Empty if all are Cauchy's.
    """
    codes = effect_codes(model)
    if (codes == CAUCHY).all():
        return b""
    parts = [codes, np.where(codes == STUDENT_T, _df(model), 1.0)]
    for k, law in model.mixtures:
        parts += [np.array([k, law.weight.size]), law.weight, law.scale, law.df]
    return b"".join(np.ascontiguousarray(part, dtype=np.float64).tobytes() for part in parts)
