"""Effective lengths, re-weighted counts and samples of sequences, compared with sums written down plainly."""

import numpy as np
import pytest

from bayesde.bias.fragments import FragmentLaw
from bayesde.bias.lengths import PRIOR_PLACES, bias_tracks, effective_lengths, gene_groups
from bayesde.bias.models.interface import BiasModel
from bayesde.bias.models.tables import TableModel
from bayesde.bias.options import BiasOptions
from bayesde.bias.reading.alignments import read_alignments
from bayesde.bias.reading.annotation import read_genes
from bayesde.bias.reading.places import Starts, join_exons, located
from bayesde.bias.samples import distinct_starts, draw_sequences, shifted

WINDOW = 5
FLAT = TableModel(((),) * WINDOW, (np.log(np.full((1, 4), 0.25)),) * WINDOW, 0)


def known_bias(seed: int) -> BiasModel:
    """A model of independent bases."""
    p = np.random.default_rng(seed).dirichlet(np.full(4, 8.0), WINDOW)
    return BiasModel("known", TableModel(((),) * WINDOW, tuple(np.log(p)[:, None]), 15), FLAT, WINDOW)


@pytest.fixture(scope="module")
def places(genome):
    return join_exons(read_genes(genome.gtf), genome.fasta, WINDOW // 2, {"chr1": genome.bases.size})


def by_definition(places, models, law, gene):
    """The effective length of a gene before normalization: a sum over all fragments, one by one."""
    first = list(range(int(places.first[gene]), int(places.last[gene])))
    share = law.forward_share(places.strands)[gene]

    def bias(end, position, reverse):
        if end >= len(models):
            return 1.0
        window = places.contexts(np.array([position]), np.array([reverse]), WINDOW)
        return float(np.exp(models[end].log_bias(window))[0])

    total, number = 0.0, 0.0
    for length, weight in zip(law.lengths, law.weights, strict=True):
        for low in first[: len(first) - length + 1]:
            high = low + length - 1
            forward = bias(0, low, False) * bias(1, high, True)
            backward = bias(1, low, False) * bias(0, high, True)
            total += weight * (share * forward + (1.0 - share) * backward)
        number += weight * (len(first) - length + 1)
    means = [[np.mean([bias(end, p, r) for p in first]) for r in (False, True)] for end in (0, 1)]
    mean = share * means[0][0] * means[1][1] + (1.0 - share) * means[1][0] * means[0][1]
    return number * (total + PRIOR_PLACES * mean) / (number + PRIOR_PLACES), number


@pytest.mark.parametrize("paired", [False, True])
def test_effective_lengths_are_sums_over_all_fragments(places, paired):
    law = FragmentLaw(np.array([150, 400]), np.array([0.75, 0.25]), paired, 0.9)
    models = [known_bias(1), known_bias(2)][: 1 + paired]
    found = effective_lengths(dict(zip(("first", "second"), models, strict=False)), places, law)
    genes = (0, 1)
    plain = np.array([by_definition(places, models, law, gene) for gene in genes])
    assert found.unbiased[:2] == pytest.approx(plain[:, 1])
    assert found.biased[1] / found.biased[0] == pytest.approx(plain[1, 0] / plain[0, 0], rel=1e-5)
    assert found.biased.sum() == pytest.approx(found.unbiased.sum())


def test_without_bias_lengths_are_numbers_of_places(places):
    law = FragmentLaw(np.array([100, 300]), np.array([0.5, 0.5]), True, 0.5)
    nothing = BiasModel("flat", FLAT, FLAT, WINDOW)
    found = effective_lengths({"first": nothing, "second": nothing}, places, law)
    assert found.biased == pytest.approx(places.lengths - 200 + 1)


def test_a_gene_shorter_than_all_fragments_has_one_place(places):
    law = FragmentLaw(np.array([5000]), np.ones(1), True, 0.5)
    found = effective_lengths({"first": known_bias(1), "second": known_bias(2)}, places, law)
    assert found.unbiased.tolist() == [1.0] * 80
    assert 0.5 < found.biased.min() <= found.biased.max() < 2.0


def test_groups_of_genes_give_the_same_lengths(places, monkeypatch):
    law = FragmentLaw(np.array([100]), np.ones(1), False, 0.5)
    whole = effective_lengths({"first": known_bias(1)}, places, law)
    monkeypatch.setattr("bayesde.bias.lengths.AT_ONCE", 1500)
    assert [genes.stop for genes, _ in gene_groups(places)][:3] == [3, 6, 9]
    assert effective_lengths({"first": known_bias(1)}, places, law).biased.tolist() == whole.biased.tolist()


def test_tracks_of_both_strands_are_the_bias_of_reads(places):
    model = known_bias(3)
    tracks = bias_tracks(model, places.codes)
    position = places.first[3] + np.arange(50)
    for reverse, track in ((False, tracks.forward), (True, tracks.reverse)):
        contexts = places.contexts(position, np.full(50, reverse), WINDOW)
        assert track[position] == pytest.approx(np.exp(model.log_bias(contexts)), rel=1e-5)


def test_every_start_is_drawn_once_and_its_background_lies_in_its_gene(places, bams):
    starts = located(read_alignments(bams["a1"]), places)
    rng = np.random.default_rng(1)
    options = BiasOptions(window=WINDOW, coverage=1e5, copies=1, sequences=1000, shift=50.0)
    found = distinct_starts(starts, places, options, rng, second=False)
    position, _, copies = found
    assert (copies == 1).all()
    every = set(zip(starts.position.tolist(), starts.reverse.tolist(), strict=True))
    assert len(position) == len(every) < starts.position.size
    moved = shifted(position, places, 50.0, np.random.default_rng(1))
    assert np.array_equal(places.gene_of(moved), places.gene_of(position))
    assert np.mean(moved == position) < 0.01
    inner = np.abs(moved - position) < 500
    assert 40.0 < np.std((moved - position)[inner]) < 60.0
    split = draw_sequences(found, places, options, np.random.default_rng(1))
    sizes = [len(one.foreground) for one in (split.training, split.validation, split.test)]
    assert sizes == [900, 50, 50]
    assert split.n_starts == len(every)


def test_shifts_that_never_fit_are_drawn_from_the_whole_gene(places):
    position = np.repeat(places.first[2] + 350, 500)
    moved = shifted(position, places, 1e6, np.random.default_rng(1)) - places.first[2]
    assert moved.min() >= 0
    assert moved.max() < 700
    assert 150.0 < moved.std() < 250.0  # of a uniform distribution, 202


def test_genes_of_many_reads_are_thinned_before_starts_are_made_distinct(places):
    first = places.first[[0, 1]]
    many = np.repeat(first[0] + np.arange(700), 10)
    position = np.concatenate([many, np.full(500, first[1])])  # one place has all reads of the second gene
    nothing = np.zeros(position.size, dtype=bool)
    starts = Starts(position, nothing, nothing, np.full(position.size, -1))
    options = BiasOptions(coverage=0.1)
    kept, _, copies = distinct_starts(starts, places, options, np.random.default_rng(1), second=False)
    gene = places.gene_of(kept)
    assert copies[gene == 1] == 3  # of 140 reads
    assert 110 < np.sum(gene == 0) <= 140  # 140 of 7,000 reads, of which few start at the same base
    assert np.sum(gene == 1) == 1
    options = BiasOptions(coverage=100.0, copies=20)
    every, _, copies = distinct_starts(starts, places, options, np.random.default_rng(1), second=False)
    assert every.size == 701
    assert sorted(set(copies.tolist())) == [10, 20]


def test_copies_of_a_start_stay_together_whatever_the_order_of_reads(places):
    rng = np.random.default_rng(3)
    position, reverse = places.first[5] + rng.integers(0, 700, 800), rng.random(800) < 0.5
    options = BiasOptions(window=WINDOW, coverage=0.4)
    drawn, parts = [], ("training", "validation", "test")
    for order in (np.arange(800), rng.permutation(800)):
        one = Starts(position[order], reverse[order], np.zeros(800, dtype=bool), np.full(800, -1))
        found = distinct_starts(one, places, options, np.random.default_rng(1), second=False)
        drawn.append(draw_sequences(found, places, options, np.random.default_rng(1)))
    assert 500 < found.copies.sum() <= 560  # 0.4 for each of 700 bases and strand, hardly any beyond 3 copies
    assert set(found.copies.tolist()) == {1, 2, 3}
    assert sum(len(getattr(drawn[0], part).foreground) for part in parts) == found.copies.sum()
    for part in parts:
        a, b = (getattr(one, part) for one in drawn)
        assert np.array_equal(a.foreground, b.foreground)
        assert np.array_equal(a.background, b.background)
