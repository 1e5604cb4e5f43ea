"""The doctor looks, reports and changes nothing."""

from __future__ import annotations

import re

import pytest
from stan_runtime.homes import make_home

from bayesde.stan_runtime import doctor
from bayesde.stan_runtime.releases import STAN_VERSION
from bayesde.stan_runtime.toolchain import find_toolchain


@pytest.fixture(autouse=True)
def bare_machine(monkeypatch, tmp_path):
    for name in ("CMDSTAN", "CONDA_PREFIX", "BAYESDE_CMDSTAN", "CXX", "MAKE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "user"))
    monkeypatch.setenv("BAYESDE_CACHE", str(tmp_path / "cache"))


def test_without_compiler_and_make(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path / "nowhere"))
    report = doctor()
    assert report.cmdstan is None
    assert not report.ready
    assert report.toolchain.missing == ("a C++ compiler", "make")
    text = "\n".join(report.lines())
    assert "apt install g++ make" in text
    assert "bayesde eb" in text
    assert list(tmp_path.iterdir()) == []


def test_a_compiler_that_was_named_but_does_not_exist(monkeypatch):
    monkeypatch.setenv("CXX", "no-such-compiler -O2")
    tools = find_toolchain()
    assert tools.compiler is None
    assert "$CXX names the compiler" in tools.advice


def test_a_compiler_with_arguments_is_found(monkeypatch, tools):
    monkeypatch.setenv("CXX", "g++ -pipe")
    found = find_toolchain()
    assert (found.compiler, found.compiler_version) == ("g++ -pipe", "g++ 12.2")


def test_a_machine_where_stan_is_yet_to_be_installed(tools):
    report = doctor()
    assert report.problems == ()
    assert not report.ready
    assert "bayesde install-stan" in "\n".join(report.lines())


def test_a_broken_variable_is_a_problem(monkeypatch, tmp_path):
    monkeypatch.setenv("CMDSTAN", str(tmp_path / "gone"))
    assert any("gone" in problem for problem in doctor().problems)
    monkeypatch.setenv("CMDSTAN", "")
    monkeypatch.setenv("BAYESDE_CMDSTAN", "newest")
    assert any("BAYESDE_CMDSTAN" in problem for problem in doctor().problems)
    monkeypatch.setenv("BAYESDE_CMDSTAN", "existing")
    assert any("forbids installing" in problem for problem in doctor().problems)


def test_the_embedded_cmdstan(pretended_home, tools):
    report = doctor()
    assert report.ready
    assert report.notes == ()
    assert report.cmdstan == pretended_home
    text = "\n".join(report.lines())
    assert f"{STAN_VERSION} (embedded)" in text
    assert str(pretended_home.path) in text
    assert "supported     CmdStan 2.33 to 2.39" in text


@pytest.mark.parametrize(
    ("version", "ready", "note"),
    [
        ("2.99.0", True, "2.99.0 in .* is newer than"),
        ("2.32.2", False, "supports CmdStan 2.33 to .*: CmdStan 2.32.2"),
    ],
)
def test_a_cmdstan_outside_the_supported_range_is_noted(tmp_path, tools, version, ready, note):
    make_home(tmp_path / "user" / ".cmdstan" / f"cmdstan-{version}", version)
    report = doctor()
    assert report.ready is ready
    assert re.search(f"note .*{note}", "\n".join(report.lines()))
