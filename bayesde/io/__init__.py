"""Reading counts and the tables that go with them, and writing files atomically."""

from bayesde.io.count_files import read_counts
from bayesde.io.tables import read_gene_table, read_sample_table
from bayesde.io.tximport import read_tximport
from bayesde.io.writing import write_atomically

__all__ = ["read_counts", "read_gene_table", "read_sample_table", "read_tximport", "write_atomically"]
