"""Models compared by leave-one-out: the arithmetic against ArviZ's, and what is refused."""

from __future__ import annotations

import arviz
import numpy as np
import pandas as pd
import pytest

from bayesde.counts import Counts
from bayesde.eb.fit import fit_eb
from bayesde.errors import InputError
from bayesde.posterior import Hyperparameters, LeaveOneOut, compare_posteriors, fit_posterior


@pytest.fixture(scope="module")
def experiment():
    """Genes whose dispersion falls steeply with their mean, with three samples a group."""
    rng = np.random.default_rng(31)
    mean = np.exp(rng.uniform(1.0, 7.0, 150))[:, None]
    dispersion = 0.02 + 4.0 / mean
    matrix = rng.poisson(rng.gamma(1.0 / dispersion, np.broadcast_to(mean * dispersion, (150, 6))))
    matrix = matrix[matrix.sum(axis=1) > 0]
    table = pd.DataFrame({"group": list("aaabbb")}, index=[f"s{j}" for j in range(6)])
    genes = [f"g{i}" for i in range(len(matrix))]
    counts = Counts(matrix, genes=genes, samples=table.index, sample_table=table)
    return fit_eb(counts, "~ group", size_factors=np.ones(6))


def sampled(fit, hyper, **arguments):
    return fit_posterior(fit.counts, fit.design, eb=fit, hyperparameters=hyper, **arguments)


@pytest.fixture(scope="module")
def right(experiment):
    return sampled(experiment, Hyperparameters({"group[T.b]": 0.1}, 0.3, 0.02, 4.0)).loo()


@pytest.fixture(scope="module")
def wrong(experiment):
    return sampled(experiment, Hyperparameters({"group[T.b]": 0.1}, 0.3, 0.3, 0.0)).loo()


def test_the_true_trend_predicts_best(right, wrong):
    table = compare_posteriors({"flat": wrong, "true": right})
    assert list(table.index) == ["true", "flat"]
    assert table.loc["true", ["elpd_diff", "se_diff"]].to_list() == [0.0, 0.0]
    assert table.loc["flat", "elpd_diff"] < -4.0 * table.loc["flat", "se_diff"] < 0.0
    assert table.loc["flat", "elpd_diff"] == pytest.approx(np.diff(table["elpd"])[0])
    assert table.loc["flat", "genes_better"] < 0.5
    assert table.loc["flat", "monte_carlo_error"] < 0.2 * table.loc["flat", "se_diff"]


ARVIZ_1 = int(arviz.__version__.split(".")[0]) >= 1


def as_arviz(loo):
    """The genes' sums as one of ArviZ's results, each gene being one observation."""
    elpd = loo.pointwise["elpd"].sum("sample")
    values = {
        "elpd": float(elpd.sum()),
        "se": float(np.sqrt(elpd.size * elpd.var())),
        "p": loo.summary()["p_loo"],
        "n_samples": 1000,
        "n_data_points": elpd.size,
        "warning": False,
        "elpd_i": elpd,
        "scale": "log",
    }
    if ARVIZ_1:
        return arviz.ELPDData(**values, good_k=0.7)
    names = {"elpd": "elpd_loo", "p": "p_loo", "elpd_i": "loo_i"}
    return arviz.ELPDData(data=list(values.values()), index=[names.get(name, name) for name in values])


def arviz_comparison(posteriors):
    """Its table, with the names and signs of 1.x."""
    given = {name: as_arviz(loo) for name, loo in posteriors.items()}
    if ARVIZ_1:
        return arviz.compare(given, method="pseudo-BMA", round_to="none")
    table = arviz.compare(given, method="pseudo-BMA", ic="loo")
    table["elpd_diff"] *= -1.0
    return table.rename(columns={"elpd_loo": "elpd", "p_loo": "p"})


def test_arviz_gives_the_same(right, wrong):
    ours = compare_posteriors({"flat": wrong, "true": right})
    theirs = arviz_comparison({"flat": wrong, "true": right})
    assert list(theirs.index) == list(ours.index)
    np.testing.assert_allclose(ours["elpd"], theirs["elpd"].astype(float))
    np.testing.assert_allclose(ours["elpd_diff"], theirs["elpd_diff"].astype(float), atol=1e-9)
    np.testing.assert_allclose(ours["se_diff"], theirs["dse"].astype(float), atol=1e-9)
    np.testing.assert_allclose(ours["se"], theirs["se"].astype(float))
    np.testing.assert_allclose(ours["p_loo"], theirs["p"].astype(float))


def test_posteriors_are_left_out_first(experiment, right):
    hyper = Hyperparameters({"group[T.b]": 0.1}, 0.3, 0.02, 4.0)
    table = compare_posteriors(
        {"one": right, "again": sampled(experiment, hyper), "other": sampled(experiment, hyper, seed=2)}
    )
    assert table.loc["one", "elpd"] == table.loc["again", "elpd"]
    gap = abs(table.loc["one", "elpd"] - table.loc["other", "elpd"])
    assert 0.0 < gap < 5.0 * table["monte_carlo_error"].max()


def test_what_cannot_be_compared(right, wrong):
    values = right.pointwise
    with pytest.raises(InputError, match="at least two"):
        compare_posteriors({"one": right})
    with pytest.raises(InputError, match="not of the same genes: only one of them has 'g0'"):
        compare_posteriors({"one": right, "two": LeaveOneOut(values.isel(gene=slice(1, None)))})
    with pytest.raises(InputError, match="different orders"):
        compare_posteriors({"one": right, "two": LeaveOneOut(values.isel(gene=slice(None, None, -1)))})
    with pytest.raises(InputError, match="different counts; only"):
        compare_posteriors({"one": right, "two": LeaveOneOut(values.assign(count=values["count"] + 1))})
    with pytest.raises(InputError, match="made without different counts"):
        compare_posteriors({"one": right, "two": LeaveOneOut(values.assign(left_out=~values["left_out"]))})
