r"""Data sets drawn from the model and its priors, with the true parameters.

    S_k, sigma, a0, a1, nu   from `PRIORS`, which are narrower than the package's defaults
    base_mean_g              log-normal, a covariate: it affects counts through the trend only
    log alpha_g              Normal or Student-t around ln(a0 + a1 / base_mean_g), scale sigma
    beta_g0                  Normal(0, 1.5), a level: factors are around 100
    beta_gk                  Cauchy(0, S_k), or another law of `benchmarks.calibration.laws`
    m_tau, s_tau             from `PRIORS`, where there are random effects
    log tau_g                Normal(m_tau, s_tau)
    u_gd                     Normal(0, tau_g), of every level d
    y_gj                     NB(nf_j exp(x_j beta_g + u_gd(j)), alpha_g)

A Cauchy distribution can give means that are too large for counts. Data sets with a count above
`LARGEST_COUNT` are drawn again as a whole: the selection of data sets may depend on the data, since it does
not change the posterior given the data. (Single genes must not be left out, since this would change the
posterior of phi given the others.)
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from bayesde.model.density import ConditionalModel
from bayesde.model.hyperparameter_names import (
    EFFECT_NU,
    RANDOM_SD,
    RANDOM_SPREAD,
    SCALE,
    effect_name,
    effect_part,
    random_part,
)
from bayesde.model.hyperparameter_space import HyperparameterSpace
from bayesde.model.hyperparameters import Hyperparameters
from bayesde.posterior import LogNormal, Priors, ShiftedGamma
from bayesde.posterior.hyper.laws import LawsToLearn
from bayesde.posterior.random_effects import start_of_random_effects, with_random_effects
from benchmarks.calibration.designs import COEFFICIENTS, DESIGNS, SampleDesign
from benchmarks.calibration.laws import LAWS, EffectLaw

PRIORS = Priors(
    shrinkage_scale=LogNormal(0.3, 0.5),
    effect_nu=LogNormal(4.0, 0.7),
    dispersion_sd=LogNormal(0.5, 0.4),
    asymptotic_dispersion=LogNormal(0.05, 0.5),
    extra_poisson=LogNormal(2.0, 0.5),
    nu=ShiftedGamma(2.0, 0.1),
    random_effect_sd=LogNormal(0.3, 0.5),
    random_effect_sd_spread=LogNormal(0.5, 0.4),
    unshrunken_sd=1.5,
)
ANALYSIS_PRIORS = PRIORS
"""The priors that methods are given."""
LEVEL, FACTOR_SD = 100.0, 0.3
MEDIAN_BASE_MEAN, BASE_MEAN_SD = 40.0, 1.2
LARGEST_COUNT = 10_000_000


@dataclass(frozen=True)
class Variant:
    """Which model of the dispersions and of the effects a data set is drawn from.

    Attributes
    ----------
    student_t : bool
        Student-t residuals; otherwise normal ones.
    trend : bool
        Parametric trend; otherwise a constant.
    law : str
        Of the effects, in `LAWS`.
    design : str
        Of the samples, in `DESIGNS`.
    """

    student_t: bool
    trend: bool
    law: str = "cauchy"
    design: str = "fixed"

    @property
    def effects(self) -> EffectLaw:
        """The law of the effects."""
        return LAWS[self.law]

    @property
    def samples(self) -> SampleDesign:
        """The samples, and their random effects."""
        return DESIGNS[self.design]

    @property
    def names(self) -> list[str]:
        """Names of the hyperparameters that there are."""
        return self.effects.names(COEFFICIENTS[1:]) + self.space.shared

    @property
    def space(self) -> HyperparameterSpace:
        """The hyperparameters that there are under Cauchy's law of effects."""
        shrunken = tuple(range(1, len(COEFFICIENTS)))
        return HyperparameterSpace(
            COEFFICIENTS,
            shrunken,
            self.trend,
            self.student_t,
            priors=ANALYSIS_PRIORS,
            random_effects=self.samples.random_effects,
        )

    @property
    def laws(self) -> LawsToLearn | None:
        """The law that engines are told to learn; None for Cauchy's."""
        if self.law == "cauchy":
            return None
        space, law = self.space, self.effects
        if law.parts:
            return LawsToLearn(replace(space, families=(self.law,) * space.n_scales))
        without = replace(space, shrunken=(), scale_of=(), families=())
        if law.learnt is not None:
            return LawsToLearn(without, dict.fromkeys(space.shrunken, law.learnt.scale))
        return LawsToLearn(replace(without, mixtures=tuple((k, law.known) for k in space.shrunken)))


VARIANTS = (Variant(True, True), Variant(False, False), Variant(False, True), Variant(False, True))
"""Taken in turn: half of the data sets are of the default model."""


@dataclass(frozen=True, eq=False)
class Experiment:
    """A data set with its truth.

    Attributes
    ----------
    variant : Variant
    model : ConditionalModel
        At the true hyperparameters.
    phi : dict of str to float
        The true hyperparameters, by the names of `Hyperparameters.draws`.
    theta : ndarray (gene, P + 1)
        The true coefficients, log standard deviations of random effects and log dispersions, natural log.
    """

    variant: Variant
    model: ConditionalModel
    phi: dict[str, float]
    theta: np.ndarray

    @property
    def guess(self) -> Hyperparameters:
        """Where searches for the hyperparameters start: the priors' medians."""
        return Hyperparameters(
            shrinkage_scale=dict.fromkeys(COEFFICIENTS[1:], PRIORS.shrinkage_scale.median),
            dispersion_sd=PRIORS.dispersion_sd.median,
            asymptotic_dispersion=PRIORS.asymptotic_dispersion.median,
            extra_poisson=PRIORS.extra_poisson.median if self.variant.trend else 0.0,
            residuals="student_t" if self.variant.student_t else "normal",
            nu=10.0 if self.variant.student_t else None,
            **_laws_of_random_effects(
                self.variant.samples, PRIORS.random_effect_sd.median, PRIORS.random_effect_sd_spread.median
            ),
        )

    @property
    def model_at_guess(self) -> ConditionalModel:
        """The model at the guessed hyperparameters: it knows nothing of the truth."""
        guess, model = self.guess, self.model
        scale = np.where(model.shrunken, PRIORS.shrinkage_scale.median, 1.0)
        random = model.random
        if random is not None:
            center = np.full_like(random.center, PRIORS.random_effect_sd.log_median)
            spread = np.full_like(random.spread, PRIORS.random_effect_sd_spread.median)
            random = replace(random, center=center, spread=spread)
        return replace(
            model,
            shrinkage_scale=scale,
            log_trend=guess.log_trend(model.base_mean),
            dispersion_sd=guess.dispersion_sd,
            nu=guess.degrees_of_freedom,
            random=random,
        )

    def estimates(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return rough coefficients, their standard errors and log dispersions, to start methods from.

        Least squares of log((y + 1/2) / nf), the guessed trend, and Fisher's information there.
        """
        model, x = self.model, self.variant.samples.x
        log_dispersion = self.guess.log_trend(model.base_mean)
        beta = (np.log(model.y + 0.5) - model.log_nf) @ np.linalg.pinv(x).T
        mu = np.exp(beta @ x.T + model.log_nf)
        weight = mu / (1.0 + np.exp(log_dispersion)[:, None] * mu)
        information = np.einsum("gj,jk,jm->gkm", weight, x, x)
        information += np.eye(x.shape[1]) / PRIORS.unshrunken_sd**2
        errors = np.sqrt(np.diagonal(np.linalg.inv(information), axis1=1, axis2=2))
        if model.random is not None:
            beta, log_dispersion = start_of_random_effects(self.guess, beta, log_dispersion, log_dispersion)
        return beta, errors, log_dispersion


def draw_experiment(
    number: int, n_genes: int, seed: int, law: str = "cauchy", design: str = "fixed"
) -> Experiment:
    """Draw a data set.

    Parameters
    ----------
    number : int
        The same number, seed and size give the same data set.
    n_genes : int
    seed : int
    law : str
        Of the effects, in `LAWS`.
    design : str
        Of the samples, in `DESIGNS`.

    Returns
    -------
    Experiment
    """
    rng = np.random.default_rng([seed, number])
    variant = replace(VARIANTS[number % len(VARIANTS)], law=law, design=design)
    while True:
        experiment = _attempt(variant, n_genes, rng)
        if experiment.model.y.max() <= LARGEST_COUNT:
            return experiment


def _attempt(variant: Variant, n_genes: int, rng: np.random.Generator) -> Experiment:
    phi = _hyperparameters(variant, rng)
    base_mean = MEDIAN_BASE_MEAN * np.exp(BASE_MEAN_SD * rng.standard_normal(n_genes))
    log_trend = np.log(phi["asymptotic_dispersion"] + phi.get("extra_poisson", 0.0) / base_mean)
    nu = phi.get("nu", math.inf)
    residual = rng.standard_t(nu, n_genes) if variant.student_t else rng.standard_normal(n_genes)
    level = PRIORS.unshrunken_sd * rng.standard_normal((n_genes, 1))
    beta = np.hstack([level, variant.effects.effects(rng, n_genes, COEFFICIENTS[1:], phi)])
    samples, log_dispersion = variant.samples, log_trend + phi["dispersion_sd"] * residual
    factors = math.log(LEVEL) + FACTOR_SD * rng.standard_normal(len(samples.x))
    log_nf = np.tile(factors, (n_genes, 1))
    log_sds, moved = _random_effects(samples, n_genes, phi, rng)
    model = ConditionalModel(
        y=_counts(beta @ samples.x.T + moved + log_nf, log_dispersion, rng),
        log_nf=log_nf,
        x=samples.x,
        base_mean=base_mean,
        log_trend=log_trend,
        shrunken=np.array([False, True, True]),
        shrinkage_scale=_by_coefficient(phi, SCALE),
        effect_df=_by_coefficient(phi, EFFECT_NU) if EFFECT_NU in variant.effects.parts else None,
        dispersion_sd=phi["dispersion_sd"],
        nu=nu,
        unshrunken_sd=PRIORS.unshrunken_sd,
    )
    experiment = Experiment(variant, model, phi, np.column_stack([beta, log_sds, log_dispersion]))
    if not samples.groupings:
        return experiment
    laws = {name: _by_random_effect(samples, phi, name) for name in (RANDOM_SD, RANDOM_SPREAD)}
    model = with_random_effects(model, samples.groupings, replace(experiment.guess, **laws))
    return replace(experiment, model=model)


def _random_effects(
    samples: SampleDesign, n_genes: int, phi: dict[str, float], rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Draw log standard deviations (gene, random effect), and sums of the effects of every sample."""
    log_sds, moved = [np.empty((n_genes, 0))], np.zeros((n_genes, len(samples.x)))
    for one in samples.groupings:
        for name, z in zip(one.sd_names, one.columns.T, strict=True):
            median, spread = (phi[effect_name(part, name)] for part in (RANDOM_SD, RANDOM_SPREAD))
            log_sd = math.log(median) + spread * rng.standard_normal((n_genes, 1))
            effects = np.exp(log_sd) * rng.standard_normal((n_genes, one.n_levels))
            log_sds.append(log_sd)
            moved += effects[:, one.level] * z
    return np.hstack(log_sds), moved


def _by_random_effect(samples: SampleDesign, phi: dict[str, float], part: str) -> dict[str, float]:
    return {name: phi[effect_name(part, name)] for name in samples.random_effects}


def _laws_of_random_effects(
    samples: SampleDesign, median: float, spread: float
) -> dict[str, dict[str, float]]:
    """Return one law for all random effects, as arguments of `Hyperparameters`."""
    names = samples.random_effects
    return {RANDOM_SD: dict.fromkeys(names, median), RANDOM_SPREAD: dict.fromkeys(names, spread)}


def _by_coefficient(phi: dict[str, float], part: str) -> np.ndarray:
    """Return a part of the effects' laws (coefficient,); 1 where there is none."""
    return np.array([phi.get(effect_name(part, name), 1.0) for name in COEFFICIENTS])


def _hyperparameters(variant: Variant, rng: np.random.Generator) -> dict[str, float]:
    """Draw phi from its priors."""
    phi = {}
    for name in variant.names:
        part = effect_part(name) or random_part(name)
        prior = getattr(PRIORS, name if part is None else part[0])
        phi[name] = float(prior.draw(rng, 1)[0])
    return phi


def _counts(log_mean: np.ndarray, log_dispersion: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Draw counts (gene, sample): Poisson with a Gamma mean; rates are cut far above `LARGEST_COUNT`."""
    alpha = np.exp(log_dispersion)[:, None]
    shape = np.broadcast_to(1.0 / alpha, log_mean.shape)
    with np.errstate(divide="ignore"):
        log_rate = np.log(rng.gamma(shape) * alpha) + log_mean
    return rng.poisson(np.exp(np.minimum(log_rate, math.log(1e12)))).astype(np.int64)
