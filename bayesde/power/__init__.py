"""How many replicates an experiment needs: by simulating it from a fitted hierarchy, and analysing it.

``assumptions`` takes the laws of genes from a pilot experiment, or typical ones; ``study`` simulates and
analyses experiments of every size; ``picture`` draws what was found, and ``files`` writes it.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bayesde.power.files import write_study
    from bayesde.power.options import PowerOptions
    from bayesde.power.picture import power_plot
    from bayesde.power.study import PowerStudy, power_study

__all__ = ["PowerOptions", "PowerStudy", "power_plot", "power_study", "write_study"]

_HOME_OF = {
    "PowerOptions": "options",
    "PowerStudy": "study",
    "power_plot": "picture",
    "power_study": "study",
    "write_study": "files",
}


def __getattr__(name: str) -> object:
    """Import a name on first use: the command line reads `options` without loading compiled kernels."""
    if name not in _HOME_OF:
        raise AttributeError(f"module 'bayesde.power' has no attribute {name!r}")
    return getattr(import_module(f"bayesde.power.{_HOME_OF[name]}"), name)
