"""Pictures of samples: what is drawn equals what is computed independently; what is refused."""

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest

mpl.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from scipy import stats
from scipy.cluster import hierarchy
from scipy.spatial import distance

from bayesde import (
    Counts,
    InputError,
    OptionError,
    datasets,
    filter_by_expression,
    fit_eb,
    normalization_check,
    plots,
    sample_distances,
    sample_mds,
    sample_pca,
    vst,
)
from bayesde.plots.style import BLUE, GREY, ORANGE, PALETTE


@pytest.fixture(scope="module")
def counts():
    return datasets.load_pasilla()


@pytest.fixture(scope="module")
def fit(counts):
    return fit_eb(counts, "~ type + condition", references={"condition": "untreated"})


def legend_of(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


def drawn_points(ax):
    """Offsets of all scatters (point, 2)."""
    return np.concatenate([np.asarray(one.get_offsets()) for one in ax.collections])


def test_library_sizes_are_bars_in_the_colours_of_groups(counts):
    ax = plots.library_size_plot(counts, by="condition")
    np.testing.assert_allclose([bar.get_width() for bar in ax.patches], counts.matrix.sum(axis=0) / 1e6)
    expected = [ORANGE if name.startswith("treated") else BLUE for name in counts.samples]
    assert [to_hex(bar.get_facecolor()) for bar in ax.patches] == [colour.lower() for colour in expected]
    assert [label.get_text() for label in ax.get_yticklabels()] == list(counts.samples)
    assert legend_of(ax) == ["condition", "untreated", "treated"]
    assert ax.lines[0].get_xdata()[0] == np.median(counts.matrix.sum(axis=0)) / 1e6
    low, high = ax.get_ylim()
    assert low > high, "the first sample is on top"


def test_many_samples_have_no_names():
    rng = np.random.default_rng(1)
    ax = plots.library_size_plot(Counts(rng.poisson(20, (5, 70))))
    assert len(ax.get_yticks()) == 0
    assert ax.get_ylabel() == "70 samples"
    assert ax.get_legend() is None


def test_densities_are_those_of_scipy_before_and_after_a_filter(counts):
    kept = filter_by_expression(counts, group="condition")
    axes = plots.log_cpm_density_plot(counts, kept, by="condition")
    y = counts.matrix
    total = y.sum(axis=0)
    added = 2.0 * total / total.mean()
    values = np.log2((y + added) / (total + 2.0 * added) * 1e6)
    for ax, rows, title in ((axes[0], slice(None), "14,599"), (axes[1], kept.mask, "7,919")):
        assert title in ax.get_title()
        curves = ax.lines[:7]
        for j, line in enumerate(curves):
            x, density = line.get_xydata().T
            np.testing.assert_allclose(density, stats.gaussian_kde(values[rows, j])(x), rtol=1e-6, atol=1e-9)
        assert ax.lines[7].get_xdata()[0] == pytest.approx(np.log2(10.0 / np.median(total) * 1e6))
    assert plots.log_cpm_density_plot(counts).shape == (1,)
    assert len(plots.log_cpm_density_plot(counts, kept.mask)[1].lines) == 7, "a mask has no limit to draw"
    with pytest.raises(InputError, match="1 axes were given for 2"):
        plots.log_cpm_density_plot(counts, kept, axes=np.array([Figure().add_subplot()]))


def test_components_are_drawn_with_names_colours_and_markers(counts):
    pca = sample_pca(counts)
    ax = plots.pca_plot(pca, by="condition", marker="type")
    points = {tuple(row) for row in drawn_points(ax).round(9)}
    assert points == {tuple(row) for row in pca.coordinates[["PC1", "PC2"]].to_numpy().round(9)}
    assert len(ax.collections) == 4, "one for each colour and marker"
    assert ax.get_xlabel() == "PC1 (57 %)"
    assert ax.get_ylabel() == "PC2 (30 %)"
    assert sorted(text.get_text() for text in ax.texts) == sorted(counts.samples)
    named = {text.get_text(): text.xy for text in ax.texts}
    np.testing.assert_allclose(named["treated1"], pca.coordinates.loc["treated1", ["PC1", "PC2"]])
    assert legend_of(ax) == ["condition", "untreated", "treated", "type", "single.read", "paired.end"]
    other = plots.pca_plot(pca, components=(2, 3), label=False)
    np.testing.assert_allclose(drawn_points(other), pca.coordinates[["PC2", "PC3"]])
    assert not other.texts
    with pytest.raises(InputError, match="there is no 'PC9'"):
        plots.pca_plot(pca, components=(1, 9))


def test_scaling_is_drawn_to_one_scale(counts):
    mds = sample_mds(counts)
    ax = plots.mds_plot(mds, by=list("aabbccc"))
    assert ax.get_aspect() == 1.0
    assert ax.get_xlabel() == "leading log2 fold change, dimension 1 (29 %)"
    points = {tuple(row) for row in drawn_points(ax).round(9)}
    assert points == {tuple(row) for row in mds.coordinates[["dim1", "dim2"]].to_numpy().round(9)}
    assert legend_of(ax) == ["a", "b", "c"]


def test_a_numeric_variable_has_a_scale_of_colours():
    rng = np.random.default_rng(2)
    values = pd.DataFrame(rng.normal(size=(40, 10)), columns=[f"s{j}" for j in range(10)])
    age = np.linspace(20.0, 65.0, 10)
    ax = plots.pca_plot(sample_pca(values), by=pd.Series(age, values.columns, name="age"))
    np.testing.assert_array_equal(ax.collections[0].get_array(), age)
    assert ax.figure.axes[-1].get_ylabel() == "age"
    few = plots.pca_plot(sample_pca(values), by=np.repeat([1.0, 2.0], 5))
    assert legend_of(few) == ["1", "2"]


def test_levels_keep_the_order_of_categories_and_missing_ones_are_grey(counts):
    dose = pd.Series(
        pd.Categorical(["high", "low", None, "low", "mid", "mid", "high"], ["low", "mid", "high"])
    )
    ax = plots.library_size_plot(counts, by=dose.set_axis(counts.samples).rename("dose"))
    assert legend_of(ax) == ["dose", "low", "mid", "high", "(missing)"]
    colours = [to_hex(bar.get_facecolor()).upper() for bar in ax.patches]
    assert colours == [PALETTE[2], PALETTE[0], GREY, PALETTE[0], PALETTE[1], PALETTE[1], PALETTE[2]]


def test_samples_on_a_line_are_drawn(counts):
    two = counts.subset(samples=[0, 4])
    ax = plots.pca_plot(sample_pca(two))
    np.testing.assert_array_equal(drawn_points(ax)[:, 1], 0.0)


def test_distances_are_drawn_in_the_order_of_the_tree(counts):
    found = sample_distances(counts)
    ax = plots.sample_distance_plot(found, by="condition")
    values = vst(counts)
    expected = distance.squareform(distance.pdist(values.T))
    tree = hierarchy.linkage(distance.pdist(values.T), "average", optimal_ordering=True)
    order = hierarchy.leaves_list(tree)
    np.testing.assert_allclose(ax.images[0].get_array(), expected[np.ix_(order, order)], rtol=1e-12)
    assert [label.get_text() for label in ax.get_yticklabels()] == list(counts.samples[order])
    strip, crown = ax.child_axes[:2]
    colours = [to_hex(colour).upper() for colour in strip.images[0].get_array()[0]]
    assert colours == [ORANGE if counts.samples[j].startswith("treated") else BLUE for j in order]
    assert len(crown.lines) == 6
    np.testing.assert_allclose(sorted(line.get_ydata().max() for line in crown.lines), tree[:, 2])
    assert len(ax.texts) == 7 * 6
    assert legend_of(crown) == ["condition", "untreated", "treated"]
    assert not plots.sample_distance_plot(found).child_axes[0].images, "without groups no strip"


def test_heatmap_shows_z_scores_of_the_first_genes(counts, fit):
    table = fit.shrink()
    ax = plots.heatmap_plot(fit, table, top=12, by="condition")
    first = table.sort_values(["s_value"]).index[:12]
    labels = [label.get_text() for label in ax.get_yticklabels()]
    assert sorted(labels) == sorted(first)
    samples = [label.get_text() for label in ax.get_xticklabels()]
    shown = vst(fit).loc[labels, samples]
    expected = shown.sub(shown.mean(axis=1), axis=0).div(shown.std(axis=1), axis=0)
    np.testing.assert_allclose(ax.images[0].get_array(), expected, atol=1e-12)
    rows = hierarchy.linkage(expected.sort_index(), "average")
    left = ax.child_axes[2]
    np.testing.assert_allclose(sorted(line.get_xdata().max() for line in left.lines), rows[:, 2], rtol=1e-9)


def test_heatmap_of_named_or_most_variable_genes(counts, fit):
    values = vst(fit)
    ax = plots.heatmap_plot(values, genes=["FBgn0000008", "FBgn0000017", "FBgn0000018"])
    assert {label.get_text() for label in ax.get_yticklabels()} == {
        "FBgn0000008",
        "FBgn0000017",
        "FBgn0000018",
    }
    ax = plots.heatmap_plot(values, top=5)
    variable = values.var(axis=1).sort_values(ascending=False).index[:5]
    assert {label.get_text() for label in ax.get_yticklabels()} == set(variable)
    one = plots.heatmap_plot(values, genes=["FBgn0000008"])
    one.figure.canvas.draw()
    assert one.images[0].get_array().shape == (1, 7)
    flat = values.iloc[:3].copy()
    flat.iloc[1] = 2.0
    constant = plots.heatmap_plot(flat, genes=flat.index)
    row = [label.get_text() for label in constant.get_yticklabels()].index(flat.index[1])
    np.testing.assert_array_equal(constant.images[0].get_array()[row], 0.0)


def test_heatmaps_that_cannot_be_drawn(counts, fit):
    values = vst(fit)
    with pytest.raises(InputError, match="no gene 'nobody'"):
        plots.heatmap_plot(values, genes=["nobody"])
    with pytest.raises(InputError, match="there is no gene to draw"):
        plots.heatmap_plot(values, fit.shrink().assign(s_value=np.nan))
    with pytest.raises(InputError, match="genes that the values lack"):
        plots.heatmap_plot(values.iloc[:50], fit.shrink())
    with pytest.raises(InputError, match="none of the columns s_value"):
        plots.heatmap_plot(values, pd.DataFrame(index=values.index))
    with pytest.raises(OptionError, match="linkage"):
        plots.heatmap_plot(values, linkage="centroid")
    with pytest.raises(InputError, match="no column 'dose'; its columns are 'condition', 'type'"):
        plots.heatmap_plot(counts, by="dose")


def test_what_cannot_be_drawn_of_samples(counts):
    with pytest.raises(InputError, match="Counts are needed"):
        plots.library_size_plot(counts.matrix)
    with pytest.raises(InputError, match="no column 'treatment'"):
        plots.library_size_plot(counts, by="treatment")
    with pytest.raises(InputError, match="2 groups were given for 7 samples"):
        plots.pca_plot(sample_pca(counts), by=["a", "b"])
    with pytest.raises(InputError, match="groups lack the sample"):
        plots.pca_plot(sample_pca(counts), by=pd.Series({"untreated1": 1}))
    with pytest.raises(InputError, match="it has no columns"):
        plots.pca_plot(sample_pca(vst(counts)), by="condition")


def test_nothing_is_shown_and_given_axes_are_used(counts, capsys):
    pca, mds, distances = sample_pca(counts), sample_mds(counts), sample_distances(counts)
    figure = Figure(layout="constrained", figsize=(16, 12))
    axes = figure.subplots(2, 3)
    assert plots.library_size_plot(counts, ax=axes[0, 0]) is axes[0, 0]
    assert plots.log_cpm_density_plot(counts, axes=axes[0, 1])[0] is axes[0, 1]
    assert plots.pca_plot(pca, ax=axes[0, 2]) is axes[0, 2]
    assert plots.mds_plot(mds, ax=axes[1, 0]) is axes[1, 0]
    assert plots.sample_distance_plot(distances, ax=axes[1, 1]) is axes[1, 1]
    assert plots.heatmap_plot(counts, ax=axes[1, 2]) is axes[1, 2]
    figure.draw_without_rendering()
    assert plt.get_fignums() == []
    assert capsys.readouterr().out == ""


def test_panels_of_subfigures_are_drawn(counts, fit):
    left, right = Figure(figsize=(12, 5), layout="constrained").subfigures(1, 2)
    table = fit.shrink()
    heatmap = plots.heatmap_plot(fit, table, top=5, ax=left.subplots())
    ax = plots.volcano_plot(table, label=3, ax=right.subplots())
    assert heatmap.figure is left
    assert len(ax.texts) == 3
    left.figure.draw_without_rendering()


def test_the_check_of_the_normalization_is_drawn(counts):
    check = normalization_check(counts, "condition")
    sizes, abundant, ratios = plots.normalization_plot(check)
    totals = np.log2(check.size_factors["total"] / check.size_factors["ratio"])
    np.testing.assert_allclose(sizes.lines[1].get_xdata(), totals)
    assert [text.get_text() for text in sizes.get_legend().get_texts()] == ["total counts", "positive counts"]
    assert [text.get_text() for text in abundant.texts] == ["none"]
    assert ratios.lines[1].get_xdata()[0] == check.comparison.median
    assert "85% within 1.4-fold" in ratios.get_title()
    with pytest.raises(InputError, match="1 axes were given for 3 panels"):
        plots.normalization_plot(check, axes=np.array([plt.subplots()[1]]))


def test_abundant_genes_and_correlations_of_factors_are_drawn(counts):
    matrix = counts.matrix.copy()
    matrix[0] = matrix.sum(axis=0)
    factors = np.random.default_rng(1).lognormal(0.0, 0.2, matrix.shape)
    check = normalization_check(Counts(matrix, genes=counts.genes), factors=factors)
    axes = plots.normalization_plot(check)
    np.testing.assert_allclose([bar.get_width() for bar in axes[1].patches], matrix[0] / matrix.sum(axis=0))
    assert sum(bar.get_height() for bar in axes[3].patches) == check.factors.correlations.size
