"""A small experiment with known numbers, and fits of it: fixtures of several folders of tests."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from bayesde.counts import Counts
from bayesde.datasets import load_pasilla
from bayesde.eb.fit import fit_eb
from bayesde.eb.options import EbOptions
from bayesde.model.density import ConditionalModel
from bayesde.model.hyperparameters import Hyperparameters
from bayesde.model.modes import Starts
from bayesde.posterior.draws.streams import gene_seeds
from bayesde.posterior.stan.data import SamplerCoordinates

__all__ = ["panel", "panel_genes", "panel_model", "pasilla_fit", "tiny_fit"]


@pytest.fixture(scope="session")
def pasilla_fit():
    return fit_eb(load_pasilla(), "~ type + condition")


@pytest.fixture(scope="session")
def panel(pasilla_fit):
    """Rows of 40 genes at equal steps of the rank of their mean, from single counts to the highest."""
    expressed = np.flatnonzero(~pasilla_fit.all_zero)
    order = expressed[np.argsort(pasilla_fit.base_mean[expressed], kind="stable")]
    return np.sort(order[np.linspace(0, order.size - 1, 40).astype(int)])


@pytest.fixture(scope="session")
def panel_model(pasilla_fit, panel):
    return model_of(pasilla_fit, panel, Hyperparameters.from_eb(pasilla_fit))


def model_of(fit, rows, hyper):
    """Data and priors of some genes, with every count in memory and no default of the package's."""
    shrunken, scales = hyper.scales_of(fit.design)
    return ConditionalModel(
        y=fit.counts.matrix[rows],
        log_nf=np.log(fit.normalization_factors[rows]),
        x=fit.design.matrix,
        base_mean=fit.base_mean[rows],
        log_trend=hyper.log_trend(fit.base_mean[rows]),
        shrunken=shrunken,
        shrinkage_scale=scales,
        dispersion_sd=hyper.dispersion_sd,
        nu=hyper.degrees_of_freedom,
        effect_df=hyper.effect_df(fit.design),
        mixtures=hyper.mixtures_of(fit.design),
    )


@pytest.fixture(scope="session")
def panel_genes(pasilla_fit, panel, panel_model):
    """The same genes as the sampler gets them."""
    fit = pasilla_fit
    start = Starts(fit.beta[panel], np.log(fit.dispersion[panel]), gene_seeds(fit.counts.genes[panel], 1))
    return SamplerCoordinates.of(panel_model, start, fit.beta_se[panel])


@pytest.fixture(scope="session")
def tiny_fit():
    """Twelve genes, six samples, one of the genes without a count."""
    rng = np.random.default_rng(5)
    matrix = rng.negative_binomial(5, 5 / (5 + rng.uniform(5, 500, (12, 1))), (12, 6))
    matrix[3] = 0
    table = pd.DataFrame({"group": list("aaabbb")}, index=[f"s{j}" for j in range(6)])
    counts = Counts(matrix, genes=[f"g{i}" for i in range(12)], samples=table.index, sample_table=table)
    return fit_eb(counts, "~ group", options=EbOptions(trend="mean"))
