"""What can be asked of a posterior in which the levels of factors are treated alike, the default."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from reference.groups import posterior_of, simulated

import bayesde as bde
from bayesde.eb.fit import fit_eb
from bayesde.posterior import SamplingOptions, fit_posterior

C_TO_B = ("group", "c", "b")


@pytest.fixture(scope="module")
def data():
    frame, table, _ = simulated(60, seed=12)
    return frame, table


@pytest.fixture(scope="module")
def posteriors(data):
    """With the references a and c; levels are treated alike by default."""
    return [posterior_of(*data, "~ group", references={"group": level}) for level in "ac"]


def test_it_is_the_default(data, posteriors):
    assert SamplingOptions().coding == "levels"
    frame, table = data
    counts = bde.Counts(frame, sample_table=table)
    found = fit_posterior(counts, "~ group", options=SamplingOptions(hand_over=False))
    pd.testing.assert_frame_equal(found.results(C_TO_B), posteriors[0].results(C_TO_B))


def test_other_priors_and_power_scaling_do_not_depend_on_the_reference(posteriors):
    priors = bde.Priors(shrinkage_scale=bde.LogNormal(0.4, 0.5))
    one, other = (bde.sensitivity(each, priors=priors, contrast=C_TO_B) for each in posteriors)
    names = ["log2_fold_change", "log2_fold_change_other", "lfsr_other"]
    pd.testing.assert_frame_equal(one.table[names], other.table[names], rtol=1e-5, atol=1e-6)
    assert one.table["change"].abs().max() > 0.01
    scales = [bde.power_scaling(each).loc["shrinkage_scale[group]"] for each in posteriors]
    assert scales[0]["shrinkage_scale"] > 0.0
    pd.testing.assert_series_equal(*scales, rtol=1e-5)


def test_counts_can_be_left_out(posteriors):
    gone = pd.DataFrame({"gene": ["g3", "g8"], "sample": ["s1", "s6"]})
    one, other = (each.without_outliers(gone).results(C_TO_B) for each in posteriors)
    pd.testing.assert_frame_equal(one, other, rtol=1e-5, atol=1e-6)
    changed = one["log2_fold_change"] != posteriors[0].results(C_TO_B)["log2_fold_change"]
    assert set(one.index[changed]) == {"g3", "g8"}
    assert (one.loc[["g3", "g8"], "status"] == "outlier_left_out").all()


def test_replicates_do_not_depend_on_the_reference(posteriors):
    checks = [each.predictive_check(["g1", "g2"], draws=50) for each in posteriors]
    pd.testing.assert_frame_equal(*checks)


def test_hyperparameters_go_through_a_file_and_become_priors(data, posteriors, tmp_path):
    hyper = posteriors[0].hyperparameters
    hyper.to_json(tmp_path / "hyper.json")
    read = bde.Hyperparameters.from_json(tmp_path / "hyper.json")
    fixed = posterior_of(*data, "~ 0 + group", hyperparameters=read).results(C_TO_B)
    learnt = posteriors[0].results(C_TO_B)
    gap = (fixed["log2_fold_change"] - learnt["log2_fold_change"]) / learnt["lfc_se"]
    assert np.sqrt((gap**2).mean()) < 0.15
    law = hyper.as_priors().shrinkage_scale
    assert law.median == pytest.approx(hyper.shrinkage_scale["group"], rel=0.3)


def test_another_law_from_the_same_draws_is_what_a_fit_under_it_gives(data, posteriors):
    one = posteriors[0].with_effects("spike_t").results(C_TO_B)
    other = posterior_of(*data, "~ group", effects="spike_t").results(C_TO_B)
    gap = (one["log2_fold_change"] - other["log2_fold_change"]) / other["lfc_se"]
    assert np.sqrt((gap**2).mean()) < 0.15


def test_laws_that_need_another_coding_are_sampled_again(data, posteriors, caplog):
    with caplog.at_level("INFO"), pytest.warns(bde.BayesdeNote, match="a mixture is learnt for group"):
        made = posteriors[0].with_effects("mixture")
    assert "genes are sampled again" in caplog.text
    assert made.coding.coefficients == made.design.coefficients
    assert set(made.hyperparameters.mixtures) == {"group[T.b]", "group[T.c]"}
    assert (made.diagnostics["pareto_k"] <= 0.7).mean() > 0.95


def test_laws_of_several_codings_are_compared_on_one_scale(posteriors):
    """The marginal likelihood of each is that of the same counts, whatever the draws."""
    laws = ("cauchy", "student_t", "mixture")

    def compared():
        made = posteriors[0], posteriors[0].with_effects("mixture")
        return [each.compare_effects(laws)["log_likelihood"] for each in made]

    with pytest.warns(bde.BayesdeNote, match="a mixture is learnt for group"):
        one, other = compared()
    for law in laws[1:]:
        gap = one[law] - one["cauchy"], other[law] - other["cauchy"]
        assert gap[0] == pytest.approx(gap[1], abs=5.0)


def test_data_sets_from_the_prior_have_alike_levels(data):
    """Of two levels, the difference is Cauchy(0, 2S), whichever is the reference."""
    frame, table = data
    fit = fit_eb(bde.Counts(frame, sample_table=table), "~ group")
    priors = bde.Priors(shrinkage_scale=bde.LogNormal(0.1, 1e-6))
    drawn = bde.prior_predictive(fit, priors, data_sets=50, genes=100)
    quartile = np.median(np.abs(drawn.log2_fold_change)) * np.log(2.0)
    assert quartile == pytest.approx(0.2, rel=0.06)
    assert np.median(drawn.hyperparameters["shrinkage_scale"]) == pytest.approx(0.1, rel=1e-3)
