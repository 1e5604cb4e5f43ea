r"""Which of several models predicts counts best, by leave-one-out.

    elpd_diff = sum_gj (elpd_gj of the model - elpd_gj of the best),
    se_diff   = sqrt(G var_g(sum_j difference_gj)).

The standard error takes the genes for independent, not the counts of a gene (Vehtari, Gelman and Gabry 2017,
doi:10.1007/s11222-016-9696-4, equation 24, with genes for units).

Leave-one-out over samples measures how well the other counts of a gene, together with the hyperparameters,
predict a count. It compares the priors of genes (trend, residuals, shrinkage) where a gene's own counts leave
room for them: with few samples, at low counts. It is insensitive to the priors of the hyperparameters: these
are learnt from thousands of genes, whose other counts remain when one is left out, so that models that differ
only in them have the same elpd up to Monte-Carlo error. It measures neither how a model would do for a new
gene, nor whether effects are right; and a difference below about 4, or below twice its standard error, is
small.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
import xarray as xr

from bayesde.errors import InputError, first_few
from bayesde.posterior.data import PosteriorData
from bayesde.posterior.queries.loo import LeaveOneOut, leave_one_out

__all__ = ["compare_posteriors"]


def compare_posteriors(posteriors: Mapping[str, PosteriorData | LeaveOneOut]) -> pd.DataFrame:
    """Compare how well posteriors of the same counts predict each count from the others.

    Parameters
    ----------
    posteriors : mapping of str to Posterior or LeaveOneOut
        At least two, by name. Give what `Posterior.loo` returned, where it is known, to save its time.

    Returns
    -------
    pandas.DataFrame
        One row a model, the best first: ``elpd`` and its standard error ``se``, ``elpd_diff`` to the best (0
        or less) and ``se_diff``, ``p_loo`` (effective number of parameters), ``monte_carlo_error`` of
        ``elpd_diff``, ``genes_better`` (share of genes that it predicts better than the best does),
        ``unreliable`` counts.

    Raises
    ------
    InputError
        If there are fewer than two, or they are not of the same genes, samples and counts.
    """
    if len(posteriors) < 2:
        raise InputError(f"a comparison needs at least two posteriors; got {len(posteriors)}.")
    known = {
        name: given if isinstance(given, LeaveOneOut) else leave_one_out(given)
        for name, given in posteriors.items()
    }
    first, *others = known
    for name in others:
        _check_same(first, known[first].pointwise, name, known[name].pointwise)
    totals = {name: float(loo.pointwise["elpd"].sum()) for name, loo in known.items()}
    order = sorted(known, key=lambda name: -totals[name])
    rows = [_row(known[name], known[order[0]]) for name in order]
    return pd.DataFrame(rows, index=pd.Index(order, name="model"))


def _row(loo: LeaveOneOut, best: LeaveOneOut) -> dict[str, float]:
    own, other = loo.pointwise, best.pointwise
    gaps = (own["elpd"] - other["elpd"]).sum("sample").to_numpy()
    summary = loo.summary()
    errors = 0.0 if loo is best else float((own["elpd_error"] ** 2 + other["elpd_error"] ** 2).sum())
    return {
        "elpd": summary["elpd"],
        "se": summary["se"],
        "elpd_diff": gaps.sum(),
        "se_diff": np.sqrt(gaps.size * gaps.var()),
        "p_loo": summary["p_loo"],
        "monte_carlo_error": np.sqrt(errors),
        "genes_better": float((gaps > 0.0).mean()),
        "unreliable": summary["unreliable"],
    }


def _check_same(first: str, one: xr.Dataset, name: str, other: xr.Dataset) -> None:
    """Refuse posteriors of other genes, samples or counts."""
    for what in ("gene", "sample"):
        strange = sorted(set(map(str, one[what].values)) ^ set(map(str, other[what].values)))
        if strange:
            raise InputError(
                f"'{first}' and '{name}' are not of the same {what}s: only one of them has "
                f"{first_few(strange)}."
            )
        if list(one[what].values) != list(other[what].values):
            raise InputError(f"'{first}' and '{name}' have their {what}s in different orders.")
    if not np.array_equal(one["count"].values, other["count"].values):
        raise InputError(f"'{first}' and '{name}' are of different counts; only the model may differ.")
    if not np.array_equal(one["left_out"].values, other["left_out"].values):
        raise InputError(
            f"'{first}' and '{name}' were made without different counts; leave out the same ones."
        )
