"""What engine nuts does around Stan: files, memory, attempts and starts; mostly without Stan."""

from __future__ import annotations

import logging
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
from reference.log_density import gene_theta
from reference.monte_carlo import event_score
from reference.two_groups import effect_weights

from bayesde.errors import FitError
from bayesde.model.density import ConditionalModel
from bayesde.model.modes import Starts, find_modes
from bayesde.posterior.draws.streams import gene_seeds
from bayesde.posterior.options import SamplingOptions
from bayesde.posterior.stan import nuts
from bayesde.posterior.stan.data import SamplerCoordinates, shared_data
from bayesde.posterior.stan.first_look import informed
from bayesde.posterior.stan.nuts import sample_genes
from bayesde.posterior.stan.run import Chains, ChainSettings
from bayesde.posterior.stan.starts import chain_starts
from bayesde.posterior.storage.draws_file import DRAWS_FILE, DrawsFile

SETTINGS = ChainSettings(2, 10, 200, 0.9, 10)


@pytest.mark.parametrize("somewhere", [True, False])
def test_draws_file_is_a_map_of_what_was_written(tmp_path, somewhere):
    rng = np.random.default_rng(1)
    theta = rng.normal(size=(7, 5, 3)).astype(np.float32)
    with DrawsFile(theta.shape, tmp_path if somewhere else None) as file:
        for rows in (np.array([6, 0, 3]), np.array([1, 2, 5, 4])):
            file.write(rows, theta[rows])
        found = file.finished()
    assert isinstance(found, np.memmap)
    np.testing.assert_array_equal(found, theta)
    assert [path.name for path in tmp_path.iterdir()] == [DRAWS_FILE] * somewhere
    if somewhere:
        np.testing.assert_array_equal(np.load(tmp_path / DRAWS_FILE), theta)
        with DrawsFile(theta.shape, tmp_path) as file:
            file.finished()  # another one in its place: the older map stays as it was
        np.testing.assert_array_equal(found, theta)


def test_draws_file_leaves_nothing_if_there_was_no_end(tmp_path):
    def interrupted():
        with DrawsFile((2, 2, 2), tmp_path) as file:
            file.write(np.array([0]), np.zeros((1, 2, 2)))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert list(tmp_path.iterdir()) == []


def made_up(monkeypatch, problems=()):
    """Draw from a normal distribution instead of calling Stan; each call takes the next of the problems."""
    calls, left = [], list(problems)

    def run(program, data, starts, settings, seed, variables):
        calls.append((data["G"], settings))
        problem = left.pop(0) if left else None
        if problem == "error":
            raise FitError("no draws")
        rng = np.random.default_rng(seed)
        shape = (settings.chains, settings.draws, data["G"])
        drawn = {"beta": rng.normal(size=(*shape, data["P"])), "log_dispersion": rng.normal(size=shape)}
        if problem == "apart":
            drawn["log_dispersion"][0, :, 1] += 5.0
        return Chains(drawn, 3 if problem == "divergent" else 0, 0, 7.0, np.ones(settings.chains))

    monkeypatch.setattr(nuts, "run_chains", run)
    monkeypatch.setattr(nuts, "compiled_model", lambda *_, **__: None)
    return calls


def sampled(genes, **options):
    return sample_genes(genes, SETTINGS, options=SamplingOptions(min_ess=50, max_rhat=1.1, **options), seed=1)


def test_good_genes_are_sampled_once(monkeypatch, panel_genes):
    calls = made_up(monkeypatch)
    result = sampled(panel_genes, block_size=20)
    assert len(calls) == 2
    assert result.draws.theta.shape == (40, 400, 4)
    assert result.draws.chains == 2
    assert (result.report["attempts"] == 1).all()


def test_a_block_that_diverged_is_sampled_again_with_smaller_steps(monkeypatch, panel_genes, caplog):
    calls = made_up(monkeypatch, ["divergent"])
    with caplog.at_level(logging.INFO, logger="bayesde"):
        report = sampled(panel_genes, block_size=40).report
    assert [size for size, _ in calls] == [40, 40]
    assert calls[1][1].adapt_delta == 0.99
    assert (report["attempts"] == 2).all()
    assert (report["divergences"] == 0).all()
    assert "40 of 40 genes were sampled again, 0 of them twice" in caplog.text


def test_a_gene_that_fails_is_sampled_alone_and_then_left_as_it_is(monkeypatch, panel_genes):
    calls = made_up(monkeypatch, ["apart", "divergent"])
    report = sampled(panel_genes, block_size=40).report
    assert [size for size, _ in calls] == [40, 1]
    assert calls[1][1].thin == 4
    gene = np.argsort(panel_genes.model.base_mean)[1]
    assert (report["attempts"][gene], report["divergences"][gene]) == (2, 3)
    assert np.delete(report["attempts"], gene).max() == 1


def test_no_gene_has_more_than_three_attempts(monkeypatch, panel_genes):
    calls = made_up(monkeypatch, ["divergent"] * 1000)
    report = sampled(panel_genes, block_size=20).report
    assert len(calls) == 2 * 2 + 40
    assert (report["attempts"] == 3).all()
    assert (report["divergences"] == 3).all()


def test_what_stan_cannot_sample_is_tried_again_and_told(monkeypatch, panel_genes):
    """A block fails as a whole, twice, then its genes are sampled alone; one of them fails again."""
    made_up(monkeypatch, ["error", "error", None, "error"])
    result = sampled(panel_genes, block_size=40)
    missing = np.isnan(result.draws.theta).all(axis=(1, 2))
    assert missing.sum() == 1
    assert np.isnan(result.report["rhat"][missing]).all()
    assert np.isfinite(result.report["rhat"][~missing]).all()


def test_an_attempt_without_draws_does_not_replace_one_with(monkeypatch, panel_genes):
    made_up(monkeypatch, ["apart", "error"])
    result = sampled(panel_genes, block_size=40)
    assert np.isfinite(result.draws.theta).all()
    assert result.report["rhat"].max() > 1.1


def test_memory_does_not_grow_with_the_number_of_genes(monkeypatch, panel_genes):
    """Blocks of 10 with 400 draws: five times the genes, 1 MB more of draws, and hardly more memory."""
    made_up(monkeypatch)

    options = SamplingOptions(block_size=10, min_ess=0, max_rhat=9)

    def peak(times):
        genes = panel_genes.genes(np.tile(np.arange(40), times))
        tracemalloc.start()
        try:
            sample_genes(genes, SETTINGS, options=options, seed=1)
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    sample_genes(panel_genes, SETTINGS, options=options, seed=1)  # compiles and imports what it needs
    few, many = peak(1), peak(5)
    assert many - few < 0.3 * 160 * 400 * 4 * 4


def test_z_is_what_moves_theta_there(panel_genes):
    """Rescaled.z against the reference's way from z to theta, for every kind of coordinates."""
    rng = np.random.default_rng(3)
    model = panel_genes.model
    theta = panel_genes.location[:, None] + rng.normal(0, 0.3, (40, 5, 4))
    theta[:10, :, 1] *= 20.0
    weights = np.full((40, 5), 0.2)
    for genes in (panel_genes, informed(panel_genes, theta, weights)):
        data, z = shared_data(genes), genes.z(theta)
        for g in range(0, 40, 3):
            for m in range(5):
                found = gene_theta(
                    data, g, z[:, m], model.shrinkage_scale, model.log_trend[g], model.dispersion_sd
                )
                np.testing.assert_allclose(found.astype(float), theta[g, m], rtol=1e-9, atol=1e-9)


def test_informed_log_dispersions_do_not_follow_the_hyperparameters(panel_genes):
    """With a normal density of the counts, z is standard normal under any trend and sd."""
    rng = np.random.default_rng(4)
    model = replace(panel_genes.model, dispersion_sd=0.8)
    genes = replace(panel_genes, model=model)
    center, sd = rng.normal(-2, 1, 40), rng.uniform(0.2, 3.0, 40)

    def posterior(trend, scale):
        variance = 1.0 / (sd**-2 + scale**-2)
        return variance * (center / sd**2 + trend / scale**2), variance

    mean, variance = posterior(model.log_trend, 0.8)
    theta = np.repeat(genes.location[:, None], 2, axis=1)
    theta[:, :, -1] = mean[:, None] + np.sqrt(variance)[:, None] * np.array([-1.0, 1.0])
    chosen = informed(genes, theta, np.full((40, 2), 0.5))
    for shift, scale in ((0.0, 0.8), (0.7, 0.8), (-0.4, 1.9)):
        moved = replace(chosen, model=replace(model, log_trend=model.log_trend + shift, dispersion_sd=scale))
        mean, variance = posterior(model.log_trend + shift, scale)
        theta[:, :, -1] = mean[:, None] + np.sqrt(variance)[:, None] * np.array([-1.0, 2.0])
        np.testing.assert_allclose(moved.z(theta)[:, :, -1], np.tile([-1.0, 2.0], (40, 1)), atol=1e-8)


def bimodal_genes(n_genes=12):
    """Few samples, a narrow prior and moderate effects: a mode at none, another where the counts are."""
    rng = np.random.default_rng(6)
    x = np.column_stack([np.ones(6), np.repeat([0.0, 1.0], 3)])
    effect = np.linspace(0.8, 1.6, n_genes)
    mean = 200.0 * np.exp(effect[:, None] * x[:, 1])
    y = rng.negative_binomial(8, 8 / (8 + mean))
    model = ConditionalModel(
        y=y,
        log_nf=np.zeros((n_genes, 6)),
        x=x,
        base_mean=y.mean(axis=1),
        log_trend=np.full(n_genes, np.log(0.12)),
        shrunken=np.array([False, True]),
        shrinkage_scale=np.array([1.0, 0.02]),
        dispersion_sd=0.5,
        nu=np.inf,
    )
    groups = [np.log(y[:, x[:, 1] == level].mean(axis=1)) for level in (0.0, 1.0)]
    beta = np.column_stack([groups[0], groups[1] - groups[0]])
    start = Starts(beta, model.log_trend, gene_seeds([f"g{i}" for i in range(n_genes)], 1))
    return SamplerCoordinates.of(model, start, np.full((n_genes, 2), np.sqrt(2.0 / 24)))


def test_chains_start_in_both_modes():
    genes = bimodal_genes()
    modes = find_modes(genes.model, genes.start.beta, genes.start.log_dispersion)
    effects = np.sort(np.column_stack([modes.location[:, 1], modes.other[:, 1]]), axis=1)
    two = np.diff(effects, axis=1)[:, 0] > 0.3
    assert two.sum() >= 6
    data, starts = shared_data(genes), chain_starts(genes, 4)
    model = genes.model
    for g in np.flatnonzero(two).tolist():
        found = [
            float(gene_theta(data, g, z, model.shrinkage_scale, model.log_trend[g], model.dispersion_sd)[1])
            for z in starts
        ]
        assert min(found) < effects[g].mean() < max(found)


def test_starts_depend_on_the_gene_alone_and_differ_between_attempts(panel_genes):
    starts = chain_starts(panel_genes, 5)
    assert np.isfinite(starts).all()
    rows = np.array([30, 2, 17])
    np.testing.assert_allclose(chain_starts(panel_genes.genes(rows), 5), starts[:, rows])
    assert not np.isclose(chain_starts(panel_genes, 5, 1), starts).any(axis=(0, 2)).all()
    assert all(len(np.unique(starts[:, g, 0])) == 5 for g in range(40))


def test_chains_that_started_in_both_modes_agree(cmdstan):
    """Stan crosses between the modes of every gene, and the shares of the modes are those of the density.

    A gene that misses the limits of R-hat and effective size is sampled again, for four times as long.
    """
    genes = bimodal_genes(6)
    result = sample_genes(genes, ChainSettings(4, 300, 1000, 0.9, 10), options=SamplingOptions(), seed=1)
    near_none = np.abs(result.draws.theta[:, :, 1].reshape(6, 4, -1)) < 0.2
    shares = [share_near_none(genes.model.genes(np.array([g]))) for g in range(6)]
    assert sum(0.02 < share < 0.98 for share in shares) >= 2
    scores = [event_score(event, p) for event, p in zip(near_none, shares, strict=True)]
    assert np.abs(scores).max() < 5.0
    assert (result.report["rhat"] < 1.01).all()
    assert (result.report["ess_bulk"] > 400).all()


def share_near_none(model):
    """P(|effect| < 0.2 | counts) of two groups of three, by adding up over a grid of all three parameters."""
    effect = np.arange(-0.8, 2.6, 0.005) + 0.0025  # midpoints: the prior has its peak at 0
    weight = effect_weights(model, effect, -np.log1p((effect / model.shrinkage_scale[1]) ** 2))
    return weight[np.abs(effect) < 0.2].sum()
