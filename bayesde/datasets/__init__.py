"""Real counts that ship with the package: pasilla and airway (citations in README.md of this folder)."""

from __future__ import annotations

from pathlib import Path

from bayesde.counts import Counts
from bayesde.errors import InputError, first_few
from bayesde.io import read_counts

__all__ = ["NAMES", "load_airway", "load_pasilla", "panel_path", "path"]

NAMES = ("pasilla", "airway")


def path(name: str) -> tuple[Path, Path]:
    """Return the files of a data set.

    Parameters
    ----------
    name : {"pasilla", "airway"}

    Returns
    -------
    tuple of pathlib.Path
        The counts and the sample table.

    Raises
    ------
    InputError
        If there is no such data set.
    """
    if name not in NAMES:
        raise InputError(f"there is no data set '{name}'; bayesde ships with {first_few(NAMES)}.")
    folder = Path(__file__).resolve().parent
    return folder / f"{name}_counts.tsv.gz", folder / f"{name}_samples.tsv"


def panel_path() -> Path:
    """Return a file with 200 genes of pasilla, one per line, spread evenly over the range of mean counts."""
    return Path(__file__).resolve().parent / "pasilla_panel.txt"


def load_pasilla() -> Counts:
    """Load counts of *Drosophila* cells with and without knock-down of pasilla.

    14,599 genes and 7 samples: 4 ``untreated`` and 3 ``treated`` (column ``condition``), sequenced by
    ``single.read`` or ``paired.end`` (column ``type``).

    Returns
    -------
    Counts

    References
    ----------
    Brooks, A. N. et al. (2011) Genome Research 21:193. doi:10.1101/gr.108662.110. Counts of the Bioconductor
    package pasilla.
    """
    return read_counts(*path("pasilla"))


def load_airway() -> Counts:
    """Load counts of human airway smooth muscle cells with and without dexamethasone.

    64,102 genes and 8 samples: 4 donors (column ``cell``), each ``untrt`` and ``trt`` (column ``dex``).

    Returns
    -------
    Counts

    References
    ----------
    Himes, B. E. et al. (2014) PLoS ONE 9:e99625. doi:10.1371/journal.pone.0099625. Counts of the
    Bioconductor package airway.
    """
    return read_counts(*path("airway"))
