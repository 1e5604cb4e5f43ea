"""Reading counts and the tables that go with them, and writing files atomically."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bayesde.io.annotated_output import write_anndata
    from bayesde.io.count_files import read_counts
    from bayesde.io.single_cells import pseudobulk
    from bayesde.io.tables import read_gene_table, read_sample_table
    from bayesde.io.tximport import read_tximport
    from bayesde.io.writing import write_atomically

__all__ = [
    "pseudobulk",
    "read_counts",
    "read_gene_table",
    "read_sample_table",
    "read_tximport",
    "write_anndata",
    "write_atomically",
]

_HOME_OF = {
    "pseudobulk": "single_cells",
    "read_counts": "count_files",
    "read_gene_table": "tables",
    "read_sample_table": "tables",
    "read_tximport": "tximport",
    "write_anndata": "annotated_output",
    "write_atomically": "writing",
}


def __getattr__(name: str) -> object:
    """Import a name on first use: the command line reads `options` without loading pandas."""
    if name not in _HOME_OF:
        raise AttributeError(f"module 'bayesde.io' has no attribute {name!r}")
    return getattr(import_module(f"bayesde.io.{_HOME_OF[name]}"), name)
