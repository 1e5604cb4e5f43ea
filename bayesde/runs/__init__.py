"""Runs in a folder of their own, which are recorded, watched, and resumed after an interruption.

A run is a plan (``plan``, made of ``options``) whose data are loaded and checked (``inputs``) and which is
carried out in a folder (``directory``, ``execution``, ``outputs``). ``watching`` reads its progress from
the folder, ``reports`` describes its results, ``opening`` gives them back; ``demo`` is a run on data that
ship with the package. ``analyses`` are several runs as one job, on the same counts or of cell types.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bayesde.runs.analyses.directory import holds_analyses
    from bayesde.runs.analyses.job import AnalysesOutcome, resume_analyses, run_analyses
    from bayesde.runs.analyses.report import write_analyses_report
    from bayesde.runs.analyses.status import AnalysesStatus, analyses_status
    from bayesde.runs.execution import resume, run
    from bayesde.runs.opening import OpenedRun, open_run, write_contrasts
    from bayesde.runs.options import ModelPlan, RunFiles, SamplePlan
    from bayesde.runs.plan import RunPlan
    from bayesde.runs.reports.report import write_report
    from bayesde.runs.watching.run_status import RunStatus, status

__all__ = [
    "AnalysesOutcome",
    "AnalysesStatus",
    "ModelPlan",
    "OpenedRun",
    "RunFiles",
    "RunPlan",
    "RunStatus",
    "SamplePlan",
    "analyses_status",
    "holds_analyses",
    "open_run",
    "resume",
    "resume_analyses",
    "run",
    "run_analyses",
    "status",
    "write_analyses_report",
    "write_contrasts",
    "write_report",
]

_HOME_OF = {
    "AnalysesOutcome": "analyses.job",
    "AnalysesStatus": "analyses.status",
    "ModelPlan": "options",
    "OpenedRun": "opening",
    "RunFiles": "options",
    "RunPlan": "plan",
    "RunStatus": "watching.run_status",
    "SamplePlan": "options",
    "analyses_status": "analyses.status",
    "holds_analyses": "analyses.directory",
    "open_run": "opening",
    "resume": "execution",
    "resume_analyses": "analyses.job",
    "run": "execution",
    "run_analyses": "analyses.job",
    "status": "watching.run_status",
    "write_analyses_report": "analyses.report",
    "write_contrasts": "opening",
    "write_report": "reports.report",
}


def __getattr__(name: str) -> object:
    """Import a name on first use: the command line reads `options` without loading what carries out a run."""
    if name not in _HOME_OF:
        raise AttributeError(f"module 'bayesde.runs' has no attribute {name!r}")
    return getattr(import_module(f"bayesde.runs.{_HOME_OF[name]}"), name)
