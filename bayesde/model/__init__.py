"""The hierarchical model: one gene given the hyperparameters, and the hyperparameters themselves.

``density`` and ``modes`` are about one gene, ``effect_prior`` and ``prior_at_draws`` about the priors of its
parameters. ``hyperparameters`` has the values that all genes share, ``hyperparameter_space`` the same as a
vector, ``priors`` their priors.
"""
