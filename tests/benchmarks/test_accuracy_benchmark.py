"""The accuracy benchmark: its measures against closed forms, engine psis on counts from the model."""

import math

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binom, chi2, norm

import bayesde as bde
from benchmarks.accuracy import __main__ as run
from benchmarks.accuracy import judge, metrics, outliers, page
from benchmarks.accuracy.answers import LEVELS, around, bayesde_answers
from benchmarks.accuracy.problems import simulated_problems
from benchmarks.accuracy.records import Answer
from benchmarks.accuracy.seqc import SEQC, seqc_problems

N = 20_000
CHANCE = 1e-4
"""Of a test to fail that is right; seeds are fixed."""


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(7)


def within_chance(share: float, expected: float, number: int) -> bool:
    """Whether a share is one that a binomial number gives but in a share `CHANCE` of all cases."""
    low, high = binom.interval(1.0 - CHANCE, number, expected)
    return low <= share * number <= high


def test_coverage_of_normal_intervals(rng):
    truth, error = rng.normal(size=N), np.full(N, 0.3)
    intervals = around(truth + error * rng.normal(size=N), error)
    for level in LEVELS:
        assert within_chance(metrics.coverage(intervals[level], truth), level, N)


def test_an_interval_that_is_missing_does_not_cover():
    interval = np.array([-1.0, np.nan]), np.array([1.0, np.nan])
    assert metrics.coverage(interval, np.zeros(2)) == 0.5


def test_coverage_of_intervals_widened_by_the_error_of_the_truth(rng):
    effect, own = rng.normal(size=N), np.full(N, 0.4)
    estimate = effect + 0.3 * rng.normal(size=N)
    truth = effect + own * rng.normal(size=N)
    for level, interval in around(estimate, np.full(N, 0.3)).items():
        wider = metrics.widened(interval, estimate, own, level)
        assert wider[1] - estimate == pytest.approx(norm.ppf(0.5 + level / 2) * 0.5)
        assert within_chance(metrics.coverage(wider, truth), level, N)


@pytest.mark.parametrize("scale", [0.5, 1.0, 3.0])
def test_stretched_intervals_are_as_wide_as_they_must_be(rng, scale):
    truth = rng.normal(size=N)
    estimate = truth + rng.normal(size=N)
    width = metrics.interval_width((estimate - scale, estimate + scale), estimate, truth, 0.95)
    slack = 5.0 * math.sqrt(0.95 * 0.05 / N) / (2.0 * norm.pdf(1.96))  # of a quantile of |error|
    assert width == pytest.approx(2.0 * norm.ppf(0.975), abs=2.0 * slack)


def test_stretching_is_by_the_half_that_points_to_the_truth():
    interval = np.array([-1.0, -1.0]), np.array([4.0, 4.0])
    estimate, truth = np.zeros(2), np.array([-2.0, 2.0])
    assert metrics.interval_width(interval, estimate, truth, 0.95) == pytest.approx(2.0 * 5.0)


def test_a_true_effect_of_zero_has_no_right_sign():
    false = metrics.false_signs(np.array([1.0, -1.0, 1.0, 0.0]), np.array([2.0, 2.0, 0.0, 1.0]))
    assert false.tolist() == [False, True, True, True]


def test_power_is_the_longest_list_that_keeps_the_rate(rng):
    false = rng.random(300) < np.linspace(0.0, 0.4, 300)
    order = np.arange(300)
    for rate in (0.01, 0.05, 0.2):
        allowed = [k for k in range(1, 301) if sum(false[:k]) <= rate * k]
        assert metrics.power(order, false, rate) == max(allowed, default=0)


def test_errors_of_power_without_false_signs_are_those_of_a_binomial_number(rng):
    """One method calls all genes, the other two of three: the bootstrap draws the third with p = 1/3."""
    none = np.zeros(600, dtype=bool)
    orders = [np.arange(600), np.arange(400), np.arange(600)[::-1]]
    first, second, third = metrics.power_errors(orders, [none] * 3, 0.05, rng)
    assert first == third == 0.0
    low, high = chi2.interval(1.0 - CHANCE, metrics.REPLICATES - 1)
    expected = 600 * (1 / 3) * (2 / 3)
    assert low < second**2 / expected * (metrics.REPLICATES - 1) < high


def test_the_surest_come_first_and_of_equals_the_larger():
    answer = Answer("any", np.array([0.1, -5.0, 3.0, 1.0]), lfsr=np.array([0.2, 0.0, np.nan, 0.0]))
    assert metrics.surest_first(answer).tolist() == [1, 3, 0]


def test_realized_rate_counts_genes_up_to_the_threshold():
    answer = Answer("any", np.ones(4), s_value=np.array([0.01, 0.05, 0.06, np.nan]))
    assert metrics.realized_rate(answer, np.array([False, True, True, True]), 0.05) == (2, 1)


def test_concordance_at_the_top():
    assert metrics.concordance(np.array([5.0, -4.0, 1.0, 0.0]), np.array([-3.0, 0.1, 2.0, 0.0]), 2) == 0.5


@pytest.fixture(scope="module")
def case() -> judge.Case:
    """Genes drawn from the model exactly, and what bayesde says of them."""
    problem = simulated_problems(1_200)["exact"]()
    return judge.cases(problem, *bayesde_answers(problem))[0]


@pytest.fixture(scope="module")
def psis(case) -> Answer:
    return next(answer for answer in case.answers if answer.method == "psis")


def test_every_gene_with_counts_is_judged(case):
    assert case.left_out == 0
    assert case.effect.size == int((~case.problem.counts.all_zero).sum())


@pytest.mark.parametrize("level", LEVELS)
def test_intervals_of_psis_cover_what_they_claim(case, psis, level):
    assert within_chance(metrics.coverage(psis.intervals[level], case.effect), level, case.effect.size)


def test_true_effects_are_draws_from_their_posteriors(case):
    counted = judge.calibration(case)
    counted = counted[(counted["quantity"] == "effect") & (counted["stratum"] == "all")]["genes"]
    expected = counted.sum() / len(counted)
    assert ((counted - expected) ** 2 / expected).sum() < chi2.isf(CHANCE, len(counted) - 1)


@pytest.mark.parametrize("threshold", [0.01, 0.05, 0.1])
def test_false_signs_are_as_rare_as_s_values_say(case, psis, threshold):
    """The expected rate of a list is its genes' mean lfsr; their sum bounds the variance."""
    called = psis.s_value <= threshold
    false = metrics.false_signs(psis.estimate, case.effect)[called].sum()
    expected = psis.lfsr[called].sum()
    assert false <= binom.isf(CHANCE, int(called.sum()), expected / called.sum())


def test_psis_errs_no_more_than_maximum_likelihood(case):
    table = judge.scores(case)
    both = table[table["stratum"] == "both"].set_index("method")
    assert both.loc["psis", "mae"] <= both.loc["DESeq2 (MLE)", "mae"]
    assert both.loc["psis", "rmse"] <= both.loc["DESeq2 (MLE)", "rmse"]
    assert both.loc["psis", "mae_above_psis"] == 0.0


def test_hyperparameters_are_found(case):
    table = judge.learnt(case)
    z = (table["mean"] - table["true"]) / table["sd"]
    assert table["hyperparameter"].str.startswith("shrinkage_scale").any()
    assert (z.abs() < norm.isf(CHANCE / 2)).all()


def test_the_assays_of_a_gene_are_averaged(shared):
    truth = seqc_problems()["seqc4"]().truths[0]
    table = pd.read_csv(SEQC / "truth.tsv", sep="\t", dtype={"gene_id": str})
    good = table[(table["source"] == "taqman") & (table["reliable"] == 1) & (table["in_counts"] == 1)]
    twice = good["gene_id"].value_counts().loc[lambda number: number == 2].index[0]
    first, second = good[good["gene_id"] == twice].to_dict("records")
    assert truth.effect[twice] == pytest.approx((first["log2FC_B_vs_A"] + second["log2FC_B_vs_A"]) / 2)
    assert truth.error[twice] == pytest.approx(math.hypot(first["se_log2FC"], second["se_log2FC"]) / 2)
    assert truth.effect.index.is_unique


def test_new_rows_take_the_place_of_old_ones():
    def table(*rows):
        return pd.DataFrame(rows, columns=["problem", "value"])

    old = {"cases": table(("b", 1), ("c", 1))}
    new = {"cases": table(("a", 2), ("b", 2))}
    assert run.merged(old, new, "abc")["cases"].to_numpy().tolist() == [["a", 2], ["b", 2], ["c", 1]]


def test_the_page_shows_what_was_measured(tmp_path):
    tables = run.read(run.HERE / "results")
    written = run.PAGE.read_text(encoding="utf-8")
    for name, lines in page.tables_of(tables).items():
        assert f"<!-- {name} -->\n" + "\n".join(["", *lines, "", ""]) + f"<!-- /{name} -->" in written, name
    copy = tmp_path / "accuracy.md"
    copy.write_text(written, encoding="utf-8")
    page.refresh(copy, tables)
    assert copy.read_text(encoding="utf-8") == written


def test_few_genes_need_a_folder_of_their_own(capsys):
    with pytest.raises(SystemExit):
        run.parse(["--quick"])
    assert "--out DIR" in capsys.readouterr().err


def test_a_page_without_a_place_for_a_table_is_refused(tmp_path):
    (tmp_path / "empty.md").write_text("nothing", encoding="utf-8")
    with pytest.raises(ValueError, match="no place for the table"):
        page.refresh(tmp_path / "empty.md", run.read(run.HERE / "results"))


def test_leaving_out_a_planted_count_is_measured():
    drawn = bde.simulate(300, (3, 3), seed=4)
    matrix = np.array(drawn.counts.matrix)
    gene = int(np.argmax((matrix.mean(axis=1) > 50) & (matrix.min(axis=1) > 10)))
    matrix[gene, 1] = 30 * int(matrix[gene].mean())
    names = {"gene": [drawn.counts.genes[gene]], "sample": [drawn.counts.samples[1]]}
    counts = bde.Counts(
        matrix,
        genes=drawn.counts.genes,
        samples=drawn.counts.samples,
        sample_table=drawn.counts.sample_table,
    )
    truth = drawn.log2_fold_change().to_numpy()
    row = outliers.compared(counts, "~ condition", truth, pd.DataFrame(names))
    assert (row["planted"], row["planted_flagged"]) == (1, 1)
    assert row["flagged"] <= 5
    assert row["leave_out_rmse_outlying"] < row["keep_rmse_outlying"]
    assert row["leave_out_rmse"] == pytest.approx(row["keep_rmse"], rel=0.1)
