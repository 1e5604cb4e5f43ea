"""The hierarchical model: one gene given the hyperparameters, and the hyperparameters themselves."""
