"""Counts of features: DEXSeq's names, exons of featureCounts, junctions; and what is refused."""

import numpy as np
import pandas as pd
import pytest

from bayesde import BayesdeNote, Counts, InputError, UsageCounts, read_usage

SAMPLES = pd.DataFrame({"group": list("aabb")}, index=["s1", "s2", "s3", "s4"])
MATRIX = np.arange(1, 21).reshape(5, 4)


def write(path, frame, **options):
    frame.to_csv(path, sep="\t", **options)
    return path


def test_bins_named_by_gene(tmp_path):
    names = ["x:E001", "x:E002", "y+z:E001", "x:E003", "y+z:E002"]
    frame = pd.DataFrame(MATRIX, index=names, columns=SAMPLES.index)
    usage = read_usage(write(tmp_path / "bins.tsv", frame), write(tmp_path / "samples.tsv", SAMPLES))
    assert list(usage.genes) == ["x", "x", "y+z", "x", "y+z"]
    np.testing.assert_array_equal(usage.this, MATRIX)
    np.testing.assert_array_equal(usage.others[0], MATRIX[1] + MATRIX[3])
    np.testing.assert_array_equal(usage.others[2], MATRIX[4])
    assert usage.log_length_ratio is None
    assert "5 features of 2 genes, 4 samples" in repr(usage)
    assert not usage.others.flags.writeable


def test_exons_of_feature_counts(tmp_path):
    exons = [
        ("g1", "chr1", 1, 50, "+", 50, 5, 6, 7, 8),
        ("g1", "chr1", 90, 99, "+", 10, 1, 2, 3, 4),
        ("g1", "chr1", 90, 99, "+", 10, 1, 2, 3, 4),
        ("g2", "chr2", 1, 9, "-", 9, 3, 3, 3, 3),
        ("g2", "chr2", 11, 19, "-", 9, 4, 4, 4, 4),
    ]
    header = "Geneid Chr Start End Strand Length".split() + [f"bam/s{j}.bam" for j in range(1, 5)]
    lines = ["# Program:featureCounts", *("\t".join(map(str, row)) for row in [header, *exons])]
    (tmp_path / "exons.txt").write_text("\n".join(lines) + "\n")
    with pytest.warns(BayesdeNote, match="1 row.s. of exons that are listed several times"):
        usage = read_usage(tmp_path / "exons.txt", SAMPLES)
    assert list(usage.features) == [
        "g1:chr1_1_50_+",
        "g1:chr1_90_99_+",
        "g2:chr2_1_9_-",
        "g2:chr2_11_19_-",
    ]
    np.testing.assert_array_equal(usage.others[:2], [[1, 2, 3, 4], [5, 6, 7, 8]])


def test_genes_may_be_given():
    counts = Counts(MATRIX, genes=list("abcde"), samples=SAMPLES.index)
    genes = pd.Series({"e": "q", "d": "q", "c": "p", "b": "p", "a": "p"})
    usage = UsageCounts.from_features(counts, genes)
    assert list(usage.genes) == list("pppqq")
    np.testing.assert_array_equal(usage.others[4], MATRIX[3])


def test_junctions(tmp_path):
    names = ["x:SE1", "x:SE2", "event3", "y:RI1", "y:RI2"]
    inclusion = pd.DataFrame(MATRIX, index=names, columns=SAMPLES.index)
    exclusion = (2 * inclusion).iloc[::-1, ::-1]
    lengths = pd.DataFrame({"exclusion": [50.0] * 5, "inclusion": [100.0] * 4 + [25.0]}, index=names)
    files = [
        write(tmp_path / f"{name}.tsv", frame)
        for name, frame in (("in", inclusion), ("out", exclusion), ("lengths", lengths))
    ]
    usage = read_usage(files[0], SAMPLES, exclusion=files[1], lengths=files[2])
    np.testing.assert_array_equal(usage.others, 2 * MATRIX)
    np.testing.assert_allclose(usage.log_length_ratio, np.log([2.0, 2.0, 2.0, 2.0, 0.5]))
    assert list(usage.genes) == ["x", "x", "event3", "y", "y"]
    assert "5 events" in repr(usage)
    equal = UsageCounts.from_junctions(Counts(inclusion), exclusion)
    np.testing.assert_array_equal(equal.log_length_ratio, 0.0)


def test_what_is_refused(tmp_path):
    counts = Counts(MATRIX, genes=list("abcde"), samples=SAMPLES.index)
    with pytest.raises(InputError, match=r"5 feature.s. have no gene before a colon, as in 'gene:E001': 'a'"):
        UsageCounts.from_features(counts)
    with pytest.raises(InputError, match="every gene has a single feature"):
        UsageCounts.from_features(counts, list("vwxyz"))
    with pytest.raises(InputError, match="3 genes were given for 5 features"):
        UsageCounts.from_features(counts, list("xyz"))
    with pytest.raises(InputError, match=r"there is no gene for the feature.s. 'b'"):
        UsageCounts.from_features(counts, ["x", None, "x", "y", "y"])
    with pytest.raises(InputError, match=r"there is no gene for the feature.s. 'e'"):
        UsageCounts.from_features(counts, pd.Series(dict.fromkeys("abcd", "x")))
    with pytest.raises(InputError, match=r"no exclusion counts of the event.s. 'd', 'e'"):
        UsageCounts.from_junctions(counts, counts.subset(genes=list("abc")))
    with pytest.raises(InputError, match=r"no exclusion counts of the sample.s. 's4'"):
        UsageCounts.from_junctions(counts, counts.subset(samples=["s1", "s2", "s3"]))
    bad = pd.DataFrame({"inclusion": [0.0] * 5, "exclusion": [1.0] * 5}, index=list("abcde"))
    with pytest.raises(InputError, match="effective lengths that are not finite and above 0"):
        UsageCounts.from_junctions(counts, counts, lengths=bad)
    with pytest.raises(InputError, match="a table with the columns 'inclusion' and 'exclusion'"):
        UsageCounts.from_junctions(counts, counts, lengths=bad[["inclusion"]])
    with pytest.raises(InputError, match="lengths are for junctions"):
        read_usage(tmp_path / "x.tsv", lengths=tmp_path / "l.tsv")
