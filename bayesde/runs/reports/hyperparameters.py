"""The hyperparameters of a run, as a section of its report."""

from __future__ import annotations

import json
from dataclasses import replace
from html import escape
from pathlib import Path

from bayesde.model.effect_laws import EffectMixture
from bayesde.model.hyperparameter_names import effect_name
from bayesde.model.hyperparameters import Hyperparameters
from bayesde.posterior.summaries.checks import better_law
from bayesde.runs.reports.page import html_table, number, plain

__all__ = ["hyperparameters_section"]

SMALLEST_WEIGHT = 0.001
"""Components of a mixture with a larger weight are shown."""
MEANINGS = {
    "asymptotic_dispersion": "a0 of the trend a0 + a1 / mean",
    "extra_poisson": "a1 of the trend",
    "dispersion_sd": "standard deviation of ln dispersion around the trend",
    "nu": "degrees of freedom of the residuals around the trend",
    "wide_share": "share of the wide one of two components of the residuals around the trend",
    "wide_ratio": "its standard deviation, over that of the other one",
}
LAWS = {
    "cauchy": "Cauchy's distribution",
    "student_t": "Student's t distribution",
    "spike_t": "exactly 0 with a probability, otherwise Student's t distribution",
    "mixture": "a mixture of distributions around 0",
}
SCALES = {
    "cauchy": "scale of the Cauchy prior of this effect, natural log",
    "student_t": "scale of the Student t prior of this effect, natural log",
    "spike_t": "scale of the Student t prior of this effect where it is not 0, natural log",
    "mixture": "median absolute effect of those that are not 0, natural log",
}
OF_LAWS = {
    "effect_nu": "degrees of freedom of the Student t prior of this effect",
    "pi0": "prior probability that this effect is exactly 0",
}
OF_RANDOM_EFFECTS = {
    "random_effect_sd": "median over the genes of the standard deviation between these levels, natural log",
    "random_effect_sd_spread": "standard deviation of the natural log of that over the genes",
}


def hyperparameters_section(file: Path) -> str:
    """Tabulate the hyperparameters of a run, and say which law its effects have.

    Parameters
    ----------
    file : Path
        ``hyperparameters.json``.

    Returns
    -------
    str
        HTML; empty if there is no such file.
    """
    if not file.is_file():
        return ""
    checks = json.loads(file.read_text(encoding="utf-8")).get("checks") or {}
    hyper = replace(Hyperparameters.from_json(file), checks=checks)
    told = _laws(hyper) + html_table(
        ("", "value", "posterior sd", "what it is"), _rows(hyper), numbers=(1, 2)
    )
    told += "".join(_mixture(name, law) for name, law in hyper.mixtures.items())
    if "points" in checks:
        told += (
            f"<p>Their posterior is represented by {checks['points']:,.0f} weighted points (effective size "
            f"{checks['effective_points']:,.0f}).</p>"
        )
    if better := better_law(hyper):
        told += f"<p>{escape(better[0].upper() + better[1:])}.</p>"
    return told


def _laws(hyper: Hyperparameters) -> str:
    """Say which law the effects have."""
    names: dict[str, list[str]] = {}
    for coefficient in hyper.shrinkage_scale:
        names.setdefault(hyper.family(coefficient), []).append(coefficient)
    texts = [
        LAWS[family] + (f" ({', '.join(own)})" if len(names) > 1 else "") for family, own in names.items()
    ]
    return f"<p>Law of the effects: {escape('; '.join(texts))}.</p>" if texts else ""


def _rows(hyper: Hyperparameters) -> list[tuple[str, str, str, str]]:
    """Return the rows of the table."""
    known = hyper.named
    rows = [
        (name, plain(float(known[name])), plain(hyper.sd.get(name)), meaning)
        for name, meaning in MEANINGS.items()
        if name in known
    ]
    for name in hyper.random_effect_sd:
        for part, meaning in OF_RANDOM_EFFECTS.items():
            key = effect_name(part, name)
            rows.append((key, plain(float(known[key])), plain(hyper.sd.get(key)), meaning))
    for name, scale in hyper.shrinkage_scale.items():
        sd = plain(hyper.sd.get(effect_name("shrinkage_scale", name)))
        rows.append((name, plain(float(scale)), sd, SCALES[hyper.family(name)]))
        for part, meaning in OF_LAWS.items():
            if name in getattr(hyper, part):
                key = effect_name(part, name)
                rows.append((key, plain(float(known[key])), plain(hyper.sd.get(key)), meaning))
    return rows


def _mixture(coefficient: str, law: EffectMixture) -> str:
    """Tabulate the components of a mixture that have some weight."""
    rows = []
    for weight, scale, df in zip(law.weight, law.scale, law.df, strict=True):
        if weight > SMALLEST_WEIGHT:
            normal = "normal" if df == float("inf") else f"Student t, {df:g} degrees of freedom"
            rows.append((number(weight), number(scale), "exactly 0" if scale == 0.0 else normal))
    title = f"Mixture that is the prior of {coefficient}: components with a weight above 0.1 %"
    header = ("weight", "scale, natural log", "distribution")
    return f"<p>{escape(title)}.</p>" + html_table(header, rows, numbers=(0, 1))
