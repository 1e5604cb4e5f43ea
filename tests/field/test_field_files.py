"""Files as STAR, nf-core, featureCounts and the Genomic Data Commons leave them."""

import gzip
import warnings

import numpy as np
import pandas as pd
import pytest

from bayesde import (
    BayesdeNote,
    BayesdeWarning,
    Counts,
    InputError,
    fit_eb,
    read_counts,
    read_results,
    read_tximport,
)

SAMPLES = [f"S{i}" for i in range(1, 9)]


def star(shared):
    folder = shared / "field" / "star_reads_per_gene"
    return folder, {name: folder / f"{name}.ReadsPerGene.out.tab" for name in SAMPLES}


def column(path, place):
    frame = pd.read_csv(path, sep="\t", header=None, index_col=0)
    return frame.loc[~frame.index.str.startswith("N_"), place]


def expected(paths, place):
    return pd.DataFrame({name: column(path, place) for name, path in paths.items()})


def quiet(*arguments, **named):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", BayesdeNote)
        return read_counts(*arguments, **named)


def test_the_strand_is_told_by_the_totals(shared):
    folder, paths = star(shared)
    with pytest.warns(BayesdeNote) as said:
        counts = read_counts(paths, samples=folder / "samples.tsv")
    sentences = " ".join(str(one.message) for one in said)
    assert "STAR's files for reverse libraries is used (column 4): 2 % of the reads" in sentences
    assert "'N_unmapped', 'N_multimapping', 'N_noFeature', 'N_ambiguous'" in sentences
    np.testing.assert_array_equal(counts.to_frame(), expected(paths, 3))
    assert list(counts.sample_table["condition"]) == ["control"] * 4 + ["treated"] * 4


@pytest.mark.parametrize(("strand", "place"), [("unstranded", 1), ("forward", 2), ("reverse", 3)])
def test_the_strand_by_option(shared, strand, place):
    _, paths = star(shared)
    with pytest.warns(BayesdeNote, match="left out"):
        counts = read_counts(paths, strand=strand)
    np.testing.assert_array_equal(counts.to_frame(), expected(paths, place))


def write(path, forward, reverse, compress=False):
    lines = [f"N_{name}\t9\t9\t9" for name in ("unmapped", "multimapping", "noFeature", "ambiguous")]
    lines += [f"g{i}\t{f + r}\t{f}\t{r}" for i, (f, r) in enumerate(zip(forward, reverse, strict=True))]
    path.parent.mkdir(exist_ok=True)
    text = ("\n".join(lines) + "\n").encode()
    path.write_bytes(gzip.compress(text) if compress else text)
    return path


@pytest.mark.parametrize(
    ("forward", "reverse", "kind"),
    [([95, 99], [1, 2], "forward"), ([50, 48], [49, 51], "unstranded"), ([0, 1], [70, 80], "reverse")],
)
def test_every_kind_of_library(tmp_path, forward, reverse, kind):
    for name in "ab":
        write(tmp_path / name / "ReadsPerGene.out.tab", forward, reverse)
    with (
        pytest.warns(BayesdeNote, match="left out"),
        pytest.warns(BayesdeNote, match=f"for {kind} libraries"),
    ):
        counts = read_counts(tmp_path)
    taken = {"forward": forward, "reverse": reverse, "unstranded": np.add(forward, reverse)}[kind]
    np.testing.assert_array_equal(counts.to_frame(), np.c_[taken, taken])
    assert list(counts.samples) == ["a", "b"]


def test_libraries_of_different_kinds(tmp_path):
    paths = {
        "a": write(tmp_path / "a.tab", [90, 80], [1, 1]),
        "b": write(tmp_path / "b.tab", [1, 2], [70, 80]),
    }
    with (
        pytest.warns(BayesdeNote, match="left out"),
        pytest.warns(BayesdeWarning, match="differ in strandedness .forward: 'a'; reverse: 'b'."),
    ):
        counts = read_counts(paths)
    np.testing.assert_array_equal(counts.to_frame(), [[91, 71], [81, 82]])


def test_a_folder_of_compressed_files_on_the_command_line(bayesde, shared, tmp_path):
    folder, paths = star(shared)
    (tmp_path / "star").mkdir()
    for name, path in paths.items():
        (tmp_path / "star" / f"{name}_ReadsPerGene.out.tab.gz").write_bytes(gzip.compress(path.read_bytes()))
    common = ("eb", tmp_path / "star", folder / "samples.tsv", "-d", "~ condition")
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        code, _, message = bayesde(*common, "-o", tmp_path / "out")
    assert code == 0, message
    assert "note: the column of STAR's files for reverse libraries is used (column 4)" in message
    table = fit_eb(quiet(paths, samples=folder / "samples.tsv"), "~ condition").results()
    pd.testing.assert_frame_equal(read_results(tmp_path / "out"), table)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        code, _, message = bayesde(*common, "--strand", "unstranded", "-o", tmp_path / "both")
        assert code == 0, message
        assert bayesde(*common, "--strand", "sideways", "-o", tmp_path / "no")[0] == 2
    first = fit_eb(quiet(paths, samples=folder / "samples.tsv", strand="unstranded"), "~ condition").results()
    pd.testing.assert_frame_equal(read_results(tmp_path / "both"), first)


def test_what_is_no_set_of_files(shared, tmp_path):
    folder, paths = star(shared)
    with pytest.raises(
        InputError, match=r"STAR's counts of a single sample; give the folder .*read_counts\(\{'sample'"
    ):
        read_counts(paths["S1"], samples=folder / "samples.tsv")
    with pytest.raises(InputError, match="'both'"):
        read_counts(paths, strand="both")
    (tmp_path / "a.txt").write_text("g1\t2\ng2\t4\n")
    with pytest.raises(InputError, match="strand= chooses among the columns of STAR"):
        read_counts({"a": tmp_path / "a.txt", "b": tmp_path / "a.txt"}, strand="forward")
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "quant.sf").write_text("Name\n")
    with pytest.raises(InputError, match=r"is a folder without files of STAR .* read by read_tximport"):
        read_counts(tmp_path)


def test_files_of_the_genomic_data_commons(tmp_path):
    header = "gene_id\tgene_name\tgene_type\tunstranded\tstranded_first\tstranded_second\ttpm_unstranded\n"
    rows = "N_unmapped\t\t\t5\t5\t5\t\nG1\tTP53\tcoding\t10\t5\t5\t1.5\nG2\tA2M\tlncRNA\t20\t11\t9\t2.5\n"
    for name in "ab":
        path = tmp_path / f"{name}.rna_seq.augmented_star_gene_counts.tsv"
        path.write_text("# gene-model: GENCODE v36\n" + header + rows)
    counts = quiet(tmp_path)
    assert list(counts.samples) == ["a", "b"]
    np.testing.assert_array_equal(counts.matrix, [[10, 10], [20, 20]])
    assert list(counts.gene_names) == ["TP53", "A2M"]


def test_single_files_of_featurecounts(tmp_path):
    for name in "ab":
        (tmp_path / f"{name}.txt").write_text(
            f"# Program:featureCounts\nGeneid\tChr\tStart\tEnd\tStrand\tLength\t{name}.bam\n"
            "g1\t1;1\t5;9\t6;12\t+;+\t6\t3\ng2\tX\t1\t9\t-\t9\t4\n"
        )
    counts = read_counts({name: tmp_path / f"{name}.txt" for name in "ab"})
    np.testing.assert_array_equal(counts.matrix, [[3, 3], [4, 4]])


def nfcore(shared):
    folder = shared / "field" / "nfcore_merged_counts"
    return (
        *(folder / f"salmon.merged.gene_{kind}.tsv" for kind in ("counts", "lengths")),
        folder / "samples.tsv",
    )


def test_merged_tables_of_nfcore(shared):
    counts, lengths, samples = nfcore(shared)
    read = read_tximport(counts=counts, lengths=lengths, samples=samples)
    assert list(read.samples) == SAMPLES
    assert list(read.gene_names[:2]) == ["GENE0", "GENE1"]
    assert read.matrix[0].tolist() == [18, 6, 8, 10, 11, 5, 4, 6]
    np.testing.assert_allclose(read.average_lengths[1], 1145.725)
    table = fit_eb(read, "~ condition").results()
    assert list(table.columns[:2]) == ["gene_name", "base_mean"]
    frames = [pd.read_csv(path, sep="\t", index_col=0) for path in (counts, lengths)]
    by_frames = read_tximport(counts=frames[0], lengths=frames[1], samples=samples)
    pd.testing.assert_frame_equal(fit_eb(by_frames, "~ condition").results(), table)
    assert "gene_name" in frames[0]


def test_fractional_counts_say_what_was_taken_for_samples(shared):
    counts, _, samples = nfcore(shared)
    words = "fractional counts.*read_tximport.*for samples: 'S1', .*'S8'; for gene labels: 'gene_name'"
    with pytest.raises(InputError, match=words):
        read_counts(counts, samples=samples)


def test_nfcore_on_the_command_line(bayesde, shared, tmp_path):
    counts, lengths, samples = nfcore(shared)
    code, _, message = bayesde(
        "eb", counts, samples, "-d", "~ condition", "--average-lengths", lengths, "-o", tmp_path / "out"
    )
    assert code == 0, message
    table = read_results(tmp_path / "out")
    assert table["gene_name"].tolist()[:2] == ["GENE0", "GENE1"]
    assert (tmp_path / "out" / "results.tsv").read_text().startswith("gene\tgene_name\tbase_mean\t")
    shrunken = read_results(tmp_path / "out" / "shrunken")
    assert shrunken["gene_name"].tolist() == table["gene_name"].tolist()


def whole(mark="\t", **labels):
    names = [f"g{i}" for i in range(1, 4)]
    frame = pd.DataFrame({"gene_id": names, **labels, "S1": [1, 2, 3], "S2": [4, 5, 6]})
    return frame.to_csv(sep=mark, index=False)


@pytest.mark.parametrize("mark", ["\t", ",", ";"])
@pytest.mark.parametrize(
    ("labels", "names"),
    [
        ({"Symbol": ["TP53", "", "A2M"]}, ["TP53", "", "A2M"]),
        ({"chromosome": [1, 2, "X"], "Gene Name": ["a", "b", "c"]}, ["a", "b", "c"]),
        ({"anything at all": ["u", "v", "w"]}, None),
        ({"entrez": [7157, 672, 675], "hgnc_symbol": ["a", "b", "c"]}, ["a", "b", "c"]),
    ],
)
def test_leading_columns_that_are_labels(tmp_path, mark, labels, names):
    (tmp_path / "counts").write_text(whole(mark, **labels))
    counts = quiet(tmp_path / "counts")
    assert list(counts.samples) == ["S1", "S2"]
    assert list(counts.gene_labels) == list(labels)
    assert (None if counts.gene_names is None else list(counts.gene_names)) == names
    frame = pd.read_csv(tmp_path / "counts", sep=mark, index_col=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", BayesdeNote)
        assert list(Counts(frame).samples) == ["S1", "S2"]
    kept = counts.subset(genes=["g3", "g1"])
    assert list(kept.gene_labels.index) == ["g3", "g1"]


def test_extra_attributes_of_featurecounts(tmp_path):
    head = "Geneid\tChr\tStart\tEnd\tStrand\tLength\tgene_name\tgene_type\t/x/a.bam\t/x/b.bam\n"
    rows = "g1\t1\t5\t6\t+\t6\tTP53\tprotein\t3\t4\ng2\tX;X\t1;2\t9;10\t-;-\t9\tA2M\tlnc\t4\t5\n"
    (tmp_path / "counts.txt").write_text("# Program:featureCounts\n" + head + rows)
    counts = read_counts(tmp_path / "counts.txt")
    assert list(counts.samples) == ["a", "b"]
    assert list(counts.gene_names) == ["TP53", "A2M"]
    np.testing.assert_array_equal(counts.matrix, [[3, 4], [4, 5]])


def test_columns_of_numbers_taken_for_labels_are_told_unless_they_are_samples(tmp_path):
    (tmp_path / "counts").write_text(whole(Length=[100, 200, 300]))
    with pytest.warns(BayesdeNote, match="column.s. 'Length' are taken for gene labels"):
        assert read_counts(tmp_path / "counts").n_samples == 2
    table = pd.DataFrame({"x": [1, 2, 3]}, index=["Length", "S1", "S2"])
    assert read_counts(tmp_path / "counts", samples=table).n_samples == 3


def test_columns_that_are_neither_are_refused(tmp_path):
    (tmp_path / "counts").write_text("gene\tS1\tS2\ng1\t1,000\t2\ng2\t3\t4\n")
    with pytest.raises(InputError, match=r"text instead of counts.*1,000.*taken for samples: 'S1', 'S2'"):
        read_counts(tmp_path / "counts")
    (tmp_path / "counts").write_text("gene\ttext\ng1\tu\ng2\tv\n")
    with pytest.raises(InputError, match=r"no sample with counts.* and labels of them"):
        read_counts(tmp_path / "counts")


def test_names_of_genes_are_drawn(shared):
    from bayesde.plots import interval_plot

    counts, lengths, samples = nfcore(shared)
    read = read_tximport(counts=counts, lengths=lengths, samples=samples)
    table = fit_eb(read, "~ condition").shrink()
    ax = interval_plot(table, top=3)
    assert all(label.get_text().startswith("GENE") for label in ax.get_yticklabels())
