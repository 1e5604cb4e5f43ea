"""Gene names that a spreadsheet changed, rows that are no genes, samples without reads."""

import warnings

import numpy as np
import pandas as pd
import pytest

from bayesde import BayesdeNote, BayesdeWarning, Counts, InputError, fit_eb, read_counts


def field(shared, case):
    folder = shared / "field" / case
    return read_counts(folder / "counts.tsv", samples=folder / "samples.tsv")


def heard(genes, values=None):
    """Make counts and return what was said of them."""
    values = np.full((len(genes), 4), 50) if values is None else values
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        Counts(values, genes=genes)
    return [str(one.message) for one in said]


def named(*names):
    return [*names, *(f"Gene{i}" for i in range(60))]


def test_names_that_are_dates_are_named(shared):
    with pytest.warns(BayesdeWarning, match="3 gene name.*'2-Mar', '2-Sep', '1-Dec'. Spreadsheets convert"):
        assert field(shared, "gene_names_turned_to_dates").n_genes == 120


@pytest.mark.parametrize(
    "name",
    ["2-Mar", "02-mar", "Mar-02", "Sep-2001", "2. Mrz", "1-Dez", "2-Mar-2023", "2023-03-02", "2001/03/01",
     "2023-03-02 00:00:00", "3/2/2001", "02.03.2001", "44621", "44621.0", "2.31E+13", "1.00E+06", "4e+05"],
)  # fmt: skip
def test_what_spreadsheets_make_of_names(name):
    (said,) = heard(named(name))
    assert f"1 gene name(s) look like dates or numbers: '{name}'" in said


@pytest.mark.parametrize(
    "genes",
    [
        named(
            "MARCHF2", "SEPTIN2", "DEC1", "mar-1", "sep-1", "Oct4", "Y74C9A.3", "2310009E13Rik", "7SK", "1A"
        ),
        [str(1000 + 37 * i) for i in range(2000)],  # Entrez
        named("100130426", "007", "ENSG00000000003.15", "chr1-100-200", "hsa-mir-21", "5S_rRNA", "12-2"),
    ],
)
def test_names_of_real_genes_are_not_dates(genes):
    assert heard(genes) == []


def test_names_in_a_column_of_their_own_are_looked_at_too():
    names = pd.DataFrame({"symbol": named("2-Mar")[:40]}, index=[f"E{i}" for i in range(40)])
    with pytest.warns(BayesdeWarning, match="1 gene name.*'2-Mar'"):
        Counts(np.full((40, 4), 9), genes=list(names.index), gene_labels=names)


def test_two_genes_of_one_date_are_explained():
    with pytest.raises(InputError, match=r"duplicate gene names: '1-Mar'.*MARCH1 and MARC1"):
        Counts(np.ones((3, 4), int), genes=["1-Mar", "g", "1-Mar"])


def test_a_nearly_empty_sample_is_named(shared):
    words = r"far fewer reads than the others \(median 28,\d+\): 'S3' \(4 reads, 98 % of the genes at 0\)"
    with pytest.warns(BayesdeWarning, match=words):
        field(shared, "nearly_empty_sample")


@pytest.mark.parametrize(("share", "said"), [(0.0, 1), (0.01, 1), (0.08, 1), (0.2, 0), (1.0, 0)])
def test_how_few_reads_are_few(share, said):
    values = np.full((60, 6), 100)
    values[:, 2] = np.round(share * values[:, 2])
    assert len(heard(named()[:60], values)) == said


def test_summary_rows_of_star_are_left_out(shared):
    with pytest.warns(BayesdeNote, match="'N_unmapped', 'N_multimapping', 'N_noFeature', 'N_ambiguous'"):
        counts = field(shared, "star_summary_rows")
    assert counts.n_genes == 120
    assert not counts.genes.str.startswith("N_").any()
    assert fit_eb(counts, "~ condition").results()["base_mean"].max() < 10_000


ROWS = (
    ["__no_feature", "__ambiguous", "__too_low_aQual", "__not_aligned", "__alignment_not_unique"],
    ["no_feature", "ambiguous", "too_low_aQual", "not_aligned", "alignment_not_unique"],
    ["N_unmapped", "N_multimapping", "N_noFeature", "N_ambiguous"],
    [
        "Assigned",
        "Unassigned_Unmapped",
        "Unassigned_NoFeatures",
        "Unassigned_Ambiguity",
        "Unassigned_MultiMapping",
    ],
)


@pytest.mark.parametrize("rows", ROWS, ids=["htseq", "bare htseq", "star", "featureCounts"])
@pytest.mark.parametrize("end", [False, True])
def test_summary_rows_of_every_program(tmp_path, rows, end):
    genes = ["g1", "g2", "N_gene"]
    order = [*genes, *rows] if end else [*rows, *genes]
    frame = pd.DataFrame({"a": range(len(order)), "b": 7}, index=order)
    frame.to_csv(tmp_path / "counts.csv")
    with pytest.warns(BayesdeNote, match=f"{len(rows)} row.*'{rows[0]}', '{rows[1]}'"):
        assert list(read_counts(tmp_path / "counts.csv").genes) == genes
    frame.to_parquet(tmp_path / "counts.parquet")
    with pytest.warns(BayesdeNote, match=f"'{rows[0]}', '{rows[1]}'"):
        assert list(read_counts(tmp_path / "counts.parquet").genes) == genes
    with pytest.warns(BayesdeWarning, match=f"'{rows[0]}', '{rows[1]}'.* look like summary rows"):
        Counts(frame)


def test_a_summary_alone_is_no_table_of_counts(tmp_path):
    text = "Status\ta.bam\tb.bam\nAssigned\t10\t12\nUnassigned_Unmapped\t0\t1\nUnassigned_NoFeatures\t5\t6\n"
    (tmp_path / "counts.txt.summary").write_text(text)
    with pytest.raises(
        InputError, match="has no gene: all its rows are summary rows of a counting program, 'Assigned'"
    ):
        read_counts(tmp_path / "counts.txt.summary")
