"""What is handed to ArviZ: groups, their numbers against SciPy's, and that ArviZ's functions take them."""

import warnings

import arviz
import matplotlib as mpl
import numpy as np
import pytest
from scipy import stats

from bayesde.errors import InputError
from bayesde.posterior import fit_posterior
from bayesde.posterior.queries import arviz_groups

mpl.use("Agg")
FIRST = int(arviz.__version__.split(".")[0])


@pytest.fixture(scope="module")
def posterior(pasilla_fit, panel):
    names = list(pasilla_fit.counts.genes[panel])
    return fit_posterior(
        pasilla_fit.counts, pasilla_fit.design, eb=pasilla_fit, genes=names, hyperparameters="eb"
    )


def test_draws_of_some_genes_are_those_of_all(posterior):
    genes = [posterior.genes[3], posterior.genes[1]]
    some = posterior.to_arviz(genes)
    for name in ("beta", "log_dispersion"):
        np.testing.assert_array_equal(some["posterior"][name], posterior.draws[name].sel(gene=genes))
    everything = posterior.to_arviz()
    np.testing.assert_array_equal(everything["posterior"]["beta"], posterior.draws["beta"])


def test_log_likelihoods_are_those_of_scipy_at_the_draws(posterior):
    genes = list(posterior.genes[:4])
    data = posterior.to_arviz(genes, predictive=True)
    draws = data["posterior"]
    mean = np.exp(np.einsum("jk,cdgk->cdgj", posterior.design.matrix, draws["beta"].to_numpy().astype(float)))
    mean = mean * posterior.eb.normalization_factors[posterior.request.rows[:4]]
    r = np.exp(-draws["log_dispersion"].to_numpy().astype(float))[..., None]
    y = posterior.eb.counts.matrix[posterior.request.rows[:4]]
    np.testing.assert_array_equal(data["observed_data"]["counts"], y)
    expected = stats.nbinom.logpmf(y, r, r / (r + mean))
    np.testing.assert_allclose(data["log_likelihood"]["counts"], expected, rtol=1e-6, atol=1e-6)
    assert data["log_likelihood"]["counts"].dims == ("chain", "draw", "gene", "sample_id")


def test_replicated_counts_are_those_that_are_predicted(posterior):
    genes = list(posterior.genes[:2])
    found = posterior.to_arviz(genes, predictive=True)["posterior_predictive"]["counts"]
    expected = posterior.predict(genes, draws=found.sizes["draw"])
    np.testing.assert_array_equal(found[0], expected)


@pytest.mark.filterwarnings("ignore:Variables counts in .* look discrete")  # of ArviZ's densities
def test_functions_of_arviz_take_it(posterior):
    genes = list(posterior.genes[:3])
    data = posterior.to_arviz(genes, predictive=True)
    table = arviz.summary(data, var_names=["log_dispersion"])
    means = posterior.draws["log_dispersion"].sel(gene=genes).mean(["chain", "draw"])
    np.testing.assert_allclose(table["mean"].astype(float), means, atol=0.01)
    with warnings.catch_warnings():  # k-hat of few resampled draws may be large
        warnings.simplefilter("ignore")
        loo = arviz.loo(data, var_name="counts")
    pointwise = posterior.loo(refit=False).pointwise["elpd"].sel(gene=genes)
    elpd = loo.elpd_loo if FIRST < 1 else loo.elpd
    assert float(elpd) == pytest.approx(float(pointwise.sum()), rel=0.03)
    arviz.plot_forest(data, var_names=["beta"])
    (arviz.plot_ppc if FIRST < 1 else arviz.plot_ppc_dist)(data)
    mpl.pyplot.close("all")


def test_predictions_of_too_many_genes_are_refused(posterior, monkeypatch):
    monkeypatch.setattr(arviz_groups, "MOST_CELLS", 20_000)
    with pytest.raises(InputError, match=r"choose at most 2 genes: to_arviz\(genes="):
        posterior.to_arviz(predictive=True)
    with pytest.raises(InputError, match="there are no draws of 'none'"):
        posterior.to_arviz(["none"])
