"""Names of genes in plots: which genes are meant, and labels that do not cover each other.

Labels are placed one after the other. Of some places around its point, each takes the one that is nearest
and covers the fewest points of the plot; places that overlap another label, or leave the axes, are not used,
and a label for which no place is left is not drawn. The result is the same each time.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from bayesde.errors import InputError, first_few
from bayesde.options import check_whole, nearest
from bayesde.plots.style import BLACK, GREY, SMALL

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from matplotlib.text import Annotation

__all__ = ["first_rows", "gene_rows", "label_points", "labelled_rows", "shown_names"]

MOST_LABELS = 200
_DISTANCES = (3.0, 8.0, 16.0, 26.0, 38.0, 53.0, 73.0)
"""Gaps between a marker and its label that are tried, points."""
_DIRECTIONS = 16
_COVERED = 3.0
"""Distance in points that a label moves rather than cover one more point of the plot."""
_MARGIN = (2.0, 0.5)
"""Room left and right of a label, and above and below it, points."""
_CELL = 2.0
"""Width of the cells in which points of the plot are counted, pixels."""


def gene_rows(genes: Sequence[str], index: pd.Index, symbols: Any, what: str) -> list[int]:
    """Find genes by identifier, or by symbol.

    Parameters
    ----------
    genes : sequence of str
    index : pandas.Index
        Identifiers.
    symbols : array-like of str (gene,), or None
        Names for display, empty where there is none.
    what : str
        What has these genes, for messages: ``"the table"``.

    Returns
    -------
    list of int
        Positions.

    Raises
    ------
    InputError
        If a gene is not there, or several have the symbol.
    """
    if isinstance(genes, str):
        genes = [genes]
    place = {str(gene): row for row, gene in enumerate(index)}
    by_symbol: dict[str, list[int]] = {}
    for row, symbol in enumerate([] if symbols is None else symbols):
        by_symbol.setdefault(str(symbol), []).append(row)
    rows, unknown = [], []
    for gene in map(str, genes):
        found = [place[gene]] if gene in place else by_symbol.get(gene, [])
        if len(found) > 1:
            ids = first_few(index[found])
            raise InputError(f"{what} has several genes with the name '{gene}': {ids}. Give one of these.")
        rows += found
        unknown += [gene] * (not found)
    if unknown:
        hint = nearest(unknown[0], [*place, *by_symbol]) if len(place) < 10**5 else ""
        raise InputError(
            f"{what} has no gene {first_few(unknown)}; its genes are {first_few(index, 3)}.{hint}"
        )
    return rows


def labelled_rows(
    label: int | Sequence[str], table: pd.DataFrame, measure: str, candidates: np.ndarray
) -> list[int]:
    """Return the rows of a table to label: those that are named, or the first by a measure.

    Parameters
    ----------
    label : int or sequence of str
        How many genes, or which.
    table : pandas.DataFrame
    measure : str
        Column whose smallest values come first; of equal ones, larger effects.
    candidates : ndarray of bool (gene,)
        Which genes may be labelled if they are not named.

    Returns
    -------
    list of int

    Raises
    ------
    InputError
        If a gene is not in the table.
    OptionError
        If the number is out of its range.
    """
    if not isinstance(label, int):
        return gene_rows(label, table.index, table.get("gene_name"), "the table")
    check_whole("label", label, 0, MOST_LABELS)
    return first_rows(table, measure, label, candidates)


def first_rows(
    table: pd.DataFrame, measure: str, number: int, candidates: np.ndarray | None = None
) -> list[int]:
    """Return the rows with the smallest values of a measure; of equal ones, larger effects come first.

    Parameters
    ----------
    table : pandas.DataFrame
    measure : str
        A column; rows without a value are left out.
    number : int
        How many.
    candidates : ndarray of bool (gene,), optional
        Which rows to choose from.

    Returns
    -------
    list of int
    """
    known = table[measure].notna().to_numpy()
    rows = np.flatnonzero(known if candidates is None else known & candidates)
    values = table[measure].to_numpy()[rows]
    effect = table["log2_fold_change"].abs().to_numpy()[rows] if "log2_fold_change" in table else -values
    return [int(row) for row in rows[np.lexsort((-effect, values))][:number]]


def shown_names(rows: pd.DataFrame) -> list[str]:
    """Return the names of genes for display: symbols where the table has them.

    Parameters
    ----------
    rows : pandas.DataFrame

    Returns
    -------
    list of str
    """
    genes = list(map(str, rows.index))
    return [name or gene for name, gene in zip(rows.get("gene_name", genes), genes, strict=True)]


def label_points(
    ax: Axes, points: Any, names: Sequence[str], *, obstacles: Any = None, radius: float = 1.5
) -> list[Annotation]:
    """Write names beside points, so that they cover neither each other nor, if possible, other points.

    Parameters
    ----------
    ax : matplotlib.axes.Axes
        With its final limits and scales.
    points : array-like (point, 2)
        In units of the data.
    names : sequence of str
        Those that come first have the better places.
    obstacles : array-like (other point, 2), optional
        Points not to be covered; by default those that are labelled.
    radius : float
        Of the markers, points.

    Returns
    -------
    list of matplotlib.text.Annotation
        Of the labels that fit.
    """
    points = np.asarray(points, dtype=np.float64)
    if not len(points):
        return []
    ax.figure.figure.draw_without_rendering()  # places the axes, so that distances are known
    around = points if obstacles is None else np.asarray(obstacles, float)
    crowd = _Crowd(ax, np.concatenate([points, around]))
    taken: list[np.ndarray] = []
    return [
        label
        for point, name in zip(points, names, strict=True)
        if (label := _placed(ax, point, name, crowd, taken, radius)) is not None
    ]


class _Crowd:
    """How many points of the plot are in a box, from sums over a grid of cells."""

    def __init__(self, ax: Axes, points: np.ndarray) -> None:
        self.box = ax.get_window_extent()
        pixels = ax.transData.transform(points)
        pixels = pixels[np.isfinite(pixels).all(axis=1)]
        shape = (math.ceil(self.box.width / _CELL) + 1, math.ceil(self.box.height / _CELL) + 1)
        edges = [np.arange(size + 1) * _CELL for size in shape]
        seen = np.histogram2d(pixels[:, 0] - self.box.x0, pixels[:, 1] - self.box.y0, edges)[0]
        self.sums = np.zeros((shape[0] + 1, shape[1] + 1))
        self.sums[1:, 1:] = np.minimum(seen, 1.0).cumsum(axis=0).cumsum(axis=1)

    def inside(self, box: np.ndarray) -> float:
        """Return the number of cells with a point in a box (x0, y0, x1, y1), pixels."""
        corner = np.array([self.box.x0, self.box.y0] * 2)
        limits = np.array(self.sums.shape * 2) - 1
        x0, y0, x1, y1 = np.clip(((box - corner) / _CELL).astype(int) + np.array([0, 0, 1, 1]), 0, limits)
        return float(self.sums[x1, y1] - self.sums[x0, y1] - self.sums[x1, y0] + self.sums[x0, y0])

    def holds(self, box: np.ndarray) -> bool:
        """Return whether a box is within the axes."""
        return bool(
            box[0] >= self.box.x0
            and box[1] >= self.box.y0
            and box[2] <= self.box.x1
            and box[3] <= self.box.y1
        )


def _placed(
    ax: Axes, point: np.ndarray, name: str, crowd: _Crowd, taken: list[np.ndarray], radius: float
) -> Annotation | None:
    """Draw one label at its best place; None, and nothing drawn, if there is none."""
    from matplotlib.patheffects import withStroke
    from matplotlib.text import Text

    label = ax.annotate(
        name,
        (float(point[0]), float(point[1])),
        xytext=(0.0, 0.0),
        textcoords="offset points",
        ha="center",
        va="center",
        fontsize=SMALL,
        color=BLACK,
        arrowprops={"arrowstyle": "-", "color": GREY, "linewidth": 0.6, "shrinkA": 0.0, "shrinkB": radius},
        zorder=5,
        path_effects=[withStroke(linewidth=2.0, foreground="white")],
    )
    extent = Text.get_window_extent(label)  # without its line
    scale = ax.figure.figure.dpi / 72.0
    half = np.array([extent.width, extent.height]) / 2.0 + scale * np.array(_MARGIN)
    centre = ax.transData.transform(point)
    best, cost = None, math.inf
    for gap in _DISTANCES:
        if gap >= cost:
            break
        for turn in range(_DIRECTIONS):
            offset = _offset(half, (radius + gap) * scale, 2.0 * math.pi * turn / _DIRECTIONS)
            box = np.concatenate([centre + offset - half, centre + offset + half])
            if crowd.holds(box) and not any(_overlap(box, other) for other in taken):
                price = gap + _COVERED * crowd.inside(box)
                if price < cost:
                    best, cost = (offset, box), price
    if best is None:
        label.remove()
        return None
    label.set_position((float(best[0][0]) / scale, float(best[0][1]) / scale))
    taken.append(best[1])
    return label


def _offset(half: np.ndarray, gap: float, angle: float) -> np.ndarray:
    """Return the centre of a box whose border is `gap` from the origin in a direction."""
    direction = np.array([math.cos(angle), math.sin(angle)])
    reach = np.abs(direction) / half
    return direction * (1.0 / reach.max() + gap)


def _overlap(one: np.ndarray, other: np.ndarray) -> bool:
    return bool(one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3])
