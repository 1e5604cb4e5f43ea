r"""Contrasts that are no coefficients, under the prior of the coding in which they are (coding "treatment").

Under treatment coding with the reference a, the prior of c - b is that of a difference of two coefficients,
and pulls both towards a. With the reference b it is a coefficient, as any comparison with the reference is.
Draws theta of the one coding are draws of the other, theta' = R theta, with det R = +-1; their weights change
by the ratio of the priors,

    w'_m = r_m p'(theta'_m | phi'),      r_m = p(y | theta_m) / q(theta_m),

in which the hyperparameters phi' of the other coding are learnt from the same draws, or, where they are fixed
or only some of the genes were sampled, are the geometric means of those of the coefficients of each term.
Effective sizes and Pareto k are those of the new weights; where hyperparameters are learnt, genes whose
weights would be unreliable are sampled again
(`bayesde.posterior.queries.other_models.other_laws.with_effects`).
"""

from __future__ import annotations

import logging
import math
import warnings
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from bayesde.design import Coding, Contrast, Design
from bayesde.design.codings.reference_coding import references_of
from bayesde.errors import BayesdeNote, FitError, InputError
from bayesde.model.hyperparameter_names import EFFECT_NU, PI0, SCALE, effect_name, effect_part
from bayesde.model.hyperparameters import Hyperparameters
from bayesde.posterior.data import PosteriorData, PosteriorT
from bayesde.posterior.draws.gene_draws import GeneDraws
from bayesde.posterior.queries.other_models.other_laws import with_effects
from bayesde.posterior.queries.other_models.reweight import chains_log_ratio, hyper_points, reweighted
from bayesde.statuses import FAILED

__all__ = ["as_coefficient"]

logger = logging.getLogger(__name__)


def as_coefficient(posterior: PosteriorT, contrast: Any) -> PosteriorT:
    """Return a posterior under the prior of the coding in which a contrast is a coefficient.

    Parameters
    ----------
    posterior : PosteriorData
    contrast : optional
        Whatever ``design.contrast`` takes.

    Returns
    -------
    PosteriorData
        Of the type given; the posterior itself if the levels of factors are treated alike, the contrast is a
        coefficient, or it is one in no coding.

    Warns
    -----
    BayesdeNote
        If the prior of such a coding cannot be had, and is that of the design's coefficients; or if genes
        failed their checks under the new weights.
    """
    read = posterior.design.contrast(contrast)
    request = posterior.request
    if request.options.coding != "treatment" or request.references or not request.space.shrunken:
        return posterior
    try:
        references = _references(posterior, read)
        if not references:
            return posterior
        found = _cached(posterior, references)
    except (FitError, InputError) as problem:
        if read.factor is not None:
            _note(
                f"{read.name}: the prior is that of the difference of two coefficients, and depends on the "
                f"reference level; that of a comparison with a reference level cannot be had: {problem}"
            )
        return posterior
    _report(found, read, references)
    return found


def _references(posterior: PosteriorData, contrast: Contrast) -> dict[str, str] | None:
    """Return the reference levels of the coding; None if there is no need of another."""
    design, table = posterior.design.fixed, posterior.eb.counts.sample_table
    if design.formula is None or table is None:
        return None
    if all(len(levels) < 3 for levels in design.factors.values()) and len(design.factors) < 2:
        return None
    return references_of(design, table, contrast)


def _cached(posterior: PosteriorT, references: dict[str, str]) -> PosteriorT:
    """Return the posterior under another coding, which is made once."""
    known: dict[Any, PosteriorT] = posterior.recoded
    key = tuple(sorted(references.items()))
    if key not in known:
        known[key] = _recoded(posterior, references)
    return known[key]


def _recoded(posterior: PosteriorT, references: dict[str, str]) -> PosteriorT:
    """Make the posterior under another coding."""
    if posterior.left_out is not None:
        raise InputError("counts were left out of this posterior.")
    request = replace(posterior.request, references=references)
    hyper = _of_terms(posterior.hyperparameters, posterior.design, request.coding)
    request = replace(request, hyperparameters=hyper)
    learning = request.learning and request.rows.size == request.everyone.size
    made_again = learning and posterior.gene_draws.has_atoms  # as few draws have no zeros
    moved = replace(
        posterior,
        gene_draws=posterior.gene_draws if made_again else _moved(posterior, request.coding),
        hyperparameters=hyper,
        diagnostics=posterior.diagnostics.assign(engine="psis"),
        engine="psis",
        request=request,
        shared={},
        statistics={},
    )
    if learning:
        return with_effects(moved, request.options.effects)
    return reweighted(moved, hyperparameters=hyper)


def _of_terms(hyper: Hyperparameters, design: Design, coding: Coding) -> Hyperparameters:
    """Return the hyperparameters of the coefficients of another coding: means over those of a term."""
    if hyper.mixtures:
        raise InputError("the law of its coefficients is a mixture.")
    sources: dict[str, list[str]] = {}
    for term, columns in coding.terms.items():
        old = [design.coefficients[k] for k in design.terms[term]]
        shrunken = [name for name in old if name in hyper.shrinkage_scale]
        if shrunken and len(shrunken) < len(old):
            raise InputError(f"only some of the coefficients of {term} are shrunken.")
        for k in columns if shrunken else ():
            own = _as_before(design, coding, k)
            sources[coding.coefficients[k]] = shrunken if own is None else [own]
    draws = {name: values for name, values in hyper.draws.items() if effect_part(name) is None}
    known: dict[str, Mapping[str, float]] = {
        SCALE: hyper.shrinkage_scale,
        EFFECT_NU: hyper.effect_nu,
        PI0: hyper.pi0,
    }
    values: dict[str, dict[str, float]] = {part: {} for part in known}
    for part, by in known.items():
        for name, olds in sources.items():
            if all(one in by for one in olds):
                values[part][name] = float(_mean([by[one] for one in olds]))
                columns_of = [hyper.draws.get(effect_name(part, one)) for one in olds]
                if all(column is not None for column in columns_of):
                    draws[effect_name(part, name)] = _mean(columns_of)
    return replace(
        hyper,
        shrinkage_scale=values[SCALE],
        effect_nu=values[EFFECT_NU],
        pi0=values[PI0],
        sd={},
        draws=draws,
        checks={},
    )


def _mean(values: list[Any]) -> Any:
    """Return the geometric mean of numbers, or of arrays one by one; a single one as it is."""
    return values[0] if len(values) == 1 else np.exp(np.mean(np.log(values), axis=0))


def _as_before(design: Design, coding: Coding, k: int) -> str | None:
    """Return the coefficient of the design that a coefficient of the other coding is, if it is one."""
    row = _back(coding)[k]
    used = np.flatnonzero(row)
    return design.coefficients[used[0]] if used.size == 1 and row[used[0]] == 1.0 else None


def _back(coding: Coding) -> np.ndarray:
    """Return R, by which the coefficients of the other coding are those of the design."""
    assert coding.transform is not None
    return np.round(np.linalg.inv(coding.transform), 12)


def _moved(posterior: PosteriorData, coding: Coding) -> GeneDraws:
    """Return the draws without zeros as draws of another coding, with their log ratios."""
    draws, laws = posterior.gene_draws, posterior.request.laws
    size = _number_without_zeros(draws.theta, () if laws is None else laws.atoms)
    theta = np.asarray(draws.theta[:, :size], dtype=np.float64)
    back = _back(coding)
    n = len(back)  # random effects and the dispersion are the same
    beta = np.concatenate([theta[..., :n] @ back.T, theta[..., n:]], axis=-1)
    log_ratio = _log_ratio(posterior, size) + _change_of_flat(posterior, coding, theta, beta)
    level = np.zeros(draws.n_genes) if draws.log_level is None else np.array(draws.log_level)
    weights = None if draws.log_weights is None else draws.log_weights[:, :size]
    log_weights = np.full(log_ratio.shape, -math.log(size), dtype=np.float32) if weights is None else weights
    return GeneDraws(beta.astype(np.float32), log_weights, log_ratio.astype(np.float32), log_level=level)


def _number_without_zeros(theta: np.ndarray, atoms: tuple[int, ...]) -> int:
    """Return how many draws have no zeros; they come first, and are as many for all genes."""
    zero = (np.asarray(theta[0])[:, list(atoms)] == 0.0).any(axis=1)
    return int(np.argmax(zero)) if zero.any() else zero.size


def _log_ratio(posterior: PosteriorData, size: int) -> np.ndarray:
    """Return ln p(y | theta) - ln q(theta) of the first draws, up to a constant of the gene."""
    draws = posterior.gene_draws
    if draws.log_ratio is not None:
        return np.asarray(draws.log_ratio[:, :size], dtype=np.float64) - math.log(draws.n_draws / size)
    base_mean = posterior.eb.base_mean[posterior.request.rows]
    return chains_log_ratio(np.asarray(draws.theta), base_mean, hyper_points(posterior))


def _change_of_flat(
    posterior: PosteriorData, coding: Coding, theta: np.ndarray, beta: np.ndarray
) -> np.ndarray:
    """Return by what the log prior of the coefficients that are not shrunken changes."""
    shrunken, flat = posterior.hyperparameters.shrinkage_scale, posterior.request.priors.unshrunken_sd
    terms = {
        term
        for term, columns in posterior.design.terms.items()
        if any(posterior.design.coefficients[k] in shrunken for k in columns)
    }
    total = np.zeros(theta.shape[:2])
    for values, of_terms, sign in ((theta, posterior.design.terms, 0.5), (beta, coding.terms, -0.5)):
        for term, columns in of_terms.items():
            if term not in terms:
                total += sign * (values[..., list(columns)] ** 2).sum(axis=-1) / flat**2
    return total


def _report(posterior: PosteriorData, contrast: Contrast, references: dict[str, str]) -> None:
    """Say under which prior a contrast was computed, and how reliable the weights are."""
    frame = posterior.diagnostics[posterior.diagnostics["sampled"]]
    failed = int(frame["status"].isin(FAILED).sum())
    levels = ", ".join(f"{factor} {level}" for factor, level in references.items())
    text = (
        f"{contrast.name}: computed with the prior that it has with the reference {levels}, by reweighting; "
        f"median effective size {frame['ess'].median():,.0f}, Pareto k above 0.7 for "
        f"{int((frame['pareto_k'] > 0.7).sum()):,} of {len(frame):,} genes"
    )
    logger.info("%s", text)
    if failed:
        _note(f"{text}; {failed:,} failed their checks, see the column status.")


def _note(text: str) -> None:
    warnings.warn(text, BayesdeNote, stacklevel=4)
