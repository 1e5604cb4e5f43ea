"""A wheel is refused unless it is a known file, and lands nowhere but in its folder."""

from __future__ import annotations

import errno
import os
import platform
import shutil
import zipfile

import pytest
from stan_runtime.wheels import make_wheel, release_of

from bayesde.errors import ToolchainError
from bayesde.stan_runtime import embedded, releases
from bayesde.stan_runtime import wheel as wheels
from bayesde.stan_runtime.releases import STAN_VERSION, release_for_this_system
from bayesde.stan_runtime.wheel import library_folder, unpack, unpacked_library


@pytest.fixture
def release(monkeypatch, tmp_path):
    release = release_of(tmp_path / "published")
    monkeypatch.setattr(wheels, "release_for_this_system", lambda: release)
    monkeypatch.setenv("BAYESDE_CACHE", str(tmp_path / "cache"))
    return release


def give(monkeypatch, wheel):
    monkeypatch.setenv("BAYESDE_HTTPSTAN_WHEEL", str(wheel))


def assert_no_folder(tmp_path):
    assert not any(path.is_dir() for path in (tmp_path / "cache").iterdir())


@pytest.mark.parametrize("fault", ["another", "cut short", "altered"])
def test_another_file_is_refused(monkeypatch, tmp_path, release, fault):
    wheel = make_wheel(tmp_path, text="another" if fault == "another" else "")
    content = bytearray(wheel.read_bytes())
    content[200] ^= fault == "altered"
    wheel.write_bytes(content[:-100] if fault == "cut short" else content)
    give(monkeypatch, wheel)
    with pytest.raises(ToolchainError, match="the download was incomplete or the file was altered") as raised:
        unpacked_library()
    for part in (*release.hashes, str(wheel), "httpstan==1.2.3"):
        assert part in str(raised.value)
    assert_no_folder(tmp_path)


def test_a_known_file_under_another_name_is_taken(monkeypatch, tmp_path, release):
    give(monkeypatch, make_wheel(tmp_path).rename(tmp_path / "stan.whl"))
    assert unpacked_library() == library_folder(release)
    assert (tmp_path / "stan.whl").exists()


def test_a_wheel_that_is_not_there(monkeypatch, tmp_path, release):
    give(monkeypatch, tmp_path / "none.whl")
    with pytest.raises(ToolchainError, match="is not a file"):
        unpacked_library()


def test_a_disk_that_is_full_half_way_through(monkeypatch, tmp_path, release):
    copied, copy = [], shutil.copyfileobj

    def until_full(source, out):
        if copied:
            out.write(b"half of")
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        copied.append(source)
        copy(source, out)

    give(monkeypatch, make_wheel(tmp_path))
    monkeypatch.setattr(shutil, "copyfileobj", until_full)
    with pytest.raises(ToolchainError, match=r"No space left on device\). Make room there.*BAYESDE_CACHE"):
        unpacked_library()
    assert copied
    assert_no_folder(tmp_path)
    monkeypatch.setattr(shutil, "copyfileobj", copy)
    assert (unpacked_library() / "stanc").is_file()


def write_archive(path, names):
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            archive.writestr(name, name)
    return path


def test_only_what_compiling_needs_is_unpacked(tmp_path):
    names = ["httpstan/stanc", "httpstan/include/stan/version.hpp", "httpstan/lib/libtbb.so.2"]
    others = ["httpstan/app.py", "httpstan-1.2.3.dist-info/LICENSE", "httpstan-1.2.3.dist-info/RECORD"]
    wheel = write_archive(tmp_path / "some.whl", names + others)
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
        unpack(write_archive(tmp_path / "some.whl", [name]), folder)
    assert list(folder.iterdir()) == []


def machine_is(monkeypatch, system, machine, libc="glibc"):
    monkeypatch.setattr(platform, "system", lambda: system)
    monkeypatch.setattr(platform, "machine", lambda: machine)
    monkeypatch.setattr(platform, "libc_ver", lambda: (libc, "2"))


@pytest.mark.parametrize(
    ("system", "machine", "libc"),
    [("Linux", "aarch64", "glibc"), ("Windows", "AMD64", ""), ("Linux", "x86_64", "musl")],
)
def test_systems_without_a_wheel_are_told_what_to_do(monkeypatch, system, machine, libc):
    machine_is(monkeypatch, system, machine, libc)
    with pytest.raises(ToolchainError, match=rf"{system} on {machine}.*conda-forge cmdstan.*bayesde eb"):
        release_for_this_system()
    assert embedded.built_embedded() is None


@pytest.mark.parametrize(
    ("system", "machine", "stan"),
    [("Linux", "x86_64", STAN_VERSION), ("Darwin", "arm64", STAN_VERSION), ("Darwin", "x86_64", "2.35.0")],
)
def test_systems_with_a_wheel(monkeypatch, system, machine, stan):
    machine_is(monkeypatch, system, machine)
    release = release_for_this_system()
    assert release.stan == stan
    assert release.tag.endswith(machine)
    assert all(len(sha256) == 64 and int(sha256, 16) for sha256 in release.hashes)


def test_no_file_is_listed_twice():
    hashes = [sha256 for release in releases._RELEASES.values() for sha256 in release.hashes]
    assert len(set(hashes)) == len(hashes)
