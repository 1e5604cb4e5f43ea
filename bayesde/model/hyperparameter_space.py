r"""The hyperparameters as a vector.

phi = (S_k, [nu_k,] [pi0_k,] sigma, a0, a1, [exp(m_tau), s_tau,] [nu | w, tau]) has the values, psi their
logarithms (of nu - 2 for nu, of tau - 1 for the last tau), and pi0 and w on the scale of
`bayesde.model.probability_scale`, in which posteriors are close to normal: searches and proposals work on
psi. nu_k and pi0_k are those of the law of the effects (`bayesde.model.effect_laws`), where it has them;
m_tau and s_tau are mean and standard deviation over the genes of the log standard deviations of random
effects; nu, or w and tau, are those of the residuals around the dispersion trend.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from bayesde.model.density import ConditionalModel
from bayesde.model.effect_laws import WITH_NU, WITH_NULL, EffectMixture
from bayesde.model.hyperparameter_names import (
    EFFECT_NU,
    OF_RANDOM_EFFECTS,
    PI0,
    SCALE,
    SHARED,
    WIDE_RATIO,
    WIDE_SHARE,
    effect_name,
    random_part,
)
from bayesde.model.hyperparameters import Hyperparameters
from bayesde.model.prior_at_draws import HyperPriors, PriorParts, priors_at, priors_at_one
from bayesde.model.priors import Beta, LogNormal, Priors, ShiftedGamma
from bayesde.model.probability_scale import of_probability, probability
from bayesde.numerics.elementary import exponentials, logarithms

__all__ = ["HyperparameterSpace"]

SMALLEST_EXTRA = 1e-3
START_NU = 8.0
"""Where searches start for a1 and nu that are not known."""
START_EFFECT_NU, START_PI0 = 3.0, 0.5
"""The same for the law of the effects."""
START_WIDE_SHARE, START_WIDE_RATIO = 0.1, 3.0
"""The same for residuals with two normal components."""
LOWEST_NU, LOWEST_RATIO = 2.0, 1.0
"""Below, residuals would have no variance; and the second component would not be the wide one."""


@dataclass(frozen=True)
class HyperparameterSpace:
    """Which hyperparameters a model has, and their places in the vectors phi and psi.

    Attributes
    ----------
    coefficients : tuple of str
        Names of the design's columns, or of what is sampled in their place: those of one name have one law.
    shrunken : tuple of int
        Those whose priors have hyperparameters.
    trend : bool
        Whether ln a1 follows; otherwise a1 = 0.
    student_t : bool
        Whether ln(nu - 2) comes last.
    scale_of : tuple of int
        Which scale each shrunken coefficient has: 0, 1, ... if each has its own (by default), or the same
        number for those of one term. psi starts with the ln S in this order, then come the other numbers of
        the effects' laws, ln sigma and ln a0.
    priors : Priors
    families : tuple of str
        The law of the effects of every scale: cauchy (by default), student_t or spike_t.
    mixtures : tuple of (int, EffectMixture)
        Coefficients whose law is known, which have no hyperparameters.
    two_normals : bool
        Whether w and ln(tau - 1) come last.
    random_effects : tuple of str
        Names of the random effects, whose ln tau come before the log dispersion among a gene's parameters.
    given : tuple of (str, float, float)
        Scales, and degrees of freedom, of factors whose levels are integrated out: they are held.
    """

    coefficients: tuple[str, ...]
    shrunken: tuple[int, ...]
    trend: bool
    student_t: bool
    scale_of: tuple[int, ...] = ()
    priors: Priors = field(default_factory=Priors)
    families: tuple[str, ...] = ()
    mixtures: tuple[tuple[int, EffectMixture], ...] = ()
    two_normals: bool = False
    random_effects: tuple[str, ...] = ()
    given: tuple[tuple[str, float, float], ...] = ()

    def __post_init__(self) -> None:
        if not self.scale_of:
            object.__setattr__(self, "scale_of", tuple(range(len(self.shrunken))))
        if not self.families:
            object.__setattr__(self, "families", ("cauchy",) * self.n_scales)

    @classmethod
    def of(
        cls, coefficients: Sequence[str], hyper: Hyperparameters, priors: Priors | None = None
    ) -> HyperparameterSpace:
        """Return which hyperparameters there are where they are given.

        Parameters
        ----------
        coefficients : sequence of str
            Names of the design's columns.
        hyper : Hyperparameters
            Which coefficients are shrunken, by which laws, and the distribution of the residuals.
        priors : Priors, optional

        Returns
        -------
        HyperparameterSpace
            Every shrunken coefficient has a scale of its own, but for those of the same name.
        """
        names = tuple(coefficients)
        known = {k: hyper.family(name) for k, name in enumerate(names) if name in hyper.shrinkage_scale}
        own = tuple(k for k, family in known.items() if family != "mixture")
        scales = list(dict.fromkeys(names[k] for k in own))
        return cls(
            names,
            own,
            True,
            hyper.residuals == "student_t",
            scale_of=tuple(scales.index(names[k]) for k in own),
            priors=priors or Priors(),
            families=tuple(hyper.family(name) for name in scales),
            mixtures=tuple((k, hyper.mixtures[names[k]]) for k in known if k not in own),
            two_normals=hyper.residuals == "two_normals",
            random_effects=tuple(hyper.random_effect_sd),
            given=tuple(
                (name, scale, hyper.effect_nu.get(name, 1.0))
                for name, scale in hyper.shrinkage_scale.items()
                if name not in names
            ),
        )

    @property
    def n_scales(self) -> int:
        """Number of different scales S."""
        return len(set(self.scale_of))

    @property
    def of_effects(self) -> list[tuple[str, int]]:
        """Which numbers of the effects' laws there are, in their order: part, and which of the scales."""
        parts = [(SCALE, i) for i in range(self.n_scales)]
        parts += [(EFFECT_NU, i) for i, family in enumerate(self.families) if family in WITH_NU]
        return parts + [(PI0, i) for i, family in enumerate(self.families) if family in WITH_NULL]

    @property
    def shared(self) -> list[str]:
        """Names of the hyperparameters after those of the effects."""
        known = {"extra_poisson": self.trend}
        names = [name for name in SHARED if known.get(name, True)]
        names += [effect_name(part, one) for one in self.random_effects for part in OF_RANDOM_EFFECTS]
        names += ["nu"] * self.student_t
        return names + [WIDE_SHARE, WIDE_RATIO] * self.two_normals

    @property
    def kinds(self) -> list[str]:
        """Which of the fields of `Priors` is the prior of every number of psi."""
        shared = [(random_part(name) or (name,))[0] for name in self.shared]
        return [part for part, _ in self.of_effects] + shared

    @property
    def names(self) -> list[str]:
        """Names of the numbers of phi; a scale goes by the first coefficient that has it."""
        first = [self.coefficients[self.shrunken[self.scale_of.index(i)]] for i in range(self.n_scales)]
        return [effect_name(part, first[i]) for part, i in self.of_effects] + self.shared

    @property
    def atoms(self) -> tuple[int, ...]:
        """Coefficients whose law has an atom at zero."""
        own = [k for k, i in zip(self.shrunken, self.scale_of, strict=True) if self.families[i] in WITH_NULL]
        return tuple(sorted([*own, *(k for k, law in self.mixtures if law.null > 0.0)]))

    @property
    def columns(self) -> np.ndarray:
        """The coefficients whose priors have hyperparameters, as kernels take them."""
        return np.array(self.shrunken, dtype=np.int64)

    def by_name(self, phi: np.ndarray) -> dict[str, np.ndarray]:
        """Return values by name, a scale under the name of every coefficient that has it.

        Parameters
        ----------
        phi : ndarray (..., hyperparameter)

        Returns
        -------
        dict of str to ndarray (...)
        """
        found = {}
        for at, (part, i) in enumerate(self.of_effects):
            for k, own in zip(self.shrunken, self.scale_of, strict=True):
                if own == i:
                    found[effect_name(part, self.coefficients[k])] = phi[..., at]
        first = len(self.of_effects)
        return found | {name: phi[..., first + i] for i, name in enumerate(self.shared)}

    def psi_of(self, hyper: Hyperparameters) -> np.ndarray:
        """Return the logarithms of given values, to start a search from.

        Parameters
        ----------
        hyper : Hyperparameters
            What it does not have starts at values of our own.

        Returns
        -------
        ndarray (hyperparameter,)
            Coefficients that share a scale start at the geometric mean of theirs.
        """
        logs = logarithms([hyper.shrinkage_scale[self.coefficients[k]] for k in self.shrunken])
        group = np.array(self.scale_of, dtype=int)
        scales = [float(logs[group == i].mean()) for i in range(self.n_scales)]
        scales += [self._start(part, i, hyper) for part, i in self.of_effects[self.n_scales :]]
        values = [hyper.dispersion_sd, hyper.asymptotic_dispersion]
        values += [max(hyper.extra_poisson, SMALLEST_EXTRA)] * self.trend
        for one in self.random_effects:
            values += [hyper.random_effect_sd[one], hyper.random_effect_sd_spread[one]]
        values += [(hyper.nu or START_NU) - LOWEST_NU] * self.student_t
        psi = [*scales, *logarithms(values)]
        if self.two_normals:
            share, ratio = hyper.wide_share or START_WIDE_SHARE, hyper.wide_ratio or START_WIDE_RATIO
            psi += [float(of_probability(share)), math.log(ratio - LOWEST_RATIO)]
        return np.array(psi)

    def _start(self, part: str, i: int, hyper: Hyperparameters) -> float:
        """Return the number of psi for nu or pi0 of a scale: what is known of a coefficient that has it."""
        own = [
            self.coefficients[k] for k, scale in zip(self.shrunken, self.scale_of, strict=True) if scale == i
        ]
        values = getattr(hyper, part)
        known = [values[name] for name in own if name in values]
        value = known[0] if known else {EFFECT_NU: START_EFFECT_NU, PI0: START_PI0}[part]
        return math.log(value) if part == EFFECT_NU else float(of_probability(value))

    def phi_of(self, hyper: Hyperparameters) -> np.ndarray:
        """Return the draws of given hyperparameters, or their one value.

        Parameters
        ----------
        hyper : Hyperparameters

        Returns
        -------
        ndarray (draw, hyperparameter)
        """
        known = hyper.named
        size = len(next(iter(hyper.draws.values()), [0]))
        columns = [np.asarray(hyper.draws.get(name, np.full(size, known[name]))) for name in self.names]
        return np.column_stack(columns).astype(np.float64)

    def phi(self, psi: np.ndarray) -> np.ndarray:
        """Return the values of logarithms.

        Parameters
        ----------
        psi : ndarray (..., hyperparameter)

        Returns
        -------
        ndarray (..., hyperparameter)
        """
        phi = exponentials(psi)
        phi[..., -1] += self._lowest
        for at in self._probabilities:
            phi[..., at] = probability(psi[..., at])
        return phi

    @property
    def _probabilities(self) -> list[int]:
        return [at for at, kind in enumerate(self.kinds) if kind in (PI0, WIDE_SHARE)]

    @property
    def _lowest(self) -> float:
        """What the last number exceeds."""
        return {"nu": LOWEST_NU, WIDE_RATIO: LOWEST_RATIO}.get(self.shared[-1], 0.0)

    def psi(self, phi: np.ndarray) -> np.ndarray:
        """Return the logarithms of values.

        Parameters
        ----------
        phi : ndarray (..., hyperparameter)

        Returns
        -------
        ndarray (..., hyperparameter)
        """
        shifted = phi.copy()
        shifted[..., -1] -= self._lowest
        with np.errstate(divide="ignore"):
            psi = np.asarray(np.log(shifted))
        for at in self._probabilities:
            psi[..., at] = of_probability(phi[..., at])
        return psi

    def hyperparameters(self, phi: np.ndarray) -> Hyperparameters:
        """Return values as `Hyperparameters`.

        Parameters
        ----------
        phi : ndarray (hyperparameter,)
        """
        values = {name: float(value) for name, value in self.by_name(phi).items()}
        return Hyperparameters.from_named(values, source="psis", **self.known_laws)

    @property
    def known_laws(self) -> dict[str, dict[str, Any]]:
        """The laws whose hyperparameters are known, as arguments of `Hyperparameters.from_named`."""
        laws = {self.coefficients[k]: law for k, law in self.mixtures}
        scales = {name: law.median_size for name, law in laws.items()}
        scales |= {name: scale for name, scale, _ in self.given}
        nu = {name: df for name, _, df in self.given if df != 1.0}
        return {"mixtures": laws, "shrinkage_scale": scales, "effect_nu": nu}

    def parts(self, phi: np.ndarray, base_mean: np.ndarray) -> PriorParts:
        """Return what the priors of some genes' parameters are made of.

        Parameters
        ----------
        phi : ndarray (hyperparameter,)
        base_mean : ndarray (gene,)
            Means of the normalized counts.

        Returns
        -------
        PriorParts
        """
        n = len(self.of_effects)
        trend = phi[n + 1] + (phi[n + 2] / base_mean if self.trend else np.zeros_like(base_mean))
        values: dict[str, np.ndarray] = {
            SCALE: np.empty(self.n_scales),
            EFFECT_NU: np.ones(self.n_scales),
            PI0: np.zeros(self.n_scales),
        }
        for at, (part, i) in enumerate(self.of_effects):
            values[part][i] = phi[at]
        group = list(self.scale_of)
        scale, df, pi0 = (part[group] for part in values.values())
        return PriorParts(
            scale,
            df,
            pi0,
            logarithms(trend),
            float(phi[n]),
            float(phi[-1]) if self.student_t else math.inf,
            float(phi[-2]) if self.two_normals else 0.0,
            float(phi[-1]) if self.two_normals else 1.0,
            *self._log_sds(phi),
        )

    def _log_sds(self, phi: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return mean and standard deviation of the log standard deviations of every random effect."""
        first = len(self.of_effects) + 2 + self.trend
        own = phi[first : first + 2 * len(self.random_effects)]
        return logarithms(own[::2]), own[1::2].copy()

    def priors_at(self, phi: np.ndarray, base_mean: np.ndarray) -> HyperPriors:
        """Return the genes' priors at points of the hyperparameters, as kernels take them.

        Parameters
        ----------
        phi : ndarray (point, hyperparameter)
        base_mean : ndarray (gene,)

        Returns
        -------
        HyperPriors
        """
        return priors_at(self.columns, [self.parts(point, base_mean) for point in phi])

    def priors_of(self, model: ConditionalModel) -> HyperPriors:
        """Return the genes' priors at the hyperparameters of a model, without atoms, as kernels take them.

        Parameters
        ----------
        model : ConditionalModel

        Returns
        -------
        HyperPriors
        """
        scale, df = model.shrinkage_scale[self.columns], model.prior_df[self.columns]
        of_gene = (model.log_trend, model.dispersion_sd, model.nu, model.wide_share, model.wide_ratio)
        return priors_at_one(self.columns, PriorParts(scale, df, 0.0 * df, *of_gene, *model.log_sd_prior))

    def model_at(self, model: ConditionalModel, phi: np.ndarray) -> ConditionalModel:
        """Return a model with other values of the hyperparameters.

        Parameters
        ----------
        model : ConditionalModel
        phi : ndarray (hyperparameter,)

        Returns
        -------
        ConditionalModel
            Of the same genes.
        """
        parts = self.parts(phi, model.base_mean)
        scales, df = model.shrinkage_scale.copy(), np.ones(model.n_coefficients)
        scales[list(self.shrunken)], df[list(self.shrunken)] = parts.scale, parts.df
        random = model.random
        if random is not None:
            random = replace(random, center=parts.center, spread=parts.spread)
        return replace(
            model,
            shrinkage_scale=scales,
            effect_df=None if (df == 1.0).all() else df,
            mixtures=self.mixtures,
            log_trend=parts.log_trend,
            dispersion_sd=parts.sd,
            nu=parts.nu,
            wide_share=parts.wide_share,
            wide_ratio=parts.wide_ratio,
            random=random,
        )

    def log_prior(self, psi: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
        """Return the log density of the hyperparameters' prior, with derivatives.

        Parameters
        ----------
        psi : ndarray (hyperparameter,)

        Returns
        -------
        log_density : float
            Of psi.
        gradient : ndarray (hyperparameter,)
        information : ndarray (hyperparameter,)
            Diagonal of the negative Hessian.
        """
        laws: list[LogNormal | ShiftedGamma | Beta] = [getattr(self.priors, kind) for kind in self.kinds]
        parts = np.array([law.log_density(value) for law, value in zip(laws, psi.tolist(), strict=True)])
        return float(parts[:, 0].sum()), parts[:, 1], parts[:, 2]
