"""Counts as featureCounts, htseq-count, AnnData and Parquet keep them."""

import subprocess
import sys

import anndata
import h5py
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from bayesde import BayesdeNote, Counts, InputError, read_counts

FRAME = pd.DataFrame([[1, 2], [3, 4], [0, 0]], index=["g1", "g2", "g3"], columns=["a", "b"])
FEATURES = """# Program:featureCounts v2.0.3; Command:"featureCounts" "-a" "genes.gtf" "-o" "counts.txt"
Geneid\tChr\tStart\tEnd\tStrand\tLength\t{}\t{}
g1\tchr1;chr1\t10;90\t20;99\t+;+\t21\t1\t2
g2\tchrX\t5\t9\t-\t5\t3\t4
g3\tNA\t5\t9\t-\t5\t0\t0
"""


def check(counts: Counts) -> None:
    expected = FRAME.set_axis(FRAME.index.astype(object)).set_axis(FRAME.columns.astype(object), axis=1)
    pd.testing.assert_frame_equal(counts.to_frame(), expected, check_names=False)


@pytest.mark.parametrize(
    ("files", "names"),
    [
        (("/runs/1/a.bam", "/runs/1/b.bam"), ["a", "b"]),
        (("a.sorted.bam", "b.SAM"), ["a.sorted", "b"]),
        ((r"C:\runs\a.cram", r"C:\runs\b.bed"), ["a", "b.bed"]),
        (("x/aln.bam", "y/aln.bam"), ["x/aln.bam", "y/aln.bam"]),
    ],
)
def test_output_of_feature_counts(tmp_path, files, names):
    path = tmp_path / "counts.txt"
    path.write_text(FEATURES.format(*files))
    counts = read_counts(path)
    assert list(counts.samples) == names
    np.testing.assert_array_equal(counts.matrix, FRAME)
    assert list(counts.genes) == list(FRAME.index)
    path.write_text(FEATURES.format(*files).partition("\n")[2])  # without the line about the program
    assert list(read_counts(path).samples) == names


def test_rows_of_htseq_for_reads_of_no_gene(tmp_path):
    path = tmp_path / "counts.tsv"
    special = ("__no_feature", "__ambiguous", "__too_low_aQual", "__not_aligned", "__alignment_not_unique")
    path.write_text(FRAME.to_csv(sep="\t") + "".join(f"{name}\t7\t8\n" for name in special))
    with pytest.warns(BayesdeNote, match="5 row.* not genes, and are left out: '__no_feature'"):
        check(read_counts(path))
    path.write_text(FRAME.to_csv(sep="\t") + "__gene\t7\t8\n")
    assert read_counts(path).n_genes == 4


@pytest.mark.filterwarnings("ignore:2 row.* not genes, and:bayesde.BayesdeNote")
def test_one_file_of_htseq_for_each_sample(tmp_path):
    tail = "__no_feature\t70\n__ambiguous\t8\n"
    (tmp_path / "a.txt").write_text(FRAME["a"].to_csv(sep="\t", header=False) + tail)
    (tmp_path / "b.txt").write_text(FRAME["b"].iloc[::-1].to_csv(sep="\t", header=False) + tail)
    files = {name: tmp_path / f"{name}.txt" for name in "ab"}
    table = pd.DataFrame({"arm": ["x", "y"]}, index=["b", "a"])
    counts = read_counts(files, samples=table)
    check(counts)
    assert list(counts.sample_table["arm"]) == ["y", "x"]
    (tmp_path / "b.txt").write_text("gene\tcount\n" + FRAME["b"].to_csv(sep="\t", header=False))
    check(read_counts(files))
    for bad, words in (
        ("g1\t2\ng2\t4\n", "do not list the same genes, for example 'g3'"),
        ("g1\t2\ng2\t4\ng2\t4\ng3\t0\n", r"lists gene\(s\) twice: 'g2'"),
        ("g1\t2\ng2\tmany\ng3\t0\n", "text instead of counts in 1 cell.*gene 'g2', sample 'b': many"),
        ("g1\t2\t3\ng2\t4\t5\n", "has 3 columns; genes and the counts of one sample are needed"),
    ):
        (tmp_path / "b.txt").write_text(bad)
        with pytest.raises(InputError, match=words):
            read_counts(files)
    with pytest.raises(InputError, match="no file was given"):
        read_counts({})


def written(path, make=np.asarray, **more):
    anndata.AnnData(
        X=make(FRAME.T.to_numpy(dtype=np.float32)),
        obs=pd.DataFrame({"arm": pd.Categorical(["t", "c"], categories=["t", "c"])}, index=["a", "b"]),
        var=pd.DataFrame({"id": ["i1", "i2", "i3"]}, index=FRAME.index),
        **more,
    ).write_h5ad(path)


@pytest.mark.parametrize("backed", [True, False])
@pytest.mark.parametrize("make", [np.asarray, sparse.csr_matrix, sparse.csc_matrix])
def test_annotated_files(tmp_path, make, backed):
    path = tmp_path / "counts.data"  # the content tells what it is
    written(path, make, layers={"raw": make(10 * FRAME.T.to_numpy())})
    counts = read_counts(path, backed=backed)
    check(counts)
    assert counts.is_dense == (make is np.asarray and not backed)
    assert list(counts.sample_table["arm"].cat.categories) == ["t", "c"]
    np.testing.assert_array_equal(read_counts(path, layer="raw", backed=backed).matrix, 10 * FRAME)
    assert list(read_counts(path, gene_column="id").genes) == ["i1", "i2", "i3"]
    other = pd.DataFrame({"batch": [1.0, 2.0]}, index=["b", "a"])
    assert list(read_counts(path, samples=other).sample_table["batch"]) == [2.0, 1.0]


def test_an_annotated_file_is_closed_unless_its_counts_stay_there(tmp_path):
    path = tmp_path / "counts.h5ad"
    written(path, layers={"bad": FRAME.T.to_numpy() - 0.5})
    read_counts(path)
    with pytest.raises(InputError, match="negative counts"):
        read_counts(path, layer="bad", backed=True)
    with h5py.File(path, "r+") as file:  # refused while anyone else has it open
        assert "X" in file
    counts = read_counts(path, backed=True)
    with pytest.raises(OSError, match="open"):
        h5py.File(path, "r+")
    check(counts)


def test_annotated_files_that_do_not_fit(tmp_path):
    path = tmp_path / "counts.h5ad"
    written(path, layers={"scaled": 0.5 * FRAME.T.to_numpy(), "raw": FRAME.T.to_numpy()})
    with pytest.raises(
        InputError, match=r"fractional counts .*'g1', sample 'a': 0.5.* layers 'raw', 'scaled'"
    ):
        read_counts(path, layer="scaled")
    with pytest.raises(InputError, match="no layer 'x'; there are the layers 'raw', 'scaled'"):
        read_counts(path, layer="x")
    with pytest.raises(InputError, match="var has no column 'symbol'"):
        read_counts(path, gene_column="symbol")
    with h5py.File(path, "w") as file:
        file["table"] = [1.0]
    with pytest.raises(InputError, match="there is no X"):
        read_counts(path)
    with h5py.File(path, "w") as file:
        file["X"] = np.ones((2, 3))
    with pytest.raises(InputError, match=r"not an \.h5ad file of AnnData.*obs"):
        read_counts(path)
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(InputError, match=r"cannot be read as an \.h5ad file"):
        read_counts(path)
    path.write_text("gene\ta\tb\ng1\t1\t2\n")
    for options in ({"layer": "raw"}, {"backed": True}):
        with pytest.raises(InputError, match=r"not an \.h5ad file: omit layer= and backed="):
            read_counts(path, **options)


def test_without_anndata_it_is_said_how_to_get_it(tmp_path, monkeypatch):
    written(tmp_path / "counts.h5ad")
    monkeypatch.setitem(sys.modules, "anndata", None)
    with pytest.raises(InputError, match=r"pip install bayesde\[anndata\]"):
        read_counts(tmp_path / "counts.h5ad")


def test_text_is_read_without_loading_what_other_files_need():
    program = (
        "import sys, bayesde; bayesde.load_pasilla(); "
        "print([name for name in ('anndata', 'h5py', 'scipy', 'numba') if name in sys.modules])"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"


def test_parquet(tmp_path):
    path = tmp_path / "counts"  # the content tells what it is
    FRAME.to_parquet(path)
    check(read_counts(path))
    FRAME.astype("Int64").rename_axis("gene").reset_index().to_parquet(path)
    check(read_counts(path))
    FRAME.astype(float).assign(id=FRAME.index).reset_index(drop=True).to_parquet(path)
    check(read_counts(path, gene_column="id"))
    with pytest.raises(InputError, match="text instead of counts"):
        read_counts(path)
    with pytest.raises(InputError, match="no column 'gene'; its columns are 'a', 'b', 'id'"):
        read_counts(path, gene_column="gene")
    table = pd.DataFrame({"arm": ["x", "y"]}, index=["b", "a"])
    FRAME.to_parquet(path)
    assert list(read_counts(path, samples=table).sample_table["arm"]) == ["y", "x"]
    path.write_bytes(path.read_bytes()[:30])
    with pytest.raises(InputError, match=r"cannot be read as a \.parquet file"):
        read_counts(path)


@pytest.mark.parametrize(
    ("layers", "words"),
    [({}, "there are no layers"), ({"raw": FRAME.T.to_numpy()}, "the only layer is 'raw'")],
)
def test_the_layers_there_are_are_said_in_english(tmp_path, layers, words):
    path = tmp_path / "counts.h5ad"
    written(path, layers=layers)
    with pytest.raises(InputError, match=f"no layer 'x'; {words}"):
        read_counts(path, layer="x")
