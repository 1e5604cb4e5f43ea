import numpy as np
import pytest
import statsmodels.api as sm

from bayesde.eb.glm import fit_glm
from bayesde.eb.outliers import cells_of, cooks_distances, max_cooks, outlier_genes, robust_dispersions

DESIGN = np.column_stack([np.ones(8), np.repeat([0.0, 1.0], 4)])
COUNTS = np.array([[20, 23, 18, 21, 40, 44, 39, 900], [20, 23, 18, 21, 40, 44, 39, 41]], dtype=float)
ONES = np.ones_like(COUNTS)


def flagged(counts, cooks, *, two_groups):
    largest = max_cooks(cooks, DESIGN, replaced=False)
    return outlier_genes(counts, cooks, largest, DESIGN, two_groups=two_groups)


def test_cells_are_equal_rows_of_the_design():
    cell, size = cells_of(DESIGN)
    assert cell.tolist() == [0, 0, 0, 0, 1, 1, 1, 1]
    assert size.tolist() == [4] * 8


def test_cooks_distance_follows_its_formula():
    dispersion = np.array([0.3, 0.05])
    fit = fit_glm(COUNTS, ONES, DESIGN, dispersion)
    ours = cooks_distances(COUNTS, ONES, DESIGN, fit.mu, fit.leverage)
    robust = robust_dispersions(COUNTS, DESIGN)
    for g in range(2):
        family = sm.families.NegativeBinomial(alpha=dispersion[g])
        leverage = sm.GLM(COUNTS[g], DESIGN, family=family).fit().get_hat_matrix_diag(observed=False)
        variance = fit.mu[g] + robust[g] * fit.mu[g] ** 2
        by_hand = (COUNTS[g] - fit.mu[g]) ** 2 / variance / 2 * leverage / (1 - leverage) ** 2
        assert np.allclose(ours[g], by_hand, rtol=1e-3)


def test_one_wild_count_is_flagged_unless_larger_ones_stand_beside_it():
    fit = fit_glm(COUNTS, ONES, DESIGN, np.array([0.3, 0.05]))
    cooks = cooks_distances(COUNTS, ONES, DESIGN, fit.mu, fit.leverage)
    assert flagged(COUNTS, cooks, two_groups=True).tolist() == [True, False]
    low = np.array([[5, 6, 4, 400, 940, 900, 905, 890]], dtype=float)
    fit = fit_glm(low, ONES[:1], DESIGN, np.array([0.01]))
    cooks = cooks_distances(low, ONES[:1], DESIGN, fit.mu, fit.leverage)
    assert flagged(low, cooks, two_groups=False).tolist() == [True]
    assert flagged(low, cooks, two_groups=True).tolist() == [False]


def test_robust_dispersion_ignores_the_outlier():
    robust = robust_dispersions(COUNTS, DESIGN)
    assert robust == pytest.approx([0.04, 0.04])


def test_without_three_replicates_nothing_is_judged():
    design = np.column_stack([np.ones(4), [0, 0, 1, 1]]).astype(float)
    assert np.isnan(max_cooks(np.ones((3, 4)), design, replaced=False)).all()
