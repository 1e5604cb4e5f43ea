"""What a unit of work has to be able to do, to be carried out anywhere and in smaller pieces."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from bayesde.posterior.storage.block_folders import BlockResult

__all__ = ["Task"]


class Task(Protocol):
    """Genes to sample, with everything that it takes; it can be pickled."""

    @property
    def rows(self) -> np.ndarray:
        """Which genes of the model."""

    def run(self) -> BlockResult:
        """Sample the genes."""

    def parts(self) -> Sequence[Task]:
        """Divide the genes among smaller tasks; none for a single gene."""

    def joined(self, results: Sequence[BlockResult]) -> BlockResult:
        """Put the results of the parts together.

        Parameters
        ----------
        results : sequence of BlockResult
            In the order of `parts`.

        Returns
        -------
        BlockResult
        """

    def without_draws(self) -> BlockResult:
        """Return what stands for genes that cannot be sampled."""
