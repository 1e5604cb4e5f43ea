"""Folders that look like a CmdStan."""

from __future__ import annotations

from pathlib import Path


def make_home(path: Path, version: str) -> Path:
    """Write what is looked for in a CmdStan: a makefile with its version, and stanc."""
    (path / "bin").mkdir(parents=True)
    (path / "bin" / "stanc").write_text("")
    (path / "makefile").write_text(f"# CmdStan\nCMDSTAN_VERSION := {version}\n")
    return path
