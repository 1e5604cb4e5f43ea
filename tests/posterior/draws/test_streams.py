"""Random numbers of different purposes are different ones."""

from __future__ import annotations

from itertools import combinations

import numpy as np

from bayesde.posterior.draws.streams import MOST_ATTEMPTS, Stream, seeds_for
from bayesde.posterior.importance.sampler import ADAPTATIONS
from bayesde.posterior.stan import starts

AGAIN = {Stream.ADAPTED, Stream.STARTS}
SEEDS = np.array([0, 1, 2**31, 2**32 - 1], dtype=np.uint32)


def salts():
    """What every purpose combines a seed with, pilot draws for a purpose included."""
    found = {}
    for stream in Stream:
        for attempt in range(MOST_ATTEMPTS if stream in AGAIN else 1):
            salt = int(seeds_for(stream, np.zeros(1, dtype=np.uint32), attempt)[0])
            found[stream.name, attempt] = salt
            if stream is not Stream.PILOT and stream is not Stream.LEARNING:  # pilots of which are PILOT
                found[stream.name, attempt, "pilot"] = salt ^ Stream.PILOT
    return found


def test_no_two_purposes_have_the_same_random_numbers():
    found = salts()
    assert len(set(found.values())) == len(found)
    for one, other in combinations(Stream, 2):
        assert (seeds_for(one, SEEDS) != seeds_for(other, SEEDS)).all()


def test_every_purpose_is_told_apart_by_name():
    assert len(Stream) == len(Stream.__members__)  # two of one value would be one member by two names


def test_seeds_stay_seeds():
    for stream in Stream:
        seeds = seeds_for(stream, SEEDS)
        assert seeds.dtype == np.uint32
        assert np.unique(seeds).size == SEEDS.size


def test_attempts_have_room():
    assert ADAPTATIONS < MOST_ATTEMPTS
    assert starts.seeds_for is seeds_for
