r"""Other laws of effects and residuals than a posterior was sampled with, from the same draws.

The draws of engine psis do not depend on the law of the effects, and for every draw
ln p(y | theta) / q(theta) is known. So the marginal likelihood of any law is an average of weights
(`bayesde.posterior.hyper.laws`), which is maximized to compare laws, and the genes' posterior under another
law is a matter of other weights. Laws with an atom at zero also need draws of which effects are zero; these
are added. Where levels are treated alike, a law may need another coding of the design, such as a mixture that
is learnt; then all genes are sampled again.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from bayesde.errors import InputError, OptionError
from bayesde.model.effect_laws import FAMILIES
from bayesde.model.hyperparameter_names import OF_RESIDUALS, effect_part
from bayesde.model.hyperparameters import Hyperparameters
from bayesde.posterior.data import PosteriorData, PosteriorT
from bayesde.posterior.draws.gene_draws import GeneDraws
from bayesde.posterior.draws.pareto_smoothing import MAX_K, effective_size, smoothed
from bayesde.posterior.engines import by_importance
from bayesde.posterior.hyper.hyperparameter_posterior import HyperparameterPosterior
from bayesde.posterior.hyper.laws import learn_laws, log_likelihood, with_zeros
from bayesde.posterior.hyper.learning import STAGES, number_of_points
from bayesde.posterior.hyper.marginal_likelihood import MarginalLikelihood, gene_weights
from bayesde.posterior.hyper.maximum import maximize
from bayesde.posterior.hyper.sampling import sample_hyperparameters
from bayesde.posterior.importance.engine import averaged_points
from bayesde.posterior.importance.sampler import SMALLEST_SIZE, draw_sample
from bayesde.posterior.progress import Progress, silent
from bayesde.posterior.proposal.genes import in_pieces, propose
from bayesde.posterior.proposal.patterns import Patterns, offset
from bayesde.posterior.queries.left_out import overwrite
from bayesde.posterior.request import Request, starting_values
from bayesde.posterior.summaries.one_contrast import importance_status

__all__ = ["compare_effects", "compare_residuals", "number_without_zeros", "with_effects"]

logger = logging.getLogger(__name__)

GENES_AT_A_TIME = 500


def compare_effects(
    posterior: PosteriorData, laws: Iterable[Any] = FAMILIES, *, progress: Progress | None = None
) -> pd.DataFrame:
    """Compare laws of the effects by the marginal likelihood of the counts.

    Parameters
    ----------
    posterior : PosteriorData
        Of engine psis, with hyperparameters learnt.
    laws : iterable
        Each as `SamplingOptions.effects` takes it; all by default.
    progress : callable, optional
        Called with (units done, units, text).

    Returns
    -------
    pandas.DataFrame (law,)
        The best one first: ``log_likelihood``, the log marginal likelihood at its maximum over the
        hyperparameters (up to a constant that is the same for all laws); ``difference`` from the best;
        ``parameters``, the number of hyperparameters and weights that are not 0, and the values of those of
        the effects by name.

    Raises
    ------
    InputError
        If the posterior is of another engine, of some genes only, or its hyperparameters were not learnt.
    FitError
        If the maximum of a law is not found.
    """
    return _compared(posterior, "effects", laws, progress)


def compare_residuals(
    posterior: PosteriorData, laws: Iterable[str] = tuple(OF_RESIDUALS), *, progress: Progress | None = None
) -> pd.DataFrame:
    """Compare laws of the residuals around the dispersion trend by the marginal likelihood of the counts.

    Parameters
    ----------
    posterior : PosteriorData
        Of engine psis, with hyperparameters learnt.
    laws : iterable of str
        Each as `SamplingOptions.residuals` takes it; all by default.
    progress : callable, optional
        Called with (units done, units, text).

    Returns
    -------
    pandas.DataFrame (law,)
        As of `compare_effects`, with the values of the residuals' hyperparameters. The law of the effects is
        that of the posterior.

    Raises
    ------
    InputError
        If the posterior is of another engine, of some genes only, or its hyperparameters were not learnt.
    FitError
        If the maximum of a law is not found.
    """
    return _compared(posterior, "residuals", laws, progress)


def _compared(
    posterior: PosteriorData, option: str, laws: Iterable[Any], progress: Progress | None
) -> pd.DataFrame:
    """Compare values of an option, ``effects`` or ``residuals``."""
    _check(posterior)
    chosen = list(laws)
    if not chosen:
        raise InputError(f"compare_{option}: the list of laws is empty; name at least one.")
    requests = {_name(law): _asking_for(posterior.request, **{option: law}) for law in chosen}
    report, rows = progress or silent, {}
    drawn = {} if _made_for_zero(posterior) else {posterior.coding.coefficients: posterior}
    for number, (name, request) in enumerate(requests.items()):
        report(number, len(requests), f"learning the law {name}")
        coefficients = request.coding.coefficients
        if coefficients not in drawn:
            drawn[coefficients] = _drawn_for(request, posterior)
        of_coding = drawn[coefficients]
        rows[name] = _row(of_coding, request, option)
        rows[name]["log_likelihood"] += _level(of_coding) - _level(posterior)
    report(len(requests), len(requests), "comparing the laws")
    table = pd.DataFrame.from_dict(rows, orient="index").rename_axis("law")
    table = table.sort_values("log_likelihood", ascending=False, kind="stable")
    table.insert(1, "difference", table["log_likelihood"] - table["log_likelihood"].max())
    return table


def with_effects(posterior: PosteriorT, effects: Any, *, progress: Progress | None = None) -> PosteriorT:
    """Return the posterior under another law of the effects, from the same draws.

    Parameters
    ----------
    posterior : PosteriorData
        Of engine psis, with hyperparameters learnt.
    effects : str, EffectMixture or mapping of str to these
        As `SamplingOptions.effects` takes it.
    progress : callable, optional
        Called with (units done, units, text).

    Returns
    -------
    PosteriorData
        Of the type given. Draws of which effects are zero are added where the law has an atom there; genes
        whose weights would be unreliable are sampled again.

    Raises
    ------
    InputError
        If the posterior is of another engine, of some genes only, or its hyperparameters were not learnt.
    FitError
        If the hyperparameters cannot be learnt.
    """
    _check(posterior)
    request, report_to = _asking_for(posterior.request, effects=effects), progress or silent
    posterior = _drawn_for(request, posterior)
    report_to(0, STAGES, "learning the law of the effects")
    raw, under, psi = _learnt(posterior, request)
    report_to(1, STAGES, "sampling the hyperparameters")
    rng = np.random.default_rng(request.seed)
    points = sample_hyperparameters(under, psi, number_of_points(under.base_mean.size), rng)
    hyper, averaged = points.summary(rng), averaged_points(points, under.base_mean.size)
    report_to(2, STAGES, "weighing the draws")
    draws, report = _weighed(raw, averaged)
    again = _unreliable(report, draws.n_draws)
    rows = np.flatnonzero(_weighted(posterior))
    everyone = _spread(draws, report, rows, posterior.gene_draws.n_genes)
    again = np.union1d(rows[again], np.setdiff1d(np.arange(posterior.gene_draws.n_genes), rows))
    report_to(3, STAGES, f"sampling {again.size:,} genes again")
    _sample_again(request, hyper, averaged, again, *everyone)
    report_to(STAGES, STAGES, "sampling")
    return replace(
        posterior,
        gene_draws=everyone[0],
        hyperparameters=hyper,
        diagnostics=_diagnostics(posterior, everyone[1], draws.n_draws),
        request=request,
    )


def _check(posterior: PosteriorData) -> None:
    """Refuse posteriors whose draws say nothing of other laws."""
    request = posterior.request
    if posterior.engine != "psis" or posterior.gene_draws.log_level is None:
        raise InputError(
            "other laws need the draws of engine psis; this posterior is of engine "
            f"'{posterior.engine}'. Fit again with engine='psis'."
        )
    if not request.learning:
        raise InputError(
            "the hyperparameters of this posterior are fixed, and so are its laws; fit with "
            "hyperparameters=None, so that they are learnt, or with others."
        )
    if request.rows.size < request.everyone.size:
        raise InputError("laws are learnt from all genes, and this posterior is of some; leave `genes` out.")
    if posterior.left_out is not None:
        raise InputError(
            "counts were left out of this posterior; change the law of the posterior with all counts, and "
            "then leave counts out (without_outliers)."
        )


def _name(law: Any) -> str:
    return law if isinstance(law, str) else str(law)


def _asking_for(request: Request, **law: Any) -> Request:
    """Return a request for another law."""
    try:
        options = replace(request.options, **law)
    except OptionError as error:
        raise InputError(str(error)) from None
    asked = replace(request, options=options)
    if options.coding == "levels" and "effects" in law:
        asked = replace(asked, hyperparameters=starting_values(request.fit, None, options))
    return asked


def _drawn_for(request: Request, posterior: PosteriorT) -> PosteriorT:
    """Return a posterior with draws of the coefficients that are asked for: a new one is under Cauchy's law.

    Genes that had been handed over count for no law.
    """
    if request.coding.coefficients == posterior.coding.coefficients and not _made_for_zero(posterior):
        return posterior
    logger.info("the law needs draws of other coefficients, or from other proposals: genes are sampled again")
    plain = replace(request, options=replace(request.options, effects="cauchy", hand_over=False))
    again = by_importance(plain)
    assert again.gene_draws.log_level is not None
    level = np.where(_weighted(posterior), again.gene_draws.log_level, np.nan)
    return replace(
        posterior,
        gene_draws=replace(again.gene_draws, log_level=level),
        hyperparameters=again.hyperparameters,
        diagnostics=again.diagnostics,
        request=again.request,
    )


def _made_for_zero(posterior: PosteriorData) -> bool:
    """Tell whether proposals were made for a law with zero, as they are where levels are treated alike."""
    return posterior.coding.has_levels and posterior.gene_draws.has_atoms and not posterior.request.references


def _level(posterior: PosteriorData) -> float:
    """Return what log marginal likelihoods of these draws are less by."""
    assert posterior.gene_draws.log_level is not None
    return float(np.nansum(posterior.gene_draws.log_level))


def _row(posterior: PosteriorData, request: Request, option: str) -> dict[str, Any]:
    """Return a row of the comparison."""
    _, under, psi = _learnt(posterior, request)
    space = under.space
    values = space.by_name(space.phi(psi))
    learnt = () if request.laws is None else request.laws.scales
    weights = sum(int((law.weight > 0.0).sum()) - 1 for k, law in space.mixtures if k in learnt)
    row = {"log_likelihood": log_likelihood(under, psi), "parameters": psi.size + weights}
    of_effects = option == "effects"
    shown = [name for name in values if (effect_part(name) is not None) == of_effects]
    return row | {name: float(values[name]) for name in shown}


def _learnt(
    posterior: PosteriorData, request: Request
) -> tuple[MarginalLikelihood, MarginalLikelihood, np.ndarray]:
    """Learn the law that is asked for; return the marginal likelihood before and after, and the maximum."""
    laws, plain = request.laws, replace(request, options=replace(request.options, effects="cauchy"))
    likelihood, start = _without_zeros(posterior, plain), _start(posterior.hyperparameters)
    if laws is None:
        return likelihood, likelihood, maximize(likelihood, plain.space.psi_of(start))
    if laws.atoms:
        rows = request.rows[_weighted(posterior)]
        pieces = in_pieces(request.start(rows), request.model(rows, start))
        likelihood, _ = with_zeros(likelihood, pieces, laws.atoms)
    return likelihood, *learn_laws(likelihood, laws, start)


def _start(hyper: Hyperparameters) -> Hyperparameters:
    """Return where the search for another law starts: the scales, as those of Cauchy's law."""
    return replace(
        hyper,
        effect_nu={},
        pi0={},
        mixtures={},
        sd={},
        draws={},
        checks={},
        residuals="normal",
        nu=None,
        wide_share=None,
        wide_ratio=None,
    )


def _weighted(posterior: PosteriorData) -> np.ndarray:
    """Return which of the sampled genes have weighted draws; the others come from chains."""
    assert posterior.gene_draws.log_level is not None
    return np.isfinite(posterior.gene_draws.log_level)


def _without_zeros(posterior: PosteriorData, request: Request) -> MarginalLikelihood:
    """Return the marginal likelihood of the draws without zeros, under Cauchy's law."""
    draws, laws = posterior.gene_draws, posterior.request.laws
    assert draws.log_ratio is not None
    assert draws.log_level is not None
    size = number_without_zeros(draws.theta, () if laws is None else laws.atoms)
    rows = _weighted(posterior)
    log_ratio = np.asarray(draws.log_ratio[rows, :size], dtype=np.float32) - offset(size, draws.n_draws)
    theta = np.asarray(draws.theta, dtype=np.float32)
    base_mean = posterior.eb.base_mean[posterior.request.rows[rows]]
    theta = np.ascontiguousarray(theta[rows, :size])
    return MarginalLikelihood(request.space, base_mean, theta, log_ratio, draws.log_level[rows])


def number_without_zeros(theta: np.ndarray, atoms: tuple[int, ...]) -> int:
    """Return how many draws have no zeros; they come first, and are as many for all genes.

    Parameters
    ----------
    theta : ndarray (gene, draw, P + 1)
    atoms : tuple of int
        The coefficients that may be zero.

    Returns
    -------
    int
    """
    zero = (np.asarray(theta[0])[:, list(atoms)] == 0.0).any(axis=1)
    return int(np.argmax(zero)) if zero.any() else zero.size


def _weighed(
    raw: MarginalLikelihood, points: HyperparameterPosterior
) -> tuple[GeneDraws, dict[str, np.ndarray]]:
    """Weigh the draws under the points of the hyperparameters."""
    n_genes = raw.base_mean.size
    log_weights, pareto_k = np.empty(raw.log_ratio.shape, dtype=np.float32), np.empty(n_genes)
    for at in range(0, n_genes, GENES_AT_A_TIME):
        rows = slice(at, at + GENES_AT_A_TIME)
        own = raw.base_mean[rows], raw.theta[rows], raw.log_ratio[rows]
        log_weights[rows], pareto_k[rows] = smoothed(gene_weights(points.space, *own, points))
    report = {"pareto_k": pareto_k, "ess": effective_size(log_weights), "attempts": np.ones(n_genes)}
    draws = GeneDraws(
        raw.theta, log_weights, raw.log_ratio, has_atoms=bool(points.space.atoms), log_level=raw.highest
    )
    return draws, report


def _unreliable(report: dict[str, np.ndarray], n_draws: int) -> np.ndarray:
    bad = ~(report["pareto_k"] <= MAX_K) | ~(report["ess"] >= SMALLEST_SIZE * n_draws)
    return np.flatnonzero(bad)


def _spread(
    draws: GeneDraws, report: dict[str, np.ndarray], rows: np.ndarray, n_genes: int
) -> tuple[GeneDraws, dict[str, np.ndarray]]:
    """Put draws of some genes among those of all."""
    if rows.size == n_genes:
        return draws, report

    def among_all(values: np.ndarray | None) -> np.ndarray:
        assert values is not None
        out = np.empty((n_genes, *values.shape[1:]), dtype=values.dtype)
        out[rows] = values
        return out

    everyone = replace(
        draws,
        theta=among_all(draws.theta),
        log_weights=among_all(draws.log_weights),
        log_ratio=among_all(draws.log_ratio),
        log_level=among_all(draws.log_level),
    )
    return everyone, {name: among_all(values) for name, values in report.items()}


def _sample_again(
    request: Request,
    hyper: Hyperparameters,
    points: HyperparameterPosterior,
    genes: np.ndarray,
    draws: GeneDraws,
    report: dict[str, np.ndarray],
) -> None:
    """Sample some genes again, and write what is found into draws and report."""
    if not genes.size:
        return
    rows = request.rows[genes]
    pieces = propose(request.start(rows), request.model(rows, hyper))
    sampled = draw_sample(pieces, points, draws.n_draws, patterns=Patterns.of(points.space.atoms))
    overwrite(draws, genes, sampled.draws)
    for name, values in sampled.report.items():
        report[name][genes] = values


def _diagnostics(posterior: PosteriorData, report: dict[str, np.ndarray], n_draws: int) -> pd.DataFrame:
    """Return the diagnostics of all genes, as engine psis gives them."""
    frame = posterior.diagnostics[["sampled", "all_zero"]].copy()
    for place, name in enumerate(report):
        values = np.full(len(frame), np.nan)
        values[frame["sampled"].to_numpy()] = report[name]
        frame.insert(place, name, values)
    frame["engine"] = "psis"
    frame["status"] = importance_status(frame, MAX_K, SMALLEST_SIZE * n_draws)
    frame.loc[posterior.eb.emptied, "status"] = "count_outlier"
    return frame
