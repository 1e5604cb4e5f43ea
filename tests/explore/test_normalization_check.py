"""The check of the normalization: what it says of real experiments, and of simulated faults."""

import numpy as np
import pandas as pd
import pytest

from bayesde import (
    BayesdeWarning,
    Counts,
    InputError,
    datasets,
    normalization_check,
    read_counts,
    size_factors,
)
from bayesde.explore.composition import compare_ratios
from bayesde.explore.given_factors import check_factors

GROUPS = pd.DataFrame({"group": ["a"] * 4 + ["b"] * 4}, index=[f"s{i}" for i in range(8)])


def simulated(log_changes, seed=1, mean=200.0):
    """Negative binomial counts of dispersion 0.05; the second group's means are changed (gene,)."""
    rng = np.random.default_rng(seed)
    means = mean * np.exp(np.outer(log_changes, GROUPS["group"] == "b"))
    means = means * rng.lognormal(0.0, 1.0, (len(log_changes), 1))
    return Counts(rng.poisson(rng.gamma(20.0, means / 20.0)), samples=GROUPS.index, sample_table=GROUPS)


def levels(check):
    return [finding.level for finding in check.findings]


@pytest.mark.parametrize("name", ["pasilla", "airway"])
def test_nothing_is_wrong_with_ordinary_experiments(name):
    counts = getattr(datasets, f"load_{name}")()
    check = normalization_check(counts)
    assert check.ok
    assert set(levels(check)) == {"ok"}
    assert check.factors is None
    np.testing.assert_allclose(
        check.size_factors["ratio"] / size_factors(counts), 1.0 / np.exp(np.log(size_factors(counts)).mean())
    )
    np.testing.assert_allclose(np.log(check.size_factors).mean(), 0.0, atol=1e-12)


def test_two_organs_differ_in_composition(shared):
    data = shared / "data" / "marioni_kidney_liver"
    check = normalization_check(read_counts(data / "counts.tsv.gz", samples=data / "coldata.tsv"))
    totals, abundant, ratios = check.problems
    assert "total counts and from median ratios differ by up to 1.89-fold" in totals
    assert "'ENSG00000163631' 0.3%" in abundant  # albumin
    assert "Between 'Liver' and 'Kidney' only 36% of the genes" in ratios


def test_small_rna_without_dicer(shared):
    data = shared / "data" / "mobdata_smallrna"
    check = normalization_check(read_counts(data / "counts.tsv.gz", samples=data / "coldata.tsv"), "group")
    assert "differ by up to 1.43-fold, between the samples 'SL238' and 'SL239'" in check.problems[0]
    assert "only 30% of the genes" in check.problems[1]
    (note,) = (finding for finding in check.findings if finding.level == "note")
    assert "'sRNA0252' 16.9% ('SL240') to 25.9% ('SL238'). Their part is similar" in note.text


def test_the_background_of_ip_against_input_is_found_beside_the_median():
    """Of 2,000 genes 900 are background, 1,100 are enriched 2- to 20-fold: the median is among those."""
    rng = np.random.default_rng(2)
    log_changes = np.concatenate([np.zeros(900), rng.uniform(np.log(2.0), np.log(20.0), 1100)])
    counts = simulated(log_changes)
    check = normalization_check(counts)
    (problem,) = (one for one in check.problems if "the median ratio is not where most genes are" in one)
    found = check.comparison
    assert {found.first, found.second} == {"a", "b"}
    sign = 1.0 if found.first == "b" else -1.0
    expected = -sign * np.median(log_changes) / np.log(2.0)
    assert found.mode - found.median == pytest.approx(expected, abs=0.2)
    assert f"{2.0 ** (found.mode - found.median):.2f} times the median" in problem
    background = normalization_check(counts, control_genes=np.arange(900))
    assert any("Relative to the controls most genes have changed" in one for one in background.problems)


def test_log_ratios_are_those_of_a_plain_calculation():
    counts = simulated(np.random.default_rng(3).normal(0.0, 0.3, 500), mean=20.0)
    factors = size_factors(counts).to_numpy()
    found = compare_ratios(counts, factors, "group")
    q = counts.matrix / factors
    a, b = q[:, 4:].mean(axis=1), q[:, :4].mean(axis=1)
    kept = (a + b) / 2.0 >= 5.0
    expected = np.log2((a[kept] + 0.5) / (b[kept] + 0.5))
    assert found.first == "b"
    np.testing.assert_allclose(found.log_ratios, expected, atol=1e-12)
    assert found.median == pytest.approx(np.median(expected))
    assert found.share_near == pytest.approx((abs(expected - np.median(expected)) <= 0.5).mean())


def test_without_groups_samples_are_compared_with_their_mean():
    counts = simulated(np.zeros(300))
    alone = Counts(counts.matrix, samples=counts.samples)
    assert normalization_check(alone).comparison.second == "the mean of all samples"


def test_spike_ins_are_recognized_by_their_names():
    matrix = simulated(np.zeros(300)).matrix.copy()
    matrix[:20, 4:] *= 3  # as much more of the spike-ins: less RNA in the second group
    genes = [f"ERCC-{i:05d}" for i in range(20)] + [f"g{i}" for i in range(280)]
    check = normalization_check(Counts(matrix, genes=genes, samples=GROUPS.index, sample_table=GROUPS))
    (problem,) = check.problems
    assert problem.startswith("Size factors from control genes or spike-ins and from median ratios differ")
    ratio = check.size_factors["controls"] / check.size_factors["ratio"]
    assert ratio.iloc[4:].mean() / ratio.iloc[:4].mean() == pytest.approx(3.0, rel=0.1)


def test_a_gene_with_many_reads_in_one_group_is_a_problem_in_all_groups_a_note():
    matrix = simulated(np.zeros(300)).matrix.copy()
    total = matrix.sum(axis=0).mean()
    matrix[0] = int(0.3 * total)
    everywhere = normalization_check(Counts(matrix, samples=GROUPS.index, sample_table=GROUPS))
    assert everywhere.ok
    assert "note" in levels(everywhere)
    matrix[0, :4] = 100
    somewhere = normalization_check(Counts(matrix, samples=GROUPS.index, sample_table=GROUPS))
    assert any(
        "What they take is missing from the reads of all other genes" in one for one in somewhere.problems
    )
    np.testing.assert_allclose(somewhere.abundant_genes.loc["gene1"], matrix[0] / matrix.sum(axis=0))


def test_no_gene_counted_in_every_sample():
    matrix = simulated(np.zeros(160)).matrix.copy()
    matrix[np.arange(160), np.arange(160) % 8] = 0
    check = normalization_check(Counts(matrix, samples=GROUPS.index, sample_table=GROUPS))
    assert check.problems[0].startswith("Median ratios cannot be computed")
    assert check.size_factors["ratio"].isna().all()


def test_median_ratios_of_a_minority():
    matrix = simulated(np.zeros(300)).matrix.copy()
    matrix[np.arange(200), np.arange(200) % 8] = 0
    check = normalization_check(Counts(matrix, samples=GROUPS.index, sample_table=GROUPS))
    assert any("based on 100 of 300 genes" in one and "a minority" in one for one in check.problems)


def centred(factors):
    return factors / np.exp(np.log(factors).mean(axis=1, keepdims=True))


def test_factors_built_from_the_counts():
    counts = simulated(np.zeros(300))
    copied = centred((counts.matrix + 0.5) * np.random.default_rng(4).lognormal(0.0, 0.05, (300, 8)))
    (problem,) = normalization_check(counts, factors=copied).problems
    assert "seem to be built from the counts themselves" in problem
    attached = normalization_check(counts.with_normalization_factors(copied))
    assert attached.problems == (problem,)
    shrunken = centred(counts.matrix + 100.0)  # smoothed: counts over a pseudocount
    assert "seem to be built" in normalization_check(counts, factors=shrunken).problems[0]


def test_factors_of_their_own_are_no_problem():
    """Such as GC content and lengths: counts follow them in part, or not at all."""
    rng = np.random.default_rng(5)
    own = centred(rng.lognormal(0.0, 0.2, (300, 8)))
    counts = simulated(np.zeros(300))
    assert normalization_check(counts, factors=own).ok
    following = Counts(rng.poisson(counts.matrix * own), samples=GROUPS.index, sample_table=GROUPS)
    check = normalization_check(following, factors=own)
    assert check.ok
    assert 0.4 < check.factors.correlation < 0.8
    sizes = np.broadcast_to(size_factors(counts), (300, 8))
    assert "do not vary by gene" in str(normalization_check(counts, factors=sizes))


def test_moments_and_correlations_are_those_of_a_plain_calculation():
    rng = np.random.default_rng(6)
    counts, factors = simulated(np.zeros(60)), centred(rng.lognormal(0.0, 0.3, (60, 8)))
    sizes = size_factors(counts).to_numpy()
    masks = [np.arange(8) < 4, np.arange(8) >= 4]
    found = check_factors(counts, factors, sizes, masks)
    correlations, dispersions = [], []
    for y, f in zip(counts.matrix, factors, strict=True):
        correlations.append(np.corrcoef(np.log(f / sizes), np.log((y + 0.5) / sizes))[0, 1])
        parts = [
            (np.var(y[m] / f[m], ddof=1) - np.mean(y[m] / f[m]) * np.mean(1 / f[m]))
            / np.mean(y[m] / f[m]) ** 2
            for m in masks
        ]
        dispersions.append(np.mean(parts))
    np.testing.assert_allclose(found.correlations, correlations, rtol=1e-9)
    assert found.dispersion == pytest.approx(np.median(dispersions), rel=1e-9)
    assert found.poisson_share == pytest.approx(np.mean(np.array(dispersions) <= 0))


def test_zeros_missing_values_and_scale_of_factors():
    counts = simulated(np.zeros(60))
    factors = pd.DataFrame(np.full((60, 8), 3.0), index=counts.genes, columns=counts.samples)
    factors.iloc[0, 0], factors.iloc[1, 1], factors.iloc[2, 2] = 0.0, np.nan, np.inf
    check = normalization_check(counts, factors=factors)
    assert "2 missing or infinite value(s) and 1 that are 0 or negative, e.g. of 'gene1'" in check.problems[0]
    assert any("are 3 to 3, not 1" in finding.text for finding in check.findings if finding.level == "note")


def test_what_is_refused():
    counts = simulated(np.zeros(60))
    with pytest.raises(InputError, match=r"no column 'grp'.*Did you mean 'group'"):
        normalization_check(counts, "grp")
    with pytest.raises(InputError, match="unknown genes: 'x'"):
        normalization_check(counts, control_genes=["x"])
    with pytest.raises(InputError, match="factors have shape"):
        normalization_check(counts, factors=np.ones((3, 3)))
    matrix = counts.matrix.copy()
    matrix[:, 0] = 0
    with pytest.warns(BayesdeWarning, match="far fewer reads|no reads|sample1"):
        empty = Counts(matrix)
    with pytest.raises(InputError, match="no counts in the sample"):
        normalization_check(empty)


def test_the_command_prints_draws_and_exits_0_or_3(bayesde, tmp_path):
    counts, samples = datasets.path("pasilla")
    picture = tmp_path / "check.png"
    code, out, said = bayesde("check", counts, samples, "--by", "condition", "--plot", picture)
    assert code == 0
    assert out.count("ok: ") == 5
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert str(picture) in said
    wrong = simulated(np.zeros(100)).to_frame()
    wrong.iloc[0, :4] = 10 * wrong.iloc[:, :4].sum().max()
    wrong.to_csv(tmp_path / "counts.tsv", sep="\t")
    GROUPS.to_csv(tmp_path / "samples.tsv", sep="\t", index_label="sample")
    (tmp_path / "controls.txt").write_text("gene5\ngene6\n")
    factors = tmp_path / "factors.tsv"
    (wrong * 0.0).to_csv(factors, sep="\t")
    files = (tmp_path / "counts.tsv", tmp_path / "samples.tsv")
    code, out, _ = bayesde(
        "check", *files, "--control-genes", tmp_path / "controls.txt", "--normalization-factors", factors
    )
    assert code == 3
    assert "problem: Genes that take 10% or more of the reads of a sample: 'gene1'" in out
    assert "800 that are 0 or negative" in out
    code, _, said = bayesde("check", *files, "--plot", tmp_path / "check.pgn")
    assert code == 2
    assert "Did you mean 'png'" in said
