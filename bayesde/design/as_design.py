"""The design of a fit or test: from a formula, or a given one whose rows must be the samples."""

from __future__ import annotations

from collections.abc import Mapping

from bayesde.counts import Counts
from bayesde.design import Design
from bayesde.errors import InputError

__all__ = ["as_design"]


def as_design(design: str | Design, counts: Counts, references: Mapping[str, str] | None = None) -> Design:
    """Return the design of a formula, or check an existing one.

    Parameters
    ----------
    design : str or Design
    counts : Counts
    references : mapping of str to str, optional
        Reference level by factor, for a formula.

    Returns
    -------
    Design

    Raises
    ------
    InputError
        If its rows are not the samples of the counts in order, or references are given with a `Design`.
    """
    if isinstance(design, str):
        return Design.from_formula(design, counts.sample_table, references=references)
    if references:
        raise InputError("a Design already has its reference levels; give references= where it is made.")
    if not isinstance(design, Design):
        raise InputError(f"a formula or a Design is needed; got {type(design).__name__}.")
    if design.n_samples != counts.n_samples:
        raise InputError(f"the design has {design.n_samples} rows, but there are {counts.n_samples} samples.")
    _check_samples(design, counts)
    return design


def _check_samples(design: Design, counts: Counts) -> None:
    """Refuse a design whose rows are other samples, or the same in another order."""
    unnamed = tuple(f"sample{j + 1}" for j in range(design.n_samples))
    for j, (row, sample) in enumerate(zip(design.samples, counts.samples, strict=True)):
        if row != sample and design.samples != unnamed:
            raise InputError(
                f"the design's rows are not the samples of the counts in order: row {j + 1} is '{row}', "
                f"sample {j + 1} is '{sample}'. Make the design from the sample table of the counts."
            )
