"""Options of the fit against R's answers, made by ``tests/reference/eb_options.R``."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from bayesde import Counts, EbOptions, InputError, fit_eb, load_pasilla

ANSWERS = Path(__file__).parents[1] / "reference" / "eb_options.tsv.gz"
REFERENCE = {"condition": "untreated"}
COLUMNS = {
    "log2_fold_change": "log2FoldChange",
    "lfc_se": "lfcSE",
    "stat": "stat",
    "p_value": "pvalue",
    "padj": "padj",
}


@pytest.fixture(scope="module")
def counts() -> Counts:
    """The 400 genes that R was given."""
    whole = load_pasilla()
    expressed = np.flatnonzero(whole.matrix.sum(axis=1) > 40)
    return whole.subset(genes=expressed[np.arange(0, 8000, 20)])


@pytest.fixture(scope="module")
def weights(counts) -> np.ndarray:
    """The pattern of the R script, whose indices start at 1."""
    rows, columns = np.arange(1, counts.n_genes + 1), np.arange(1, counts.n_samples + 1)
    pattern = (7 * rows[:, None] + 13 * columns) % 23
    return np.where(pattern == 1, 0.004, pattern / 10)


@pytest.fixture(scope="module")
def answers() -> pd.DataFrame:
    return pd.read_csv(ANSWERS, sep="\t")


def check(fit, answers, kind, use=COLUMNS, relative=3e-6):
    theirs = answers[answers["kind"] == kind].reset_index(drop=True)
    assert theirs["gene"].tolist() == fit.counts.genes.tolist()
    table = fit.results(coef="condition[T.treated]").reset_index(drop=True)
    pairs = {"baseMean": fit.base_mean, "dispersion": fit.dispersion, "maxCooks": fit.max_cooks}
    pairs |= {name: table[ours] for ours, name in use.items()}
    for name, ours in pairs.items():
        np.testing.assert_allclose(np.asarray(ours), theirs[name], rtol=relative, atol=0.0, err_msg=name)


@pytest.mark.parametrize(
    ("kind", "design"), [("weights", "~ type + condition"), ("weights_one_factor", "~ condition")]
)
def test_weights(counts, weights, answers, kind, design):
    check(fit_eb(counts, design, references=REFERENCE, weights=weights), answers, kind)


def test_weights_of_1_are_no_weights(counts):
    plain = fit_eb(counts, "~ type + condition", references=REFERENCE)
    weighted = fit_eb(counts, "~ type + condition", references=REFERENCE, weights=np.ones((400, 7)))
    np.testing.assert_allclose(weighted.dispersion, plain.dispersion, rtol=1e-9)
    np.testing.assert_allclose(weighted.beta, plain.beta, rtol=1e-9, atol=1e-9)


def test_weights_by_name_may_stand_in_any_order(counts, weights):
    table = pd.DataFrame(weights, index=counts.genes, columns=counts.samples)
    shuffled = table.iloc[::-1, ::-1]
    ours, same = (fit_eb(counts, "~ condition", weights=given).beta for given in (weights, shuffled))
    assert np.array_equal(ours, same)


def test_genes_without_enough_weight_have_no_estimates(counts):
    weights = np.ones((400, 7))
    weights[3, counts.sample_table["condition"] == "treated"] = 0.0
    weights[5] = 0.0
    fit = fit_eb(counts, "~ condition", references=REFERENCE, weights=weights)
    table = fit.results()
    assert np.flatnonzero(fit.low_weight).tolist() == [3, 5]
    assert table["status"].iloc[[3, 5]].tolist() == ["low_weight", "low_weight"]
    assert table.loc[fit.low_weight, ["log2_fold_change", "p_value"]].isna().all(axis=None)
    assert fit.shrink()["status"].iloc[[3, 5]].tolist() == ["low_weight", "low_weight"]


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        (np.ones((400, 6)), "shape"),
        (np.full((400, 7), -1.0), "0 or more"),
        (np.full((400, 7), np.nan), "finite"),
        (np.full((400, 7), "much"), "not numbers"),
        (np.zeros((400, 7)), "enough weight"),
    ],
)
def test_weights_that_cannot_be(counts, bad, words):
    with pytest.raises(InputError, match=words):
        fit_eb(counts, "~ condition", weights=bad)


def test_t_distribution(counts, answers):
    fit = fit_eb(counts, "~ type + condition", references=REFERENCE, options=EbOptions(use_t=True))
    check(fit, answers, "use_t")


def test_smallest_mean(counts, answers):
    fit = fit_eb(counts, "~ type + condition", references=REFERENCE, options=EbOptions(min_mu=5.0))
    check(fit, answers, "min_mu")


def test_given_trend(counts, answers):
    fit = fit_eb(counts, "~ type + condition", references=REFERENCE, trend=lambda mean: 0.05 + 2 / mean)
    assert fit.trend.kind == "given"
    check(fit, answers, "given_trend")


def test_trend_of_another_fit(counts):
    first = fit_eb(counts, "~ condition")
    second = fit_eb(counts, "~ condition", trend=first.trend)
    assert np.array_equal(first.dispersion, second.dispersion)


@pytest.mark.parametrize(
    ("trend", "words"),
    [
        ("parametric", "must be a function"),
        (lambda mean: 0.1, "shape"),
        (lambda mean: -mean, "above 0"),
    ],
)
def test_trends_that_cannot_be(counts, trend, words):
    with pytest.raises(InputError, match=words):
        fit_eb(counts, "~ condition", trend=trend)
