"""AnnData objects: results written into them, and single cells summed to samples."""

import anndata
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from bayesde import BayesdeNote, Counts, EbOptions, InputError, OptionError, fit_eb, pseudobulk, write_anndata

GENES = [f"g{i}" for i in range(30)]
CONSTANT = EbOptions(trend="mean")


@pytest.fixture(scope="module")
def table():
    rng = np.random.default_rng(1)
    samples = [f"s{j}" for j in range(6)]
    design = pd.DataFrame({"group": list("aaabbb")}, index=samples)
    matrix = rng.negative_binomial(5, 0.05, (30, 6))
    matrix[3] = 0
    counts = Counts(matrix, genes=GENES, samples=samples, sample_table=design)
    return fit_eb(counts, "~ group", options=CONSTANT).results()


def empty(names=GENES, **var):
    return anndata.AnnData(np.ones((2, len(names))), var=pd.DataFrame(var, index=names))


def test_a_table_goes_into_varm_and_its_meaning_into_uns(table, tmp_path):
    adata = empty()
    write_anndata(adata, table, "b_vs_a")
    pd.testing.assert_frame_equal(
        adata.varm["b_vs_a"], pd.DataFrame(table).rename_axis(None), check_index_type=False
    )
    assert adata.uns["b_vs_a"]["columns"]["lfc_se"] == table.descriptions["lfc_se"]
    adata.write_h5ad(tmp_path / "out.h5ad")
    back = anndata.read_h5ad(tmp_path / "out.h5ad").varm["b_vs_a"]
    np.testing.assert_array_equal(back["log2_fold_change"], table["log2_fold_change"])
    assert list(back["status"]) == list(table["status"])


def test_genes_are_matched_by_name_or_by_a_column(table):
    order = [*GENES[5:][::-1], "other"]
    adata = empty(order)
    with pytest.warns(BayesdeNote) as said:
        write_anndata(adata, table)
    assert [str(one.message)[:30] for one in said] == [
        "5 gene(s) of the table are not",
        "1 gene(s) of the AnnData objec",
    ]
    written = adata.varm["bayesde"]
    np.testing.assert_array_equal(written["base_mean"][:-1], table.loc[order[:-1], "base_mean"])
    assert np.isnan(written["base_mean"].iloc[-1])
    assert written["status"].iloc[-1] == "not_in_table"
    named = empty([f"ensembl{i}" for i in range(30)], symbol=GENES[::-1])
    write_anndata(named, table, gene_names="symbol")
    np.testing.assert_array_equal(named.varm["bayesde"]["base_mean"], table["base_mean"][::-1])


def test_a_view_becomes_an_object_of_its_own_and_a_file_stays_as_it_is(table, tmp_path):
    parent = empty()
    view = parent[:, GENES[:10]]
    with pytest.warns(anndata.ImplicitModificationWarning), pytest.warns(BayesdeNote, match="20 gene"):
        write_anndata(view, table)
    assert "bayesde" in view.varm
    assert "bayesde" not in parent.varm
    parent.write_h5ad(tmp_path / "in.h5ad")
    before = (tmp_path / "in.h5ad").read_bytes()
    backed = anndata.read_h5ad(tmp_path / "in.h5ad", backed="r")
    write_anndata(backed, table)
    assert list(backed.varm["bayesde"]["status"]) == list(table["status"])
    backed.file.close()
    assert (tmp_path / "in.h5ad").read_bytes() == before


def test_what_cannot_be_written(table):
    adata = empty()
    write_anndata(adata, table)
    with pytest.raises(InputError, match="already has 'bayesde'; give another key, or overwrite=True"):
        write_anndata(adata, table)
    write_anndata(adata, table[["base_mean"]], overwrite=True)
    assert list(adata.varm["bayesde"]) == ["base_mean"]
    with pytest.raises(InputError, match="no gene of the table is in the AnnData object"):
        write_anndata(empty([f"x{i}" for i in range(3)]), table)
    with pytest.raises(InputError, match="var has no column 'name'; its columns are 'symbol'"):
        write_anndata(empty(symbol=GENES), table, gene_names="name")
    with pytest.raises(InputError, match="an AnnData object is needed; got a dict"):
        write_anndata({}, table)
    with pytest.raises(InputError, match="names genes twice: 'g0'"):
        write_anndata(empty(symbol=["g0", *GENES[:-1]]), table, gene_names="symbol")
    with pytest.raises(InputError, match="key must be a text without '/'"):
        write_anndata(adata, table, "a/b")


# Single cells -------------------------------------------------------------------------------------------


def cells(make=np.asarray):
    """200 cells of 4 donors and 2 types, one unused level of each, and some cells without a type."""
    rng = np.random.default_rng(2)
    donor = rng.integers(0, 4, 200)
    kind = pd.Categorical.from_codes(rng.integers(0, 2, 200), ["T", "B", "NK"])
    kind[:5] = np.nan
    obs = pd.DataFrame(
        {
            "donor": pd.Categorical.from_codes(donor, ["d3", "d1", "d2", "d0", "d9"]),
            "type": kind,
            "treated": np.array([False, True, True, False])[donor],
            "reads": rng.integers(0, 100, 200),
        },
        index=[f"c{i}" for i in range(200)],
    )
    counts = rng.poisson(0.5, (200, 30))
    return anndata.AnnData(
        make(np.log1p(counts)),
        obs=obs,
        var=pd.DataFrame({"symbol": [name.upper() for name in GENES]}, index=GENES),
        layers={"counts": make(counts.astype(np.float32))},
    )


@pytest.mark.filterwarnings("ignore:5 of 200 cells:bayesde.errors.BayesdeNote")
@pytest.mark.parametrize("make", [np.asarray, sparse.csr_matrix, sparse.csc_matrix])
def test_sums_are_those_of_pandas(make, tmp_path, monkeypatch):
    adata = cells(make)
    adata.write_h5ad(tmp_path / "cells.h5ad")
    raw = pd.DataFrame(cells().layers["counts"], index=adata.obs_names, columns=GENES)
    expected = raw.groupby([adata.obs["donor"], adata.obs["type"]], observed=True).sum()
    monkeypatch.setattr("bayesde.counts.storage.CHUNK_CELLS", 30 * 64)
    ways = [adata, adata[:, :], anndata.read_h5ad(tmp_path / "cells.h5ad", backed="r")]
    for given in ways:
        found = pseudobulk(given, "donor", "type", layer="counts")
        np.testing.assert_array_equal(found.matrix.T, expected)
        assert list(found.samples) == [f"{donor}_{kind}" for donor, kind in expected.index]
        table = found.sample_table
        assert list(table.columns) == ["donor", "type", "treated", "n_cells"]
        assert list(table["type"].cat.categories) == ["T", "B"]
        assert list(table["donor"].cat.categories) == ["d3", "d1", "d2", "d0"]
        sizes = adata.obs.groupby(["donor", "type"], observed=True).size()
        assert list(table["n_cells"]) == list(sizes)
    ways[-1].file.close()


def test_sums_of_one_type_can_be_fitted():
    with pytest.warns(BayesdeNote, match="5 of 200 cells have no donor or type, and are left out"):
        found = pseudobulk(cells(), "donor", "type", layer="counts", gene_names="symbol")
    b_cells = found.subset(samples=(found.sample_table["type"] == "B").to_numpy())
    assert list(b_cells.genes[:2]) == ["G0", "G1"]
    assert fit_eb(b_cells, "~ treated", options=CONSTANT).results().shape[0] == 30


def test_sums_of_all_cells_of_a_sample():
    adata = cells()
    found = pseudobulk(adata, "donor", layer="counts")
    assert list(found.samples) == ["d3", "d1", "d2", "d0"]
    np.testing.assert_array_equal(found.library_sizes.sum(), adata.layers["counts"].sum())
    assert "type" not in found.sample_table


def test_sums_of_few_cells_are_left_out():
    adata = cells()[:60]
    sizes = adata.obs.groupby(["donor", "type"], observed=True).size()
    least = int(sizes.median()) + 1
    with pytest.warns(BayesdeNote) as said:
        found = pseudobulk(adata, "donor", "type", layer="counts", min_cells=least)
    assert found.n_samples == (sizes >= least).sum()
    notes = [str(one.message) for one in said if issubclass(one.category, BayesdeNote)]
    assert f"{(sizes < least).sum()} sum(s) of fewer than {least} cells are left out" in notes[-1]


@pytest.mark.filterwarnings("ignore::bayesde.errors.BayesdeNote")
def test_what_cannot_be_summed():
    adata = cells()
    with pytest.raises(InputError, match=r"values that are not counts: .* raw counts are needed"):
        pseudobulk(adata, "donor", "type")
    with pytest.raises(InputError, match=r"obs has no column 'donr'.*Did you mean 'donor'"):
        pseudobulk(adata, "donr", layer="counts")
    with pytest.raises(InputError, match="there is no layer 'raw'; the only layer is 'counts'"):
        pseudobulk(adata, "donor", layer="raw")
    with pytest.raises(InputError, match=r"two or more are needed\. Lower min_cells"):
        pseudobulk(adata, "donor", "type", layer="counts", min_cells=1000)
    with pytest.raises(OptionError, match="min_cells"):
        pseudobulk(adata, "donor", layer="counts", min_cells=0)
    with pytest.raises(InputError, match="an AnnData object is needed"):
        pseudobulk(pd.DataFrame(), "donor")


def test_unused_levels_of_categories_do_not_disturb_a_fit():
    rng = np.random.default_rng(3)
    group = pd.Categorical(list("bbbaaaccc"), categories=["c", "unused", "a", "b"])
    adata = anndata.AnnData(
        rng.negative_binomial(5, 0.05, (9, 30)).astype(np.float32),
        obs=pd.DataFrame({"group": group}, index=[f"s{j}" for j in range(9)]),
        var=pd.DataFrame(index=GENES),
    )
    part = adata[adata.obs["group"] != "c"]  # a view, without the reference level
    fit = fit_eb(Counts.from_anndata(part), "~ group", options=CONSTANT)
    assert list(fit.design.coefficients) == ["Intercept", "group[T.b]"]
    assert np.isfinite(fit.results()["log2_fold_change"]).all()
