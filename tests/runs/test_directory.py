"""The folder of a run: who may use it, and what is removed from it."""

import logging
import subprocess
import sys
import textwrap

import pytest

from bayesde import InputError
from bayesde.runs.directory import RunDirectory


@pytest.fixture
def directory(tmp_path):
    made = RunDirectory(tmp_path / "run")
    made.create()
    return made


def test_a_new_or_empty_folder_is_free_and_checking_changes_nothing(tmp_path):
    RunDirectory(tmp_path / "a" / "b").check_free(force=False)
    RunDirectory(tmp_path).check_free(force=False)
    assert list(tmp_path.iterdir()) == []


def test_the_record_is_changed_entry_by_entry(directory):
    directory.update(state="running", n_blocks=3)
    directory.update(state="finished")
    assert directory.read() == {"state": "finished", "n_blocks": 3}


@pytest.mark.parametrize(
    ("state", "advice"), [("finished", "--force replaces it"), ("running", "bayesde resume")]
)
def test_an_earlier_run_is_not_replaced_by_accident(directory, state, advice):
    directory.update(state=state, plan={})
    with pytest.raises(InputError, match=advice):
        directory.check_free(force=False)
    directory.check_free(force=True)


def test_what_a_killed_start_left_is_no_obstacle(directory):
    (directory.path / ".run.json.x1.tmp").write_text("{")
    (directory.path / ".lock").touch()
    directory.check_free(force=False)
    directory.create()
    assert list(directory.path.iterdir()) == []


def test_files_that_were_being_written_are_removed(directory):
    left = [directory.path / name for name in (".results.tsv.x.tmp", "eb/.results.tsv.y.tmp")]
    others = [directory.path / name for name in ("notes.tmp", "eb/.notes")]
    for file in (*left, *others):
        file.parent.mkdir(exist_ok=True)
        file.touch()
    (directory.path / ".posterior.zarr.tmp").mkdir()
    directory.remove_unfinished()
    assert [file.exists() for file in (*left, *others)] == [False, False, True, True]
    assert (directory.path / ".posterior.zarr.tmp").is_dir(), "which is made again where draws are written"


def test_only_what_bayesde_wrote_is_removed(directory):
    directory.update(state="finished", plan={})
    (directory.blocks / "abc").mkdir(parents=True)
    directory.plots.mkdir()
    kept = {"notes.txt", "plots", "plots/figure1.png"}
    for name in ("notes.txt", "results.tsv", "plots/figure1.png", "plots/ma.png"):
        (directory.path / name).write_text("mine")
    (directory.tables("eb") / "results.tsv").write_text("old")
    directory.create()
    assert {str(entry.relative_to(directory.path)) for entry in directory.path.rglob("*")} == kept


@pytest.mark.parametrize("record", [None, "{}"])
@pytest.mark.parametrize("force", [False, True])
def test_files_of_others_that_carry_our_names_are_left_alone(tmp_path, record, force):
    (tmp_path / "plots").mkdir()
    (tmp_path / "plots" / "ma.png").touch()
    (tmp_path / "results.tsv").touch()
    if record:
        (tmp_path / "run.json").write_text(record)
    with pytest.raises(InputError, match=r"holds no run of bayesde .'plots', 'results\.tsv'"):
        RunDirectory(tmp_path).check_free(force)


@pytest.mark.parametrize("text", ["{", "[]"])
def test_a_broken_record_is_explained(directory, text):
    (directory.path / "run.json").write_text(text)
    with pytest.raises(InputError, match=r"run\.json"):
        directory.read()


def test_one_process_at_a_time_and_a_killed_one_does_not_block(directory):
    program = textwrap.dedent(
        f"""
        import sys, time
        from bayesde.runs.directory import RunDirectory
        with RunDirectory({str(directory.path)!r}).locked():
            print("locked", flush=True)
            time.sleep(600)
        """
    )
    directory.update(state="running", plan={})
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "locked\n"
        assert directory.is_locked()
        with pytest.raises(InputError, match="another process"), directory.locked():
            pytest.fail("two processes hold the lock")
        with pytest.raises(InputError, match="another process"):
            directory.check_free(force=True)
        process.kill()
    assert not directory.is_locked()
    with directory.locked():
        pass


def test_the_log_has_the_packages_messages_and_stops_when_told(directory):
    logger = logging.getLogger("bayesde.runs.test")
    with directory.logging():
        logger.info("fitted %d genes", 7)
        logger.debug("not this")
    logger.warning("nor this")
    lines = directory.log.read_text().splitlines()
    assert len(lines) == 1
    assert lines[0].endswith("INFO fitted 7 genes")
