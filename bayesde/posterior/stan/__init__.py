"""Inference methods nuts and joint: the posterior by Stan's Markov chains.

``data`` makes the input of the Stan programs, ``starts`` and ``first_look`` where chains start; ``run`` is
one call of a Stan program. ``nuts`` samples genes in ``blocks`` given the hyperparameters, ``joint`` genes
and hyperparameters together.
"""
