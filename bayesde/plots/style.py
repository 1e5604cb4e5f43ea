"""Colours, axes and legends of all plots."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from bayesde.errors import InputError, first_few

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis

__all__ = [
    "BLACK",
    "BLUE",
    "GREEN",
    "GREY",
    "MARKERS",
    "ORANGE",
    "PALETTE",
    "SMALL",
    "demand",
    "legend_outside",
    "mark_numbers",
    "mark_powers",
    "new_axes",
]

# Okabe and Ito's palette: distinguishable with any common form of colour vision, and in grey print.
BLUE, ORANGE, GREY, BLACK = "#0072B2", "#D55E00", "#9A9A9A", "#222222"
GREEN = "#009E73"
PALETTE = (BLUE, ORANGE, GREEN, "#CC79A7", "#E69F00", "#56B4E9", BLACK, "#B8A800")
"""Of groups, in this order; the yellow is darkened, so that it is seen on white."""
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
SMALL = 8.0
"""Font size of labels of genes and samples, points."""
_SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def demand(table: pd.DataFrame, columns: list[str]) -> None:
    """Refuse tables without the columns to draw.

    Parameters
    ----------
    table : pandas.DataFrame
    columns : list of str

    Raises
    ------
    InputError
    """
    absent = [name for name in columns if name not in table]
    if absent:
        raise InputError(
            f"the table has no column {first_few(absent)}; its columns are {first_few(table, 20)}."
        )


def mark_powers(axis: Axis) -> None:
    """Label powers of ten only, as plain text: minor ticks and mathematical text are slow to draw.

    Parameters
    ----------
    axis : matplotlib.axis.Axis
        Logarithmic; left as it is if it spans less than two powers.
    """
    from matplotlib.ticker import FuncFormatter, NullLocator

    low, high = axis.get_view_interval()
    if high < 100.0 * low:  # too few of them
        return
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda value, _: _power_of_ten(value)))


def mark_numbers(axis: Axis, low: float, high: float) -> None:
    """Mark a logarithmic axis at 1, 2, 5, 10, ..., a long one at powers of 10, a short one at equal steps.

    Parameters
    ----------
    axis : matplotlib.axis.Axis
    low, high : float
        Its ends, above 0.
    """
    from matplotlib.ticker import FixedLocator, MaxNLocator, NullLocator

    powers = 10.0 ** np.arange(np.floor(np.log10(low)), np.log10(high))
    marks = [mark for mark in np.outer(powers, [1.0, 2.0, 5.0]).ravel().tolist() if low <= mark <= high]
    if len(marks) > 6:
        marks = powers.tolist()
    elif len(marks) < 3:
        marks = list(MaxNLocator(3).tick_values(low, high))
    axis.set_major_locator(FixedLocator(marks))
    axis.set_major_formatter(lambda value, _: f"{value:g}")
    axis.set_minor_locator(NullLocator())


def _power_of_ten(value: float) -> str:
    """Write a power of ten as such, another number as it is."""
    power = round(math.log10(value))
    if not math.isclose(value, 10.0**power):
        return f"{value:g}"
    return "10" + str(power).translate(_SUPERSCRIPT)


def new_axes(size: tuple[float, float]) -> Axes:
    """Make a figure with one Axes.

    Parameters
    ----------
    size : (float, float)
        Width and height, inches.

    Returns
    -------
    matplotlib.axes.Axes
    """
    from matplotlib import pyplot as plt

    axes: Axes = plt.subplots(figsize=size, layout="constrained")[1]
    return axes


def legend_outside(ax: Axes) -> None:
    """Put the legend right of the axes, without a frame, with enlarged markers.

    Parameters
    ----------
    ax : matplotlib.axes.Axes
    """
    ax.spines[["top", "right"]].set_visible(False)
    ax.legend(loc="upper left", bbox_to_anchor=(1.01, 1.0), frameon=False, markerscale=1.5, borderaxespad=0.0)
