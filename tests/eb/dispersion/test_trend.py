import warnings

import numpy as np
import pytest
import statsmodels.api as sm

from bayesde.eb.dispersion import prior as dispersion_prior
from bayesde.eb.dispersion import trend
from bayesde.eb.dispersion.local_trend import fit_local_curve
from bayesde.eb.dispersion.prior import fit_dispersion_prior
from bayesde.eb.dispersion.trend import DispersionTrend, fit_trend
from bayesde.errors import BayesdeWarning


def dispersions(n_genes=3000, seed=8, sd=0.6):
    rng = np.random.default_rng(seed)
    mean = rng.lognormal(5.0, 2.0, n_genes)
    return (0.05 + 3.0 / mean) * np.exp(rng.normal(0.0, sd, n_genes)), mean


def test_gamma_regression_equals_that_of_statsmodels():
    dispersion, mean = dispersions()
    columns = np.column_stack([np.ones_like(mean), 1.0 / mean])
    ours, converged = trend._gamma_regression(dispersion, columns, np.array([0.1, 1.0]))
    family = sm.families.Gamma(link=sm.families.links.Identity())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that the identity link allows negative means
        other = sm.GLM(dispersion, columns, family=family).fit(start_params=[0.1, 1.0], tol=1e-12)
    assert converged
    assert np.allclose(ours, other.params, rtol=1e-5)


def test_parametric_trend_recovers_the_truth():
    dispersion, mean = dispersions(sd=0.3)
    fitted = fit_trend("parametric", dispersion, mean)
    inflation = np.exp(0.3**2 / 2.0)  # the regression is for the mean of log-normal dispersions
    assert fitted.asymptotic_dispersion == pytest.approx(0.05 * inflation, rel=0.03)
    assert fitted.extra_poisson == pytest.approx(3.0 * inflation, rel=0.05)
    assert np.allclose(fitted(mean), fitted.asymptotic_dispersion + fitted.extra_poisson / mean)


def test_far_genes_do_not_shape_the_trend():
    dispersion, mean = dispersions(sd=0.3)
    clean = fit_trend("parametric", dispersion, mean)
    dispersion[:50] *= 1e4
    dirty = fit_trend("parametric", dispersion, mean)
    assert dirty.asymptotic_dispersion == pytest.approx(clean.asymptotic_dispersion, rel=0.05)


def test_constant_trend_is_the_trimmed_mean():
    dispersion = np.concatenate([[1e-8] * 5, np.linspace(0.1, 0.3, 1000), [9.0]])
    fitted = fit_trend("mean", dispersion, np.ones(dispersion.size))
    assert fitted.asymptotic_dispersion == pytest.approx(np.sort(dispersion)[6:-1].mean())
    assert np.all(fitted(np.array([1.0, 100.0])) == fitted.asymptotic_dispersion)


def test_a_trend_that_cannot_be_falls_back_and_says_so():
    rising = np.linspace(0.01, 1.0, 200)
    with pytest.warns(BayesdeWarning, match="the local trend was used instead"):
        fitted = fit_trend("parametric", rising**3, 10.0 * rising)
    assert fitted.kind == "local"
    assert np.allclose(fitted(10.0 * rising), rising**3, rtol=0.2)
    with pytest.warns(BayesdeWarning, match="the mean trend was used instead"):
        assert fit_trend("local", rising[:5], rising[:5]).kind == "mean"


def test_without_extra_poisson_noise_dispersions_are_next_to_zero():
    with pytest.warns(BayesdeWarning, match="more than Poisson noise"):
        fitted = fit_trend("parametric", np.full(5, 1e-8), np.ones(5))
    assert fitted(np.ones(2)).tolist() == [1e-8, 1e-8]


def test_local_curve_reproduces_a_quadratic_and_goes_on_beyond_it():
    x = np.sort(np.random.default_rng(2).uniform(0.0, 10.0, 300))
    curve = fit_local_curve(x, 1.0 - 0.5 * x + 0.1 * x**2, np.exp(x / 5.0))
    beyond = np.linspace(-2.0, 12.0, 50)
    assert np.allclose(curve(beyond), 1.0 - 0.5 * beyond + 0.1 * beyond**2, atol=1e-8)


def test_local_curve_is_smooth_between_its_vertices():
    rng = np.random.default_rng(3)
    x = rng.uniform(0.0, 10.0, 2000)
    curve = fit_local_curve(x, np.sin(x) + rng.normal(0.0, 0.1, x.size), np.ones(x.size))
    for vertex in curve.vertices[1:-1]:
        h = 1e-6
        left, right = curve(np.array([vertex - h])), curve(np.array([vertex + h]))
        assert abs(left - right)[0] < 1e-4
        slope_left = (curve(np.array([vertex - h])) - curve(np.array([vertex - 2 * h]))) / h
        slope_right = (curve(np.array([vertex + 2 * h])) - curve(np.array([vertex + h]))) / h
        assert abs(slope_left - slope_right)[0] < 1e-3


def test_prior_width_takes_sampling_noise_off():
    rng = np.random.default_rng(4)
    df, sd = 20, 0.9
    noisy = np.exp(rng.normal(0.0, sd, 20000)) * rng.chisquare(df, 20000) / df
    prior = fit_dispersion_prior(noisy, np.ones(20000), df)
    assert prior.prior_var == pytest.approx(sd**2, rel=0.05)  # three standard errors of a squared MAD
    assert prior.residual_var > prior.prior_var


@pytest.mark.parametrize("df", [1, 2, 3])
def test_prior_width_by_simulation_finds_the_width_that_was_simulated(df):
    rng = np.random.default_rng(10 + df)
    noisy = np.exp(rng.normal(0.0, 1.2, 30000)) * rng.chisquare(df, 30000) / df
    prior = fit_dispersion_prior(noisy, np.ones(30000), df)
    assert prior.prior_var == pytest.approx(1.44, rel=0.15)


def test_simulated_histograms_are_densities():
    for df in (1, 2, 3):
        densities = dispersion_prior._simulated_densities(df)
        assert densities.shape == (200, 40)
        assert np.allclose(densities.sum(axis=1) * 0.5, 1.0, atol=1e-12)


def test_flat_dispersions_get_the_narrowest_prior():
    prior = fit_dispersion_prior(np.full(10, 1e-8), np.ones(10), 5)
    assert prior.prior_var == 0.25


def test_trend_of_kind_mean_has_no_slope():
    assert DispersionTrend("mean", 0.1, 0.0)(np.array([1.0, 2.0])).tolist() == [0.1, 0.1]


def test_genes_of_one_and_the_same_mean_get_a_constant_trend():
    """Neighborhoods of 70 % of the genes have no width there, and a local line has no slope."""
    mean = np.concatenate([np.full(800, 0.5), np.linspace(1.0, 50.0, 200)])
    dispersion = np.exp(np.random.default_rng(6).normal(-1.0, 0.3, mean.size))
    with pytest.warns(BayesdeWarning, match="the mean trend was used instead"):
        fitted = fit_trend("local", dispersion, mean)
    assert fitted(np.array([0.5, 20.0])) == pytest.approx([dispersion.mean()] * 2, rel=0.05)
