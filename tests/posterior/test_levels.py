"""Levels of a factor that are treated alike: the same answer for every coding of the design."""

from __future__ import annotations

import itertools
import warnings

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from reference.groups import posterior_of, simulated
from scipy.special import gammaln
from scipy.stats import cauchy

from bayesde.errors import BayesdeNote, BayesdeWarning, InputError
from bayesde.plots import effect_law_plot, ridge_plot
from bayesde.posterior import Hyperparameters
from bayesde.posterior.summaries.tables import results_table

PAIRS = [("group", two, one) for one, two in itertools.combinations("abc", 2)]
COLUMNS = ["log2_fold_change", "lfc_se", "lfc_lower", "lfc_upper", "lfsr", "s_value", "dispersion"]


@pytest.fixture(scope="module")
def data():
    """Some genes have groups without counts."""
    frame, table, _ = simulated(120, seed=5)
    frame.iloc[0, :4] = 0
    frame.iloc[1, 4:] = 0
    frame.iloc[2, 1:] = 0
    return frame, table


@pytest.fixture(scope="module")
def codings(data):
    ways = [("~ group + batch", {"group": level}) for level in "abc"]
    return [
        posterior_of(*data, *way[:1], references=way[1]) for way in [*ways, ("~ 0 + group + batch", None)]
    ]


def test_every_coding_has_the_same_results(codings):
    first, *others = codings
    for contrast in PAIRS:
        table = first.results(contrast)
        for other in others:
            pd.testing.assert_frame_equal(
                table[COLUMNS], other.results(contrast)[COLUMNS], rtol=1e-6, atol=1e-6
            )
    for other in others:
        np.testing.assert_array_equal(other.diagnostics["pareto_k"], first.diagnostics["pareto_k"])


def test_groups_without_counts_have_reliable_weights(codings):
    diagnostics = codings[0].diagnostics
    assert (diagnostics["pareto_k"] <= 0.7).all()
    table = codings[0].results(("group", "b", "a"))
    assert table["log2_fold_change"].iloc[0] > 4.0
    assert table["log2_fold_change"].iloc[1] < -4.0
    assert (table["lfsr"].iloc[:2] < 0.01).all()


def test_scales_are_named_by_term(codings):
    for posterior in codings:
        hyper = posterior.hyperparameters
        assert list(hyper.shrinkage_scale) == ["group", "batch[T.q]"]
        assert "shrinkage_scale[group]" in hyper.draws
        assert "shrinkage_scale[group]" in posterior.hyperparameter_summary.index


def test_draws_are_of_the_design_s_coefficients(codings):
    by_levels = []
    for posterior in codings:
        assert tuple(posterior.draws["coefficient"].to_numpy()) == posterior.design.coefficients
        beta = posterior.draws["beta"].to_numpy().astype(float)
        effects = beta @ posterior.design.contrast(("group", "c", "b")).vector / np.log(2.0)
        contrast = posterior.contrast_draws(("group", "c", "b")).to_numpy()
        rounding = 1e-6 * (1.0 + np.abs(beta).max(axis=-1))  # draws are kept in single precision
        assert (np.abs(effects - contrast) < rounding).all()
        by_levels.append(contrast)
    for other in by_levels[1:]:
        np.testing.assert_array_equal(other, by_levels[0])


def test_several_contrasts_and_events_agree_with_one(codings):
    for posterior in codings[::3]:
        found = posterior.contrasts(PAIRS)
        for i, contrast in enumerate(PAIRS):
            mean = posterior.results(contrast)["log2_fold_change"].to_numpy()
            np.testing.assert_allclose(found["mean"].to_numpy()[i], mean, rtol=1e-6, atol=1e-8)
        larger = posterior.probability(lambda e: e[..., 0] > 0.0, PAIRS[:1])
        lfsr = posterior.results(PAIRS[0])["lfsr"]
        np.testing.assert_allclose(np.minimum(larger, 1.0 - larger), lfsr, atol=0.02)


def test_predictions_do_not_depend_on_the_coding(codings):
    new = pd.DataFrame({"group": ["c", "a"], "batch": ["q", "p"]}, index=["n1", "n2"])
    first, *others = codings
    for samples in (None, new):
        counts = first.predict(["g5", "g9"], draws=20, samples=samples)
        for other in others:
            np.testing.assert_array_equal(other.predict(["g5", "g9"], draws=20, samples=samples), counts)
    loo = [posterior.loo(refit=False).summary()["elpd"] for posterior in codings[:2]]
    assert loo[0] == pytest.approx(loo[1], rel=1e-9)


def test_hyperparameters_of_one_coding_serve_another(codings, data):
    """From a file, say: a scale by term."""
    hyper = codings[1].hyperparameters
    given = [
        posterior_of(*data, formula, references=references, hyperparameters=hyper).results(PAIRS[2])
        for formula, references in (("~ group + batch", None), ("~ group + batch", {"group": "b"}))
    ]
    pd.testing.assert_frame_equal(given[0][COLUMNS], given[1][COLUMNS], rtol=1e-6, atol=1e-6)
    learnt = codings[0].results(PAIRS[2])
    difference = given[0]["log2_fold_change"] - learnt["log2_fold_change"]
    assert (difference.abs() / learnt["lfc_se"]).iloc[3:].mean() < 0.1


def test_interactions_do_not_depend_on_the_coding():
    frame, table, _ = simulated(80, n_levels=4, seed=3)
    table["one"] = np.where(table["group"].isin(["a", "b"]), "k", "l")
    table["two"] = np.where(table["group"].isin(["a", "c"]), "u", "v")
    ways = [("~ one * two", None), ("~ one * two", {"one": "l", "two": "v"}), ("~ one:two", None)]
    found = []
    for formula, references in [*ways, ("~ 0 + one:two", {"two": "v"})]:
        posterior = posterior_of(frame, table, formula, references=references)
        rows = posterior.design.matrix[::4]  # one of each group
        assert list(posterior.hyperparameters.shrinkage_scale) == ["one", "two", "one:two"]
        for vector in (rows[3] - rows[1], rows[3] - rows[2] - rows[1] + rows[0]):
            found.append(posterior.results(vector)[COLUMNS])
    for i in range(2, len(found)):
        pd.testing.assert_frame_equal(found[i], found[i % 2], rtol=1e-6, atol=1e-6)


def test_two_levels_keep_their_results():
    frame, table, _ = simulated(60, n_levels=2, seed=4)
    one, other = (posterior_of(frame, table, "~ batch + group", coding) for coding in ("treatment", "levels"))
    pd.testing.assert_frame_equal(one.results(), other.results())
    assert one.hyperparameters.shrinkage_scale == other.hyperparameters.shrinkage_scale


def test_comparisons_of_other_levels_are_as_good_as_those_with_the_reference():
    """Treatment coding shrinks b and c towards a; where c and b are equal but a is not, it errs twice.

    It does not under the prior of the coding in which the comparison is a coefficient.
    """
    frame, table, effects = simulated(1500)
    true = (effects[:, 2] - effects[:, 1]) / np.log(2.0)
    contrast = ("group", "c", "b")
    treatment, levels = (posterior_of(frame, table, "~ group", coding) for coding in ("treatment", "levels"))
    tables = {
        "difference": results_table(treatment, contrast),
        "coefficient": treatment.results(contrast),
        "levels": levels.results(contrast),
    }
    error, wrong = {}, {}
    for name, found in tables.items():
        estimate = found["log2_fold_change"].to_numpy()
        called = found["s_value"].to_numpy() < 0.05
        error[name] = np.abs(estimate - true).mean()
        wrong[name] = (np.sign(estimate) * true <= 0.0)[called].mean()
    for name in ("coefficient", "levels"):
        assert error[name] < 0.9 * error["difference"]
        assert wrong[name] < wrong["difference"] - 0.05
    assert error["levels"] < error["coefficient"]


def marginal_prior(one, two, scale):
    """Density of (b - a, c - a) of three levels Cauchy(0, S), the center integrated out, in closed form."""
    u = np.stack([one, two, np.subtract(two, one)]) / (2.0 * scale)
    return 3.0 / (8.0 * np.pi**2 * scale**2) * (1.0 + (u**2).sum(axis=0) / 6.0) / (1.0 + u**2).prod(axis=0)


@pytest.mark.parametrize(("one", "two"), [(0.0, 0.0), (0.4, -0.7), (2.0, 2.1), (-3.0, 1.0)])
def test_the_marginal_prior_is_the_integral_over_the_center(one, two):
    center = np.linspace(-400.0, 400.0, 800_001)
    density = cauchy.pdf(np.array([0.0, one, two])[:, None] - center, scale=0.3).prod(axis=0)
    assert marginal_prior(one, two, 0.3) == pytest.approx(float(density.sum() * 1e-3), rel=1e-6)


def test_a_gene_s_posterior_is_that_of_the_marginal_prior():
    """By quadrature over the center, two differences and the log dispersion, without levels."""
    hyper = Hyperparameters({"group": 0.25}, 0.5, 0.08, 0.0)
    counts = [[30, 42, 25, 38, 44, 70, 52, 66, 35, 28, 41, 50], [5, 3, 9, 6, 2, 4, 0, 3, 11, 21, 9, 17]]
    frame = pd.DataFrame(counts, index=["g0", "g1"]).astype(int)
    frame.columns = [f"s{i}" for i in range(12)]
    table = pd.DataFrame({"group": list("aaaabbbbcccc")}, index=frame.columns)
    rest, _, _ = simulated(60, seed=9)  # for normalization
    frame = pd.concat([frame, rest.add_prefix("other_", axis="index")])
    posterior = posterior_of(frame, table, "~ group", hyperparameters=hyper, draws=20_000)
    for g in range(2):
        factors = posterior.eb.normalization_factors[g]
        mean, sd = by_quadrature(np.array(counts[g]), factors, hyper)
        for i, contrast in enumerate(PAIRS):
            found = posterior.results(contrast).iloc[g]
            assert found["log2_fold_change"] * np.log(2.0) == pytest.approx(mean[i], abs=0.05 * sd[i])
            assert found["lfc_se"] * np.log(2.0) == pytest.approx(sd[i], rel=0.05)


def by_quadrature(y, factors, hyper):
    """Posterior means and sd of the differences b - a, c - a and c - b."""
    ends = np.linspace(-3.0, 3.5, 101)
    one, two = np.meshgrid(ends, ends, indexing="ij")
    shift = np.stack([0.0 * one, one, two])[np.repeat(np.arange(3), 4)]
    weight = np.zeros(one.shape)
    for log_alpha in np.log(0.08) + 0.5 * np.linspace(-4.0, 4.0, 13):
        r = np.exp(-log_alpha)
        center = np.log(y.sum() / (factors[:, None, None] * np.exp(shift)).sum(axis=0))
        for away in np.linspace(-1.6, 1.6, 17):
            mu = factors[:, None, None] * np.exp(center + away + shift)
            count = y[:, None, None]
            log_p = count * np.log(mu / (mu + r)) - r * np.log1p(mu / r)
            constant = gammaln(y + r) - gammaln(r) - gammaln(y + 1.0)
            total = log_p.sum(axis=0) + constant.sum() - 0.5 * ((log_alpha - np.log(0.08)) / 0.5) ** 2
            weight += np.exp(total + 60.0)
    weight *= marginal_prior(one, two, hyper.shrinkage_scale["group"])
    weight /= weight.sum()
    values = [one, two, two - one]
    mean = [float((weight * value).sum()) for value in values]
    return mean, [
        float(np.sqrt((weight * (value - m) ** 2).sum())) for value, m in zip(values, mean, strict=True)
    ]


def test_levels_that_are_exactly_zero(data):
    """The weight of the draws in which both levels are."""
    frame, table = data[0].iloc[3:23], data[1]
    law = {"effect_nu": {"group": 2.0}, "pi0": {"group": 0.6}}
    hyper = Hyperparameters({"group": 0.5}, 0.5, 0.05, 2.0, **law)
    posterior = posterior_of(frame, table, "~ group", hyperparameters=hyper)
    theta, weights = posterior.gene_draws.theta, posterior.gene_draws.weights()
    both = (theta[:, :, 2] == 0.0) & (theta[:, :, 3] == 0.0)
    found = posterior.results(("group", "c", "b"))["p_zero"].to_numpy()
    np.testing.assert_allclose(found, (weights * both).sum(axis=1), atol=1e-6)
    assert found.max() > 0.5
    other = posterior_of(frame, table, "~ group", hyperparameters=hyper, references={"group": "c"})
    np.testing.assert_allclose(other.results(("group", "c", "b"))["p_zero"], found, atol=1e-6)


def test_laws_with_zero_have_reliable_weights(data):
    """Also where no level is zero, and the center is far from all of them."""
    posterior = posterior_of(*data, "~ group", effects="spike_t")
    assert posterior.coding.coefficients == ("Intercept", "group", "group", "group")
    assert (posterior.diagnostics["pareto_k"] <= 0.7).mean() > 0.97
    assert set(posterior.hyperparameters.pi0) == {"group"}


@pytest.mark.parametrize(
    ("effects", "levels", "words"),
    [
        ("mixture", 3, "a mixture is learnt for group"),
        ({"group[T.b]": "student_t"}, 3, r"'group\[T.b\]' of group has a law of its own"),
        ("spike_t", 4, "group has 4 levels, of which at most 3 can be exactly zero"),
        ("cauchy", 9, "group has 9 levels, more than 8"),
    ],
)
def test_what_levels_cannot_have_keeps_treatment_coding_with_a_note(effects, levels, words):
    frame, table, _ = simulated(40, n_levels=levels, replicates=2)
    with pytest.warns(BayesdeNote, match=words):
        posterior = posterior_of(frame, table, "~ group", effects=effects, draws=200)
    assert posterior.coding.coefficients == posterior.design.coefficients
    assert posterior.hyperparameters.shrinkage_scale.keys() == set(posterior.design.coefficients[1:])


def test_only_one_factor_keeps_treatment_coding():
    """And the others depend neither on their reference nor on their coding."""
    frame, table, _ = simulated(60, n_levels=3, replicates=6)
    found = []
    for references in ({"group": "a"}, {"group": "c"}):
        shuffled = table.assign(donor=[f"d{i % 9}" for i in range(18)])
        with pytest.warns(BayesdeNote, match="donor has 9 levels, more than 8; there the priors"):
            posterior = posterior_of(
                frame, shuffled, "~ donor + group", "sampled", references=references, draws=300
            )
        names = list(dict.fromkeys(posterior.coding.coefficients))
        assert names == ["Intercept", *(f"donor[T.d{i}]" for i in range(1, 9)), "group"]
        found.append(posterior.results(("group", "b", "a"))[COLUMNS])
    pd.testing.assert_frame_equal(*found, rtol=1e-6, atol=1e-6)


def test_hyperparameters_say_which_coding_they_are_of(data):
    """A file of coefficients has treatment coding, one of terms that of levels."""
    by_name = Hyperparameters({"group[T.b]": 0.1, "group[T.c]": 0.1, "batch[T.q]": 0.05}, 0.5, 0.05, 2.0)
    by_term = Hyperparameters({"group": 0.05, "batch[T.q]": 0.05}, 0.5, 0.05, 2.0)
    with warnings.catch_warnings():
        warnings.simplefilter("error", BayesdeNote)
        one, other = (
            posterior_of(*data, "~ group + batch", hyperparameters=hyper, draws=200)
            for hyper in (by_name, by_term)
        )
    plain = posterior_of(*data, "~ group + batch", "treatment", hyperparameters=by_name, draws=200)
    pd.testing.assert_frame_equal(one.results(), plain.results())
    assert not one.coding.has_levels
    assert other.coding.has_levels


def test_cell_means_are_not_shrunken_under_treatment_coding(data):
    with pytest.warns(BayesdeWarning, match="no intercept"):
        posterior = posterior_of(*data, "~ 0 + group", "treatment", draws=200)
    assert posterior.hyperparameters.shrinkage_scale == {}
    assert not posterior.coding.has_levels


def test_a_coding_that_is_not_possible_is_said(data):
    frame, table = data
    with pytest.warns(BayesdeNote, match=r"treated alike, because .* whole term"):
        posterior = posterior_of(frame, table, "~ group + batch", shrink=["group[T.b]", "batch"])
    names = "group[T.b]", "batch[T.q]"
    plain = posterior_of(frame, table, "~ group + batch", "treatment", shrink=names)
    named = posterior_of(frame, table, "~ group + batch", shrink=names)
    for other in (plain, named):
        pd.testing.assert_frame_equal(posterior.results(), other.results())
    with pytest.raises(InputError, match="no coefficient or term 'grop'"), pytest.warns(BayesdeNote):
        posterior_of(frame, table, "~ group", shrink=["grop"])


def test_pictures_do_not_depend_on_the_coding(codings):
    """The ridges of a gene's expected counts, and that of a law, for which a term has no estimates."""
    lines = []
    for posterior in codings[:2]:
        ax = ridge_plot(posterior, "g7", by="batch", ax=Figure().add_subplot())
        lines.append(np.concatenate([line.get_xdata() for line in ax.lines]))
    np.testing.assert_allclose(lines[0], lines[1], atol=1e-4)
    with pytest.raises(InputError, match="levels are treated alike"):
        effect_law_plot(codings[0], "group", ax=Figure().add_subplot())
    with pytest.raises(InputError, match="is not shrunken"):
        effect_law_plot(codings[0], "group[T.b]", ax=Figure().add_subplot())
