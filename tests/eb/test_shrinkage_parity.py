"""Shrunken effects against R's apeglm 1.27.0, DESeq2 1.38.3 (normal) and ashr 2.2-65, gene by gene.

R's apeglm stops when its objective changes little, up to some 0.01 log2 from the mode, and starts from one
point, so that it may end at the worse of two modes: what we demand is an objective that is nowhere worse.
"""

import math

import numpy as np
import pandas as pd
import pytest
from scipy.special import ndtri

from bayesde.eb.ash import NormalMixture, fit_mixture
from bayesde.eb.shrink import NUISANCE_SD, false_sign_probability, prior_scale, shrink_coefficient
from bayesde.errors import InputError, OptionError
from bayesde.results import s_values

LN2 = math.log(2.0)


def position(reference):
    return reference.fit.design.coefficients.index(reference.coef)


def r_scale(reference):
    return reference.scalar("apeglm.prior.control.prior.scale")


def with_r_inputs(reference, scale):
    """Our modes of the genes of R's table, at R's dispersions and size factors; and the objective."""
    fit, theirs = reference.fit, reference.table("apeglm_fit").filter(like="map_ln:").dropna()
    genes, k = fit.counts.genes.get_indexer(theirs.index), position(reference)
    theirs, genes = theirs[fit.estimated[genes]], genes[fit.estimated[genes]]
    dispersion = reference.table("deseq2_mcols")["dispersion"].reindex(theirs.index).to_numpy()
    factors = pd.read_csv(reference.folder / "size_factors.tsv", sep="\t")["sizeFactor"].to_numpy()[None, :]
    counts, design = fit.counts.rows(genes), fit.design.matrix
    found = shrink_coefficient(counts, factors, design, dispersion, fit.beta[genes], [k], scale)
    shrunken = np.arange(design.shape[1]) == k

    def objective(beta):
        r, eta = 1.0 / dispersion[:, None], beta @ design.T
        loss = np.sum((counts + r) * np.log1p(np.exp(eta) * factors / r) - counts * eta, axis=1)
        nuisance = 0.5 * np.sum((beta[:, ~shrunken] / NUISANCE_SD) ** 2, axis=1)
        return loss + nuisance + np.log1p((beta[:, shrunken] / scale) ** 2).sum(axis=1)

    return theirs, found, objective


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


def test_no_gene_has_a_worse_objective_than_r(reference):
    """Nor than the better of the two modes that are reached from zero and from the estimate."""
    theirs, found, objective = with_r_inputs(reference, r_scale(reference))
    ours = objective(found.beta)
    assert found.converged.all()
    assert np.all(ours <= objective(theirs.to_numpy()) + 1e-12 * (1.0 + np.abs(ours)))
    exact = reference.table("apeglm_exact_mode").reindex(theirs.index)
    assert np.all(ours <= objective(exact.filter(like="exact_ln:").to_numpy()) + 1e-12 * (1.0 + np.abs(ours)))
    elsewhere = np.abs(found.beta[:, position(reference)] / LN2 - exact["lfc_best_mode"]) > 1e-6
    assert elsewhere.sum() <= 1, list(theirs.index[elsewhere])


def test_modes_and_sds_are_exact(reference):
    theirs, found, _ = with_r_inputs(reference, r_scale(reference))
    exact = reference.table("apeglm_exact_mode").reindex(theirs.index)
    same = np.abs(found.beta[:, position(reference)] / LN2 - exact["lfc_exact"]).to_numpy() < 1e-4
    assert same.mean() > 0.99
    ours, column = found.beta[same][:, position(reference)] / LN2, exact["lfc_exact"].to_numpy()[same]
    assert np.abs(ours - column).max() < 1e-8
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
def test_rates_agree_where_the_modes_do(shrunken_reference, threshold):
    """To 1e-6 for most; R's standard deviations are by finite differences, which is off more for a few.

    An s-value is a mean over all genes of lower rates, R's inexact modes included: with R's rates for these
    genes, the others' s-values are R's, but for some of equal rates, whose order among each other counts.
    """
    reference = shrunken_reference
    theirs, k = reference.table("apeglm_fit"), position(reference)
    effect, sd = (theirs.filter(like=kind).iloc[:, k].to_numpy() for kind in ("map_ln:", "sd_ln:"))
    table = reference.fit.shrink(coef=reference.coef)
    ours, error = (reference.ours(table[name], theirs) * LN2 for name in ("log2_fold_change", "lfc_se"))
    same = np.abs(ours - effect) < 1e-6 * LN2
    assert same.mean() > 0.05
    rates = false_sign_probability(effect, sd, threshold * LN2)
    mixed = np.where(same, false_sign_probability(ours, error, threshold * LN2), rates)
    difference = np.abs(mixed - rates)[same]
    assert difference.max() < 1e-4
    assert np.quantile(difference, 0.99) < 3e-6
    assert np.median(difference) < 1e-6
    assert np.quantile(np.abs(s_values(mixed) - s_values(rates))[same], 0.9) < 1e-4


def test_threshold(shrunken_reference):
    """R's s-values also average R's inexact modes of other genes; on the whole they are the same."""
    reference = shrunken_reference
    theirs = reference.table("apeglm_lfcThreshold1")["svalue"]
    table = reference.fit.shrink(coef=reference.coef, lfc_threshold=1.0)
    assert np.median(np.abs(reference.ours(table["s_value"], theirs) - theirs)) < 2e-3
    assert {"prob_gt_threshold"} <= set(table.columns)


def test_without_adaptation(reference):
    """Scale 1, and all coefficients but the intercept are shrunk."""
    theirs = reference.table("apeglm_noadapt")
    table = reference.fit.shrink(coef=reference.coef, adapt=False)
    difference = np.abs(reference.ours(table["log2_fold_change"], theirs) - theirs["log2FoldChange"])
    assert np.nanmedian(difference) < 5e-4
    assert np.nanmax(difference) < 0.2


def test_normal_shrinkage(reference):
    """R gives genes that do not settle to another optimizer, which stops early: these are few and near."""
    theirs = reference.table("normal_res")
    table = reference.fit.shrink(coef=reference.coef, method="normal")
    for ours, column, most in (("log2_fold_change", "log2FoldChange", 3e-4), ("lfc_se", "lfcSE", 1e-4)):
        present = theirs["log2FoldChange"].notna().to_numpy()
        difference = np.abs(reference.ours(table[ours], theirs) - theirs[column])[present]
        assert difference.max() < most
        assert np.mean(difference > 1e-6) < 5e-3
    stat = reference.ours(table["stat"], theirs)
    assert np.nanmean(np.abs(stat - theirs["stat"]) > 1e-4) < 1e-3


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
    """R's solver stops early, so its likelihood is never higher, and effects differ by little."""
    theirs = reference.table("ashr_res")
    table = reference.fit.shrink(coef=reference.coef, method="ashr")
    difference = np.abs(reference.ours(table["log2_fold_change"], theirs) - theirs["log2FoldChange"])
    assert np.nanmedian(difference) < 2e-5
    assert np.nanmax(difference) < 3e-3


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
