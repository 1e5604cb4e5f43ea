"""Runs that are killed at random operations on their files end with the bytes of an undisturbed one."""

import numpy as np
import pytest

from benchmarks.kills import ENGINES, Experiment, differences

KILLS = 3


@pytest.mark.parametrize("engine", ENGINES)
def test_killed_at_random_moments(tmp_path, engine, request):
    if engine in ("nuts", "joint"):
        request.getfixturevalue("cmdstan")
    experiment = Experiment(tmp_path / engine, engine)
    assert experiment.start("undisturbed") == 0
    rng, most = np.random.default_rng(ENGINES.index(engine)), experiment.operations
    codes = [experiment.start("killed", int(moment)) for moment in rng.integers(most // 10, most, KILLS)]
    assert min(codes) < 0, "at least one is killed on the way"
    assert experiment.start("killed") == 0
    assert differences(tmp_path / engine / "undisturbed", tmp_path / engine / "killed") == []
    assert list((tmp_path / engine / "killed").rglob(".*.tmp*")) == []
