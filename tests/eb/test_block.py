import numpy as np
import pytest

from bayesde.eb.block import GeneBlock, shared_row
from bayesde.numerics.threads import SMALLEST_SHARE, over_genes


def test_a_broadcast_row_of_factors_stays_one_row():
    factors = np.arange(1.0, 4.0)
    assert np.array_equal(shared_row(np.broadcast_to(factors, (5, 3))), factors[None, :])
    assert shared_row(np.broadcast_to(factors, (5, 3)).copy()).shape == (5, 3)


def test_weights_are_relative_to_the_largest_of_the_gene():
    weights = np.array([[0.5, 0.25, 0.0], [3.0, 1.0, 2.0]])
    block = GeneBlock.of(np.ones((2, 3), dtype=np.int32), np.ones((2, 3)), weights)
    assert block.counts.dtype == np.float64
    assert np.array_equal(block.weights.max(axis=1), [1.0, 1.0])
    np.testing.assert_allclose(block.weights * block.weight_scale[:, None], weights, rtol=1e-15)
    assert block.with_weights_above(0.4).weights.min() == 0.4


@pytest.mark.parametrize("rows", [np.array([2, 0]), np.array([True, False, True])])
def test_some_genes_of_a_block(rows):
    rng = np.random.default_rng(0)
    counts, factors, weights = rng.uniform(1.0, 2.0, (3, 3, 4))
    some, plain = (
        GeneBlock.of(counts, factors, weights).take(rows),
        GeneBlock.of(counts, factors[:1]).take(rows),
    )
    assert np.array_equal(some.counts, counts[rows])
    assert np.array_equal(some.factors, factors[rows])
    assert np.array_equal(some.weight_scale, weights[rows].max(axis=1))
    assert plain.factors.shape == (1, 4)
    assert plain.weights.size == 0
    assert plain.with_counts(counts[:2] + 1.0).counts.sum() == counts[:2].sum() + 8.0


@pytest.mark.parametrize("n_genes", [0, 1, SMALLEST_SHARE, 7 * SMALLEST_SHARE + 3])
def test_every_gene_is_visited_once(n_genes):
    visits = np.zeros(n_genes, dtype=int)

    def count(first, last, out):
        out[first:last] += 1

    over_genes(count, n_genes, visits)
    assert (visits == 1).all()


def test_what_goes_wrong_in_a_thread_is_raised():
    def fail(first, last):
        raise ArithmeticError(f"{first} to {last}")

    with pytest.raises(ArithmeticError):
        over_genes(fail, 3 * SMALLEST_SHARE)
