"""Measure bayesde beside its peers: ``python -m benchmarks``; README.md says what and how."""

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

from benchmarks import growth, report
from benchmarks.measure import Limits, MeasurementError, Session, run_command, run_session
from benchmarks.sets import QUICK, SETS, DataSet, SetFolder, remove, simulated, write_set
from benchmarks.tools import PEERS_ENVIRONMENT, TOOLS, Environment, Tool

RESULTS = Path(__file__).resolve().parent / "results"
PARTS = (*TOOLS, "command", "growth")
COMMAND_RUNS = 3


class Benchmark:
    """One run: what is measured, where it goes, and what there is so far."""

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

    def say(self, text: str) -> None:
        """Print a line of progress."""
        print(f"[{time.monotonic() - self._start:6.0f} s] {text}", flush=True)

    def run(self, sets: Sequence[DataSet]) -> None:
        """Measure everything, writing the results after each measurement."""
        if set(self._parts) != {"growth"}:
            for data in sets:
                self._measure_set(data)
        if "growth" in self._parts:
            self._measure_growth()
        self.say(f"done; results are in {self._results}")

    def _measure_set(self, data: DataSet) -> None:
        if data.missing:
            self._left_out.append(f"{data.title} (its files are not beside the repository)")
            self.say(f"{data.name}: left out, its files are not there")
            return
        self.say(f"{data.title}")
        folder = write_set(data, self._scratch / data.name)
        if "command" in self._parts:
            self._measure_command(folder)
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

    def _measure_command(self, folder: SetFolder) -> None:
        """Time ``bayesde eb`` as a command, at the very first with an empty cache of kernels."""
        data = folder.data
        contrast = f"{data.factor},{data.level},{data.reference}"
        command = [sys.executable, "-m", "bayesde", "eb", str(folder.counts_file), str(folder.samples_file)]
        command += [
            "--design",
            data.formula,
            "--contrast",
            contrast,
            "--out",
            str(folder.path / "out"),
            "--force",
        ]
        very_first = not Path(self._kernels["NUMBA_CACHE_DIR"]).exists()
        tasks = {"very first run": 1} if very_first else {}
        for task, repeats in {**tasks, "with cached kernels": COMMAND_RUNS}.items():
            try:
                runs = [run_command(command, self._kernels, self._limits.timeout) for _ in range(repeats)]
            except MeasurementError as error:
                self._fail(folder, report.COMMAND, error)
                return
            row = report.command_row(folder, task, runs)
            self.say(f"  command, {task}: {row['seconds']:.2f} s")
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

    def _measure_growth(self) -> None:
        """Measure both series of sizes."""

        def session_of(size: growth.Size) -> Session:
            data = simulated("growth", size.genes, size.samples)
            folder = write_set(data, self._scratch / "growth", command_files=False)
            try:
                limits = replace(growth.LIMITS, repeats=min(growth.LIMITS.repeats, self._limits.repeats))
                session = self._session(folder, TOOLS["bayesde"], folder.path / "answer.tsv", limits)
            finally:
                remove(folder)
            seconds = min(call.seconds for call in session.representative)
            self.say(f"  {data.title}: {seconds:.2f} s, {session.peak_mb:.0f} MB")
            return session

        self.say("growth")
        about = report.machine(self._load)
        growth.measure(
            growth.sizes(quick=self._quick),
            session_of,
            lambda table: growth.write(self._results, table, about),
        )


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
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
