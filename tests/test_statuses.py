"""Every status that the package gives has a class, a meaning and advice."""

import ast
from pathlib import Path

import pytest

import bayesde
from bayesde.statuses import FAILED, STATUSES

PACKAGE = Path(bayesde.__file__).parent


def given_statuses() -> set[str]:
    """Names that some function gives to genes: keys of the dictionaries in functions about statuses."""
    found = {"ok"}
    for path in PACKAGE.rglob("*.py"):
        for function in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(function, ast.FunctionDef) or "status" not in function.name:
                continue
            for node in ast.walk(function):
                if isinstance(node, ast.Dict):
                    found |= {key.value for key in node.keys if isinstance(key, ast.Constant)}
    return found


def test_what_functions_give_is_known():
    given = given_statuses()
    assert {"ok", "all_zero", "low_weight", "high_pareto_k", "divergences"} <= given
    assert given <= set(STATUSES)


@pytest.mark.parametrize("name", STATUSES)
def test_each_has_a_class_a_meaning_and_advice(name):
    status = STATUSES[name]
    assert status.kind in {"fine", "no_number", "failed"}
    assert status.meaning[0].islower()
    assert not status.meaning.endswith(".")
    assert status.advice[0].isupper()
    assert status.advice.endswith(".")


def test_what_failed_is_told_from_what_is_missing():
    assert set(FAILED) == {"not_converged", "low_ess", "divergences", "high_pareto_k", "failed"}
