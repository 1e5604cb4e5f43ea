r"""A posterior under other priors, by reweighting its draws instead of sampling again.

A gene's draws theta_m have weights  w_m(phi) = r_m p(theta_m | phi),  r_m = p(y | theta_m) / q(theta_m), of
which r_m does not depend on the hyperparameters phi. The posterior of phi is a set of points phi_s; under
other priors of phi they have the weights v_s, and the gene's draws the weights w_m:

    v_s = p_new(phi_s) / p_old(phi_s),      w_m = sum_s v_s w_m(phi_s) / sum_m w_m(phi_s).

Both are smoothed, and checked by their Pareto k and effective number, as any importance weights are. Where
few effective points are left, others are found from the marginal likelihood, which the same draws give; that
takes all the genes from which the hyperparameters were learnt.

Draws of chains come from the posterior, q(theta) ~ p(y | theta) sum_s v_s p(theta | phi_s) / Z_s with
Z_s = p(y | phi_s), so that

    r_m = 1 / sum_s v_s p(theta_m | phi_s) / Z_s,      Z_s = mean_m r_m p(theta_m | phi_s),

which is solved by iteration (Shirts and Chodera 2008, doi:10.1063/1.2978177, with one set of draws).
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd

from bayesde.errors import FitError, InputError, first_few
from bayesde.model.hyperparameter_space import HyperparameterSpace
from bayesde.model.hyperparameters import Hyperparameters
from bayesde.model.priors import Priors
from bayesde.numerics.small_matrices import weighted_mean
from bayesde.posterior.data import PosteriorData, PosteriorT
from bayesde.posterior.draws.gene_draws import GeneDraws
from bayesde.posterior.draws.pareto_smoothing import MAX_K, effective_size, smoothed
from bayesde.posterior.hyper.hyperparameter_posterior import HyperparameterPosterior
from bayesde.posterior.hyper.marginal_likelihood import MarginalLikelihood, gene_weights, with_mixtures
from bayesde.posterior.hyper.maximum import maximize
from bayesde.posterior.hyper.sampling import sample_hyperparameters
from bayesde.posterior.importance.sampler import SMALLEST_SIZE
from bayesde.posterior.left_out_counts import kept_means
from bayesde.posterior.summaries.one_contrast import importance_status

__all__ = ["chains_log_ratio", "hyper_points", "reweighted"]


MOST_POINTS = 200
"""Points of the hyperparameters that weights are averaged over, evenly from those there are."""
ENOUGH_POINTS, FEWEST_POINTS = 50.0, 10.0
"""Effective points below which others are searched for; and those needed where none can be found."""
FEWEST_NEW = 32
GENES_AT_A_TIME = 500
MOST_ROUNDS, SETTLED = 100, 1e-3
"""Of the iteration for draws of chains, which ends when no log ratio changes by more."""
EVEN = 1e-9
"""Weights that differ by less, of their size, are equal, and have no tail."""


def reweighted(
    posterior: PosteriorT,
    *,
    priors: Priors | None = None,
    hyperparameters: Hyperparameters | None = None,
) -> PosteriorT:
    """Reweight the draws of a posterior, under other priors or under given hyperparameters.

    Parameters
    ----------
    posterior : PosteriorData
        Of any engine.
    priors : Priors, optional
        By default those of the fit.
    hyperparameters : Hyperparameters, optional
        Fixed values, or draws to average over, in place of their posterior.

    Returns
    -------
    PosteriorData
        Of the type given, with the same draws of the genes, other weights, hyperparameters, ``pareto_k`` and
        ``status``.

    Raises
    ------
    InputError
        If other coefficients are shrunken than before, or can be exactly zero; priors are given for fixed
        hyperparameters; or counts were left out.
    FitError
        If the draws have too little information on the hyperparameters under these priors.
    """
    if posterior.left_out is not None:
        raise InputError(
            "counts were left out of this posterior, and the dispersion trend of their genes is evaluated at "
            "other means; reweight the posterior with all counts, and then leave counts out "
            "(without_outliers)."
        )
    request, known = posterior.request, posterior.hyperparameters
    new = replace(request, priors=priors or request.priors)
    if hyperparameters is not None:
        points, hyper = _given(posterior, hyperparameters), hyperparameters
        new = replace(new, hyperparameters=hyper, learning=False)
    else:
        points, hyper = _under(posterior, new.priors), known
        if known.draws:
            summary = points.summary(np.random.default_rng(request.seed))
            hyper = replace(summary, source=known.source)
    genes, pareto_k = _weighed(posterior, points, new.priors.unshrunken_sd)
    diagnostics = _judged(posterior, genes, pareto_k)
    return replace(
        posterior,
        gene_draws=genes,
        hyperparameters=hyper,
        diagnostics=diagnostics,
        request=new,
        shared={},
        statistics={},
    )


def hyper_points(posterior: PosteriorData) -> HyperparameterPosterior:
    """Return the posterior of the hyperparameters as points, each once; one point where they are fixed.

    Parameters
    ----------
    posterior : PosteriorData

    Returns
    -------
    HyperparameterPosterior
    """
    space = posterior.request.space_of(posterior.hyperparameters)
    phi = space.phi_of(posterior.hyperparameters)
    used = np.linspace(0, len(phi) - 1, min(len(phi), MOST_POINTS)).astype(int)
    phi, times = np.unique(phi[used], axis=0, return_counts=True)
    return HyperparameterPosterior(space, phi, times / times.sum())


def _given(posterior: PosteriorData, hyper: Hyperparameters) -> HyperparameterPosterior:
    """Return given hyperparameters as points."""
    known = posterior.hyperparameters
    if set(hyper.shrinkage_scale) != set(known.shrinkage_scale):
        raise InputError(
            f"hyperparameters: {first_few(hyper.shrinkage_scale, 20) or 'nothing'} would be shrunken, but "
            f"the draws were made with {first_few(known.shrinkage_scale, 20) or 'nothing'} shrunken; sample "
            "again."
        )
    given, drawn_with = (first_few(one.random_effect_sd) or "nothing" for one in (hyper, known))
    if set(hyper.random_effect_sd) != set(known.random_effect_sd):
        raise InputError(
            f"hyperparameters: random_effect_sd is of {given}, but the draws were made with {drawn_with}; "
            "sample again."
        )
    space = HyperparameterSpace.of(posterior.coding.coefficients, hyper, posterior.request.priors)
    before = posterior.request.space_of(known)
    if space.atoms != before.atoms:
        asked, drawn = (
            first_few([space.coefficients[k] for k in one.atoms], 20) or "no effect"
            for one in (space, before)
        )
        raise InputError(
            f"hyperparameters: {asked} could be exactly zero, but the draws were made for a law under which "
            f"{drawn} can be; use with_effects, or sample again."
        )
    return HyperparameterPosterior.fixed(space, hyper, MOST_POINTS)


def _under(posterior: PosteriorData, priors: Priors) -> HyperparameterPosterior:
    """Return the posterior of the hyperparameters under other priors."""
    before = hyper_points(posterior)
    if replace(priors, unshrunken_sd=before.space.priors.unshrunken_sd) == before.space.priors:
        return before
    if not posterior.request.learning:
        raise InputError(
            "priors: the hyperparameters of this posterior are fixed, and have no prior; give other values "
            "as `hyperparameters`, or fit with hyperparameters=None, so that they are learnt."
        )
    space = replace(before.space, priors=priors)
    psi = space.psi(before.phi)
    change = np.array([space.log_prior(one)[0] - before.space.log_prior(one)[0] for one in psi])
    weights = before.weight * np.exp(change - change.max())
    points = HyperparameterPosterior(space, before.phi, weights / weights.sum())
    if _are_enough(points, before, ENOUGH_POINTS):
        return points
    if posterior.request.rows.size == posterior.request.everyone.size:
        return _explored(posterior, points, before)
    if _are_enough(points, before, FEWEST_POINTS):
        return points
    raise FitError(
        f"of {before.weight.size} points of the hyperparameters {points.effective_size:.1f} effective ones "
        "are left under these priors, and others cannot be found without the draws of all genes; fit again "
        "with these priors."
    )


def _are_enough(points: HyperparameterPosterior, before: HyperparameterPosterior, least: float) -> bool:
    """Tell whether points that were made under other priors may stand for these."""
    if points.effective_size < min(least, 0.5 * before.effective_size):
        return False
    return points.checks.get("pareto_k", 0.0) <= MAX_K


def _explored(
    posterior: PosteriorData, points: HyperparameterPosterior, before: HyperparameterPosterior
) -> HyperparameterPosterior:
    """Search for the posterior of the hyperparameters, by the marginal likelihood of the same draws."""
    request, draws = posterior.request, posterior.gene_draws
    log_ratio = np.concatenate([_log_ratio(posterior, rows, before) for rows in _chunks(draws.n_genes)])
    theta = np.asarray(draws.theta, dtype=np.float32)
    log_ratio = with_mixtures(points.space, theta, log_ratio)
    base_mean = _base_mean(posterior)  # ratios are relative to a maximum that is neither known nor needed
    likelihood = MarginalLikelihood(
        points.space, base_mean, theta, log_ratio.astype(np.float32), np.zeros(base_mean.size)
    )
    start = points.space.psi(weighted_mean(points.weight, points.phi))
    center = maximize(likelihood, start)
    rng = np.random.default_rng(request.seed)
    return sample_hyperparameters(likelihood, center, max(FEWEST_NEW, before.weight.size), rng)


def _base_mean(posterior: PosteriorData) -> np.ndarray:
    """Return the means at which the sampled genes' dispersion trend is evaluated."""
    mean = posterior.eb.base_mean[posterior.request.rows]
    left_out = posterior.left_out_mask
    genes = np.flatnonzero(left_out.any(axis=1))
    if genes.size:
        mean[genes] = kept_means(posterior.observed(genes), left_out[genes])
    return mean


def _chunks(n_genes: int) -> list[slice]:
    return [slice(at, min(at + GENES_AT_A_TIME, n_genes)) for at in range(0, n_genes, GENES_AT_A_TIME)]


def _log_ratio(posterior: PosteriorData, rows: slice, points: HyperparameterPosterior) -> np.ndarray:
    """Return ln p(y | theta) - ln q(theta) of some genes' draws, up to a constant of the gene."""
    draws = posterior.gene_draws
    engine = posterior.diagnostics["engine"].to_numpy()[posterior.request.rows[rows]]
    weighted = engine == "psis" if draws.log_ratio is not None else np.zeros(engine.size, dtype=bool)
    log_ratio = np.empty((engine.size, draws.n_draws))
    if draws.log_ratio is not None:
        log_ratio[weighted] = draws.log_ratio[rows][weighted]
    if not weighted.all():
        theta = np.asarray(draws.theta[rows][~weighted], dtype=np.float32)
        base_mean = _base_mean(posterior)[rows][~weighted]
        log_ratio[~weighted] = chains_log_ratio(theta, base_mean, points)
    return log_ratio


def chains_log_ratio(theta: np.ndarray, base_mean: np.ndarray, points: HyperparameterPosterior) -> np.ndarray:
    """Return what of the weights of chains' draws does not depend on the hyperparameters.

    Parameters
    ----------
    theta : ndarray of float32 (gene, draw, P + 1)
        From the genes' posterior with the hyperparameters averaged over the points.
    base_mean : ndarray (gene,)
    points : HyperparameterPosterior

    Returns
    -------
    ndarray (gene, draw)
        ln p(y | theta) - ln q(theta), up to a constant of the gene, as `GeneDraws.log_ratio` has it. NaN
        for a gene without draws.
    """
    log_ratio = np.zeros(theta.shape[:2])
    with np.errstate(divide="ignore", invalid="ignore"):
        for turn in range(MOST_ROUNDS):
            weights = gene_weights(points.space, base_mean, theta, log_ratio, points)
            change = np.log(weights * theta.shape[1])
            log_ratio -= change
            log_ratio -= np.median(log_ratio, axis=1, keepdims=True)
            if turn and not (np.abs(change) > SETTLED).any():
                break
    return log_ratio


def _weighed(
    posterior: PosteriorData, points: HyperparameterPosterior, unshrunken_sd: float
) -> tuple[GeneDraws, np.ndarray]:
    """Weigh all draws with the points of the hyperparameters; return them with each gene's Pareto k."""
    draws, before = posterior.gene_draws, hyper_points(posterior)
    log_weights, pareto_k = np.empty(draws.theta.shape[:2], dtype=np.float32), np.empty(draws.n_genes)
    log_ratio = np.empty_like(log_weights)
    wide, base_mean = _change_of_wide(posterior, unshrunken_sd), _base_mean(posterior)
    for rows in _chunks(draws.n_genes):
        theta = np.asarray(draws.theta[rows], dtype=np.float32)
        some = _log_ratio(posterior, rows, before) + wide[0] * (theta[:, :, wide[1]] ** 2).sum(axis=2)
        weights = gene_weights(points.space, base_mean[rows], theta, some, points)
        log_ratio[rows], (log_weights[rows], pareto_k[rows]) = some, _smoothed(weights)
    return replace(draws, log_weights=log_weights, log_ratio=log_ratio), pareto_k


def _change_of_wide(posterior: PosteriorData, sd: float) -> tuple[float, np.ndarray]:
    """Return by what the squares of coefficients that are not shrunken enter the log ratio, and which."""
    shrunken = posterior.hyperparameters.shrinkage_scale
    others = [k for k, name in enumerate(posterior.coding.coefficients) if name not in shrunken]
    before = posterior.request.priors.unshrunken_sd
    return 0.5 * (before**-2.0 - sd**-2.0), np.array(others, dtype=int)


def _smoothed(weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Smooth weights; those that are all equal have no tail, and a Pareto k of 0."""
    log_weights, pareto_k = smoothed(weights)
    even = np.ptp(weights, axis=1) <= EVEN * weights.max(axis=1)
    log_weights[even], pareto_k[even] = -np.log(weights.shape[1]), 0.0
    return log_weights, pareto_k


def _judged(posterior: PosteriorData, genes: GeneDraws, pareto_k: np.ndarray) -> pd.DataFrame:
    """Return the diagnostics under the new weights."""
    assert genes.log_weights is not None
    frame, rows = posterior.diagnostics.copy(), posterior.request.rows
    size = effective_size(genes.log_weights)
    weighted = (frame["engine"] == "psis").to_numpy()[rows]
    names = frame.index[rows]
    frame.loc[names, "pareto_k"] = pareto_k
    frame.loc[names[weighted], "ess"] = size[weighted]
    for name in ("ess_bulk", "ess_tail"):
        if name in frame and not weighted.all():
            frame.loc[names[~weighted], name] *= size[~weighted] / genes.n_draws
    smallest = SMALLEST_SIZE * posterior.request.draws
    anew = pd.Series(importance_status(frame, MAX_K, smallest), index=frame.index)
    kept = frame["status"]
    of_weights = (frame["engine"] == "psis") & kept.isin(["ok", "high_pareto_k", "low_ess"])
    too_far = ~of_weights & kept.isin(["ok", "outlier_left_out"]) & (frame["pareto_k"] > MAX_K)
    frame["status"] = kept.mask(of_weights, anew).mask(too_far, "high_pareto_k")
    return frame
