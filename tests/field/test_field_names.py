"""Sample names that programs changed on the way from the sample table to the counts."""

import numpy as np
import pandas as pd
import pytest

from bayesde import BayesdeNote, Counts, InputError, fit_eb, read_counts
from bayesde.counts.sample_names import likely_pairs


def test_names_that_r_made(shared):
    folder = shared / "field" / "names_mangled_by_R"
    with pytest.warns(BayesdeNote, match="'X1.a' is '1-a', 'X2.a' is '2-a'"):
        counts = read_counts(folder / "counts.tsv", samples=folder / "samples.tsv")
    assert list(counts.samples) == [f"X{i}.a" for i in range(1, 9)]
    assert list(counts.sample_table["condition"]) == ["control"] * 4 + ["treated"] * 4
    assert fit_eb(counts, "~ condition").design.samples == tuple(counts.samples)


@pytest.mark.parametrize(
    ("counted", "listed"),
    [
        (["X1", "X10"], ["1", "10"]),
        (["ctrl.1", "ctrl.2", "treat.A."], ["ctrl 1", "ctrl-2", "treat(A)"]),
        (["1-a", "2-a"], ["X1.a", "X2.a"]),
        (["/data/a.sorted.bam", "/data/b.sorted.bam"], ["a", "b"]),
        (["..\\bams\\a.bam", "..\\bams\\b.bam"], ["a", "b"]),
        (["S1.Aligned.sortedByCoord.out.bam", "S2Aligned.sortedByCoord.out.bam"], ["S1", "S2"]),
        (["S1_counts", "S2ReadsPerGene.out.tab"], ["S1", "S2"]),
        (["S1", "S2"], ["S1_R1_001.fastq.gz", "S2.fastq.gz"]),
        (["SRR1/accepted_hits.bam", "SRR2/accepted_hits.bam"], ["SRR1", "SRR2"]),
        (["X1.a.bam", "X2.a.bam"], ["1-a", "2-a"]),
        (["Sample_1", "Sample_2"], ["sample-1", "SAMPLE 2"]),
    ],
)
def test_names_that_are_matched(counted, listed):
    table = pd.DataFrame({"n": range(len(listed))}, index=listed).iloc[::-1]
    with pytest.warns(BayesdeNote, match="matched although their names differ"):
        counts = Counts(np.ones((3, len(counted)), int), samples=counted, sample_table=table)
    assert list(counts.samples) == counted
    assert list(counts.sample_table["n"]) == list(range(len(listed)))
    assert list(table.index) == listed[::-1]


@pytest.mark.parametrize(
    ("counted", "listed"),
    [(["S1", "S11"], ["S1", "S1.1"]), (["a", "b"], ["a", "c"]), (["a", "a.bam"], ["a.sam", "a_counts"])],
)
def test_names_that_are_not(counted, listed):
    with pytest.raises(InputError, match="does not match the counts"):
        Counts(np.ones((3, 2), int), samples=counted, sample_table=pd.DataFrame({"x": [1, 2]}, index=listed))


def test_pairs_are_suggested_one_by_one_where_not_all_match():
    table = pd.DataFrame({"x": [1, 2, 3]}, index=["1-a", "2-a", "other"])
    with pytest.raises(InputError, match=r"Perhaps 'X1.a' is '1-a', 'X2.a' is '2-a'\. Both"):
        Counts(np.ones((3, 3), int), samples=["X1.a", "X2.a", "X3.a"], sample_table=table)
    table = pd.DataFrame({"x": [1, 2]}, index=["S1", "S10"])
    with pytest.raises(InputError, match=r"Perhaps 'run.S1.L1' is 'S1', 'run.S10.L1' is 'S10'"):
        Counts(np.ones((3, 2), int), samples=["run.S1.L1", "run.S10.L1"], sample_table=table)


def test_factors_are_matched_alike():
    frame = pd.DataFrame({"X1.a": [1, 2], "X2.a": [3, 4]}, index=["g", "h"])
    factors = pd.DataFrame({"2-a": [2.0, 2.0], "1-a": [1.0, 1.5]}, index=["g", "h"])
    with pytest.warns(BayesdeNote, match="of the normalization factors are matched .* 'X1.a' is '1-a'"):
        counts = Counts(frame, normalization_factors=factors)
    np.testing.assert_array_equal(counts.normalization_factors, [[1.0, 2.0], [1.5, 2.0]])


def test_every_name_is_paired_once():
    assert likely_pairs(pd.Index(["a.1", "a-1"]), pd.Index(["a 1", "a_1"])) == {}
    assert likely_pairs(pd.Index(["a", "b"]), pd.Index(["a", "b"])) == {}


FRAME = pd.DataFrame(np.arange(1, 13).reshape(4, 3), index=list("wxyz"), columns=["s1", "s2", "s3"])
TABLE = pd.DataFrame({"arm": ["a", "b", "a"]}, index=["s1", "s2", "s3"])


def test_frames_given_the_other_way_round():
    with pytest.raises(InputError, match=r"are the samples, 's1', 's2', 's3'.*transposed\? .*frame\.T"):
        Counts(FRAME.T, sample_table=TABLE)
    with pytest.raises(InputError, match=r"transposed\?.*sample_table=table"):
        Counts(FRAME.T, TABLE)
    with pytest.raises(InputError, match=r"names are needed; .*Counts\(frame, sample_table=table\)"):
        Counts(FRAME, TABLE)
    with pytest.raises(InputError, match=r"3 sample names were given for .* 4 samples\. .*transposed\?"):
        Counts(FRAME.T.to_numpy(), sample_table=TABLE)
