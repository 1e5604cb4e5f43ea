"""The bias of one library: models of both ends of its fragments, and what follows for genes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from bayesde.bias.fragments import FragmentLaw, fragments
from bayesde.bias.judging import Information, joined, position_table, start_information
from bayesde.bias.lengths import EffectiveLengths, effective_lengths
from bayesde.bias.models.interface import BiasModel, perplexity
from bayesde.bias.models.training import train
from bayesde.bias.options import BiasOptions
from bayesde.bias.reading.genome import UNKNOWN
from bayesde.bias.reading.places import Places, Starts
from bayesde.bias.samples import DistinctStarts, Sequences, distinct_starts, draw_sequences
from bayesde.errors import InputError

__all__ = ["EndBias", "LibraryBias", "fit_library"]

_AT_ONCE = 500_000


@dataclass(frozen=True, eq=False)
class EndBias:
    """The bias of the starts of first or of second reads.

    Attributes
    ----------
    model : BiasModel
    n_starts : int
        Number of distinct starts.
    held_out : Sequences
        Sequences that the model was not fitted to.
    information : Information
        About starts, on these.
    perplexity : float
        Of the foreground, on these.
    positions : pandas.DataFrame (position, column)
        See `bayesde.bias.judging.position_table`.
    """

    model: BiasModel
    n_starts: int
    held_out: Sequences
    information: Information
    perplexity: float
    positions: pd.DataFrame


@dataclass(frozen=True, eq=False)
class LibraryBias:
    """The bias of one library.

    Attributes
    ----------
    name : str
    ends : dict of str to EndBias
        ``first``, and ``second`` of paired reads.
    law : FragmentLaw
    starts : Starts
        Of all reads in genes.
    lengths : EffectiveLengths
    n_reads : int
        Number of uniquely mapped reads.
    left_out : dict of str to int
        Number of other reads by reason.
    """

    name: str
    ends: Mapping[str, EndBias]
    law: FragmentLaw
    starts: Starts
    lengths: EffectiveLengths
    n_reads: int
    left_out: Mapping[str, int]

    @property
    def models(self) -> dict[str, BiasModel]:
        """The models by end."""
        return {name: end.model for name, end in self.ends.items()}

    def counts(self, places: Places) -> np.ndarray:
        """Return the number of fragments that start in each gene.

        Parameters
        ----------
        places : Places

        Returns
        -------
        ndarray int64 (gene,)
        """
        gene = places.gene_of(self.starts.position[fragments(self.starts)])
        return np.bincount(gene, minlength=len(places.names))

    def reweighted_counts(self, places: Places) -> np.ndarray:
        """Return the numbers of fragments, each weighted by 1 / bias.

        Parameters
        ----------
        places : Places

        Returns
        -------
        ndarray (gene,)
            With the same sum as the numbers themselves.
        """
        bias = self.start_bias(places)
        chosen = fragments(self.starts)
        mate = self.starts.mate[chosen]
        weights = 1.0 / (bias[chosen] * np.where(mate >= 0, bias[mate], 1.0))
        gene = places.gene_of(self.starts.position[chosen])
        sums = np.bincount(gene, weights, minlength=len(places.names))
        return np.asarray(sums * (chosen.size / sums.sum()))

    def start_bias(self, places: Places) -> np.ndarray:
        """Return the bias of every read's start.

        Parameters
        ----------
        places : Places

        Returns
        -------
        ndarray (start,)
            1 where a base around it is unknown.
        """
        bias = np.ones(self.starts.position.size)
        for name, end in self.ends.items():
            ours = np.flatnonzero(self.starts.second == (name == "second"))
            for low in range(0, ours.size, _AT_ONCE):
                some = ours[low : low + _AT_ONCE]
                found = places.contexts(
                    self.starts.position[some], self.starts.reverse[some], end.model.window
                )
                known = (found != UNKNOWN).all(axis=1)
                bias[some[known]] = np.exp(end.model.log_bias(found[known]))
        return bias


def fit_library(
    name: str,
    starts: Starts,
    places: Places,
    law: FragmentLaw,
    options: BiasOptions,
    reads: Mapping[str, int],
) -> LibraryBias:
    """Fit the models of a library and compute effective lengths.

    Parameters
    ----------
    name : str
        Of the library.
    starts : Starts
    places : Places
    law : FragmentLaw
    options : BiasOptions
    reads : mapping of str to int
        Number of reads that were used (``used``), and of others by reason.

    Returns
    -------
    LibraryBias

    Raises
    ------
    InputError
        If there are too few distinct starts.
    """
    rng = np.random.default_rng(options.seed)
    ends = {"first": False, "second": True} if starts.second.any() else {"first": False}
    fitted = {
        end: _fit_end(
            name,
            end,
            distinct_starts(starts, places, options, rng, second=second),
            places,
            options,
            rng,
        )
        for end, second in ends.items()
    }
    known = {end: one.model for end, one in fitted.items() if law.paired or end == "first"}
    lengths = effective_lengths(known, places, law)
    left_out = {reason: number for reason, number in reads.items() if reason != "used"}
    return LibraryBias(name, fitted, law, starts, lengths, reads["used"], left_out)


def _fit_end(
    name: str,
    end: str,
    distinct: DistinctStarts,
    places: Places,
    options: BiasOptions,
    rng: np.random.Generator,
) -> EndBias:
    """Fit the model of one end."""
    if distinct.position.size < options.min_starts:
        raise InputError(
            f"the library '{name}' has {distinct.position.size:,} distinct starts of {end} reads in genes; "
            f"at least {options.min_starts:,} are needed to fit a model of bias (min_starts). Leave the "
            "library out, or check that reads, genome and annotation belong together."
        )
    split = draw_sequences(distinct, places, options, rng)
    model = train(split, options, rng)
    uses_validation = options.model in ("gru", "lstm")
    held_out = split.test if uses_validation else joined(split.validation, split.test)
    return EndBias(
        model=model,
        n_starts=split.n_starts,
        held_out=held_out,
        information=start_information(model, held_out),
        perplexity=perplexity(model.foreground, held_out.foreground),
        positions=pd.DataFrame(position_table(model, split)),
    )
