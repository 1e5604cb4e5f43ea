"""The posterior of the hyperparameters: marginal likelihood, learning, and integration over it."""
