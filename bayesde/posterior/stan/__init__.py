"""Engines nuts and joint: the posterior by Stan's Markov chains.

Modes become data and starts (``stan_data``); ``run`` is one call of a Stan program. Engine ``nuts`` samples
genes in ``blocks`` given the hyperparameters, whose uncertainty ``integrate`` lets in afterwards; engine
``joint`` samples genes and hyperparameters together.
"""
