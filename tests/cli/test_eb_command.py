"""Point estimates as a run: of counts that stay in their file, and by the workers of a Dask cluster."""

from __future__ import annotations

import pandas as pd
import pytest

import bayesde as bde
from bayesde.counts import storage
from bayesde.runs import RunPlan, run, status
from bayesde.runs import inputs as run_inputs
from bayesde.runs.options import ModelPlan, RunFiles
from bayesde.runs.watching import progress as watching_progress


@pytest.fixture(scope="module")
def counts():
    return bde.simulate(60, groups=(4, 4), seed=5).counts


def plan(folder, name):
    files = RunFiles(counts=str(folder / name), samples=str(folder / "samples.tsv"))
    return RunPlan(command="eb", files=files, model=ModelPlan(design="~ condition"))


@pytest.fixture
def folder(counts, tmp_path):
    counts.to_frame().to_csv(tmp_path / "counts.tsv", sep="\t")
    counts.sample_table.to_csv(tmp_path / "samples.tsv", sep="\t", index_label="sample")
    return tmp_path


def tables(folder):
    return {file.relative_to(folder): file.read_bytes() for file in folder.rglob("*.tsv")}


def test_dense_counts_of_a_large_file_stay_in_it(counts, folder, monkeypatch):
    anndata = pytest.importorskip("anndata")
    values = anndata.AnnData(counts.matrix.T.astype("float32"), var=pd.DataFrame(index=counts.genes))
    values.obs_names = counts.samples
    values.write_h5ad(folder / "counts.h5ad")
    here = run(plan(folder, "counts.h5ad"), folder / "here")
    assert here.eb.counts.is_dense
    monkeypatch.setattr(run_inputs, "LARGE_FILE", 0)
    monkeypatch.setattr(storage, "CHUNK_CELLS", 80)
    left = run(plan(folder, "counts.h5ad"), folder / "left")
    assert not left.eb.counts.is_dense
    assert tables(folder / "left") == tables(folder / "here")
    assert run(plan(folder, "counts.tsv"), folder / "text").eb.counts.is_dense
    assert tables(folder / "text") == tables(folder / "here")


def test_status_shows_how_many_genes_are_fitted(folder, monkeypatch):
    monkeypatch.setattr(storage, "CHUNK_CELLS", 160)
    monkeypatch.setattr(watching_progress, "_RECORD_EVERY", 0.0)
    seen = []

    def look(done, total, text):
        if (folder / "out" / "run.json").exists():
            seen.append(status(folder / "out").step)

    run(plan(folder, "counts.tsv"), folder / "out", progress=look)
    for text in ("estimating dispersions of 60 genes", "fitting 60 genes"):
        own = [step for step in seen if step is not None and step.endswith(text)]
        assert own == [f"{done} of 60 done: {text}" for done in (0, 20, 40, 60)]
    assert status(folder / "out").step is None


def test_the_workers_of_a_cluster_give_the_same_tables(folder, dask_client, monkeypatch, bayesde):
    monkeypatch.setattr(storage, "CHUNK_CELLS", 80)
    arguments = (folder / "counts.tsv", folder / "samples.tsv", "-d", "~ condition")
    address = dask_client.scheduler.address
    for out, where in (("here", ()), ("there", ("--scheduler", address))):
        code, _, said = bayesde("eb", *arguments, "-o", folder / out, *where)
        assert code == 0, said
    assert tables(folder / "there") == tables(folder / "here")


def test_a_scheduler_that_does_not_answer_is_bad_input(folder, bayesde, monkeypatch):
    pytest.importorskip("distributed")
    monkeypatch.setattr("bayesde.workers.cluster.CONNECTING", 0.5)
    files = (folder / "counts.tsv", folder / "samples.tsv")
    code, _, said = bayesde(
        "eb", *files, "-d", "~ condition", "-o", folder / "out", "--scheduler", "tcp://127.0.0.1:1"
    )
    assert (code, "no Dask scheduler answers at 'tcp://127.0.0.1:1'" in said) == (2, True)
    assert not (folder / "out").exists()
