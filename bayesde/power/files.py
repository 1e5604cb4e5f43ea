"""The files of a plan: its table, its picture, and what they were made from."""

from __future__ import annotations

import io
import json
from os import PathLike
from pathlib import Path
from typing import Any

import pandas as pd

from bayesde.io.writing import results_folder, write_atomically
from bayesde.power.picture import power_plot
from bayesde.power.study import PowerStudy

__all__ = ["write_study"]


def write_study(study: PowerStudy, folder: str | PathLike[str]) -> Path:
    """Write power.tsv, power.png and power.json.

    Parameters
    ----------
    study : PowerStudy
    folder : path
        Created if it does not exist; files of these names in it are replaced.

    Returns
    -------
    pathlib.Path
        The folder.

    Raises
    ------
    InputError
        If the folder cannot be written to.
    """
    table = study.table.to_csv(sep="\t", index=False, float_format="%.5g", lineterminator="\n")
    with results_folder(folder) as place:
        write_atomically(place / "power.tsv", table)
        write_atomically(place / "power.png", _picture(study))
        write_atomically(place / "power.json", json.dumps(_record(study), indent=1) + "\n")
    return place


def _picture(study: PowerStudy) -> bytes:
    """Draw the plot on a figure of its own."""
    from matplotlib.figure import Figure  # slow to load

    figure = Figure(figsize=(7.0, 4.0), layout="constrained")
    power_plot(study, ax=figure.add_subplot())
    stream = io.BytesIO()
    figure.savefig(stream, dpi=150, format="png")
    return stream.getvalue()


def _record(study: PowerStudy) -> dict[str, Any]:
    laws = {name: value for name, value in vars(study.laws).items() if not callable(value)}
    needed = {str(effect): None if pd.isna(n) else int(n) for effect, n in study.needed().items()}
    return {"source": study.source, "options": vars(study.options), "laws": laws, "needed": needed}
