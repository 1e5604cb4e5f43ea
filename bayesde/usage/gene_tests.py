r"""Which genes have a feature of changed usage: q-values by gene, from p-values by feature.

A gene is called at the threshold t if its smallest p-value is at most t. With M_i features tested in gene i,
the expected number of genes called by chance is sum_i 1 - (1 - t)^M_i, and

    q(t) = sum_i [1 - (1 - t)^M_i] / #{i : min p_i <= t},

cut at 1 (the function perGeneQValue of DEXSeq; Anders, Reyes and Huber 2012, doi:10.1101/gr.133744.111).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

__all__ = ["gene_q_values"]


def gene_q_values(p_value: np.ndarray, genes: Any) -> pd.DataFrame:
    """Compute q-values of genes.

    Parameters
    ----------
    p_value : ndarray (feature,)
        NaN for features that were not tested.
    genes : sequence of str (feature,)

    Returns
    -------
    pandas.DataFrame (gene,)
        Of the genes with a tested feature, in the order of their first one: ``features`` tested,
        ``smallest_p_value``, ``q_value``.
    """
    tested = ~np.isnan(p_value)
    codes, names = pd.factorize(pd.Index(genes)[tested])
    number = np.bincount(codes, minlength=len(names))
    smallest = np.full(len(names), np.inf)
    np.minimum.at(smallest, codes, p_value[tested])
    thresholds = np.unique(smallest)
    sizes, how_many = np.unique(number, return_counts=True)
    # 1 - (1 - t)^M without cancellation
    with np.errstate(divide="ignore"):
        by_chance = -np.expm1(np.outer(np.log1p(-thresholds), sizes)) @ how_many
    called = np.searchsorted(np.sort(smallest), thresholds, side="right")
    q_value = np.minimum(by_chance / called, 1.0)[np.searchsorted(thresholds, smallest)]
    table = {"features": number, "smallest_p_value": smallest, "q_value": q_value}
    return pd.DataFrame(table, index=pd.Index(names, dtype=object, name="gene"))
