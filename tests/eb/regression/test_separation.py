import numpy as np
import pytest

from bayesde.eb.regression.design_layout import DesignLayout
from bayesde.eb.regression.separation import separated_genes

GROUPS = DesignLayout.of(np.column_stack([np.ones(6), np.repeat([0.0, 1.0], 3)]))
SLOPE = DesignLayout.of(np.column_stack([np.ones(6), np.arange(6.0)]))


@pytest.mark.parametrize(
    ("layout", "counts", "separated"),
    [
        (GROUPS, [0, 0, 0, 1, 2, 3], True),
        (GROUPS, [0, 0, 1, 1, 2, 3], False),
        (GROUPS, [4, 5, 6, 1, 2, 3], False),
        (SLOPE, [0, 0, 0, 0, 0, 7], True),  # the likelihood grows with the slope
        (SLOPE, [0, 0, 7, 0, 0, 0], False),  # zeros on both sides hold it
        (SLOPE, [0, 0, 7, 0, 0, 2], False),
    ],
)
def test_separation_is_found(layout, counts, separated):
    assert separated_genes(np.array([counts], dtype=float), layout).tolist() == [separated]


def test_two_factors():
    a, b = np.tile([0.0, 1.0], 4), np.repeat([0.0, 1.0], 4)
    layout = DesignLayout.of(np.column_stack([np.ones(8), a, b]))
    only_one_cell = np.where((a == 1.0) & (b == 1.0), 9.0, 0.0)
    never_with_b = np.where(b == 1.0, 0.0, 9.0)
    a_cell_is_empty = np.where((a == 1.0) & (b == 1.0), 0.0, 9.0)
    counts = np.stack([only_one_cell, never_with_b, a_cell_is_empty])
    assert separated_genes(counts, layout).tolist() == [True, True, False]
