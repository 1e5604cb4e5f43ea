"""The two compiled densities, the NumPy reference and both Stan programs at the same 1,000 points.

Under Cauchy and Student-t priors and mixtures of the effects; the compiled densities have no mixtures.
"""

from __future__ import annotations

import json
import subprocess

import numpy as np
import pandas as pd
import pytest
from reference.density_points import GENES, LAWS, POINTS, gene_points
from reference.log_density import components, log_hyperprior, mixture
from reference.stan_points import gradient

from bayesde.model.density import GeneData, GenePrior, log_density, log_density_derivatives, log_prior
from bayesde.posterior.proposal.counts_likelihood import OrderedCells, log_likelihoods
from bayesde.stan_runtime import compiled_model

TOLERANCE = 1e-8
"""Relative, or absolute where the number is below 1."""

without_mixtures = pytest.mark.parametrize("law", LAWS[:2], indirect=True)


@pytest.fixture(scope="module", params=LAWS)
def law(request):
    return request.param


@pytest.fixture(scope="module")
def genes(law):
    return list(gene_points(law))


@pytest.fixture(scope="module")
def reference(genes):
    """Log posterior density of every gene at its points, (gene, point)."""
    return np.array([[gene.reference(theta) for theta in gene.theta] for gene in genes])


def assert_same(found, expected, tolerance=TOLERANCE):
    error = np.abs(found - expected) / np.maximum(1.0, np.abs(expected))
    assert float(error.max()) < tolerance, np.unravel_index(error.argmax(), error.shape)


def arguments(gene):
    nu = np.inf if gene.nu is None else gene.nu
    prior = GenePrior(
        np.where(gene.shrunken, gene.effect_nu, np.inf), gene.scale, gene.log_trend, gene.dispersion_sd, nu
    )
    return GeneData(gene.y, gene.log_nf, gene.x), prior


def constant(gene):
    """What the compiled prior leaves out: the height of the reference's at its peak."""
    peak = np.append(np.zeros(gene.x.shape[1]), gene.log_trend)
    assert log_prior(peak, arguments(gene)[1]) == 0.0
    return gene.log_priors(peak).sum()


def compiled_gradients(gene):
    slopes, curve = np.empty(gene.theta.shape), np.empty((gene.theta.shape[1],) * 2)
    for theta, slope in zip(gene.theta, slopes, strict=True):
        log_density_derivatives(theta, *arguments(gene), slope, curve)
    return slopes


def test_the_points_reach_the_extremes(genes):
    counts, theta = [gene.y for gene in genes], np.concatenate([gene.theta[:, -1] for gene in genes])
    assert GENES * POINTS == theta.size == 1000
    assert max(y.max() for y in counts) == 10_000_000
    assert sum(not y.any() for y in counts) > 5
    assert sum(y.any() and not y[1::2].any() for y in counts) > 5
    np.testing.assert_allclose([theta.min(), theta.max()], np.log([1e-8, 1e3]), rtol=1e-6)


def compiled_gradients_at_mixtures(gene):
    """The compiled gradient, with the prior's part of shrunken coefficients from differences."""
    slopes = compiled_gradients(gene)
    for k in np.flatnonzero(gene.shrunken):
        law = components(gene.laws, k)
        cauchy = 2.0 * gene.theta[:, k] / (gene.scale[k] ** 2 + gene.theta[:, k] ** 2)
        for m, effect in enumerate(gene.theta[:, k].tolist()):
            step = 1e-4 * min(law[1])
            mixed = gradient(lambda x, law=law: mixture(x[0], *law), np.array([effect]), step)
            slopes[m, k] += cauchy[m] + mixed[0]
    return slopes


def expected_gradients(gene, law):
    return compiled_gradients_at_mixtures(gene) if law == "mixture" else compiled_gradients(gene)


@without_mixtures
def test_compiled_density(genes, reference):
    found = [
        [log_density(theta, *arguments(gene)) + constant(gene) for theta in gene.theta] for gene in genes
    ]
    assert_same(np.array(found), reference)


def test_compiled_density_of_draws(genes, reference):
    """Its counts' part, and the wide priors; the rest of the prior from the reference."""
    found = np.empty((GENES, POINTS))
    for gene, row in zip(genes, found, strict=True):
        data = GeneData(gene.y[None], gene.log_nf[None], gene.x)
        priors = (~gene.shrunken, gene.unshrunken_sd)
        theta = gene.theta[None].astype(np.float32)
        log_likelihoods(0, 1, theta, data, OrderedCells.of(gene.x), *priors, row[None])
        row += [gene.log_priors(theta)[[0, 2]].sum() for theta in gene.theta]
    assert_same(found, reference)


@without_mixtures
def test_compiled_gradient(genes):
    """Against differences of the reference, at four points of every gene."""
    for gene in genes:
        numeric = [gradient(gene.reference, theta, 1e-5) for theta in gene.theta[1:5]]
        assert_same(compiled_gradients(gene)[1:5], np.array(numeric), 1e-7)


def stan_log_prob(program, data, points, folder):
    """Log density and gradient at many points in one call: ``points`` is a table of natural parameters."""
    (folder / "data.json").write_text(json.dumps(data))
    points.to_csv(folder / "points.csv", index=False)
    command = [program.exe_file, "log_prob", f"constrained_params={folder / 'points.csv'}", "jacobian=0"]
    command += ["data", f"file={folder / 'data.json'}", "output", f"file={folder / 'out.csv'}", "sig_figs=18"]
    subprocess.run(command, check=True, capture_output=True)
    out = pd.read_csv(folder / "out.csv", comment="#").to_numpy(float)
    return out[:, 0], out[:, 1:]


def theta_table(gene):
    return pd.DataFrame(gene.theta, columns=[f"z.1.{k + 1}" for k in range(gene.theta.shape[1])])


def genes_program_data(gene):
    return gene.stan_data() | {
        "shrinkage_scale": gene.scale.tolist(),
        "effect_nu": gene.effect_nu.tolist(),
        "log_trend": [gene.log_trend],
        "dispersion_sd": gene.dispersion_sd,
        "nu": gene.nu or 1.0,
        "random_sd_center": [],
        "random_sd_spread": [],
    }


@pytest.mark.usefixtures("cmdstan")
def test_stan_program_of_genes(genes, reference, law, tmp_path):
    program = compiled_model("genes")
    for gene, expected in zip(genes, reference, strict=True):
        value, slope = stan_log_prob(program, genes_program_data(gene), theta_table(gene), tmp_path)
        assert_same(value, expected)
        assert_same(slope, expected_gradients(gene, law))


def joint_program_data(gene):
    own = gene.shrunken & (np.array(gene.laws["effects"]) < 2)
    n_scales, n_nu = int(own.sum()), int(own.sum()) * (1 in gene.laws["effects"])
    places = np.where(own, own.cumsum(), 0)
    return gene.stan_data() | {
        "base_mean": [gene.base_mean],
        "K": n_scales,
        "scale_of": places.tolist(),
        "M": n_nu,
        "nu_of": (places if n_nu else 0 * places).tolist(),
        "effect_nu_value": [1.0] * own.size,
        "log_effect_nu_mean": [1.6] * n_nu,
        "log_effect_nu_sd": [1.2] * n_nu,
        "log_scale_mean": [-1.6] * n_scales,
        "log_scale_sd": [1.5] * n_scales,
        "dispersion_sd_prior": 0,
        "dispersion_sd_hyper": [-0.3, 0.9, 1.0],
        "log_asymptotic_dispersion_mean": -3.0,
        "log_asymptotic_dispersion_sd": 2.0,
        "log_extra_poisson_mean": 0.5,
        "log_extra_poisson_sd": 2.0,
        "nu_known": 0,
        "nu_value": 1.0,
        "nu_shape": 2.0,
        "nu_rate": 0.1,
        "random_sd_law_mean": [],
        "random_sd_law_sd": [],
        "trend": int(gene.extra_poisson is not None),
        "grainsize": 1,
    }


def hyperparameters(gene):
    kinds = np.where(gene.shrunken, gene.laws["effects"], -1)
    return {
        "log_shrinkage_scale": np.log(gene.scale[(kinds == 0) | (kinds == 1)]),
        "log_effect_nu": np.log(gene.effect_nu[kinds == 1]),
        "log_dispersion_sd": np.log(gene.dispersion_sd),
        "log_asymptotic_dispersion": np.log(gene.asymptotic_dispersion),
        "log_extra_poisson": [] if gene.extra_poisson is None else [np.log(gene.extra_poisson)],
        "nu": [] if gene.nu is None else [gene.nu],
    }


@pytest.mark.usefixtures("cmdstan")
def test_stan_program_of_genes_and_hyperparameters(genes, reference, law, tmp_path):
    """Less the hyperprior, it is the same density."""
    program = compiled_model("joint", threads=True)
    for gene, expected in zip(genes, reference, strict=True):
        data, shared, table = joint_program_data(gene), hyperparameters(gene), theta_table(gene)
        for name, value in shared.items():
            if np.ndim(value):
                table[[f"{name}.{i + 1}" for i in range(len(value))]] = np.tile(value, (POINTS, 1))
            else:
                table[name] = value
        value, slope = stan_log_prob(program, data, table, tmp_path)
        assert_same(value - log_hyperprior(data, shared), expected)
        assert_same(slope[:, : gene.theta.shape[1]], expected_gradients(gene, law))
