r"""Multidimensional scaling of samples on leading log2 fold changes, as limma's plotMDS.

The distance of two samples is the root mean square of their `top` largest log2 fold changes, which may be of
other genes for each pair. Classical scaling: with the squared distances D and the centering matrix J, the
matrix -J D J / 2 has the eigenvalues l_k and eigenvectors v_k, and the coordinates are sqrt(max(l_k, 0)) v_k.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from bayesde.counts import Counts
from bayesde.errors import InputError
from bayesde.explore.transformed import checked_values
from bayesde.normalize.scaled import log_cpm
from bayesde.numerics.small_matrices import eigenvectors
from bayesde.options import check_whole

__all__ = ["SampleMds", "sample_mds"]

FEWEST_SAMPLES = 3
NEGLIGIBLE = 1e-10
"""Dimensions with a smaller eigenvalue, relative to the largest, are rounding errors."""


@dataclass(frozen=True, eq=False, repr=False)
class SampleMds:
    """Coordinates of samples whose distances approximate their leading log2 fold changes.

    Attributes
    ----------
    coordinates : pandas.DataFrame (sample, dimension)
        Columns ``dim1``, ``dim2``, ...; log2. Signs are arbitrary: the largest absolute coordinate of a
        dimension is positive.
    explained : pandas.Series (dimension,)
        Part of the sum of positive eigenvalues.
    distances : pandas.DataFrame (sample, sample)
        Leading log2 fold changes.
    top : int
        How many genes each distance is from.
    sample_table : pandas.DataFrame
        Variables of the samples, for plots.
    """

    coordinates: pd.DataFrame
    explained: pd.Series
    distances: pd.DataFrame
    top: int
    sample_table: pd.DataFrame

    def __repr__(self) -> str:
        parts = ", ".join(f"{name} {100.0 * part:.1f} %" for name, part in self.explained.head(4).items())
        return f"<SampleMds: {len(self.coordinates)} samples, {self.top} genes for each pair; {parts}>"


def sample_mds(values: Counts | pd.DataFrame, top: int = 500) -> SampleMds:
    """Place samples so that their distances are near their leading log2 fold changes.

    Parameters
    ----------
    values : Counts or pandas.DataFrame (gene, sample)
        Of counts, `log_cpm` is taken; a table has log2 values, such as those of `log_cpm` with effective
        library sizes, or of `vst`.
    top : int
        From how many genes each distance is computed: those with the largest fold changes of the pair.

    Returns
    -------
    SampleMds

    Raises
    ------
    InputError
        If there are fewer than three samples, all are the same, or values are missing.
    OptionError
        If `top` is not a whole number above 0.

    References
    ----------
    Ritchie, M. E. et al. (2015) Nucleic Acids Research 43:e47, doi:10.1093/nar/gkv007; the function
    ``plotMDS`` of limma.
    """
    check_whole("top", top, 1, 2**31)
    if isinstance(values, Counts):
        given = checked_values(log_cpm(values), values.sample_table)
    elif isinstance(values, pd.DataFrame):
        given = checked_values(values)
    else:
        raise InputError(f"Counts or a table of log2 values are needed; got {type(values).__name__}.")
    if given.samples.size < FEWEST_SAMPLES:
        raise InputError(f"there are {given.samples.size} samples; at least {FEWEST_SAMPLES} are needed.")
    top = min(top, given.genes.size)
    squares = _leading_squares(given.values, top)
    if not squares.any():
        raise InputError("all samples have the same values: there are no distances to scale.")
    found, vectors = eigenvectors(-0.5 * _centered(squares))
    kept = found > NEGLIGIBLE * found[0]
    found, vectors = found[kept], vectors[:, kept]
    names = [f"dim{k + 1}" for k in range(found.size)]
    return SampleMds(
        coordinates=pd.DataFrame(vectors * np.sqrt(found), given.samples, names),
        explained=pd.Series(found / found.sum(), names, name="explained"),
        distances=pd.DataFrame(np.sqrt(squares), given.samples, given.samples),
        top=top,
        sample_table=given.sample_table,
    )


def _leading_squares(values: np.ndarray, top: int) -> np.ndarray:
    """Return the mean of the `top` largest squared differences of each pair (sample, sample)."""
    by_sample = np.ascontiguousarray(values.T)
    squares = np.zeros((len(by_sample), len(by_sample)))
    for i in range(1, len(by_sample)):
        for j in range(i):
            differences = np.square(by_sample[i] - by_sample[j])
            leading = np.partition(differences, differences.size - top)[differences.size - top :]
            squares[i, j] = squares[j, i] = np.sort(leading).mean()  # the order of a partition is arbitrary
    return squares


def _centered(squares: np.ndarray) -> np.ndarray:
    """Subtract the means of rows and columns."""
    means = squares.mean(axis=0)
    centered = squares - means - means[:, None] + means.mean()
    return np.asarray(0.5 * (centered + centered.T))
