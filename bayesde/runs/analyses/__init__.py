"""Several analyses carried out as one job, of the same counts or of cell types: a run each, and a report."""
