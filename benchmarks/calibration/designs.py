"""The designs that data sets are drawn in: without random effects, with those of donors, and nested ones.

All have the coefficients of ``~ batch + condition``. With random effects the batches are within donors, and
condition is between donors (or patients), as where random effects matter most.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
import pandas as pd

from bayesde.design import Design
from bayesde.design.random_effects import Grouping
from bayesde.errors import BayesdeWarning

__all__ = ["COEFFICIENTS", "CONTRAST", "DESIGNS", "SampleDesign", "quantity_names"]

COEFFICIENTS = ("Intercept", "batch", "condition")
CONTRAST = np.array([0.0, -1.0, 1.0])


@dataclass(frozen=True, eq=False)
class SampleDesign:
    """The samples of a data set.

    Attributes
    ----------
    x : ndarray (sample, coefficient)
        Of the fixed effects.
    groupings : tuple of Grouping
        Of the random effects.
    sets, genes : int
        Data sets, and genes in each, that engine psis is run on by default; 0 for those of the law.
    """

    x: np.ndarray
    groupings: tuple[Grouping, ...] = ()
    sets: int = 0
    genes: int = 0

    @property
    def random_effects(self) -> tuple[str, ...]:
        """Names of the random effects."""
        return tuple(name for one in self.groupings for name in one.sd_names)


def quantity_names(random_effects: tuple[str, ...] = ()) -> tuple[str, ...]:
    """Return the names of what is ranked of every gene; the contrast is condition - batch.

    Parameters
    ----------
    random_effects : tuple of str
        Whose standard deviations are among the gene's parameters.
    """
    betas = (f"beta[{name}]" for name in COEFFICIENTS)
    return (*betas, *(f"log_sd[{name}]" for name in random_effects), "log_dispersion", "contrast")


def _columns(batch: np.ndarray, condition: np.ndarray) -> np.ndarray:
    return np.column_stack([np.ones(batch.size), batch, condition]).astype(float)


def _grouped(
    formula: str, batch: np.ndarray, condition: np.ndarray, sets: int, **levels: np.ndarray
) -> SampleDesign:
    """Return a design with the random effects of a formula; ``levels`` are those of its variables."""
    table = pd.DataFrame({name: [f"{name}{level}" for level in own] for name, own in levels.items()})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", BayesdeWarning)  # of few levels
        groupings = Design.from_formula(formula, table).groupings
    return SampleDesign(_columns(batch, condition), groupings, sets, genes=40)


def _donors() -> SampleDesign:
    """Return 8 donors with two samples each."""
    donor = np.repeat(np.arange(8), 2)
    return _grouped("~ 1 + (1 | donor)", np.tile([0, 1], 8), donor % 2, 100, donor=donor)


def _nested() -> SampleDesign:
    """Return 4 clinics of 3 patients with two samples each."""
    clinic, patient = np.repeat(np.arange(4), 6), np.repeat(np.arange(12), 2)
    known = {"clinic": clinic, "patient": patient}
    return _grouped("~ 1 + (1 | clinic/patient)", np.tile([0, 1], 12), patient % 2, 100, **known)


DESIGNS = {
    "fixed": SampleDesign(_columns(np.array([0, 1, 0, 1, 0, 1]), np.array([0, 0, 0, 1, 1, 1]))),
    "donors": _donors(),
    "nested": _nested(),
}
