"""Point estimates of designs with random effects: modes, tables, contrasts, and what is refused."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pandas as pd
import pytest

import bayesde as bde
from bayesde import BayesdeNote, BayesdeWarning, InputError, OptionError, RandomEffectsFit
from bayesde.counts import storage
from bayesde.model.density import log_density, one_gene
from bayesde.posterior.point_estimates.estimates import with_wide_priors
from bayesde.posterior.point_estimates.fit import point_estimates
from benchmarks.donors.experiments import Experiment, simulated
from benchmarks.donors.several_terms import SEVERAL, simulated_terms

FORMULA = "~ condition + (1 | donor)"
GENES = 60


def fitted(counts, design=FORMULA, **arguments):
    with warnings.catch_warnings(action="ignore", category=BayesdeWarning):
        return bde.fit_eb(counts, design, **arguments)


@pytest.fixture(scope="module")
def experiment():
    counts, truth = simulated(Experiment(8, 2, between=True, genes=GENES), 5)
    frame = counts.to_frame()
    frame.iloc[7] = 0
    return bde.Counts(frame, sample_table=counts.sample_table), truth


@pytest.fixture(scope="module")
def fit(experiment):
    return fitted(experiment[0])


def test_modes_are_the_highest_points_near_them(fit):
    assert fit.converged[fit.estimated].all()
    for genes, model in fit.blocks():
        model = with_wide_priors(model)
        for i in range(0, genes.size, 10):
            own = one_gene(model.data, model.prior, i)
            top = fit.location[genes[i]]
            at = log_density(top, *own)
            for k in range(top.size):
                for step in (-0.1, 0.1):
                    moved = top.copy()
                    moved[k] += step * fit.location_se[genes[i], k]
                    # a tenth of a standard error, of which the other parameters take up a part
                    assert log_density(moved, *own) < at - 0.004


def test_law_and_estimates_are_near_the_truth(fit, experiment):
    hyper, truth = fit.hyperparameters, experiment[1]
    assert hyper.source == "eb"
    assert abs(math.log(hyper.random_effect_sd["donor"] / 0.3)) < 0.5
    known = fit.estimated
    z = ((fit.beta[:, 1] - truth.effect) / fit.beta_se[:, 1])[known]
    assert (np.abs(z) < 4.0).all()
    sd = pd.Series(np.log(fit.random_effect_sd["donor"][known]))
    assert sd.corr(pd.Series(np.log(truth.sd[known])), method="spearman") > 0.5


def test_estimates_are_near_the_posterior_without_shrinkage(fit, experiment):
    with warnings.catch_warnings(action="ignore", category=BayesdeWarning):
        options = bde.SamplingOptions(shrink=())
        table = bde.fit_posterior(
            experiment[0], FORMULA, eb=fit, options=options, seed=1, draws=500
        ).results()
    own = fit.results()
    assert ((own["log2_fold_change"] - table["log2_fold_change"]).abs() / table["lfc_se"]).median() < 0.1
    # curvature at the mode leaves out that tau is uncertain
    assert 0.7 < (own["lfc_se"] / table["lfc_se"]).median() < 1.0
    assert 0.7 < (own["donor_sd"] / table["donor_sd"]).median() < 1.05


def test_table(fit):
    table = fit.results(coef="condition[T.b]")
    assert list(table) == "base_mean log2_fold_change lfc_se dispersion donor_sd engine status".split()
    assert table["status"].tolist() == ["ok"] * 7 + ["all_zero"] + ["ok"] * (GENES - 8)
    assert table.iloc[7, 1:5].isna().all()
    np.testing.assert_allclose(table["lfc_se"] * math.log(2.0), fit.beta_se[:, 1])
    np.testing.assert_allclose(table["donor_sd"] * math.log(2.0), fit.random_effect_sd["donor"])
    assert bde.ranking(table.dropna()).abs().gt(0.0).all()


def test_contrasts(fit):
    plain = fit.results(coef="condition[T.b]")
    turned = fit.results(contrast=("condition", "a", "b"))
    np.testing.assert_allclose(turned["log2_fold_change"], -plain["log2_fold_change"])
    np.testing.assert_allclose(turned["lfc_se"], plain["lfc_se"])
    with pytest.raises(InputError, match="both a contrast and a coefficient"):
        fit.results(contrast=("condition", "a", "b"), coef="condition[T.b]")


def test_standard_errors_of_contrasts_have_covariances(fit, experiment):
    table = experiment[0].sample_table.assign(condition=list("aabbccaabbccaabb"))
    three = fitted(bde.Counts(experiment[0].to_frame(), sample_table=table))
    difference = three.results(contrast=("condition", "c", "b"))
    again = fitted(three.counts, references={"condition": "b"}).results(coef="condition[T.c]")
    np.testing.assert_allclose(difference["log2_fold_change"], again["log2_fold_change"], atol=0.05)
    np.testing.assert_allclose(difference["lfc_se"], again["lfc_se"], rtol=0.05)


def test_shrunken_effects(fit, experiment):
    plain, shrunken = fit.results(), fit.shrink()
    assert list(plain) == list(shrunken)
    known = plain["status"] == "ok"
    size = [table.loc[known, "log2_fold_change"].abs() for table in (plain, shrunken)]
    assert (size[1] <= size[0] + 0.05).all()
    assert set(fit.shrinkage_scales()) == {"condition[T.b]"}
    effect = experiment[1].effect / math.log(2.0)
    error = [(table["log2_fold_change"] - effect).abs().mean() for table in (plain, shrunken)]
    assert error[1] < error[0]


def test_that_there_are_no_p_values_is_said(experiment):
    with warnings.catch_warnings(record=True, action="always") as caught:
        fit = bde.fit_eb(experiment[0], FORMULA, options=bde.EbOptions(use_t=True))
    told = [str(one.message) for one in caught if one.category is BayesdeNote]
    assert [words in text for words, text in zip(("'use_t'", "have no p-values"), told, strict=True)] == [
        True
    ] * 2
    assert isinstance(fit, RandomEffectsFit)
    assert "no p-values" in fit._repr_html_()
    assert "59 estimated" in repr(fit)


def test_blocks_do_not_change_a_number(fit, experiment, monkeypatch):
    monkeypatch.setattr(storage, "CHUNK_CELLS", 20 * experiment[0].n_samples)
    assert len(list(fit.blocks())) == 3
    pd.testing.assert_frame_equal(fitted(experiment[0]).results(), fit.results())


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        (lambda fit: fit.test_lrt("~ 1"), "a likelihood-ratio test has no meaning"),
        (lambda fit: fit.results(lfc_threshold=1.0), "a threshold or an alternative"),
        (lambda fit: fit.results(alternative="less"), "a threshold or an alternative"),
        (lambda fit: fit.shrink(lfc_threshold=1.0), "a threshold of s-values"),
        (lambda fit: fit.shrink(method="ashr"), "Cauchy priors whose scales are learnt"),
        (lambda fit: fit.shrink(coef="Intercept"), "is a level of expression"),
        (lambda fit: fit.cooks_distances(), "no Cook's distances"),
        (lambda fit: bde.vst(fit), "a fit without random effects"),
        (lambda fit: bde.fit_eb(fit.counts, FORMULA, weights=np.ones((GENES, 16))), "observation weights"),
        (lambda fit: bde.fit_eb(fit.counts, FORMULA, trend=fit.fixed.trend), "learn the dispersion trend"),
    ],
)
def test_what_is_refused(fit, asked, words):
    with pytest.raises((InputError, OptionError), match=words):
        asked(fit)


def test_without_an_intercept_nothing_is_shrunken(experiment):
    fit = fitted(experiment[0], "~ 0 + condition + (1 | donor)")
    plain = fitted(experiment[0]).results()
    levels = fit.results(contrast=("condition", "b", "a"))
    np.testing.assert_allclose(levels["log2_fold_change"], plain["log2_fold_change"], atol=0.05)
    with pytest.raises(InputError, match="has no intercept"):
        fit.shrink(contrast=("condition", "b", "a"))


@pytest.mark.parametrize("name", ["nested", "crossed", "slopes"])
def test_several_random_effects(name):
    counts, _ = simulated_terms(SEVERAL[name], 40, 3)
    fit = fitted(counts, SEVERAL[name].formula)
    table = fit.results()
    names = [one for grouping in fit.design.groupings for one in grouping.sd_names]
    assert len(names) == 2
    assert (table.loc[table["status"] == "ok", [f"{one}_sd" for one in names]] > 0.0).all(axis=None)
    assert (table["status"] == "ok").mean() > 0.9


def test_progress_counts_genes(fit, experiment, monkeypatch):
    monkeypatch.setattr(storage, "CHUNK_CELLS", 20 * experiment[0].n_samples)
    told = []
    with warnings.catch_warnings(action="ignore", category=BayesdeWarning):
        point_estimates(experiment[0], fit.design, progress=lambda *one: told.append(one))
    texts = list(dict.fromkeys(text for _, _, text in told))
    assert texts == [
        "estimating dispersions of 59 genes",
        "fitting 59 genes",
        "learning the hyperparameters from 59 genes",
        "fitting 59 genes with random effects",
    ]
    for text in (texts[0], texts[1], texts[3]):
        assert [(done, total) for done, total, one in told if one == text] == [
            (0, 59),
            (20, 59),
            (40, 59),
            (59, 59),
        ]


def test_plot_of_standard_deviations(fit):
    ax = bde.plots.random_effect_sd_plot(fit)
    points = ax.collections[0].get_offsets()[fit.estimated]
    np.testing.assert_allclose(points[:, 1], fit.results()["donor_sd"].dropna())
    assert bde.plots.gene_counts_plot(fit, "g3").get_ylabel() == "normalized count"
    with pytest.raises(InputError, match="has no gene-wise dispersions"):
        bde.plots.dispersion_plot(fit)
    with pytest.raises(InputError, match="there are none called 'litter'"):
        bde.plots.random_effect_sd_plot(fit, "litter")
