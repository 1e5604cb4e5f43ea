"""The libraries of the extra ``bayesde[bias]``, imported when they are first needed."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from bayesde.errors import InputError

__all__ = ["library"]

_USES = {
    "pysam": "reading BAM files",
    "pyfaidx": "reading FASTA files",
    "gffutils": "reading GTF files",
    "torch": "recurrent neural networks",
}


def library(name: str) -> Any:
    """Import one of the libraries.

    Parameters
    ----------
    name : {"pysam", "pyfaidx", "gffutils", "torch"}

    Returns
    -------
    module

    Raises
    ------
    InputError
        If it is not installed.
    """
    try:
        return import_module(name)
    except ImportError as error:
        raise InputError(
            f"{_USES[name]} needs {name}, which is not installed: pip install 'bayesde[bias]'."
        ) from error
