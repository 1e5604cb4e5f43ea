r"""Principal components of the samples, of the genes that vary most, as DESeq2's plotPCA.

With the values x_ij of the `top` genes of largest variance, each minus its mean over samples, the Gram matrix
G = X'X of samples has the eigenvalues l_k and eigenvectors v_k. Coordinates of the samples are sqrt(l_k) v_k,
the part of the variance is l_k / sum(l), and the loadings of the genes are X v_k / sqrt(l_k).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from bayesde.counts import Counts
from bayesde.eb.estimates import EbEstimates
from bayesde.errors import InputError
from bayesde.explore.transformed import stabilized
from bayesde.numerics.linear import products
from bayesde.numerics.small_matrices import eigenvectors
from bayesde.options import check_whole

__all__ = ["SamplePca", "sample_pca"]

NEGLIGIBLE = 1e-10
"""Components with a smaller part of the variance are rounding errors."""


@dataclass(frozen=True, eq=False, repr=False)
class SamplePca:
    """Principal components of samples.

    Attributes
    ----------
    coordinates : pandas.DataFrame (sample, component)
        Columns ``PC1``, ``PC2``, ...; in units of the values. Signs are arbitrary: the largest absolute
        coordinate of a component is positive.
    explained : pandas.Series (component,)
        Part of the variance of the chosen genes.
    loadings : pandas.DataFrame (gene, component)
        Of the chosen genes, from the largest variance to the smallest; columns of length 1.
    sample_table : pandas.DataFrame
        Variables of the samples, for plots.
    """

    coordinates: pd.DataFrame
    explained: pd.Series
    loadings: pd.DataFrame
    sample_table: pd.DataFrame

    def __repr__(self) -> str:
        parts = ", ".join(f"{name} {100.0 * part:.1f} %" for name, part in self.explained.head(4).items())
        return f"<SamplePca: {len(self.coordinates)} samples, {len(self.loadings)} genes; {parts}>"


def sample_pca(values: Counts | EbEstimates | pd.DataFrame, top: int = 500) -> SamplePca:
    """Compute principal components of the samples from the genes that vary most.

    Parameters
    ----------
    values : Counts, EbFit or pandas.DataFrame (gene, sample)
        Counts are transformed by `vst` without a design, those of a fit with its trend; a table has values
        that are transformed already, by `vst`, `rlog` or `log_cpm`.
    top : int
        How many genes are used, those of largest variance over all samples.

    Returns
    -------
    SamplePca

    Raises
    ------
    InputError
        If the values do not vary, are missing, or of fewer than two samples.
    OptionError
        If `top` is not a whole number above 0.

    References
    ----------
    Love, M. I., Huber, W. and Anders, S. (2014) Genome Biology 15:550, doi:10.1186/s13059-014-0550-8; the
    function ``plotPCA`` of DESeq2.
    """
    check_whole("top", top, 1, 2**31)
    given = stabilized(values)
    variances = given.values.var(axis=1, ddof=1)
    chosen = np.argsort(-variances, kind="stable")[:top]
    chosen = chosen[variances[chosen] > 0.0]
    if not chosen.size:
        raise InputError("every gene has the same value in all samples: there are no components.")
    centered = given.values[chosen]
    centered = centered - centered.mean(axis=1, keepdims=True)
    squares, vectors = eigenvectors(products(centered.T, centered.T))
    kept = squares > NEGLIGIBLE * squares[0]
    kept[-1] = False  # centered values have at most one dimension less than there are samples
    squares, vectors = squares[kept], vectors[:, kept]
    names = [f"PC{k + 1}" for k in range(squares.size)]
    loadings = products(centered, (vectors / np.sqrt(squares)).T)
    return SamplePca(
        coordinates=pd.DataFrame(vectors * np.sqrt(squares), given.samples, names),
        explained=pd.Series(squares / squares.sum(), names, name="explained"),
        loadings=pd.DataFrame(loadings, given.genes[chosen], names),
        sample_table=given.sample_table,
    )
