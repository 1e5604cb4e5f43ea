"""Stan's engines sample the levels that engine psis integrates out, and keep the draws of the others."""

from __future__ import annotations

import numpy as np
import pytest
from reference.patients import FIXED, counts_of_patients

import bayesde as bde
from bayesde.posterior import engines

pytestmark = pytest.mark.filterwarnings("ignore::bayesde.errors.BayesdeNote")
PATIENTS, GENES = 9, 8
LATE, PATIENT = "time[T.b]", ("patient", "p03", "p07")


@pytest.fixture(scope="module")
def fit():
    return bde.fit_eb(counts_of_patients(PATIENTS, GENES), "~ patient + time")


@pytest.fixture(scope="module")
def by_psis(fit):
    return posterior(fit, draws=4000)


def posterior(fit, **arguments):
    return bde.fit_posterior(fit.counts, fit.design, eb=fit, **({"hyperparameters": FIXED} | arguments))


def assert_near(found, expected, contrast, furthest):
    one, other = found.results(contrast), expected.results(contrast)
    gap = (one["log2_fold_change"] - other["log2_fold_change"]) / other["lfc_se"]
    assert gap.abs().max() < furthest
    np.testing.assert_allclose(one["lfc_se"], other["lfc_se"], rtol=0.25)


def test_nuts_agrees_with_psis(fit, by_psis, cmdstan):
    found = posterior(fit, engine="nuts", draws=500, warmup=400)
    assert found.coding.coefficients == ("Intercept", LATE)
    assert found.gene_draws.theta.shape == (GENES, 2000, 3)
    assert (found.diagnostics["rhat"] < 1.05).all()
    for contrast in (LATE, PATIENT):
        assert_near(found, by_psis, contrast, 0.3)


def test_learnt_hyperparameters_have_the_scale_of_the_levels(fit, cmdstan):
    found = posterior(fit, engine="nuts", hyperparameters=None, draws=200, warmup=300, genes=["g1", "g2"])
    expected = posterior(fit, hyperparameters=None, draws=200)
    assert found.hyperparameters.shrinkage_scale == expected.hyperparameters.shrinkage_scale
    assert found.hyperparameters.sd["shrinkage_scale[patient]"] > 0.0
    assert found.diagnostics.loc[["g1", "g2"], "pareto_k"].notna().all()


def test_levels_that_are_not_shrunken(fit, cmdstan):
    flat = bde.Hyperparameters({LATE: 0.2}, 0.5, 0.05, 2.0)
    well = [gene for gene, mean in zip(fit.counts.genes, fit.base_mean, strict=True) if mean > 50.0][:3]
    one, other = (
        posterior(fit, hyperparameters=flat, genes=well, engine=engine, draws=draws)
        for engine, draws in (("nuts", 500), ("psis", 4000))
    )
    assert_near(one, other, LATE, 0.3)


def test_genes_are_handed_over(fit, by_psis, cmdstan, monkeypatch):
    monkeypatch.setattr(engines, "failed_genes", lambda diagnostics: np.array([0, 3]))
    found = posterior(fit, draws=1000)
    assert found.diagnostics["engine"].tolist() == ["nuts", "psis", "psis", "nuts"] + ["psis"] * (GENES - 4)
    assert found.gene_draws.theta.shape == (GENES, 1000, 3)
    for contrast in (LATE, PATIENT):
        assert_near(found, by_psis, contrast, 0.4)


def test_joint_keeps_the_same_parameters(fit, cmdstan):
    found = posterior(fit, engine="joint", hyperparameters=None, draws=300, warmup=400)
    assert found.coding.coefficients == ("Intercept", LATE)
    assert found.gene_draws.theta.shape[2] == 3
    learnt = posterior(fit, hyperparameters=None, draws=4000)
    scale = "shrinkage_scale[patient]"
    far = learnt.hyperparameters.shrinkage_scale["patient"] / found.hyperparameters.shrinkage_scale["patient"]
    assert abs(np.log(far)) < 0.5
    assert 0.0 < found.hyperparameters.sd[scale] < 0.2
    assert_near(found, learnt, LATE, 0.6)
