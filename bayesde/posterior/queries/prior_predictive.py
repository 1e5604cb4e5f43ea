r"""Prior predictive distribution: hyperparameters, genes and counts drawn from the priors.

    phi ~ p(phi),     beta_gk ~ Cauchy(0, S_k),     ln alpha_g ~ Normal or Student-t(nu) around the trend,
    y_gj ~ NB(mean = nf_gj m_g exp(x_j . beta_g) / mean_i exp(x_i . beta_g), dispersion = alpha_g)

with any other law of the effects (`bayesde.model.effect_laws`) in the place of Cauchy's, and the levels of
factors treated alike as in a posterior (`bayesde.design.codings.level_coding`). Random effects of levels d,
if there are any, are added to x_j . beta_g:

    z_j u_gd,     u_gd ~ Normal(0, tau_g^2),     ln tau_g ~ Normal(m, s),     (m, s) ~ p

Base means m_g,
design and normalization factors are those of an experiment, as the model takes them for known. Whole data
sets are drawn (Gabry, Simpson, Vehtari, Betancourt and Gelman 2019, doi:10.1111/rssa.12378): quantities of
real data sets should lie well within the range of the drawn ones.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import logsumexp

from bayesde.design import Coding, Design
from bayesde.design.as_design import as_design
from bayesde.design.codings.level_coding import coding_by_levels
from bayesde.design.random_effects import Grouping
from bayesde.eb.fit import EbFit
from bayesde.errors import InputError
from bayesde.model.effect_laws import FAMILIES, WITH_NU, WITH_NULL, EffectMixture
from bayesde.model.effect_prior import random_effects
from bayesde.model.hyperparameter_names import (
    EFFECT_NU,
    OF_RANDOM_EFFECTS,
    PI0,
    RANDOM_SD,
    RANDOM_SPREAD,
    SCALE,
    WIDE_RATIO,
    WIDE_SHARE,
    effect_name,
)
from bayesde.model.priors import Priors
from bayesde.options import check_whole
from bayesde.posterior.codings.integrated_levels import factor_to_integrate, full_coding
from bayesde.posterior.effect_choice import chosen_laws, kept_by_reference
from bayesde.posterior.options import SamplingOptions

__all__ = ["PriorPredictive", "as_observed", "prior_predictive"]

LARGEST_RATE, LARGEST_RESIDUAL = 1e15, 100.0
"""Of counts and of log dispersions around the trend that are drawn, so that nothing overflows."""
MOST_REPLICATES = 10
WELL_MEASURED = 0.25
"""Standard error, log2, up to which an estimated fold change is taken for the effect."""


@dataclass(frozen=True, eq=False)
class PriorPredictive:
    """Data sets: from the priors, or a real one in the same form.

    Attributes
    ----------
    hyperparameters : pandas.DataFrame (data set, hyperparameter)
        ``shrinkage_scale`` of the last coefficient or of its term, ``dispersion_sd``,
        ``asymptotic_dispersion``, ``extra_poisson`` and ``nu``; natural-log units. Also ``effect_nu`` and
        ``pi0`` of the last coefficient, if its law has them; a known mixture has none of the three.
        ``random_effect_sd[donor]`` and ``random_effect_sd_spread[donor]`` are the median of the standard
        deviations of random effects, and their spread.
    base_mean : ndarray (gene,)
    log2_fold_change : ndarray (data set, gene)
        Of the design's last coefficient; NaN where a real one is not well measured.
    dispersion : ndarray (data set, gene)
    replicate_ratio : ndarray (data set, gene)
        Larger over smaller normalized count, 0.5 added to both, of two replicates: the geometric mean over
        neighbors among those of one condition. Without replicates they are samples that have the same value
        of the last coefficient.
    name : str
    """

    hyperparameters: pd.DataFrame
    base_mean: np.ndarray
    log2_fold_change: np.ndarray
    dispersion: np.ndarray
    replicate_ratio: np.ndarray
    name: str = "prior"


def prior_predictive(
    fit: EbFit,
    priors: Priors | None = None,
    *,
    design: str | Design | None = None,
    data_sets: int = 300,
    genes: int = 500,
    seed: int = 1,
    options: SamplingOptions | None = None,
) -> PriorPredictive:
    """Draw data sets from the priors.

    Parameters
    ----------
    fit : EbFit
        Of the experiment whose design, base means and normalization factors are taken.
    priors : Priors, optional
    design : str or Design, optional
        That of the fit with random effects, such as ``"~ condition + (1 | donor)"``.
    data_sets : int
    genes : int
        Of each data set: at equal steps of the rank of the base mean.
    seed : int
    options : SamplingOptions, optional
        Of which ``effects``, ``residuals``, ``trend`` and ``coding`` are used. The weights of the law
        ``"mixture"`` have no prior to be drawn from: give an `EffectMixture`.

    Returns
    -------
    PriorPredictive

    Raises
    ------
    InputError
        If the design has no effects that are shrunken, or its fixed effects are not those of the fit; or a
        law is that of a mixture whose weights are to be learnt, or of a coefficient that is not there.
    OptionError
        If an argument has a value that is not allowed.
    """
    check_whole("data_sets", data_sets, 1, 10**6)
    check_whole("genes", genes, 1, 10**6)
    options = options or SamplingOptions()
    rows, rng = _rows(fit, genes), np.random.default_rng(seed)
    groupings = _groupings(fit, design)
    integrated = None if groupings else factor_to_integrate(fit.design, options, None)
    coding, columns = _effects(fit.design, options, integrated)
    laws = _laws(coding, columns, options.effects, integrated)
    names = [coding.coefficients[k] for k in columns]
    phi = _hyperparameters(priors or Priors(), data_sets, laws, names, rng)
    if options.residuals == "two_normals":
        phi |= {
            name: getattr(priors or Priors(), name).draw(rng, data_sets) for name in (WIDE_SHARE, WIDE_RATIO)
        }
    phi |= _of_random_effects(priors or Priors(), data_sets, groupings, rng)
    base_mean, factors = fit.base_mean[rows], fit.normalization_factors[rows]
    shape = (data_sets, rows.size)
    lfc, dispersion, ratio = np.empty(shape), np.empty(shape), np.empty(shape)
    last = coding.vector(np.eye(fit.design.n_coefficients)[-1])
    for s in range(data_sets):
        one = {name: values[s] for name, values in phi.items()}
        one |= {"nu": math.inf} if options.residuals != "student_t" else {}
        one |= {"extra_poisson": 0.0} if options.trend == "constant" else {}
        beta, dispersion[s] = _genes(one, laws, base_mean, rng)
        eta = beta @ coding.matrix[:, columns].T + _added(one, groupings, rows.size, rng)
        mean = base_mean[:, None] * _relative_means(eta)
        counts = _counts(mean * factors, dispersion[s], rng)
        lfc[s] = beta @ last[columns] / math.log(2.0)
        ratio[s] = _replicate_ratio(counts / factors, fit.design)
    return PriorPredictive(_table(phi, laws[-1]), base_mean, lfc, dispersion, ratio)


def as_observed(fit: EbFit, name: str) -> PriorPredictive:
    """Return the same quantities of a real data set.

    Parameters
    ----------
    fit : EbFit
    name : str

    Returns
    -------
    PriorPredictive
        Maximum-likelihood fold changes of standard error up to 0.25, shrunken dispersions (those gene by gene
        scatter by their own errors), and the hyperparameters of the empirical-Bayes fit.
    """
    rows, last = np.flatnonzero(fit.estimated), fit.design.coefficients[-1]
    effect = fit.beta[rows, -1] / math.log(2.0)
    measured = fit.beta_se[rows, -1] <= WELL_MEASURED * math.log(2.0)
    normalized = fit.counts.rows(rows) / fit.normalization_factors[rows]
    shared = {
        "shrinkage_scale": fit.shrinkage_scales().get(last, math.nan),
        "dispersion_sd": math.sqrt(fit.dispersion_prior_var),
        "asymptotic_dispersion": float(fit.trend.asymptotic_dispersion),
        "extra_poisson": float(fit.trend.extra_poisson),
    }
    return PriorPredictive(
        pd.DataFrame(shared, index=[0]),
        fit.base_mean[rows],
        np.where(measured, effect, math.nan)[None],
        fit.dispersion[rows][None],
        _replicate_ratio(normalized, fit.design)[None],
        name,
    )


def _rows(fit: EbFit, genes: int) -> np.ndarray:
    """Choose genes at equal steps of the rank of the base mean."""
    rows = np.flatnonzero(fit.estimated)
    order = rows[np.argsort(fit.base_mean[rows], kind="stable")]
    return order[np.linspace(0, order.size - 1, min(genes, order.size)).astype(int)]


def _effects(design: Design, options: SamplingOptions, integrated: str | None) -> tuple[Coding, list[int]]:
    """Return the coefficients of the model, those of all levels among them, and which are effects."""
    full = None if integrated is None else full_coding(design, integrated, None, options)
    if full is not None:
        coding = full
    elif options.coding != "treatment":
        coding = coding_by_levels(design, None, kept_by_reference(design, options.effects))
    else:
        coding = Coding.of(design)
    if coding.has_levels:
        return coding, np.flatnonzero(coding.order > 0).tolist()
    if not design.has_intercept or design.n_coefficients < 2:
        raise InputError(
            f"the design '{design.formula}' has no intercept with effects beside it, so there is no fold "
            "change to draw; use a design such as '~ condition'."
        )
    return coding, [k for k in range(design.n_coefficients) if k != design.intercept]


def _laws(coding: Coding, columns: list[int], effects: Any, integrated: str | None) -> list[Any]:
    """Return the law of every effect; that of levels that are integrated out is Cauchy's."""
    levels = () if integrated is None else coding.terms[integrated]
    chosen = chosen_laws(coding, tuple(columns), effects)
    laws = ["cauchy" if k in levels else law for k, law in chosen.items()]
    if any(isinstance(law, str) and law == "mixture" for law in laws):
        raise InputError(
            "effects: the weights of 'mixture' are estimated from the counts, and have no prior from which "
            "they could be drawn; give an EffectMixture, such as one of a fit's hyperparameters.mixtures."
        )
    return laws


def _hyperparameters(
    priors: Priors, size: int, laws: list[Any], effects: list[str], rng: np.random.Generator
) -> dict[str, np.ndarray]:
    """Draw the hyperparameters: (data set, effect) of those of effects, (data set,) of the others.

    Effects of one name, the levels of a factor, have the same.
    """
    first = [effects.index(name) for name in effects]

    def of_effects(name: str) -> np.ndarray:
        drawn = getattr(priors, name).draw(rng, size * len(laws)).reshape(size, len(laws))
        return np.asarray(drawn[:, first])

    names = ("dispersion_sd", "asymptotic_dispersion", "extra_poisson", "nu")
    phi = {SCALE: of_effects(SCALE)} | {name: getattr(priors, name).draw(rng, size) for name in names}
    if any(isinstance(law, str) and law in WITH_NU for law in laws):
        phi |= {EFFECT_NU: of_effects(EFFECT_NU), PI0: of_effects(PI0)}
        for k, law in enumerate(laws):
            if law not in WITH_NU:
                phi[EFFECT_NU][:, k] = 1.0
            if law not in WITH_NULL:
                phi[PI0][:, k] = 0.0
    return phi


def _table(phi: dict[str, np.ndarray], law: Any) -> pd.DataFrame:
    """Tabulate the hyperparameters that there are, of the effects those of the last one."""
    known = {SCALE: FAMILIES, EFFECT_NU: WITH_NU, PI0: WITH_NULL}
    columns = {
        name: values[:, -1] if name in known else values
        for name, values in phi.items()
        if name not in known or (isinstance(law, str) and law in known[name])
    }
    return pd.DataFrame(columns)


def _genes(
    phi: dict[str, Any], laws: list[Any], base_mean: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Draw effects (gene, effect), natural log, and dispersions (gene,) of one data set."""
    size = base_mean.size
    beta = random_effects(rng, phi[SCALE], size, phi.get(EFFECT_NU), phi.get(PI0))
    for k, law in enumerate(laws):
        if isinstance(law, EffectMixture):
            beta[:, k] = law.draw(rng, size)
    z = rng.standard_normal(size) if math.isinf(phi["nu"]) else rng.standard_t(phi["nu"], size)
    if "wide_share" in phi:
        z = np.where(rng.random(size) < phi["wide_share"], phi["wide_ratio"] * z, z)
    trend = phi["asymptotic_dispersion"] + phi["extra_poisson"] / base_mean
    return beta, trend * np.exp(np.clip(phi["dispersion_sd"] * z, -LARGEST_RESIDUAL, LARGEST_RESIDUAL))


def _groupings(fit: EbFit, design: str | Design | None) -> tuple[Grouping, ...]:
    """Return the random effects of a design whose fixed effects are those of a fit."""
    if design is None:
        return ()
    whole = as_design(design, fit.counts)
    if not np.array_equal(whole.matrix, fit.design.matrix):
        raise InputError(
            f"design: the fixed effects of '{whole.formula}' are not those of the fit, "
            f"'{fit.design.formula}'; give the same ones, with the random effects beside them."
        )
    return whole.groupings


def _of_random_effects(
    priors: Priors, size: int, groupings: tuple[Grouping, ...], rng: np.random.Generator
) -> dict[str, np.ndarray]:
    """Draw the median and the spread of the standard deviations of every random effect (data set,)."""
    return {
        effect_name(kind, name): getattr(priors, kind).draw(rng, size)
        for grouping in groupings
        for name in grouping.sd_names
        for kind in OF_RANDOM_EFFECTS
    }


def _added(
    phi: dict[str, Any], groupings: tuple[Grouping, ...], n_genes: int, rng: np.random.Generator
) -> np.ndarray | float:
    """Draw what the random effects add to the log means (gene, sample) of one data set."""
    added: np.ndarray | float = 0.0
    for grouping in groupings:
        for name, column in zip(grouping.sd_names, grouping.columns.T, strict=True):
            median, spread = (phi[effect_name(kind, name)] for kind in (RANDOM_SD, RANDOM_SPREAD))
            sd = median * np.exp(np.minimum(spread * rng.standard_normal(n_genes), LARGEST_RESIDUAL))
            u = rng.standard_normal((n_genes, grouping.n_levels)) * sd[:, None]
            added = added + u[:, grouping.level] * column
    return added


def _relative_means(eta: np.ndarray) -> np.ndarray:
    """Return exp(eta) over its mean, (gene, sample): the intercept is what gives the base mean."""
    mean = logsumexp(eta, axis=1, keepdims=True) - math.log(eta.shape[1])
    return np.asarray(np.exp(eta - mean))


def _counts(mean: np.ndarray, dispersion: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Draw negative binomial counts (gene, sample), as a Poisson distribution whose mean is Gamma."""
    shape = np.maximum(1.0 / dispersion, 1e-12)[:, None]
    return rng.poisson(np.minimum(rng.gamma(shape, mean / shape), LARGEST_RATE))


def _replicate_ratio(normalized: np.ndarray, design: Design) -> np.ndarray:
    """Return the mean ratio of two samples of one condition (gene,)."""
    group = np.unique(design.matrix, axis=0, return_inverse=True)[1]
    if np.bincount(group).max() == 1:  # no replicates: samples that agree in what the fold change is of
        group = np.unique(design.matrix[:, -1], return_inverse=True)[1]
    some = np.flatnonzero(group == np.bincount(group).argmax())[:MOST_REPLICATES]
    gaps = np.abs(np.diff(np.log(normalized[:, some] + 0.5), axis=1))
    return np.asarray(np.exp(gaps.mean(axis=1)))
