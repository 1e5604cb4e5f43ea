"""Draws from a posterior, and what is known of them: what summaries and queries work on."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
import pandas as pd

from bayesde.design import Coding, Design
from bayesde.eb.fit import EbFit
from bayesde.model.density import ConditionalModel
from bayesde.model.hyperparameters import Hyperparameters
from bayesde.posterior.draws.gene_draws import GeneDraws
from bayesde.posterior.left_out_counts import without_counts
from bayesde.posterior.request import Request

__all__ = ["PosteriorData", "PosteriorT"]


@dataclass(frozen=True, eq=False, repr=False)
class PosteriorData:
    """Draws from the posterior, and what is known of them.

    `bayesde.posterior.posterior.Posterior`, which inherits from it, describes the attributes.
    """

    gene_draws: GeneDraws
    hyperparameters: Hyperparameters
    diagnostics: pd.DataFrame
    engine: str
    request: Request
    shared: dict[str, np.ndarray]
    statistics: dict[str, np.ndarray] = field(default_factory=dict)
    left_out: pd.DataFrame | None = None
    outliers: pd.DataFrame | None = None

    @cached_property
    def recoded(self) -> dict[Any, Any]:
        """The same posterior with the priors of other reference levels, where it has been asked for."""
        return {}

    @property
    def design(self) -> Design:
        """The design, with its random effects."""
        return self.request.design

    @property
    def coding(self) -> Coding:
        """The coefficients that were sampled, and those of the design as maps of them."""
        return self.request.coding

    @property
    def eb(self) -> EbFit:
        """The empirical-Bayes fit: normalization, starting values and, where fixed, hyperparameters."""
        return self.request.fit

    @property
    def genes(self) -> pd.Index:
        """Names of the genes that were sampled, in the order of `gene_draws`."""
        return self.eb.counts.genes[self.request.rows]

    @cached_property
    def left_out_at(self) -> tuple[np.ndarray, np.ndarray]:
        """Which counts the posterior was made without: positions of sampled genes and of samples, sorted."""
        if self.left_out is None:
            return np.empty(0, dtype=np.intp), np.empty(0, dtype=np.intp)
        gene = self.genes.get_indexer(pd.Index(self.left_out["gene"]))
        sample = pd.Index(self.design.samples).get_indexer(pd.Index(self.left_out["sample"]))
        return tuple(np.unique(np.stack([gene, sample]), axis=1))

    def left_out_of(self, rows: np.ndarray | slice) -> np.ndarray:
        """Return which counts of some genes the posterior was made without.

        Parameters
        ----------
        rows : ndarray of int (gene,) or slice
            Positions among the sampled genes.

        Returns
        -------
        ndarray of bool (gene, sample)
        """
        gene, sample = self.left_out_at
        chosen = np.arange(self.gene_draws.n_genes)[rows]
        mask = np.zeros((chosen.size, self.design.n_samples), dtype=bool)
        first, last = (np.searchsorted(gene, chosen, side) for side in ("left", "right"))
        for row in np.flatnonzero(last > first):
            mask[row, sample[first[row] : last[row]]] = True
        return mask

    @property
    def left_out_mask(self) -> np.ndarray:
        """Which counts the posterior was made without, ndarray of bool (sampled gene, sample)."""
        return self.left_out_of(slice(None))

    def weights_of(self, contrast: Any) -> np.ndarray:
        """Return the weights of a contrast for the coefficients that were sampled.

        Parameters
        ----------
        contrast : optional
            Whatever ``design.contrast`` takes.

        Returns
        -------
        ndarray (sampled coefficient,)
        """
        return self.coding.vector(self.design.contrast(contrast).vector)

    def model(self, hyper: Hyperparameters | None = None) -> ConditionalModel:
        """Return data and priors of the sampled genes, without the counts that were left out.

        Parameters
        ----------
        hyper : Hyperparameters, optional
            By default their posterior means.

        Returns
        -------
        ConditionalModel
        """
        hyper = hyper or self.hyperparameters
        model = self.request.model(self.request.rows, hyper)
        return model if self.left_out is None else without_counts(model, self.left_out_mask, hyper)

    def observed(self, rows: np.ndarray | slice, hyper: Hyperparameters | None = None) -> ConditionalModel:
        """Return data and priors of some genes, with every count that was observed.

        Parameters
        ----------
        rows : ndarray of int (gene,) or slice
            Positions among the sampled genes.
        hyper : Hyperparameters, optional
            By default those of the request.

        Returns
        -------
        ConditionalModel
        """
        return self.request.model(self.request.rows[rows], hyper)

    def seeds(self, rows: np.ndarray | slice) -> np.ndarray:
        """Return the seeds of some genes.

        Parameters
        ----------
        rows : ndarray of int (gene,) or slice
            Positions among the sampled genes.

        Returns
        -------
        ndarray of uint32 (gene,)
        """
        return self.request.seeds(self.request.rows[rows])


PosteriorT = TypeVar("PosteriorT", bound=PosteriorData)
"""Functions that make another posterior of one return the class that they are given."""
