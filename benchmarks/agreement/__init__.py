"""Agreement of the posteriors of the three engines on real counts, in units of the Monte Carlo error."""
