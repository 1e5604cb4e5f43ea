"""Fixtures that every test may use."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
ON_CI = os.environ.get("CI") == "true"


def skip_or_fail(reason: str) -> None:
    """Skip on a developer's machine, fail on continuous integration."""
    if ON_CI:
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real counts and of R's answers, kept beside the repository."""
    folder = REPOSITORY.parent / "shared"
    if not (folder / "ref" / "README.md").exists():
        skip_or_fail(f"the reference data are not beside the repository ({folder.name}/ is missing)")
    return folder
