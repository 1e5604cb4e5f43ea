"""Shrunken effects against R's apeglm 1.27.0, DESeq2 1.38.3 (normal) and ashr 2.2-65, gene by gene.

R's apeglm stops when its objective changes little, up to some 0.01 log2 from the mode, and starts from one
point, so that it may end at the worse of two modes; R's optimizers for the normal prior and for the weights
of ashr stop early as well. So effects that differ from R's must have an objective, computed here by the plain
formula, that is no worse than R's: no share of the genes is let off.
"""

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest
from scipy.special import ndtri

from bayesde.eb.shrinkage.apeglm import UNSHRUNKEN_SD, false_sign_probability, prior_scale, shrink_coefficient
from bayesde.eb.shrinkage.ash import NormalMixture, fit_mixture
from bayesde.eb.shrinkage.normal import prior_variances
from bayesde.errors import InputError, OptionError
from bayesde.results import s_values

LN2 = math.log(2.0)


def position(reference):
    return reference.fit.design.coefficients.index(reference.coef)


def r_scale(reference):
    return reference.scalar("apeglm.prior.control.prior.scale")


@dataclass(frozen=True)
class Objective:
    """The negative log posterior (gene,), with a Cauchy or a normal prior on every coefficient."""

    counts: np.ndarray
    factors: np.ndarray
    design: np.ndarray
    dispersion: np.ndarray
    cauchy: np.ndarray
    """(coefficient,) of bool; the others are normal."""
    scale: np.ndarray
    """(coefficient,)"""

    def __call__(self, beta):
        r, eta = 1.0 / self.dispersion[:, None], beta @ self.design.T
        loss = np.sum(
            (self.counts + r) * np.log1p(np.exp(eta) * self.factors / r) - self.counts * eta, axis=1
        )
        square = (beta / self.scale) ** 2
        return loss + np.where(self.cauchy, np.log1p(square), 0.5 * square).sum(axis=1)

    def genes(self, rows):
        factors = self.factors if len(self.factors) == 1 else self.factors[rows]
        return Objective(
            self.counts[rows], factors, self.design, self.dispersion[rows], self.cauchy, self.scale
        )

    def lowest_at(self, effect, k, start):
        """Return the lowest value with coefficient k at `effect`: Newton's steps of the others, halved."""
        beta = start.copy()
        beta[:, k] = effect
        value, moving = self(beta), np.arange(len(beta))
        for _ in range(100):
            if not moving.size:
                break
            some, before = self.genes(moving), value[moving]
            step = some.step(beta[moving], np.arange(beta.shape[1]) != k)
            for length in 0.5 ** np.arange(12.0):
                trial = beta[moving] + length * step
                lower = some(trial) < value[moving]
                beta[moving[lower]], step[lower] = trial[lower], 0.0
                value[moving[lower]] = some(trial)[lower]
                if lower.all() or not np.any(step):
                    break
            moving = moving[before - value[moving] > 1e-14 * (1.0 + np.abs(before))]
        return value

    def step(self, beta, free):
        """Newton's step (gene, coefficient) of some of the coefficients."""
        x = self.design[:, free]
        mu = np.exp(beta @ self.design.T) * self.factors
        share = 1.0 / (1.0 + self.dispersion[:, None] * mu)
        square = self.scale**2 + np.where(self.cauchy, beta**2, 0.0)  # a parabola above the Cauchy's log
        prior = (np.where(self.cauchy, 2.0, 1.0) / square)[:, free]
        slope = ((mu - self.counts) * share) @ x + prior * beta[:, free]
        curvature = mu * share**2 * (1.0 + self.dispersion[:, None] * self.counts)
        information = (x.T[:, None] * x.T).reshape(-1, len(x)) @ curvature.T
        information = information.T.reshape(len(beta), x.shape[1], -1) + prior[:, :, None] * np.eye(
            x.shape[1]
        )
        step = np.zeros_like(beta)
        step[:, free] = -np.linalg.solve(information, slope[:, :, None])[:, :, 0]
        return step


def no_worse(ours, other):
    """Rounding of sums of some hundred terms apart."""
    return ours <= other + 1e-12 * (1.0 + np.abs(ours))


def r_factors(reference):
    return pd.read_csv(reference.folder / "size_factors.tsv", sep="\t")["sizeFactor"].to_numpy()[None, :]


def with_r_inputs(reference, genes, shrunken, scale):
    """Our modes of some genes (names) at R's dispersions and size factors; and the objective."""
    fit = reference.fit
    rows, design = fit.counts.genes.get_indexer(genes), fit.design.matrix
    dispersion = reference.table("deseq2_mcols")["dispersion"].reindex(genes).to_numpy()
    counts, factors = fit.counts.rows(rows), r_factors(reference)
    found = shrink_coefficient(counts, factors, design, dispersion, fit.beta[rows], shrunken, scale)
    cauchy = np.isin(np.arange(design.shape[1]), shrunken)
    scales = np.where(cauchy, scale, UNSHRUNKEN_SD)
    return found, Objective(counts, factors, design, dispersion, cauchy, scales)


@pytest.fixture(scope="module")
def modes(reference):
    """R's modes, ours with R's inputs, the objective, and the exact modes that were reached from R's."""
    theirs = reference.table("apeglm_fit").filter(like="map_ln:").dropna()
    theirs = theirs[reference.fit.estimated[reference.fit.counts.genes.get_indexer(theirs.index)]]
    found, objective = with_r_inputs(reference, theirs.index, [position(reference)], r_scale(reference))
    return theirs, found, objective, reference.table("apeglm_exact_mode").reindex(theirs.index)


def test_prior_scale(shrunken_reference):
    reference = shrunken_reference
    ours = reference.fit.shrinkage_scales()[reference.coef]
    assert ours == pytest.approx(r_scale(reference), rel=1e-6)


def test_prior_scale_of_the_cohort_is_r_s_once_its_emptied_genes_are_put_in(reference):
    """Genes emptied by the replacement of outliers have effect and error 0 in R, and three set the scale."""
    fit, k = reference.fit, position(reference)
    nothing = np.zeros(int(fit.emptied.sum()))
    scale = prior_scale(np.append(fit.beta[:, k], nothing), np.append(fit.beta_se[:, k], nothing))
    assert scale == pytest.approx(r_scale(reference), rel=1e-6)


def test_no_gene_has_a_worse_objective_than_r(reference, modes):
    """Nor than the better of the two modes that are reached from zero and from the estimate."""
    theirs, found, objective, exact = modes
    k, ours = position(reference), objective(found.beta)
    assert found.converged.all()
    assert no_worse(ours, objective(theirs.to_numpy())).all()
    assert no_worse(ours, objective(exact.filter(like="exact_ln:").to_numpy())).all()
    best = exact["lfc_best_mode"].to_numpy() * LN2
    elsewhere = np.abs(found.beta[:, k] - best) > 1e-8
    lowest = objective.genes(elsewhere).lowest_at(best[elsewhere], k, found.beta[elsewhere])
    assert no_worse(ours[elsewhere], lowest).all(), list(theirs.index[elsewhere])


def test_modes_and_sds_are_exact(reference, modes):
    """Or there is a better mode, far away, than the one that R's search leads to."""
    _, found, objective, exact = modes
    k = position(reference)
    distance = np.abs(found.beta[:, k] / LN2 - exact["lfc_exact"].to_numpy())
    same = distance < 1e-8
    assert (distance[~same] > 0.1).all()
    assert (objective(found.beta) < objective(exact.filter(like="exact_ln:").to_numpy()) - 1e-6)[~same].all()
    assert np.allclose(found.sd[same] / LN2, exact["se_exact"][same], rtol=1e-6, atol=0.0)


def test_r_s_modes_give_r_s_rates_and_s_values(shrunken_reference):
    """Given R's modes and standard deviations, all that follows from them is the same to the last digits.

    The table of the cohort lacks a gene that R's s-values count.
    """
    reference = shrunken_reference
    theirs, beyond = reference.table("apeglm_fit"), reference.table("apeglm_lfcThreshold1")["svalue"]
    effect, sd = (theirs.filter(like=kind).iloc[:, position(reference)] for kind in ("map_ln:", "sd_ln:"))
    rates = false_sign_probability(effect, sd)
    np.testing.assert_allclose(rates, theirs["fsr"], rtol=1e-12, atol=1e-300)
    np.testing.assert_allclose(s_values(rates), theirs["svalue"], rtol=0.0, atol=1e-10)
    or_small = s_values(false_sign_probability(effect, sd, LN2))
    np.testing.assert_allclose(or_small, beyond.reindex(theirs.index), rtol=0.0, atol=1e-10)
    half_width = ndtri(0.975) * sd
    np.testing.assert_allclose(effect - half_width, theirs["lower_ln"], rtol=0.0, atol=1e-10)
    np.testing.assert_allclose(effect + half_width, theirs["upper_ln"], rtol=0.0, atol=1e-10)


@pytest.mark.parametrize("threshold", [0.0, 1.0])
def test_rates_and_s_values_of_a_fit_are_those_of_the_exact_modes(shrunken_reference, threshold):
    """These are no worse than R's, and R's rates and s-values follow from its modes in the same way (above).

    Our dispersions differ from R's by up to 2e-5 of their size, and a mode over its sd, x, by no more than
    that times x. As x phi(x) < 0.25, neither do two rates differ by more, nor s-values, which are means of
    rates.
    """
    reference = shrunken_reference
    theirs, k = reference.table("apeglm_fit").filter(like="map_ln:").dropna(), position(reference)
    found, _ = with_r_inputs(reference, theirs.index, [k], r_scale(reference))
    rates = false_sign_probability(found.beta[:, k], found.sd, threshold * LN2)
    table = reference.fit.shrink(coef=reference.coef, lfc_threshold=threshold)
    ours, error = (reference.ours(table[name], theirs) * LN2 for name in ("log2_fold_change", "lfc_se"))
    np.testing.assert_allclose(ours, found.beta[:, k], rtol=1e-4, atol=1e-4 * found.sd.min())
    np.testing.assert_allclose(error, found.sd, rtol=1e-4)
    np.testing.assert_allclose(
        false_sign_probability(ours, error, threshold * LN2), rates, rtol=0.0, atol=1e-5
    )
    np.testing.assert_allclose(reference.ours(table["s_value"], theirs), s_values(rates), rtol=0.0, atol=1e-5)
    assert ("prob_gt_threshold" in table.columns) == (threshold > 0.0)


def test_without_adaptation(reference):
    """Scale 1, and all coefficients but the intercept are shrunk."""
    theirs, k = reference.table("apeglm_noadapt")["log2FoldChange"].dropna() * LN2, position(reference)
    theirs = theirs[reference.fit.estimated[reference.fit.counts.genes.get_indexer(theirs.index)]]
    others = [i for i in range(1, reference.fit.design.n_coefficients) if i != k]
    found, objective = with_r_inputs(reference, theirs.index, [k, *others], 1.0)
    apart = np.abs(found.beta[:, k] - theirs.to_numpy()) > 1e-4
    some = objective.genes(apart)
    lowest = some.lowest_at(theirs.to_numpy()[apart], k, found.beta[apart])
    assert no_worse(some(found.beta[apart]), lowest).all()
    table = reference.fit.shrink(coef=reference.coef, adapt=False)
    ours = reference.ours(table["log2_fold_change"], theirs) * LN2
    np.testing.assert_allclose(ours, found.beta[:, k], rtol=1e-4, atol=1e-4 * found.sd.min())


def test_normal_shrinkage(reference):
    """R gives genes that do not settle to another optimizer, which stops early: ours are no worse there."""
    theirs, fit, k = reference.table("normal_res").dropna(), reference.fit, position(reference)
    table = fit.shrink(coef=reference.coef, method="normal")
    ours, error, stat = (
        reference.ours(table[name], theirs) for name in ("log2_fold_change", "lfc_se", "stat")
    )
    apart = np.abs(ours - theirs["log2FoldChange"].to_numpy()) > 1e-6
    np.testing.assert_allclose(error[~apart], theirs["lfcSE"][~apart], rtol=0.0, atol=1e-6)
    np.testing.assert_array_equal(stat, reference.ours(fit.results(coef=reference.coef)["stat"], theirs))
    np.testing.assert_array_equal(theirs["stat"], reference.table("results")["stat"][theirs.index])
    rows = fit.counts.genes.get_indexer(theirs.index[apart])
    objective = Objective(
        fit.counts.rows(rows), fit.normalization_factors[rows], fit.design.matrix, fit.dispersion[rows],
        np.zeros(fit.design.n_coefficients, dtype=bool), np.sqrt(prior_variances(fit)),
    )  # fmt: skip
    start = fit.beta[rows]
    values = [
        objective.lowest_at(effect[apart] * LN2, k, start) for effect in (ours, theirs["log2FoldChange"])
    ]
    assert no_worse(*values).all()


def test_ash_with_r_s_weights(reference):
    """Given the weights that R's solver found, all else is the same."""
    scalars = pd.read_csv(reference.folder / "scalars.tsv", sep="\t", index_col="key")["value"]
    numbers = range(1, 1 + sum(name.startswith("ashr.sd") for name in scalars.index))
    weight = np.array([float(scalars[f"ashr.pi{i}"]) for i in numbers])
    sd = np.array([float(scalars[f"ashr.sd{i}"]) for i in numbers])
    estimates = reference.table("results")
    estimates = estimates[estimates["lfcSE"] > 0.0]
    effect, error = estimates["log2FoldChange"].to_numpy(), estimates["lfcSE"].to_numpy()
    posterior = NormalMixture(weight, sd).posterior(effect, error)
    theirs = reference.table("ashr_res").reindex(estimates.index)
    assert np.allclose(posterior.effect, theirs["log2FoldChange"], rtol=1e-9, atol=1e-11)
    assert np.allclose(posterior.effect_sd, theirs["lfcSE"], rtol=1e-9, atol=1e-11)
    ours = fit_mixture(effect, error)
    assert np.allclose(ours.sd, sd, rtol=1e-10)

    def log_likelihood(weights):
        variance = sd**2 + error[:, None] ** 2
        density = np.exp(-0.5 * effect[:, None] ** 2 / variance) / np.sqrt(variance)
        return np.sum(np.log(density @ (weights / weights.sum())))

    assert log_likelihood(ours.weight) >= log_likelihood(weight) - 1e-9


def test_ash(reference):
    """With the weights of the highest likelihood; R's solver stops early, at a lower one (above)."""
    estimates, theirs = reference.table("results"), reference.table("ashr_res")
    estimates = estimates[estimates["lfcSE"] > 0.0]
    effect, error = estimates["log2FoldChange"].to_numpy(), estimates["lfcSE"].to_numpy()
    expected = fit_mixture(effect, error).posterior(effect, error)
    fit = reference.fit
    table, ours = (
        made.loc[estimates.index]
        for made in (fit.shrink(coef=reference.coef, method="ashr"), fit.results(coef=reference.coef))
    )
    assert theirs["log2FoldChange"].notna().sum() == len(estimates)
    moved = np.abs(ours["log2_fold_change"] - effect) + np.abs(ours["lfc_se"] - error)
    for name, values in (("log2_fold_change", expected.effect), ("lfc_se", expected.effect_sd)):
        assert (np.abs(table[name] - values) < 1e-5 + 4.0 * moved).all(), name


def test_two_contrasts_from_one_fit(reference):
    """A coefficient with its sign turned is shrunk to the mirror image."""
    fit, k = reference.fit, position(reference)
    vector = -np.eye(fit.design.n_coefficients)[k]
    for method in ("apeglm", "ashr"):
        forward = fit.shrink(coef=reference.coef, method=method)["log2_fold_change"]
        backward = fit.shrink(contrast=vector, method=method)["log2_fold_change"]
        assert np.allclose(backward, -forward, rtol=1e-6, atol=1e-8, equal_nan=True)


def test_what_a_method_cannot_do_is_refused(shrunken_reference):
    fit = shrunken_reference.fit
    vector = -np.eye(fit.design.n_coefficients)[position(shrunken_reference)]
    with pytest.raises(InputError, match=r"'apeglm' and 'ashr' take any contrast"):
        fit.shrink(contrast=vector, method="normal")
    with pytest.raises(OptionError, match="method"):
        fit.shrink(method="lasso")
    with pytest.raises(OptionError, match="adapt=False"):
        fit.shrink(method="ashr", adapt=False)
