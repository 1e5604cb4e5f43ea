"""What is said of a run's progress."""

import json
import math
import os
import time
from datetime import UTC, datetime, timedelta

import pytest

from bayesde.runs import status
from bayesde.runs.directory import RunDirectory


@pytest.fixture
def directory(tmp_path):
    made = RunDirectory(tmp_path)
    made.create()
    started = datetime.now(UTC) - timedelta(seconds=100)
    made.update(state="running", n_blocks=10, workers=4, started=started.isoformat())
    for i in range(5):
        (made.blocks / f"key{i}").mkdir(parents=True)
    for i, age in ((0, 200), (1, 60), (2, 20)):
        mark = made.blocks / f"key{i}" / "ok"
        mark.touch()
        (mark.parent / "block.json").write_text(json.dumps({"rhat": [1.0, math.nan if i == 2 else 1.001]}))
        os.utime(mark, (time.time() - age,) * 2)
    return made


def test_a_running_one_tells_the_time_left_from_its_own_blocks(directory):
    with directory.locked():
        seen = status(directory.path)
    assert (seen.state, seen.done, seen.total, seen.running, seen.failed) == ("running", 3, 10, 4, 1)
    assert seen.seconds_left == pytest.approx(100 / 2 * 7, rel=0.05)
    assert seen.lines()[1] == "blocks   3 of 10 done, 4 running, 1 with failures"
    assert seen.lines()[2].startswith("left     about 5 min")


def test_one_whose_process_is_gone_was_interrupted(directory):
    seen = status(directory.path)
    assert (seen.state, seen.seconds_left) == ("interrupted", None)


def test_a_finished_one(directory):
    directory.update(state="finished")
    assert status(directory.path).state == "finished"


def test_before_the_first_block(tmp_path):
    made = RunDirectory(tmp_path)
    made.create()
    made.update(state="running", started=datetime.now(UTC).isoformat())
    with made.locked():
        assert status(tmp_path).lines() == ["state    running"]


def test_blocks_of_an_earlier_plan_are_not_counted_beyond_the_total(directory):
    directory.update(n_blocks=2)
    with directory.locked():
        seen = status(directory.path)
    assert (seen.done, seen.total, seen.running, seen.seconds_left) == (2, 2, 0, 0.0)
