"""What genes are simulated from: the hierarchy that was fitted to a pilot experiment, or a typical one."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from bayesde.errors import InputError, first_few
from bayesde.model.hyperparameters import Hyperparameters
from bayesde.options import nearest
from bayesde.posterior.posterior import Posterior
from bayesde.results import read_results
from bayesde.simulation import SimulationOptions

__all__ = ["TYPICAL", "Assumptions", "assumptions_of"]

TYPICAL = SimulationOptions(effect_scale=0.1, trend=(0.1, 2.0), dispersion_sd=0.5)
"""Without a pilot: animals or cell lines of moderate variation, most effects small."""
FEWEST_MEANS = 10


@dataclass(frozen=True, eq=False)
class Assumptions:
    """The laws of genes.

    Attributes
    ----------
    laws : SimulationOptions
    base_mean : ndarray (gene,) or None
        Those of the pilot, above 0; None for those of `laws`.
    source : str
        Where they come from, for a reader.
    """

    laws: SimulationOptions
    base_mean: np.ndarray | None
    source: str


def assumptions_of(
    pilot: Posterior | str | Path | None, coefficient: str | None, laws: SimulationOptions | None
) -> Assumptions:
    """Collect what genes are simulated from.

    Parameters
    ----------
    pilot : Posterior, path or None
        A posterior, or the folder of a run of `bayesde sample`.
    coefficient : str, optional
        The coefficient of the pilot whose effects are like those of the experiment that is planned; by
        default its last one that is shrunken.
    laws : SimulationOptions, optional
        Without a pilot, in place of `TYPICAL`.

    Returns
    -------
    Assumptions

    Raises
    ------
    InputError
        If pilot and laws are given, the pilot cannot be read, or its laws cannot be simulated from.
    """
    if pilot is None:
        if coefficient is not None:
            raise InputError("coefficient: it is one of a pilot; give a pilot, or leave it out.")
        return Assumptions(laws or TYPICAL, None, "the laws given" if laws else "typical values, no pilot")
    if laws is not None:
        raise InputError("the laws of genes are those of the pilot; leave the pilot out, or the laws.")
    if isinstance(pilot, Posterior):
        hyper, means, source = pilot.hyperparameters, pilot.eb.base_mean, "a posterior"
    else:
        hyper, means, source = *_read(Path(pilot)), f"the run in '{pilot}'"
    means = means[np.isfinite(means) & (means > 0.0)]
    if means.size < FEWEST_MEANS:
        raise InputError(
            f"the pilot has counts of {means.size} genes only; at least {FEWEST_MEANS} are needed."
        )
    name = _coefficient(hyper, coefficient)
    return Assumptions(_laws(hyper, name), means, f"{source}, effects as of {name}")


def _read(folder: Path) -> tuple[Hyperparameters, np.ndarray]:
    """Read what a run has left."""
    file = folder / "hyperparameters.json"
    if not file.is_file():
        raise InputError(
            f"'{folder}' has no hyperparameters.json; a pilot is the folder of a finished run of 'bayesde "
            "sample' or 'bayesde eb'."
        )
    table = read_results(folder)
    return Hyperparameters.from_json(file), table["base_mean"].to_numpy(dtype=float)


def _coefficient(hyper: Hyperparameters, asked: str | None) -> str:
    """Return the coefficient whose effects are simulated."""
    names = list(hyper.shrinkage_scale)
    if not names:
        raise InputError("no coefficient of the pilot is shrunken, so that nothing is known of effects.")
    if asked is None:
        return names[-1]
    if asked not in names:
        raise InputError(
            f"the pilot has no shrunken coefficient '{asked}'; it has {first_few(names, 20)}."
            f"{nearest(asked, names)}"
        )
    return asked


def _laws(hyper: Hyperparameters, name: str) -> SimulationOptions:
    """Turn hyperparameters into laws to simulate from."""
    family = hyper.family(name)
    if family == "mixture" or hyper.residuals == "two_normals":
        raise InputError(
            "experiments cannot be simulated from a mixture of effects or from residuals with two normal "
            "components; fit the pilot with --effects cauchy, student_t or spike_t and other --residuals."
        )
    laws = replace(
        SimulationOptions(),
        effect_scale=float(hyper.shrinkage_scale[name]),
        trend=(hyper.asymptotic_dispersion, hyper.extra_poisson),
        dispersion_sd=hyper.dispersion_sd,
        residuals=hyper.residuals,
        zero_share=hyper.pi0.get(name, 0.0),
    )
    changes: dict[str, Any] = {} if hyper.nu is None else {"nu": hyper.nu}
    if family != "cauchy":
        changes |= {"effects": "student_t", "effect_df": hyper.effect_nu[name]}
    return replace(laws, **changes)
