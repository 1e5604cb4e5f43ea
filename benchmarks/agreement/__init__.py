"""Agreement of the posteriors of the inference methods on real counts, in units of the Monte Carlo error."""
