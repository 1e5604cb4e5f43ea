"""The wheel is refused unless it is the known file, and lands nowhere but in its folder."""

from __future__ import annotations

import platform
import zipfile

import pytest

from bayesde.errors import ToolchainError
from bayesde.stan_runtime.wheel import library_folder, platform_wheel, unpack, unpacked_library


def make_wheel(path, names):
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            archive.writestr(name, name)
    return path


def test_another_file_is_refused(monkeypatch, tmp_path, compiler):
    wheel = make_wheel(tmp_path / "httpstan-4.13.0.whl", ["httpstan/stanc"])
    monkeypatch.setenv("BAYESDE_HTTPSTAN_WHEEL", str(wheel))
    monkeypatch.setenv("BAYESDE_CACHE", str(tmp_path / "cache"))
    with pytest.raises(ToolchainError, match="it is not the file that was published"):
        unpacked_library()
    assert not library_folder().exists()
    assert not any(path.is_dir() for path in (tmp_path / "cache").iterdir())


def test_a_wheel_that_is_not_there(monkeypatch, tmp_path):
    monkeypatch.setenv("BAYESDE_HTTPSTAN_WHEEL", str(tmp_path / "none.whl"))
    monkeypatch.setenv("BAYESDE_CACHE", str(tmp_path / "cache"))
    with pytest.raises(ToolchainError, match="is not a file"):
        unpacked_library()


def test_only_what_compiling_needs_is_unpacked(tmp_path):
    names = ["httpstan/stanc", "httpstan/include/stan/version.hpp", "httpstan/lib/libtbb.so.2"]
    others = ["httpstan/app.py", "httpstan-4.13.0.dist-info/LICENSE", "httpstan-4.13.0.dist-info/RECORD"]
    wheel = make_wheel(tmp_path / "some.whl", names + others)
    folder = tmp_path / "out"
    folder.mkdir()
    unpack(wheel, folder)
    found = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    assert found == ["LICENSE", "include/stan/version.hpp", "lib/libtbb.so.2", "stanc"]
    assert (folder / "stanc").stat().st_mode & 0o111


@pytest.mark.parametrize("name", ["httpstan/include/../../../evil", "httpstan/lib/../../evil"])
def test_names_that_lead_out_are_refused(tmp_path, name):
    folder = tmp_path / "out"
    folder.mkdir()
    with pytest.raises(ToolchainError, match="outside its folder"):
        unpack(make_wheel(tmp_path / "some.whl", [name]), folder)
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize(
    ("system", "machine", "libc"),
    [("Linux", "aarch64", "glibc"), ("Windows", "AMD64", ""), ("Linux", "x86_64", "musl")],
)
def test_systems_without_a_wheel_are_told_what_to_do(monkeypatch, system, machine, libc):
    monkeypatch.setattr(platform, "system", lambda: system)
    monkeypatch.setattr(platform, "machine", lambda: machine)
    monkeypatch.setattr(platform, "libc_ver", lambda: (libc, "2"))
    with pytest.raises(ToolchainError, match=rf"{system} on {machine}.*conda-forge cmdstan.*bayesde eb"):
        platform_wheel()
