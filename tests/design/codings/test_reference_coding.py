"""Treatment coding with other reference levels, in which a contrast is a coefficient."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from bayesde.design import Design
from bayesde.design.codings.reference_coding import coding_with_references, references_of
from bayesde.errors import InputError

TABLE = pd.DataFrame(
    {"a": list("xyz") * 6, "b": ["p", "q"] * 9, "age": np.arange(18) / 10.0 - 1.0},
    index=[f"s{i}" for i in range(18)],
)


def references(formula, contrast):
    design = Design.from_formula(formula, TABLE)
    return references_of(design, TABLE, design.contrast(contrast))


@pytest.mark.parametrize(
    ("formula", "contrast", "expected"),
    [
        ("~ a", ("a", "z", "y"), {"a": "y"}),
        ("~ a", ("a", "y", "z"), {"a": "z"}),
        ("~ a", [0.0, -1.0, 1.0], {"a": "y"}),
        ("~ a", "a[T.y] - a[T.z]", {"a": "z"}),
        ("~ b + age + a", ("a", "z", "y"), {"a": "y"}),
        ("~ a", ("a", "z", "x"), None),
        ("~ a", ("a", "x", "z"), None),
        ("~ a", [0.0, 0.5, 0.5], None),
        ("~ a", [1.0, -1.0, 1.0], None),
        ("~ a * b", [0, -1, 1, 0, -1, 1], {"a": "y", "b": "q"}),
        ("~ a * b", [0, 0, 0, 1, 0, 1], {"a": "z"}),
    ],
)
def test_references_with_which_a_contrast_is_a_coefficient(formula, contrast, expected):
    assert references(formula, contrast) == expected


def test_coefficients_are_those_of_the_other_design():
    for formula in ("~ a", "~ a * b + age"):
        design = Design.from_formula(formula, TABLE)
        other = Design.from_formula(formula, TABLE, references={"a": "y"})
        coding = coding_with_references(design, TABLE, {"a": "y"})
        assert coding.coefficients == other.coefficients
        assert coding.terms == other.terms
        assert coding.order.tolist() == [0] + [1] * (other.n_coefficients - 1)
        np.testing.assert_array_equal(coding.matrix, other.matrix)
        np.testing.assert_allclose(design.matrix @ coding.transform, other.matrix, atol=1e-10)
        vector = coding.vector(design.contrast(("a", "z", "y")).vector)
        assert np.flatnonzero(vector).tolist() == [other.coefficients.index("a[T.z]")]


def test_other_samples_than_the_design_s_are_refused():
    design = Design.from_formula("~ a", TABLE)
    with pytest.raises(InputError, match="does not give the design"):
        coding_with_references(design, TABLE.iloc[::-1], {"a": "y"})
    bare = Design.from_matrix(design.matrix)
    with pytest.raises(InputError, match="no reference levels"):
        coding_with_references(bare, TABLE, {"a": "y"})
    assert references_of(bare, TABLE, bare.contrast([0.0, 1.0, -1.0])) is None
