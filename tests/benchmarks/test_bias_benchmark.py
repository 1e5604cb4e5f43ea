"""The halves of the benchmark of bias do not share stretches, and its deviance is that of Poisson counts."""

import numpy as np
import pytest
from scipy.special import xlogy

from bayesde.bias.models.markov import fit_markov
from benchmarks.bias.data import halves, read
from benchmarks.bias.models import _deviance, deviance_explained


def test_deviance_is_that_of_poisson_counts():
    y = np.array([0.0, 3.0, 1.0, 0.0, 4.0])
    mean = np.array([1.0, 2.0, 2.0, 1.5, 1.5])
    assert _deviance(y, mean) == pytest.approx(2.0 * (xlogy(y, y / mean) - (y - mean)).sum())


def test_halves_have_stretches_of_their_own(shared):
    library = read("seqbias_example", 10)
    half = halves(library, 21, 1)
    sizes = [len(one.foreground) for one in (half.training, half.validation, half.test)]
    lost = library.position.size - sum(sizes)  # with a base that is unknown
    assert 0 <= lost < 20
    assert 0 <= half.judged[library.places.gene_of(library.position)].sum() - sizes[2] <= lost
    assert abs(sizes[2] / sum(sizes) - 0.5) < 0.1
    nothing = fit_markov(half.training, 0)
    same = type(nothing)("none", nothing.background, nothing.background, 21)
    assert deviance_explained(same, library, half, distinct=True) == pytest.approx(0.0)
