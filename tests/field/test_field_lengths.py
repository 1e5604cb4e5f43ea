"""Effective lengths in RSEM's files of genes, against tximport and DESeq2."""

import numpy as np
import pandas as pd
import pytest

from bayesde import InputError, fit_eb, normalization_factors, read_tximport


@pytest.fixture(scope="module")
def counts(shared):
    folder = shared / "field" / "rsem_genes"
    return read_tximport(folder, samples=folder / "samples.tsv")


def answer(shared, name):
    return pd.read_csv(shared / "field" / "rsem_genes" / name, sep="\t", index_col=0)


def test_lengths_are_those_of_the_files(counts, shared):
    expected = answer(shared, "r_length.tsv").loc[counts.genes, counts.samples]
    np.testing.assert_allclose(counts.average_lengths, expected, rtol=1e-12)


def test_factors_and_tests_are_those_of_deseq2(counts, shared):
    factors = answer(shared, "r_normalization_factors.tsv").loc[counts.genes, counts.samples]
    np.testing.assert_allclose(normalization_factors(counts), factors, rtol=1e-9)
    table = fit_eb(counts, "~ g").results().to_deseq2()
    expected = answer(shared, "r_results.tsv").loc[table.index]
    np.testing.assert_array_equal(table["padj"].isna(), expected["padj"].isna())
    for column in ("baseMean", "log2FoldChange", "lfcSE", "stat", "pvalue", "padj"):
        np.testing.assert_allclose(table[column], expected[column], rtol=1e-6, atol=1e-9, err_msg=column)


def write(folder, lengths):
    for sample, column in lengths.items():
        lines = ["gene_id\ttranscript_id(s)\tlength\teffective_length\texpected_count\tTPM\tFPKM"]
        lines += [f"g{i}\tt\t999\t{length}\t{i}.5\t0\t0" for i, length in enumerate(column)]
        (folder / f"{sample}.genes.results").write_text("\n".join(lines) + "\n")


def test_only_missing_lengths_are_replaced_and_none_is_below_one_base(tmp_path):
    write(
        tmp_path, {"a": ["0", "0.4", "100", "NA"], "b": ["50", "1", "200", "80"], "c": ["2", "3", "", "20"]}
    )
    lengths = read_tximport(tmp_path).average_lengths
    np.testing.assert_allclose(
        lengths, [[1, 50, 2], [1, 1, 3], [100, 200, 20000**0.5], [40, 80, 20]], rtol=1e-12
    )


def test_a_gene_without_any_length_is_named(tmp_path):
    write(tmp_path, {"a": ["10", "NA"], "b": ["50", ""]})
    with pytest.raises(InputError, match="'g1' have no effective_length in any sample"):
        read_tximport(tmp_path)
