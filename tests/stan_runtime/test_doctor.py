"""The doctor looks, reports and changes nothing."""

from __future__ import annotations

import shutil

import pytest

from bayesde.stan_runtime import doctor
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


def test_a_compiler_with_arguments_is_found(monkeypatch, compiler):
    name = shutil.which("g++") or shutil.which("clang++")
    monkeypatch.setenv("CXX", f"{name} -pipe")
    assert find_toolchain().compiler == f"{name} -pipe"


def test_a_machine_where_stan_is_yet_to_be_installed(compiler):
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


def test_the_embedded_cmdstan(monkeypatch, embedded_home):
    monkeypatch.setenv("BAYESDE_CACHE", str(embedded_home.path.parent))
    report = doctor()
    assert report.ready
    assert report.cmdstan == embedded_home
    text = "\n".join(report.lines())
    assert "2.35.0 (embedded)" in text
    assert str(embedded_home.path) in text
