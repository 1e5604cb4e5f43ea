"""A posterior under other priors, laws, codings or hyperparameters, and comparisons of posteriors."""
