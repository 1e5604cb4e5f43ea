"""Engine psis in blocks: bit for bit the draws of all genes at once, and resumed at any block."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import bayesde as bde
from bayesde.posterior.hyper import learning
from bayesde.posterior.importance import blocks
from bayesde.posterior.importance.blocks import ImportanceTask
from bayesde.posterior.queries import outlier_search
from bayesde.posterior.queries.outlier_search import usual_treatment
from bayesde.posterior.storage.draws_file import is_mapped
from bayesde.posterior.storage.draws_room import DrawsRoom

DRAWS, N_GENES = 150, 130
LAWS = {"cauchy": {}, "spike_t": {"effects": "spike_t"}, "mixture": {"effects": "mixture"}}


@pytest.fixture(autouse=True)
def quickly_learnt(monkeypatch):
    """The hyperparameters are learnt from few draws: how well they are known does not matter here."""
    for name, value in {"DRAWS_TIMES_GENES": 1, "FEWEST_DRAWS": 100, "POINTS_TIMES_GENES": 1}.items():
        monkeypatch.setattr(learning, name, value)


@pytest.fixture(scope="module")
def fit():
    simulated = bde.simulate(N_GENES, groups=(3, 3), seed=8)
    return bde.fit_eb(simulated.counts, "~ condition")


def posterior(fit, **options):
    own = {
        name: options.pop(name) for name in list(options) if name in ("genes", "hyperparameters", "directory")
    }
    settings = bde.SamplingOptions(hand_over=False, **options)
    return bde.fit_posterior(fit.counts, fit.design, eb=fit, draws=DRAWS, seed=4, options=settings, **own)


@pytest.fixture
def small_blocks(monkeypatch):
    """Call it to have blocks of so many genes."""

    def set_size(size):
        monkeypatch.setattr(blocks, "LARGE", 0)
        monkeypatch.setattr(blocks, "block_size", lambda *_: size)

    return set_size


def assert_same(one, other):
    for name in ("theta", "log_weights", "log_ratio", "log_level"):
        np.testing.assert_array_equal(getattr(one.gene_draws, name), getattr(other.gene_draws, name))
    pd.testing.assert_frame_equal(one.diagnostics, other.diagnostics)
    assert repr(one.hyperparameters) == repr(other.hyperparameters)
    for name, draws in one.hyperparameters.draws.items():
        np.testing.assert_array_equal(draws, other.hyperparameters.draws[name])
    pd.testing.assert_frame_equal(one.results(lfc_threshold=0.5), other.results(lfc_threshold=0.5))


@pytest.mark.parametrize(("law", "size"), [("cauchy", 23), ("cauchy", 100), ("spike_t", 23), ("mixture", 50)])
def test_any_size_of_blocks_gives_the_same_numbers(fit, small_blocks, tmp_path, law, size):
    whole = posterior(fit, **LAWS[law])
    small_blocks(size)
    divided = posterior(fit, **LAWS[law], directory=tmp_path if size == 23 else None)
    assert isinstance(divided.gene_draws.theta, np.memmap)
    assert_same(whole, divided)
    if size == 23:
        assert len(list(tmp_path.glob("*/ok"))) == -(-N_GENES // 23) + 1
        assert_same(whole, posterior(fit, **LAWS[law], directory=tmp_path))


@pytest.mark.parametrize("law", LAWS)
def test_laws_that_some_of_the_genes_teach_first(fit, small_blocks, tmp_path, monkeypatch, law):
    """As of thousands of genes: proposals with zeros are then made for the law that these teach."""
    monkeypatch.setattr(learning, "ENOUGH_GENES", 60)
    whole = posterior(fit, **LAWS[law])
    small_blocks(50)
    for _ in range(2):  # learnt, and read again
        assert_same(whole, posterior(fit, **LAWS[law], directory=tmp_path))


@pytest.mark.parametrize("law", LAWS)
def test_some_genes_have_the_draws_that_they_have_among_all(fit, small_blocks, law):
    names = list(fit.counts.genes[3:90:7])
    everyone, some = posterior(fit, **LAWS[law]), posterior(fit, **LAWS[law], genes=names)
    rows = np.searchsorted(everyone.request.rows, some.request.rows)
    for name in ("theta", "log_weights", "log_ratio", "log_level"):
        np.testing.assert_array_equal(
            getattr(some.gene_draws, name), getattr(everyone.gene_draws, name)[rows]
        )
    small_blocks(11)
    assert_same(some, posterior(fit, **LAWS[law], genes=names))


def test_fixed_hyperparameters(fit, small_blocks):
    whole = posterior(fit, hyperparameters="eb")
    small_blocks(11)
    assert_same(whole, posterior(fit, hyperparameters="eb"))


def test_finished_units_are_not_done_again(fit, small_blocks, tmp_path, monkeypatch):
    small_blocks(40)
    first = posterior(fit, directory=tmp_path)
    marks = {mark: mark.stat().st_mtime_ns for mark in tmp_path.glob("*/ok")}
    lost = sorted(mark.parent for mark in marks if not mark.parent.name.startswith("hyper"))[1]
    draws = lost / "theta.npy"
    draws.write_bytes(draws.read_bytes()[:-8])
    monkeypatch.setattr(blocks, "learn", lambda *_: pytest.fail("the hyperparameters are known"))
    ran = []
    run = ImportanceTask.run
    monkeypatch.setattr(ImportanceTask, "run", lambda task: ran.append(task.rows.size) or run(task))
    assert_same(first, posterior(fit, directory=tmp_path))
    assert len(ran) == 1
    kept = {mark: mark.stat().st_mtime_ns for mark in tmp_path.glob("*/ok") if mark.parent != lost}
    assert kept == {mark: moment for mark, moment in marks.items() if mark.parent != lost}


def test_other_seeds_and_data_have_other_keys(fit, small_blocks, tmp_path):
    small_blocks(70)
    posterior(fit, directory=tmp_path)
    before = {mark.parent.name for mark in tmp_path.glob("*/ok")}
    settings = bde.SamplingOptions(hand_over=False)
    bde.fit_posterior(
        fit.counts, fit.design, eb=fit, draws=DRAWS, seed=5, options=settings, directory=tmp_path
    )
    assert len(list(tmp_path.glob("*/ok"))) == 2 * len(before)


def test_what_fails_is_tried_in_smaller_pieces_and_then_marked(fit, small_blocks, monkeypatch, caplog):
    whole = posterior(fit)
    small_blocks(40)
    run, broken = ImportanceTask.run, 17

    def fails_with_one_gene(task):
        if broken in task.rows:
            raise MemoryError("too much")
        return run(task)

    monkeypatch.setattr(ImportanceTask, "run", fails_with_one_gene)
    divided = posterior(fit)
    status = divided.diagnostics["status"].to_numpy()
    sampled = np.flatnonzero(divided.diagnostics["sampled"])
    assert status[sampled[broken]] == "failed"
    others = np.delete(np.arange(sampled.size), broken)
    assert "failed" not in status[sampled[others]]
    np.testing.assert_array_equal(divided.gene_draws.theta[others], whole.gene_draws.theta[others])
    np.testing.assert_array_equal(
        divided.gene_draws.log_weights[others], whole.gene_draws.log_weights[others]
    )
    row = divided.results().iloc[sampled[broken]]
    assert np.isnan(row["log2_fold_change"])
    assert row["status"] == "failed"
    assert "1 gene(s) could not be sampled, and are marked: too much" in caplog.text


def test_a_cause_that_is_not_of_single_genes_stops_the_run(fit, small_blocks, monkeypatch):
    small_blocks(40)

    def broken(task):
        raise RuntimeError("no such thing")

    monkeypatch.setattr(ImportanceTask, "run", broken)
    with pytest.raises(bde.FitError, match=r"a block of 40 genes .* RuntimeError: no such thing"):
        posterior(fit)


def test_blocks_are_for_what_is_large_or_takes_long():
    assert not blocks.in_blocks(20_000, 8, 1000, 3)
    assert blocks.in_blocks(300_000, 8, 1000, 3)
    assert blocks.in_blocks(20_000, 2_000, 1000, 3)
    assert blocks.block_size(8, 1000, 3) == 3250
    assert blocks.block_size(2_000, 1000, 3) == 1000


def test_room_in_a_file_is_like_room_in_memory(tmp_path):
    made = DrawsRoom(5, in_file=True, directory=tmp_path / "new").made(3, 2, 4)
    assert made.shape == DrawsRoom(5).made(3, 2, 4).shape == (3, 5, 4)
    made[:] = 1.0
    assert made.sum() == 60.0
    assert list((tmp_path / "new").iterdir()) == [], "the file has no name"


def test_counts_are_left_out_of_draws_that_lie_in_files(fit, small_blocks, tmp_path, monkeypatch):
    genes, samples = fit.counts.genes, fit.counts.samples
    gone = pd.DataFrame({"gene": [genes[5], genes[40]], "sample": [samples[1], samples[4]]})
    more = pd.DataFrame({"gene": [genes[5]], "sample": [samples[3]]})
    whole = posterior(fit, hyperparameters="eb")
    expected = whole.without_outliers(gone)
    small_blocks(23)
    divided = posterior(fit, hyperparameters="eb", directory=tmp_path)
    files = {file: file.read_bytes() for file in tmp_path.glob("*.npy")}
    without = divided.without_outliers(gone)
    assert_same(expected, without)
    assert_same(expected.without_outliers(more), without.without_outliers(more))
    assert_same(whole, divided)
    assert {file: file.read_bytes() for file in tmp_path.glob("*.npy")} == files
    assert is_mapped(without.gene_draws.theta)
    assert not is_mapped(expected.gene_draws.theta)
    monkeypatch.setattr(outlier_search, "MOST_COPIED", 0)
    assert [usual_treatment(one) for one in (whole, divided, without)] == ["report", "leave-out", "leave-out"]
