"""Questions to a posterior: prediction, leave-one-out, other priors, other counts."""
