"""Pictures of the hyperparameters: densities against SciPy's, chains and their ranks, and what is refused."""

from __future__ import annotations

import dataclasses
import io

import matplotlib as mpl
import numpy as np
import pytest
from scipy import integrate, stats

mpl.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from bayesde import InputError, fit_eb, fit_posterior
from bayesde.model.effect_laws import EffectMixture
from bayesde.plots import effect_law_plot, hyperparameter_plot, hyperparameter_trace_plot
from bayesde.posterior import Hyperparameters, SamplingOptions
from bayesde.simulation import simulate

OPTIONS = SamplingOptions(coding="treatment", hand_over=False, residuals="student_t", scales="term")
EFFECT = "condition[T.group3]"
LABELS = [
    "S of condition",
    "σ: spread of dispersions",
    "a0 of the trend",
    "a1 of the trend",
    "ν of the residuals",
]


@pytest.fixture(scope="module")
def posterior():
    """Of two effects with one scale."""
    fit = fit_eb(simulate(120, groups=(3, 3, 3), seed=2).counts, "~ condition")
    return fit_posterior(fit.counts, fit.design, eb=fit, draws=300, options=OPTIONS)


@pytest.fixture(scope="module")
def chains(posterior):
    """The same with two chains of hyperparameters, of which one is always below the other."""
    rng = np.random.default_rng(3)
    shared = {name: np.exp(rng.normal(1.0, 0.3, (2, 200))) for name in posterior.hyperparameters.draws}
    first, second = [name for name in shared if name.startswith("shrinkage_scale")]
    shared[first] = shared[second] = np.sort(shared[first].ravel()).reshape(2, 200)[:, ::-1]
    shared["nu"] += 2.0
    statistics = {"energy": rng.normal(size=(2, 200)).cumsum(axis=1)}
    return dataclasses.replace(posterior, engine="joint", shared=shared, statistics=statistics)


def lines_of(ax):
    return {line.get_label(): line.get_xydata().T for line in ax.lines}


def test_every_hyperparameter_has_a_panel_and_a_shared_scale_one(posterior):
    axes = hyperparameter_plot(posterior)
    assert [ax.get_title() for ax in axes] == LABELS
    for ax, name in zip(axes, posterior.request.space.names, strict=True):
        draws = posterior.hyperparameters.draws[name]
        low, high = ax.get_xlim()
        assert np.mean((draws > low) & (draws < high)) >= 0.99
        assert ax.get_xlabel().startswith(f"mean {draws.mean():.3g}, 90 % {np.quantile(draws, 0.05):.3g} to ")


def test_densities_are_those_of_the_logarithms(posterior):
    axes = hyperparameter_plot(posterior)
    for ax, name in zip(axes, posterior.request.space.names, strict=True):
        draws = posterior.hyperparameters.draws[name]
        x, density = ax.lines[0].get_xydata().T
        share = integrate.trapezoid(density, np.log(x))
        assert share == pytest.approx(1.0, abs=0.02)
        middle = np.quantile(draws, [0.25, 0.75])
        inside = (x > middle[0]) & (x < middle[1])
        assert integrate.trapezoid(density[inside], np.log(x[inside])) == pytest.approx(0.5, abs=0.07)


def test_priors_are_drawn_at_their_own_height(posterior):
    priors = posterior.request.priors
    for ax, name in zip(hyperparameter_plot(posterior), posterior.request.space.names, strict=True):
        x, height = lines_of(ax)["prior"]
        if name == "nu":
            law = stats.gamma(priors.nu.shape, scale=1.0 / priors.nu.rate)
            step = 1e-5  # of the logarithm, in the distribution function of what is left above 2
            expected = (law.cdf(x * np.exp(step)) - law.cdf(x * np.exp(-step))) / (2.0 * step * law.sf(2.0))
        else:
            prior = getattr(priors, name.partition("[")[0])
            expected = stats.norm.pdf(np.log(x), prior.log_median, prior.log_sd)
        np.testing.assert_allclose(height, expected, rtol=1e-4)
    axes = hyperparameter_plot(posterior)
    assert "prior: 90 % 0.017 to 2.4" in axes[0].get_xlabel()
    nu = stats.gamma(2.0, scale=10.0)
    ends = nu.isf(nu.sf(2.0) * np.array([0.95, 0.05]))
    assert f"prior: 90 % {ends[0]:.2g} to {ends[1]:.2g}" in axes[-1].get_xlabel()


def test_laws_with_an_atom_have_panels_of_their_numbers(posterior):
    """The prior of the probability of zero is drawn as a density of its logarithm."""
    spike = posterior.with_effects("spike_t")
    axes = hyperparameter_plot(spike)
    assert len(axes) == len(LABELS) + 2
    names = spike.request.space_of(spike.hyperparameters).names
    by_name = dict(zip(names, axes, strict=True))
    priors, step = spike.request.priors, 1e-5
    x, height = lines_of(by_name["effect_nu[condition[T.group2]]"])["prior"]
    nu = priors.effect_nu
    np.testing.assert_allclose(height, stats.norm.pdf(np.log(x), nu.log_median, nu.log_sd), rtol=1e-6)
    panel = by_name["pi0[condition[T.group2]]"]
    x, height = lines_of(panel)["prior"]
    law = stats.beta(priors.pi0.a, priors.pi0.b)
    expected = (law.cdf(x * np.exp(step)) - law.cdf(x * np.exp(-step))) / (2.0 * step)
    np.testing.assert_allclose(height[np.abs(x - 1.0) > 0.001], expected[np.abs(x - 1.0) > 0.001], rtol=1e-4)
    assert "prior: 90 % 0.05 to 0.95" in panel.get_xlabel()


def test_given_draws_have_no_prior_and_fixed_values_no_picture(posterior):
    hyper = Hyperparameters({"condition[T.b]": 0.2}, 0.7, 0.05, 2.0)
    fixed = dataclasses.replace(posterior, hyperparameters=hyper)
    with pytest.raises(InputError, match="were fixed"):
        hyperparameter_plot(fixed)
    draws = {"dispersion_sd": np.array([0.6, 0.8, 0.9]), "asymptotic_dispersion": np.full(3, 0.05)}
    draws["extra_poisson"] = np.zeros(3)
    given = dataclasses.replace(
        posterior,
        hyperparameters=dataclasses.replace(hyper, draws=draws),
        request=dataclasses.replace(posterior.request, learning=False),
    )
    axes = hyperparameter_plot(given)
    assert [ax.get_title() for ax in axes] == LABELS[1:3], "a trend without a1 has none to be drawn"
    assert all("prior" not in lines_of(ax) for ax in axes)
    assert set(axes[1].lines[0].get_xdata()) == {0.05}, "draws that are all the same are a line"


def test_chains_are_drawn_with_their_ranks(chains):
    axes = hyperparameter_trace_plot(chains)
    names = [*chains.request.space.names, "energy"]
    assert axes.shape == (len(names), 3)
    known = chains.shared | chains.statistics
    for (trace, ranks, _), name in zip(axes, names, strict=True):
        for line, draws in zip(trace.lines, known[name], strict=True):
            np.testing.assert_array_equal(line.get_ydata(), draws)
        heights = [patch.get_data() for patch in ranks.patches]
        counts = np.array([data.values - data.baseline for data in heights]) * 200 / 20
        np.testing.assert_allclose(counts.sum(axis=1), 200)
        np.testing.assert_allclose(counts.sum(axis=0), 400 / 20)
    lower, upper = (patch.get_data() for patch in axes[0, 1].patches)
    np.testing.assert_allclose(lower.values[:10] - lower.baseline, 2.0)
    np.testing.assert_allclose(upper.values[:10] - upper.baseline, 0.0)


def test_the_picture_of_chains_says_how_good_they_are(chains):
    axes = hyperparameter_trace_plot(chains)
    table = chains.hyperparameter_summary
    for ax, name in zip(axes[:-1, 0], chains.request.space.names, strict=True):
        row = table.loc[name]
        assert ax.get_title().startswith(f"R-hat {row['rhat']:.3f}, ESS {row['ess_bulk']:,.0f} (bulk)")
    energy = axes[-1, 2]
    assert energy.get_title() in chains.checked
    widths = {label: x[y > y.max() / 2.0] for label, (x, y) in lines_of(energy).items()}
    assert np.ptp(widths["energy - mean"]) > 2.0 * np.ptp(widths["its steps"]), "a random walk"


def test_of_many_hyperparameters_the_slowest_are_drawn(chains, monkeypatch):
    """A random walk among draws that are independent is the one that is kept."""
    monkeypatch.setattr("bayesde.plots.hyperparameters.MOST_TRACES", 1)
    rng, slow = np.random.default_rng(3), "dispersion_sd"
    noise = {name: 0.1 * rng.standard_normal((2, 200)) for name in chains.shared}
    noise[slow] = noise[slow].cumsum(axis=1)
    shared = {name: 3.0 + np.exp(values) for name, values in noise.items()}
    axes = hyperparameter_trace_plot(dataclasses.replace(chains, shared=shared))
    assert axes.shape == (2, 3)
    np.testing.assert_array_equal(axes[0, 0].lines[0].get_ydata(), shared[slow][0])


def test_what_has_no_chains_is_refused(posterior, chains):
    with pytest.raises(InputError, match="only engine 'joint' samples"):
        hyperparameter_trace_plot(posterior)
    with pytest.raises(InputError, match="only engine 'joint' samples"):
        hyperparameter_trace_plot(dataclasses.replace(chains, statistics={}))


def test_pictures_are_the_same_each_time_and_nothing_is_shown(posterior, chains, capsys):
    for draw, made in ((hyperparameter_plot, posterior), (hyperparameter_trace_plot, chains)):
        pictures = []
        for _ in range(2):
            figure, stream = Figure(), io.BytesIO()
            assert all(ax.figure is figure for ax in draw(made, figure=figure).flat)
            figure.savefig(stream, format="png")
            pictures.append(stream.getvalue())
        assert pictures[0] == pictures[1]
    assert plt.get_fignums() == []
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    "parts",
    [
        {},
        {"effect_nu": {EFFECT: 4.0}},
        {"effect_nu": {EFFECT: 4.0}, "pi0": {EFFECT: 0.3}},
        {"mixtures": {EFFECT: EffectMixture([0.4, 0.5, 0.1], [0.0, 0.2, 0.5])}},
    ],
    ids=["cauchy", "student_t", "spike_t", "mixture"],
)
def test_law_of_effects_has_its_density_and_its_zeros(posterior, parts):
    hyper = Hyperparameters({EFFECT: 0.2}, 0.5, 0.05, 2.0, **parts)
    ax = effect_law_plot(dataclasses.replace(posterior, hyperparameters=hyper), EFFECT)
    x, density = lines_of(ax)[f"law: {hyper.family(EFFECT)}"]
    natural, null = x * np.log(2.0), {"spike_t": 0.3, "mixture": 0.4}.get(hyper.family(EFFECT), 0.0)
    if parts.get("mixtures"):
        expected = 0.5 * stats.norm.pdf(natural, scale=0.2) + 0.1 * stats.norm.pdf(natural, scale=0.5)
    else:
        expected = (1.0 - null) * stats.t.pdf(natural, 4.0 if parts else 1.0, scale=0.2)
    np.testing.assert_allclose(density, expected * np.log(2.0), rtol=1e-6)
    areas = [patch.get_width() * patch.get_height() for patch in ax.patches if hasattr(patch, "get_height")]
    np.testing.assert_allclose(areas, [null] if null else [])
    histogram = next(patch for patch in ax.patches if not hasattr(patch, "get_height")).get_data()
    shown = float((histogram.values * np.diff(histogram.edges)).sum())
    assert 0.97 < shown <= 1.0 + 1e-9
    plt.close(ax.figure)


def test_law_of_an_effect_that_is_not_shrunken_is_refused(posterior):
    with pytest.raises(InputError, match=r"Intercept is not shrunken.*condition"):
        effect_law_plot(posterior, "Intercept")
