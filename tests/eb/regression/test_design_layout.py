import numpy as np

from bayesde.eb.regression.design_layout import DesignLayout


def test_samples_of_equal_rows_share_a_cell():
    layout = DesignLayout.of(np.column_stack([np.ones(5), [0.0, 1.0, 0.0, 1.0, 2.0]]))
    assert layout.cells.of_sample.tolist() == [0, 1, 0, 1, 2]
    assert layout.cells.size.tolist() == [2, 2, 1]
    assert np.array_equal(layout.cells.rows[layout.cells.of_sample], layout.matrix)
    assert layout.cells.order.tolist() == [0, 2, 1, 3, 4]
    assert layout.cells.bounds.tolist() == [0, 2, 4, 5]


def test_rounding_errors_make_no_cells():
    values = np.array([0.1 + 0.2, 0.3, 1.0, 1.0])
    assert values[0] != values[1]
    assert DesignLayout.of(np.column_stack([np.ones(4), values])).cells.size.tolist() == [2, 2]


def test_projections_are_least_squares():
    x = np.random.default_rng(0).normal(size=(9, 3))
    v = np.random.default_rng(1).normal(size=9)
    layout = DesignLayout.of(x)
    expected = np.linalg.lstsq(x, v, rcond=None)[0]
    assert np.allclose(layout.to_beta @ v, expected, rtol=1e-12)
    assert np.allclose(layout.basis @ (layout.basis.T @ v), x @ expected, rtol=1e-12)


def test_a_coefficient_for_every_cell_saturates():
    two = np.column_stack([np.ones(4), [0.0, 0.0, 1.0, 1.0]])
    slope = np.column_stack([np.ones(4), [0.0, 1.0, 2.0, 2.0]])
    assert DesignLayout.of(two).saturated
    assert not DesignLayout.of(slope).saturated
    assert DesignLayout.of(np.ones((4, 1))).is_intercept
    assert not DesignLayout.of(two).is_intercept
