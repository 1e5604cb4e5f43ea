"""Pictures of single genes and of posteriors: counts by group, expression, diagnostics, dispersions."""

import dataclasses

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest

mpl.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from scipy import integrate

from bayesde import Counts, Design, InputError, OptionError, datasets, fit_eb, fit_posterior, plots
from bayesde.plots.dispersions import posterior_dispersions


@pytest.fixture(scope="module")
def fit():
    return fit_eb(datasets.load_pasilla(), "~ type + condition", references={"condition": "untreated"})


@pytest.fixture(scope="module")
def posterior(fit):
    genes = list(fit.counts.genes[fit.estimated][::300])
    return fit_posterior(fit.counts, fit.design, eb=fit, genes=genes, hyperparameters="eb")


def normalized(fit, gene):
    row = list(fit.counts.genes).index(gene)
    return fit.counts.matrix[row] / fit.normalization_factors[row]


def drawn_counts(ax):
    return np.concatenate([line.get_ydata() for line in ax.lines if line.get_marker() == "o"])


def test_counts_are_drawn_by_group(fit):
    gene = "FBgn0039155"
    ax = plots.gene_counts_plot(fit, gene)
    assert [label.get_text() for label in ax.get_xticklabels()] == ["untreated", "treated"]
    np.testing.assert_allclose(drawn_counts(ax), normalized(fit, gene))
    np.testing.assert_allclose(drawn_counts(ax)[:4], normalized(fit, gene)[:4])
    at = np.concatenate([line.get_xdata() for line in ax.lines])
    assert (np.round(at) == [0, 0, 0, 0, 1, 1, 1]).all()
    assert len(set(at)) == 7, "points of a group are beside each other"
    assert ax.get_title() == gene
    assert ax.get_legend() is None
    by_type = plots.gene_counts_plot(fit, gene, by="type")
    assert [label.get_text() for label in by_type.get_xticklabels()] == ["paired.end", "single.read"]
    own = plots.gene_counts_plot(fit, gene, by=list("aabbaab"))
    np.testing.assert_allclose(own.lines[1].get_ydata(), normalized(fit, gene)[[2, 3, 6]])


def test_counts_below_one_are_on_a_linear_part_of_the_axis(fit):
    row = np.flatnonzero((fit.counts.matrix == 0).any(axis=1) & fit.estimated)[0]
    ax = plots.gene_counts_plot(fit, fit.counts.genes[row])
    assert ax.get_yscale() == "symlog"
    high = plots.gene_counts_plot(fit, "FBgn0039155")
    assert high.get_yscale() == "log"
    for one in (ax, high):
        low, top = one.get_ylim()
        values = drawn_counts(one)
        assert low < values.min()
        assert values.max() < top


def test_predicted_counts_are_beside_those_that_were_seen(posterior):
    gene = posterior.genes[20]
    ax = plots.gene_counts_plot(posterior, gene, ci_prob=0.8, draws=500)
    row = posterior.request.rows[20]
    factors = posterior.eb.normalization_factors[row]
    predicted = posterior.predict([gene], draws=500).to_numpy()[:, 0] / factors
    groups = np.array(posterior.design.groups["condition"])
    for bar, median, level in zip(ax.patches, ax.collections, ("untreated", "treated"), strict=True):
        low, middle, high = np.quantile(predicted[:, groups == level], [0.1, 0.5, 0.9])
        np.testing.assert_allclose([bar.get_y(), bar.get_y() + bar.get_height()], [low, high])
        np.testing.assert_allclose(median.get_segments()[0][:, 1], middle)
    labels = [text.get_text() for text in ax.get_legend().get_texts()]
    assert labels == ["80 % predicted", "median predicted", "count"]


def test_counts_that_were_left_out_are_crosses(posterior):
    gene, sample = posterior.genes[20], posterior.design.samples[2]
    without = posterior.without_outliers(pd.DataFrame({"gene": [gene], "sample": [sample]}))
    ax = plots.gene_counts_plot(without, gene)
    (cross,) = [line for line in ax.lines if line.get_marker() == "X"]
    np.testing.assert_allclose(cross.get_ydata(), normalized(posterior.eb, gene)[[2]])
    assert len(drawn_counts(ax)) == 6
    assert ax.get_legend().get_texts()[-1].get_text() == "count left out"


def test_symbols_name_a_gene(fit):
    symbols = pd.DataFrame(
        {"symbol": np.where(fit.counts.genes == "FBgn0039155", "Kal1", "")}, fit.counts.genes
    )
    counts = Counts(fit.counts.to_frame(), sample_table=fit.counts.sample_table, gene_labels=symbols)
    named = fit_eb(counts, fit.design)
    assert plots.gene_counts_plot(named, "Kal1").get_title() == "Kal1 (FBgn0039155)"


def test_ridges_are_densities_of_the_expression_in_each_group(posterior):
    gene = posterior.genes[25]
    ax = plots.ridge_plot(posterior, gene, ci_prob=0.9)
    assert [label.get_text() for label in ax.get_yticklabels()] == ["untreated", "treated"]
    beta = posterior.draws["beta"].sel(gene=gene).to_numpy().reshape(-1, 3).astype(float)
    share = np.mean(np.array(posterior.design.groups["type"]) == "single.read")
    untreated = (beta[:, 0] + share * beta[:, 1]) / np.log(2.0)
    treated = untreated + beta[:, 2] / np.log(2.0)
    medians = [line.get_xdata()[0] for line in ax.lines if line.get_marker() == "o"]
    np.testing.assert_allclose(medians, [np.median(untreated), np.median(treated)], rtol=1e-6)
    bars = [one for one in ax.collections if hasattr(one, "get_segments") and one.get_segments()]
    for bar, draws in zip(bars, (untreated, treated), strict=True):
        np.testing.assert_allclose(bar.get_segments()[0][:, 0], np.quantile(draws, [0.05, 0.95]), rtol=1e-6)
    curves = [line.get_xydata() for line in ax.lines if len(line.get_xdata()) == 200]
    areas = [
        integrate.trapezoid(curve[:, 1] - base, curve[:, 0])
        for curve, base in zip(curves, (1, 0), strict=True)
    ]
    assert areas[0] == pytest.approx(areas[1], rel=0.02)
    assert max(curve[:, 1].max() - base for curve, base in zip(curves, (1, 0), strict=True)) == pytest.approx(
        1.6
    )
    ticks = np.concatenate([line.get_xdata() for line in ax.lines if line.get_marker() == "|"])
    seen = normalized(posterior.eb, gene)
    np.testing.assert_allclose(np.sort(ticks), np.sort(np.log2(seen[seen > 0])))


def test_ridges_by_own_groups_average_their_samples(posterior):
    gene = posterior.genes[25]
    groups = np.array(list("xxyyxxy"))
    ax = plots.ridge_plot(posterior, gene, by=groups)
    beta = posterior.draws["beta"].sel(gene=gene).to_numpy().reshape(-1, 3).astype(float)
    medians = [line.get_xdata()[0] for line in ax.lines if line.get_marker() == "o"]
    expected = [
        np.median(beta @ posterior.design.matrix[groups == level].mean(axis=0)) / np.log(2.0)
        for level in "xy"
    ]
    np.testing.assert_allclose(medians, expected, rtol=1e-6)


def test_a_bare_design_matrix_has_one_group(fit):
    bare = Design.from_matrix(fit.design.matrix, samples=fit.counts.samples)
    genes = ["FBgn0000017", "FBgn0039155"]
    posterior = fit_posterior(fit.counts, bare, genes=genes, hyperparameters="eb")
    ax = plots.ridge_plot(posterior, "FBgn0039155")
    assert [label.get_text() for label in ax.get_yticklabels()] == [""]
    assert len(drawn_counts(plots.gene_counts_plot(posterior, "FBgn0039155"))) == 7


def test_diagnostics_are_drawn_with_their_limits(posterior):
    axes = plots.diagnostics_plot(posterior)
    table = posterior.diagnostics[posterior.diagnostics["sampled"]]
    mean = pd.Series(posterior.eb.base_mean, posterior.eb.counts.genes)[table.index]
    for ax, name, limit in ((axes[0], "pareto_k", 0.7), (axes[1], "ess", 0.1 * posterior.request.draws)):
        points = np.concatenate([np.asarray(one.get_offsets()) for one in ax.collections])
        expected = np.column_stack([mean, table[name]])
        np.testing.assert_allclose(points[points[:, 0].argsort()], expected[expected[:, 0].argsort()])
        assert ax.lines[0].get_ydata()[0] == pytest.approx(limit)
    bad = (table["pareto_k"] > 0.7).sum()
    assert axes[0].get_title() == f"{bad} of {len(table)} above 0.7"


def test_diagnostics_of_chains_and_genes_that_fail(posterior):
    table = posterior.diagnostics.copy()
    sampled = np.flatnonzero(table["sampled"])
    for name, fine, bad in (("rhat", 1.0, 1.2), ("ess_bulk", 900.0, 20.0), ("ess_tail", 800.0, 30.0)):
        values = np.full(len(table), np.nan)
        values[sampled] = fine
        values[sampled[:3]] = bad
        values[sampled[-1]] = np.nan
        table[name] = values
    table[["pareto_k", "ess"]] = np.nan
    axes = plots.diagnostics_plot(dataclasses.replace(posterior, diagnostics=table))
    assert [ax.get_ylabel() for ax in axes] == ["R-hat", "effective draws, bulk", "effective draws, tail"]
    for ax, words in zip(axes, ("above 1.01", "below 400", "below 400"), strict=True):
        assert ax.get_title() == f"3 of {sampled.size - 1} {words}, 1 unknown"
        assert len(ax.collections[1].get_offsets()) == 3
    nothing = dataclasses.replace(posterior, diagnostics=table.assign(sampled=False))
    with pytest.raises(InputError, match="no gene of this posterior was sampled"):
        plots.diagnostics_plot(nothing)
    with pytest.raises(InputError, match="1 axes were given for 2"):
        plots.diagnostics_plot(posterior, axes=np.array([Figure().add_subplot()]))


def test_posterior_dispersions_are_weighted_quantiles(posterior):
    found = posterior_dispersions(posterior, (0.05, 0.5, 0.95))
    assert (np.diff(found, axis=1) >= 0.0).all()
    draws = posterior.draws["log_dispersion"].to_numpy().reshape(-1, len(posterior.genes))
    weights = posterior.gene_draws.weights()
    for g in range(0, len(found), 7):
        values = posterior.gene_draws.theta[g, :, -1]
        for level, quantile in zip((0.05, 0.5, 0.95), found[g], strict=True):
            below = weights[g][values <= np.log(quantile)].sum()
            assert below == pytest.approx(level, abs=2.0 * weights[g].max())
    spread = draws.std(axis=0)
    assert (np.abs(np.log(found[:, 1]) - np.median(draws, axis=0)) < 0.25 * spread).all()


def test_dispersion_plot_of_a_posterior(posterior):
    ax = plots.dispersion_plot(posterior)
    labels = [text.get_text() for text in ax.get_legend().get_texts()]
    assert labels == ["gene-wise", "posterior, 90 %", "posterior median", "trend", "trend, posterior"]
    points = next(one for one in ax.collections if one.get_label() == "posterior median")
    medians = posterior_dispersions(posterior, (0.5,))[:, 0]
    np.testing.assert_allclose(
        np.asarray(points.get_offsets())[:, 1], np.maximum(medians, ax.get_ylim()[0] / 0.8)
    )
    trend = next(line for line in ax.lines if line.get_label() == "trend, posterior")
    hyper = posterior.hyperparameters
    x, y = trend.get_xydata().T
    np.testing.assert_allclose(y, hyper.asymptotic_dispersion + hyper.extra_poisson / x)


def test_genes_without_a_posterior_and_other_mistakes(fit, posterior):
    zero = fit.counts.genes[fit.all_zero][0]
    with pytest.raises(InputError, match=f"no posterior of '{zero}'"):
        plots.ridge_plot(posterior, zero)
    with pytest.raises(InputError, match=r"no posterior of 'FBgn0000017' \(status not_selected\)"):
        plots.gene_counts_plot(posterior, "FBgn0000017")
    np.testing.assert_array_equal(drawn_counts(plots.gene_counts_plot(fit, zero)), 0.0)
    with pytest.raises(InputError, match="the fit has no gene 'nobody'"):
        plots.gene_counts_plot(fit, "nobody")
    with pytest.raises(InputError, match="one gene is needed"):
        plots.gene_counts_plot(fit, ["FBgn0000017"])
    with pytest.raises(InputError, match="a fit or a posterior is needed; got Counts"):
        plots.gene_counts_plot(fit.counts, "FBgn0000017")
    with pytest.raises(InputError, match="a posterior is needed, from fit_posterior; got EbFit"):
        plots.ridge_plot(fit, "FBgn0000017")
    with pytest.raises(InputError, match="a posterior is needed"):
        plots.diagnostics_plot(fit)
    with pytest.raises(OptionError, match="ci_prob"):
        plots.ridge_plot(posterior, posterior.genes[0], ci_prob=1.0)
    with pytest.raises(InputError, match="no column 'dose'"):
        plots.gene_counts_plot(fit, "FBgn0000017", by="dose")


def test_a_sample_in_each_group_can_be_drawn():
    rng = np.random.default_rng(6)
    matrix = rng.negative_binomial(5, 0.05, (60, 4))
    table = pd.DataFrame({"donor": list("aabb"), "condition": list("xyzz")}, index=list("pqrs"))
    fit = fit_eb(Counts(matrix, sample_table=table), "~ condition")
    ax = plots.gene_counts_plot(fit, "gene1")
    assert [len(line.get_xdata()) for line in ax.lines] == [1, 1, 2]


def test_every_plot_is_listed_and_described():
    for name in plots.__all__:
        function = getattr(plots, name)
        assert name.endswith(("_plot", "_histogram"))
        assert "Returns\n" in function.__doc__
        assert {"ax", "axes", "figure"} & set(function.__kwdefaults__)
    assert plots.__all__ == sorted(plots.__all__)


def test_given_axes_are_used_and_nothing_is_shown(fit, posterior, capsys):
    axes = Figure(figsize=(12, 8), layout="constrained").subplots(2, 3)
    gene = posterior.genes[3]
    assert plots.gene_counts_plot(posterior, gene, ax=axes[0, 0]) is axes[0, 0]
    assert plots.ridge_plot(posterior, gene, ax=axes[0, 1]) is axes[0, 1]
    assert plots.dispersion_plot(posterior, ax=axes[0, 2]) is axes[0, 2]
    assert plots.diagnostics_plot(posterior, axes=axes[1, :2])[1] is axes[1, 1]
    axes[0, 0].figure.draw_without_rendering()
    assert plt.get_fignums() == []
    assert capsys.readouterr().out == ""


def test_ridges_of_a_group_without_counts_end_where_counts_hardly_differ(fit):
    """The posterior of its expression reaches to minus infinity."""
    separated = np.flatnonzero(fit.separated & (fit.counts.matrix[:, 4:].sum(axis=1) == 0))
    gene = fit.counts.genes[separated[fit.base_mean[separated].argmax()]]
    posterior = fit_posterior(fit.counts, fit.design, eb=fit, genes=[gene], hyperparameters="eb")
    ax = plots.ridge_plot(posterior, gene)
    assert posterior.contrast_draws().min() < -12.0
    assert ax.get_xlim()[0] > -12.0
    (below,) = [line for line in ax.lines if line.get_marker() == "<" and line.get_ydata()[0] == 0.0]
    assert below.get_xdata()[0] == -10.0
