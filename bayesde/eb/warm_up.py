"""Compile the later steps of point estimates ahead of time, by calling them on a tiny data set.

``python -m bayesde.eb.warm_up`` leaves these compiled loops in numba's cache, so that a first run, which
comes to them last, need not compile them itself. They are called as a run calls them, with arrays of the same
types and layouts, which `tests/eb/test_warm_up.py` checks.
"""

from __future__ import annotations

import numpy as np

from bayesde.counts import Counts
from bayesde.eb.block import GeneBlock
from bayesde.eb.outliers import fitted_block, replaceable_samples, summarize_cooks
from bayesde.eb.regression.design_layout import DesignLayout
from bayesde.eb.regression.glm import GlmFit, contrast_standard_errors
from bayesde.eb.shrinkage.apeglm import shrink_coefficient

__all__ = ["warm_up"]

GENES, SAMPLES = 2, 4


def warm_up() -> None:
    """Compile the kernels of shrunken effects, Cook's distances and errors of contrasts, or load them."""
    rows = Counts(np.tile([10, 12, 30, 28], (GENES, 1))).rows(slice(0, GENES))
    factors = np.broadcast_to(np.ones(SAMPLES), (GENES, SAMPLES))
    layout = DesignLayout.of(np.column_stack([np.ones(SAMPLES), np.array([0.0, 0.0, 1.0, 1.0])]))
    beta, dispersion = np.tile([2.4, 1.0], (GENES, 1)), np.full(GENES, 0.1)
    shrink_coefficient(rows, factors, layout.matrix, dispersion, beta.copy(), (1,), 0.5)
    fine = np.ones(GENES, dtype=bool)
    glm = GlmFit(beta, np.full(beta.shape, 0.2), fine, ~fine, beta)
    block = GeneBlock.of(rows, factors)
    summarize_cooks(block, layout, fitted_block(layout, glm, dispersion), replaceable_samples(layout))
    contrast_standard_errors(beta, factors, layout, dispersion, np.array([0.0, 1.0]))


if __name__ == "__main__":
    warm_up()
