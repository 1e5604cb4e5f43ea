"""Fits of the data sets for which R's answers are kept."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.parity.reference import SETS, Reference, load


@pytest.fixture(scope="session", params=SETS)
def reference(request: pytest.FixtureRequest, shared: Path) -> Reference:
    return load(shared, request.param)


@pytest.fixture(scope="session", params=[name for name in SETS if name != "yoruba"])
def shrunken_reference(request: pytest.FixtureRequest, shared: Path) -> Reference:
    """Without the cohort, where R's prior scale is not that of the effects.

    Three of its genes lose all counts to outlier replacement; R gives them an effect and an error of 0, and
    these three set the scale of the prior for all genes to its floor of 0.001. Ours leaves them out.
    """
    return load(shared, request.param)


@pytest.fixture(scope="session")
def cohort(shared: Path) -> Reference:
    """The one with enough replicates for outlying counts to be replaced."""
    return load(shared, "yoruba")


@pytest.fixture(scope="session")
def pasilla_two_factors(shared: Path) -> Reference:
    return load(shared, "pasilla_type")
