"""Time and memory of one tool on one data set, in a process of its own.

Time is measured by the tool's process around its analysis; imports and reading the input are not included.
Memory is the largest resident set of the process, with what its children share with no other process, minus
its value after imports and reading the counts. The process itself is read by the kernel's
high-water mark where there is one (Linux), otherwise by sampling every 20 ms; its children are sampled every
100 ms, because this takes processor time.
"""

from __future__ import annotations

import json
import os
import queue
import re
import subprocess
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import psutil  # type: ignore[import-untyped]

PREFIX = "@@ "
LOOK_EVERY = 0.02
OWN_EVERY = 0.1
CHILDREN_EVERY = 0.5
MB = 2.0**20


class MeasurementError(Exception):
    """A tool that failed, with the reason in one line."""


@dataclass(frozen=True)
class Call:
    """One run of the whole analysis: seconds by step, and processor seconds of all processes."""

    steps: Mapping[str, float]
    cpu: float

    @property
    def seconds(self) -> float:
        """Wall time of all steps."""
        return sum(self.steps.values())


@dataclass(frozen=True)
class Session:
    """What a tool's process did.

    Attributes
    ----------
    ready : dict
        What the tool said of itself: its version, a note.
    start_up : float
        Seconds from the start of the process until its imports were done and the counts in memory.
    first : Call
    warm : tuple of Call
        The later ones; empty if the first took too long to be repeated.
    baseline_mb, peak_mb : float
        Resident memory before the first call, and the largest one in excess of it.
    """

    ready: Mapping[str, str]
    start_up: float
    first: Call
    warm: tuple[Call, ...]
    baseline_mb: float
    peak_mb: float

    @property
    def representative(self) -> tuple[Call, ...]:
        """The warm calls, or the first where there are none."""
        return self.warm or (self.first,)


@dataclass(frozen=True)
class Limits:
    """How often and how long.

    Attributes
    ----------
    repeats : int
        Warm calls at most.
    budget : float
        No further warm call is begun once they took so many seconds together.
    slow : float
        A first call that takes longer is not repeated.
    timeout : float
        A process that takes longer is stopped.
    """

    repeats: int = 5
    budget: float = 8.0
    slow: float = 40.0
    timeout: float = 420.0


def run_session(
    command: Sequence[str], answer: Path, limits: Limits, env: Mapping[str, str] | None = None
) -> Session:
    """Start a tool, have it run and repeat its analysis, and let it write its answer.

    Parameters
    ----------
    command : sequence of str
        Starts a process that talks as peers/worker.py describes.
    answer : pathlib.Path
        Where it will write; checked to be there in the end.
    limits : Limits
    env : mapping, optional
        Environment variables in addition to those of this process.

    Returns
    -------
    Session

    Raises
    ------
    MeasurementError
        If the process fails, is too slow, or cannot be started.
    """
    with tempfile.TemporaryFile("w+") as errors:
        try:
            process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                env={**os.environ, **(env or {})},
            )
        except OSError as error:
            raise MeasurementError(f"could not be started: {error.strerror}") from error
        talk = _Conversation(process, errors, time.perf_counter() + limits.timeout)
        try:
            session = _converse(talk, limits)
        finally:
            talk.close()
    if not answer.exists():
        raise MeasurementError("wrote no answer")
    return session


def _converse(talk: _Conversation, limits: Limits) -> Session:
    """Exchange messages with a tool from "ready" to "answered"."""
    start = time.perf_counter()
    ready = talk.wait_for("ready")
    start_up = time.perf_counter() - start
    baseline = talk.memory.start()
    first = talk.call()
    warm: list[Call] = []
    while (
        first.seconds < limits.slow
        and len(warm) < limits.repeats
        and sum(call.seconds for call in warm) < limits.budget
    ):
        warm.append(talk.call())
    peak = talk.memory.peak() - baseline
    talk.say("end")
    talk.wait_for("answered")
    return Session(ready, start_up, first, tuple(warm), baseline / MB, peak / MB)


class _Conversation:
    """Lines to and from a tool's process, watched while it works."""

    def __init__(self, process: subprocess.Popen[str], errors: IO[str], deadline: float) -> None:
        self._process, self._errors, self._deadline = process, errors, deadline
        self._lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self.memory = Memory(process.pid)
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    def _listen(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as lines:
            for line in lines:
                if line.startswith(PREFIX):
                    self._lines.put(line.removeprefix(PREFIX))
        self._lines.put(None)

    def close(self) -> None:
        """Wait for the process and its children to end."""
        _end(self._process)
        self._listener.join(timeout=5.0)

    def say(self, word: str) -> None:
        """Send a line; a process that has ended is noticed when its answer is waited for."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(word + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            pass

    def wait_for(self, event: str) -> dict[str, Any]:
        """Return the next message, which must be this event."""
        while time.perf_counter() < self._deadline:
            self.memory.look()
            try:
                line = self._lines.get(timeout=LOOK_EVERY)
            except queue.Empty:
                continue
            if line is None:
                raise MeasurementError(self._reason())
            message = json.loads(line)
            if message.pop("event") == event:
                return dict(message)
        raise MeasurementError("stopped, as it took too long")

    def call(self) -> Call:
        """Run the analysis once."""
        before = self.memory.cpu_seconds()
        self.say("run")
        steps = self.wait_for("done")["steps"]
        return Call(steps, self.memory.cpu_seconds() - before)

    def _reason(self) -> str:
        """Say in one line why the process ended, without naming folders of this machine."""
        self._process.wait()
        self._errors.seek(0)
        lines = [line.strip() for line in self._errors.read().splitlines() if line.strip()]
        told = [line for line in lines if re.search(r"error|no package", line, re.IGNORECASE)] or lines
        return without_folders(told[-1][:200] if told else f"ended with code {self._process.returncode}")


def without_folders(text: str) -> str:
    """Reduce every path in a text to its last part."""
    return re.sub(r"(?:/[^\s/'\":]+)+/", "", text)


def own_memory(process: psutil.Process) -> float:
    """Return the memory that a process shares with no other, in bytes."""
    try:
        return float(process.memory_full_info().uss)
    except (psutil.Error, AttributeError):
        return 0.0


class Memory:
    """Resident memory and processor time of a process and its children."""

    def __init__(self, pid: int) -> None:
        self._main = psutil.Process(pid)
        self._children: list[psutil.Process] = []
        self._listed = self._looked = 0.0
        self._of_children = self._peak = 0.0

    def _family(self, *, anew: bool = False) -> list[psutil.Process]:
        """Return the process and its children, which are listed only now and then: that takes time."""
        if anew or time.monotonic() - self._listed > CHILDREN_EVERY:
            try:
                self._children = self._main.children(recursive=True)
            except psutil.Error:
                self._children = []
            self._listed = time.monotonic()
        return [self._main, *self._children]

    def look(self) -> float:
        """Return the resident memory now, in bytes, and keep the largest."""
        main, *children = self._family()
        if children and time.monotonic() - self._looked > OWN_EVERY:
            self._of_children = sum(own_memory(child) for child in children)
            self._looked = time.monotonic()
        try:
            total = main.memory_info().rss + (self._of_children if children else 0.0)
        except psutil.Error:
            total = 0.0
        self._peak = max(self._peak, total)
        return total

    def start(self) -> float:
        """Forget the peak so far and return the resident memory, in bytes."""
        self._peak = 0.0
        try:
            Path(f"/proc/{self._main.pid}/clear_refs").write_text("5")
        except OSError:  # not Linux, or not allowed: looking every now and then must do
            pass
        return self.look()

    def peak(self) -> float:
        """Return the largest resident memory since the start, in bytes."""
        self.look()
        return max(self._peak, self._high_water_mark())

    def _high_water_mark(self) -> float:
        try:
            status = Path(f"/proc/{self._main.pid}/status").read_text()
        except OSError:
            return 0.0
        found = re.search(r"VmHWM:\s+(\d+) kB", status)
        return 1024.0 * float(found[1]) if found else 0.0

    def cpu_seconds(self) -> float:
        """Return the processor time so far of the process, its children, and those that have ended."""
        total = 0.0
        for process in self._family(anew=True):
            try:
                times = process.cpu_times()
            except psutil.Error:
                continue
            total += times.user + times.system
            if process is self._main:
                total += times.children_user + times.children_system
        return total


def _end(process: subprocess.Popen[str]) -> None:
    """Wait for a process and its children to end, and kill them if they do not."""
    try:
        family = psutil.Process(process.pid).children(recursive=True)
    except psutil.Error:
        family = []
    try:
        if process.stdin is not None:
            process.stdin.close()
    except BrokenPipeError:
        pass
    try:
        process.wait(timeout=3.0)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    for child in family:
        try:
            child.kill()
        except psutil.Error:
            pass


@dataclass(frozen=True)
class CommandRun:
    """A command from its start to its end: wall and processor seconds, and peak resident memory."""

    seconds: float
    cpu: float
    peak_mb: float


def run_command(command: Sequence[str], env: Mapping[str, str], timeout: float) -> CommandRun:
    """Time a command.

    Parameters
    ----------
    command : sequence of str
    env : mapping
        Environment variables in addition to those of this process.
    timeout : float
        Seconds after which it is stopped.

    Returns
    -------
    CommandRun

    Raises
    ------
    MeasurementError
        If it fails or is too slow.
    """
    with tempfile.TemporaryFile("w+") as output:
        start = time.perf_counter()
        process = subprocess.Popen(command, stdout=output, stderr=output, env={**os.environ, **env})
        watchdog = threading.Timer(timeout, process.kill)
        watchdog.start()
        try:
            _, status, used = os.wait4(process.pid, 0)
        except BaseException:
            process.kill()
            raise
        finally:
            watchdog.cancel()
        seconds = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            output.seek(0)
            told = [line.strip() for line in output.read().splitlines() if line.strip()]
            raise MeasurementError(without_folders(told[-1][:200] if told else "stopped"))
    return CommandRun(seconds, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024.0)
