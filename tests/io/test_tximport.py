"""Estimated counts and transcript lengths against tximport's rules written a second time, and real data."""

import gzip

import numpy as np
import pandas as pd
import pytest

from bayesde import BayesdeWarning, InputError, read_tximport
from bayesde.io.tximport import filled_lengths

TX2GENE = pd.DataFrame({"tx": ["t1", "t2", "t3", "t4", "t5", "t6"], "gene": ["b", "a", "b", "c", "c", "d"]})
# Transcript: (length, TPM, reads) in samples x, y and z. Gene c is absent from x and y, gene d from all.
QUANTIFIED = {
    "x": {
        "t1": (100, 2, 10.5),
        "t2": (50, 1, 1.5),
        "t3": (300, 6, 20.0),
        "t4": (10, 0, 0),
        "t5": (30, 0, 0),
        "t6": (7, 0, 0),
    },
    "y": {
        "t1": (110, 0, 0.0),
        "t2": (60, 4, 2.5),
        "t3": (310, 5, 20.4),
        "t4": (12, 0, 0),
        "t5": (32, 0, 0),
        "t6": (9, 0, 0),
    },
    "z": {
        "t1": (120, 1, 0.5),
        "t2": (70, 0, 0.0),
        "t3": (320, 3, 20.0),
        "t4": (14, 1, 3),
        "t5": (34, 3, 4),
        "t6": (11, 0, 0),
    },
}
COUNTS = pd.DataFrame(  # 10.5 + 20.0 = 30.5 and 1.5, 2.5 are rounded half to even
    [[2, 2, 0], [30, 20, 20], [0, 0, 7], [0, 0, 0]],
    index=pd.Index(["a", "b", "c", "d"], dtype=object),
    columns=pd.Index(["x", "y", "z"], dtype=object),
)
LENGTHS = pd.DataFrame(
    {
        "x": [50.0, (2 * 100 + 6 * 300) / 8, (14 + 3 * 34) / 4, 9.0],
        "y": [60.0, 310.0, (14 + 3 * 34) / 4, 9.0],
        "z": [np.sqrt(50.0 * 60.0), (120 + 3 * 320) / 4, (14 + 3 * 34) / 4, 9.0],
    },
    index=["a", "b", "c", "d"],
)
HEADERS = {
    "quant.sf": ["Name", "Length", "EffectiveLength", "TPM", "NumReads"],
    "abundance.tsv": ["target_id", "length", "eff_length", "est_counts", "tpm"],
    "isoforms.results": ["transcript_id", "gene_id", "length", "effective_length", "expected_count", "TPM"],
}


def text(sample, header=HEADERS["quant.sf"], rename=str):
    lines = ["\t".join(header)]
    for name, (length, tpm, reads) in QUANTIFIED[sample].items():
        cells = {"Length": 999, "length": 999, "gene_id": "?"}
        cells |= dict.fromkeys(("Name", "target_id", "transcript_id"), rename(name))
        cells |= dict.fromkeys(("EffectiveLength", "eff_length", "effective_length"), length)
        cells |= dict.fromkeys(("TPM", "tpm"), tpm) | dict.fromkeys(
            ("NumReads", "est_counts", "expected_count"), reads
        )
        lines.append("\t".join(str(cells[column]) for column in header))
    return "\n".join(lines) + "\n"


@pytest.fixture
def folder(tmp_path):
    for sample in QUANTIFIED:
        (tmp_path / "salmon" / sample).mkdir(parents=True)
        (tmp_path / "salmon" / sample / "quant.sf").write_text(text(sample))
        (tmp_path / "salmon" / sample / "lib_format_counts.json").write_text("{}")
    return tmp_path / "salmon"


def check(counts):
    pd.testing.assert_frame_equal(counts.to_frame(), COUNTS, check_names=False)
    np.testing.assert_allclose(counts.average_lengths, LENGTHS, rtol=1e-14)


def test_files_are_summed_by_gene(folder):
    files = {sample: folder / sample / "quant.sf" for sample in QUANTIFIED}
    for given in (
        folder,
        str(folder),
        files,
        pd.Series(files),
        {sample: folder / sample for sample in files},
    ):
        check(read_tximport(given, TX2GENE))
    turned = read_tximport({sample: files[sample] for sample in "zxy"}, TX2GENE)
    check(turned.subset(samples=["x", "y", "z"]))
    assert list(turned.samples) == ["z", "x", "y"]


@pytest.mark.parametrize("kind", HEADERS)
def test_every_program(tmp_path, kind):
    for sample in QUANTIFIED:
        content = text(sample, HEADERS[kind]).encode()
        if kind == "abundance.tsv":
            (tmp_path / sample).mkdir()
            (tmp_path / sample / kind).write_bytes(content)
        else:
            (tmp_path / f"{sample}.{kind}.gz").write_bytes(gzip.compress(content))
    check(read_tximport(tmp_path, TX2GENE))


def test_genes_of_rsem(tmp_path):
    for sample in COUNTS:
        lines = ["gene_id\ttranscript_id(s)\tlength\teffective_length\texpected_count\tTPM\tFPKM"]
        for gene in reversed(COUNTS.index):
            length = 0 if gene == "d" else float(LENGTHS.loc[gene, sample])
            lines.append(f"{gene}\tt\t999\t{length!r}\t{COUNTS.loc[gene, sample]}\t1.5\t0")
        (tmp_path / f"{sample}.genes.results").write_text("\n".join(lines) + "\n")
    counts = read_tximport(tmp_path)
    pd.testing.assert_frame_equal(counts.to_frame(), COUNTS, check_names=False)
    np.testing.assert_allclose(counts.average_lengths[:3], LENGTHS[:3], rtol=1e-15)
    np.testing.assert_array_equal(counts.average_lengths[3], 1.0)


def test_the_map_of_transcripts_to_genes_in_any_form(folder, tmp_path):
    pairs = dict(zip(TX2GENE["tx"], TX2GENE["gene"], strict=True))
    check(read_tximport(folder, pairs))
    check(read_tximport(folder, pd.Series(pairs)))
    check(read_tximport(folder, pd.concat([TX2GENE, TX2GENE.iloc[::-1]])))
    for name, header in (("with.csv", ["TXNAME,GENEID"]), ("without.csv", [])):
        (tmp_path / name).write_text(
            "\n".join(header + [f"{tx},{gene}" for tx, gene in pairs.items()]) + "\n"
        )
        check(read_tximport(folder, tmp_path / name))
    with pytest.raises(InputError, match=r"several genes for the transcript.s. 't1'"):
        read_tximport(folder, pd.concat([TX2GENE, pd.DataFrame({"tx": ["t1"], "gene": ["z"]})]))
    with pytest.raises(InputError, match="must be a table"):
        read_tximport(folder, TX2GENE[["tx"]])
    with pytest.raises(InputError, match="give the gene of each by tx2gene="):
        read_tximport(folder)


def test_versions_and_bars(tmp_path):
    for sample in QUANTIFIED:
        (tmp_path / f"{sample}.quant.sf").write_text(text(sample, rename=lambda name: f"{name}.2|GENE.1|x"))
    with pytest.raises(
        InputError, match=r"none of the quantified transcripts.*'t1.2\|GENE.1\|x'.*ignore_tx_version=True"
    ):
        read_tximport(tmp_path, TX2GENE)
    check(read_tximport(tmp_path, TX2GENE, ignore_tx_version=True))
    versioned = TX2GENE.assign(tx=TX2GENE["tx"] + ".2")
    check(read_tximport(tmp_path, versioned, ignore_after_bar=True))
    check(read_tximport(tmp_path, TX2GENE.assign(tx=TX2GENE["tx"] + ".7"), ignore_tx_version=True))


def test_transcripts_without_a_gene_are_left_out_with_a_warning(folder):
    with pytest.warns(BayesdeWarning, match=r"1 of 6 transcripts have no gene .*4.7 % of .* reads: 't2'"):
        counts = read_tximport(folder, TX2GENE.drop(index=1))
    pd.testing.assert_frame_equal(counts.to_frame(), COUNTS.drop(index="a"), check_names=False)


def test_files_that_do_not_fit(folder, tmp_path):
    target = folder / "z" / "quant.sf"
    lines = text("z").splitlines()
    target.write_text("\n".join([lines[0], *reversed(lines[1:])]) + "\n")  # another order is no fault
    check(read_tximport(folder, TX2GENE))
    for bad, words in (
        ("\n".join(lines[:-1]) + "\n", "do not list the same transcripts, for example 't6'"),
        (text("z").replace("t2\t", "t1\t"), "listed twice: 't1'"),
        (text("z").replace("\t0.5\n", "\tNA\n"), r"1 row\(s\) without name or number.*'t1'"),
        (text("z").replace("\t0.5\n", "\t-1\n"), "a number below 0"),
        (text("z").replace("\t0.5\n", "\tmany\n"), "cannot be read as a quantification"),
        ("gene\tx\na\t1\n", "not a quantification by Salmon, kallisto or RSEM; its columns are 'gene', 'x'"),
    ):
        target.write_text(bad)
        with pytest.raises(InputError, match=words):
            read_tximport(folder, TX2GENE)
    (folder / "z.quant.sf").write_text(text("z"))
    with pytest.raises(InputError, match=r"several quantifications of the sample.s. 'z'"):
        read_tximport(folder, TX2GENE)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="there is no quantification in"):
        read_tximport(tmp_path / "empty", TX2GENE)
    with pytest.raises(InputError, match=r"has no quant.sf"):
        read_tximport({"a": tmp_path / "empty", "b": folder / "x"}, TX2GENE)
    with pytest.raises(InputError, match="does not exist"):
        read_tximport({"a": tmp_path / "none.sf", "b": folder / "x"}, TX2GENE)
    with pytest.raises(InputError, match="give a folder, or the path of each"):
        read_tximport(folder / "x" / "quant.sf", TX2GENE)


def test_ready_matrices(tmp_path):
    estimated = COUNTS + pd.DataFrame({"x": [0.5, 0.5, 0.0, 0.0], "y": 0.4, "z": -0.0}, index=COUNTS.index)
    shuffled = LENGTHS.loc[["d", "b", "a", "c"], ["z", "y", "x"]]
    table = pd.DataFrame({"condition": ["u", "v", "w"]}, index=["z", "y", "x"])
    counts = read_tximport(counts=estimated, lengths=shuffled, samples=table)
    check(counts)
    assert list(counts.sample_table["condition"]) == ["w", "v", "u"]
    estimated.to_csv(tmp_path / "counts.tsv", sep="\t")
    shuffled.to_csv(tmp_path / "lengths.csv.gz")
    table.to_csv(tmp_path / "samples.csv", index_label="sample")
    again = read_tximport(
        counts=tmp_path / "counts.tsv", lengths=tmp_path / "lengths.csv.gz", samples=tmp_path / "samples.csv"
    )
    check(again)
    check(read_tximport(counts=estimated, lengths=LENGTHS.to_numpy()))
    bare = read_tximport(counts=estimated.to_numpy(), lengths=LENGTHS.to_numpy())
    np.testing.assert_array_equal(bare.matrix, COUNTS)


def test_matrices_that_do_not_fit():
    for changed, words in (
        ({"counts": -0.25 - COUNTS}, "negative counts in 12 cell"),
        ({"counts": COUNTS / 0.0}, "missing counts"),
        ({"counts": COUNTS.astype(object).where(COUNTS != 30, "many")}, "estimated counts are not numbers"),
        ({"lengths": LENGTHS.drop(index="b")}, r"average lengths lack the gene\(s\) 'b'"),
        ({"lengths": LENGTHS * 0.0}, "average lengths that are not finite and above 0"),
        ({"lengths": None}, "both counts= and lengths="),
    ):
        with pytest.raises(InputError, match=words):
            read_tximport(**{"counts": COUNTS, "lengths": LENGTHS, **changed})
    with pytest.raises(InputError, match="both counts= and lengths="):
        read_tximport(counts=COUNTS, lengths=LENGTHS, files="folder")
    with pytest.raises(InputError, match="both counts= and lengths="):
        read_tximport()


def test_lengths_without_abundance_by_their_definition():
    drawn = np.random.default_rng(3).uniform(1, 9, (50, 6))
    drawn[np.random.default_rng(4).random((50, 6)) < 0.5] = np.nan
    drawn[7] = np.nan
    means = np.arange(1.0, 51.0)
    expected = pd.DataFrame(drawn).T.apply(lambda gene: gene.fillna(np.exp(np.log(gene).mean()))).T
    expected = expected.T.fillna(pd.Series(means)).T
    np.testing.assert_allclose(filled_lengths(drawn, means), expected, rtol=1e-14)


def test_real_transcripts_give_the_published_lengths_of_genes(shared, tmp_path):
    """Macrophages: estimates with one decimal, of the transcripts seen in several samples only."""
    data = shared / "data" / "macrophage_salmon"
    reads = pd.read_csv(data / "tx_counts.tsv.gz", sep="\t", index_col="tx_id")
    lengths = pd.read_csv(data / "tx_efflength.tsv.gz", sep="\t", index_col="tx_id")
    samples = list(reads.columns[1:9:2])
    for sample in samples:
        rate = reads[sample] / lengths[sample]
        pd.DataFrame(
            {
                "Name": reads.index,
                "EffectiveLength": lengths[sample],
                "TPM": 1e6 * rate / rate.sum(),
                "NumReads": reads[sample],
            }
        ).to_csv(tmp_path / f"{sample}.quant.sf", sep="\t", index=False)
    counts = read_tximport(tmp_path, reads["gene_id"])
    published = {
        name: pd.read_csv(data / f"{name}.tsv.gz", sep="\t", index_col="gene_id").loc[
            counts.genes, counts.samples
        ]
        for name in ("counts", "gene_length")
    }
    # Where no read was left out with its transcript, only decimals and very rare transcripts differ.
    whole = (counts.matrix == published["counts"]).all(axis=1).to_numpy() & (counts.matrix >= 1000).all(
        axis=1
    )
    assert whole.sum() > 1_000
    apart = np.abs(np.log(counts.average_lengths[whole] / published["gene_length"][whole]))
    assert apart.quantile(0.95).max() < 1e-3
    assert apart.median().max() < 1e-4


def test_real_files_of_salmon(shared):
    folder = shared / "data" / "macrophage_salmon" / "quant_sf"
    files = sorted(folder.glob("*.quant.sf.gz"))
    frames = [pd.read_csv(path, sep="\t", index_col="Name") for path in files]
    gene = frames[0].index.str.slice(0, 13)  # no real genes, but groups of up to 100 transcripts
    counts = read_tximport(folder, dict(zip(frames[0].index, gene, strict=True)))
    assert list(counts.samples) == [path.name.removesuffix(".quant.sf.gz") for path in files]
    together = pd.concat(
        [frame.assign(weighted=frame["TPM"] * frame["EffectiveLength"]) for frame in frames], axis=1
    )
    code, names = pd.factorize(gene, sort=True)
    assert list(counts.genes) == list(names)
    for j, frame in enumerate(frames):
        total = np.zeros(len(names))
        np.add.at(total, code, frame["NumReads"].to_numpy())  # one after the other, like rowsum of R 4.2
        np.testing.assert_array_equal(counts.matrix[:, j], np.rint(total), err_msg=files[j].name)
    weighted = together["weighted"].groupby(gene).sum().to_numpy()
    abundance = together["TPM"].groupby(gene).sum().to_numpy()
    both = (abundance > 0).all(axis=1)
    np.testing.assert_allclose(counts.average_lengths[both], weighted[both] / abundance[both], rtol=1e-12)
    one = (abundance > 0).sum(axis=1) == 1
    np.testing.assert_allclose(counts.average_lengths[one, 0], counts.average_lengths[one, 1])
    none = (abundance == 0).all(axis=1)
    plain = together["EffectiveLength"].mean(axis=1).groupby(gene).mean().to_numpy()
    np.testing.assert_allclose(counts.average_lengths[none, 0], plain[none], rtol=1e-12)
    assert min(both.sum(), one.sum(), none.sum()) > 50


def test_real_lengths_are_filled_in_as_published(shared):
    """Macrophages, 24 samples: the lengths are kept with one decimal, which a mean may enlarge a little."""
    data = shared / "data" / "macrophage_salmon"
    lengths = pd.read_csv(data / "gene_length.tsv.gz", sep="\t", index_col="gene_id")
    present = pd.read_csv(data / "gene_tpm.tsv.gz", sep="\t", index_col="gene_id")[lengths.columns] > 0
    some = present.any(axis=1) & ~present.all(axis=1)
    bare = lengths[some].where(present[some]).to_numpy()
    assert np.isnan(bare).sum() > 300_000
    filled = filled_lengths(bare, np.full(len(bare), np.nan))
    np.testing.assert_allclose(filled, lengths[some], rtol=0, atol=0.15)
