import numpy as np
import pytest
from scipy.stats import trim_mean

from bayesde.eb.block import GeneBlock
from bayesde.eb.moments import moments, trimmed_mean
from bayesde.eb.regression.design_layout import DesignLayout

DESIGN = np.column_stack([np.ones(7), np.arange(7) % 2.0])


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("shared", [False, True])
def test_moments_are_those_of_their_formulas(weighted, shared):
    rng = np.random.default_rng(3)
    counts = rng.negative_binomial(3, 0.05, (40, 7)).astype(float)
    factors = rng.uniform(0.5, 2.0, (1 if shared else 40, 7))
    weights = rng.uniform(0.2, 3.0, counts.shape) if weighted else None
    block = GeneBlock.of(counts, np.broadcast_to(factors, counts.shape), weights)
    found = moments(block, DesignLayout.of(DESIGN).basis)
    q = counts / factors
    counted = q if weights is None else q * weights
    np.testing.assert_allclose(found.mean, counted.mean(axis=1), rtol=1e-13)
    np.testing.assert_allclose(found.variance, counted.var(axis=1, ddof=1), rtol=1e-12)
    fitted = np.maximum(DESIGN @ np.linalg.lstsq(DESIGN, q.T, rcond=None)[0], 1.0).T
    rough = (((q - fitted) ** 2 - fitted) / fitted**2).sum(axis=1) / (7 - 2)
    np.testing.assert_allclose(found.rough_dispersion, np.maximum(rough, 0.0), rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("share", [0.0, 1e-3, 0.2, 0.25, 1.0 / 3.0])
def test_trimmed_mean_is_that_of_scipy(share):
    values = np.random.default_rng(5).lognormal(size=(6, 9))
    np.testing.assert_allclose(trimmed_mean(values, share), trim_mean(values, share, axis=1), rtol=1e-14)
    assert trimmed_mean(values[0], share) == pytest.approx(trim_mean(values[0], share), rel=1e-14)
