"""Tests of usage: against DEXSeq 1.44.0 on the pasilla bins, and on simulated usage."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr

from bayesde import Counts, InputError, OptionError, UsageCounts, UsageOptions, fit_usage, read_usage
from bayesde.usage.gene_tests import gene_q_values

REFERENCES = {"condition": "untreated"}


@pytest.fixture(scope="module")
def bins(shared):
    data = shared / "data" / "pasilla_exon"
    return read_usage(data / "counts.tsv.gz", data / "coldata.tsv")


def beside(fit, expected):
    """Join DEXSeq's results, whose columns of the same name get a suffix."""
    return fit.results().merge(
        expected, how="left", left_index=True, right_index=True, suffixes=("", "_dexseq")
    )


def reference(shared, name):
    """DEXSeq's answers by bin, named as the bins are, and q-values by gene."""
    folder = shared / "ref" / "pasilla_exon"
    table = pd.read_csv(folder / f"{name}_bins.tsv.gz", sep="\t")
    table.index = table["gene"] + ":" + table["bin"].str.removeprefix("E")
    return table, pd.read_csv(folder / f"{name}_genes.tsv.gz", sep="\t", index_col=0)["q_value"]


def fitted(bins, expected, **options):
    chosen = bins.counts.subset(genes=np.isin(bins.genes, expected["gene"].unique()))
    usage = UsageCounts.from_features(chosen)
    return fit_usage(usage, "~ type + condition", references=REFERENCES, options=UsageOptions(**options))


def test_pasilla_as_dexseq(bins, shared):
    expected, q_value = reference(shared, "some")
    fit = fitted(bins, expected)
    assert len(fit.fitted) == 9989
    table, genes = beside(fit, expected), fit.genes()
    known = table["pvalue"].notna() & table["p_value"].notna()
    assert known.sum() == 9608 == table["pvalue"].notna().sum()
    assert spearmanr(table["p_value"][known], table["pvalue"][known])[0] > 0.98
    ours, theirs = table["padj"] < 0.1, table["padj_dexseq"] < 0.1
    assert (ours & ~theirs).sum() == 0
    assert ours.sum() >= 75
    called = genes["q_value"] < 0.1
    assert (called & ~(q_value.reindex(genes.index) < 0.1)).sum() == 0
    strong = known & theirs
    change = table["log2fold_treated_untreated"]
    assert (np.sign(table["log2_fold_change"][strong]) == np.sign(change[strong])).mean() > 0.98


def test_with_the_wider_prior_of_dexseq_its_calls_are_found(bins, shared):
    """Its search for dispersions stops early where the likelihood is flat, which makes its prior wide."""
    expected, q_value = reference(shared, "some")
    fit = fitted(bins, expected, prior_var=4.0)
    table = beside(fit, expected)
    theirs = table["padj_dexseq"] < 0.1
    assert theirs.sum() == 123
    assert (theirs & (table["padj"] < 0.1)).sum() >= 121
    assert (table["padj"] < 0.1).sum() <= 130
    assert np.nanmedian(abs(np.log(table["dispersion"] / table["dispersion_dexseq"]))) < 0.1
    genes = fit.genes()
    assert ((genes["q_value"] < 0.1) & (q_value.reindex(genes.index) < 0.1)).sum() >= 61


def test_the_exon_of_msn_is_found(bins, shared):
    expected, q_value = reference(shared, "vignette")
    fit = fitted(bins, expected)
    found = fit.results().loc["FBgn0010909:010"]
    assert found["p_value"] < 1e-30
    assert found["log2_fold_change"] == pytest.approx(-2.07, abs=0.15)
    assert found["gene"] == "FBgn0010909"
    genes = fit.genes()
    assert genes.loc["FBgn0010909", "q_value"] < 1e-10
    assert set(genes.index[genes["q_value"] < 0.1]) <= set(q_value.index[q_value < 0.1])


def test_q_values_of_genes_are_those_of_dexseq(shared):
    for name in ("some", "vignette"):
        expected, q_value = reference(shared, name)
        p_value = expected["pvalue"].where(expected["padj"].notna()).to_numpy()
        found = gene_q_values(p_value, expected["gene"])["q_value"]
        np.testing.assert_allclose(found.reindex(q_value.index), q_value, rtol=1e-10, atol=1e-12)


# Simulated ----------------------------------------------------------------------------------------------

SAMPLES = pd.DataFrame(
    {"phenotype": list("aaaabbbb"), "treatment": list("uuttuutt")}, index=[f"s{j}" for j in range(8)]
)


def simulated(effects, seed=1, mean=100.0, alpha=0.02):
    """Two features of each gene; the usage of the first changes by exp(effects) (gene, sample)."""
    rng = np.random.default_rng(seed)
    expression = mean * rng.lognormal(0.0, 1.0, (len(effects), 8))
    means = np.stack([expression * np.exp(effects), expression], axis=1).reshape(-1, 8)
    counts = rng.poisson(rng.gamma(1.0 / alpha, alpha * means))
    names = [f"g{i}:{part}" for i in range(len(effects)) for part in ("E1", "E2")]
    return UsageCounts.from_features(Counts(counts, genes=names, samples=SAMPLES.index, sample_table=SAMPLES))


def test_changes_of_expression_are_no_changes_of_usage():
    fit = fit_usage(simulated(np.zeros((300, 8))), "~ phenotype", options=UsageOptions(trend="mean"))
    table = fit.results()
    p_value = table["p_value"].iloc[::2]
    assert (p_value < 0.05).mean() < 0.09
    assert (p_value < 0.5).mean() == pytest.approx(0.5, abs=0.08)
    pairs = table["log2_fold_change"].to_numpy().reshape(-1, 2)
    np.testing.assert_allclose(pairs[:, 0], -pairs[:, 1], rtol=1e-4, atol=1e-6)


def test_an_interaction_of_usage_is_an_ordinary_contrast():
    both = ((SAMPLES["phenotype"] == "b") & (SAMPLES["treatment"] == "u")).to_numpy()
    effects = np.zeros((200, 8))
    effects[:40, both] = np.log(4.0)
    design = "~ phenotype * treatment"
    fit = fit_usage(
        simulated(effects),
        design,
        references={"phenotype": "a", "treatment": "t"},
        options=UsageOptions(trend="mean"),
    )
    assert fit.tested == ("phenotype[T.b]:treatment[T.u]",)
    table = fit.results("phenotype[T.b]:treatment[T.u]").iloc[::2]
    assert table["log2_fold_change"].iloc[:40].mean() == pytest.approx(2.0, abs=0.2)
    assert (table["padj"].iloc[:40] < 0.1).mean() > 0.8
    assert (table["padj"].iloc[40:] < 0.1).mean() < 0.05
    together = fit_usage(fit.counts, fit.design, reduced="~ 1", options=UsageOptions(trend="mean"))
    assert len(together.tested) == 3


def test_what_has_no_numbers_has_a_status():
    counts = simulated(np.zeros((60, 8)))
    matrix = counts.counts.matrix.copy()
    matrix[0] = 0
    usage = UsageCounts.from_features(
        Counts(matrix, genes=counts.features, samples=SAMPLES.index, sample_table=SAMPLES)
    )
    table = fit_usage(usage, "~ phenotype", options=UsageOptions(trend="mean")).results()
    assert list(table["status"].iloc[:3]) == ["all_zero", "single_feature", "ok"]
    assert table["p_value"].iloc[:2].isna().all()
    assert list(table["gene"].iloc[:4]) == ["g0", "g0", "g1", "g1"]


def test_filtering_can_be_left_out():
    counts = simulated(np.zeros((60, 8)))
    options = UsageOptions(trend="mean", independent_filtering=False)
    assert fit_usage(counts, "~ phenotype", options=options).results()["padj"].notna().all()


def test_what_is_refused():
    counts = simulated(np.zeros((60, 8)))
    with pytest.raises(InputError, match="has no intercept"):
        fit_usage(counts, "~ 0 + phenotype")
    with pytest.raises(InputError, match="the design '~ 1' has nothing to test"):
        fit_usage(counts, "~ 1")
    with pytest.raises(InputError, match="cannot express"):
        fit_usage(counts, "~ phenotype", reduced="~ treatment")
    with pytest.raises(InputError, match="UsageCounts are needed"):
        fit_usage(counts.counts, "~ phenotype")
    with pytest.raises(OptionError, match="prior_var"):
        UsageOptions(prior_var=0.0)
    with pytest.raises(InputError, match=r"unknown|no coefficient|there is no"):
        fit_usage(counts, "~ phenotype", options=UsageOptions(trend="mean")).results("phenotype[T.c]")
