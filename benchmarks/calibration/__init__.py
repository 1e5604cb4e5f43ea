r"""Simulation-based calibration of the inference methods, hyperparameters included.

    phi ~ p(phi),   theta_g ~ p(theta | phi),   y_g ~ p(y | theta_g),   u = P(theta < theta_g | y)

If a method samples the posterior of the model that data sets are drawn from, the posterior probability u
below the truth is uniform, for every parameter (Talts, Betancourt, Simpson, Vehtari and Gelman 2020,
arXiv:1804.06788). Data sets are drawn exactly from the model: the trend's base means are fixed numbers and
not means of the counts, and normalization factors are known. The methods' own functions are called, below
the empirical-Bayes fit.
"""
