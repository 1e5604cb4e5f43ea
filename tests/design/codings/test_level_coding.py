"""Coefficients that treat the levels of a factor alike: their columns, and the design's as maps of them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from bayesde.design import Coding, Design
from bayesde.design.codings.level_coding import coding_by_levels, levels_of_terms

TABLE = pd.DataFrame(
    {
        "a": list("xyz") * 6,
        "b": ["p", "q"] * 9,
        "age": np.arange(18) / 10.0 - 1.0,
        "donor": [f"{group}{i // 2 % 3}" for i, group in enumerate(["p", "q"] * 9)],
    },
    index=[f"s{i}" for i in range(18)],
)


def coding_of(formula, shrink=None, **references):
    return coding_by_levels(Design.from_formula(formula, TABLE, references=references), shrink)


@pytest.mark.parametrize(
    ("formula", "names"),
    [
        ("~ a", ["Intercept", "a", "a", "a"]),
        ("~ 0 + b", ["Intercept", "b"]),
        ("~ b + a", ["Intercept", "b[T.q]", "a", "a", "a"]),
        ("~ a*b", ["Intercept", "a", "a", "a", "b"] + ["a:b"] * 6),
        ("~ age*b", ["Intercept", "age", "b", "age:b", "age:b"]),
        ("~ a + a:age", ["Intercept", "a", "a", "a", "age", "a:age", "a:age", "a:age"]),
        ("~ bs(age, df=3) + a", ["Intercept", *(f"bs(age, df=3)[{i}]" for i in (1, 2, 3)), "a", "a", "a"]),
    ],
)
def test_columns_and_their_names(formula, names):
    design = Design.from_formula(formula, TABLE)
    coding = coding_by_levels(design)
    assert list(coding.coefficients) == names
    assert coding.note == ""
    np.testing.assert_allclose(design.matrix @ coding.transform, coding.matrix, atol=1e-10)
    assert np.linalg.matrix_rank(coding.matrix) == design.n_coefficients


@pytest.mark.parametrize(
    "alike",
    [
        [("~ a", {}), ("~ a", {"a": "z"}), ("~ 0 + a", {"a": "y"}), ("~ C(a, contr.sum)", {})],
        [("~ a*b", {}), ("~ a*b", {"a": "z", "b": "q"}), ("~ a:b", {}), ("~ 0 + a:b", {"a": "y"})],
        [("~ age*a", {}), ("~ age*a", {"a": "z"}), ("~ 0 + a + age + a:age", {})],
    ],
    ids=["a", "a*b", "age*a"],
)
def test_what_is_sampled_does_not_depend_on_the_coding(alike):
    first, *others = (coding_of(formula, **references) for formula, references in alike)

    def columns(coding):  # terms may come in another order
        return sorted(map(tuple, coding.matrix.T))

    for other in others:
        assert columns(other) == columns(first)
        sizes = (np.bincount(coding.factor[coding.factor >= 0]) for coding in (first, other))
        assert sorted(next(sizes)) == sorted(next(sizes))


def test_weights_of_a_contrast_have_exact_zeros():
    """The center has no weight in a difference of levels, nor have other levels."""
    for formula in ("~ a", "~ 0 + a"):
        design = Design.from_formula(formula, TABLE)
        vector = coding_by_levels(design).vector(design.contrast(("a", "z", "y")).vector)
        assert vector.tolist() == [0.0, 0.0, -1.0, 1.0]


def test_draws_and_new_rows_are_mapped():
    design = Design.from_formula("~ a*b", TABLE)
    coding = coding_by_levels(design)
    theta = np.random.default_rng(1).normal(size=(5, coding.n_coefficients + 1)).astype(np.float32)
    beta = coding.coefficients_of(theta)
    assert beta.shape == (5, design.n_coefficients + 1)
    assert beta.dtype == np.float32
    eta = theta[:, :-1].astype(float) @ coding.matrix.T
    np.testing.assert_allclose(beta[:, :-1] @ design.matrix.T, eta, atol=1e-5)
    np.testing.assert_array_equal(beta[:, -1], theta[:, -1])
    np.testing.assert_allclose(coding.rows(design.matrix[3:6]), coding.matrix[3:6], atol=1e-12)


@pytest.mark.parametrize("formula", ["~ b", "~ b + age", "~ age", "~ 1"])
def test_where_coding_does_not_matter_the_design_s_coefficients_are_sampled(formula):
    design = Design.from_formula(formula, TABLE)
    coding = coding_by_levels(design)
    assert not coding.has_levels
    assert coding.matrix is design.matrix
    assert coding.coefficients == design.coefficients
    assert coding.note == ""
    theta = np.zeros((2, design.n_coefficients + 1), dtype=np.float32)
    assert coding.coefficients_of(theta) is theta


def test_donors_nested_in_a_condition_are_one_block():
    coding = coding_of("~ 0 + donor")
    assert list(coding.coefficients) == ["Intercept"] + ["donor"] * 6
    crossed = coding_of("~ b:a")
    assert list(crossed.coefficients).count("b:a") == 6


def test_terms_that_are_not_shrunken_come_first():
    coding = coding_of("~ b + a", ["a"])
    assert list(coding.coefficients) == ["Intercept", "b[p]", "a", "a", "a"]
    assert coding.order.tolist() == [0, 0, 1, 1, 1]
    assert not coding_of("~ b + a", ["b"]).has_levels  # all codings of a that is not shrunken are equivalent
    assert not coding_of("~ a", []).has_levels


@pytest.mark.parametrize(
    ("formula", "shrink", "words"),
    [
        ("~ a + b", ["a[T.y]", "b"], "whole term"),
        ("~ a*b", ["a"], "interactions"),
        ("~ I(a == 'x') + b", None, "function of a factor"),
    ],
)
def test_notes_say_why_levels_cannot_be_treated_alike(formula, shrink, words):
    coding = coding_of(formula, shrink)
    assert words in coding.note
    assert not coding.has_levels


def test_a_bare_matrix_has_no_levels():
    design = Design.from_matrix(np.column_stack([np.ones(4), [0, 0, 1, 1]]))
    assert coding_by_levels(design).note == ""
    assert Coding.of(design).n_coefficients == 2


def test_single_factors_keep_treatment_coding():
    """Those that the caller names, and those whose coefficients are named."""
    table = TABLE.assign(donor=[f"d{i // 3}" for i in range(18)])
    design = Design.from_formula("~ donor + a", table)
    each = [name for name in design.coefficients if name.startswith("donor")]
    codings = [
        coding_by_levels(design, None, {"donor": "it has many levels"}),
        coding_by_levels(design, [*each, "a"]),
    ]
    for coding in codings:
        assert list(coding.coefficients) == ["Intercept", *each, "a", "a", "a"]
        assert coding.factor.tolist() == [-1] * 6 + [0] * 3
        np.testing.assert_allclose(design.matrix @ coding.transform, coding.matrix, atol=1e-10)
        vector = coding.vector(design.contrast(("a", "z", "y")).vector)
        assert vector.tolist() == [0.0] * 7 + [-1.0, 1.0]
    assert [coding.note for coding in codings] == ["it has many levels", ""]
    assert coding_by_levels(design, tuple(dict.fromkeys(codings[0].coefficients[1:]))).has_levels


def test_treatment_coding_of_cell_means_is_by_the_first_level():
    coding = coding_by_levels(Design.from_formula("~ 0 + a", TABLE), None, {"a": "so"})
    assert list(coding.coefficients) == ["Intercept", "a[T.y]", "a[T.z]"]
    assert coding.matrix[:3].tolist() == [[1.0, 0.0, 0.0], [1.0, 1.0, 0.0], [1.0, 0.0, 1.0]]
    assert coding.note == "so"


@pytest.mark.parametrize("names", [["a[T.y]"], ["a[T.y]", "a[T.z]"], ["age", "b[T.q]"], []])
def test_coefficients_that_are_named_are_those_that_are_sampled(names):
    coding = coding_of("~ age + a + b", names)
    assert not coding.has_levels
    assert coding.note == ""


def test_all_is_treatment_coded_where_one_part_of_an_interaction_is():
    design = Design.from_formula("~ a * b", TABLE)
    for coding in (
        coding_by_levels(design, None, {"a:b": "so"}),
        coding_by_levels(design, design.coefficients[1:]),
    ):
        assert not coding.has_levels
        assert coding.coefficients == design.coefficients
    both = Design.from_formula("~ age * b", TABLE)
    assert not coding_by_levels(both, both.coefficients[1:]).has_levels


def test_numbers_of_levels():
    assert levels_of_terms(Design.from_formula("~ age + a * b", TABLE)) == {
        "age": 1,
        "a": 3,
        "b": 2,
        "a:b": 6,
    }
    assert levels_of_terms(Design.from_formula("~ age", TABLE)) == {}
