"""Model rows of samples that are not in the design."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from bayesde.design import Design
from bayesde.design.new_samples import rows_of_new_samples
from bayesde.errors import InputError

TABLE = pd.DataFrame(
    {"batch": [1, 1, 2, 2, 3, 3], "dose": [0.0, 1.0, 2.0, 3.0, 5.0, 9.0], "group": list("ababab")},
    index=[f"s{j}" for j in range(6)],
)


@pytest.mark.parametrize(
    "formula", ["~ C(batch) + group", "~ group * dose", "~ center(dose)", "~ np.log1p(dose)", "~ 1"]
)
def test_the_samples_of_the_design_have_its_rows(formula):
    design = Design.from_formula(formula, TABLE)
    some = TABLE.iloc[[4, 1]]
    rows = rows_of_new_samples(design, some)
    np.testing.assert_allclose(rows, design.matrix[[4, 1]])
    assert list(rows.index) == ["s4", "s1"]
    assert list(rows.columns) == list(design.coefficients)


def test_what_does_not_fit():
    design = Design.from_formula("~ C(batch) + group", TABLE)
    with pytest.raises(InputError, match=r"'4' is not a level of 'batch'; its levels are '1', '2', '3'"):
        rows_of_new_samples(design, pd.DataFrame({"batch": [4], "group": ["a"]}))
    with pytest.raises(InputError, match="'group'"):
        rows_of_new_samples(design, pd.DataFrame({"batch": [1]}))
    with pytest.raises(InputError, match="a table with the variables"):
        rows_of_new_samples(design, [[1.0, 0.0]])


def test_a_bare_matrix_takes_rows():
    design = Design.from_matrix(np.column_stack([np.ones(6), [0, 1, 0, 1, 0, 1]]))
    np.testing.assert_array_equal(rows_of_new_samples(design, [[1.0, 0.5]]), [[1.0, 0.5]])
    for wrong in ([[1.0]], [[1.0, np.nan]], [["x", "y"]]):
        with pytest.raises(InputError, match="rows"):
            rows_of_new_samples(design, wrong)
