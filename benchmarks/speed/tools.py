"""The tools that are timed, and where each of them runs."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.speed.measure import MeasurementError, without_folders
from benchmarks.speed.sets import SetFolder

HERE = Path(__file__).resolve().parent
PEERS = HERE / "peers"
PEERS_ENVIRONMENT = HERE / ".venv-peers"


@dataclass(frozen=True)
class Tool:
    """A tool.

    Attributes
    ----------
    name : str
        For ``--only``.
    title : str
    script : str
        Its file in peers/.
    where : {"bayesde", "pip", "R"}
        Whose interpreter runs it.
    package : str
        The package that is needed.
    same_model : bool
        Whether it makes the estimates that bayesde makes, so that fold changes must be the same.
    cores : str
        How many cores it is set to use.
    arguments : tuple of str
    least_samples : int
        Smaller sets are none of its business.
    shrinks : bool
        Whether all its estimates are shrunken, so that its results are the whole analysis.
    """

    name: str
    title: str
    script: str
    where: str
    package: str
    same_model: bool
    cores: str = "1"
    arguments: tuple[str, ...] = ()
    least_samples: int = 2
    shrinks: bool = False


TOOLS = {
    tool.name: tool
    for tool in (
        Tool("bayesde", "bayesde eb", "bayesde_eb", "bayesde", "bayesde", True, "all"),
        Tool("psis", "bayesde psis", "bayesde_psis", "bayesde", "bayesde", False, "all", shrinks=True),
        Tool(
            "psis-nuts",
            "bayesde psis, rest by nuts",
            "bayesde_psis",
            "bayesde",
            "bayesde",
            False,
            "all",
            ("nuts",),
            shrinks=True,
        ),
        Tool("pydeseq2", "PyDESeq2", "pydeseq2_wald", "pip", "pydeseq2", True, "2"),
        Tool("inmoose", "inmoose deseq2", "inmoose_deseq2", "pip", "inmoose", True),
        Tool("pylimma", "pylimma voom", "pylimma_voom", "pip", "pylimma", False),
        Tool("edgepython", "edgePython QL", "edgepython_ql", "pip", "edgepython", False),
        Tool("deseq2", "DESeq2 (R)", "deseq2.R", "R", "DESeq2", True),
        Tool("deseq2-2", "DESeq2 (R), 2 processes", "deseq2.R", "R", "DESeq2", True, "2", ("2",), 50),
        Tool("limma", "limma voom (R)", "limma_voom.R", "R", "limma", False),
        Tool("edger", "edgeR QL (R)", "edger_ql.R", "R", "edgeR", False),
    )
}


class Environment:
    """Where tools run; peers from pip get a virtual environment of their own, made when first needed.

    Parameters
    ----------
    folder : pathlib.Path
        The virtual environment of the peers.
    say : callable
        Called with a line of text before steps that take long.
    """

    def __init__(self, folder: Path, say: Callable[[str], None]) -> None:
        self._folder, self._say = folder, say
        self._failures: dict[str, str] = {}

    def command(self, tool: Tool, folder: SetFolder, answer: Path) -> list[str]:
        """Return the command that runs a tool on a data set.

        Raises
        ------
        MeasurementError
            If the tool cannot be had; the message says why.
        """
        handed = [str(folder.path), str(answer), *tool.arguments]
        if tool.where == "R":
            return [self._rscript(), "--vanilla", str(PEERS / tool.script), *handed]
        python = sys.executable if tool.where == "bayesde" else self._peers_python(tool.package)
        return [python, str(PEERS / "worker.py"), tool.script, *handed]

    @staticmethod
    def _rscript() -> str:
        found = shutil.which("Rscript")
        if found is None:
            raise MeasurementError("R is not installed (no Rscript)")
        return found

    def _peers_python(self, package: str) -> str:
        """Return the interpreter that has the package, installing it if necessary."""
        python = self._folder / "bin" / "python"
        if not python.exists():
            self._say("making a virtual environment for the peers")
            _run([sys.executable, "-m", "venv", str(self._folder)])
        if package not in self._failures:
            self._failures[package] = self._install(python, package)
        if self._failures[package]:
            raise MeasurementError(self._failures[package])
        return str(python)

    def _install(self, python: Path, package: str) -> str:
        """Install a package unless it is there; return what went wrong, or nothing."""
        try:
            _run([str(python), "-c", f"import importlib.metadata as m; m.version({package!r})"])
        except MeasurementError:
            self._say(f"installing {package} for the peers")
            try:
                _run([str(python), "-m", "pip", "install", "--quiet", package])
            except MeasurementError as error:
                return f"pip cannot install it: {error}"
        return ""


def _run(command: list[str]) -> None:
    ran = subprocess.run(command, capture_output=True, text=True)
    if ran.returncode:
        lines = (ran.stderr or ran.stdout).splitlines()
        told = [line.strip().removeprefix("ERROR: ") for line in lines if line.startswith("ERROR")]
        raise MeasurementError(without_folders(told[-1][:200] if told else f"code {ran.returncode}"))
