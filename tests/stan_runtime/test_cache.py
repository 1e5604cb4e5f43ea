"""Folders of the cache are complete or not there."""

from __future__ import annotations

import errno
import os
import threading
import time
from pathlib import Path

import pytest

from bayesde.errors import ToolchainError
from bayesde.stan_runtime.cache import build_folder, cache_dir, is_complete


def write(text):
    return lambda folder: (folder / "content").write_text(text)


def test_the_environment_chooses_the_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("BAYESDE_CACHE", str(tmp_path / "elsewhere"))
    assert cache_dir() == tmp_path / "elsewhere"
    assert not cache_dir().exists()
    monkeypatch.delenv("BAYESDE_CACHE")
    assert cache_dir().name == "bayesde"


def test_a_folder_is_built_once(tmp_path):
    folder = tmp_path / "cache" / "thing"
    assert build_folder(folder, write("first")) == folder
    build_folder(folder, write("second"))
    assert (folder / "content").read_text() == "first"
    build_folder(folder, write("third"), force=True)
    assert (folder / "content").read_text() == "third"
    assert is_complete(folder)
    assert [path.name for path in folder.parent.iterdir() if path.is_dir()] == ["thing"]


def test_a_failed_build_leaves_nothing(tmp_path):
    def fail(folder: Path) -> None:
        (folder / "content").write_text("half")
        raise ValueError("interrupted")

    with pytest.raises(ValueError, match="interrupted"):
        build_folder(tmp_path / "thing", fail)
    assert not any(path.is_dir() for path in tmp_path.iterdir())


def test_what_was_killed_half_way_is_not_used(tmp_path):
    folder = tmp_path / "thing"
    folder.mkdir()
    (folder / "content").write_text("half, and no marker")
    abandoned = tmp_path / ".thing-123-abandoned"
    abandoned.mkdir()
    long_ago = time.time() - 24 * 3600
    os.utime(abandoned, (long_ago, long_ago))
    recent = tmp_path / ".thing-456-at-work"
    recent.mkdir()
    build_folder(folder, write("whole"))
    assert (folder / "content").read_text() == "whole"
    assert not abandoned.exists()
    assert recent.exists()


def test_builders_take_turns(tmp_path):
    built = []

    def fill(folder: Path) -> None:
        built.append(folder)
        write("content")(folder)

    threads = [threading.Thread(target=build_folder, args=(tmp_path / "thing", fill)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(built) == 1


def test_a_faster_process_wins(tmp_path):
    folder = tmp_path / "thing"

    def overtaken(scratch: Path) -> None:
        write("slow")(scratch)
        folder.mkdir()
        write("fast")(folder)
        (folder / "ok").touch()

    build_folder(folder, overtaken)
    assert (folder / "content").read_text() == "fast"
    assert not any(path.is_dir() for path in tmp_path.iterdir() if path != folder)


def test_a_cache_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ToolchainError, match="BAYESDE_CACHE"):
        build_folder(tmp_path / "file" / "thing", write("x"))


def test_a_full_disk_is_reported(tmp_path):
    def fill(folder: Path) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(ToolchainError, match="No space left"):
        build_folder(tmp_path / "thing", fill)
    assert not any(path.is_dir() for path in tmp_path.iterdir())
