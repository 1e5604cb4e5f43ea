"""What becomes of outlying counts in a fit: asked for, and where nothing is said."""

import numpy as np
import pandas as pd
import pytest

from bayesde.counts import Counts
from bayesde.eb.fit import fit_eb
from bayesde.eb.options import EbOptions
from bayesde.errors import OptionError
from bayesde.posterior import Hyperparameters, fit_posterior
from bayesde.posterior.queries import outlier_search
from bayesde.posterior.queries.left_out_predictions import predict_again
from bayesde.posterior.queries.outlier_search import usual_treatment, with_outliers_treated

GENES = 40


def posterior_of(groups, design="~ group", **arguments):
    """Forty genes, one of which has a count of ten times the others."""
    samples = [f"s{j}" for j in range(len(groups))]
    matrix = np.random.default_rng(6).negative_binomial(20, 20 / 220, (GENES, len(groups)))
    matrix[7, 1] = 2500
    table = pd.DataFrame(
        {"group": list(groups), "other": list("xy" * len(groups))[: len(groups)]}, index=samples
    )
    counts = Counts(matrix, genes=[f"g{i}" for i in range(GENES)], samples=samples, sample_table=table)
    fit = fit_eb(counts, design, size_factors=np.ones(len(groups)), options=EbOptions(trend="mean"))
    hyper = Hyperparameters({"group[T.b]": 0.2}, 0.4, 0.05, 0.0)
    return fit_posterior(counts, fit.design, eb=fit, hyperparameters=hyper, **arguments)


def test_a_fit_keeps_reports_or_leaves_out():
    kept, reported, without = (posterior_of("aaabbb", outliers=how) for how in (None, "report", "leave-out"))
    assert kept.outliers is None
    assert kept.left_out is None
    assert ("g7", "s1") in set(zip(reported.outliers["gene"], reported.outliers["sample"], strict=True))
    assert reported.left_out is None
    pd.testing.assert_frame_equal(kept.results(), reported.results())
    left_out, found = (
        set(zip(frame["gene"], frame["sample"], strict=True))
        for frame in (without.left_out, without.outliers)
    )
    assert left_out == found
    assert without.diagnostics.loc["g7", "status"] == "outlier_left_out"
    pd.testing.assert_frame_equal(reported.outliers, without.outliers)
    with pytest.raises(OptionError, match="outliers"):
        posterior_of("aaabbb", outliers="drop")


@pytest.mark.parametrize(
    ("groups", "design", "expected"),
    [
        ("aaabbb", "~ group", "leave-out"),
        ("aabbb", "~ group", "report"),
        ("aaabbb", "~ other + group", "report"),
        ("aaaaaabbbbbb", "~ other + group", "leave-out"),
    ],
)
def test_three_samples_of_each_kind_are_needed(groups, design, expected):
    assert usual_treatment(posterior_of(groups, design)) == expected


def test_more_draws_than_can_be_copied_are_reported_on_only(monkeypatch):
    posterior = posterior_of("aaabbb")
    monkeypatch.setattr(outlier_search, "MOST_COPIED", posterior.gene_draws.theta.size - 1)
    told = []
    treated = with_outliers_treated(posterior, None, lambda *now: told.append(now))
    assert treated.left_out is None
    assert len(treated.outliers) >= 1
    assert {text for _, _, text in told} == {"looking for outlying counts"}


def test_a_gene_of_outliers_only_keeps_them(monkeypatch):
    posterior = posterior_of("aaabbb")
    flagged = pd.DataFrame(
        [("g3", f"s{j}", 1, 100.0, 1e-9, 0.1) for j in range(6)] + [("g7", "s1", 2500, 200.0, 1e-9, 0.1)],
        columns=["gene", "sample", "count", "expected", "tail_probability", "pareto_k"],
    )
    monkeypatch.setattr(outlier_search, "find_outlier_counts", lambda *_, **__: flagged)
    treated = with_outliers_treated(posterior, "leave-out")
    assert treated.left_out["gene"].tolist() == ["g7"]
    assert len(treated.outliers) == 7


def test_some_genes_at_a_time_give_the_same_to_the_bit(monkeypatch):
    posterior = posterior_of("aaabbb")
    left = posterior.without_outliers(pd.DataFrame({"gene": ["g7", "g30"], "sample": ["s1", "s4"]}))
    whole = [one.outlier_counts(20.0) for one in (posterior, left)]
    told = []
    monkeypatch.setattr(outlier_search, "COUNTS_AT_A_TIME", 9 * 6)
    parts = [one.outlier_counts(20.0, progress=lambda *now: told.append(now)) for one in (posterior, left)]
    assert {(9, GENES), (36, GENES), (GENES, GENES)} <= {now[:2] for now in told}
    for one, two in zip(whole, parts, strict=True):
        assert len(one) > 5
        pd.testing.assert_frame_equal(one, two, check_exact=True)


def test_counts_of_small_influence_are_sampled_again_only_near_the_level(monkeypatch):
    posterior, sampled = posterior_of("ab" * 50), []

    def recorded(where, gene, sample, report):
        sampled.append(set(zip(gene.tolist(), sample.tolist(), strict=True)))
        return predict_again(where, gene, sample, report)

    monkeypatch.setattr(outlier_search, "predict_again", recorded)
    found = posterior.outlier_counts()
    monkeypatch.setattr(outlier_search, "SMALL_INFLUENCE", -np.inf)
    pd.testing.assert_frame_equal(found, posterior.outlier_counts(), check_exact=True)
    few, many = sampled
    assert (7, 1) in few
    assert few < many
    assert len(few) < 0.5 * len(many)


@pytest.mark.parametrize(
    ("tail", "influence", "passed"),
    [
        (0.06, 3.0, True),
        (0.04, 3.0, False),
        (0.04, 0.2, True),
        (2e-4, 0.2, True),
        (0.9e-4, 0.2, False),
        (0.04, np.nan, False),
        (np.nan, 0.2, False),
    ],
)
def test_what_is_passed_over(tail, influence, passed):
    """At a level of 1e-6."""
    log_density = np.log(tail / 4.0)
    values = {"log_density": log_density, "lpd": log_density + influence, "below": tail / 4.0, "above": 0.9}
    predicted = {name: np.array([[value]]) for name, value in values.items()}
    assert outlier_search._passed_over(predicted, 1e-6).item() is passed


def test_which_counts_were_left_out_is_known_of_some_genes():
    gone = pd.DataFrame({"gene": ["g30", "g7", "g30"], "sample": ["s4", "s1", "s0"]})
    posterior = posterior_of("aaabbb").without_outliers(gone)
    rows = np.array([30, 3, 7])
    expected = np.zeros((3, 6), dtype=bool)
    expected[[0, 0, 2], [0, 4, 1]] = True
    np.testing.assert_array_equal(posterior.left_out_of(rows), expected)
    np.testing.assert_array_equal(posterior.left_out_of(slice(5, 31)), posterior.left_out_mask[5:31])
    assert posterior.left_out_mask.sum() == 3


def test_fewer_draws_are_enough_of_many_samples():
    steps = {}
    for n, draws in ((6, 1000), (6, 300), (56, 1000), (200, 1000)):
        posterior = posterior_of("ab" * (n // 2), draws=draws)
        steps[n, draws] = draws / outlier_search._step(posterior)
    assert steps == {(6, 1000): 250, (6, 300): 300, (56, 1000): 125, (200, 1000): 50}
