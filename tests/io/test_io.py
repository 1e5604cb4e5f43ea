"""Reading tables as different programs write them, and writing that is never half done."""

import bz2
import gzip
import lzma

import numpy as np
import pandas as pd
import pytest

from bayesde import BayesdeNote, Counts, InputError, read_counts
from bayesde.io import read_sample_table, write_atomically

ROWS = "g1\t1\t2\ng2\t3\t4\n"
PLAIN = "gene\ta\tb\n" + ROWS


def check(counts: Counts) -> None:
    np.testing.assert_array_equal(counts.matrix, [[1, 2], [3, 4]])
    assert list(counts.genes) == ["g1", "g2"]
    assert list(counts.samples) == ["a", "b"]


@pytest.mark.parametrize(
    "text",
    [
        PLAIN,
        "a\tb\n" + ROWS,  # R's write.table(quote = FALSE, sep = "\t")
        "\ta\tb\n" + ROWS,  # R's write.csv and pandas name the first column ""
        '"a" "b"\n"g1" 1 2\n"g2" 3 4\n',  # R's write.table as it is
        PLAIN.replace("\t", ","),
        PLAIN.replace("\t", ";"),
        PLAIN.replace("\n", "\r\n"),
        PLAIN.replace("\n", "\r"),
        "\ufeff" + PLAIN,
        "# made by x\n# and y\n" + PLAIN,
        "#gene\ta\tb\n" + ROWS,
        "# made by x\n#gene\ta\tb\n" + ROWS,
        PLAIN + "\n\n",
        PLAIN.rstrip("\n"),
        "gene\ta\tb\ng1\t1.0\t2e0\ng2\t3\t4\n",
        '"gene","a","b"\n"g1","1","2"\n"g2","3","4"\n',
    ],
)
def test_tables_as_programs_write_them(tmp_path, text):
    path = tmp_path / "counts.txt"
    path.write_bytes(text.encode())
    check(read_counts(path))
    check(read_counts(str(path)))


@pytest.mark.parametrize("compress", [gzip.compress, bz2.compress, lzma.compress])
def test_compressed_files_whatever_they_are_called(tmp_path, compress):
    path = tmp_path / "counts.tsv"
    path.write_bytes(compress(PLAIN.encode()))
    check(read_counts(path))


def test_the_gene_column_may_stand_anywhere(tmp_path):
    path = tmp_path / "counts.tsv"
    path.write_text("a\tid\tb\n1\tNA\t2\n3\tnan\t4\n")
    counts = read_counts(path, gene_column="id")
    assert list(counts.genes) == ["NA", "nan"]
    assert list(counts.samples) == ["a", "b"]
    with pytest.raises(InputError, match="no column 'ID'"):
        read_counts(path, gene_column="ID")


def test_gene_names_stay_text(tmp_path):
    path = tmp_path / "counts.tsv"
    path.write_text("gene\ta\tb\n007\t1\t2\n1e5\t3\t4\n# odd\t5\t6\n")
    assert list(read_counts(path).genes) == ["007", "1e5", "# odd"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("gene\ta\tb\ng1\t1\tmany\ng2\t3\t4\n", r"text .* 1 cell\(s\) \(gene 'g1', sample 'b': many\)"),
        ("gene\ta\tb\ng1\t1\t\ng2\t3\t4\n", "missing counts in 1 cell.*gene 'g1', sample 'b'"),
        ("gene\ta\tb\ng1\t1\tNA\ng2\t3\t4\n", "missing counts in 1 cell"),
        ("gene\ta\tb\ng1\t1\ng2\t3\t4\n", "columns in its header"),
        ("gene\ta\tb\ng1\t1\t2\ng2\t3\n", "too few fields in line 3"),
        ("gene\ta\tb\ng1\t1\t2\ng2\t3\t4\t5\n", "not a table: Expected 3 fields"),
        ("gene\ta\tb\ng1\t1\t-2\ng2\t3\t4\n", "negative counts in 1 cell"),
        ("gene\ta\tb\ng1\t1\t2.5\ng2\t3\t4\n", "fractional counts in 1 cell"),
        ("gene\ta\tb\ng1\t1\tinf\ng2\t3\t4\n", "infinite counts in 1 cell"),
        ("gene\ta\tb\ng1\t1\tTrue\ng2\t3\tTrue\n", "instead of counts in 2 cell"),
        ("gene\ta\tb\ng1\t1\t99999999999999999999999\ng2\t3\t4\n", r"above 2\*\*53"),
        ("gene\ta\tb\ng1\t1\t2\ng1\t3\t4\n", "duplicate gene names: 'g1'"),
        ("gene\ta\ta\ng1\t1\t2\ng2\t3\t4\n", "several columns called 'a'"),
        ("gene\ta\tb\n\t1\t2\ng2\t3\t4\n", "empty gene names"),
        ("gene\ta\tb\ng1\t0\t0\ng2\t0\t0\n", "every count is zero"),
        ("gene\ta\ng1\t1\ng2\t3\n", "at least two are needed"),
        ("gene\ng1\ng2\n", "one column"),
        ("gene\ta\tb\n", "no rows"),
        ("# only\n# remarks\n", "only comments"),
        ("", "is empty"),
        ("\n\n", "is empty"),
    ],
)
def test_bad_files(tmp_path, text, words):
    path = tmp_path / "counts.tsv"
    path.write_text(text)
    with pytest.raises(InputError, match=words):
        read_counts(path)


def test_files_that_are_not_there_or_not_text(tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        read_counts(tmp_path / "none.tsv")
    with pytest.raises(InputError, match="is a folder"):
        read_counts(tmp_path)
    path = tmp_path / "binary"
    path.write_bytes(b"PK\x03\x04\x00\x00")
    with pytest.raises(InputError, match="not a text file"):
        read_counts(path)
    path.write_bytes("gène\ta\tb\n".encode("latin-1") + ROWS.encode())
    with pytest.raises(InputError, match="not UTF-8"):
        read_counts(path)
    path.write_bytes(gzip.compress(PLAIN.encode())[:20])
    with pytest.raises(InputError, match="cannot be read"):
        read_counts(path)


@pytest.mark.parametrize("mark", ["\t", ",", ";"])
@pytest.mark.parametrize(
    "text",
    [
        "gene|a|b\ng1|1|2|\ng2|3|4|\n",
        "gene|a|b\ng1|1|2|\ng2|3|4\n",
        "gene|a|b|\ng1|1|2|\ng2|3|4|\n",
        "gene|a|b|\ng1|1|2\ng2|3|4\n",
        "gene|a|b|||\ng1|1|2|||\ng2|3|4| ||\n",
        "a|b\ng1|1|2||\ng2|3|4||\n",  # R's header
        "|a|b|\ng1|1|2|\ng2|3|4|\n",
    ],
)
def test_separators_at_the_end_of_lines_are_ignored(tmp_path, text, mark):
    path = tmp_path / "counts.tsv"
    path.write_text(text.replace("|", mark))
    with pytest.warns(BayesdeNote, match="end with separators behind which there is nothing"):
        counts = read_counts(path)
    assert (list(counts.genes), list(counts.samples)) == (["g1", "g2"], ["a", "b"])
    np.testing.assert_array_equal(counts.matrix, [[1, 2], [3, 4]])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a\tb\ng1\t1\t\ng2\t3\t4\n", "missing counts in 1 cell.*gene 'g1', sample 'b'"),  # R's header
        ("gene\ta\tb\t\ng1\t1\t2\t\ng2\t3\t4\t5\n", "empty sample names"),
        ("gene\ta\tb\ng1\t1\t2\t\t\ng2\t3\t4\t5\t\n", "missing counts in 1 cell"),
        ("gene\ta\ng1\t1\t2\t3\n", "2 columns in its header .* but 4 in its first row"),
    ],
)
@pytest.mark.filterwarnings("ignore::bayesde.BayesdeNote")
def test_cells_without_a_name_are_not_ignored(tmp_path, text, words):
    path = tmp_path / "counts.tsv"
    path.write_text(text)
    with pytest.raises(InputError, match=words):
        read_counts(path)


def test_separators_at_the_end_of_lines_of_a_sample_table(tmp_path):
    path = tmp_path / "samples.tsv"
    path.write_text("sample\tgroup\ns1\tx\t\ns2\ty\t\n")
    with pytest.warns(BayesdeNote, match="end with separators"):
        table = read_sample_table(path)
    assert (list(table.index), list(table["group"])) == (["s1", "s2"], ["x", "y"])
    path.write_text("group\tnote\ns1\tx\t\ns2\ty\t\n")  # R's header over a column that is empty
    table = read_sample_table(path)
    assert (list(table.index), list(table["group"])) == (["s1", "s2"], ["x", "y"])
    assert table["note"].isna().all()


@pytest.mark.parametrize("mark", ["\t", ",", " "])
def test_a_short_row_is_not_a_row_of_missing_counts(tmp_path, mark):
    path = tmp_path / "counts.tsv"
    path.write_text("# made by hand\ngene\ta\tb\ng1\t1\t2\n\ng2\t3\n".replace("\t", mark))
    with pytest.raises(InputError, match="too few fields in line 5: 2 instead of 3"):
        read_counts(path)


def test_a_wrong_separator_is_explained(tmp_path):
    path = tmp_path / "counts.tsv"
    path.write_text(PLAIN)
    with pytest.raises(InputError, match=r"Is the separator right\? \(comma was used"):
        read_counts(path, sep=",")
    with pytest.raises(InputError, match="one character"):
        read_counts(path, sep="ab")


def test_samples_from_a_file_or_a_frame(tmp_path):
    (tmp_path / "counts.tsv").write_text(PLAIN)
    (tmp_path / "samples.csv").write_text("batch,sample,condition\n2,b,treated\n1,a,None\n")
    counts = read_counts(tmp_path / "counts.tsv", samples=tmp_path / "samples.csv")
    assert list(counts.sample_table["condition"]) == ["None", "treated"]
    assert list(counts.sample_table["batch"]) == [1, 2]
    frame = pd.DataFrame({"x": [1.0, 2.0]}, index=["b", "a"])
    assert list(read_counts(tmp_path / "counts.tsv", samples=frame).sample_table["x"]) == [2.0, 1.0]
    (tmp_path / "samples.csv").write_text("sample,condition\nb,treated\nc,control\n")
    with pytest.raises(InputError, match=r"no row for the counted sample.s. 'a' and row.s. for 'c'"):
        read_counts(tmp_path / "counts.tsv", samples=tmp_path / "samples.csv")


def test_sample_tables(tmp_path):
    path = tmp_path / "samples.tsv"
    path.write_text("condition\tage\n01\tx\t3.5\n02\tNA\t4\n")
    table = read_sample_table(path)
    assert list(table.index) == ["01", "02"]
    assert list(table["age"]) == [3.5, 4.0]
    assert list(table["condition"].isna()) == [False, True]
    path.write_text("sample\nA\nB\n")
    assert read_sample_table(path).shape == (2, 0)
    path.write_text("sample\tx\nA\t1\nA\t2\n")
    with pytest.raises(InputError, match=r"several rows for the sample.s. 'A'"):
        read_sample_table(path)
    path.write_text("sample\tx\tx\nA\t1\t2\n")
    with pytest.raises(InputError, match="several columns called 'x'"):
        read_sample_table(path)


def test_writing_replaces_whole_files_only(tmp_path, monkeypatch):
    path = tmp_path / "file.txt"
    write_atomically(path, "old\n")
    write_atomically(path, b"new\n")
    assert path.read_text() == "new\n"

    def broken(*_):
        raise OSError("disk full")

    monkeypatch.setattr("bayesde.io.writing.os.replace", broken)
    with pytest.raises(OSError, match="disk full"):
        write_atomically(path, "newer\n")
    assert path.read_text() == "new\n"
    assert [entry.name for entry in tmp_path.iterdir()] == ["file.txt"]
