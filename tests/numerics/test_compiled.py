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


MOVED = """
from typing import NamedTuple
import numpy as np
from bayesde.numerics.compiled import kernel
class Pair(NamedTuple):
    a: float
    b: float
@kernel
def total(pair):
    return pair.a + pair.b
"""


def run(folder: Path, program: str = PROGRAM) -> str:
    environment = os.environ | {"PYTHONPATH": str(folder), "NUMBA_CACHE_DIR": str(folder / "cache")}
    command = [sys.executable, "-c", program]
    return subprocess.run(
        command, capture_output=True, text=True, check=True, env=environment, cwd=folder
    ).stdout.strip()


def test_a_change_in_any_compiled_file_is_seen(tmp_path):
    shutil.copytree(ROOT / "bayesde", tmp_path / "bayesde", ignore=shutil.ignore_patterns("__pycache__"))
    assert run(tmp_path) == "False 1.0"
    assert run(tmp_path) == "True 1.0"
    other = tmp_path / "bayesde" / "eb" / "moments.py"
    other.write_text(other.read_text(encoding="utf-8") + "\n# changed\n", encoding="utf-8")
    assert run(tmp_path) == "False 1.0"
    # of the same size and time, as files of two wheels may be
    stamp = other.stat()
    other.write_text(other.read_text(encoding="utf-8").replace("# changed", "# CHANGED"), encoding="utf-8")
    os.utime(other, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    assert run(tmp_path) == "False 1.0"
    assert run(tmp_path) == "True 1.0"


def test_an_index_of_types_that_have_moved_since_is_passed_over(tmp_path):
    """numba names the types of arguments by their modules, and reads an index before it knows its age."""
    loops, types = tmp_path / "loops.py", tmp_path / "here.py"
    shutil.copytree(ROOT / "bayesde", tmp_path / "bayesde", ignore=shutil.ignore_patterns("__pycache__"))
    head, _, loop = MOVED.partition("@kernel")
    types.write_text(head)
    loops.write_text(f"from bayesde.numerics.compiled import kernel\n@kernel{loop}")
    program = "from loops import total\nfrom {} import Pair\nprint(total(Pair(1.0, 2.0)))"
    assert run(tmp_path, program.format("here")) == "3.0"
    types.rename(tmp_path / "there.py")
    assert run(tmp_path, program.format("there")) == "3.0"
