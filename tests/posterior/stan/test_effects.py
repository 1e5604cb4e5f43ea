"""Laws of effects other than Cauchy's: what Stan is given, what it refuses, and its draws."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest
from reference.log_density import gene_theta, mixture, scales_of_maps
from reference.monte_carlo import distribution_scores, event_score, largest_rms, log_scores
from reference.panel import model_of
from reference.two_groups import effect_weights
from scipy.stats import norm

from bayesde.errors import FitError, InputError, OptionError
from bayesde.model.density import ConditionalModel
from bayesde.model.effect_laws import EffectMixture
from bayesde.model.hyperparameter_space import HyperparameterSpace
from bayesde.model.hyperparameters import Hyperparameters
from bayesde.model.modes import Starts
from bayesde.posterior import fit_posterior
from bayesde.posterior.draws.streams import gene_seeds
from bayesde.posterior.hyper.hyperparameter_posterior import HyperparameterPosterior
from bayesde.posterior.hyper.integrate import hyper_points
from bayesde.posterior.hyper.laws import LawsToLearn
from bayesde.posterior.hyper.learning import learn
from bayesde.posterior.importance.engine import sample_given
from bayesde.posterior.options import SamplingOptions
from bayesde.posterior.stan import first_look as first_look_module
from bayesde.posterior.stan.blocks import plan_blocks
from bayesde.posterior.stan.data import SamplerCoordinates, genes_data, shared_data
from bayesde.posterior.stan.effects import check_effects, has_atoms, laws_of
from bayesde.posterior.stan.first_look import first_look, informed
from bayesde.posterior.stan.joint import _joint_data, _starts, _variances, sample_joint
from bayesde.posterior.stan.nuts import _keyed, sample_genes
from bayesde.posterior.stan.run import ChainSettings
from bayesde.workers.pools import LocalPool

TWO_NORMALS = EffectMixture([0.7, 0.3], [0.1, 0.8])
WITH_ATOM = EffectMixture([0.6, 0.4], [0.0, 0.5], [np.inf, 4.0])
SETTINGS = ChainSettings(4, 300, 1000, 0.9, 10)


@dataclass(frozen=True)
class Panel:
    """The panel of pasilla, to be sampled under any hyperparameters."""

    fit: object
    rows: np.ndarray
    start: Starts

    @property
    def names(self):
        return self.fit.design.coefficients

    @property
    def beta_se(self):
        return self.fit.beta_se[self.rows]

    def genes(self, rows):
        return Panel(self.fit, self.rows[rows], self.start.genes(rows))

    def hyper(self, **laws):
        return replace(Hyperparameters.from_eb(self.fit), **laws)

    def model(self, hyper):
        return model_of(self.fit, self.rows, hyper)

    def coordinates(self, hyper):
        return SamplerCoordinates.of(self.model(hyper), self.start, self.beta_se)

    def by_nuts(self, hyper, seed=3):
        points = hyper_points(hyper, self.names)
        return sample_genes(
            self.coordinates(hyper),
            SETTINGS,
            options=SamplingOptions(),
            seed=seed,
            points=points,
            pool=LocalPool(2),
        )

    def look(self, space, hyper, chains=4):
        groups = space.scale_of if len(space.shrunken) == 2 else ()
        cauchy = HyperparameterSpace(self.names, (1, 2), True, False, groups)
        return first_look(
            self.model(hyper),
            self.start,
            self.beta_se,
            space=cauchy,
            laws=LawsToLearn(space),
            hyper=hyper,
            chains=chains,
            seed=1,
        )


@pytest.fixture(scope="module")
def pasilla_panel(pasilla_fit, panel, panel_genes):
    return Panel(pasilla_fit, panel, panel_genes.start)


def two_effects(pasilla_panel, value):
    return dict.fromkeys(pasilla_panel.names[1:], value)


def student_t_space(names, scale_of=()):
    return HyperparameterSpace(
        names, (1, 2), True, False, scale_of, families=("student_t",) * (len(set(scale_of)) or 2)
    )


def test_laws_with_a_point_mass_are_refused_with_what_to_do():
    for engine in ("nuts", "joint"):
        check_effects(engine, ["cauchy", "student_t", "mixture"], [TWO_NORMALS])
        with pytest.raises(OptionError, match=rf"engine '{engine}' cannot sample the law 'spike_t'.*'psis'"):
            check_effects(engine, ["cauchy", "spike_t"])
        with pytest.raises(OptionError, match=r"weight 0\.6 at scale 0.*with_narrow_null\(0\.025\)"):
            check_effects(engine, ["mixture"], [TWO_NORMALS, WITH_ATOM])
        check_effects(engine, ["mixture"], [WITH_ATOM.with_narrow_null(0.025)])
    check_effects("psis", ["spike_t", "mixture"], [WITH_ATOM])


def test_a_narrow_normal_distribution_takes_the_place_of_the_point_mass():
    law = EffectMixture([0.2, 0.4, 0.1, 0.3], [0.0, 0.5, 2.0, 0.0], [np.inf, 4.0, 1.0, 3.0])
    narrow = law.with_narrow_null(0.02)
    assert (law.null, narrow.null) == (0.5, 0.0)
    np.testing.assert_array_equal(narrow.scale, [0.02, 0.5, 2.0, 0.02])
    np.testing.assert_array_equal(narrow.df, [np.inf, 4.0, 1.0, np.inf])
    x = np.array([-3.0, -0.01, 0.04, 0.6])
    expected = 0.5 * np.exp(law.continuous.log_density(x)) + 0.5 * norm.pdf(x, 0.0, 0.02)
    np.testing.assert_allclose(np.exp(narrow.log_density(x)), expected, rtol=1e-9)
    np.testing.assert_array_equal(TWO_NORMALS.with_narrow_null(0.1).scale, TWO_NORMALS.scale)
    for sd in (0.0, -1.0, np.nan, np.inf, "narrow", True):
        with pytest.raises(InputError, match="sd of the narrow normal distribution must be above 0"):
            law.with_narrow_null(sd)


def test_stan_engines_refuse_them_before_they_sample(pasilla_panel):
    spiked = pasilla_panel.hyper(
        effect_nu=two_effects(pasilla_panel, 4.0), pi0=two_effects(pasilla_panel, 0.5)
    )
    atomic = pasilla_panel.hyper(mixtures=two_effects(pasilla_panel, WITH_ATOM))
    assert has_atoms(spiked)
    assert has_atoms(atomic)
    assert not has_atoms(pasilla_panel.hyper(mixtures=two_effects(pasilla_panel, TWO_NORMALS)))
    with pytest.raises(OptionError, match="spike_t"):
        check_effects("nuts", *laws_of(spiked))
    with pytest.raises(OptionError, match="engine 'nuts' cannot sample a mixture"):
        pasilla_panel.by_nuts(atomic)
    for hyper in (spiked, atomic):
        with pytest.raises(OptionError, match="engine 'joint'"):
            pasilla_panel.look(HyperparameterSpace.of(pasilla_panel.names, hyper), hyper)


@pytest.mark.parametrize("laws", [{"effect_nu": 4.0, "pi0": 0.5}, {"mixtures": WITH_ATOM}])
def test_engine_nuts_refuses_hyperparameters_with_a_point_mass(tiny_fit, laws):
    hyper = Hyperparameters.from_eb(tiny_fit)
    own = {name: dict.fromkeys(hyper.shrinkage_scale, value) for name, value in laws.items()}
    with pytest.raises(OptionError, match="point mass at zero"):
        fit_posterior(
            tiny_fit.counts,
            tiny_fit.design,
            engine="nuts",
            hyperparameters=replace(hyper, **own),
            eb=tiny_fit,
        )


def test_data_of_the_programs(pasilla_panel):
    """Cauchy, Student-t and a mixture whose component without weight is left out."""
    law = EffectMixture([0.5, 0.0, 0.5], [0.1, 0.2, 1.0], [np.inf, 1.0, 6.0])
    _, first, second = pasilla_panel.names
    hyper = pasilla_panel.hyper(effect_nu={first: 4.0}, mixtures={second: law})
    data = genes_data(pasilla_panel.coordinates(hyper))
    assert (data["effects"], data["effect_nu"]) == ([0, 1, 2], [1.0, 4.0, 1.0])
    assert data["components_of"] == [0, 0, 2]
    assert data["component_weight"] == [0.5, 0.5]
    assert data["component_scale"] == [0.1, 1.0]
    assert data["component_nu"] == [np.inf, 6.0]
    plain = genes_data(pasilla_panel.coordinates(pasilla_panel.hyper()))
    assert (plain["effects"], plain["components_of"]) == ([0, 0, 0], [0, 0, 0])


def test_z_is_what_moves_theta_there(pasilla_panel):
    """Against the reference's way from z to theta, under Student-t priors and mixtures."""
    rng = np.random.default_rng(3)
    _, first, second = pasilla_panel.names
    hyper = pasilla_panel.hyper(effect_nu={first: 0.5}, mixtures={second: TWO_NORMALS})
    genes = pasilla_panel.coordinates(hyper)
    theta = genes.location[:, None] + rng.normal(0, 0.3, (40, 5, 4))
    theta[:10, :, 1:3] *= 20.0
    genes = informed(genes, theta, np.full((40, 5), 0.2))
    assert genes.noncentered[:, 1:].all(axis=1).sum() > 10
    model, data, z = genes.model, shared_data(genes), genes.z(theta)
    for g in range(0, 40, 3):
        for m in range(5):
            found = gene_theta(
                data,
                g,
                z[:, m],
                scales_of_maps(data, model.shrinkage_scale),
                model.log_trend[g],
                model.dispersion_sd,
                [1.0, 0.5, 1.0],
            )
            np.testing.assert_allclose(found.astype(float), theta[g, m], rtol=1e-9, atol=1e-9)


def keys(genes):
    return {block.key for block in plan_blocks(genes, 5, {"seed": 1})}


def test_keys_of_blocks_change_with_the_law_and_only_with_it(pasilla_panel, panel_genes):
    def of(**laws):
        return keys(pasilla_panel.coordinates(pasilla_panel.hyper(**laws)))

    cauchy = keys(panel_genes)
    assert of() == cauchy
    assert of(effect_nu=two_effects(pasilla_panel, 1.0)) == cauchy
    fours = two_effects(pasilla_panel, 4.0)
    first = pasilla_panel.names[1]
    others = [
        of(effect_nu=fours),
        of(effect_nu=fours | {first: 5.0}),
        of(mixtures={first: TWO_NORMALS}),
        of(mixtures={first: WITH_ATOM.with_narrow_null(0.01)}),
        of(mixtures={first: replace(TWO_NORMALS, nu=np.array([np.inf, 9.0]))}),
        keys(replace(panel_genes, model=replace(panel_genes.model, mixtures=((2, TWO_NORMALS),)))),
    ]
    assert len(set().union(cauchy, *others)) == len(cauchy) * (1 + len(others))


def test_keys_of_blocks_do_not_depend_on_the_option_itself():
    assert _keyed(SamplingOptions(effects="student_t")) == _keyed(SamplingOptions())
    assert _keyed(SamplingOptions(coding="treatment")) == _keyed(SamplingOptions())


def test_keys_of_blocks_depend_on_the_options_that_they_always_did():
    """Another option among them would change the seeds of all runs, and finished blocks could not be used."""
    assert _keyed(SamplingOptions()) == {
        "block_size": 20,
        "adapt_delta": 0.9,
        "rerun_adapt_delta": 0.99,
        "max_treedepth": 10,
        "max_rhat": 1.01,
        "min_ess": 400.0,
        "residuals": "normal",
        "trend": None,
        "shrink": None,
        "scales": "coefficient",
        "hand_over": True,
    }


@pytest.mark.parametrize(("scale_of", "sampled"), [((), 2), ((0, 0), 1)])
def test_joint_moves_the_degrees_of_freedom_of_every_scale(pasilla_panel, scale_of, sampled):
    space = student_t_space(pasilla_panel.names, scale_of)
    look = pasilla_panel.look(space, pasilla_panel.hyper(), chains=3)
    data, starts, variances = _joint_data(look), _starts(look, np.random.default_rng(1)), _variances(look)
    assert (data["K"], data["M"]) == (sampled, sampled)
    assert data["effects"] == [0, 1, 1]
    assert data["nu_of"] == data["scale_of"] == [0, 1, sampled]
    assert data["log_effect_nu_mean"] == [np.log(5.0)] * sampled
    assert data["log_effect_nu_sd"] == [1.2] * sampled
    for start in starts:
        names = ["z", "log_shrinkage_scale", "log_effect_nu", "log_dispersion_sd"]
        assert list(start)[:4] == names
        assert len(start["log_effect_nu"]) == sampled
        assert sum(np.size(value) for value in start.values()) == variances.size == 40 * 4 + 3 + 2 * sampled
        assert all(np.isfinite(value).all() for value in start.values())


def test_joint_has_no_hyperparameters_of_mixtures(pasilla_panel, monkeypatch):
    monkeypatch.setattr(first_look_module, "learn", nothing)
    _, first, second = pasilla_panel.names
    hyper = pasilla_panel.hyper(effect_nu={second: 3.0}, mixtures={first: TWO_NORMALS})
    look = pasilla_panel.look(HyperparameterSpace.of(pasilla_panel.names, hyper), hyper)
    data = _joint_data(look)
    assert (data["effects"], data["scale_of"], data["nu_of"]) == ([0, 2, 1], [0, 0, 1], [0, 0, 1])
    assert data["components_of"] == [0, 2, 0]


def nothing(*_, **__):
    raise FitError("too little")


def test_psis_and_nuts_agree_under_a_fixed_student_t(pasilla_panel, cmdstan):
    hyper = pasilla_panel.hyper(effect_nu=two_effects(pasilla_panel, 4.0))
    space = HyperparameterSpace.of(pasilla_panel.names, hyper)
    points = HyperparameterPosterior.fixed(space, hyper, 1)
    psis = sample_given(pasilla_panel.model(hyper), pasilla_panel.start, points, np.arange(40), draws=4000)
    nuts = pasilla_panel.by_nuts(hyper)
    assert (nuts.report["rhat"] < 1.01).all()
    fine = psis.report["pareto_k"] < 0.7
    assert fine.sum() >= 38
    scores = distribution_scores(psis.draws.genes(fine), nuts.draws.genes(fine))
    assert np.abs(scores).max() < 5.0  # 800 numbers: by chance once in 2,000
    assert np.sqrt((scores**2).mean()) < largest_rms(fine.sum())


@pytest.fixture(scope="module")
def joint_student_t(pasilla_panel, cmdstan):
    look = pasilla_panel.look(student_t_space(pasilla_panel.names), pasilla_panel.hyper())
    return sample_joint(look, SETTINGS, options=SamplingOptions(), seed=1, threads=2)


def test_joint_samples_the_degrees_of_freedom(joint_student_t, pasilla_panel):
    genes, points = joint_student_t
    assert (genes.report["rhat"] < 1.01).mean() > 0.9
    first, second = (f"effect_nu[{name}]" for name in pasilla_panel.names[1:])
    chains = points.by_chain()
    assert chains[first].shape == chains[second].shape == (4, 1000)
    assert list(points.space.names[2:4]) == [first, second]
    hyper = points.summary(np.random.default_rng(1))
    assert hyper.effect_nu[pasilla_panel.names[1]] == pytest.approx(chains[first].mean())
    assert {first, second} <= set(hyper.draws)


def test_psis_and_joint_learn_the_same_student_t(joint_student_t, pasilla_panel):
    """From the same 40 genes, where the posterior is wide."""
    _, points = joint_student_t
    hyper = pasilla_panel.hyper()
    space = student_t_space(pasilla_panel.names)
    rng, model = np.random.default_rng(1), pasilla_panel.model(hyper)
    learnt = learn(model, pasilla_panel.start, space, space.psi_of(hyper), rng).summary(rng)
    for name, draws in points.by_chain().items():
        scores = log_scores(draws, learnt.draws[name], learnt.checks["effective_points"])
        assert np.abs(scores).max() < 5.0, name  # 21 numbers


def test_joint_and_nuts_agree_under_a_student_t_that_is_learnt(joint_student_t, pasilla_panel):
    genes, points = joint_student_t
    nuts = pasilla_panel.by_nuts(points.summary(np.random.default_rng(1)))
    assert_agree(genes, nuts)


def assert_agree(one, other):
    scores = distribution_scores(one.draws, other.draws)
    assert np.abs(scores).max() < 5.0
    assert np.sqrt((scores**2).mean()) < largest_rms(len(scores))


def test_joint_and_nuts_agree_under_a_mixture(pasilla_panel, cmdstan):
    """One of the effects has a mixture of two normal distributions, the other a Cauchy prior."""
    names, half = pasilla_panel.names, pasilla_panel.genes(np.arange(0, 40, 2))
    hyper = half.hyper(mixtures={names[2]: TWO_NORMALS})
    look = half.look(HyperparameterSpace.of(names, hyper), hyper)
    genes, points = sample_joint(look, SETTINGS, options=SamplingOptions(), seed=1, threads=2)
    summary = points.summary(np.random.default_rng(1))
    assert summary.mixtures == hyper.mixtures
    assert summary.shrinkage_scale[names[2]] == TWO_NORMALS.median_size
    assert_agree(genes, half.by_nuts(summary))


@pytest.mark.parametrize(
    "law", [TWO_NORMALS, WITH_ATOM.with_narrow_null(0.05)], ids=["two normals", "narrow normal and t"]
)
def test_nuts_under_a_mixture_agrees_with_quadrature(law, cmdstan):
    """P(|effect| <= q) of two groups of three, for several q and genes with effects of any size."""
    genes = two_groups(law)
    result = sample_genes(genes, SETTINGS, options=SamplingOptions(), seed=1)
    assert (result.report["rhat"] < 1.02).all()
    scores = []
    for g in range(genes.model.n_genes):
        effect, weight = effect_density(genes.model.genes(np.array([g])), law)
        drawn = result.draws.theta[g, :, 1].reshape(4, -1).astype(float)
        for cut in (0.05, 0.2, 0.5, 1.0):
            p = weight[np.abs(effect) <= cut].sum()
            if 0.02 < p < 0.98:
                scores.append(event_score(np.abs(drawn) <= cut, p))
    assert len(scores) > 10
    assert np.abs(scores).max() < 5.0


def two_groups(law, n_genes=8):
    rng = np.random.default_rng(6)
    x = np.column_stack([np.ones(6), np.repeat([0.0, 1.0], 3)])
    mean = 200.0 * np.exp(np.linspace(0.0, 1.8, n_genes)[:, None] * x[:, 1])
    y = rng.negative_binomial(8, 8 / (8 + mean))
    model = ConditionalModel(
        y=y,
        log_nf=np.zeros((n_genes, 6)),
        x=x,
        base_mean=y.mean(axis=1),
        log_trend=np.full(n_genes, np.log(0.12)),
        shrunken=np.array([False, True]),
        shrinkage_scale=np.array([1.0, law.median_size]),
        dispersion_sd=0.5,
        nu=np.inf,
        mixtures=((1, law),),
    )
    groups = [np.log(y[:, x[:, 1] == level].mean(axis=1)) for level in (0.0, 1.0)]
    beta = np.column_stack([groups[0], groups[1] - groups[0]])
    start = Starts(beta, model.log_trend, gene_seeds([f"g{i}" for i in range(n_genes)], 1))
    return SamplerCoordinates.of(model, start, np.full((n_genes, 2), np.sqrt(2.0 / 24)))


def effect_density(model, law):
    """The effect's posterior on a grid, by adding up over grids of the intercept and the log dispersion."""
    step = 0.005
    effect = np.arange(-2.0, 3.5, step) + step / 2  # midpoints: cuts are at edges
    log_prior = np.array([float(mixture(b, law.weight, law.scale, law.df)) for b in effect.tolist()])
    return effect, effect_weights(model, effect, log_prior)
