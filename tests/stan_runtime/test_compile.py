"""Programs are compiled once, whoever asks and however often; a change of anything compiles again."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from stan_runtime.conftest import PROGRAM

from bayesde.errors import InputError, ToolchainError
from bayesde.stan_runtime import compile as compiling
from bayesde.stan_runtime import compiled_model, stan_source_dir
from bayesde.stan_runtime.releases import release_for_this_system
from bayesde.stan_runtime.wheel import library_folder

CALL = """
import sys
from pathlib import Path
from bayesde.stan_runtime import CmdStanHome, compile as compiling
from bayesde.stan_runtime.releases import STAN_VERSION

def model(program, threads, is_compiled):
    if not is_compiled:
        print("compiled")
        program.with_suffix("").write_text("program")
    return program.with_suffix("")

compiling._model = model
compiling.ensure_cmdstan = lambda _: CmdStanHome(Path(sys.argv[2]), STAN_VERSION, "embedded")
print(compiling.compiled_model(sys.argv[1]))
"""


@pytest.fixture
def cache(embedded_home, monkeypatch, tmp_path) -> Path:
    """A cache of its own that borrows the embedded CmdStan."""
    cache = tmp_path / "a cache"  # make knows no names with blanks; the cache must not care
    cache.mkdir()
    library = library_folder(release_for_this_system())
    for name in (embedded_home.path.name, library.name):
        (cache / name).symlink_to(embedded_home.path.parent / name)
    monkeypatch.setenv("BAYESDE_CACHE", str(cache))
    monkeypatch.setenv("BAYESDE_CMDSTAN", "embedded")
    monkeypatch.setenv("CMDSTAN", "")
    return cache


@pytest.fixture
def counted(monkeypatch):
    """Programs that are "compiled" without a compiler, and how often that was done."""
    compiled = []

    def pretend(program, threads, is_compiled):
        if not is_compiled:
            compiled.append(program.parent.name)
            program.with_suffix("").write_text("program")
        return program

    monkeypatch.setattr(compiling, "_model", pretend)
    return compiled


def write_program(folder: Path, text: str = "parameters { real x; } model { x ~ std_normal(); }") -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "small.stan").write_text(text)
    return folder / "small.stan"


def test_processes_at_once_and_a_folder_that_was_left_unfinished(pretended_home, tools, tmp_path):
    program = write_program(tmp_path / "source")
    key = compiling._key(compiling._with_includes(program), False, pretended_home)
    unfinished = compiling.cache_dir() / "programs" / f"small-{key}"
    unfinished.mkdir(parents=True)
    (unfinished / "small").write_text("half a program")
    command = [sys.executable, "-c", CALL, str(program), str(pretended_home.path)]
    callers = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    said = [caller.communicate()[0].split("\n")[:-1] for caller in callers]
    answer = str(unfinished / "small")
    assert sorted(said, key=len) == [[answer], [answer], ["compiled", answer]]
    assert sorted(path.name for path in unfinished.iterdir()) == ["ok", "small", "small.stan"]
    assert (unfinished / "small").read_text() == "program"


def test_a_compiled_program_has_a_folder_to_itself(normal):
    program = Path(normal.exe_file)
    assert sorted(path.name for path in program.parent.iterdir()) == ["normal", "normal.stan", "ok"]
    assert program.is_relative_to(compiling.cache_dir())
    assert [path.name for path in PROGRAM.parent.glob("normal*")] == ["normal.stan"]


def test_what_decides_about_compiling_again(pretended_home, tools, counted, tmp_path):
    source = tmp_path / "source"
    program = write_program(source, "functions {\n#include parts/f.stan\n}\nmodel {}")
    (source / "parts").mkdir()
    part = source / "parts" / "f.stan"
    part.write_text("real f(real x) { return x; }")
    compiled_model(program)
    compiled_model(program)
    assert len(counted) == 1
    compiled_model(program, threads=True)
    assert len(counted) == 2
    part.write_text("real f(real x) { return 2 * x; }")
    compiled_model(program)
    assert len(counted) == 3
    program.write_text(program.read_text() + "\n")
    copy = compiled_model(program)
    assert len(counted) == 4
    assert (copy.parent / "parts" / "f.stan").read_text() == part.read_text()
    os.remove(copy.parent / "ok")
    compiled_model(program)
    assert len(counted) == 5


def test_a_program_that_is_wrong_shows_the_compilers_words(cache, tmp_path):
    program = write_program(tmp_path / "source", "parameters { real x } model { }")
    with pytest.raises(ToolchainError, match=r"small\.stan does not compile") as raised:
        compiled_model(program)
    assert "after variable declaration" in str(raised.value)
    assert list((cache / "programs").glob("small*")) == []


def test_without_a_compiler_a_compiled_program_still_runs(
    pretended_home, tools, counted, monkeypatch, tmp_path
):
    program = write_program(tmp_path / "source")
    compiled_model(program)
    monkeypatch.setenv("PATH", str(tmp_path / "nowhere"))
    compiled_model(program)
    with pytest.raises(ToolchainError, match="bayesde eb"):
        compiled_model(program, threads=True)


def test_programs_and_includes_that_are_not_there(tmp_path):
    with pytest.raises(InputError, match=r"there is no Stan program 'gene'; the programs are: .*genes"):
        compiled_model("gene")
    with pytest.raises(InputError, match="there is no Stan program"):
        compiled_model(tmp_path / "none.stan")
    program = write_program(tmp_path / "source", "#include absent.stan\n")
    with pytest.raises(InputError, match=r"includes absent\.stan, which is not in"):
        compiled_model(program)
    write_program(tmp_path / "source", "#include ../secret.stan\n")
    with pytest.raises(InputError, match="must lie below"):
        compiled_model(program)


def test_the_programs_of_the_package_are_found():
    assert (stan_source_dir() / "genes.stan").is_file()


def test_importing_the_runtime_does_not_import_cmdstanpy():
    code = "import sys, bayesde.stan_runtime; sys.exit('cmdstanpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
