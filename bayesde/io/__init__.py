"""Files: reading counts and what goes with them, and writing so that no half-written file is seen."""

from bayesde.io.count_files import read_counts
from bayesde.io.tables import read_gene_table, read_sample_table
from bayesde.io.tximport import read_tximport
from bayesde.io.writing import write_atomically

__all__ = ["read_counts", "read_gene_table", "read_sample_table", "read_tximport", "write_atomically"]
