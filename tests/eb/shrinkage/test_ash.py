import numpy as np
import pytest
from scipy.stats import norm

from bayesde.eb.shrinkage.ash import NormalMixture, fit_mixture
from bayesde.errors import FitError


def simulate(n_genes=4000, seed=5):
    rng = np.random.default_rng(seed)
    error = rng.uniform(0.1, 0.8, n_genes)
    truth = rng.normal(0.0, np.where(rng.random(n_genes) < 0.7, 0.05, 1.0))
    return truth, rng.normal(truth, error), error


def test_weights_are_where_the_likelihood_is_highest():
    """At the maximum no component's gradient exceeds that of the components in use, which is one."""
    _, effect, error = simulate()
    mixture = fit_mixture(effect, error)
    density = norm.pdf(effect[:, None], scale=np.sqrt(mixture.sd**2 + error[:, None] ** 2))
    gradient = density.T @ (1.0 / (density @ mixture.weight)) / effect.size
    assert mixture.weight.sum() == pytest.approx(1.0, abs=1e-14)
    assert gradient.max() < 1.0 + 1e-9
    assert gradient[mixture.weight > 0.0] == pytest.approx(1.0, abs=1e-9)


def test_posterior_is_bayes_rule():
    mixture = NormalMixture(np.array([0.6, 0.0, 0.4]), np.array([0.1, 0.5, 2.0]))
    effect, error = np.array([0.3, -1.5, 0.0]), np.array([0.2, 0.5, 1.0])
    posterior = mixture.posterior(effect, error)
    grid = np.linspace(-15.0, 15.0, 300_001)
    prior = sum(w * norm.pdf(grid, scale=s) for w, s in zip(mixture.weight, mixture.sd, strict=True))
    for g in range(3):
        density = prior * norm.pdf(effect[g], grid, error[g])
        density /= density.sum()
        mean = np.sum(density * grid)
        assert posterior.effect[g] == pytest.approx(mean, abs=1e-8)
        assert posterior.effect_sd[g] == pytest.approx(
            np.sqrt(np.sum(density * (grid - mean) ** 2)), rel=1e-6
        )
        assert posterior.probability_below(0.4)[g] == pytest.approx(density[grid < 0.4].sum(), abs=1e-4)
        assert posterior.probability_above(0.4)[g] == pytest.approx(density[grid > 0.4].sum(), abs=1e-4)


@pytest.mark.parametrize("probability", [0.001, 0.025, 0.5, 0.975])
def test_quantiles_invert_the_distribution(probability):
    _, effect, error = simulate(500)
    posterior = fit_mixture(effect, error).posterior(effect, error)
    below = posterior.probability_below(posterior.quantile(probability))
    assert np.allclose(below, probability, rtol=1e-8, atol=0.0)


def test_posterior_means_are_nearer_to_the_truth_than_estimates():
    truth, effect, error = simulate()
    posterior = fit_mixture(effect, error).posterior(effect, error)
    assert np.mean((posterior.effect - truth) ** 2) < 0.4 * np.mean((effect - truth) ** 2)
    inside = (posterior.quantile(0.025) < truth) & (truth < posterior.quantile(0.975))
    assert np.mean(inside) == pytest.approx(0.95, abs=0.015)  # 4.4 standard errors of a share of 4,000


def test_units_do_not_matter_and_missing_genes_are_left_out():
    _, effect, error = simulate(1000)
    first = fit_mixture(effect, error)
    second = fit_mixture(np.append(effect / np.log(2.0), np.nan), np.append(error / np.log(2.0), 1.0))
    assert np.allclose(first.sd / np.log(2.0), second.sd, rtol=1e-12)
    assert np.allclose(first.weight, second.weight, atol=1e-6)


def test_no_gene_is_an_error():
    with pytest.raises(FitError, match="no gene has an estimate"):
        fit_mixture(np.array([np.nan]), np.array([1.0]))
