"""The values of the hyperparameters: the priors of the genes' parameters that all genes share."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from os import PathLike
from typing import Any

import numpy as np

from bayesde.counts.display import html_table
from bayesde.design import Coding, Design
from bayesde.eb.fit import EbFit
from bayesde.errors import InputError, first_few
from bayesde.model.effect_laws import EffectMixture
from bayesde.model.hyperparameter_checks import check_values
from bayesde.model.hyperparameter_file import read_values, write_values
from bayesde.model.hyperparameter_names import (
    EFFECT_NU,
    OF_EFFECTS,
    OF_RANDOM_EFFECTS,
    OF_RESIDUALS,
    PI0,
    RANDOM_SD,
    SCALE,
    SHARED,
    effect_name,
    effect_part,
    random_part,
    scale_name,
)
from bayesde.model.hyperparameters_of_fit import values_of_fit
from bayesde.model.learnt_priors import priors_of_draws
from bayesde.model.priors import Priors
from bayesde.numerics.elementary import logarithms
from bayesde.options import nearest

__all__ = ["Hyperparameters"]

MOST_SHOWN = 8
"""Coefficients whose scales a short description lists."""


@dataclass(frozen=True, eq=False, repr=False)
class Hyperparameters:
    """Priors of the genes' parameters; natural-log units.

    Attributes
    ----------
    shrinkage_scale : dict of str to float
        S of the prior, by coefficient; where the law is a mixture, the median absolute effect of those that
        are not 0. A coefficient that is not named is not shrunken.
    dispersion_sd : float
        Scale of log dispersions around their trend.
    asymptotic_dispersion, extra_poisson : float
        a0 > 0 and a1 >= 0 of the trend a0 + a1 / base_mean; a1 = 0 is a constant trend.
    residuals : {"normal", "student_t", "two_normals"}
        Distribution around the trend.
    nu : float or None
        Degrees of freedom of Student-t residuals.
    sd : dict of str to float
        Posterior standard deviations, by the names that `draws` has.
    draws : dict of str to ndarray (draw,)
        Posterior draws: ``"shrinkage_scale[COEFFICIENT]"``, ``"effect_nu[COEFFICIENT]"``,
        ``"pi0[COEFFICIENT]"``, ``"dispersion_sd"``, ``"asymptotic_dispersion"``,
        ``"extra_poisson"``, ``"nu"``; empty where the values are point estimates.
    source : {"eb", "psis", "joint", "file"}
    checks : dict of str to float
        How well engine psis knows them: its ``points``, how many ``effective_points`` they are worth, and the
        ``pareto_k`` of their weights.
    effect_nu : dict of str to float
        Degrees of freedom of the Student-t prior, by coefficient; one that is not named has a Cauchy prior.
    pi0 : dict of str to float
        Probability that an effect is exactly 0, by coefficient; 0 for one that is not named.
    mixtures : dict of str to EffectMixture
        Laws of effects that are known, by coefficient.
    wide_share, wide_ratio : float or None
        Of residuals with two normal components, the share of the wide one, and its standard deviation over
        that of the other one.
    random_effect_sd, random_effect_sd_spread : dict of str to float
        The law of the standard deviations of random effects over the genes, by random effect (``"donor"`` of
        ``(1 | donor)``): their median, natural log, and the standard deviation of their logarithms.
    """

    shrinkage_scale: dict[str, float]
    dispersion_sd: float
    asymptotic_dispersion: float
    extra_poisson: float
    residuals: str = "normal"
    nu: float | None = None
    sd: dict[str, float] = field(default_factory=dict)
    draws: dict[str, np.ndarray] = field(default_factory=dict)
    source: str = "eb"
    checks: dict[str, float] = field(default_factory=dict)
    effect_nu: dict[str, float] = field(default_factory=dict)
    pi0: dict[str, float] = field(default_factory=dict)
    mixtures: dict[str, EffectMixture] = field(default_factory=dict)
    wide_share: float | None = None
    wide_ratio: float | None = None
    random_effect_sd: dict[str, float] = field(default_factory=dict)
    random_effect_sd_spread: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_values(self)

    def __repr__(self) -> str:
        return f"<Hyperparameters: {'; '.join(f'{name} {text}' for name, text in _described(self))}>"

    def _repr_html_(self) -> str:
        return html_table([("Hyperparameters", "natural log"), *_described(self)])

    @property
    def named(self) -> dict[str, float]:
        """Every number by its name: ``shrinkage_scale[COEFFICIENT]``, ..., those of residuals last."""
        parts = {part: getattr(self, part) for part in OF_EFFECTS}
        values = {effect_name(part, one): value for part, by in parts.items() for one, value in by.items()}
        values |= {name: getattr(self, name) for name in SHARED}
        for one in self.random_effect_sd:
            values |= {effect_name(part, one): getattr(self, part)[one] for part in OF_RANDOM_EFFECTS}
        return values | {name: getattr(self, name) for name in OF_RESIDUALS[self.residuals]}

    @classmethod
    def from_named(cls, values: Mapping[str, float], **known: Any) -> Hyperparameters:
        """Make hyperparameters of values by name.

        Parameters
        ----------
        values : mapping of str to float
            As `named` has them; without ``extra_poisson`` the trend is constant, with ``nu`` the residuals
            are Student-t, with ``wide_share`` and ``wide_ratio`` they have two normal components.
        **known
            Other attributes: ``sd``, ``draws``, ``source``, ``checks``, ``mixtures``, and ``shrinkage_scale``
            and ``effect_nu`` of coefficients that have none among the values.
        """
        parts: dict[str, Any] = {part: {} for part in (*OF_EFFECTS, *OF_RANDOM_EFFECTS)}
        for part in (SCALE, EFFECT_NU):
            parts[part] |= known.pop(part, {})
        for name, value in values.items():
            if (found := effect_part(name) or random_part(name)) is not None:
                parts[found[0]][found[1]] = value
        return cls(
            **parts,
            dispersion_sd=values["dispersion_sd"],
            asymptotic_dispersion=values["asymptotic_dispersion"],
            extra_poisson=values.get("extra_poisson", 0.0),
            residuals=next((law for law, own in OF_RESIDUALS.items() if own and own[0] in values), "normal"),
            nu=values.get("nu"),
            wide_share=values.get("wide_share"),
            wide_ratio=values.get("wide_ratio"),
            **known,
        )

    @classmethod
    def from_eb(cls, fit: EbFit, shrink: Sequence[str] | None = None) -> Hyperparameters:
        """Take the values from an empirical-Bayes fit.

        By default every coefficient but the intercept is shrunken. In a design without an intercept none is,
        because the coefficients are then levels and not effects. A local dispersion trend is replaced by the
        nearest parametric one. Either is reported by a ``BayesdeWarning``.

        Parameters
        ----------
        fit : EbFit
        shrink : sequence of str, optional
            The coefficients that are shrunken, by name or by that of their term; empty for none.

        Raises
        ------
        InputError
            If the design has no such coefficient or term.
        """
        return cls(**values_of_fit(fit, shrink))

    @classmethod
    def from_json(cls, path: str | PathLike[str]) -> Hyperparameters:
        """Read the values from a file.

        Parameters
        ----------
        path : path
            JSON with the keys ``shrinkage_scale``, ``dispersion_sd``, ``asymptotic_dispersion``,
            ``extra_poisson``, ``residuals``, ``nu`` and, optionally, ``wide_share``, ``wide_ratio``,
            ``effect_nu``, ``pi0``, ``mixtures``, ``random_effect_sd``, ``random_effect_sd_spread``, ``sd``
            and ``draws``; ``source`` and ``checks`` are ignored.

        Raises
        ------
        InputError
            If the file cannot be read, a key is missing or unknown, or a value is not allowed.
        """
        return cls(**read_values(path), source="file")

    def as_priors(self, widen: float = 2.0) -> Priors:
        """Return priors for another experiment that expect what was learnt here.

        Parameters
        ----------
        widen : float
            How much wider than the posterior of this experiment they are, in standard deviations. A prior
            that several coefficients share covers those of all of them.

        Returns
        -------
        Priors

        Raises
        ------
        InputError
            If the hyperparameters have no draws.
        OptionError
            If ``widen`` is out of its range.
        """
        return priors_of_draws(self.draws, widen)

    def to_json(self, path: str | PathLike[str]) -> None:
        """Write the values to a file, under a temporary name first.

        Parameters
        ----------
        path : path
        """
        write_values(path, vars(self))

    def log_trend(self, base_mean: np.ndarray) -> np.ndarray:
        """Return the natural log of the dispersion trend.

        Parameters
        ----------
        base_mean : ndarray (gene,)
            Means of the normalized counts.

        Returns
        -------
        ndarray (gene,)
        """
        return logarithms(self.asymptotic_dispersion + self.extra_poisson / base_mean)

    def scales_of(self, design: Design | Coding) -> tuple[np.ndarray, np.ndarray]:
        """Return which coefficients of a design are shrunken, and their scales.

        Parameters
        ----------
        design : Design or Coding

        Returns
        -------
        shrunken : ndarray of bool (coefficient,)
        scales : ndarray (coefficient,)
            Natural log; 1 where a coefficient is not shrunken.

        Raises
        ------
        InputError
            If a scale is for a coefficient that the design does not have.
        """
        integrated = getattr(design, "integrated", None)
        beside = () if integrated is None else (integrated.name,)
        unknown = [name for name in self.shrinkage_scale if name not in (*design.coefficients, *beside)]
        if unknown:
            raise InputError(
                f"hyperparameters: shrinkage_scale names {first_few(unknown)}, not in the design; its "
                f"coefficients are {first_few(dict.fromkeys(design.coefficients), 20)}."
                f"{nearest(unknown[0], design.coefficients)}"
            )
        shrunken = np.array([name in self.shrinkage_scale for name in design.coefficients])
        scales = np.array([self.shrinkage_scale.get(name, 1.0) for name in design.coefficients])
        return shrunken, scales

    def effect_df(self, design: Design | Coding) -> np.ndarray | None:
        """Return the degrees of freedom of the effects' priors; None where all are 1.

        Parameters
        ----------
        design : Design or Coding

        Returns
        -------
        ndarray (coefficient,) or None
        """
        if not self.effect_nu:
            return None
        return np.array([self.effect_nu.get(name, 1.0) for name in design.coefficients])

    def mixtures_of(self, design: Design | Coding) -> tuple[tuple[int, EffectMixture], ...]:
        """Return which coefficients of a design have a law that is known, and these laws.

        Parameters
        ----------
        design : Design or Coding
        """
        names = design.coefficients
        return tuple((k, self.mixtures[name]) for k, name in enumerate(names) if name in self.mixtures)

    def family(self, coefficient: str) -> str:
        """Return the name of the law of a shrunken coefficient, of `FAMILIES`.

        Parameters
        ----------
        coefficient : str
        """
        if coefficient in self.mixtures:
            return "mixture"
        if coefficient in self.pi0:
            return "spike_t"
        return "student_t" if coefficient in self.effect_nu else "cauchy"

    @property
    def effect_laws(self) -> dict[str, EffectMixture]:
        """The laws of the effects, by coefficient, as known ones: Cauchy's is Student's t with nu = 1."""
        laws = dict(self.mixtures)
        for name, scale in self.shrinkage_scale.items():
            pi0, nu = self.pi0.get(name, 0.0), self.effect_nu.get(name, 1.0)
            own = [(pi0, 0.0, math.inf), (1.0 - pi0, scale, nu)][pi0 == 0.0 :]
            laws.setdefault(name, EffectMixture(*map(np.array, zip(*own, strict=True))))
        return laws

    @property
    def degrees_of_freedom(self) -> float:
        """Degrees of freedom of the residuals; infinite for normal ones."""
        return float(self.nu) if self.residuals == "student_t" and self.nu is not None else math.inf


def _described(hyper: Hyperparameters) -> list[tuple[str, str]]:
    """Describe hyperparameters for a reader: values with their posterior sd, where there is one."""

    def shown(name: str, value: float) -> str:
        sd = hyper.sd.get(name)
        return f"{value:.3g}" if sd is None else f"{value:.3g} (sd {sd:.2g})"

    scales = [
        f"{coefficient} {shown(scale_name(coefficient), value)}"
        for coefficient, value in list(hyper.shrinkage_scale.items())[:MOST_SHOWN]
    ]
    more = len(hyper.shrinkage_scale) - MOST_SHOWN
    nu = [(name, shown(name, getattr(hyper, name))) for name in OF_RESIDUALS[hyper.residuals]]
    of_laws = [
        (part, ", ".join(f"{one} {shown(effect_name(part, one), value)}" for one, value in by.items()))
        for part, by in ((EFFECT_NU, hyper.effect_nu), (PI0, hyper.pi0), (RANDOM_SD, hyper.random_effect_sd))
        if by
    ]
    if hyper.mixtures:
        of_laws.append(("mixture", ", ".join(hyper.mixtures)))
    return [
        (SCALE, ", ".join(scales) + (f" and {more} more" if more > 0 else "") or "none"),
        *of_laws,
        *((name, shown(name, getattr(hyper, name))) for name in SHARED),
        ("residuals", hyper.residuals),
        *nu,
        ("source", f"{hyper.source}, {len(next(iter(hyper.draws.values()), [])):,} draws"),
    ]
