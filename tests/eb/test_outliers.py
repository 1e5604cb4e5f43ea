import numpy as np
import pytest
import statsmodels.api as sm
from scipy.stats import f as f_distribution
from scipy.stats import trim_mean

from bayesde.eb.block import GeneBlock
from bayesde.eb.outliers import (
    cooks_cutoff,
    cooks_distances,
    count_outliers,
    fitted_block,
    replaceable_samples,
    replaced_counts,
    robust_dispersion,
    summarize_cooks,
)
from bayesde.eb.regression.design_layout import DesignLayout
from bayesde.eb.regression.glm import fit_glm, fitted_means

LAYOUT = DesignLayout.of(np.column_stack([np.ones(8), np.repeat([0.0, 1.0], 4)]))
COUNTS = np.array([[20, 23, 18, 21, 40, 44, 39, 900], [20, 23, 18, 21, 40, 44, 39, 41]], dtype=float)
NONE = np.zeros(8, dtype=bool)


def block_of(counts):
    return GeneBlock.of(counts, np.broadcast_to(np.ones(counts.shape[1]), counts.shape))


def reference_robust_dispersion(q, layout):
    """Trimmed variances of the cells with at least three samples, by SciPy."""
    variances = []
    for c, n in enumerate(layout.cells.size):
        trim, scale = (1 / 3, 2.04) if n <= 3 else (0.25, 1.86) if n <= 23 else (0.125, 1.51)
        if n >= 3:
            members = q[layout.cells.of_sample == c]
            variances.append(scale * trim_mean((members - trim_mean(members, trim)) ** 2, trim))
    if not variances:
        variances = [1.51 * trim_mean((q - trim_mean(q, 0.125)) ** 2, 0.125)]
    return max((max(variances) - q.mean()) / q.mean() ** 2, 0.04)


@pytest.mark.parametrize("sizes", [(3, 3), (4, 9), (24, 30), (60, 45), (1, 2, 2), (2, 5)])
def test_robust_dispersion_is_the_largest_of_the_cells(sizes):
    cell = np.repeat(np.arange(len(sizes)), sizes)
    layout = DesignLayout.of(np.column_stack([np.ones(cell.size), np.eye(len(sizes))[cell][:, 1:]]))
    q = np.random.default_rng(2).lognormal(4.0, 1.0, cell.size)
    assert robust_dispersion(q, layout.cells) == pytest.approx(
        reference_robust_dispersion(q, layout), rel=1e-12
    )


def test_cooks_distance_follows_its_formula():
    dispersion = np.array([0.3, 0.05])
    fit = fit_glm(COUNTS, np.ones_like(COUNTS), LAYOUT, dispersion)
    ours = cooks_distances(block_of(COUNTS), LAYOUT, fitted_block(LAYOUT, fit, dispersion))
    mu = fitted_means(fit.beta, np.ones_like(COUNTS), LAYOUT.matrix)
    for g in range(2):
        family = sm.families.NegativeBinomial(alpha=dispersion[g])
        leverage = sm.GLM(COUNTS[g], LAYOUT.matrix, family=family).fit().get_hat_matrix_diag(observed=False)
        variance = mu[g] + reference_robust_dispersion(COUNTS[g], LAYOUT) * mu[g] ** 2
        by_hand = (COUNTS[g] - mu[g]) ** 2 / variance / 2 * leverage / (1 - leverage) ** 2
        assert np.allclose(ours[g], by_hand, rtol=1e-3)


def flagged(counts, dispersion, *, two_groups, layout=LAYOUT, replaceable=NONE):
    block = block_of(counts)
    fit = fit_glm(counts, block.factors, layout, dispersion)
    summary = summarize_cooks(block, layout, fitted_block(layout, fit, dispersion), replaceable)
    return count_outliers(summary, layout, two_groups=two_groups).tolist()


def test_one_wild_count_is_flagged_unless_larger_ones_stand_beside_it():
    assert flagged(COUNTS, np.array([0.3, 0.05]), two_groups=True) == [True, False]
    low = np.array([[5, 6, 4, 400, 940, 900, 905, 890]], dtype=float)
    assert flagged(low, np.array([0.01]), two_groups=False) == [True]
    assert flagged(low, np.array([0.01]), two_groups=True) == [False]


def test_the_summary_is_that_of_the_distances():
    dispersion, block = np.array([0.3, 0.05]), block_of(COUNTS)
    fit = fit_glm(COUNTS, block.factors, LAYOUT, dispersion)
    cooks = cooks_distances(block, LAYOUT, fitted_block(LAYOUT, fit, dispersion))
    summary = summarize_cooks(block, LAYOUT, fitted_block(LAYOUT, fit, dispersion), NONE)
    assert np.array_equal(summary.largest, cooks.max(axis=1))
    assert np.array_equal(summary.excessive, (cooks > cooks_cutoff(LAYOUT)).any(axis=1))
    assert summary.n_larger.tolist() == [
        int(np.sum(y > y[top])) for y, top in zip(COUNTS, cooks.argmax(axis=1), strict=True)
    ]


def test_the_cutoff_is_a_quantile_of_f():
    assert cooks_cutoff(LAYOUT) == pytest.approx(f_distribution.ppf(0.99, 2, 6), rel=1e-12)


def test_excessive_counts_become_what_their_replicates_say():
    layout = DesignLayout.of(np.column_stack([np.ones(14), np.repeat([0.0, 1.0], 7)]))
    counts = np.full((1, 14), 30.0) + np.arange(14)
    counts[0, 3] = 5000.0
    factors = np.linspace(0.5, 2.0, 14)
    block = GeneBlock.of(counts, np.broadcast_to(factors, counts.shape))
    fit = fit_glm(counts, block.factors, layout, np.array([0.1]))
    fitted = fitted_block(layout, fit, np.array([0.1]))
    cooks = cooks_distances(block, layout, fitted)
    assert replaceable_samples(layout).all()
    assert not replaceable_samples(layout, 8).any()
    assert not replaceable_samples(layout, None).any()
    new = replaced_counts(block, cooks, layout, replaceable_samples(layout))
    assert (
        np.flatnonzero(new != counts).tolist() == np.flatnonzero(cooks > cooks_cutoff(layout)).tolist() == [3]
    )
    assert new[0, 3] == np.trunc(trim_mean(counts[0] / factors, 0.2) * factors[3])
    summary = summarize_cooks(block, layout, fitted, replaceable_samples(layout))
    assert summary.excessive.tolist() == [True]
    assert np.isnan(summary.largest).all()  # nothing is held against a gene whose every count can be replaced


def test_without_three_replicates_nothing_is_judged():
    layout = DesignLayout.of(np.column_stack([np.ones(4), [0, 0, 1, 1]]).astype(float))
    counts = COUNTS[:, 2:6].copy()
    block = block_of(counts)
    fit = fit_glm(counts, block.factors, layout, np.array([0.1, 0.1]))
    fitted = fitted_block(layout, fit, np.array([0.1, 0.1]))
    assert np.isnan(summarize_cooks(block, layout, fitted, NONE[:4]).largest).all()
