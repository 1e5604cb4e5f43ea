"""A level of expression, such as the intercept, is not shrunken towards 0."""

import numpy as np
import pytest

from bayesde import Counts, InputError, fit_eb
from bayesde.design import Design
from bayesde.eb.tables import is_level
from bayesde.simulation import simulate

GROUPS = np.repeat(["a", "b"], 4)


@pytest.fixture(scope="module")
def counts():
    simulated = simulate(200, (4, 4), seed=3).counts
    table = simulated.sample_table.assign(age=np.arange(8.0))
    return Counts(simulated.matrix, genes=simulated.genes, samples=simulated.samples, sample_table=table)


@pytest.mark.parametrize(
    ("formula", "levels"),
    [("~ condition + age", [True, False, False]), ("~ 0 + condition + age", [True, True, False])],
)
def test_levels_move_when_every_sample_is_raised(counts, formula, levels):
    design = Design.from_formula(formula, counts.sample_table)
    assert [is_level(design, design.contrast(name)) for name in design.coefficients] == levels
    assert not is_level(design, design.contrast(("condition", *design.factors["condition"][::-1])))


def test_a_design_that_cannot_say_the_mean_has_no_levels():
    design = Design.from_matrix(np.arange(1.0, 9.0)[:, None])
    assert not is_level(design, design.contrast())


@pytest.mark.parametrize("method", ["apeglm", "normal", "ashr"])
def test_the_only_coefficient_is_not_shrunken(counts, method):
    fit = fit_eb(counts, "~ 1")
    with pytest.raises(InputError, match=r"'Intercept' is a level of expression.* No coefficient"):
        fit.shrink(method=method)


def test_the_intercept_is_not_shrunken_and_the_effects_are_named(counts):
    fit = fit_eb(counts, "~ condition")
    effect = fit.design.coefficients[1]
    with pytest.raises(InputError, match="'Intercept' is a level") as refused:
        fit.shrink("Intercept")
    assert effect in str(refused.value)
    assert fit.shrink(effect)["lfsr"].notna().any()
