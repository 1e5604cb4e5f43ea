"""`UsageCounts`: counts of features beside those of the other features of their gene."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from bayesde.counts import Counts, matched_matrix
from bayesde.errors import InputError, first_few

__all__ = ["UsageCounts"]


@dataclass(frozen=True, eq=False, repr=False)
class UsageCounts:
    """Counts of exon bins, junctions or isoforms (`this`), and of what they are compared with (`others`).

    Made by `bayesde.read_usage`, `from_features` or `from_junctions`.

    Attributes
    ----------
    counts : Counts
        Of the features; its sample table is that of the analysis.
    others : numpy.ndarray, float64, (feature, sample)
        Counts of the other features of the gene, or of exclusion junctions; read-only.
    genes : pandas.Index of str (feature,)
    log_length_ratio : numpy.ndarray, float64, (feature,), or None
        Natural log of the effective length of inclusion over that of exclusion; None if these are not
        counts of junctions, and have no percent spliced in.
    """

    counts: Counts
    others: np.ndarray
    genes: pd.Index
    log_length_ratio: np.ndarray | None = None

    @classmethod
    def from_features(cls, counts: Counts, genes: Any = None) -> UsageCounts:
        """Compare each feature with the sum of the other features of its gene.

        Parameters
        ----------
        counts : Counts (feature, sample)
            Of exon bins, exons or isoforms.
        genes : sequence of str or pandas.Series (feature,), optional
            The gene of each feature; a Series is matched by name. By default the part of the feature's name
            before the last colon, as in DEXSeq's ``gene:bin``.

        Returns
        -------
        UsageCounts

        Raises
        ------
        InputError
            If genes are missing, or no gene has two features.
        """
        names = _genes_of(counts.genes, genes)
        codes, levels = pd.factorize(names)
        if len(levels) == len(names):
            raise InputError(
                f"every gene has a single feature, so that there is nothing to compare it with; features are "
                f"{first_few(counts.genes, 3)}, their genes {first_few(names, 3)}."
            )
        totals, this = np.zeros((len(levels), counts.n_samples)), counts.matrix.astype(np.float64)
        np.add.at(totals, codes, this)
        return cls(counts, _read_only(totals[codes] - this), names)

    @classmethod
    def from_junctions(
        cls, inclusion: Counts, exclusion: Any, genes: Any = None, lengths: pd.DataFrame | None = None
    ) -> UsageCounts:
        """Compare reads that include a part of a transcript with those that skip it.

        The percent spliced in of an event is (I / l_I) / (I / l_I + E / l_E), with the effective lengths l.

        Parameters
        ----------
        inclusion : Counts (event, sample)
        exclusion : Counts or pandas.DataFrame (event, sample)
            Of the same events and samples, matched by name.
        genes : sequence of str or pandas.Series (event,), optional
            The gene of each event; by default the part of its name before the last colon, or the whole name.
        lengths : pandas.DataFrame (event,), optional
            Columns ``inclusion`` and ``exclusion``: effective lengths, above 0; by default equal ones.

        Returns
        -------
        UsageCounts

        Raises
        ------
        InputError
            If events or samples do not match, or lengths are not above 0.
        """
        if not isinstance(exclusion, Counts):
            exclusion = Counts(exclusion)
        absent = inclusion.genes[~inclusion.genes.isin(exclusion.genes)]
        if len(absent):
            raise InputError(f"there are no exclusion counts of the event(s) {first_few(absent)}.")
        absent = inclusion.samples[~inclusion.samples.isin(exclusion.samples)]
        if len(absent):
            raise InputError(f"there are no exclusion counts of the sample(s) {first_few(absent)}.")
        others = exclusion.to_frame().loc[inclusion.genes, inclusion.samples].to_numpy(dtype=np.float64)
        ratio = np.zeros(inclusion.n_genes)
        if lengths is not None:
            wanted = ["inclusion", "exclusion"]
            if not isinstance(lengths, pd.DataFrame) or not set(wanted) <= set(lengths.columns):
                raise InputError(
                    "effective lengths are a table with the columns 'inclusion' and 'exclusion'."
                )
            known = matched_matrix(lengths, inclusion.genes, wanted, "effective lengths")
            ratio = np.log(known[:, 0]) - np.log(known[:, 1])
        names = _genes_of(inclusion.genes, genes, whole_name=True)
        return cls(inclusion, _read_only(others), names, _read_only(ratio))

    @property
    def features(self) -> pd.Index:
        """Names of the features."""
        return self.counts.genes

    @property
    def this(self) -> np.ndarray:
        """Counts of the features, float64 (feature, sample), a new array."""
        return self.counts.matrix.astype(np.float64)

    def __repr__(self) -> str:
        kind = "features" if self.log_length_ratio is None else "events"
        return (
            f"<UsageCounts: {len(self.features):,} {kind} of {self.genes.nunique():,} genes, "
            f"{self.counts.n_samples} samples; sample columns: "
            f"{', '.join(map(str, self.counts.sample_table.columns)) or 'none'}>"
        )


def _read_only(values: np.ndarray) -> np.ndarray:
    values = np.ascontiguousarray(values)
    values.flags.writeable = False
    return values


def _genes_of(features: pd.Index, genes: Any, *, whole_name: bool = False) -> pd.Index:
    """Return the gene of each feature."""
    if genes is None:
        parts = [str(name).rpartition(":") for name in features]
        without = [whole for (gene, _, whole) in parts if not gene]
        if without and not whole_name:
            raise InputError(
                f"the names of {len(without)} feature(s) have no gene before a colon, as in 'gene:E001': "
                f"{first_few(without)}; give the gene of each feature by genes=."
            )
        return pd.Index([gene or whole for gene, _, whole in parts], dtype=object, name="gene")
    if isinstance(genes, pd.Series):
        absent = features[~features.isin(genes.index)]
        if len(absent) or genes.index.has_duplicates:
            raise InputError(
                f"there is no gene for the feature(s) {first_few(absent)}."
                if len(absent)
                else "the genes name a feature twice; name each once."
            )
        genes = genes.loc[features]
    values = pd.Index(list(genes), dtype=object, name="gene")
    if len(values) != len(features):
        raise InputError(f"{len(values)} genes were given for {len(features)} features; give one a feature.")
    if values.isna().any() or (values.astype(str) == "").any():
        missing = features[np.asarray(values.isna()) | np.asarray(values.astype(str) == "")]
        raise InputError(f"there is no gene for the feature(s) {first_few(missing)}.")
    return pd.Index(values.astype(str), dtype=object, name="gene")
