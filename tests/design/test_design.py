"""Designs from formulas and matrices, what is refused and how it is explained, and contrasts."""

import pickle

import numpy as np
import pandas as pd
import pytest

from bayesde import BayesdeWarning, Contrast, Design, InputError

TABLE = pd.DataFrame(
    {
        "condition": ["control", "control", "treated", "treated", "treated", "control", "drug", "drug"],
        "batch": [1, 2, 1, 2, 1, 2, 1, 2],
        "age": [30.0, 40, 50, 60, 35, 45, 55, 65],
        "cell line": ["a", "a", "b", "b", "a", "b", "b", "a"],
        "smoker": [True, False, True, False, True, True, False, False],
        "constant": ["k"] * 8,
        "sample_id": list("abcdefgh"),
        "condition_copy": ["c", "c", "t", "t", "t", "c", "d", "d"],
    },
    index=[f"s{i}" for i in range(1, 9)],
)
BATCH = "~ C(batch) + condition"


def design(formula=BATCH, references=None, table=TABLE):
    return Design.from_formula(formula, table, references)


def test_names_levels_and_shape():
    made = design()
    assert made.coefficients == ("Intercept", "C(batch)[T.2]", "condition[T.drug]", "condition[T.treated]")
    assert made.factors == {"batch": ("1", "2"), "condition": ("control", "drug", "treated")}
    assert made.terms == {"Intercept": (0,), "C(batch)": (1,), "condition": (2, 3)}
    assert made.groups["batch"] == ("1", "2", "1", "2", "1", "2", "1", "2")
    assert made.samples == tuple(TABLE.index)
    assert (made.n_samples, made.n_coefficients, made.residual_df) == (8, 4, 4)
    assert made.intercept == 0
    assert made.formula == BATCH
    np.testing.assert_array_equal(made.matrix[:, 3], TABLE["condition"] == "treated")
    assert made.to_frame().loc["s2", "C(batch)[T.2]"] == 1.0


def test_a_design_cannot_be_changed_and_shares_nothing():
    table = TABLE.copy()
    made = design(table=table)
    table["condition"] = "z"
    assert made.contrast(("condition", "drug", "control")).coefficient == "condition[T.drug]"
    with pytest.raises(ValueError, match="read-only"):
        made.matrix[0, 0] = 2.0
    with pytest.raises(AttributeError):
        made.formula = "~ 1"
    matrix = np.array(made.matrix)
    Design.from_matrix(matrix)
    matrix[0, 0] = 1.0  # still the caller's to write to


@pytest.mark.filterwarnings("ignore:`batch` is used as a number")
@pytest.mark.parametrize(
    ("formula", "coefficients"),
    [
        ("~ 1", ("Intercept",)),
        ("age", ("Intercept", "age")),
        ("~ 0 + condition", ("condition[control]", "condition[drug]", "condition[treated]")),
        ("~ condition - 1", ("condition[control]", "condition[drug]", "condition[treated]")),
        ("~ `cell line` + age", ("Intercept", "cell line[T.b]", "age")),
        ("~ smoker", ("Intercept", "smoker[T.True]")),
        ("~ batch", ("Intercept", "batch")),
        ("~ np.log(age)", ("Intercept", "np.log(age)")),
        ("~ center(age)", ("Intercept", "center(age)")),
    ],
)
def test_formulas(formula, coefficients):
    made = design(formula)
    assert made.coefficients == coefficients
    assert made.has_intercept == ("Intercept" in coefficients)


def test_reference_levels():
    assert design("~ condition", {"condition": "drug"}).factors["condition"] == ("drug", "control", "treated")
    table = TABLE.assign(
        condition=pd.Categorical(TABLE["condition"], ["unused", "treated", "drug", "control"])
    )
    made = design("~ condition", table=table)
    assert made.factors["condition"] == ("treated", "drug", "control")
    assert made.coefficients == ("Intercept", "condition[T.drug]", "condition[T.control]")
    assert design("~ C(batch)", {"batch": 2}).coefficients == ("Intercept", "C(batch)[T.1]")


def test_numeric_levels_are_ordered_by_number():
    table = pd.DataFrame({"dose": [10.0, 9.0, 100.0] * 2}, index=list("abcdef"))
    assert design("~ C(dose)", table=table).factors == {"dose": ("9", "10", "100")}


def test_levels_of_mixed_types_are_compared_as_text():
    table = pd.DataFrame({"dose": [1, "1", "high", 2, "2", "high"]}, index=list("abcdef"), dtype=object)
    assert design("~ dose", table=table).factors == {"dose": ("1", "2", "high")}


@pytest.mark.parametrize(
    ("formula", "words"),
    [
        ("~ nothing_like_it", "not in the sample table.*columns are 'condition'"),
        ("~ conditon", "Did you mean 'condition'"),
        ("~ condition + constant", "'constant' has one level, 'k'"),
        ("~ sample_id", "saturated: 8 coefficients for 8 samples"),
        ("~ condition + C(age)", "saturated: 10 coefficients for 8 samples"),
        ("~ condition + condition_copy", r"condition_copy\[T.d\] = condition\[T.drug\]"),
        ("~ age + I(2 * age + 1)", r"I\(2 \* age \+ 1\) = Intercept \+ 2\*age"),
        ("y ~ condition", "has a response"),
        ("~ condition | batch", "several parts"),
        ("", "give a formula"),
        (None, "give a formula"),
        ("0", "no terms"),
        ("~ condition +", "cannot be read"),
        ("~ condition + (", "cannot be read"),
        ("~ __import__('os').getcwd()", "cannot be read"),
        ("~ open('x')", "uses 'open'"),
        ("~ np.log(age - 30)", "not finite in .* for the sample.s. 's1'"),
        ("~ bs(age, df=0.5)", "cannot be evaluated"),
    ],
)
def test_designs_that_cannot_be_used(formula, words):
    with pytest.raises(InputError, match=words):
        design(formula)


@pytest.mark.parametrize(
    ("references", "words"),
    [
        (
            {"condition": "untreated"},
            "not a level of 'condition'.*'control', 'drug', 'treated'.*Did you mean",
        ),
        ({"conditon": "control"}, "not a factor of the design.*Did you mean 'condition'"),
        ({"age": "30"}, "not a factor of the design"),
    ],
)
def test_references_that_do_not_exist(references, words):
    with pytest.raises(InputError, match=words):
        design("~ condition + age", references)


def test_the_caller_keeps_the_references():
    references = {"condition": "drug"}
    design("~ condition", references)
    assert references == {"condition": "drug"}


@pytest.mark.parametrize(
    ("column", "value"), [("condition", None), ("condition", " "), ("age", np.nan), ("age", np.inf)]
)
def test_gaps_in_used_variables_are_named(column, value):
    table = TABLE.copy()
    table.loc["s4", column] = value
    with pytest.raises(InputError, match=f"'{column}' is missing or not finite for the sample.s. 's4'"):
        design("~ condition + age", table=table)
    assert design("~ C(batch)", table=table).n_coefficients == 2


def test_an_interaction_without_samples_in_a_cell():
    table = pd.DataFrame({"x": list("aaabbb"), "y": list("ppqppp")}, index=list("123456"))
    with pytest.raises(InputError, match=r"'x\[T.b\]:y\[T.q\]' is 0 for every sample"):
        design("~ x * y", table=table)


def test_matrices():
    frame = pd.DataFrame({"one": [1, 1, 1], "x": [0, 1, 2]}, index=["a", "b", "c"])
    made = Design.from_matrix(frame)
    assert (made.coefficients, made.samples, made.intercept) == (("one", "x"), ("a", "b", "c"), 0)
    assert made.contrast().coefficient == "x"
    assert Design.from_matrix(np.eye(3)[:, :2]).coefficients == ("x1", "x2")


@pytest.mark.parametrize(
    ("matrix", "names", "words"),
    [
        ([[1, "a"]], None, "not numeric"),
        ([1, 2], None, r"shape \(2,\)"),
        ([[1, np.nan], [1, 2], [1, 3]], None, "not finite in 'x2' for the sample.s. 'sample1'"),
        ([[1, 2], [1, 2], [1, 2]], None, r"x2 = 2\*x1"),
        (np.eye(3), None, "saturated"),
        (np.empty((3, 0)), None, "no coefficients"),
        (np.eye(3)[:, :2], ["a", "a"], "duplicate coefficient names"),
        (np.eye(3)[:, :2], ["a"], "1 coefficient names were given for 2"),
    ],
)
def test_matrices_that_cannot_be_used(matrix, names, words):
    with pytest.raises(InputError, match=words):
        Design.from_matrix(matrix, names)


@pytest.mark.parametrize(
    ("spec", "vector", "coefficient", "name"),
    [
        (None, [0, 0, 0, 1], "condition[T.treated]", "condition[T.treated]"),
        (
            ("condition", "treated", "control"),
            [0, 0, 0, 1],
            "condition[T.treated]",
            "condition treated vs control",
        ),
        (("condition", "control", "treated"), [0, 0, 0, -1], None, "condition control vs treated"),
        (("condition", "treated", "drug"), [0, 0, -1, 1], None, "condition treated vs drug"),
        (["batch", 2, 1], [0, 1, 0, 0], "C(batch)[T.2]", "batch 2 vs 1"),
        ("condition[T.drug]", [0, 0, 1, 0], "condition[T.drug]", "condition[T.drug]"),
        ("condition[T.treated] - condition[T.drug]", [0, 0, -1, 1], None, None),
        ("0.5*C(batch)[T.2] + condition[T.drug]/2", [0, 0.5, 0.5, 0], None, None),
        ("(condition[T.treated] + condition[T.drug]) / 2", [0, 0, 0.5, 0.5], None, None),
        ([0, 0, 2, 0], [0, 0, 2, 0], None, "2*condition[T.drug]"),
        (np.array([0, 0, 1.0, -1.0]), [0, 0, 1, -1], None, "condition[T.drug] - condition[T.treated]"),
    ],
)
def test_contrasts(spec, vector, coefficient, name):
    contrast = design().contrast(spec)
    np.testing.assert_allclose(contrast.vector, vector, atol=1e-15)
    assert contrast.coefficient == coefficient
    assert contrast.name == (name if name is not None else spec)
    again = design().contrast(contrast)
    assert (again.name, again.factor, again.coefficient) == (
        contrast.name,
        contrast.factor,
        contrast.coefficient,
    )


def test_contrasts_of_levels_say_which():
    contrast = design().contrast(("condition", "treated", "drug"))
    assert (contrast.factor, contrast.level, contrast.reference) == ("condition", "treated", "drug")
    assert isinstance(contrast, Contrast)
    with pytest.raises(ValueError, match="read-only"):
        contrast.vector[0] = 1.0


@pytest.mark.parametrize(
    "formula", ["~ condition * age", "~ condition * center(age)", "~ np.log(age) * condition"]
)
def test_with_interactions_a_level_is_compared_in_the_reference_group(formula):
    made = design(formula)
    contrast = made.contrast(("condition", "treated", "control"))
    assert contrast.coefficient == "condition[T.treated]"


def test_with_two_factors_interacting():
    made = design("~ condition * smoker", table=TABLE.iloc[[0, 1, 2, 3, 4, 5]])
    assert made.contrast(("condition", "treated", "control")).coefficient == "condition[T.treated]"


def test_without_an_intercept_the_default_is_last_against_first():
    contrast = design("~ 0 + condition").contrast()
    assert contrast.name == "condition treated vs control"
    np.testing.assert_array_equal(contrast.vector, [-1, 0, 1])


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        (("conditon", "treated", "control"), "not a factor.*Did you mean 'condition'"),
        (
            ("condition", "treatd", "control"),
            "not a level.*'control', 'drug', 'treated'.*Did you mean 'treated'",
        ),
        (("condition", "treated", "treated"), "with itself"),
        (("condition", "treated"), "has 2 parts"),
        (("age", "1", "2"), "not a factor.*name of its coefficient"),
        ("condition", "'condition' is a factor"),
        ("condition[T.treatd]", r"Did you mean 'condition\[T.treated\]'"),
        ("condition[T.treated] - condition[T.X]", r"unknown coefficient 'condition\[T.X\]'"),
        ("condition[T.treated] - 1", "without a constant"),
        ("condition[T.treated] -", "cannot be read"),
        ("condition[T.treated], condition[T.drug]", "single sum"),
        ([1, 0], r"shape \(2,\); 4 weights are needed, for 'Intercept'"),
        ([0, 0, 0, 0], "not all zero"),
        ([0, 0, np.nan, 1], "finite"),
        ({"a": 1}, "not understood"),
        ("condition[T.drug] - condition[T.drug]", "not all zero"),
    ],
)
def test_contrasts_that_do_not_exist(spec, words):
    with pytest.raises(InputError, match=words):
        design().contrast(spec)


def test_designs_travel_to_other_processes():
    made = pickle.loads(pickle.dumps(design()))
    assert made.contrast(("condition", "drug", "control")).coefficient == "condition[T.drug]"


@pytest.mark.parametrize(
    ("name", "formula"), [("airway", "~ cell + dex"), ("pasilla_type", "~ type + condition")]
)
def test_model_matrices_are_those_of_r(shared, name, formula):
    reference = pd.read_csv(shared / "ref" / name / "design.tsv", sep="\t")
    table = pd.read_csv(shared / "data" / name.split("_")[0] / "coldata.tsv", sep="\t", index_col=0)
    references = {"airway": {"dex": "untrt"}, "pasilla_type": {"condition": "untreated"}}[name]
    made = Design.from_formula(formula, table, references)
    numbers = reference.select_dtypes("number").to_numpy(dtype=float)
    np.testing.assert_array_equal(made.matrix, numbers)


def test_a_covariate_far_from_zero_is_to_be_centred():
    table = TABLE.assign(time=1e10 + TABLE["age"])
    with pytest.raises(InputError, match=r"collinear.*write center\(time\) in the formula"):
        design("~ time", table=table)
    assert design("~ center(time)", table=table).n_coefficients == 2
    with pytest.raises(InputError, match=r"or combine them.$"):
        design("~ age + twice", table=TABLE.assign(twice=2 * TABLE["age"]))


def test_levels_of_a_covariate_need_a_factor():
    with pytest.warns(BayesdeWarning, match="`batch` is used as a number"):
        made = design("~ batch")
    with pytest.raises(InputError, match=r"write C\(batch\) in the formula"):
        made.contrast(("batch", "2", "1"))
    assert design("~ C(batch)").contrast(("batch", "2", "1")).coefficient == "C(batch)[T.2]"
