"""Measure bayesde and other tools: ``python -m benchmarks.speed``; README.md explains it."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd

from benchmarks.speed import growth, panel, report
from benchmarks.speed.measure import Limits, MeasurementError, Session, run_command, run_session
from benchmarks.speed.sets import QUICK, SETS, DataSet, SetFolder, remove, simulated, write_set
from benchmarks.speed.tools import PEERS_ENVIRONMENT, TOOLS, Environment, Tool

RESULTS = Path(__file__).resolve().parent / "results"
PARTS = (*TOOLS, "command", "panel", *growth.SERIES)
OWN_SETS = {"panel", *growth.SERIES}
COMMAND_RUNS = 3


class Benchmark:
    """One run: what is measured, where the results go, and the results so far."""

    def __init__(self, arguments: argparse.Namespace, scratch: Path) -> None:
        self._start = time.monotonic()
        self._parts = arguments.only
        self._quick = arguments.quick
        self._limits = Limits(repeats=arguments.repeats, timeout=arguments.timeout)
        self._results, self._scratch = arguments.out, scratch
        self._environment = Environment(arguments.peers_env, self.say)
        self._kernels = {"NUMBA_CACHE_DIR": str(scratch / "kernels")} if "command" in arguments.only else {}
        self._load = os.getloadavg()[0]
        self._rows: list[report.Row] = []
        self._left_out: list[str] = []
        self._ran: set[str] = set()

    def say(self, text: str) -> None:
        """Print a line of progress."""
        print(f"[{time.monotonic() - self._start:6.0f} s] {text}", flush=True)

    def run(self, sets: Sequence[DataSet]) -> None:
        """Measure everything, writing the results after each measurement."""
        if not set(self._parts) <= OWN_SETS:
            for data in sets:
                self._measure_set(data)
        if "panel" in self._parts:
            self._measure_panel()
        for name, series in growth.SERIES.items():
            if name in self._parts:
                self._measure_growth(series)
        self.say(f"done; results are in {self._results}")

    def _measure_set(self, data: DataSet) -> None:
        if data.missing:
            self._left_out.append(f"{data.title} (its files are not beside the repository)")
            self.say(f"{data.name}: left out, its files are not there")
            return
        self.say(f"{data.title}")
        folder = write_set(data, self._scratch / data.name)
        for title in report.COMMANDS if "command" in self._parts else ():
            self._measure_command(folder, title)
        ours = None
        for tool in self._tools(folder.n_samples):
            answer = self._measure_tool(folder, tool, ours)
            ours = answer if tool.name == "bayesde" else ours
        remove(folder)

    def _tools(self, n_samples: int) -> list[Tool]:
        """Return the tools that were asked for, after bayesde, without which there are no ratios."""
        chosen = [
            tool
            for name, tool in TOOLS.items()
            if name in self._parts and name != "bayesde" and n_samples >= tool.least_samples
        ]
        return [TOOLS["bayesde"], *chosen] if chosen or "bayesde" in self._parts else []

    def _measure_command(self, folder: SetFolder, title: str) -> None:
        """Time a command, the first time with a cache that lacks its compiled kernels."""
        data, (name, *options) = folder.data, report.COMMANDS[title]
        command = [sys.executable, "-m", "bayesde", name, str(folder.counts_file), str(folder.samples_file)]
        command += ["--design", data.formula, "--contrast", f"{data.factor},{data.level},{data.reference}"]
        command += ["--out", str(folder.path / "out"), "--force", *options]
        tasks = {} if title in self._ran else {"very first run": 1}
        self._ran.add(title)
        for task, repeats in {
            **tasks,
            "with cached kernels": min(COMMAND_RUNS, self._limits.repeats),
        }.items():
            try:
                runs = [run_command(command, self._kernels, self._limits.timeout) for _ in range(repeats)]
            except MeasurementError as error:
                self._fail(folder, title, error)
                return
            row = report.command_row(folder, title, task, runs)
            self.say(f"  {title}, {task}: {row['seconds']:.2f} s")
            self._add([row])

    def _measure_tool(self, folder: SetFolder, tool: Tool, ours: pd.DataFrame | None) -> pd.DataFrame | None:
        """Measure a tool and compare its answer with bayesde's; return the answer."""
        file = folder.path / f"{tool.name}.tsv"
        try:
            session = self._session(folder, tool, file, self._limits)
        except MeasurementError as error:
            self._fail(folder, tool.title, error)
            return None
        answer = pd.read_csv(file, sep="\t", index_col="gene")
        if ours is None and tool.name != "bayesde":
            self._fail(folder, tool.title, MeasurementError("bayesde has no answer to compare with"))
            return None
        agreed = report.agreement(answer, answer if ours is None else ours)
        rows = report.session_rows(folder, tool, session, agreed)
        whole = session.representative[0].seconds if not session.warm else rows[-1]["seconds"]
        self.say(
            f"  {tool.title}: {whole:.2f} s warm ({len(session.warm)}), {session.first.seconds:.2f} s first, "
            f"{session.peak_mb:.0f} MB, r = {agreed.effect:.4f}"
        )
        self._add(rows)
        return answer

    def _session(self, folder: SetFolder, tool: Tool, answer: Path, limits: Limits) -> Session:
        env = self._kernels if tool.where == "bayesde" else {}
        return run_session(self._environment.command(tool, folder, answer), answer, limits, env)

    def _fail(self, folder: SetFolder, title: str, error: MeasurementError) -> None:
        self.say(f"  {title}: not measured: {error}")
        self._add([report.failure_row(folder, title, str(error))])

    def _add(self, rows: Sequence[report.Row]) -> None:
        self._rows += rows
        report.write_speed(self._results, self._rows, report.machine(self._load), self._left_out)

    def _measure_panel(self) -> None:
        """Measure the methods, and a plain Stan program, on a panel of genes."""
        self.say("panel")
        folder = write_set(panel.DATA, self._scratch / "panel", command_files=False)

        def session_of(job: panel.Job) -> tuple[Session, pd.DataFrame]:
            file = folder.path / "answer.tsv"
            file.unlink(missing_ok=True)
            session = self._session(folder, job.tool, file, job.limits)
            seconds = session.representative[-1].steps["sample"]
            self.say(f"  {job.title}, {job.genes} genes: {seconds:.1f} s")
            return session, pd.read_csv(file, sep="\t", index_col="name")

        about = report.machine(self._load)
        jobs = panel.jobs(quick=self._quick)
        panel.measure(jobs, session_of, lambda table: panel.write(self._results, table, about))
        remove(folder)

    def _measure_growth(self, series: growth.Series) -> None:
        """Measure a tool with more and more genes, and samples."""

        def session_of(size: growth.Size) -> Session:
            data = simulated("growth", size.genes, size.samples)
            folder = write_set(data, self._scratch / "growth", command_files=False)
            try:
                limits = replace(growth.LIMITS, repeats=min(growth.LIMITS.repeats, self._limits.repeats))
                session = self._session(folder, TOOLS[series.tool], folder.path / "answer.tsv", limits)
            finally:
                remove(folder)
            seconds = min(call.seconds for call in session.representative)
            self.say(f"  {data.title}: {seconds:.2f} s, {session.peak_mb:.0f} MB")
            return session

        self.say(f"growth of {series.title}")
        about = report.machine(self._load)
        growth.measure(
            growth.sizes(series, quick=self._quick),
            session_of,
            lambda table: growth.write(self._results, series, table, about),
        )


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.speed", description=__doc__)
    parser.add_argument(
        "--only", nargs="+", choices=PARTS, default=list(PARTS), metavar="PART", help=", ".join(PARTS)
    )
    known = {**SETS, **QUICK}
    parser.add_argument("--sets", nargs="+", choices=known, metavar="SET", help=", ".join(known))
    parser.add_argument("--repeats", type=int, default=5, metavar="N", help="warm calls at most (default 5)")
    parser.add_argument(
        "--timeout", type=float, default=Limits.timeout, metavar="S", help="seconds a process may take"
    )
    parser.add_argument(
        "--quick", action="store_true", help="a tiny set and small sizes: does everything run?"
    )
    parser.add_argument("--out", type=Path, default=RESULTS, metavar="DIR", help="folder of the results")
    parser.add_argument(
        "--peers-env",
        type=Path,
        default=PEERS_ENVIRONMENT,
        metavar="DIR",
        help="virtual environment of the peers",
    )
    chosen = parser.parse_args(arguments)
    chosen.sets = [known[name] for name in chosen.sets or (QUICK if chosen.quick else SETS)]
    return chosen


def main() -> None:
    """Run the benchmarks."""
    arguments = parse()
    with tempfile.TemporaryDirectory() as scratch:
        try:
            Benchmark(arguments, Path(scratch)).run(arguments.sets)
        except KeyboardInterrupt:
            sys.exit("interrupted; what was measured before is written")


if __name__ == "__main__":
    main()
