"""What a run does with signals, full disks and other processes, without Stan."""

import errno
import json
import os
import signal
import subprocess
import sys
import threading
import time

import pytest

import bayesde as bde
from bayesde.cli import running
from bayesde.errors import StorageError
from bayesde.posterior.hyper import learning
from bayesde.posterior.importance import blocks
from bayesde.posterior.importance.blocks import ImportanceTask
from bayesde.posterior.options import SamplingOptions
from bayesde.posterior.storage import work
from bayesde.runs import RunPlan, resume, run, status
from bayesde.runs.directory import RunDirectory
from bayesde.runs.options import ModelPlan, RunFiles, SamplePlan
from bayesde.runs.watching.interruption import (
    StoppedAtOnce,
    Terminated,
    kill_started_processes,
    run_interruptible,
    terminable,
)

N_GENES, SIZE = 40, 10


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """The hyperparameters are learnt from few draws, and genes sampled in small blocks."""
    for name, value in {"DRAWS_TIMES_GENES": 1, "FEWEST_DRAWS": 100, "POINTS_TIMES_GENES": 1}.items():
        monkeypatch.setattr(learning, name, value)
    monkeypatch.setattr(blocks, "LARGE", 0)
    monkeypatch.setattr(blocks, "block_size", lambda *_: SIZE)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("signals")
    simulated = bde.simulate(N_GENES, groups=(3, 3), seed=5)
    simulated.counts.to_frame().to_csv(made / "counts.tsv", sep="\t")
    simulated.counts.sample_table.to_csv(made / "samples.tsv", sep="\t", index_label="sample")
    return made


def plan(folder):
    return RunPlan(
        command="sample",
        files=RunFiles(counts=str(folder / "counts.tsv"), samples=str(folder / "samples.tsv")),
        model=ModelPlan(design="~ condition"),
        sample=SamplePlan(draws=100),
        sampling=SamplingOptions(hand_over=False),
    )


@pytest.fixture
def undisturbed(folder, tmp_path):
    return run(plan(folder), tmp_path / "undisturbed").table


def before_block(monkeypatch, number, do):
    """Do something before a block is sampled; from then on, nothing."""
    sample, seen = ImportanceTask.run, []

    def held(task):
        seen.append(task.rows)
        if len(seen) == number:
            do()
        return sample(task)

    monkeypatch.setattr(ImportanceTask, "run", held)
    return seen


def test_sigterm_finishes_the_block_and_has_its_own_exit_code(
    folder, undisturbed, tmp_path, monkeypatch, bayesde
):
    out = tmp_path / "out"
    before_block(monkeypatch, 2, lambda: os.kill(os.getpid(), signal.SIGTERM) or time.sleep(0.5))
    arguments = (folder / "counts.tsv", folder / "samples.tsv", "-d", "~ condition", "--draws", "100")
    code, _, said = bayesde("sample", *arguments, "--no-hand-over", "-o", out)
    assert code == running.TERMINATED == 4
    assert f"bayesde resume {out}" in said
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    seen = status(out)
    assert seen.state == "interrupted"
    assert 2 <= seen.done < 4
    assert 0 < seen.genes_done <= seen.done * SIZE
    assert resume(out).table.equals(undisturbed)
    assert "stopping after the current blocks" in (out / "log.txt").read_text()
    assert bayesde("status", out)[1].splitlines()[1:] == [
        "blocks   4 of 4 done, 0 running, 0 with failures",
        "genes    40 of 40 done, 0 failed",
    ]


def send_signals_to_this_process():
    begun, release, told, ended = threading.Event(), threading.Event(), [], []

    def work_on(stopper):
        begun.set()
        release.wait(120.0)
        ended.append(True)
        stopper.check()

    def signals():
        begun.wait()
        os.kill(os.getpid(), signal.SIGTERM)
        while not told:
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGTERM)  # once more: it changes nothing
        time.sleep(0.5)
        assert not ended
        os.kill(os.getpid(), signal.SIGINT)

    other = threading.Thread(target=signals)
    other.start()
    with terminable(), pytest.raises(StoppedAtOnce):
        run_interruptible(work_on, lambda: told.append(True))
    assert not ended
    release.set()
    other.join()


def test_the_first_signal_waits_and_a_second_ctrl_c_does_not():
    """In a process of its own, whose handlers of signals no other test has changed."""
    ran = subprocess.run([sys.executable, __file__], capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stderr) == (0, "")


def test_sigterm_outside_of_the_sampling():
    def interrupted():
        with terminable():
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(5.0)

    with pytest.raises(Terminated):
        interrupted()


def test_processes_that_were_started_can_be_ended():
    child = os.spawnlp(os.P_NOWAIT, "sleep", "sleep", "1000")
    kill_started_processes()
    assert os.waitpid(child, 0)[1] == signal.SIGKILL


def full(*_, **__):
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_full_disk_is_told_and_the_run_can_be_resumed(folder, undisturbed, tmp_path, monkeypatch, bayesde):
    out, write, written = tmp_path / "out", work.write_block, []

    def fills_up(*arguments):
        if len(written) == 2:
            full()
        written.append(write(*arguments))

    with monkeypatch.context() as patched:
        patched.setattr(work, "write_block", fills_up)
        with pytest.raises(StorageError, match=r"No space left on device.*bayesde resume"):
            run(plan(folder), out)
    assert status(out).state == "failed"
    assert len(list(out.glob("blocks/*/ok"))) == 3  # with the hyperparameters
    assert bayesde("resume", out)[0] in (0, 3)
    assert bde.read_results(out).equals(undisturbed)


def test_a_disk_so_full_that_not_even_the_record_can_be_written(folder, tmp_path, monkeypatch):
    out = tmp_path / "out"
    with monkeypatch.context() as patched:
        patched.setattr(work, "write_block", full)
        update = RunDirectory.update
        patched.setattr(
            RunDirectory,
            "update",
            lambda own, **new: full() if "state" in new and written(own) else update(own, **new),
        )
        with pytest.raises(StorageError):
            run(plan(folder), out)
    assert status(out).state == "interrupted"


def written(directory):
    return (directory.path / "run.json").exists()


def test_two_processes_do_not_work_on_one_run(folder, tmp_path, monkeypatch, bayesde):
    out = tmp_path / "out"
    with monkeypatch.context() as patched:
        before_block(patched, 2, lambda: exec("raise KeyboardInterrupt"))
        with pytest.raises(KeyboardInterrupt):
            run(plan(folder), out)
    with RunDirectory(out).locked():
        code, _, said = bayesde("resume", out)
        assert (code, "another process is working" in said) == (2, True)
        with pytest.raises(bde.InputError, match="another process"):
            run(plan(folder), out, force=True)
    assert resume(out).table is not None


def test_status_for_programs_and_to_watch(folder, tmp_path, monkeypatch, bayesde):
    out, seen = tmp_path / "out", []
    before_block(monkeypatch, 3, lambda: seen.append(bayesde("status", out, "--json")))
    run(plan(folder), out)
    (code, text, _) = seen[0]
    values = json.loads(text)
    assert code == 0
    assert (values["state"], values["total"], values["genes"]) == ("running", 4, N_GENES)
    assert 0 <= values["genes_done"] <= 3 * SIZE
    looks = []

    def later(seconds):
        looks.append(seconds)
        RunDirectory(out).update(state="finished")

    monkeypatch.setattr("bayesde.cli.commands.time.sleep", later)
    directory = RunDirectory(out)
    directory.update(state="running")
    with directory.locked():
        code, text, _ = bayesde("status", out, "--watch")
    assert [line for line in text.splitlines() if line.startswith("state")] == [
        "state    running",
        "state    finished",
    ]
    assert len(looks) == 1
    assert "40 of 40 done" in text


def test_the_log_has_plain_lines_of_progress(folder, tmp_path, monkeypatch):
    out = tmp_path / "out"
    run(plan(folder), out)
    lines = [line for line in (out / "log.txt").read_text().splitlines() if "blocks done" in line]
    assert "0 of 4 blocks done: sampling 40 genes" in lines[0]
    assert "4 of 4 blocks done: sampling 40 genes, " in lines[-1]
    assert "genes per second, about 0 s left" in lines[-1]
    assert not (out / "blocks").exists(), "the draws are in draws/"


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)  # which shells ignore in the background
    send_signals_to_this_process()
