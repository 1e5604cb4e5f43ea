"""Models of sequences: proper distributions, compared with definitions written down plainly."""

import itertools
from importlib.util import find_spec

import numpy as np
import pytest

from bayesde.bias.divergence import base_frequencies, divergence_by_position, word_codes
from bayesde.bias.judging import joined, start_information
from bayesde.bias.models import recurrent
from bayesde.bias.models.interface import LARGEST_LOG_BIAS, BiasModel, perplexity
from bayesde.bias.models.kmers import fit_kmers
from bayesde.bias.models.markov import fit_markov, fit_variable_markov
from bayesde.bias.models.network import fit_network
from bayesde.bias.models.recurrent import fit_recurrent
from bayesde.bias.models.tables import (
    FIRST_STRENGTH,
    RATIO_STRENGTH,
    STRENGTH,
    TableModel,
    smoothed,
    smoothed_pair,
)
from bayesde.bias.models.training import train
from bayesde.bias.needs import library
from bayesde.bias.options import BiasOptions
from bayesde.bias.reading.genome import UNKNOWN, reverse_complement
from bayesde.bias.samples import Sequences, SplitSequences
from bayesde.errors import OptionError

WINDOW = 5
EVERY = np.array(list(itertools.product(range(4), repeat=WINDOW)), dtype=np.uint8)
SCORE = np.zeros((4, 4))
SCORE[1, 2] = SCORE[2, 1] = 1.0
"""ln bias of the bases at positions 2 and 3, times the strength."""
TABLES = ("position_weights", "kmers", "markov", "variable_markov", "network")
RECURRENT = ("gru", "lstm") if find_spec("torch") else ()
NEEDS_TORCH = pytest.mark.skipif(not RECURRENT, reason="torch is not installed")
MODELS = (*TABLES, *RECURRENT)


def drawn(n: int, strength: float, seed: int) -> np.ndarray:
    """Sequences that are preferred by two pairs of bases at positions 2 and 3, and by A at position 0."""
    rng = np.random.default_rng(seed)
    sequences = rng.integers(0, 4, (20 * n, WINDOW)).astype(np.uint8)
    score = strength * (SCORE[sequences[:, 2], sequences[:, 3]] + 0.5 * (sequences[:, 0] == 0))
    kept = rng.random(20 * n) < np.exp(score - 1.5 * strength)
    return sequences[kept][:n]


def sequences(n: int, strength: float = 1.2, seed: int = 1) -> Sequences:
    return Sequences(drawn(n, strength, seed), drawn(n, 0.0, seed + 100))


@pytest.fixture(scope="module")
def split() -> SplitSequences:
    return SplitSequences(sequences(20_000), sequences(400, seed=2), sequences(8000, seed=3), 20_000)


@pytest.fixture(scope="module")
def fitted(split) -> dict[str, BiasModel]:
    """Every model; the recurrent networks of fewer sequences and little training."""
    options = {"kmer": 3, "units": 6, "window": WINDOW, "order": 2}
    few = Sequences(split.training.foreground[:2500], split.training.background[:2500])
    small = SplitSequences(few, split.validation, split.test, 2500)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recurrent, "MOST_EPOCHS", 6)
        rng = np.random.default_rng(1)
        return {
            name: train(split if name in TABLES else small, BiasOptions(model=name, **options), rng)
            for name in MODELS
        }


@pytest.mark.parametrize("name", MODELS)
def test_probabilities_of_all_sequences_sum_to_one(fitted, name):
    assert fitted[name].n_parameters > 0
    for model in (fitted[name].foreground, fitted[name].background):
        assert np.exp(model.log_prob(EVERY)).sum() == pytest.approx(1.0, abs=1e-5)


@pytest.mark.parametrize("name", MODELS)
def test_the_track_is_the_bias_of_every_window(fitted, name):
    codes = np.random.default_rng(5).integers(0, 4, 60).astype(np.uint8)
    codes[30] = UNKNOWN
    track = fitted[name].track(codes)
    assert track.shape == codes.shape
    for at in range(codes.size):
        window = codes[max(at - 2, 0) : at + 3]
        inside = window.size == WINDOW and UNKNOWN not in window
        expected = fitted[name].log_bias(window[None])[0] if inside else 0.0
        assert track[at] == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("name", ["markov", "variable_markov", "network", *RECURRENT])
def test_models_of_dependent_bases_tell_starts_from_their_background_best(fitted, split, name):
    found = start_information(fitted[name], split.test)
    weights = start_information(fitted["position_weights"], split.test)
    assert found.bits > weights.bits > 2.0 * weights.standard_error > 0.0
    truth = SCORE[EVERY[:, 2], EVERY[:, 3]] + 0.5 * (EVERY[:, 0] == 0)
    assert np.corrcoef(fitted[name].log_bias(EVERY), truth)[0, 1] > 0.85


@pytest.mark.parametrize("name", ["markov", "variable_markov", "network"])
def test_correction_makes_frequencies_those_of_the_background(fitted, split, name):
    test = split.test
    weights = np.exp(-fitted[name].log_bias(test.foreground))
    for words in (1, 2):
        before = divergence_by_position(test.foreground, test.background, words)
        after = divergence_by_position(test.foreground, test.background, words, weights)
        assert after.max() < 0.25 * before.max()


def test_smoothing_goes_back_to_shorter_contexts():
    counts = np.random.default_rng(2).integers(0, 50, (16, 4)).astype(float)
    counts[7] = 0.0
    shortest = (counts.sum(axis=0) + STRENGTH / 4) / (counts.sum() + STRENGTH)
    found = smoothed(counts)
    for row, here in enumerate(counts):
        last = counts[row % 4 :: 4].sum(axis=0)
        shorter = (last + STRENGTH * shortest) / (last.sum() + STRENGTH)
        assert found[row] == pytest.approx((here + STRENGTH * shorter) / (here.sum() + STRENGTH))


def test_smoothed_ratios_go_back_to_those_of_shorter_contexts():
    rng = np.random.default_rng(4)
    starts, background = rng.integers(1, 900, (2, 4, 4)).astype(float)
    p, q, used = smoothed_pair(starts, background)
    assert used == 5
    q0 = (background.sum(axis=0) + STRENGTH / 4) / (background.sum() + STRENGTH)
    p0 = (starts.sum(axis=0) + FIRST_STRENGTH * q0) / (starts.sum() + FIRST_STRENGTH)
    for row in range(4):
        qr = (background[row] + STRENGTH * q0) / (background[row].sum() + STRENGTH)
        expected = qr * p0 / q0
        expected /= expected.sum()
        pr = (starts[row] + RATIO_STRENGTH * expected) / (starts[row].sum() + RATIO_STRENGTH)
        assert q[row] == pytest.approx(qr)
        assert p[row] == pytest.approx(pr)


def test_a_ratio_that_is_not_used_is_that_of_the_shorter_context():
    starts, background = np.full((2, 4, 4), 500.0)
    starts[2] = [2000.0, 10.0, 10.0, 10.0]
    p, q, used = smoothed_pair(starts, background, threshold=3.0)
    assert used == 5  # the other rows differ from the mean over all contexts
    equal, same, none = smoothed_pair(background, background, threshold=3.0)
    assert none == 0
    assert equal == pytest.approx(same)
    assert (p[2] / q[2])[0] > 2.0


def test_contexts_are_as_long_as_the_data_support():
    """The bias depends on one preceding base at one position."""
    model = fit_variable_markov(sequences(20_000), 3)
    ratios = [
        np.ptp(f - b, axis=0) for f, b in zip(model.foreground.tables, model.background.tables, strict=True)
    ]
    by_base = [one.max() for one in ratios]
    assert by_base[3] > 1.0
    assert max(by_base[:3] + by_base[4:]) < 0.5 * by_base[3]
    full = fit_markov(sequences(20_000), 3)
    assert model.foreground.n_parameters < full.foreground.n_parameters / 2


def test_the_network_finds_the_positions_that_depend_on_each_other():
    model = fit_network(sequences(20_000))
    parents = model.foreground.parents
    edges = {frozenset((j, parent)) for j, ones in enumerate(parents) for parent in ones}
    assert edges == {frozenset((2, 3))}
    equal = [
        np.array_equal(f, b) for f, b in zip(model.foreground.tables, model.background.tables, strict=True)
    ]
    assert equal == [False, True, False, False, True]


def test_a_network_without_bias_is_empty():
    model = fit_network(Sequences(drawn(5000, 0.0, 1), drawn(5000, 0.0, 2)))
    assert np.all(model.log_bias(EVERY) == 0.0)
    assert model.n_parameters == 0


def test_kmers_are_counted_from_the_start():
    given = sequences(20_000)
    model = fit_kmers(given, 2)
    ratio = model.log_bias(EVERY)
    for a, b in itertools.product(range(4), repeat=2):
        here = (EVERY[:, 2] == a) & (EVERY[:, 3] == b)
        counts = [((one[:, 2] == a) & (one[:, 3] == b)).sum() for one in (given.foreground, given.background)]
        assert np.ptp(ratio[here]) < 1e-12
        assert ratio[here][0] == pytest.approx(np.log(counts[0] / counts[1]), abs=0.05)


@NEEDS_TORCH
@pytest.mark.parametrize("cell", ["gru", "lstm"])
def test_the_same_seed_trains_the_same_network(split, cell, monkeypatch):
    monkeypatch.setattr(recurrent, "MOST_EPOCHS", 2)
    small = Sequences(split.training.foreground[:300], split.training.background[:300])
    one, two, other = (
        fit_recurrent(small, split.validation, cell, 3, np.random.default_rng(seed)).log_bias(EVERY)
        for seed in (1, 1, 2)
    )
    assert np.array_equal(one, two)
    assert not np.array_equal(one, other)


@NEEDS_TORCH
def test_training_leaves_torch_as_it_was(split, monkeypatch):
    torch = library("torch")
    monkeypatch.setattr(recurrent, "MOST_EPOCHS", 1)
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    threads = torch.get_num_threads()
    small = Sequences(split.training.foreground[:300], split.training.background[:300])
    fit_recurrent(small, split.validation, "gru", 2, np.random.default_rng(1))
    assert torch.equal(torch.rand(3), expected)
    assert torch.get_num_threads() == threads


def test_perplexity_and_information_of_known_models():
    flat = TableModel(((),) * WINDOW, (np.log(np.full((1, 4), 0.25)),) * WINDOW, 0)
    always = TableModel(((),) * WINDOW, (np.log(np.array([[0.5, 0.25, 0.125, 0.125]])),) * WINDOW, 3)
    assert perplexity(flat, EVERY) == pytest.approx(4.0)
    assert perplexity(always, np.zeros((3, WINDOW), dtype=np.uint8)) == pytest.approx(2.0)
    nothing = BiasModel("flat", flat, flat, WINDOW)
    assert start_information(nothing, Sequences(EVERY, EVERY)) == pytest.approx((0.0, 0.0), abs=1e-12)
    model = BiasModel("known", always, flat, WINDOW)
    assert model.log_bias(np.zeros((1, WINDOW), dtype=np.uint8))[0] == pytest.approx(LARGEST_LOG_BIAS)
    b = np.exp(model.log_bias(EVERY))
    expected = 1.0 + (np.log2(b / (1.0 + b)).mean() + np.log2(1.0 / (1.0 + b)).mean()) / 2.0
    assert start_information(model, Sequences(EVERY, EVERY)).bits == pytest.approx(expected)


def test_divergence_by_position():
    foreground = np.array([[0, 1, 2]] * 6 + [[0, 2, 2]] * 2, dtype=np.uint8)
    background = np.array([[0, 1, 2]] * 2 + [[3, 2, 2]] * 6, dtype=np.uint8)
    f = np.array([6.5, 2.5, 0.5, 0.5]) / 10
    b = np.array([2.5, 6.5, 0.5, 0.5]) / 10
    found = divergence_by_position(foreground, background)
    assert found[1] == pytest.approx((f * np.log2(f / b)).sum())
    assert found[2] == 0.0
    same = divergence_by_position(foreground, foreground, 2, weights=np.full(8, 3.0))
    assert same == pytest.approx([0.0, 0.0])
    assert word_codes(foreground, 2)[:, 0].tolist() == [1, 6]
    assert base_frequencies(background)[2].tolist() == [0.5 / 10, 0.5 / 10, 8.5 / 10, 0.5 / 10]


def test_the_other_strand_has_the_same_bias_reversed(fitted):
    model = fitted["markov"]
    codes = np.random.default_rng(6).integers(0, 4, 40).astype(np.uint8)
    reverse = model.track(reverse_complement(codes))[::-1]
    for at in range(2, 38):
        window = reverse_complement(codes[at - 2 : at + 3])
        assert reverse[at] == pytest.approx(model.log_bias(window[None])[0], abs=1e-5)


def test_sets_of_sequences_are_joined():
    both = joined(sequences(10), sequences(5, seed=9))
    assert (len(both.foreground), len(both.background), both.window) == (15, 15, WINDOW)


def test_options_that_do_not_fit_are_refused():
    with pytest.raises(OptionError, match="window must be odd"):
        BiasOptions(window=20)
    with pytest.raises(OptionError, match="kmer must be at most 6"):
        BiasOptions(window=11, model="kmers", kmer=7)
    with pytest.raises(OptionError, match="model must be one of"):
        BiasOptions(model="hmm")
