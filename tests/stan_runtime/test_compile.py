"""Programs are compiled once, whoever asks and however often; a change of anything compiles again."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from bayesde.errors import InputError, ToolchainError
from bayesde.stan_runtime import compile as compiling
from bayesde.stan_runtime import compiled_model, stan_source_dir

CALL = (
    "import sys; from bayesde.stan_runtime import compiled_model; print(compiled_model(sys.argv[1]).exe_file)"
)


@pytest.fixture
def cache(embedded_home, monkeypatch, tmp_path) -> Path:
    """A cache of its own that borrows the embedded CmdStan."""
    cache = tmp_path / "a cache"  # make knows no names with blanks; the cache must not care
    cache.mkdir()
    for name in (embedded_home.path.name, "httpstan-4.13.0"):
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


def test_processes_at_once_and_a_folder_that_was_left_unfinished(cache, tmp_path):
    program = write_program(tmp_path / "source")
    home = compiling.ensure_cmdstan()
    key = compiling._key(compiling._with_includes(program), False, home)
    unfinished = cache / "programs" / f"small-{key}"
    unfinished.mkdir(parents=True)
    (unfinished / "small").write_text("half a program")
    command = [sys.executable, "-c", CALL, str(program)]
    callers = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    answers = [caller.communicate()[0].strip() for caller in callers]
    assert answers == [str(unfinished.resolve() / "small")] * 2
    assert (unfinished / "ok").exists()
    assert sorted(path.name for path in unfinished.iterdir()) == ["ok", "small", "small.stan"]
    before = (unfinished / "small").stat().st_mtime_ns
    model = compiled_model(program)
    assert (unfinished / "small").stat().st_mtime_ns == before
    fit = model.sample(chains=1, iter_sampling=500, seed=1, show_progress=False)
    assert abs(fit.stan_variable("x").mean()) < 0.3
    assert sorted(path.name for path in program.parent.iterdir()) == [
        "small.stan"
    ]  # nothing beside the source


def test_what_decides_about_compiling_again(cache, counted, tmp_path):
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
    assert '";" expected after variable declaration' in str(raised.value)
    assert list((cache / "programs").glob("small*")) == []


def test_without_a_compiler_a_compiled_program_still_runs(cache, counted, monkeypatch, tmp_path):
    program = write_program(tmp_path / "source")
    compiled_model(program)
    monkeypatch.setenv("PATH", str(tmp_path / "nowhere"))
    compiled_model(program)
    with pytest.raises(ToolchainError, match="bayesde eb"):
        compiled_model(program, threads=True)


def test_programs_and_includes_that_are_not_there(tmp_path):
    with pytest.raises(InputError, match=r"there is no Stan program 'gene'; there are: .*genes"):
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
