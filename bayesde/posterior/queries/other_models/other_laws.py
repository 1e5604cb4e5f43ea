r"""Other laws of effects and residuals than a posterior was sampled with, from the same draws.

The draws of engine psis do not depend on the law of the effects, and for every draw
ln p(y | theta) / q(theta) is known. So the marginal likelihood of any law is an average of weights
(`bayesde.posterior.hyper.laws`), which is maximized to compare laws, and the genes' posterior under another
law is a matter of other weights.

Laws with an atom at zero also need draws of which effects are zero. These are added to learn the law; once
its probabilities of zero are known, all draws are divided by them and made again, as where a posterior is
sampled under the law. A posterior under such a law has too few draws without zeros to learn other laws from,
and these are made again, too. Where levels are treated alike, a law may need another coding of the design,
such as a mixture that is learnt; then it is learnt from draws of those coefficients.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd

from bayesde.errors import InputError, OptionError
from bayesde.model.effect_laws import FAMILIES
from bayesde.model.hyperparameter_names import OF_RANDOM_EFFECTS, OF_RESIDUALS, effect_part
from bayesde.model.hyperparameters import Hyperparameters
from bayesde.posterior.codings.starting_values import starting_values
from bayesde.posterior.data import PosteriorData, PosteriorT
from bayesde.posterior.draws.gene_draws import GeneDraws
from bayesde.posterior.draws.pareto_smoothing import MAX_K, effective_size, smoothed
from bayesde.posterior.hyper.evidence_error import bias_of_logs, error_of_difference
from bayesde.posterior.hyper.hyperparameter_posterior import HyperparameterPosterior
from bayesde.posterior.hyper.laws import learn_laws, log_likelihood, with_mean_weights, with_zeros
from bayesde.posterior.hyper.learning import STAGES, number_of_points, settled
from bayesde.posterior.hyper.marginal_likelihood import MarginalLikelihood, gene_weights
from bayesde.posterior.hyper.maximum import maximize
from bayesde.posterior.hyper.sampling import sample_hyperparameters
from bayesde.posterior.importance.engine import averaged_points, sample_given
from bayesde.posterior.importance.sampler import SMALLEST_SIZE, ImportanceSample
from bayesde.posterior.proposal.genes import in_pieces
from bayesde.posterior.queries.left_out import overwrite
from bayesde.posterior.request import Request
from bayesde.posterior.summaries.one_contrast import importance_status
from bayesde.workers.progress import Progress, silent

__all__ = ["compare_effects", "compare_residuals", "with_effects"]

logger = logging.getLogger(__name__)

GENES_AT_A_TIME = 500
JUDGED_GENES = 2000
"""That the Monte-Carlo errors of the differences between laws are estimated from, at the most."""


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
        ``error``, the Monte-Carlo standard error of that difference; ``parameters``, the number of
        hyperparameters and weights that are not 0, and the values of those of the effects by name.

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
    report, rows, some = progress or silent, {}, {}
    by_coding: dict[tuple[str, ...], _Draws] = {}
    for number, (name, request) in enumerate(requests.items()):
        report(number, len(requests), f"learning the law {name}")
        coefficients = request.coding.coefficients
        if coefficients not in by_coding:
            by_coding[coefficients] = _Draws.of(posterior, request)
        draws = by_coding[coefficients]
        under, psi = draws.learn(request)
        rows[name], some[name] = _row(under, psi, request, option), (under.spread(JUDGED_GENES), psi)
        rows[name]["log_likelihood"] += draws.level - next(iter(by_coding.values())).level
    report(len(requests), len(requests), "comparing the laws")
    table = pd.DataFrame.from_dict(rows, orient="index").rename_axis("law")
    table = table.sort_values("log_likelihood", ascending=False, kind="stable")
    table.insert(1, "difference", table["log_likelihood"] - table["log_likelihood"].max())
    scale = len(draws.rows) / min(len(draws.rows), JUDGED_GENES)
    errors = {
        name: math.sqrt(scale) * error_of_difference(*some[name], *some[table.index[0]]) for name in some
    }
    table.insert(2, "error", pd.Series(errors))
    return table


def with_effects(posterior: PosteriorT, effects: Any, *, progress: Progress | None = None) -> PosteriorT:
    """Return the posterior under another law of the effects.

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
        Of the type given. The draws are the same, but for genes whose weights would be unreliable, if neither
        of the laws has an atom at zero; otherwise they are made again.

    Raises
    ------
    InputError
        If the posterior is of another engine, of some genes only, or its hyperparameters were not learnt.
    FitError
        If the hyperparameters cannot be learnt.
    """
    _check(posterior)
    request, report_to = _asking_for(posterior.request, effects=effects), progress or silent
    report_to(0, STAGES, "learning the law of the effects")
    base = _Draws.of(posterior, request)
    under, psi = base.integrated(request)
    report_to(1, STAGES, "sampling the hyperparameters")
    rng = np.random.default_rng(request.seed)
    points = sample_hyperparameters(under, psi, number_of_points(under.base_mean.size), rng)
    hyper, averaged = points.summary(rng), averaged_points(points, under.base_mean.size)
    report_to(2, STAGES, "weighing the draws")
    if averaged.space.atoms:
        report_to(3, STAGES, f"sampling {request.rows.size:,} genes again")
        everyone = _sampled(request, hyper, averaged, request.rows)
    else:
        everyone = _reweighted(base, request, hyper, averaged, report_to)
    report_to(STAGES, STAGES, "sampling")
    return replace(
        posterior,
        gene_draws=everyone.draws,
        hyperparameters=hyper,
        diagnostics=_diagnostics(posterior, everyone.report, everyone.draws.n_draws),
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
    if options.coding != "treatment" and "effects" in law:
        start, known = (
            starting_values(request.fit, None, options, request.integrated),
            request.hyperparameters,
        )
        if (name := request.integrated) in start.shrinkage_scale:
            scales = start.shrinkage_scale | {name: known.shrinkage_scale[name]}
            start = replace(start, shrinkage_scale=scales)
        sds = {part: getattr(known, part) for part in OF_RANDOM_EFFECTS}
        asked = replace(asked, hyperparameters=replace(start, **sds))
    return asked


@dataclass(frozen=True, eq=False)
class _Draws:
    """Draws without zeros, from which laws are learnt, and those with zeros that have been added.

    Attributes
    ----------
    likelihood : MarginalLikelihood
        Under Cauchy's law of effects.
    request : Request
        For that law.
    rows : ndarray of int (gene,)
        Positions, among all genes, of those that have weighted draws.
    start : Hyperparameters
        Where searches start.
    with_zeros : dict of tuple of int to MarginalLikelihood
        By the coefficients that may be zero.
    """

    likelihood: MarginalLikelihood
    request: Request
    rows: np.ndarray
    start: Hyperparameters
    with_zeros: dict[tuple[int, ...], MarginalLikelihood] = field(default_factory=dict)

    @classmethod
    def of(cls, posterior: PosteriorData, request: Request) -> _Draws:
        """Take those of a posterior, or make them where it has too few, or has none of these coefficients."""
        request = replace(request, options=replace(request.options, effects="cauchy"))
        draws = posterior.gene_draws
        assert draws.log_level is not None
        rows = np.isfinite(draws.log_level)
        if draws.has_atoms or request.coding.coefficients != posterior.coding.coefficients:
            logger.info("the law needs other draws than there are: genes are sampled again")
            return cls._made(request, request.rows[rows], draws.n_draws)
        assert draws.log_ratio is not None
        likelihood = MarginalLikelihood(
            request.space,
            request.fit.base_mean[request.rows[rows]],
            np.ascontiguousarray(np.asarray(draws.theta, dtype=np.float32)[rows]),
            np.asarray(draws.log_ratio[rows], dtype=np.float32),
            draws.log_level[rows],
        )
        return cls(likelihood, request, request.rows[rows], _start(posterior.hyperparameters))

    @classmethod
    def _made(cls, request: Request, rows: np.ndarray, n_draws: int) -> _Draws:
        """Draw as under Cauchy's law."""
        space = request.space
        psi, _, _, likelihood = settled(
            request.model(rows), request.start(rows), space, space.psi_of(request.hyperparameters), n_draws
        )
        return cls(likelihood, request, rows, _start(space.hyperparameters(space.phi(psi))))

    @property
    def level(self) -> float:
        """What log marginal likelihoods of these draws are less by."""
        return float(self.likelihood.highest.sum())

    def learn(self, request: Request) -> tuple[MarginalLikelihood, np.ndarray]:
        """Learn the law that is asked for; return the marginal likelihood under it, and its maximum."""
        if request.laws is None:
            likelihood = self._free(request)
            return likelihood, maximize(likelihood, likelihood.space.psi_of(self.start))
        return learn_laws(self._free(request), request.laws, self.start)

    def integrated(self, request: Request) -> tuple[MarginalLikelihood, np.ndarray]:
        """Learn the law, and integrate over the weights of mixtures, as a run does."""
        learnt = self.learn(request)
        return (
            learnt if request.laws is None else with_mean_weights(self._free(request), request.laws, *learnt)
        )

    def _free(self, request: Request) -> MarginalLikelihood:
        """Return the marginal likelihood before the law is learnt."""
        plain = replace(request, options=replace(request.options, effects="cauchy"))
        atoms = () if request.laws is None else request.laws.atoms
        return replace(self._at(atoms), space=plain.space)

    def _at(self, atoms: tuple[int, ...]) -> MarginalLikelihood:
        if not atoms:
            return self.likelihood
        if atoms not in self.with_zeros:
            model = self.request.model(self.rows, self.start)
            pieces = in_pieces(self.request.start(self.rows), model)
            self.with_zeros[atoms] = with_zeros(self.likelihood, pieces, atoms)[0]
        return self.with_zeros[atoms]


def _row(under: MarginalLikelihood, psi: np.ndarray, request: Request, option: str) -> dict[str, Any]:
    """Return a row of the comparison."""
    space = under.space
    values = space.by_name(space.phi(psi))
    learnt = () if request.laws is None else request.laws.scales
    weights = sum(int((law.weight > 0.0).sum()) - 1 for k, law in space.mixtures if k in learnt)
    row = {
        "log_likelihood": log_likelihood(under, psi) + bias_of_logs(under, psi),
        "parameters": psi.size + weights,
    }
    of_effects = option == "effects"
    shown = [name for name in values if (effect_part(name) is not None) == of_effects]
    return row | {name: float(values[name]) for name in shown}


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


def _sampled(
    request: Request, hyper: Hyperparameters, points: HyperparameterPosterior, rows: np.ndarray
) -> ImportanceSample:
    """Sample some genes (positions among all) under the law that was learnt."""
    return sample_given(
        request.model(rows, hyper), request.start(rows), points, np.arange(rows.size), draws=request.draws
    )


def _reweighted(
    base: _Draws,
    request: Request,
    hyper: Hyperparameters,
    points: HyperparameterPosterior,
    report_to: Progress,
) -> ImportanceSample:
    """Weigh the draws that there are; sample genes again whose weights are unreliable, or that have none."""
    weighed = _weighed(base.likelihood, points)
    everyone = _spread(weighed, np.searchsorted(request.rows, base.rows), request.rows.size)
    again = np.flatnonzero(~_reliable(everyone.report, everyone.draws.n_draws))
    report_to(3, STAGES, f"sampling {again.size:,} genes again")
    if again.size:
        request = replace(request, draws=everyone.draws.n_draws)
        sampled = _sampled(request, hyper, points, request.rows[again])
        overwrite(everyone.draws, again, sampled.draws)
        for name, values in sampled.report.items():
            everyone.report[name][again] = values
    return everyone


def _weighed(raw: MarginalLikelihood, points: HyperparameterPosterior) -> ImportanceSample:
    """Weigh the draws under the points of the hyperparameters."""
    n_genes = raw.base_mean.size
    log_weights, pareto_k = np.empty(raw.log_ratio.shape, dtype=np.float32), np.empty(n_genes)
    for at in range(0, n_genes, GENES_AT_A_TIME):
        rows = slice(at, at + GENES_AT_A_TIME)
        own = raw.base_mean[rows], raw.theta[rows], raw.log_ratio[rows]
        log_weights[rows], pareto_k[rows] = smoothed(gene_weights(points.space, *own, points))
    report = {"pareto_k": pareto_k, "ess": effective_size(log_weights), "attempts": np.ones(n_genes)}
    return ImportanceSample(GeneDraws(raw.theta, log_weights, raw.log_ratio, log_level=raw.highest), report)


def _reliable(report: dict[str, np.ndarray], n_draws: int) -> np.ndarray:
    return np.asarray((report["pareto_k"] <= MAX_K) & (report["ess"] >= SMALLEST_SIZE * n_draws))


def _spread(sample: ImportanceSample, rows: np.ndarray, n_genes: int) -> ImportanceSample:
    """Put draws of some genes among those of all; the others have no effective draws."""
    if rows.size == n_genes:
        return sample

    def among_all(values: np.ndarray | None) -> np.ndarray:
        assert values is not None
        out = np.zeros((n_genes, *values.shape[1:]), dtype=values.dtype)
        out[rows] = values
        return out

    draws = replace(
        sample.draws,
        theta=among_all(sample.draws.theta),
        log_weights=among_all(sample.draws.log_weights),
        log_ratio=among_all(sample.draws.log_ratio),
        log_level=among_all(sample.draws.log_level),
    )
    return ImportanceSample(draws, {name: among_all(values) for name, values in sample.report.items()})


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
