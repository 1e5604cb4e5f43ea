"""Pictures: what is drawn, on which Axes, and what is refused."""

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest

mpl.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from bayesde import Counts, InputError, datasets, fit_eb, fit_posterior
from bayesde.plots import (
    dispersion_plot,
    interval_plot,
    ma_plot,
    p_value_histogram,
    pit_histogram,
    predicted_counts_plot,
)


@pytest.fixture(scope="module")
def fit():
    return fit_eb(datasets.load_pasilla(), "~ type + condition", references={"condition": "untreated"})


def n_points(ax):
    return sum(len(collection.get_offsets()) for collection in ax.collections)


def test_ma_plot_shows_every_gene_with_counts(fit):
    table = fit.results()
    ax = ma_plot(table)
    assert n_points(ax) == (~fit.all_zero).sum()
    labels = [text.get_text() for text in ax.get_legend().get_texts()]
    assert f"adjusted p-value < 0.1 ({(table['padj'] < 0.1).sum():,})" in labels
    low, high = ax.get_ylim()
    for collection in ax.collections:
        heights = np.asarray(collection.get_offsets())[:, 1]
        assert ((heights > low) & (heights < high)).all()
    assert "s-value < 0.005" in ma_plot(fit.shrink()).get_legend().get_texts()[1].get_text()


def test_tables_without_estimates_give_empty_pictures(fit):
    table = fit.shrink()
    table[["log2_fold_change", "lfc_lower", "lfc_upper", "lfsr", "s_value"]] = np.nan
    for ax in (ma_plot(table), interval_plot(table)):
        ax.figure.canvas.draw()


def test_dispersion_plot_shows_three_kinds(fit):
    ax = dispersion_plot(fit)
    expressed = (~fit.all_zero).sum()
    assert n_points(ax) == 2 * expressed
    assert len(ax.lines[0].get_xdata()) == expressed
    assert ax.get_yscale() == "log"


def test_dispersion_plot_leaves_out_genes_that_outlier_replacement_emptied():
    rng = np.random.default_rng(5)
    mean = np.exp(rng.uniform(3, 8, 200))[:, None]
    shape = 1.0 / (0.05 + 2.0 / mean)
    matrix = rng.poisson(rng.gamma(shape, mean / shape, (200, 16)))
    matrix[8], matrix[8, 0] = 0, 5000
    table = pd.DataFrame({"condition": ["a", "b"] * 8}, index=[f"s{i}" for i in range(16)])
    emptied = fit_eb(Counts(matrix, sample_table=table), "~ condition")
    assert np.isnan(emptied.dispersion[8])
    ax = dispersion_plot(emptied)
    assert n_points(ax) == 2 * 199
    ax.figure.canvas.draw()


def test_interval_plot_orders_and_aligns(fit):
    shrunken, mle = fit.shrink(), fit.results()
    ax = interval_plot(shrunken, mle, shrunken, top=12)
    names = [label.get_text() for label in ax.get_yticklabels()]
    assert len(names) == 12
    assert shrunken.loc[names, "lfsr"].is_monotonic_increasing
    posterior = ax.lines[0]
    np.testing.assert_array_equal(posterior.get_xdata(), shrunken.loc[names, "log2_fold_change"])
    assert posterior.get_ydata()[0] > posterior.get_ydata()[-1], "the first gene is on top"
    likelihood = next(line for line in ax.lines if line.get_label() == "maximum likelihood")
    np.testing.assert_array_equal(likelihood.get_xdata(), mle.loc[names, "log2_fold_change"])
    chosen = ["FBgn0000008", "FBgn0000017"]
    assert [label.get_text() for label in interval_plot(shrunken, genes=chosen).get_yticklabels()] == chosen


def test_given_axes_are_used_and_nothing_is_shown(fit, capsys):
    ax = Figure().add_subplot()
    assert ma_plot(fit.results(), ax=ax) is ax
    assert dispersion_plot(fit, ax=Figure().add_subplot()) is not ax
    assert plt.get_fignums() == []
    assert capsys.readouterr().out == ""


def test_what_cannot_be_drawn(fit):
    table = fit.results()
    with pytest.raises(InputError, match="no column 'base_mean'"):
        ma_plot(table.drop(columns="base_mean"))
    with pytest.raises(InputError, match="no column 'lfc_lower', 'lfc_upper'"):
        interval_plot(table)
    with pytest.raises(InputError, match="no gene 'nobody'"):
        interval_plot(fit.shrink(), genes=["nobody"])


def test_p_value_histogram_counts_every_tested_gene(fit):
    table = fit.results()
    ax = p_value_histogram(table, bins=20)
    adjusted, filtered = (patch.get_data() for patch in ax.patches)
    tested = table[table["p_value"].notna()]
    kept = tested[tested["padj"].notna()]
    assert adjusted.values.sum() == len(kept)
    assert filtered.values.sum() - filtered.baseline.sum() == len(tested) - len(kept)
    assert adjusted.values[0] == (kept["p_value"] < 0.05).sum()
    with pytest.raises(InputError, match="no column 'p_value'"):
        p_value_histogram(table.drop(columns="p_value"))


def test_logarithmic_axes_mark_powers_of_ten_where_there_are_some():
    table = pd.DataFrame(
        {"base_mean": [0.01, 10.0, 1e5], "log2_fold_change": [0.1, 0.2, 0.3], "padj": [0.5, 0.5, 0.01]}
    )
    labels = [label.get_text() for label in ma_plot(table).get_xticklabels()]
    assert {"10⁻²", "10¹", "10⁵"} & set(labels)
    assert all(label.startswith("10") for label in labels if label)
    narrow = ma_plot(table.assign(base_mean=[20.0, 30.0, 40.0]))
    narrow.figure.canvas.draw()
    labels = [label.get_text() for label in narrow.get_xticklabels(minor=True)]
    assert any(labels), "without powers of ten in sight other numbers are marked"


@pytest.fixture(scope="module")
def posterior(fit):
    genes = list(fit.counts.genes[fit.estimated][::400])
    return fit_posterior(fit.counts, fit.design, eb=fit, genes=genes, hyperparameters="eb")


def test_pit_histogram_counts_every_count(posterior):
    loo = posterior.loo(refit=False)
    ax = pit_histogram(loo, bins=10)
    bars = ax.patches[-1].get_data().values
    expected = np.histogram(loo.pit(1).to_numpy(), 10, (0.0, 1.0))[0]
    np.testing.assert_array_equal(bars, expected)
    assert expected.sum() == loo.pointwise["elpd"].size
    labels = [text.get_text() for text in ax.get_legend().get_texts()]
    assert f"counts ({expected.sum():,})" in labels


def test_predicted_counts_plot_shows_counts_and_what_was_left_out(posterior):
    gene = posterior.genes[10]
    own = plt.subplots()[1]
    assert predicted_counts_plot(posterior, gene, ax=own) is own
    normalized = (
        posterior.eb.counts.matrix[posterior.request.rows[10]]
        / posterior.eb.normalization_factors[posterior.request.rows[10]]
    )
    shown = {line.get_label(): line.get_ydata() for line in own.lines}
    np.testing.assert_allclose(shown["count"], normalized)
    bars = np.array([segment[:, 1] for segment in own.collections[0].get_segments()])
    assert ((bars[:, 0] <= shown["median predicted"]) & (shown["median predicted"] <= bars[:, 1])).all()
    narrow = predicted_counts_plot(posterior, gene, ci_prob=0.5)
    inner = np.array([segment[:, 1] for segment in narrow.collections[0].get_segments()])
    assert ((inner[:, 0] >= bars[:, 0]) & (inner[:, 1] <= bars[:, 1])).all()
    sample = posterior.design.samples[2]
    without = posterior.without_outliers(pd.DataFrame({"gene": [gene], "sample": [sample]}))
    ax = predicted_counts_plot(without, gene)
    shown = {line.get_label(): line.get_ydata() for line in ax.lines}
    np.testing.assert_allclose(shown["count left out"], normalized[[2]])
    assert len(shown["count"]) == 6
    with pytest.raises(InputError, match="no posterior of 'nobody'"):
        predicted_counts_plot(posterior, "nobody")
