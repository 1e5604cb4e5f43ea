"""What ArviZ's functions need beside draws: log likelihoods, replicated counts and the counts themselves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr

from bayesde.errors import InputError
from bayesde.posterior.data import PosteriorData
from bayesde.posterior.draws.arviz_adapter import to_arviz
from bayesde.posterior.draws.labelled import equal_draws, positions
from bayesde.posterior.queries.pointwise import log_probabilities
from bayesde.posterior.queries.predict import predict_counts
from bayesde.posterior.summaries.equal_weights import labelled_draws

__all__ = ["arviz_data"]

SAMPLE = "sample_id"
"""The dimension of samples: ``sample`` is what ArviZ calls chains and draws together."""
MOST_CELLS = 10**8
"""Numbers of a group, which are 0.8 GB."""


def arviz_data(posterior: PosteriorData, genes: Sequence[str] | None, predictive: bool) -> Any:
    """Hand draws, and if asked for predictions, to ArviZ.

    Parameters
    ----------
    posterior : PosteriorData
    genes : sequence of str or None
        None for all that were sampled.
    predictive : bool
        Whether to add the groups ``log_likelihood``, ``posterior_predictive`` and ``observed_data``, each
        with the variable ``counts``.

    Returns
    -------
    arviz.InferenceData or xarray.DataTree

    Raises
    ------
    InputError
        If a gene was not sampled, or predictions are asked for of too many genes.
    """
    draws = labelled_draws(posterior, genes)
    groups = _predictive_groups(posterior, draws, genes) if predictive else None
    return to_arviz(draws, posterior.statistics, groups)


def _predictive_groups(
    posterior: PosteriorData, draws: xr.Dataset, genes: Sequence[str] | None
) -> dict[str, xr.Dataset]:
    """Make the groups with one number for each count."""
    rows = positions(posterior.genes, genes)
    chains, length = draws.sizes["chain"], draws.sizes["draw"]
    samples = list(posterior.design.samples)
    cells = chains * length * rows.size * len(samples)
    if cells > MOST_CELLS:
        most = MOST_CELLS // (chains * length * len(samples))
        raise InputError(
            f"predictions of {rows.size:,} genes, {len(samples)} samples and {chains * length:,} draws do "
            f"not fit into memory; choose at most {most:,} genes: to_arviz(genes=[...], predictive=True)."
        )
    coordinates = {name: draws.coords[name] for name in ("chain", "draw", "gene")} | {SAMPLE: samples}
    sizes = (chains, length, rows.size, len(samples))
    named = list(draws.coords["gene"].values)
    replicates = predict_counts(posterior, named, draws=chains * length).to_numpy().reshape(sizes)
    model = posterior.observed(rows)
    theta = equal_draws(posterior.gene_draws.genes(rows), posterior.seeds(rows))
    by_gene = np.ascontiguousarray(theta.reshape(chains * length, rows.size, -1).transpose(1, 0, 2))
    log_p = log_probabilities(model, by_gene.astype(np.float64)).transpose(2, 0, 1).reshape(sizes)
    by_draw = ("chain", "draw", "gene", SAMPLE)
    observed = {name: coordinates[name] for name in ("gene", SAMPLE)}
    return {
        "log_likelihood": xr.Dataset({"counts": (by_draw, log_p)}, coordinates),
        "posterior_predictive": xr.Dataset({"counts": (by_draw, replicates)}, coordinates),
        "observed_data": xr.Dataset({"counts": (("gene", SAMPLE), model.y.astype(np.int64))}, observed),
    }
