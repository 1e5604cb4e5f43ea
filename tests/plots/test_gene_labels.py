"""Labels of genes: which genes are meant, and that labels neither overlap nor leave the axes."""

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest

mpl.use("Agg")
from matplotlib.figure import Figure
from matplotlib.text import Text

from bayesde import InputError, OptionError
from bayesde.plots.gene_labels import first_rows, gene_rows, label_points, labelled_rows, shown_names

TABLE = pd.DataFrame(
    {
        "gene_name": ["ACTB", "", "TP53", "TP53"],
        "log2_fold_change": [1.0, -3.0, 2.0, 0.1],
        "lfsr": [0.1, 0.01, 0.01, np.nan],
    },
    index=["g1", "g2", "g3", "g4"],
)


def axes(**options):
    figure = Figure(figsize=(6.0, 4.0), **options)
    figure.draw_without_rendering()
    return figure.add_subplot()


def boxes(labels):
    return [Text.get_window_extent(label).padded(-0.5) for label in labels]


def test_genes_are_found_by_identifier_and_symbol():
    assert gene_rows(["g3", "ACTB"], TABLE.index, TABLE["gene_name"], "the table") == [2, 0]
    assert gene_rows("g2", TABLE.index, None, "the table") == [1]
    with pytest.raises(InputError, match=r"several genes with the name 'TP53': 'g3', 'g4'\. Give one"):
        gene_rows(["TP53"], TABLE.index, TABLE["gene_name"], "the table")
    with pytest.raises(InputError, match=r"no gene 'ACTA'; its genes are 'g1'.* Did you mean 'ACTB'"):
        gene_rows(["ACTA"], TABLE.index, TABLE["gene_name"], "the table")
    assert shown_names(TABLE) == ["ACTB", "g2", "TP53", "TP53"]


def test_the_first_genes_have_the_smallest_values_then_the_largest_effects():
    assert first_rows(TABLE, "lfsr", 3) == [1, 2, 0]
    assert first_rows(TABLE, "lfsr", 5, np.array([True, False, True, True])) == [2, 0]
    assert labelled_rows(1, TABLE, "lfsr", np.ones(4, dtype=bool)) == [1]
    assert labelled_rows(["g1"], TABLE, "lfsr", np.zeros(4, dtype=bool)) == [0]
    with pytest.raises(OptionError, match="label must be a whole number"):
        labelled_rows(-1, TABLE, "lfsr", np.ones(4, dtype=bool))


@pytest.mark.parametrize("layout", [None, "constrained"])
def test_labels_neither_overlap_nor_leave_the_axes(layout):
    rng = np.random.default_rng(8)
    ax = axes(layout=layout)
    points = rng.normal(size=(40, 2))
    ax.scatter(*points.T)
    names = [f"gene{i}" for i in range(40)]
    labels = label_points(ax, points, names)
    assert len(labels) > 30
    ax.figure.draw_without_rendering()
    placed = boxes(labels)
    assert not any(a.overlaps(b) for i, a in enumerate(placed) for b in placed[:i])
    inside = ax.get_window_extent().padded(1.0)
    assert all(inside.x0 <= box.x0 and box.x1 <= inside.x1 for box in placed)
    assert all(inside.y0 <= box.y0 and box.y1 <= inside.y1 for box in placed)
    assert {label.get_text(): label.xy for label in labels}["gene0"] == tuple(points[0])
    assert [label.get_text() for label in ax.texts] == [label.get_text() for label in labels]


def test_labels_do_not_cover_points_if_there_is_room():
    ax = axes()
    ax.set(xlim=(0.0, 10.0), ylim=(0.0, 10.0))
    crowd = np.stack(np.meshgrid(np.linspace(5.1, 8.0, 30), np.linspace(3.0, 7.0, 30)), -1).reshape(-1, 2)
    (label,) = label_points(ax, [(5.0, 5.0)], ["gene"], obstacles=crowd)
    ax.figure.draw_without_rendering()
    box = Text.get_window_extent(label)
    pixels = ax.transData.transform(crowd)
    covered = (
        (pixels[:, 0] > box.x0) & (pixels[:, 0] < box.x1) & (pixels[:, 1] > box.y0) & (pixels[:, 1] < box.y1)
    )
    assert not covered.any()


def test_labels_without_room_are_left_out():
    ax = axes()
    ax.set(xlim=(0.0, 1.0), ylim=(0.0, 1.0))
    labels = label_points(ax, np.full((300, 2), 0.5), [f"gene{i}" for i in range(300)])
    assert 5 < len(labels) < 300
    assert len(ax.texts) == len(labels)
    assert label_points(ax, np.empty((0, 2)), []) == []


def test_labels_are_the_same_each_time():
    points = np.random.default_rng(3).normal(size=(20, 2))
    places = []
    for _ in range(2):
        ax = axes()
        ax.scatter(*points.T)
        places.append(
            [label.get_position() for label in label_points(ax, points, list("abcdefghijklmnopqrst"))]
        )
    assert places[0] == places[1]


def test_logarithmic_axes_have_labels_beside_their_points():
    ax = axes()
    ax.set(xscale="log", xlim=(1.0, 1e4), ylim=(0.0, 1.0))
    (label,) = label_points(ax, [(100.0, 0.5)], ["gene"])
    ax.figure.draw_without_rendering()
    box, pixel = Text.get_window_extent(label), ax.transData.transform((100.0, 0.5))
    assert abs(box.x0 - pixel[0]) < 30.0
    assert abs(box.y0 - pixel[1]) < 30.0
