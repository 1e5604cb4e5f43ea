"""The variance-stabilizing transform against R's answers, its definition, and what is refused."""

import numpy as np
import pandas as pd
import pytest
from reference.transforms import answer, answer_by_sample, pasilla, pasilla_with_lengths

import bayesde as bde
from bayesde import Counts, Design, InputError, OptionError
from bayesde.eb.dispersion.trend import DispersionTrend
from bayesde.eb.transforms import inputs as transform_input
from bayesde.eb.transforms import vst as transforms
from bayesde.eb.transforms.vst import vst


@pytest.fixture(scope="module")
def design():
    return Design.from_formula("~ condition", pasilla().sample_table, references={"condition": "untreated"})


@pytest.fixture(scope="module")
def fit(design):
    return bde.fit_eb(pasilla(), design)


def assert_like_r(ours: pd.DataFrame, quantity: str, rtol: float = 1e-8) -> None:
    theirs = answer(quantity)
    np.testing.assert_allclose(ours.loc[theirs.index, theirs.columns], theirs, rtol=rtol)


@pytest.mark.parametrize("trend", ["parametric", "local", "mean"])
def test_all_genes_as_r_does_it(trend):
    transformed = vst(pasilla(), trend=trend, n_genes=None)
    assert_like_r(transformed, f"vst {trend}")
    assert transformed.index.equals(pasilla().genes)
    assert list(transformed.columns) == list(pasilla().samples)


@pytest.mark.parametrize("trend", ["parametric", "local"])
def test_a_thousand_genes_as_r_does_it(trend):
    assert_like_r(vst(pasilla(), trend=trend), f"vst 1000 {trend}")


def test_with_a_design_as_r_does_it(design, fit):
    assert_like_r(vst(pasilla(), design), "vst 1000 parametric design")
    assert_like_r(vst(pasilla(), design, n_genes=None), "vst parametric design")
    assert_like_r(vst(fit), "vst parametric design")


def test_lengths_as_r_does_it():
    assert_like_r(vst(pasilla_with_lengths(), trend="local", n_genes=None), "vst local lengths")


def test_a_trend_that_is_known_gives_every_digit():
    a0, a1 = answer_by_sample("trend and prior").iloc[:2]
    assert_like_r(vst(pasilla(), trend=DispersionTrend("parametric", a0, a1)), "vst parametric", rtol=1e-14)


@pytest.mark.parametrize(
    "trend",
    [
        DispersionTrend("parametric", 0.02, 3.0),
        DispersionTrend("mean", 0.1, 0.0),
        DispersionTrend("local", curve=lambda log_mean: np.log(0.02 + 3.0 * np.exp(-log_mean))),
    ],
)
def test_the_noise_is_the_same_at_all_means(trend):
    """f' = constant / sqrt(variance), and one unit is a doubling where counts are large."""
    q = np.geomspace(3.0, 1e5, 40)
    step = 1e-4 * q
    counts = Counts(np.full((1, 2), 100_000))  # of size factors 1, and a grid that reaches up to 1e5

    def f(q):
        if trend.kind == "parametric":
            return transforms._parametric(q, 0.02, 3.0)
        if trend.kind == "mean":
            return transforms._constant(q, 0.1)
        means = np.concatenate([counts.matrix[0], np.geomspace(1.0, 1e5, 2000)])
        return transforms._numerical(2e5, means, trend, 1.0)(q)

    stabilized = (f(q + step) - f(q - step)) / (2.0 * step) * np.sqrt(q + trend(q) * q**2)
    np.testing.assert_allclose(stabilized, stabilized[0], rtol=0.02 if trend.kind == "local" else 1e-6)
    assert np.ravel(f(np.array([1e5])) - f(np.array([5e4]))) == pytest.approx(1.0, abs=0.01)


def test_the_spline_reproduces_cubics_beyond_its_ends():
    x = np.cumsum(np.random.default_rng(1).uniform(0.1, 1.0, 12))

    def cubic(x):
        return 1.0 - 2.0 * x + 0.5 * x**2 - 0.1 * x**3

    at = np.linspace(-2.0, 12.0, 50)
    np.testing.assert_allclose(transforms._spline(x, cubic(x))(at), cubic(at), rtol=1e-9, atol=1e-9)


def test_what_a_fit_knows_is_used_unless_blind(fit):
    pd.testing.assert_frame_equal(vst(fit), vst(pasilla(), trend=fit.trend))
    pd.testing.assert_frame_equal(vst(fit, blind=True), vst(pasilla()))
    pd.testing.assert_frame_equal(vst(fit, blind=False, n_genes=None), vst(fit))


def test_size_factors_are_taken_as_a_fit_takes_them():
    factors = np.arange(1.0, 8.0)
    transformed = vst(pasilla(), size_factors=factors, trend=DispersionTrend("parametric", 0.02, 3.0))
    q = pasilla().matrix / factors
    np.testing.assert_allclose(transformed, transforms._parametric(q, 0.02, 3.0), rtol=1e-14)


def test_the_genes_of_the_subset_cover_the_range():
    means = np.array([9.0, 1.0, 6.0, 8.0, 7.0, 30.0, 0.0, 10.0, 20.0])
    assert sorted(means[transform_input._spread_over(means, 4)]) == [6.0, 8.0, 10.0, 30.0]
    assert sorted(means[transform_input._spread_over(means, 7)]) == [6.0, 7.0, 8.0, 9.0, 10.0, 20.0, 30.0]


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"n_genes": 14_000}, InputError, "use n_genes=None for all genes"),
        ({"n_genes": 0}, OptionError, "n_genes is 0"),
        ({"trend": "loess"}, OptionError, "unknown trend 'loess'; allowed are 'parametric', 'local', 'mean'"),
        ({"design": "~ condition", "blind": True}, InputError, "a blind transform does not use a design"),
        ({"blind": False}, InputError, "needs a design, a fit or a fitted trend"),
        ({"design": 3}, InputError, "a formula or a Design is needed; got int"),
    ],
)
def test_what_cannot_be_transformed(options, error, words):
    with pytest.raises(error, match=words):
        vst(pasilla(), **options)


def test_a_scale_that_cannot_be_matched():
    matrix = np.zeros((1000, 4), dtype=int)
    matrix[:30] = np.random.default_rng(5).poisson(50.0, (30, 4))
    flat = DispersionTrend("local", curve=lambda log_mean: np.full_like(log_mean, -2.0))
    with pytest.raises(InputError, match="95% of the genes have a mean of at most 0"):
        vst(Counts(matrix), trend=flat)


def test_what_does_not_go_together(fit):
    with pytest.raises(InputError, match="a fit has its own design"):
        vst(fit, "~ condition")
    with pytest.raises(InputError, match="Counts or a fit without random effects are needed; got ndarray"):
        vst(np.ones((3, 3)))
    with pytest.raises(InputError, match="the design has 7 rows, but there are 6 samples"):
        vst(pasilla().subset(samples=range(6)), fit.design)
