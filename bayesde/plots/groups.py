"""Groups of samples in plots: their order, colours and markers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from bayesde.design.formula import level_text
from bayesde.explore.sample_groups import sample_column
from bayesde.plots.style import BLUE, GREY, MARKERS, PALETTE, SMALL

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.lines import Line2D

__all__ = ["SampleGroups", "draw_legend", "sample_groups"]

MISSING = "(missing)"
_COLUMNS = 3
"""Of a legend above the axes."""
MOST_NUMBERS = 8
"""A numeric variable with more values than this is shown by a scale of colours, not by groups."""


@dataclass(frozen=True, eq=False)
class SampleGroups:
    """What each sample of a plot belongs to.

    Attributes
    ----------
    title : str
        Name of the variable; empty for labels without one.
    labels : ndarray of object (sample,)
        Text.
    levels : tuple of str
        In the order of the legend: that of the categories, of numbers, or of first appearance.
    values : ndarray (sample,) or None
        Of a numeric variable with many values; there are no levels then.
    """

    title: str
    labels: np.ndarray
    levels: tuple[str, ...]
    values: np.ndarray | None = None

    @property
    def colours(self) -> Mapping[str, str]:
        """Colour of each level; those of more than eight repeat, missing ones are grey."""
        if self.levels == ("",):
            return {"": BLUE}
        colours = {level: PALETTE[i % len(PALETTE)] for i, level in enumerate(self.levels)}
        return colours | ({MISSING: GREY} if MISSING in colours else {})

    @property
    def markers(self) -> Mapping[str, str]:
        """Marker of each level; those of more than eight repeat."""
        return {level: MARKERS[i % len(MARKERS)] for i, level in enumerate(self.levels)}


def sample_groups(table: pd.DataFrame, samples: pd.Index, by: Any, *, levels: bool = False) -> SampleGroups:
    """Read what samples are to be grouped by.

    Parameters
    ----------
    table : pandas.DataFrame
        The sample table, in the order of the samples.
    samples : pandas.Index
    by : str, pandas.Series, sequence (sample,), or None
        A column of the table, or labels; None for one group.
    levels : bool
        Whether a numeric variable has levels, however many values it has.

    Returns
    -------
    SampleGroups

    Raises
    ------
    InputError
        If there is no such column, or not one label a sample.
    """
    if by is None:
        return SampleGroups("", np.full(len(samples), "", dtype=object), ("",))
    column = sample_column(table, samples, by)
    title = "" if column.name is None else str(column.name)
    numeric = pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column)
    if numeric and column.nunique() > MOST_NUMBERS and not levels:
        return SampleGroups(title, np.full(len(samples), "", dtype=object), (), column.to_numpy(float))
    labels = np.array([MISSING if pd.isna(value) else level_text(value) for value in column], dtype=object)
    if isinstance(column.dtype, pd.CategoricalDtype):
        order = [level_text(level) for level in column.cat.categories]
    else:
        known = column.dropna()
        order = [level_text(value) for value in (np.sort(known.unique()) if numeric else known.unique())]
    there = tuple(level for level in order if level in labels)
    return SampleGroups(title, labels, there + ((MISSING,) if MISSING in labels else ()))


def draw_legend(
    ax: Axes, colours: SampleGroups, shapes: SampleGroups | None = None, *, above: bool = False
) -> None:
    """Explain colours and markers of groups right of the axes, or above them.

    Parameters
    ----------
    ax : matplotlib.axes.Axes
    colours : SampleGroups
        Groups that differ by their colours. Of one level without a name, nothing is drawn.
    shapes : SampleGroups, optional
        Groups that differ by their markers.
    above : bool
        Whether the legend is above the axes, in rows.
    """
    handles = []
    for groups, by_marker in ((colours, False), (shapes, True)):
        if groups is None or groups.levels in (("",), ()):
            continue
        if groups.title:
            handles.append(_handle("", "none", groups.title))
        for level in groups.levels:
            marker = groups.markers[level] if by_marker else "o"
            handles.append(_handle(marker, GREY if by_marker else groups.colours[level], level))
    if handles:
        place: dict[str, Any] = {"loc": "upper left", "bbox_to_anchor": (1.01, 1.0)}
        if above:
            place = {"loc": "lower left", "bbox_to_anchor": (0.0, 1.02), "ncols": _COLUMNS}
            place |= {"fontsize": SMALL, "columnspacing": 1.0, "handletextpad": 0.2}
        ax.legend(handles=handles, frameon=False, borderaxespad=0.0, **place)


def _handle(marker: str, colour: str, label: str) -> Line2D:
    """Make an entry of a legend; without a marker, a heading."""
    from matplotlib.lines import Line2D  # slow to load

    return Line2D([], [], linestyle="", marker=marker, markersize=7, color=colour, label=label)
