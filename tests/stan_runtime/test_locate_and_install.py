"""Which CmdStan is used: the user's own first, never a long wait, and always a word on what to do."""

from __future__ import annotations

import os
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from stan_runtime.homes import make_home

from bayesde.errors import BayesdeWarning, OptionError, ToolchainError
from bayesde.stan_runtime import CmdStanHome, ensure_cmdstan, install, install_stan
from bayesde.stan_runtime.locate import SUPPORTED, find_existing, read_home, too_old_note
from bayesde.stan_runtime.releases import STAN_VERSION

PAGE_ANSWERS = install._release_page_answers


@pytest.fixture(autouse=True)
def nothing_there(monkeypatch, tmp_path, tools):
    """A machine with a compiler but without any CmdStan, whose network answers nothing."""
    install._warn_once.cache_clear()
    for name in ("CMDSTAN", "CONDA_PREFIX", "BAYESDE_CMDSTAN", "BAYESDE_HTTPSTAN_WHEEL"):
        monkeypatch.setenv(name, "")  # so that what the code sets is undone after the test
    monkeypatch.setenv("HOME", str(tmp_path / "user"))
    monkeypatch.setenv("BAYESDE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(install, "_release_page_answers", lambda: False)


def test_nothing_is_found_on_an_empty_machine(tmp_path):
    before = sorted(tmp_path.iterdir())
    assert find_existing() is None
    assert too_old_note() == ""
    assert sorted(tmp_path.iterdir()) == before


def test_cmdstan_variable_wins(monkeypatch, tmp_path):
    make_home(tmp_path / "user" / ".cmdstan" / "cmdstan-2.36.0", "2.36.0")
    chosen = make_home(tmp_path / "mine", "2.35.0")
    monkeypatch.setenv("CMDSTAN", str(chosen))
    assert ensure_cmdstan() == CmdStanHome(chosen, "2.35.0", "existing")
    assert install_stan() == ensure_cmdstan()
    assert os.environ["CMDSTAN"] == str(chosen)


def test_conda_comes_before_the_newest_release(monkeypatch, tmp_path):
    folder = tmp_path / "user" / ".cmdstan"
    for version in ("2.34.1", "2.36.0", "2.9.0", "2.36.0-rc1"):
        make_home(folder / f"cmdstan-{version}", version)
    (folder / "cmdstan-2.40.0").mkdir()  # unpacked, never built
    assert find_existing() == CmdStanHome(folder / "cmdstan-2.36.0", "2.36.0", "existing")
    conda = make_home(tmp_path / "conda" / "bin" / "cmdstan", "2.35.0")
    monkeypatch.setenv("CONDA_PREFIX", str(tmp_path / "conda"))
    assert find_existing() == CmdStanHome(conda, "2.35.0", "existing")


def test_old_releases_are_passed_over_and_named_where_nothing_else_may_be_used(monkeypatch, tmp_path):
    old = make_home(tmp_path / "user" / ".cmdstan" / "cmdstan-2.32.2", "2.32.2")
    assert find_existing() is None
    monkeypatch.setenv("BAYESDE_CMDSTAN", "existing")
    with pytest.raises(ToolchainError, match=r"no CmdStan 2\.33 to 2\.39 was found") as raised:
        ensure_cmdstan()
    assert f"CmdStan 2.32.2 in {old}" in str(raised.value)


def test_the_readme_says_which_versions_are_supported():
    readme = Path(__file__).parents[2] / "README.md"
    assert f"CmdStan {SUPPORTED} are supported" in readme.read_text()


@pytest.mark.parametrize("version", ["2.33.0", "2.39.1"])
def test_versions_at_the_ends_of_the_range_are_used_without_a_word(tmp_path, version):
    make_home(tmp_path / "user" / ".cmdstan" / f"cmdstan-{version}", version)
    assert ensure_cmdstan().version == version


def test_a_newer_version_is_used_with_one_warning(monkeypatch, tmp_path):
    monkeypatch.setenv("CMDSTAN", str(make_home(tmp_path / "mine", "2.40.0")))
    with pytest.warns(
        BayesdeWarning, match=r"2\.40\.0 in .*mine is newer .*2\.33 to 2\.39.*=embedded"
    ) as said:
        assert ensure_cmdstan().version == "2.40.0"
    assert len(said) == 1
    assert said[0].filename == __file__
    assert ensure_cmdstan().version == "2.40.0"  # where a second warning would be an error


@pytest.mark.parametrize(
    ("version", "message"), [(None, "not a CmdStan"), ("2.29.0", r"supports CmdStan 2\.33")]
)
def test_a_cmdstan_variable_that_cannot_be_used_is_named(monkeypatch, tmp_path, version, message):
    folder = tmp_path / "mine"
    if version:
        make_home(folder, version)
    monkeypatch.setenv("CMDSTAN", str(folder))
    with pytest.raises(ToolchainError, match=message) as raised:
        ensure_cmdstan()
    assert str(folder) in str(raised.value)
    assert raised.value.exit_code == 2


def test_the_embedded_home_is_not_taken_for_the_users(monkeypatch, tmp_path):
    home = make_home(tmp_path / "embedded", "2.35.0")
    (home / "front_end.cpp").write_text("")
    monkeypatch.setenv("CMDSTAN", str(home))
    assert read_home(home).source == "embedded"
    assert find_existing() is None


def test_a_source_can_be_forced(monkeypatch):
    monkeypatch.setenv("BAYESDE_CMDSTAN", "existing")
    with pytest.raises(ToolchainError, match="BAYESDE_CMDSTAN=existing forbids"):
        ensure_cmdstan()
    monkeypatch.setenv("BAYESDE_CMDSTAN", "release")
    with pytest.raises(ToolchainError, match=r"no CmdStan release .*(bayesde eb)"):
        ensure_cmdstan()
    monkeypatch.setenv("BAYESDE_CMDSTAN", "newest")
    with pytest.raises(OptionError, match="existing, release or embedded"):
        ensure_cmdstan()


def test_without_a_compiler_nothing_is_downloaded(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("CXX", "")
    monkeypatch.setenv("MAKE", "")
    with pytest.raises(ToolchainError, match=r"a C\+\+ compiler and make not found.*bayesde eb"):
        ensure_cmdstan()
    assert not (tmp_path / "cache").exists()


def test_a_release_is_installed_where_it_can_be_reached(monkeypatch, tmp_path):
    folder = tmp_path / "user" / ".cmdstan" / f"cmdstan-{STAN_VERSION}"

    class FakeCmdStanPy:
        @staticmethod
        def install_cmdstan(version, overwrite, cores):
            sys.stdout.write("CmdStan chatter")
            make_home(folder, version)
            return True

    monkeypatch.setattr(install, "_release_page_answers", lambda: True)
    monkeypatch.setattr(install, "import_cmdstanpy", lambda: FakeCmdStanPy)
    said = []
    assert ensure_cmdstan(said.append) == CmdStanHome(folder, STAN_VERSION, "release")
    assert said == ["installing a release of CmdStan (some minutes, once)"]
    assert ensure_cmdstan().source == "existing"


def test_a_release_that_fails_leads_to_the_embedded_one(monkeypatch, tmp_path, capsys):
    class FakeCmdStanPy:
        @staticmethod
        def install_cmdstan(version, overwrite, cores):
            sys.stdout.write("CmdStan chatter")
            return False

    embedded = CmdStanHome(make_home(tmp_path / "embedded", "2.35.0"), "2.35.0", "embedded")
    monkeypatch.setattr(install, "_release_page_answers", lambda: True)
    monkeypatch.setattr(install, "import_cmdstanpy", lambda: FakeCmdStanPy)
    monkeypatch.setattr(install, "build_embedded", lambda force, progress: embedded)
    assert ensure_cmdstan() == embedded
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(("status", "answers"), [(200, True), (403, False)])
def test_asking_for_the_release_page(monkeypatch, status, answers):
    class Page(BaseHTTPRequestHandler):
        def do_HEAD(self):
            self.send_response(status)
            self.end_headers()

        def log_message(self, *_):
            pass

    with HTTPServer(("127.0.0.1", 0), Page) as server:
        threading.Thread(target=server.handle_request, daemon=True).start()
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        monkeypatch.setattr(install, "_RELEASES", f"http://127.0.0.1:{server.server_port}/")
        assert PAGE_ANSWERS() is answers


def test_a_network_that_swallows_everything_holds_up_nobody(monkeypatch):
    never = threading.Event()

    def hang(*_, **__):
        never.wait(60)
        raise TimeoutError

    monkeypatch.setattr(install, "_PATIENCE", 0.05)
    monkeypatch.setattr(install.urllib.request, "urlopen", hang)
    assert PAGE_ANSWERS() is False
    never.set()


def test_an_unreachable_index_is_explained(monkeypatch, tmp_path):
    monkeypatch.setenv("BAYESDE_CMDSTAN", "embedded")
    for name in ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS"):
        monkeypatch.setenv(name, "")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    with pytest.raises(ToolchainError, match="cannot be downloaded with pip") as raised:
        ensure_cmdstan()
    assert "BAYESDE_HTTPSTAN_WHEEL" in str(raised.value)
    assert "bayesde eb" in str(raised.value)


def test_the_embedded_cmdstan_is_found_again(nothing_there, pretended_home, monkeypatch):
    monkeypatch.setenv("BAYESDE_CMDSTAN", "")
    monkeypatch.setattr(install, "_install", lambda *_: pytest.fail("there is one already"))
    assert ensure_cmdstan() == pretended_home
    monkeypatch.setenv("CMDSTAN", str(pretended_home.path))  # as left by an earlier call
    assert ensure_cmdstan() == pretended_home
