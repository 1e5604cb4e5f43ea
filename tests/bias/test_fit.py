"""The whole way: from BAM files to effective lengths, the diagnosis, files and the command."""

import gzip
import json

import numpy as np
import pandas as pd
import pysam
import pytest

import bayesde as bde
from bayesde import InputError, OptionError
from bayesde.bias.diagnosis import WORTHWHILE
from bayesde.bias.needs import library
from bayesde.bias.pictures import _smoothed
from bayesde.errors import BayesdeWarning

QUICK = {"window": 11, "min_starts": 500}


@pytest.fixture(scope="module")
def four(bams, genome):
    return bde.bias.fit(bams, genome.fasta, genome.gtf, **QUICK)


def true_lengths(genome, strength: float) -> np.ndarray:
    """Sums of the true bias over both exons and strands, by gene."""
    both = [np.concatenate([np.arange(*exon) for exon in exons]) for exons in genome.exons]
    return np.array(
        [
            sum(genome.preference(one, np.full(one.size, way), strength).sum() for way in (False, True))
            for one in both
        ]
    )


def test_lengths_are_those_of_the_true_bias(four, genome):
    found = np.log(four.average_lengths["a1"] / four.average_lengths["b1"]).to_numpy()
    truth = np.log(true_lengths(genome, 1.4) / true_lengths(genome, 0.3))
    assert np.corrcoef(found, truth)[0, 1] > 0.95
    assert np.ptp(truth) > 0.15
    assert found.std() == pytest.approx(truth.std(), rel=0.35)


def test_tables_of_a_fit(four, bams):
    assert list(four.average_lengths.columns) == list(bams)
    assert four.average_lengths.index.tolist() == [f"g{i}" for i in range(80)]
    assert four.average_lengths.sum().to_numpy() == pytest.approx(four.unbiased_lengths.sum().to_numpy())
    assert (four.counts.sum() == 6000).all()
    assert four.reweighted_counts.sum().to_numpy() == pytest.approx(6000.0)
    per_base = four.rpkm() * 700 / 1e9
    assert per_base.sum().to_numpy() == pytest.approx(1.0)
    assert set(four.positions()["end"]) == {"first"}
    assert len(four.positions()) == 4 * 11


def test_reweighted_counts_lose_what_the_bias_adds(four, genome):
    """All genes have the same expression in their first exons, which is where reads start."""
    added = np.log(four.counts / four.reweighted_counts)[["a1", "a2"]].mean(axis=1)
    first = np.array([np.arange(*exons[0]) for exons in genome.exons])
    truth = sum(genome.preference(first, np.full(first.shape, way), 1.4).sum(axis=1) for way in (False, True))
    assert np.corrcoef(added, np.log(truth))[0, 1] > 0.7
    assert added.std() == pytest.approx(np.log(truth).std(), rel=0.35)


def test_libraries_of_other_preferences_differ(four):
    table = four.differences
    assert table.loc["a1", "b1"] > 0.1
    assert abs(table.loc["a1", "a2"]) < 0.02
    assert abs(table.loc["b1", "b2"]) < 0.02
    assert np.array_equal(table, table.T)
    assert four.spread == pytest.approx(0.062, rel=0.35)  # of the true lengths
    assert ("use the effective lengths" in four.diagnosis[-1]) == (four.spread >= WORTHWHILE)


def test_condition_and_bias_that_go_together_are_warned_of(bams, genome):
    condition = {"a1": "x", "a2": "x", "b1": "y", "b2": "y"}
    with pytest.warns(BayesdeWarning, match="condition and bias go together: .* differ by 0"):
        fit = bde.bias.fit(bams, genome.fasta, genome.gtf, condition=condition, **QUICK)
    assert fit.diagnosis[-1].startswith("condition and bias go together")
    crossed = dict(zip(bams, "xyxy", strict=True))
    fit = bde.bias.fit(bams, genome.fasta, genome.gtf, condition=crossed, **QUICK)
    assert not fit.diagnosis[-1].startswith("condition")
    with pytest.raises(InputError, match="the condition of 'b2' is not known; those of 'a1', 'a2', 'b1' are"):
        bde.bias.fit(bams, genome.fasta, condition={"a1": 1, "a2": 1, "b1": 2})


def test_both_ends_of_fragments_have_models(paired, genome):
    fit = bde.bias.fit(paired, genome.fasta, genome.gtf, **QUICK)
    assert fit.table["end"].tolist() == ["first", "second"]
    assert (fit.table["information"] > 0.02).all()
    assert (fit.counts["paired"].sum(), fit.libraries["paired"].law.lengths.tolist()) == (5000, [120])
    assert fit.unbiased_lengths.iloc[0, 0] == 700 - 120 + 1


def test_stretches_of_coverage_take_the_place_of_genes(bams, genome):
    fit = bde.bias.fit({"a1": bams["a1"], "b1": bams["b1"]}, genome.fasta, **QUICK)
    assert len(fit.places.names) == 80
    assert fit.places.names[0].startswith("chr1:2")
    assert fit.counts["a1"].sum() == 6000


def test_the_same_seed_gives_the_same_lengths(bams, genome, four):
    again = bde.bias.fit(bams["a1"], genome.fasta, genome.gtf, **QUICK)
    assert again.average_lengths["a1"].equals(four.average_lengths["a1"])
    other = bde.bias.fit(bams["a1"], genome.fasta, genome.gtf, seed=2, **QUICK)
    assert not other.average_lengths["a1"].equals(four.average_lengths["a1"])


def test_a_library_without_bias_is_told(genome):
    path = genome.write_bam(genome.folder / "even.bam", n=3000, strength=0.0, seed=6)
    fit = bde.bias.fit(path, genome.fasta, genome.gtf, **QUICK)
    assert any("No bias could be established in even (first reads)" in one for one in fit.diagnosis)


def test_files_that_do_not_fit_together_are_refused(genome, bams, tmp_path):
    other = genome.write_bam(tmp_path / "other.bam", n=2000, strength=0.5, seed=1, name="1")
    with pytest.raises(InputError, match=r"they have no sequence in common\. '1' and 'chr1' may be the same"):
        bde.bias.fit(other, genome.fasta, genome.gtf)
    with pytest.raises(InputError, match=r"has no sequence '1', which the reads were aligned to"):
        bde.bias.fit(other, genome.fasta)
    with pytest.raises(
        InputError, match=r"has \d,\d\d\d distinct starts of first reads in genes; at least 9,000"
    ):
        bde.bias.fit(bams["a1"], genome.fasta, genome.gtf, min_starts=9000)
    with pytest.raises(InputError, match="several BAM files would be called 'a1'"):
        bde.bias.fit([bams["a1"], bams["a1"]], genome.fasta)
    with pytest.raises(InputError, match="no BAM file is given"):
        bde.bias.fit([], genome.fasta)
    with pytest.raises(OptionError, match=r"fit\(\) has no argument 'modle'\. Did you mean 'model'\?"):
        bde.bias.fit(bams["a1"], genome.fasta, modle="markov")


def test_a_missing_library_is_one_sentence(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pysam", None)
    with pytest.raises(
        InputError, match=r"reading BAM files needs pysam, which is not installed: pip install"
    ):
        library("pysam")


def test_the_pictures_show_the_tables(four):
    from matplotlib.figure import Figure

    ax = bde.bias.divergence_plot(four, "b1", ax=Figure().subplots())
    before, after = (line.get_ydata() for line in ax.lines)
    table = four.libraries["b1"].ends["first"].positions
    assert before.tolist() == table["kl_before"].tolist()
    assert after.tolist() == table["kl_after"].tolist()
    ax = bde.bias.base_frequency_plot(four, corrected=True, ax=Figure().subplots())
    shown = [
        line.get_ydata() for line in ax.lines if line.get_linestyle() == "-" and len(line.get_ydata()) == 11
    ]
    assert [text.get_text() for text in ax.get_legend().get_texts()] == [*"ACGT", "background"]
    assert all(tick == round(tick) for tick in ax.get_xticks())
    assert shown[2].tolist() == four.libraries["a1"].ends["first"].positions["after_G"].tolist()
    ax = bde.bias.gene_coverage_plot(four, "g3", "a2", ax=Figure().subplots())
    assert np.sum(ax.lines[0].get_ydata()) == pytest.approx(four.counts.loc["g3", "a2"], rel=0.05)
    with pytest.raises(InputError, match=r"there is no gene 'g333'\. Did you mean"):
        bde.bias.gene_coverage_plot(four, "g333")
    with pytest.raises(InputError, match="there is no library 'c'"):
        bde.bias.divergence_plot(four, "c")
    with pytest.raises(InputError, match="the library 'a1' has no second reads"):
        bde.bias.divergence_plot(four, end="second")


def test_starts_along_a_gene_are_averaged_over_the_bases_that_there_are():
    np.testing.assert_allclose(_smoothed(np.ones(100)), 1.0, rtol=1e-12)
    np.testing.assert_allclose(_smoothed(np.ones(7)), 1.0, rtol=1e-12)
    ramp = np.arange(100.0)
    np.testing.assert_allclose(_smoothed(ramp)[[0, 50, 99]], [6.0, 50.0, 93.0], rtol=1e-12)


def test_the_command_writes_what_eb_reads(bayesde, bams, genome, tmp_path):
    out = tmp_path / "bias"
    samples = tmp_path / "samples.tsv"
    samples.write_text("sample\tcondition\na1\tx\nb1\tx\na2\ty\nb2\ty\n")
    given = [*bams.values(), "--genome", genome.fasta, "--annotation", genome.gtf, "--window", 11]
    condition = ["--samples", samples, "--condition", "condition"]
    code, shown, said = bayesde("bias", *given, "-o", out, *condition, "--tracks", "--min-starts", 500)
    assert code == 0, said
    assert "effective lengths of 80 genes" in shown
    lengths = pd.read_csv(out / "average_lengths.tsv", sep="\t", index_col=0)
    assert lengths.columns.tolist() == list(bams)
    assert json.loads((out / "bias.json").read_text())["options"]["window"] == 11
    assert (out / "diagnosis.txt").read_text().splitlines()[0] in shown
    track = gzip.decompress((out / "tracks" / "a1.first.forward.bedGraph.gz").read_bytes()).decode()
    lines = track.splitlines()
    assert lines[1].startswith("chr1\t200\t201\t")
    assert len(lines) == 1 + 80 * 700
    assert sorted(one.name for one in (out / "plots").iterdir())[:2] == ["a1.bases.png", "a1.starts.png"]
    given = [
        out / "counts.tsv",
        samples,
        "-d",
        "~ condition",
        "--average-lengths",
        out / "average_lengths.tsv",
    ]
    code, _, said = bayesde("eb", *given, "--trend", "mean", "-o", tmp_path / "eb")
    assert code in (0, 3), said
    assert len(pd.read_csv(tmp_path / "eb" / "results.tsv", sep="\t")) == 80
    code, _, said = bayesde("bias", bams["a1"], "--genome", genome.fasta, "-o", out)
    assert code == 2
    assert "already holds results (bias.json); --force replaces them" in said
    code, _, said = bayesde("bias", bams["a1"], "--genome", genome.fasta, "-o", tmp_path / "eb")
    assert code == 2
    assert "holds a run of bayesde" in said


def test_errors_of_the_command(bayesde, bams, genome, tmp_path):
    given = [bams["a1"], "--genome", genome.fasta]
    code, _, said = bayesde("bias", *given, "-o", tmp_path / "o", "--samples", genome.gtf)
    assert (code, "--samples and --condition belong together" in said) == (2, True)
    (tmp_path / "s.tsv").write_text("sample\tbatch\na1\tx\n")
    code, _, said = bayesde(
        "bias", *given, "-o", tmp_path / "o", "--samples", tmp_path / "s.tsv", "--condition", "condition"
    )
    assert (code, "has no column 'condition'; its columns are batch" in said) == (2, True)
    code, _, said = bayesde("bias", tmp_path / "none.bam", "--genome", genome.fasta, "-o", tmp_path / "o")
    assert (code, "the BAM file" in said, "does not exist" in said) == (2, True, True)
    assert not (tmp_path / "o").exists()


def test_names_of_samples(bams, genome):
    fit = bde.bias.fit([f"one={bams['a1']}"], genome.fasta, genome.gtf, **QUICK)
    assert list(fit.libraries) == ["one"]
    assert "1 libraries, 80 genes, model 'variable_markov'" in repr(fit)


def test_real_reads_lose_their_bias(shared):
    """Chromosome 4 of pasilla: largest divergence of single bases 0.35 and 0.37 bits before, 0.01 after."""
    folder = shared / "data" / "pasilla_chr4"
    fit = bde.bias.fit(folder / "untreated3_chr4.bam", folder / "dm3_chr4.fa")
    table = fit.table.set_index("end")
    assert table["distinct_starts"].sum() > 50_000
    assert (table["kl_before"].between(0.25, 0.45)).all()
    assert (table["kl_after"] < 0.02).all()
    assert (table["information"] > 0.12).all()


def test_a_small_library_is_corrected_as_far_as_it_goes(shared):
    folder = shared / "data" / "seqbias_example"
    fit = bde.bias.fit(folder / "example.bam", folder / "example.fa")
    assert fit.table.loc[0, "kl_after"] < 0.5 * fit.table.loc[0, "kl_before"]
    assert fit.table.loc[0, "information"] > 0.0


def test_reads_may_have_any_order_and_the_file_no_index(bams, genome, four, tmp_path):
    with pysam.AlignmentFile(str(bams["a1"])) as opened:
        reads, header = list(opened.fetch(until_eof=True)), opened.header
    shuffled = np.random.default_rng(8).permutation(len(reads))
    with pysam.AlignmentFile(str(tmp_path / "a1.bam"), "wb", header=header) as out:
        for i in shuffled:
            out.write(reads[i])
    found = bde.bias.fit(tmp_path / "a1.bam", genome.fasta, genome.gtf, **QUICK)
    assert found.average_lengths["a1"].equals(four.average_lengths["a1"])
    assert found.counts["a1"].equals(four.counts["a1"])
