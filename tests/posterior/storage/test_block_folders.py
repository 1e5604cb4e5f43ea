"""Folders of finished blocks: whole or not there, and damage to them is found."""

from __future__ import annotations

import logging

import numpy as np
import pytest

from bayesde.io.writing import DISK_FULL
from bayesde.posterior.storage.block_folders import (
    BlockResult,
    is_finished,
    read_block,
    read_finished,
    write_block,
)
from bayesde.posterior.storage.files import FINISHED, DamagedFolder


def result(value=0.0):
    return BlockResult({"draws": np.full((2, 3, 2), value, dtype=np.float32)}, {"rhat": [1.0, float("nan")]})


def test_folder_comes_back_and_is_finished_last(tmp_path):
    assert not is_finished(tmp_path, "k")
    write_block(tmp_path / "blocks", "k", result(2.0))
    back = read_block(tmp_path / "blocks", "k")
    np.testing.assert_array_equal(back.arrays["draws"], result(2.0).arrays["draws"])
    assert np.isnan(back.report["rhat"][1])
    assert [path.name for path in (tmp_path / "blocks").iterdir()] == ["k"]


def test_half_written_folder_is_replaced(tmp_path):
    (tmp_path / "k").mkdir()
    (tmp_path / "k" / "draws.npy").write_bytes(b"half")
    assert read_finished(tmp_path, "k") is None
    write_block(tmp_path, "k", result())
    np.testing.assert_array_equal(read_block(tmp_path, "k").arrays["draws"], result().arrays["draws"])


def test_a_finished_block_is_not_written_again(tmp_path):
    write_block(tmp_path, "k", result(1.0))
    write_block(tmp_path, "k", result(2.0))
    assert read_block(tmp_path, "k").arrays["draws"].max() == 1.0
    assert [path.name for path in tmp_path.iterdir()] == ["k"]


def test_nothing_is_left_when_writing_fails(tmp_path):
    with pytest.raises(TypeError):
        write_block(tmp_path, "k", BlockResult({"draws": np.zeros(1)}, {"rhat": [object()]}))
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_known_for_what_it_is(tmp_path):
    """The system refuses larger files, as a full disk does."""
    resource = pytest.importorskip("resource")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    large = BlockResult({"draws": np.zeros((300, 50))}, {})
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, limits[1]))
    try:
        with pytest.raises(OSError, match="large") as raised:
            write_block(tmp_path / "blocks", "k", large)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert raised.value.errno in DISK_FULL
    assert list((tmp_path / "blocks").iterdir()) == []


def truncated(file):
    file.write_bytes(file.read_bytes()[:-5])


def altered(file):
    content = bytearray(file.read_bytes())
    content[-3] ^= 1
    file.write_bytes(content)


@pytest.mark.parametrize("name", ["draws.npy", "block.json", FINISHED])
@pytest.mark.parametrize("damage", [truncated, altered, lambda file: file.unlink()])
def test_damage_is_found_and_the_block_is_done_again(tmp_path, name, damage, caplog):
    write_block(tmp_path, "k", result())
    damage(tmp_path / "k" / name)
    with caplog.at_level(logging.WARNING, logger="bayesde"):
        assert read_finished(tmp_path, "k") is None
    if (tmp_path / "k").exists():  # without its mark it is as if it had never been finished
        assert not is_finished(tmp_path, "k")
    else:
        assert "damaged and is sampled again" in caplog.text
        assert name in caplog.text


def test_blocks_without_hashes_can_be_read(tmp_path):
    write_block(tmp_path, "k", result(1.0))
    (tmp_path / "k" / FINISHED).write_text("")
    assert read_finished(tmp_path, "k").arrays["draws"].max() == 1.0
    truncated(tmp_path / "k" / "draws.npy")
    with pytest.raises(DamagedFolder, match="cannot be read"):
        read_block(tmp_path, "k")
