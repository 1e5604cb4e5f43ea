r"""Euclidean distances between samples, and their hierarchical clustering.

    d(j, k)^2 = sum_i (x_ij - x_ik)^2

over all genes of variance-stabilized values, as in the workflows of DESeq2. Clusters are joined by average,
complete, single or Ward's linkage (`scipy.cluster.hierarchy.linkage`); leaves are ordered so that neighbours
are as close as the tree allows.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from bayesde.counts import Counts
from bayesde.eb.estimates import EbEstimates
from bayesde.explore.transformed import stabilized
from bayesde.options import check_choice

__all__ = ["LINKAGES", "SampleDistances", "clustered", "sample_distances"]

LINKAGES = ("average", "complete", "single", "ward")


@dataclass(frozen=True, eq=False, repr=False)
class SampleDistances:
    """Distances of samples, and their tree.

    Attributes
    ----------
    distances : pandas.DataFrame (sample, sample)
        Euclidean, in units of the values.
    linkage : numpy.ndarray (sample - 1, 4)
        The tree, as `scipy.cluster.hierarchy` describes it.
    order : numpy.ndarray of int (sample,)
        Positions of the samples from left to right in the tree.
    sample_table : pandas.DataFrame
        Variables of the samples, for plots.
    """

    distances: pd.DataFrame
    linkage: np.ndarray
    order: np.ndarray
    sample_table: pd.DataFrame

    def __repr__(self) -> str:
        off = self.distances.to_numpy()[~np.eye(len(self.distances), dtype=bool)]
        return f"<SampleDistances: {len(self.distances)} samples, {off.min():.3g} to {off.max():.3g}>"


def sample_distances(
    values: Counts | EbEstimates | pd.DataFrame, linkage: str = "average"
) -> SampleDistances:
    """Compute distances between samples, and cluster them.

    Parameters
    ----------
    values : Counts, EbFit or pandas.DataFrame (gene, sample)
        As `sample_pca` takes them.
    linkage : {"average", "complete", "single", "ward"}
        Distance of two clusters. R's ``hclust`` uses ``"complete"`` by default.

    Returns
    -------
    SampleDistances

    Raises
    ------
    InputError
        If values are missing, or of fewer than two samples.
    OptionError
        If the linkage is unknown.
    """
    check_choice("linkage", linkage, LINKAGES)
    given = stabilized(values)
    by_sample = np.ascontiguousarray(given.values.T)
    squares = np.array([[np.sum(np.square(one - other)) for other in by_sample] for one in by_sample])
    distances = np.sqrt(squares)
    tree, order = clustered(distances, linkage)
    return SampleDistances(
        pd.DataFrame(distances, given.samples, given.samples), tree, order, given.sample_table
    )


def clustered(distances: np.ndarray, linkage: str = "average") -> tuple[np.ndarray, np.ndarray]:
    """Cluster by distances.

    Parameters
    ----------
    distances : ndarray (item, item)
        Symmetric, zero on the diagonal.
    linkage : str

    Returns
    -------
    tree : ndarray (item - 1, 4)
        Empty if there is one item.
    order : ndarray of int (item,)
        Items from left to right.
    """
    from scipy.cluster.hierarchy import leaves_list  # slow to load
    from scipy.cluster.hierarchy import linkage as join
    from scipy.spatial.distance import squareform

    if len(distances) == 1:
        return np.empty((0, 4)), np.zeros(1, dtype=np.int64)
    condensed = squareform(distances, checks=False)
    tree = join(condensed, linkage, optimal_ordering=True)
    return tree, np.asarray(leaves_list(tree), dtype=np.int64)
