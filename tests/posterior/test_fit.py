"""The posterior from counts to table, sampled by Stan."""

from __future__ import annotations

import logging
import warnings

import numpy as np
import pandas as pd
import pytest
from reference.monte_carlo import distribution_scores, largest_rms, log_scores, moment_scores
from scipy.stats import nbinom, norm

from bayesde.counts import Counts
from bayesde.eb.fit import fit_eb
from bayesde.eb.options import EbOptions
from bayesde.errors import InputError, OptionError
from bayesde.model.density import ConditionalModel
from bayesde.model.modes import Starts
from bayesde.model.priors import Priors
from bayesde.posterior import Hyperparameters, SamplingOptions, fit_posterior
from bayesde.posterior.draws.diagnostics import effective_sizes
from bayesde.posterior.hyper.learning import learn
from bayesde.posterior.request import Request
from bayesde.posterior.stan.data import SamplerCoordinates
from bayesde.posterior.stan.nuts import sample_genes
from bayesde.posterior.stan.run import ChainSettings
from bayesde.posterior.summaries.one_contrast import LARGEST_EFFECT
from bayesde.results import s_values

CONTRAST = ("condition", "treated", "untreated")


@pytest.fixture(scope="session")
def panel_names(pasilla_fit, panel):
    return list(pasilla_fit.counts.genes[panel])


@pytest.fixture(scope="session")
def by_nuts(pasilla_fit, panel_names, cmdstan):
    return fit_posterior(
        pasilla_fit.counts,
        pasilla_fit.design,
        engine="nuts",
        hyperparameters="eb",
        genes=panel_names,
        eb=pasilla_fit,
        seed=3,
    )


@pytest.fixture(scope="session")
def by_joint(pasilla_fit, panel_names, cmdstan):
    return fit_posterior(
        pasilla_fit.counts, pasilla_fit.design, engine="joint", genes=panel_names, eb=pasilla_fit, workers=2
    )


def test_every_gene_of_the_panel_converges(by_nuts):
    """Those that miss the limits at first are sampled again, for four times as long."""
    sampled = by_nuts.diagnostics[by_nuts.diagnostics["sampled"]]
    assert len(sampled) == 40
    assert (sampled["status"] == "ok").all()
    assert (sampled["rhat"] < 1.01).all()


def test_draws_are_labelled(by_nuts, pasilla_fit, panel_names):
    draws = by_nuts.draws
    assert draws["beta"].dims == ("chain", "draw", "gene", "coefficient")
    assert draws["log_dispersion"].dims == ("chain", "draw", "gene")
    assert draws["beta"].dtype == np.float32
    assert list(draws["gene"].values) == panel_names
    assert tuple(draws["coefficient"].values) == pasilla_fit.design.coefficients


def test_table_of_a_contrast(by_nuts, pasilla_fit, panel_names):
    table = by_nuts.results(CONTRAST, lfc_threshold=0.5)
    assert list(table.index) == list(pasilla_fit.counts.genes)
    known = table.loc[panel_names]
    beta = by_nuts.draws["beta"].sel(coefficient="condition[T.untreated]").values.astype(float)
    effect = -np.clip(beta, -LARGEST_EFFECT, LARGEST_EFFECT) / np.log(2.0)
    np.testing.assert_allclose(known["log2_fold_change"], effect.mean(axis=(0, 1)), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(known["lfc_se"], effect.std(axis=(0, 1), ddof=1), rtol=1e-4)
    shares = np.minimum((effect < 0).mean(axis=(0, 1)), (effect > 0).mean(axis=(0, 1)))
    np.testing.assert_allclose(known["lfsr"], shares, atol=2e-3)
    not_larger = np.minimum((effect < 0.5).mean(axis=(0, 1)), (effect > -0.5).mean(axis=(0, 1)))
    np.testing.assert_allclose(known["s_value"], s_values(not_larger), atol=2e-3)
    np.testing.assert_allclose(
        known["prob_gt_threshold"], (np.abs(effect) > 0.5).mean(axis=(0, 1)), atol=2e-3
    )
    assert (known["lfc_lower"] < known["lfc_upper"]).all()
    assert set(table["status"]) == {"ok", "all_zero", "not_selected"}
    assert table.loc[table["status"] != "ok", "lfsr"].isna().all()
    backwards = by_nuts.results(("condition", "untreated", "treated")).loc[panel_names]
    np.testing.assert_allclose(backwards["log2_fold_change"], -known["log2_fold_change"])


def test_numbers_depend_neither_on_workers_nor_on_what_is_already_there(
    pasilla_fit, panel_names, tmp_path, cmdstan
):
    """Drop one of the finished blocks, leave another half-written; both are made again as they were."""
    genes, seen = panel_names[::5], []

    def run(names, **arguments):
        return fit_posterior(
            pasilla_fit.counts,
            pasilla_fit.design,
            engine="nuts",
            hyperparameters="eb",
            genes=names,
            eb=pasilla_fit,
            directory=tmp_path,
            draws=100,
            options=SamplingOptions(block_size=3, min_ess=1e6),  # so that every gene is also sampled alone
            seed=3,
            **arguments,
        )

    once = run(genes)
    assert (once.diagnostics.loc[genes, "attempts"] > 1).all()
    first, second = sorted(tmp_path.glob("[0-9a-f]*"))[:2]
    (first / "ok").unlink()
    for path in second.iterdir():
        path.unlink()
    again = run(genes[::-1], workers=2, progress=lambda done, total, text: seen.append((done, total)))
    np.testing.assert_array_equal(again.draws["beta"].values, once.draws["beta"].values)
    np.testing.assert_array_equal(again.draws["log_dispersion"].values, once.draws["log_dispersion"].values)
    assert seen[-1] == (3, 3)
    assert len(list(tmp_path.glob("*/ok"))) == 3


def test_draws_follow_a_posterior_that_can_be_summed_up(cmdstan):
    """One gene, one shrunken coefficient: means and sds against a grid over all three parameters."""
    y, groups = np.array([30, 42, 75, 61, 55]), np.array([0.0, 0.0, 1.0, 1.0, 1.0])
    model = ConditionalModel(
        y=np.array([y]),
        log_nf=np.zeros((1, 5)),
        x=np.column_stack([np.ones(5), groups]),
        base_mean=np.array([y.mean()]),
        log_trend=np.log([0.05]),
        shrunken=np.array([False, True]),
        shrinkage_scale=np.array([1.0, 0.2]),
        dispersion_sd=0.6,
        nu=np.inf,
    )
    start = Starts(np.array([[3.6, 0.4]]), np.log([0.05]), np.array([1], dtype=np.uint32))
    expected = grid_moments(model)
    for beta_se in (0.0, 0.2):  # centered, and on the scale of the prior as far as the counts let it go
        genes = SamplerCoordinates.of(model, start, np.full((1, 2), beta_se))
        settings = ChainSettings(4, 500, 2000, 0.9, 10)
        sampled = sample_genes(genes, settings, options=SamplingOptions(), seed=1)
        for k, (mean, sd) in enumerate(expected):
            drawn = sampled.draws.theta[0, :, k].reshape(4, 2000).astype(float)
            assert np.abs(moment_scores(drawn, mean, sd)).max() < 5.0


def grid_moments(model):
    """Posterior mean and sd of intercept, slope and log dispersion by adding up over a grid."""
    axes = np.linspace(2.8, 5.0, 50), np.linspace(-0.8, 1.6, 80), np.linspace(-6.5, 0.5, 40)
    theta = np.stack([axis.ravel() for axis in np.meshgrid(*axes, indexing="ij")], axis=1)
    size = np.exp(-theta[:, 2])
    log_density = -0.5 * (theta[:, 0] / 15.0) ** 2 - np.log1p((theta[:, 1] / 0.2) ** 2)
    log_density += norm.logpdf(theta[:, 2], model.log_trend[0], model.dispersion_sd)
    for count, row in zip(model.y[0], model.x, strict=True):
        mu = np.exp(theta[:, :2] @ row)
        log_density += nbinom.logpmf(count, size, size / (size + mu))
    weights = np.exp(log_density - log_density.max())
    weights /= weights.sum()
    mean = weights @ theta
    return list(zip(mean, np.sqrt(weights @ (theta - mean) ** 2), strict=True))


def test_engines_agree_when_they_share_hyperparameters(by_joint, pasilla_fit, panel_names):
    by_nuts = fit_posterior(
        pasilla_fit.counts,
        pasilla_fit.design,
        engine="nuts",
        genes=panel_names,
        eb=pasilla_fit,
        hyperparameters=by_joint.hyperparameters,
        draws=500,
        workers=2,
        seed=2,
    )
    scores = distribution_scores(by_joint.gene_draws, by_nuts.gene_draws)
    assert np.abs(scores).max() < 5.0  # 800 numbers: by chance once in 2,000
    assert np.sqrt((scores**2).mean()) < largest_rms(40)  # as if all of a gene's were the same


def test_weighted_draws_agree_with_nuts(by_nuts, pasilla_fit, panel_names):
    """All parameters of all genes, under the same hyperparameters, those with the prior's heavy tails too."""
    psis = fit_posterior(
        pasilla_fit.counts,
        pasilla_fit.design,
        engine="psis",
        genes=panel_names,
        eb=pasilla_fit,
        hyperparameters=Hyperparameters.from_eb(pasilla_fit),
        draws=4000,
    )
    fine = (psis.results(CONTRAST).loc[panel_names, "status"] == "ok").to_numpy()
    assert fine.sum() >= 38
    scores = distribution_scores(psis.gene_draws.genes(fine), by_nuts.gene_draws.genes(fine))
    assert np.abs(scores).max() < 5.0  # 800 numbers: by chance once in 2,000
    assert np.sqrt((scores**2).mean()) < largest_rms(fine.sum())  # as if all of a gene's were the same


def test_psis_and_joint_learn_the_same_hyperparameters(by_joint, pasilla_fit, panel):
    """From the same 40 genes, where the posterior is wide."""
    hyper = Hyperparameters.from_eb(pasilla_fit)
    request = Request(pasilla_fit, panel, hyper, True, 2000, 1, 1, 1, 1, SamplingOptions(), Priors())
    rng, space = np.random.default_rng(1), request.space
    learnt = learn(request.model(panel), request.start(panel), space, space.psi_of(hyper), rng).summary(rng)
    for name, draws in by_joint.shared.items():
        scores = log_scores(draws, learnt.draws[name], learnt.checks["effective_points"])
        assert np.abs(scores).max() < 5.0, name  # fifteen numbers


def test_joint_samples_the_hyperparameters(by_joint):
    hyper = by_joint.hyperparameters
    assert hyper.source == "joint"
    assert set(hyper.draws) == set(by_joint.draws["hyperparameter"].values)
    assert {"dispersion_sd", "asymptotic_dispersion", "extra_poisson"} < set(hyper.draws)
    for name, mean in (("dispersion_sd", hyper.dispersion_sd), ("extra_poisson", hyper.extra_poisson)):
        drawn = by_joint.draws["hyperparameters"].sel(hyperparameter=name).values
        assert drawn.mean() == pytest.approx(mean)
        assert drawn.std(ddof=1) == pytest.approx(hyper.sd[name])
        assert effective_sizes(drawn[None])[0] > 400


def test_joint_with_student_residuals_and_a_constant_trend(pasilla_fit, panel_names, cmdstan):
    options = SamplingOptions(residuals="student_t", trend="constant")
    posterior = fit_posterior(
        pasilla_fit.counts,
        pasilla_fit.design,
        engine="joint",
        genes=panel_names[20:32],
        eb=pasilla_fit,
        options=options,
        draws=100,
        warmup=200,
        chains=2,
    )
    hyper = posterior.hyperparameters
    assert (hyper.residuals, hyper.extra_poisson) == ("student_t", 0.0)
    assert hyper.nu > 2
    assert "extra_poisson" not in hyper.draws


def test_arviz_understands_the_draws(by_nuts, panel_names):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import arviz
    found = arviz.rhat(by_nuts.to_arviz(), var_names=["log_dispersion"])
    dataset = found if hasattr(found, "data_vars") else found["posterior"]
    assert dataset["log_dispersion"].sizes["gene"] == len(panel_names)


def test_genes_without_counts_and_what_the_log_says(tiny_fit, caplog, cmdstan):
    with caplog.at_level(logging.INFO, logger="bayesde"):
        posterior = fit_posterior(
            tiny_fit.counts,
            tiny_fit.design,
            engine="nuts",
            hyperparameters="eb",
            eb=tiny_fit,
            draws=100,
            warmup=100,
            chains=2,
            options=SamplingOptions(min_ess=0, max_rhat=2),
        )
    assert posterior.diagnostics.loc["g3", "status"] == "all_zero"
    assert "g3" not in posterior.draws["gene"].values
    assert np.isnan(posterior.results().loc["g3", "log2_fold_change"])
    assert "11 genes by nuts" in caplog.text


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"engine": "vb"}, OptionError, "engine must be one of 'psis', 'nuts', 'joint'"),
        ({"draws": 0}, OptionError, "draws must be a whole number"),
        ({"chains": 1.5}, OptionError, "chains must be a whole number"),
        ({"seed": -1}, OptionError, "seed"),
        ({"workers": 0}, OptionError, "workers"),
        ({"genes": []}, InputError, "empty"),
        ({"genes": ["g1", "g1"]}, InputError, "named twice: 'g1'"),
        ({"genes": ["g1", "other"]}, InputError, "no counts of 'other'"),
        ({"genes": ["g3"]}, InputError, "can be fitted"),
        ({"engine": "joint", "hyperparameters": "given"}, OptionError, "samples them and takes none"),
        ({"hyperparameters": "given"}, InputError, "not in the design"),
    ],
)
def test_what_is_refused(tiny_fit, arguments, error, message):
    if "hyperparameters" in arguments:
        arguments = {**arguments, "hyperparameters": Hyperparameters({"age": 0.2}, 0.7, 0.05, 2.0)}
    with pytest.raises(error, match=message):
        fit_posterior(tiny_fit.counts, tiny_fit.design, eb=tiny_fit, **arguments)


def test_joint_refuses_a_transcriptome(pasilla_fit):
    with pytest.raises(OptionError, match="use engine 'psis' or 'nuts'"):
        fit_posterior(pasilla_fit.counts, pasilla_fit.design, engine="joint", eb=pasilla_fit)


@pytest.mark.parametrize(
    "wrong",
    [
        {"block_size": 0},
        {"adapt_delta": 1.0},
        {"residuals": "t"},
        {"trend": "flat"},
        {"max_rhat": 0.9},
        {"min_ess": -1},
    ],
)
def test_options_check_themselves(wrong):
    with pytest.raises(OptionError, match=next(iter(wrong))):
        SamplingOptions(**wrong)


def test_a_fit_of_another_design_is_refused(tiny_fit):
    with pytest.raises(InputError, match="leave `eb` out"):
        fit_posterior(tiny_fit.counts, "~ 1", eb=tiny_fit)
    turned = Counts(tiny_fit.counts.matrix[::-1], sample_table=tiny_fit.counts.sample_table)
    with pytest.raises(InputError, match="other counts"):
        fit_posterior(turned, tiny_fit.design, eb=tiny_fit)


def test_joint_gives_the_same_numbers_for_any_number_of_threads(tiny_fit, cmdstan):
    def draw(workers):
        posterior = fit_posterior(
            tiny_fit.counts,
            tiny_fit.design,
            engine="joint",
            eb=tiny_fit,
            options=SamplingOptions(trend="constant"),
            draws=50,
            warmup=100,
            chains=1,
            workers=workers,
        )
        return posterior.draws

    one, two = draw(1), draw(2)
    np.testing.assert_array_equal(one["beta"], two["beta"])
    np.testing.assert_array_equal(one["hyperparameters"], two["hyperparameters"])


def test_a_gene_emptied_by_outlier_replacement_is_left_out(cmdstan):
    rng = np.random.default_rng(8)
    table = pd.DataFrame({"group": ["a"] * 8 + ["b"] * 8}, index=[f"s{j}" for j in range(16)])
    matrix = rng.negative_binomial(5, 5 / (5 + rng.uniform(5, 500, (40, 1))), (40, 16))
    matrix[7], matrix[7, 0] = 0, 5000
    counts = Counts(matrix, sample_table=table)
    fit = fit_eb(counts, "~ group", options=EbOptions(trend="mean"))
    assert fit.emptied.tolist() == [i == 7 for i in range(40)]
    posterior = fit_posterior(
        counts,
        fit.design,
        engine="nuts",
        eb=fit,
        genes=list(counts.genes[6:9]),
        draws=200,
        chains=2,
        warmup=150,
    )
    table = posterior.results()
    assert table["status"].iloc[7] == "count_outlier"
    assert table["log2_fold_change"].notna().tolist() == [i in (6, 8) for i in range(40)]
