"""The methods of a posterior, and the data on which they work."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from bayesde.model.priors import LogNormal, Priors
from bayesde.posterior import LeaveOneOut, Posterior, fit_posterior
from bayesde.posterior.data import PosteriorData
from bayesde.posterior.engines import by_importance
from bayesde.posterior.queries.loo_data import LeaveOneOutData
from bayesde.posterior.queries.other_models.reweight import reweighted
from bayesde.posterior.queries.other_models.sensitivity import sensitivity
from bayesde.posterior.queries.outlier_counts import without_outliers
from bayesde.posterior.summaries.tables import results_table

OTHER = Priors(shrinkage_scale=LogNormal(0.5, 1.0))


@pytest.fixture(scope="module")
def posterior(tiny_fit):
    return fit_posterior(tiny_fit.counts, tiny_fit.design, eb=tiny_fit, draws=200)


def test_engines_return_data_that_the_methods_are_added_to(posterior):
    data = by_importance(posterior.request)
    assert type(data) is PosteriorData
    made = Posterior.of(data)
    assert made.gene_draws is data.gene_draws
    pd.testing.assert_frame_equal(made.results(), results_table(data))
    pd.testing.assert_frame_equal(made.results(), posterior.results())


def test_what_makes_another_posterior_returns_the_type_it_is_given(posterior):
    data = by_importance(posterior.request)
    count = pd.DataFrame({"gene": [posterior.genes[1]], "sample": [posterior.design.samples[0]]})
    for given in (data, posterior):
        assert type(reweighted(given, priors=OTHER)) is type(given)
        assert type(without_outliers(given, count)) is type(given)
        assert type(sensitivity(given, priors=OTHER).posterior) is type(given)


def test_leave_one_out_has_its_methods(posterior):
    loo = posterior.loo(refit=False)
    assert type(loo) is LeaveOneOut
    data = LeaveOneOutData(loo.pointwise)
    np.testing.assert_array_equal(data.tail_probability, loo.tail_probability)
    np.testing.assert_array_equal(data.reliable, loo.reliable)


def test_counts_that_are_left_out_are_observed_but_not_in_the_model(posterior):
    count = pd.DataFrame({"gene": [posterior.genes[1]], "sample": [posterior.design.samples[0]]})
    without = posterior.without_outliers(count)
    seen = without.observed(slice(None)).y
    np.testing.assert_array_equal(seen, posterior.model().y)
    assert without.model().y[1, 0] == 0
    assert without.observed(np.array([1])).y[0, 0] == seen[1, 0]
    np.testing.assert_array_equal(without.seeds(slice(None)), posterior.seeds(np.arange(len(seen))))
