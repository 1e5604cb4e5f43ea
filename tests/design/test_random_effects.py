"""Random effects in formulas: groupings, their columns, and what is refused."""

import warnings

import numpy as np
import pandas as pd
import pytest

import bayesde as bde
from bayesde import BayesdeWarning, Design, InputError
from bayesde.design.random_effects import fixed_formula
from bayesde.eb.fit import fit_eb
from bayesde.errors import OptionError

N = 24
TABLE = pd.DataFrame(
    {
        "donor": np.repeat([f"d{i}" for i in range(1, 13)], 2),
        "number": np.repeat(np.arange(1, 13), 2),
        "condition": np.repeat(["a", "b"], 12),
        "time": np.linspace(-1.0, 2.0, N) ** 2,
        "treated": np.tile(["no", "yes"], 12),
        "clinic": np.repeat(list("pqrstu"), 4),
        "half": np.tile(["x", "y"], 12),
        "sample": [f"s{i}" for i in range(N)],
    },
    index=[f"s{i}" for i in range(N)],
)


def read(formula, table=TABLE):
    return Design.from_formula(formula, table)


def test_an_intercept_of_every_donor():
    design = read("~ condition + (1 | donor)")
    (grouping,) = design.groupings
    assert (grouping.name, grouping.term) == ("donor", "(1 | donor)")
    assert grouping.levels == tuple(f"d{i}" for i in range(1, 13))
    assert grouping.n_levels == 12
    np.testing.assert_array_equal(grouping.level, np.repeat(np.arange(12), 2))
    assert grouping.level.dtype == np.int64
    np.testing.assert_array_equal(grouping.columns, np.ones((N, 1)))
    assert grouping.column_names == ("Intercept",)
    assert grouping.sd_names == ("donor",)
    assert grouping.is_intercept
    assert design.formula == "~ condition + (1 | donor)"
    assert design.coefficients == ("Intercept", "condition[T.b]")
    assert "donor" not in design.factors


def test_the_fixed_part_is_the_design_without_them():
    design, plain = read("~ condition + (1 | donor)"), read("~ condition")
    np.testing.assert_array_equal(design.matrix, plain.matrix)
    assert design.fixed.groupings == ()
    assert design.fixed.formula == plain.formula
    assert design.fixed.coefficients == plain.coefficients
    assert plain.fixed is plain
    assert "(1 | donor): 12 levels of 2 samples" in repr(design)


def test_nested_groupings_expand():
    outer, inner = read("~ condition + (1 | clinic/donor)").groupings
    assert (outer.name, inner.name) == ("clinic", "clinic:donor")
    assert inner.term == "(1 | clinic:donor)"
    assert inner.levels[:3] == ("p:d1", "p:d2", "q:d3")


def test_slopes():
    (grouping,) = read("~ time + (1 + time | donor)").groupings
    assert grouping.column_names == ("Intercept", "time")
    assert grouping.sd_names == ("donor", "time|donor")
    np.testing.assert_array_equal(grouping.columns[:, 1], TABLE["time"])
    assert not grouping.is_intercept
    (only,) = read("~ time + (0 + time | donor)").groupings
    assert (only.term, only.column_names) == ("(0 + time | donor)", ("time",))
    (levels,) = read("~ treated + (0 + treated | donor)").groupings
    assert levels.column_names == ("treated[no]", "treated[yes]")
    np.testing.assert_array_equal(levels.columns.sum(axis=1), 1.0)


def test_numbers_are_labels_of_groups():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        (grouping,) = read("~ condition + (1 | number)").groupings
    assert grouping.levels[:2] == ("1", "2")
    assert read("~ condition + (1 | C(number))").groupings[0].name == "number"


@pytest.mark.parametrize(
    ("formula", "fixed"),
    [
        ("~ condition + (1 | donor)", "~ condition"),
        ("condition+(1|donor)", "condition"),
        ("~ (1 | donor) + time", "~ time"),
        ("(1 | donor)", "~ 1"),
        ("~ 0 + condition + (1 | donor) + (1 | clinic)", "~ 0 + condition"),
        ("~ (condition + time)**2 + (1 | donor)", "~ (condition + time)**2"),
        ("~ center(time) + (1 || donor)", "~ center(time)"),
        ("~ condition", "~ condition"),
    ],
)
def test_formulas_without_their_random_effects(formula, fixed):
    assert fixed_formula(formula) == fixed
    assert read(formula).fixed.formula == fixed


@pytest.mark.parametrize(
    ("formula", "words"),
    [
        ("~ C(number) + (1 | donor)", "already tell the levels of 'donor' apart"),
        ("~ condition + (1 | sample)", "every sample has a level of 'sample' of its own"),
        ("~ condition + (1 | half)", "has 2 level.s., 'x', 'y'; a standard deviation"),
        ("~ condition + (1 | done)", "Did you mean 'donor'"),
        ("~ condition * (1 | donor)", "must be added to the other terms"),
        ("~ condition + (1 | )", "cannot be read"),
        ("~ condition | donor", "random effects in parentheses"),
        ("~ condition + (1 | donor) + (1 | donor)", "random effects of 'donor' twice"),
        ("~ condition + (0 + I(0 * time) | donor)", "is 0 or not finite"),
        ("~ condition + donor", r"write \(1 \| donor\) in the formula"),
    ],
)
def test_what_is_refused(formula, words):
    with pytest.raises(InputError, match=words):
        read(formula)


def test_missing_levels_are_refused():
    table = TABLE.copy()
    table.loc["s3", "donor"] = None
    with pytest.raises(InputError, match=r"'donor' is missing .* 's3'"):
        read("~ condition + (1 | donor)", table)


def test_collinear_columns_without_nesting_get_no_such_advice():
    with pytest.raises(InputError, match="collinear") as caught:
        read("~ time + I(2 * time)")
    assert "|" not in str(caught.value)


def test_few_levels_are_said():
    table = TABLE.assign(donor=np.repeat(list("abcd"), 6))
    with pytest.warns(BayesdeWarning, match="'donor' has 4 levels, which say little"):
        read("~ time + (1 | donor)", table)


def test_new_samples_need_only_the_fixed_part():
    from bayesde.design.new_samples import rows_of_new_samples

    design = read("~ condition + (1 | donor)")
    rows = rows_of_new_samples(design, pd.DataFrame({"condition": ["b"]}, index=["new"]))
    np.testing.assert_array_equal(rows.to_numpy(), [[1.0, 1.0]])


def test_fits_of_fixed_effects_and_simulations_refuse_random_effects():
    counts = bde.Counts(np.full((3, N), 5), samples=list(TABLE.index), sample_table=TABLE)
    with pytest.raises(OptionError, match=r"no random effects, and the design has \(1 \| donor\)"):
        fit_eb(counts, "~ condition + (1 | donor)")
    with pytest.raises(OptionError, match="simulate has no random effects"):
        bde.simulate(5, design="~ condition + (1 | donor)", sample_table=TABLE)
