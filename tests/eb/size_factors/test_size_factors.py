"""Size factors by likelihood, and what a fit makes of what it is given."""

import json

import numpy as np
import pandas as pd
import pytest
from reference.transforms import answer_by_sample, pasilla, pasilla_with_lengths
from scipy.stats import nbinom

import bayesde as bde
from bayesde import Counts, FitError, InputError, OptionError
from bayesde.eb.size_factors import likelihood as likelihood_factors
from bayesde.eb.size_factors.methods import resolved_factors, size_factors
from bayesde.normalize import normalization_matrix
from bayesde.normalize.ratios import log_size_factors


@pytest.fixture(scope="module")
def scattered():
    """Counts of which every gene lacks one, and the size factors behind them."""
    rng = np.random.default_rng(4)
    truth = np.exp(rng.normal(0.0, 0.4, 8))
    truth /= np.exp(np.log(truth).mean())
    means = rng.lognormal(4.0, 1.5, (1500, 1))
    matrix = rng.negative_binomial(10.0, 10.0 / (10.0 + means * truth))
    matrix[np.arange(1500), np.arange(1500) % 8] = 0
    return Counts(matrix), truth


def test_iterate_equals_that_of_r():
    theirs = answer_by_sample("size factors iterate")
    ours = size_factors(pasilla(), "iterate")
    np.testing.assert_allclose(ours, theirs[ours.index], rtol=1e-8)


@pytest.mark.parametrize("name", ["gse60450", "sim20k_pairs"])
def test_iterate_equals_that_of_r_with_more_samples(shared, name):
    counts = bde.read_counts(shared / "data" / name / "counts.tsv.gz")
    summary = json.loads((shared / "ref" / name / "summary.json").read_text())
    theirs = pd.Series(summary["size_factors_iterate"])
    ours = size_factors(counts, "iterate")
    np.testing.assert_allclose(ours, theirs[ours.index], rtol=1e-8)


def test_iterate_finds_the_truth_where_every_gene_has_a_zero(scattered):
    counts, truth = scattered
    with pytest.raises(InputError, match="poscounts"):
        size_factors(counts)
    found = size_factors(counts, "iterate")
    assert np.log(found).mean() == pytest.approx(0.0, abs=1e-14)
    np.testing.assert_allclose(found, truth, rtol=0.05)  # five standard errors of means over 1,500 genes


def test_the_likelihood_is_that_of_scipy():
    rng = np.random.default_rng(2)
    counts = rng.negative_binomial(4, 0.02, (50, 5)).astype(float)
    mu, dispersion = rng.uniform(50.0, 400.0, (50, 5)), rng.uniform(1e-6, 3.0, 50)
    start = likelihood_factors._start(counts, mu, dispersion)
    likelihood = likelihood_factors._Likelihood(counts, mu, dispersion, start)
    p = rng.normal(0.0, 0.3, 5)

    def negative(p):
        r = 1.0 / dispersion[:, None]
        moved = mu * np.exp(p - p.mean())
        by_gene = nbinom.logpmf(counts, r, r / (r + moved)).sum(axis=1)
        return -by_gene[by_gene > np.quantile(by_gene, 0.05)].sum()

    assert likelihood.negative(p) == pytest.approx(negative(p), rel=1e-9)
    slope = [(negative(p + h) - negative(p - h)) / 0.002 for h in 0.001 * np.eye(5)]
    np.testing.assert_allclose(likelihood.negative_slope(p), slope, rtol=1e-5, atol=1e-5)


def test_iterate_that_does_not_come_to_rest(monkeypatch):
    monkeypatch.setattr(likelihood_factors, "MAX_ROUNDS", 1)
    with pytest.raises(FitError, match="did not converge in 1 rounds; use the method 'poscounts'"):
        size_factors(pasilla(), "iterate")
    monkeypatch.setattr(likelihood_factors, "MAX_ITERATIONS", 1)
    with pytest.raises(FitError, match="did not converge"):
        size_factors(pasilla(), "iterate")


def test_other_methods_are_those_of_ratios():
    for method in ("ratio", "poscounts"):
        options = {"control_genes": np.arange(0, 14599, 2), "location": np.mean}
        found, logs = (
            bde.size_factors(pasilla(), method, **options),
            log_size_factors(pasilla(), method, **options),
        )
        np.testing.assert_allclose(np.log(found), logs, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize(
    "option", [{"control_genes": [1]}, {"geometric_means": [1.0]}, {"location": np.mean}]
)
def test_options_without_use_are_refused(option):
    with pytest.raises(OptionError, match="for 'iterate', select genes"):
        size_factors(pasilla(), "iterate", **option)
    for asked in (size_factors, resolved_factors):
        with pytest.raises(OptionError, match="'tmm'; allowed are 'ratio', 'poscounts', 'iterate'"):
            asked(pasilla(), "tmm")


def test_factors_are_resolved(scattered):
    counts, _ = scattered
    np.testing.assert_array_equal(resolved_factors(counts, "iterate")[7], size_factors(counts, "iterate"))
    for given in (None, "poscounts", np.arange(1.0, 8.0)):
        np.testing.assert_array_equal(
            resolved_factors(pasilla(), given), normalization_matrix(pasilla(), given)
        )
    own = Counts(counts.matrix, normalization_factors=np.full(counts.matrix.shape, 2.0))
    np.testing.assert_array_equal(resolved_factors(own, "iterate"), 2.0)
    with pytest.raises(OptionError, match="cannot take average transcript lengths"):
        resolved_factors(pasilla_with_lengths(), "iterate")
