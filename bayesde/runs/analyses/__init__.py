"""Several analyses of the same counts, carried out as one job: a run each, and a report on all."""
