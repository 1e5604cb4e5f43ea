"""Compiled loops are found on disk while no source of a loop has changed, and only then."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import bayesde

ROOT = Path(bayesde.__file__).parents[1]
PROGRAM = """
import numpy as np
from bayesde.numerics.compiled import is_cached
from bayesde.numerics.libm import _exp, exp
cached = is_cached(_exp)
print(cached, exp(np.zeros(1))[0])
"""


def run(folder: Path) -> str:
    environment = os.environ | {"PYTHONPATH": str(folder), "NUMBA_CACHE_DIR": str(folder / "cache")}
    command = [sys.executable, "-c", PROGRAM]
    return subprocess.run(
        command, capture_output=True, text=True, check=True, env=environment, cwd=folder
    ).stdout.strip()


def test_a_change_in_any_compiled_file_is_seen(tmp_path):
    shutil.copytree(ROOT / "bayesde", tmp_path / "bayesde", ignore=shutil.ignore_patterns("__pycache__"))
    assert run(tmp_path) == "False 1.0"
    assert run(tmp_path) == "True 1.0"
    other = tmp_path / "bayesde" / "eb" / "nb.py"
    other.write_text(other.read_text(encoding="utf-8") + "\n# changed\n", encoding="utf-8")
    assert run(tmp_path) == "False 1.0"
    # of the same size and time, as files of two wheels may be
    stamp = other.stat()
    other.write_text(other.read_text(encoding="utf-8").replace("# changed", "# CHANGED"), encoding="utf-8")
    os.utime(other, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    assert run(tmp_path) == "False 1.0"
    assert run(tmp_path) == "True 1.0"
