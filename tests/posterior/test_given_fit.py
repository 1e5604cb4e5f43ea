"""What a posterior takes from an empirical-Bayes fit: the same counts, without weights, in any form."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import sparse

from bayesde.counts import Counts
from bayesde.eb.fit import fit_eb
from bayesde.eb.options import EbOptions
from bayesde.errors import InputError, OptionError
from bayesde.model.priors import Priors
from bayesde.posterior import Hyperparameters, fit_posterior
from bayesde.posterior.fit import check_same
from bayesde.posterior.options import SamplingOptions
from bayesde.posterior.request import Request


def kept_as(counts: Counts, matrix) -> Counts:
    return Counts(matrix, genes=counts.genes, samples=counts.samples, sample_table=counts.sample_table)


def model_of(fit, hyper, rows):
    request = Request(fit, rows, hyper, False, 10, 1, 10, 1, 1, SamplingOptions(), Priors())
    return request.model(rows)


def with_trend(fit, name):
    """Return the fit as if its options had named this dispersion trend."""
    return replace(fit, inputs=replace(fit.inputs, options=EbOptions(trend=name)))


def test_a_fit_with_weights_is_refused(tiny_fit):
    counts = tiny_fit.counts
    weighted = fit_eb(
        counts, "~ group", weights=np.ones((counts.n_genes, counts.n_samples)), options=tiny_fit.options
    )
    with pytest.raises(InputError, match="observation weights"):
        fit_posterior(counts, "~ group", eb=weighted)


def test_counts_may_be_kept_in_any_form(tiny_fit, tmp_path, monkeypatch):
    h5py = pytest.importorskip("h5py")
    dense, rows = tiny_fit.counts, np.array([0, 5, 11])
    hyper = Hyperparameters.from_eb(tiny_fit)
    expected = model_of(tiny_fit, hyper, rows)
    np.testing.assert_array_equal(expected.y, dense.matrix[rows])
    with h5py.File(tmp_path / "counts.h5", "w") as file:
        forms = [sparse.csr_array(dense.matrix), file.create_dataset("counts", data=dense.matrix)]
        others = [kept_as(dense, form) for form in forms]
        fits = [fit_eb(counts, tiny_fit.design, options=tiny_fit.options) for counts in others]
        monkeypatch.setattr(Counts, "matrix", property(lambda self: pytest.fail("all counts were made")))
        for counts, fit in zip(others, fits, strict=True):
            model = model_of(fit, hyper, rows)
            np.testing.assert_array_equal(model.y, expected.y)
            assert model.y.dtype == np.int64
            np.testing.assert_array_equal(model.log_nf, expected.log_nf)
            check_same(counts, fit.design, tiny_fit)
            check_same(dense, fit.design, fit)


def test_other_counts_are_refused(tiny_fit):
    other = tiny_fit.counts.matrix.copy()
    other[[0, 1], 0] += [1, -1]  # the library sizes stay
    renamed = Counts(tiny_fit.counts.matrix, sample_table=tiny_fit.counts.sample_table)
    for counts in (kept_as(tiny_fit.counts, sparse.csr_array(other)), renamed):
        with pytest.raises(InputError, match="other counts"):
            check_same(counts, tiny_fit.design, tiny_fit)


@pytest.mark.parametrize(
    ("fitted", "given", "source", "expected"),
    [
        ("mean", None, "eb", "constant"),
        ("parametric", None, "eb", "parametric"),
        ("mean", "parametric", "eb", "parametric"),
        ("parametric", "constant", "eb", "constant"),
        ("mean", None, "file", "parametric"),  # fixed values come with a trend of their own
    ],
)
def test_the_trend_is_by_default_that_of_the_fit(tiny_fit, fitted, given, source, expected):
    fit = with_trend(tiny_fit, fitted)
    hyper = replace(Hyperparameters.from_eb(fit), source=source)
    options = SamplingOptions(trend=given)
    request = Request(fit, np.arange(3), hyper, source == "eb", 10, 1, 10, 1, 1, options, Priors())
    assert request.options.trend == expected
    assert options.trend == given
    assert ("extra_poisson" in request.space.names) == (expected == "parametric" or source == "file")


def test_a_posterior_learnt_after_a_constant_trend_has_one(tiny_fit):
    fit = fit_eb(tiny_fit.counts, tiny_fit.design, options=EbOptions(trend="mean"))
    posterior = fit_posterior(fit.counts, fit.design, eb=fit, draws=200)
    assert posterior.hyperparameters.extra_poisson == 0.0
    assert "extra_poisson" not in posterior.hyperparameters.draws


def test_engine_joint_has_no_local_trend(tiny_fit):
    fit = with_trend(tiny_fit, "local")
    with pytest.raises(OptionError, match="choose 'parametric' or 'mean'"):
        fit_posterior(fit.counts, fit.design, engine="joint", eb=fit)
