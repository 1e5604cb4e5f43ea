"""The counts and the design of a finished run, read again from its input files for the report."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from bayesde.design.formula import level_text
from bayesde.errors import BayesdeError, BayesdeWarning
from bayesde.runs.inputs import RunInputs, check_unchanged, file_hashes, load, plan_of

__all__ = ["RunExperiment", "read_experiment"]

MOST_GROUPS = 12
"""Groups of samples that a picture of one gene has room for."""
ONE_GROUP = "all samples"


@dataclass(frozen=True, eq=False)
class RunExperiment:
    """What a run was about.

    Attributes
    ----------
    inputs : RunInputs
    variable : str or None
        The variable of the sample table that the contrast is about, or else the first one of the design with
        few values.
    groups : tuple of str
        Its levels; one group if there is no such variable.
    group : ndarray of int (sample,)
        Which of them each sample belongs to.
    """

    inputs: RunInputs
    variable: str | None
    groups: tuple[str, ...]
    group: np.ndarray

    def factors(self, rows: slice | np.ndarray) -> np.ndarray:
        """Return normalization factors of some genes.

        Parameters
        ----------
        rows : slice or ndarray of int

        Returns
        -------
        ndarray (gene, sample) or (1, sample)
        """
        given = self.inputs.size_factors
        if given is None:
            assert self.inputs.counts.normalization_factors is not None
            return np.asarray(self.inputs.counts.normalization_factors[rows])
        if isinstance(given, pd.Series):
            return given.to_numpy()[None]
        return np.asarray(given[rows] if given.ndim == 2 else given[None])


def read_experiment(record: dict[str, Any], folder: Path) -> RunExperiment | str:
    """Read the input files of a run again, if they are still what they were.

    Parameters
    ----------
    record : dict
        What ``run.json`` holds.
    folder : Path
        Of the run: files that were moved together with it are found.

    Returns
    -------
    RunExperiment or str
        A reason, in a sentence, where they cannot be read.
    """
    try:
        with warnings.catch_warnings():  # of what the run has said already
            warnings.simplefilter("ignore", BayesdeWarning)
            plan = plan_of(record, folder)
            check_unchanged(record.get("inputs", {}), file_hashes(plan))
            inputs = load(plan)
    except (BayesdeError, OSError, ValueError) as error:
        return f"The input files could not be read again: {error}"
    return _grouped(inputs)


def _grouped(inputs: RunInputs) -> RunExperiment:
    """Group the samples by the variable of the contrast."""
    table, factors = inputs.counts.sample_table, inputs.design.factors
    for name in dict.fromkeys([inputs.contrast.factor, *reversed(list(factors))]):
        if name is None or name not in table:
            continue
        labels = np.array([level_text(value) for value in table[name]], dtype=object)
        levels = [level_text(level) for level in factors.get(name, ()) if level_text(level) in labels]
        levels = levels or list(dict.fromkeys(labels))
        if len(levels) <= MOST_GROUPS and set(levels) == set(labels):
            return RunExperiment(inputs, name, tuple(levels), np.array([levels.index(one) for one in labels]))
    return RunExperiment(inputs, None, (ONE_GROUP,), np.zeros(inputs.counts.n_samples, dtype=int))
