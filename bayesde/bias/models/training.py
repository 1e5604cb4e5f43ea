"""From a name and options to a fitted model."""

from __future__ import annotations

import numpy as np

from bayesde.bias.models.interface import BiasModel
from bayesde.bias.models.kmers import fit_kmers
from bayesde.bias.models.markov import fit_markov, fit_variable_markov
from bayesde.bias.models.network import fit_network
from bayesde.bias.models.recurrent import fit_recurrent
from bayesde.bias.options import BiasOptions
from bayesde.bias.samples import SplitSequences

__all__ = ["train"]


def train(split: SplitSequences, options: BiasOptions, rng: np.random.Generator) -> BiasModel:
    """Fit the model of the options.

    Parameters
    ----------
    split : SplitSequences
    options : BiasOptions
    rng : numpy.random.Generator
        Used by recurrent networks.

    Returns
    -------
    BiasModel
    """
    training, kind = split.training, options.model
    if kind == "position_weights":
        return fit_markov(training, 0, kind)
    if kind == "kmers":
        return fit_kmers(training, options.kmer)
    if kind == "markov":
        return fit_markov(training, options.order)
    if kind == "variable_markov":
        return fit_variable_markov(training, options.longest)
    if kind == "network":
        return fit_network(training)
    return fit_recurrent(training, split.validation, kind, options.units, rng)
