"""Blocks: keys that stand for all that draws depend on, and folders that are whole or not there."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from bayesde.posterior.chains.blocks import BlockDraws, is_finished, plan_blocks, read_block, write_block


def keys(model, size=5, rescaling=(), **settings):
    return {
        tuple(block.rows): block.key for block in plan_blocks(model, rescaling, size, {"seed": 1, **settings})
    }


def test_every_gene_is_in_one_block_of_like_means(panel_model):
    plan = plan_blocks(panel_model, (), 7, {"seed": 1})
    rows = np.concatenate([block.rows for block in plan])
    assert sorted(rows) == list(range(40))
    assert (np.diff(panel_model.base_mean[rows]) >= 0).all()
    assert [block.rows.size for block in plan] == [7] * 5 + [5]
    assert len({block.key for block in plan}) == len(plan)
    assert len({block.seed for block in plan}) == len(plan)


def test_key_changes_with_everything_that_draws_depend_on(panel_model):
    base = keys(panel_model)
    assert keys(panel_model) == base
    changed = panel_model.y.copy()
    changed[0, 0] += 1
    others = [
        replace(panel_model, x=panel_model.x * 2.0),
        replace(panel_model, shrinkage_scale=panel_model.shrinkage_scale * 1.001),
        replace(panel_model, dispersion_sd=0.9),
        replace(panel_model, nu=5.0),
        replace(panel_model, log_trend=panel_model.log_trend + 1e-9),
        replace(panel_model, log_nf=panel_model.log_nf + 1e-9),
    ]
    for other in others:
        assert not set(keys(other).values()) & set(base.values())
    assert not set(keys(panel_model, seed=2).values()) & set(base.values())
    assert not set(keys(panel_model, rescaling=(np.ones(40),)).values()) & set(base.values())
    one_gene = keys(replace(panel_model, y=changed))
    assert sum(one_gene[rows] != key for rows, key in base.items()) == 1


def test_folder_comes_back_and_is_finished_last(tmp_path):
    draws = np.random.default_rng(1).normal(size=(2, 3, 2, 4)).astype(np.float32)
    result = BlockDraws(draws, {"rhat": [1.0, float("nan")]})
    assert not is_finished(tmp_path, "k")
    write_block(tmp_path, "k", result)
    assert is_finished(tmp_path, "k")
    back = read_block(tmp_path, "k")
    np.testing.assert_array_equal(back.draws, draws)
    assert np.isnan(back.report["rhat"][1])
    assert [path.name for path in tmp_path.iterdir()] == ["k"]


def test_half_written_folder_is_replaced(tmp_path):
    (tmp_path / "k").mkdir()
    (tmp_path / "k" / "draws.npy").write_bytes(b"half")
    result = BlockDraws(np.zeros((1, 1, 1, 2), dtype=np.float32), {"rhat": [1.0]})
    write_block(tmp_path, "k", result)
    np.testing.assert_array_equal(read_block(tmp_path, "k").draws, result.draws)


def test_nothing_is_left_when_writing_fails(tmp_path):
    with pytest.raises(TypeError):
        write_block(tmp_path, "k", BlockDraws(np.zeros(1), {"rhat": [object()]}))
    assert list(tmp_path.iterdir()) == []
