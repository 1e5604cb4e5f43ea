"""The option ``effects``: what it takes in Python, in TOML and on the command line."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bayesde.errors import InputError, OptionError
from bayesde.model.effect_laws import FAMILIES, EffectMixture
from bayesde.options import check_choice

__all__ = ["LAWS", "checked_effects", "plain_effects", "read_effects"]

LAWS = {
    "cauchy": "Cauchy(0, S)",
    "student_t": "Student's t, whose degrees of freedom are learnt: from Cauchy's law (1) to the normal one",
    "spike_t": "exactly 0 with a probability that is learnt, else Student's t; it contains the others",
    "mixture": "exactly 0, or one of normal distributions on a grid of scales, with weights that are learnt",
}


def checked_effects(name: str, value: Any) -> str | dict[str, Any]:
    """Return the laws of effects: a word, or by coefficient or term a word or a known mixture.

    Parameters
    ----------
    name : str
        Of the option.
    value : str, EffectMixture or mapping

    Returns
    -------
    str or dict

    Raises
    ------
    OptionError
        If there is no such law, or a file of laws cannot be read.
    """
    if isinstance(value, EffectMixture):
        value = {"": value}
    if isinstance(value, str) and value.endswith(".json"):
        value = _laws_of_file(value)
    if not isinstance(value, Mapping):
        check_choice(name, value, FAMILIES)
        return str(value)
    laws: dict[str, Any] = {}
    for one, law in value.items():
        if isinstance(law, Mapping):
            try:
                law = EffectMixture.from_dict(law)
            except InputError as error:
                raise OptionError(f"{name}['{one}']: {error}") from None
        elif not isinstance(law, EffectMixture):
            check_choice(f"{name}['{one}']", law, FAMILIES)
        laws[str(one)] = law
    return laws


def _laws_of_file(path: str) -> dict[str, EffectMixture]:
    """Read the laws that another run has learnt from its hyperparameters.json."""
    from bayesde.model.hyperparameters import Hyperparameters  # most runs read no file

    try:
        laws = Hyperparameters.from_json(path).effect_laws
    except InputError as error:
        raise OptionError(f"effects: {error}") from None
    if not laws:
        raise OptionError(
            f"effects: no coefficient of '{path}' is shrunken, so that it has no law of effects."
        )
    return laws


def plain_effects(effects: str | Mapping[str, Any]) -> str | dict[str, Any]:
    """Return laws of effects as plain values, as TOML and JSON have them.

    Parameters
    ----------
    effects : str or mapping
        As `SamplingOptions.effects` has it.

    Returns
    -------
    str or dict
    """
    if not isinstance(effects, Mapping):
        return effects
    return {one: law.to_dict() if isinstance(law, EffectMixture) else law for one, law in effects.items()}


def read_effects(texts: list[str]) -> str | dict[str, str]:
    """Read the laws of effects from the command line.

    Parameters
    ----------
    texts : list of str
        ``LAW``, ``NAME=LAW`` for single coefficients and terms, or a file.

    Returns
    -------
    str or dict of str to str

    Raises
    ------
    OptionError
        If there is a file beside other laws.
    """
    files = [text for text in texts if text.endswith(".json")]
    if files and len(texts) > 1:
        raise OptionError(
            f"--effects: '{files[0]}' has the laws of all effects; give it alone, or laws by name without it."
        )
    if files:
        return files[0]
    pairs = (text.rpartition("=") for text in texts)
    laws = {name: law for name, _, law in pairs}
    return laws[""] if set(laws) == {""} else laws
