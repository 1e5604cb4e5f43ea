"""The posterior of usage: against integration on a grid, on simulated events, and the command."""

import json

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from scipy.special import expit, logsumexp

from bayesde import Counts, InputError, UsageCounts, UsageOptions, fit_usage
from bayesde.runs import compiling
from bayesde.usage.likelihood import FeatureCounts
from bayesde.usage.posterior import Priors, _all_draws
from bayesde.usage.scales import learn_scales

X = np.column_stack([np.ones(4), [0, 0, 1, 1]]).astype(float)
SAMPLES = pd.DataFrame({"group": list("aaabbb")}, index=[f"s{j}" for j in range(6)])


def on_a_grid(this, others, priors):
    """Posterior means and sds of the change and of ln alpha, all parameters and sample effects on grids."""
    intercept, change = np.linspace(-9.0, 3.0, 61), np.linspace(-4.8, 4.8, 121)
    log_alpha, effect = np.linspace(-6.0, 1.5, 16), np.linspace(-5.0, 5.0, 51)
    r = np.exp(-log_alpha)[:, None]
    eta = {0: intercept, 1: (intercept[:, None] + change).ravel()}
    log_p = {}
    for j, group in enumerate(X[:, 1].astype(int)):
        b = np.log(others[j] + 0.5) + effect
        z = stats.nbinom.logpmf(others[j], r, r / (r + np.exp(b)))  # (alpha, b)
        ratio = np.exp(eta[group][:, None] + b)[:, None]  # (eta, 1, b)
        y = stats.nbinom.logpmf(this[j], r, r / (r + ratio))
        log_p[group] = log_p.get(group, 0.0) + logsumexp(y + z, axis=-1)  # (eta, alpha)
    total = log_p[0][:, None] + log_p[1].reshape(intercept.size, change.size, -1)
    total += stats.norm.logpdf(intercept, 0.0, 15.0)[:, None, None]
    total += stats.cauchy.logpdf(change, 0.0, priors.scales[0])[:, None]
    total += stats.norm.logpdf(log_alpha, priors.center[0], np.sqrt(priors.variance))
    p = np.exp(total - logsumexp(total))
    found = []
    for values, axes in ((change, (0, 2)), (log_alpha, (0, 1))):
        weight = p.sum(axis=axes)
        mean = weight @ values
        found += [mean, np.sqrt(weight @ (values - mean) ** 2)]
    return found


@pytest.mark.parametrize("this", [(30.0, 40.0, 10.0, 8.0), (3.0, 0.0, 2.0, 5.0), (25.0, 31.0, 28.0, 24.0)])
def test_draws_are_those_of_the_posterior(this):
    this, others = np.array(this), np.array([50.0, 60.0, 40.0, 30.0])
    priors = Priors(
        dispersion=np.array([0.05]),
        center=np.log([0.05]),
        variance=0.5,
        shrunken=np.array([False, True]),
        scales=np.array([0.2]),
    )
    counts = FeatureCounts(this[None], others[None], X)
    draws = _all_draws(counts, priors, np.array([7], dtype=np.uint32), 20_000)
    weights = np.exp(draws.log_weights[0].astype(float))
    assert draws.pareto_k[0] < 0.5
    assert draws.ess[0] > 3000.0
    expected = on_a_grid(this, others, priors)
    for values, mean, sd in zip(draws.theta[0, :, 1:].T, expected[::2], expected[1::2], strict=True):
        found = weights @ values
        assert found == pytest.approx(mean, abs=0.08 * sd)
        assert np.sqrt(weights @ (values - found) ** 2) == pytest.approx(sd, rel=0.08)


def test_scales_maximize_the_marginal_likelihood():
    """Of estimates with known errors, under priors of which one is narrow."""
    rng = np.random.default_rng(1)
    truth = np.column_stack([0.1 * rng.standard_cauchy(800), rng.standard_cauchy(800)])
    estimates = truth + rng.normal(0.0, 0.1, truth.shape)
    draws = estimates[:, None] + 0.1 * rng.standard_t(4, (800, 500, 2))
    weights = stats.norm.logpdf(draws, estimates[:, None], 0.1) - stats.t.logpdf(
        (draws - estimates[:, None]) / 0.1, 4
    )
    found = learn_scales(draws, weights.sum(axis=2), np.array([0.5, 0.5]))
    np.testing.assert_allclose(found, [0.1, 1.0], rtol=0.2)


def events(n=150, seed=1):
    """Cassette exons: an inclusion isoform twice as long; a third of them changes between the groups."""
    rng = np.random.default_rng(seed)
    before = rng.uniform(-1.5, 1.5, n)
    change = np.where(np.arange(n) % 3 == 0, rng.choice([-1.5, 1.5], n), 0.0)
    eta = before[:, None] + np.outer(change, SAMPLES["group"] == "b")
    psi = expit(eta)
    gene = 300.0 * rng.lognormal(0.0, 1.0, (n, 6))
    means = 2.0 * psi * gene, (1.0 - psi) * gene
    inclusion, exclusion = (rng.poisson(rng.gamma(50.0, mean / 50.0)) for mean in means)
    names = [f"g{i}:SE" for i in range(n)]
    frame = {"index": names, "columns": SAMPLES.index}
    lengths = pd.DataFrame({"inclusion": 200.0, "exclusion": 100.0}, index=names)
    counts = Counts(pd.DataFrame(inclusion, **frame), sample_table=SAMPLES)
    usage = UsageCounts.from_junctions(counts, pd.DataFrame(exclusion, **frame), lengths=lengths)
    return usage, expit(before), expit(before + change)


@pytest.fixture(scope="module")
def fitted():
    usage, before, after = events()
    fit = fit_usage(usage, "~ group", options=UsageOptions(trend="mean", draws=500))
    return fit, before, after


def test_percent_spliced_in(fitted):
    fit, before, after = fitted
    table = fit.posterior().results(("group", "b", "a"))
    assert (table["status"] == "ok").all()
    np.testing.assert_allclose(table["psi_reference"], before, atol=0.12)
    np.testing.assert_allclose(table["psi"], after, atol=0.12)
    truth = after - before
    inside = (table["delta_psi_lower"] <= truth) & (truth <= table["delta_psi_upper"])
    assert inside.mean() > 0.88
    np.testing.assert_allclose(table["delta_psi"], table["psi"] - table["psi_reference"], atol=1e-6)
    changed = truth != 0.0
    assert (table["s_value"][changed] < 0.01).mean() > 0.8
    assert table["lfsr"][~changed].median() > 0.2
    opposite = fit.posterior().results(("group", "a", "b"))
    np.testing.assert_allclose(opposite["delta_psi"], -table["delta_psi"], atol=1e-6)
    np.testing.assert_allclose(opposite["log2_fold_change"], -table["log2_fold_change"], atol=1e-6)


def test_draws_depend_on_the_seed_alone(fitted):
    fit, _, _ = fitted
    first, again, other = fit.posterior(), fit.posterior(), fit.posterior(seed=2)
    np.testing.assert_array_equal(first.draws.theta, again.draws.theta)
    assert not np.array_equal(first.draws.theta, other.draws.theta)
    assert "150 of 150 features, 500 draws" in repr(first)


def test_features_of_few_reads_get_no_posterior(fitted):
    fit, _, _ = fitted
    total = fit.counts.counts.matrix.sum(axis=1)
    least = int(np.median(total))
    few = fit_usage(fit.counts, fit.design, options=UsageOptions(trend="mean", draws=100, min_reads=least))
    table = few.posterior().results()
    np.testing.assert_array_equal(table["status"] == "low_mean", total < least)
    assert table["log2_fold_change"][total < least].isna().all()
    with pytest.raises(InputError, match="ci_prob must be between 0 and 1"):
        few.posterior().results(ci_prob=1.0)


def test_several_tested_coefficients(fitted):
    usage = fitted[0].counts
    table = SAMPLES.assign(group=list("aabbcc"))
    counts = Counts(usage.counts.to_frame(), sample_table=table)
    three = UsageCounts(counts, usage.others, usage.genes)
    posterior = fit_usage(three, "~ group", options=UsageOptions(trend="mean", draws=1000)).posterior()
    assert posterior.draws.scales.shape == (2,)
    assert "psi" not in posterior.results()
    assert (posterior.draws.pareto_k < 0.7).mean() > 0.85


def test_the_command_writes_tables(bayesde, fitted, tmp_path):
    usage, out = fitted[0].counts, tmp_path / "out"
    files = [tmp_path / f"{name}.tsv" for name in ("in", "out", "lengths", "samples")]
    usage.counts.to_frame().to_csv(files[0], sep="\t")
    pd.DataFrame(usage.others.astype(int), usage.features, usage.counts.samples).to_csv(files[1], sep="\t")
    lengths = {"inclusion": 200.0, "exclusion": 100.0}
    pd.DataFrame(lengths, index=usage.features).to_csv(files[2], sep="\t")
    SAMPLES.to_csv(files[3], sep="\t", index_label="sample")
    arguments = ["usage", files[0], files[3], "--exclusion", files[1], "--lengths", files[2], "-d", "~ group"]
    arguments += ["--trend", "mean", "-c", "group,b,a", "--posterior", "--draws", "500", "-o", out]
    code, said, _ = bayesde(*arguments)
    assert code == 0
    assert "features with padj < 0.1" in said
    posterior = fitted[0].posterior().results()
    written = pd.read_csv(out / "posterior.tsv", sep="\t", index_col=0)
    np.testing.assert_allclose(written["delta_psi"], posterior["delta_psi"], rtol=1e-12)
    genes = pd.read_csv(out / "genes.tsv", sep="\t", index_col=0)
    assert (genes["q_value"] < 0.1).sum() >= 40
    about = json.loads((out / "results.columns.json").read_text())["columns"]
    assert set(written.columns) | set(genes.columns) <= set(about)
    made = json.loads((out / "usage.json").read_text())
    assert made["contrast"] == "group b vs a"
    assert list(made["shrinkage_scale"]) == ["group[T.b]"]
    code, _, message = bayesde(*arguments)
    assert code == 2
    assert "--force replaces them" in message
    code, _, message = bayesde(*arguments[:-1], tmp_path / "no", "-c", "group,c,a")
    assert code == 2
    assert not (tmp_path / "no").exists()
    code, _, message = bayesde(*arguments[:-1], files[0] / "no")
    assert code == 2
    assert f"'{files[0]}' is a file" in message
    code, *_ = bayesde(*[one for one in arguments if one != "--posterior"], "--force")
    assert code == 0
    assert not (out / "posterior.tsv").exists()  # of the analysis that was replaced


def test_progress_is_reported(fitted):
    told = []
    fitted[0].posterior(draws=100, progress=lambda *what: told.append(what))
    assert told == [
        (0, 2, "learning the scales of the priors"),
        (1, 2, "learning the scales of the priors"),
        (0, 150, "sampling 150 features"),
    ]


@pytest.mark.parametrize("cold", [True, False])
def test_the_command_says_that_loops_are_compiled(bayesde, monkeypatch, tmp_path, cold):
    monkeypatch.setattr(compiling, "is_cold", lambda module: cold and module == "bayesde.usage.likelihood")
    numbers = [[50, 90, 20, 60, 35, 80], [80, 30, 99, 40, 90, 25], [20, 70, 31, 90, 12, 44]]
    counts = pd.DataFrame(numbers, index=["g:1", "g:2", "g:3"], columns=SAMPLES.index)
    counts.to_csv(tmp_path / "bins.tsv", sep="\t")
    SAMPLES.to_csv(tmp_path / "samples.tsv", sep="\t", index_label="sample")
    arguments = ["usage", tmp_path / "bins.tsv", tmp_path / "samples.tsv", "-d", "~ group", "--trend", "mean"]
    code, _, message = bayesde(*arguments, "-o", tmp_path / "out")
    assert code == 0
    assert (compiling.MESSAGES["eb"] in message) is cold
