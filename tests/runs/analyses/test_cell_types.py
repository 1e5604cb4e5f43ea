"""Every cell type of single cells is analysed by one command, as its sums would be alone."""

import warnings

import numpy as np
import pandas as pd
import pytest

from bayesde import BayesdeNote, InputError, fit_posterior, pseudobulk, read_counts
from bayesde.results import read_results
from bayesde.runs import open_run
from bayesde.runs.analyses.cell_types import by_cell_type, write_cell_types

anndata = pytest.importorskip("anndata")

DONORS, CELLS, GENES = 4, 20, 60
KINDS = ["T cell, CD4+", "B", "NK"]


@pytest.fixture(scope="module")
def adata():
    """Cells of 4 donors, without and with a drug, of three types; NK cells are those without it."""
    rng = np.random.default_rng(8)
    rows = [
        {"donor": f"d{d}", "drug": drug, "kind": kind}
        for d in range(DONORS)
        for drug in ("no", "yes")
        for kind in KINDS
        for _ in range(CELLS)
        if (kind, drug) != ("NK", "yes")
    ]
    obs = pd.DataFrame(rows, index=[f"c{i}" for i in range(len(rows))]).astype({"kind": "category"})
    mean = np.exp(rng.normal(1.0, 1.0, GENES)) * np.exp(
        0.8 * np.outer((obs["drug"] == "yes") & (obs["kind"] == "B"), np.arange(GENES) < 10)
    )
    counts = rng.poisson(mean * rng.gamma(5.0, 0.2, (len(obs), 1)))
    var = pd.DataFrame(index=[f"g{i}" for i in range(GENES)])
    return anndata.AnnData(counts.astype(np.float32), obs=obs, var=var)


@pytest.fixture(scope="module")
def file(adata, tmp_path_factory):
    path = tmp_path_factory.mktemp("cells") / "cells.h5ad"
    adata.write_h5ad(path)
    return path


def command(file, out, *more):
    return ("pseudobulk", file, "--sample", "donor,drug", "--cell-type", "kind", "-o", out, *more)


def test_a_file_of_cells_has_the_sums_of_the_cells(adata, file):
    found, expected = (pseudobulk(cells, ["donor", "drug"], "kind") for cells in (file, adata))
    np.testing.assert_array_equal(found.matrix, expected.matrix)
    assert list(found.samples) == list(expected.samples)
    assert found.samples[0] == "d0_no_B"
    assert list(found.sample_table.columns) == ["donor", "drug", "kind", "n_cells"]


def test_types_are_told_apart(adata):
    sums = pseudobulk(adata, ["donor", "drug"], "kind")
    found = by_cell_type(sums, "kind")
    assert list(found) == ["B", "NK", "T_cell_CD4"]
    for name, kind in zip(found, ["B", "NK", "T cell, CD4+"], strict=True):
        of_kind = (sums.sample_table["kind"] == kind).to_numpy()
        np.testing.assert_array_equal(found[name].matrix, sums.matrix[:, of_kind])
        assert (
            list(found[name].samples)
            == [f"d{d}_{drug}" for d in range(4) for drug in ("no", "yes")][:: 2 if name == "NK" else 1]
        )


def test_types_with_the_same_folder_are_refused(adata):
    sums = pseudobulk(adata, ["donor", "drug"], "kind")
    table = sums.sample_table.assign(kind=sums.sample_table["kind"].astype(str).replace("NK", "b"))
    same = type(sums)(sums.matrix, genes=sums.genes, samples=sums.samples, sample_table=table)
    with pytest.raises(InputError, match=r"'B' and 'b' would have the same folder, 'b'; rename one"):
        by_cell_type(same, "kind")


@pytest.mark.filterwarnings("always::bayesde.errors.BayesdeWarning")
def test_every_type_is_analysed(bayesde, file, tmp_path):
    out = tmp_path / "types"
    more = ("-d", "~ drug + (1 | donor)", "-c", "drug,yes,no", "--draws", "200", "--seed", "3")
    code, printed, said = bayesde(*command(file, out, *more))
    assert code in (0, 3), said
    assert "note: cell type 'NK' is left out: the factor 'drug' has one level" in said
    assert "20 sums of 3 cell types in" in printed
    names = ["B", "T_cell_CD4"]
    assert sorted(path.name for path in (out / "analyses").iterdir() if path.is_dir()) == names
    assert (out / "analyses" / "report.html").exists()
    table = read_results(out / "analyses" / "B")
    assert table["log2_fold_change"].iloc[:10].mean() > table["log2_fold_change"].iloc[10:].mean()
    # the numbers are those of the sums alone
    with warnings.catch_warnings(action="ignore"):
        counts = read_counts(out / "sums" / "B.counts.tsv.gz", samples=out / "sums" / "B.samples.tsv")
        alone = fit_posterior(counts, "~ drug + (1 | donor)", draws=200, seed=3)
        expected = alone.results(contrast=("drug", "yes", "no"))
    np.testing.assert_array_equal(table["log2_fold_change"], expected["log2_fold_change"])
    assert open_run(out / "analyses" / "B").counts.n_samples == 8


def test_without_a_design_there_are_sums_only(bayesde, file, tmp_path):
    code, printed, _ = bayesde(*command(file, tmp_path / "types"))
    assert (code, "20 sums of 3 cell types" in printed) == (0, True)
    assert [path.name for path in (tmp_path / "types").iterdir()] == ["sums"]
    assert len(list((tmp_path / "types" / "sums").iterdir())) == 6
    code, _, said = bayesde(*command(file, tmp_path / "types"))
    assert (code, "already holds results (sums); --force replaces them" in said) == (2, True)
    assert bayesde(*command(file, tmp_path / "types", "--force"))[0] == 0


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("-d", "~ drog"), "none of the cell types ('B', 'NK', 'T_cell_CD4') can be analysed; B: "),
        (("-d", "~ drug", "--layer", "raw"), "there is no layer 'raw'"),
        (("-d", "~ drug", "--min-cells", "0"), "min_cells must be a whole number from 1"),
        (("-d", "~ drug", "--engine", "mcmc"), "engine"),
        (("-d", "~ drug", "--gene-names", "symbol"), "symbol"),
    ],
)
def test_wrong_input_is_refused(bayesde, file, tmp_path, more, message):
    code, _, said = bayesde(*command(file, tmp_path / "types", *more))
    assert (code, message in said) == (2, True), said
    assert not (tmp_path / "types").exists()


def test_analyses_of_a_configuration_are_refused(bayesde, file, tmp_path):
    config = tmp_path / "many.toml"
    config.write_text('[[analysis]]\nname = "one"\ndesign = "~ drug"\n')
    code, _, said = bayesde(*command(file, tmp_path / "types", "--config", config))
    assert (code, "the analyses of this command are the cell types" in said) == (2, True)
    assert not (tmp_path / "types").exists()


@pytest.mark.parametrize("name", ["missing.h5ad", "text.h5ad"])
def test_what_is_not_a_file_of_cells_is_refused(bayesde, tmp_path, name):
    (tmp_path / "text.h5ad").write_text("cells")
    code, _, said = bayesde(*command(tmp_path / name, tmp_path / "types"))
    assert (code, ".h5ad file of AnnData" in said) == (2, True), said


def test_columns_of_samples_are_checked(adata):
    with pytest.raises(InputError, match="a column is given twice: 'donor', 'donor'"):
        pseudobulk(adata, ["donor", "donor"], "kind")
    with pytest.raises(InputError, match="no column is given"):
        pseudobulk(adata, [], "kind")


def test_a_refused_design_leaves_earlier_sums_alone(bayesde, file, tmp_path):
    out = tmp_path / "types"
    assert bayesde(*command(file, out))[0] == 0
    before = {path.name: path.read_bytes() for path in (out / "sums").iterdir()}
    assert bayesde(*command(file, out, "-d", "~ drog", "--force"))[0] == 2
    assert {path.name: path.read_bytes() for path in (out / "sums").iterdir()} == before


def test_a_column_called_sample_is_kept_under_another_name(adata, tmp_path):
    renamed = adata.copy()
    renamed.obs = renamed.obs.rename(columns={"donor": "sample"})
    found = by_cell_type(pseudobulk(renamed, ["sample", "drug"], "kind"), "kind")
    with pytest.warns(BayesdeNote, match="column 'sample' of obs is called 'obs_sample'"):
        paths = write_cell_types({"B": found["B"]}, tmp_path)["B"]
    counts = read_counts(paths[0], samples=paths[1])
    assert list(counts.samples[:2]) == ["d0_no", "d0_yes"]
    assert list(counts.sample_table["obs_sample"][:3]) == ["d0", "d0", "d1"]
    alone = by_cell_type(pseudobulk(renamed, "sample", "kind"), "kind")
    paths = write_cell_types({"B": alone["B"]}, tmp_path)["B"]
    assert "obs_sample" not in read_counts(paths[0], samples=paths[1]).sample_table
