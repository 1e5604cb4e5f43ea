"""Inference method psis: every gene's posterior by importance sampling, the hyperparameters integrated over.

``sampler`` draws from the genes' proposals, weights and smooths the draws, and adapts proposals whose weights
are unreliable; ``engine`` runs it, with hyperparameters that are given or learnt.
"""
