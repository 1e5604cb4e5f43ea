"""Fixtures of the tests of the model."""

from reference.panel import *  # noqa: F403
