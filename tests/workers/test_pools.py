"""Functions called here or elsewhere: their results come in order, and what fails there is computed here."""

from __future__ import annotations

import pytest

import bayesde as bde
from bayesde.errors import ClusterError, ToolchainError
from bayesde.workers import cluster
from bayesde.workers.cluster import ClusterPool
from bayesde.workers.pools import AT_ONCE, LocalPool, in_order, pool_of


class Elsewhere(LocalPool):
    """A pool that fails on some arguments, so often."""

    elsewhere, at_once = True, 3

    def __init__(self, fails, kind=MemoryError):
        self.fails, self.kind, self.calls = dict(fails), kind, []

    def call(self, function, *arguments):
        self.calls.append(arguments[0])
        self.fails[arguments[0]] = self.fails.get(arguments[0], 0) - 1
        if self.fails[arguments[0]] >= 0:
            raise self.kind("no room")
        return "there", function(*arguments)


def squared(value):
    return value * value


def test_results_come_in_the_order_of_the_calls():
    calls = [(value,) for value in range(2 * AT_ONCE)]
    assert list(in_order(LocalPool(), squared, calls)) == [value**2 for (value,) in calls]
    assert list(in_order(Elsewhere({}), squared, calls)) == [("there", value**2) for (value,) in calls]


def test_a_call_waits_until_there_is_room():
    begun = []

    def calls():
        for value in range(9):
            begun.append(value)
            yield (value,)

    results = in_order(Elsewhere({}), squared, calls())
    assert next(results) == ("there", 0)
    assert len(begun) <= Elsewhere.at_once + 1
    results.close()


def test_what_fails_twice_elsewhere_is_computed_here(caplog):
    pool = Elsewhere({1: 1, 2: 2})
    assert list(in_order(pool, squared, [(1,), (2,), (3,)])) == [("there", 1), 4, ("there", 9)]
    assert sorted(pool.calls) == [1, 1, 2, 2, 3]
    assert caplog.text.count("a worker failed: MemoryError('no room')") == 3


@pytest.mark.parametrize("kind", [ClusterError, ToolchainError, bde.InputError])
def test_errors_that_are_no_accidents_end_the_work(kind):
    pool = Elsewhere({1: 9}, kind)
    with pytest.raises(kind, match="no room"):
        list(in_order(pool, squared, [(1,)]))
    assert pool.calls == [1]


def test_a_scheduler_that_does_not_answer(monkeypatch):
    pytest.importorskip("distributed")
    monkeypatch.setattr(cluster, "CONNECTING", 0.5)
    with pytest.raises(bde.OptionError, match=r"no Dask scheduler answers at 'tcp://127\.0\.0\.1:1'"):
        pool_of("tcp://127.0.0.1:1")
    with pytest.raises(bde.OptionError, match="address of a Dask scheduler"):
        pool_of(3)


def test_versions_that_differ_are_refused():
    assert cluster._called(bde.__version__, squared, 3) == 9
    with pytest.raises(ToolchainError, match="the same must be installed"):
        cluster._called("0.0.1", squared, 3)


def test_a_lost_scheduler_is_told():
    class Lost:
        status = "closed"

        def submit(self, *_, **__):
            raise OSError("gone")

    with pytest.raises(ClusterError, match=r"connection to the scheduler was lost.*resume the run"):
        ClusterPool(Lost()).call(len, [])
