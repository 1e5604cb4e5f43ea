"""Several contrasts at a time: their joint posterior, gene by gene, and the probability of an event."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from bayesde.design import Contrast, Design
from bayesde.errors import InputError, first_few
from bayesde.posterior.data import PosteriorData
from bayesde.posterior.draws.gene_draws import GeneDraws, contrast_values
from bayesde.posterior.draws.weighted_statistics import LARGEST_EFFECT
from bayesde.posterior.factor_levels.level_draws import with_levels_of_contrasts
from bayesde.posterior.summaries.one_contrast import check_threshold
from bayesde.results import to_log2

__all__ = [
    "contrasts_summary",
    "event_probabilities",
    "event_probability",
    "joint_summary",
    "read_contrasts",
]

Contrasts = Mapping[str, Any] | Iterable[Any] | None
Event = Callable[[np.ndarray], Any]


def contrasts_summary(
    posterior: PosteriorData, contrasts: Contrasts = None, lfc_threshold: float = 0.0
) -> xr.Dataset:
    """Summarize the joint posterior of several contrasts; see `joint_summary`.

    Parameters
    ----------
    posterior : PosteriorData
    contrasts : mapping of str to contrast, or iterable of contrasts, optional
        By default all coefficients.
    lfc_threshold : float
        In log2; 0 for none.

    Returns
    -------
    xarray.Dataset
        Of the genes that were sampled.
    """
    check_threshold(lfc_threshold)
    draws, read = _of_draws(posterior, contrasts)
    found = joint_summary(draws, read, lfc_threshold)
    return found.assign_coords(gene=np.asarray(posterior.genes))


def event_probabilities(posterior: PosteriorData, event: Event, contrasts: Contrasts = None) -> pd.Series:
    """Return the posterior probability of an event for every input gene; see `event_probability`.

    Parameters
    ----------
    posterior : PosteriorData
    event : callable
    contrasts : mapping of str to contrast, or iterable of contrasts, optional
        By default all coefficients.

    Returns
    -------
    pandas.Series (gene,)
        NaN where the gene was not sampled.
    """
    draws, read = _of_draws(posterior, contrasts)
    found = pd.Series(np.nan, index=posterior.diagnostics.index, name="probability")
    found[posterior.diagnostics["sampled"]] = event_probability(draws, read, event)
    return found


def _of_draws(posterior: PosteriorData, contrasts: Contrasts) -> tuple[GeneDraws, list[Contrast]]:
    """Read contrasts, with weights for the coefficients of the draws that are returned."""
    read = read_contrasts(posterior.design, contrasts)
    draws, vectors, _ = with_levels_of_contrasts(posterior, read)
    own = zip(read, vectors, strict=True)
    return draws, [Contrast(one.name, vector, one.coefficient, one.factor) for one, vector in own]


def read_contrasts(design: Design, contrasts: Contrasts) -> list[Contrast]:
    """Read a list of contrasts, named or not.

    Parameters
    ----------
    design : Design
    contrasts : mapping of str to contrast, iterable of contrasts, or None
        Each as ``design.contrast`` takes it; None for all coefficients.

    Returns
    -------
    list of Contrast
        With names that differ.

    Raises
    ------
    InputError
        If there are none, one does not exist, or two have the same name.
    """
    if contrasts is None:
        contrasts = design.coefficients
    if isinstance(contrasts, str) or not isinstance(contrasts, (Mapping, Iterable)):
        raise InputError(f"contrasts: a list or a mapping of contrasts is needed; got {contrasts!r}.")
    if isinstance(contrasts, Mapping):
        read = [_named(design.contrast(spec), str(name)) for name, spec in contrasts.items()]
    else:
        read = [design.contrast(spec) for spec in contrasts]
    names = [contrast.name for contrast in read]
    if not names:
        raise InputError("contrasts: the list is empty; name at least one.")
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InputError(
            f"contrasts: more than one is called {first_few(twice)}; give a mapping of names to contrasts."
        )
    return read


def _named(contrast: Contrast, name: str) -> Contrast:
    return Contrast(name, contrast.vector, contrast.coefficient, contrast.factor)


def joint_summary(draws: GeneDraws, contrasts: list[Contrast], threshold: float) -> xr.Dataset:
    """Summarize the joint posterior of contrasts for every gene.

    Parameters
    ----------
    draws : GeneDraws
    contrasts : list of Contrast
    threshold : float
        In log2; 0 for none.

    Returns
    -------
    xarray.Dataset
        In log2: ``mean`` and ``sd`` (contrast, gene), ``covariance`` and ``correlation`` (gene, contrast,
        other_contrast); ``prob_signs_as_means`` (gene,), that all effects have the signs of their means (one
        that is exactly 0 has no sign); with a threshold ``prob_any_gt_threshold`` and
        ``prob_all_gt_threshold`` (gene,), of absolute effects. Probabilities are shares of the draws' weight.
    """
    parts = [_summary_of_some(effects, weights, threshold) for effects, weights in _effects(draws, contrasts)]
    table = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    sd = np.sqrt(np.diagonal(table["covariance"], axis1=1, axis2=2))
    pair = ("gene", "contrast", "other_contrast")
    with np.errstate(divide="ignore", invalid="ignore"):
        correlation = table["covariance"] / (sd[:, :, None] * sd[:, None, :])
    variables = {
        "mean": (("contrast", "gene"), table.pop("mean").T),
        "sd": (("contrast", "gene"), sd.T),
        "covariance": (pair, table.pop("covariance")),
        "correlation": (pair, correlation),
    }
    names = np.array([contrast.name for contrast in contrasts], dtype=object)
    result = xr.Dataset(
        variables | {name: (("gene",), values) for name, values in table.items()},
        coords={"contrast": names, "other_contrast": names},
    )
    return result.assign_attrs(unit="log2", lfc_threshold=threshold)


def _effects(draws: GeneDraws, contrasts: list[Contrast]) -> Iterable[tuple[np.ndarray, np.ndarray]]:
    """Yield log2 effects (gene, draw, contrast) and weights (gene, draw) of some genes after the others."""
    for _, theta, weights in draws.batches():
        effects = np.stack([contrast_values(theta, contrast.vector) for contrast in contrasts], axis=2)
        yield to_log2(np.clip(effects, -LARGEST_EFFECT, LARGEST_EFFECT)), weights


def _summary_of_some(effects: np.ndarray, weights: np.ndarray, threshold: float) -> dict[str, np.ndarray]:
    mean = (weights[:, :, None] * effects).sum(axis=1)
    covariance = _covariance(effects - mean[:, None, :], weights)
    same = (effects * np.sign(mean)[:, None, :] > 0.0).all(axis=2)  # 0 has no sign
    summary = {"mean": mean, "covariance": covariance, "prob_signs_as_means": _share(weights, same)}
    if threshold > 0.0:
        large = np.abs(effects) > threshold
        summary["prob_any_gt_threshold"] = _share(weights, large.any(axis=2))
        summary["prob_all_gt_threshold"] = _share(weights, large.all(axis=2))
    return summary


def _covariance(centered: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return covariances (gene, contrast, contrast), added up in an order that depends on no library."""
    n = centered.shape[2]
    covariance, scale = np.empty((len(centered), n, n)), 1.0 - (weights**2).sum(axis=1)
    for a in range(n):
        weighted = weights * centered[:, :, a]
        for b in range(a + 1):
            covariance[:, a, b] = covariance[:, b, a] = (weighted * centered[:, :, b]).sum(axis=1) / scale
    return covariance


def _share(weights: np.ndarray, happened: np.ndarray) -> np.ndarray:
    return np.asarray(np.minimum((weights * happened).sum(axis=1), 1.0))


def event_probability(draws: GeneDraws, contrasts: list[Contrast], event: Event) -> np.ndarray:
    """Return the posterior probability of an event for every gene.

    Parameters
    ----------
    draws : GeneDraws
    contrasts : list of Contrast
    event : callable
        Given effects, ndarray (gene, draw, contrast) in log2, of some of the genes, it returns an ndarray of
        bool (gene, draw).

    Returns
    -------
    ndarray (gene,)
        The share of the draws' weight.

    Raises
    ------
    InputError
        If the event returns anything else.
    """
    parts = []
    for effects, weights in _effects(draws, contrasts):
        happened = np.asarray(event(effects))
        if happened.dtype != bool or happened.shape != weights.shape:
            raise InputError(
                "probability: the event must turn effects of shape (gene, draw, contrast), here "
                f"{effects.shape}, into true or false of shape (gene, draw), {weights.shape}; it gave "
                f"{happened.dtype} of shape {happened.shape}. Take one contrast as effects[..., 0]."
            )
        parts.append(_share(weights, happened))
    return np.concatenate(parts)
