"""Usage of exons, junctions and isoforms: which parts of a gene change relative to the others."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bayesde.usage.counts import UsageCounts
    from bayesde.usage.fit import UsageFit, fit_usage
    from bayesde.usage.options import UsageOptions
    from bayesde.usage.posterior import UsagePosterior
    from bayesde.usage.reading import read_usage

__all__ = ["UsageCounts", "UsageFit", "UsageOptions", "UsagePosterior", "fit_usage", "read_usage"]

_HOME_OF = {
    "UsageCounts": "counts",
    "UsageFit": "fit",
    "UsageOptions": "options",
    "UsagePosterior": "posterior",
    "fit_usage": "fit",
    "read_usage": "reading",
}


def __getattr__(name: str) -> object:
    """Import a name on first use: the command line reads `options` without compiled loops."""
    if name not in _HOME_OF:
        raise AttributeError(f"module 'bayesde.usage' has no attribute {name!r}")
    return getattr(import_module(f"bayesde.usage.{_HOME_OF[name]}"), name)
