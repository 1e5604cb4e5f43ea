"""The counts of an experiment: one checked, immutable matrix (gene, sample) with its names."""

from bayesde.counts.experiment import Counts
from bayesde.counts.labels import matched_matrix, matched_numbers, positions
from bayesde.counts.storage import CHUNK_CELLS, chunk_cells, chunks

__all__ = ["CHUNK_CELLS", "Counts", "chunk_cells", "chunks", "matched_matrix", "matched_numbers", "positions"]
