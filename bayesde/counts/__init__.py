"""The counts of an experiment: one checked, immutable matrix (gene, sample) with its names."""

from bayesde.counts.experiment import CHUNK_CELLS, Counts
from bayesde.counts.labels import matched_matrix, positions

__all__ = ["CHUNK_CELLS", "Counts", "matched_matrix", "positions"]
