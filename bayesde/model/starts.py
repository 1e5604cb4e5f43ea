"""Where searches for the modes of genes start, and the seeds of the genes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

__all__ = ["Starts"]


@dataclass(frozen=True, eq=False)
class Starts:
    """Where the searches for the genes' modes start, and the genes' seeds.

    Attributes
    ----------
    beta : ndarray (gene, coefficient)
    log_dispersion : ndarray (gene,)
    seeds : ndarray of uint32 (gene,)
    """

    beta: np.ndarray
    log_dispersion: np.ndarray
    seeds: np.ndarray

    def genes(self, rows: np.ndarray) -> Starts:
        """Take some of the genes.

        Parameters
        ----------
        rows : ndarray of int
            Positions.
        """
        return Starts(self.beta[rows], self.log_dispersion[rows], self.seeds[rows])
