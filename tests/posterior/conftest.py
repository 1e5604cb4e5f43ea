"""Fixtures of the tests of posteriors."""

from reference.panel import *  # noqa: F403
