"""Pictures of results tables: volcano, intervals and labels of the MA plot, calls, shrinkage."""

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest

mpl.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from bayesde import InputError, OptionError, datasets, fit_eb
from bayesde.plots import interval_plot, ma_plot, s_value_plot, shrinkage_plot, volcano_plot


@pytest.fixture(scope="module")
def fit():
    return fit_eb(datasets.load_pasilla(), "~ type + condition", references={"condition": "untreated"})


@pytest.fixture(scope="module")
def mle(fit):
    return fit.results()


@pytest.fixture(scope="module")
def shrunken(fit):
    return fit.shrink()


def by_label(ax):
    return {one.get_label(): np.asarray(one.get_offsets()) for one in ax.collections}


def table(**columns):
    return pd.DataFrame(columns, index=[f"g{i}" for i in range(len(next(iter(columns.values()))))])


def test_volcano_shows_effects_and_evidence(shrunken):
    ax = volcano_plot(shrunken, label=5)
    known = shrunken[shrunken["s_value"].notna()]
    called = known[known["s_value"] < 0.005]
    up, down = (called["log2_fold_change"] > 0).sum(), (called["log2_fold_change"] < 0).sum()
    labels = [text.get_text() for text in ax.get_legend().get_texts()]
    assert labels == [
        f"other genes ({len(known) - up - down:,})",
        f"s-value < 0.005, up ({up:,})",
        f"s-value < 0.005, down ({down:,})",
    ]
    assert sum(len(one.get_offsets()) for one in ax.collections) == len(known)
    first = called.sort_values("s_value").index[:5]
    assert {text.get_text() for text in ax.texts} == set(first)
    for offsets in by_label(ax).values():
        assert (np.abs(offsets[:, 0]) <= ax.get_xlim()[1]).all()
    assert ax.get_ylabel() == "-log10 s-value"


def test_volcano_by_hand():
    given = table(
        log2_fold_change=[2.0, -2.0, 0.5, -0.5, 0.0, 1.0, np.nan],
        padj=[0.01, 0.001, 0.04, 0.5, 1.0, np.nan, 0.001],
    )
    ax = volcano_plot(given, level=0.05, lfc_threshold=1.0, label=0)
    found = by_label(ax)
    np.testing.assert_allclose(found["adjusted p-value < 0.05, up (1)"], [[2.0, 2.0]])
    np.testing.assert_allclose(found["adjusted p-value < 0.05, down (1)"], [[-2.0, 3.0]])
    np.testing.assert_allclose(
        found["other genes (3)"], [[0.5, -np.log10(0.04)], [-0.5, -np.log10(0.5)], [0, 0]]
    )
    assert sorted(line.get_xdata()[0] for line in ax.lines[:2]) == [-1.0, 1.0]
    assert ax.lines[2].get_ydata()[0] == pytest.approx(-np.log10(0.05))


def test_probabilities_of_zero_and_effects_beyond_the_axis_are_triangles():
    given = table(log2_fold_change=[1.0, -1.0, 8.0, 0.1], padj=[0.0, 1e-3, 1e-3, 0.9])
    ax = volcano_plot(given, limit=4.0, label=["g0", "g2"])
    triangles = [one for one in ax.collections if one.get_label().startswith("_")]
    beyond = np.concatenate([np.asarray(one.get_offsets()) for one in triangles])
    np.testing.assert_allclose(beyond[beyond[:, 0].argsort()], [[1.0, 3.0], [4.0, 3.0]])
    assert {text.get_text() for text in ax.texts} == {"g0", "g2"}


@pytest.mark.parametrize("measure", ["s_value", "lfsr", "padj", "p_value"])
def test_every_measure_can_be_drawn(shrunken, measure):
    ax = volcano_plot(shrunken, measure=measure, label=0)
    assert sum(len(one.get_offsets()) for one in ax.collections) == shrunken[measure].notna().sum()


def test_intervals_and_names_in_the_ma_plot(shrunken):
    ax = ma_plot(shrunken, intervals=True, label=4, limit=20.0)
    called = shrunken[shrunken["s_value"] < 0.005]
    assert {text.get_text() for text in ax.texts} == set(called.sort_values("s_value").index[:4])
    lines = next(one for one in ax.collections if one.get_label() == "interval")
    ends = np.array([segment[:, 1] for segment in lines.get_segments()])
    np.testing.assert_allclose(ends, called[["lfc_lower", "lfc_upper"]])
    plain = ma_plot(shrunken)
    assert not plain.texts
    assert len(plain.collections) == len(ax.collections) - 1
    named = ma_plot(shrunken, label=["FBgn0000008"], intervals=True)
    assert [text.get_text() for text in named.texts] == ["FBgn0000008"]
    with pytest.raises(InputError, match="no column 'lfc_lower'"):
        ma_plot(shrunken.drop(columns="lfc_lower"), intervals=True)


def test_symbols_are_shown_and_understood(shrunken):
    names = np.where(shrunken.index == "FBgn0039155", "Kal1", "")
    named = shrunken.assign(gene_name=names)
    assert [text.get_text() for text in volcano_plot(named, label=["Kal1"]).texts] == ["Kal1"]
    ax = interval_plot(named, genes=["Kal1", "FBgn0000008"])
    assert [label.get_text() for label in ax.get_yticklabels()] == ["Kal1", "FBgn0000008"]


def test_calls_are_counted_at_every_level(shrunken, mle):
    ax = s_value_plot({"apeglm": shrunken}, limit=0.1)
    x, y = ax.lines[0].get_xydata().T
    for level in (0.001, 0.01, 0.05, 0.1):
        assert y[x <= level].max() == (shrunken["s_value"] <= level).sum()
    (text,) = [text.get_text() for text in ax.get_legend().get_texts()]
    at = [(shrunken["s_value"] <= level).sum() for level in (0.01, 0.05)]
    assert text == f"apeglm: {at[0]:,} at 0.01, {at[1]:,} at 0.05"
    assert (np.diff(y) >= 0).all()
    two = s_value_plot({"shrunken": shrunken, "Wald": mle}, measure="padj")
    assert len(two.get_legend().get_texts()) == 2
    with pytest.raises(InputError, match="no column 's_value'"):
        s_value_plot(mle)
    with pytest.raises(OptionError, match="limit"):
        s_value_plot(shrunken, limit=0.0)


def test_shrinkage_is_drawn_against_maximum_likelihood(shrunken, mle):
    ax = shrinkage_plot(shrunken, mle, label=3, limit=50.0)
    both = pd.DataFrame(
        {"x": mle["log2_fold_change"], "y": shrunken["log2_fold_change"], "se": mle["lfc_se"]}
    )
    both = both.dropna().sort_values("se", kind="stable")
    inside = ax.collections[0]
    np.testing.assert_allclose(np.asarray(inside.get_offsets()), both[["x", "y"]])
    np.testing.assert_allclose(inside.get_array(), both["se"])
    moved = (both["x"] - both["y"]).abs().sort_values(ascending=False).index[:3]
    assert {text.get_text() for text in ax.texts} == set(moved)
    clipped = shrinkage_plot(shrunken, mle, limit=1.0, label=0)
    points = np.concatenate([np.asarray(one.get_offsets()) for one in clipped.collections[:2]])
    assert len(points) == len(both)
    assert np.abs(points).max() == 1.0


def test_a_table_without_p_values_has_no_highlighted_genes(mle):
    bare = mle.drop(columns=["stat", "p_value", "padj"])
    ax = ma_plot(bare, label=[str(bare.index[bare["log2_fold_change"].notna()][0])])
    labels = [text.get_text() for text in ax.get_legend().get_texts()]
    assert labels == [f"genes ({bare['log2_fold_change'].notna().sum():,})"]
    assert len(ax.texts) == 1
    with pytest.raises(InputError, match="padj"):
        ma_plot(bare, label=5)


def test_no_gene_is_called_or_there_is_none(shrunken, mle):
    for ax in (volcano_plot(mle.assign(padj=0.9)), ma_plot(mle.assign(padj=0.9), label=5)):
        ax.figure.draw_without_rendering()
        assert not ax.texts
        assert any("(0)" in text.get_text() for text in ax.get_legend().get_texts())
    nothing = shrunken.assign(log2_fold_change=np.nan, s_value=np.nan, lfc_lower=np.nan, lfc_upper=np.nan)
    for ax in (
        volcano_plot(nothing),
        ma_plot(nothing, intervals=True, label=3),
        s_value_plot(nothing),
        shrinkage_plot(nothing, mle),
        volcano_plot(nothing.iloc[:0]),
        shrinkage_plot(nothing.iloc[:0], mle.iloc[:0]),
    ):
        ax.figure.draw_without_rendering()


def test_what_cannot_be_drawn(shrunken, mle):
    with pytest.raises(OptionError, match="measure must be one of"):
        volcano_plot(shrunken, measure="pvalue")
    with pytest.raises(InputError, match="no column 'lfsr'"):
        volcano_plot(mle, measure="lfsr")
    with pytest.raises(InputError, match="no gene 'nobody'"):
        volcano_plot(mle, label=["nobody"])
    with pytest.raises(InputError, match="no column 'lfc_se'"):
        shrinkage_plot(shrunken, mle.drop(columns="lfc_se"))


def test_given_axes_are_used_and_nothing_is_shown(shrunken, mle, capsys):
    axes = Figure(figsize=(12, 8), layout="constrained").subplots(2, 2)
    assert volcano_plot(mle, ax=axes[0, 0]) is axes[0, 0]
    assert s_value_plot(shrunken, ax=axes[0, 1]) is axes[0, 1]
    assert shrinkage_plot(shrunken, mle, ax=axes[1, 0]) is axes[1, 0]
    assert ma_plot(shrunken, label=3, ax=axes[1, 1]) is axes[1, 1]
    assert plt.get_fignums() == []
    assert capsys.readouterr().out == ""
    before = shrunken.copy()
    volcano_plot(shrunken)
    pd.testing.assert_frame_equal(before, shrunken)
