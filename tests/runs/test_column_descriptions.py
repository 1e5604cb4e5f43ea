"""What is said of the columns of a posterior's table."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from bayesde.design import Contrast
from bayesde.results import COLUMNS
from bayesde.runs.options import ModelPlan
from bayesde.runs.reports.column_descriptions import posterior_columns


@pytest.mark.parametrize("threshold", [0.0, 0.5])
def test_meanings_of_a_posterior_name_its_contrast_interval_and_threshold(threshold):
    plan = dataclasses.replace(ModelPlan(design="~ dose"), lfc_threshold=threshold)
    told = posterior_columns(Contrast("dose", np.array([0.0, 1.0])), plan, 0.9)
    assert set(told) <= set(COLUMNS)
    assert told["log2_fold_change"].startswith("dose: ")
    assert "equal-tailed 90 %" in told["lfc_lower"]
    assert ("smaller than 0.5" in told["s_value"]) == (threshold > 0.0)
