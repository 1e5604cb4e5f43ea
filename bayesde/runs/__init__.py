"""Runs with a folder of their own: planned, carried out, watched, gone on with after an interruption.

A run is a plan (``plan``) that is loaded and checked (``inputs``), carried out in a folder (``directory``,
``execution``) and written down (``outputs``). ``watch`` looks at a folder without touching it, ``report``
makes one HTML file of it; ``demo`` is a run on data that ship with the package.
"""

from bayesde.runs.execution import resume, run
from bayesde.runs.plan import ModelPlan, RunFiles, RunPlan, SamplePlan
from bayesde.runs.report import write_report
from bayesde.runs.run_status import RunStatus, status

__all__ = [
    "ModelPlan",
    "RunFiles",
    "RunPlan",
    "RunStatus",
    "SamplePlan",
    "resume",
    "run",
    "status",
    "write_report",
]
