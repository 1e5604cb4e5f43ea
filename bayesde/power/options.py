"""What may be chosen in planning an experiment."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from bayesde.errors import OptionError
from bayesde.options import (
    Number,
    Other,
    Whole,
    check_fields,
    check_range,
    check_whole,
    documented,
    flag,
    option,
)

__all__ = ["PowerOptions"]

MOST_REPLICATES, LARGEST_EFFECT = 200, 15.0


def _numbers(name: str, values: Any) -> tuple[Any, ...]:
    """Return several different numbers, the smallest first."""
    if isinstance(values, str) or not isinstance(values, Sequence) or not len(values):
        raise OptionError(f"{name} must be one or several numbers; got {values!r}.")
    return tuple(sorted(set(values)))


def _replicates(name: str, values: Any) -> tuple[int, ...]:
    for value in _numbers(name, values):
        check_whole(name, value, 2, MOST_REPLICATES)
    return _numbers(name, values)


def _effects(name: str, values: Any) -> tuple[float, ...]:
    for value in _numbers(name, values):
        check_range(name, value, 0.0, LARGEST_EFFECT, open_ends=True)
    return tuple(float(value) for value in _numbers(name, values))


def _read_numbers(text: str, kind: type, example: str) -> tuple[Any, ...]:
    try:
        return tuple(kind(part) for part in text.split(","))
    except ValueError:
        raise OptionError(f"{text!r} is not understood; give numbers such as {example}.") from None


@documented
@dataclass(frozen=True, kw_only=True)
class PowerOptions:
    """Sizes of experiments, effects and levels, and how much is simulated."""

    replicates: tuple[int, ...] = option(
        (2, 3, 4, 6, 8, 12),
        Other("sequence of int from 2 to 200", _replicates),
        "Numbers of replicates in each of two groups.",
        flag("--replicates", metavar="N,N,...", read=lambda text: _read_numbers(text, int, "3,5,8")),
    )
    effects: tuple[float, ...] = option(
        (0.5, 1.0, 2.0),
        Other("sequence of float above 0", _effects),
        "Absolute log2 fold changes whose power is wanted.",
        flag("--lfc", metavar="X,X,...", read=lambda text: _read_numbers(text, float, "0.5,1,2")),
    )
    s_value: float = option(
        0.05,
        Number(0.0, 1.0, open_ends=True),
        "A gene is found if its s-value is smaller, and the sign of its estimate is right.",
        flag("--s-value", metavar="X"),
    )
    target: float = option(
        0.8,
        Number(0.0, 1.0, open_ends=True),
        "Power that is asked for.",
        flag("--power", metavar="X"),
    )
    smallest_mean: float = option(
        10.0,
        Number(0.0, 1e9),
        "Genes whose power is wanted have a base mean of at least this.",
        flag("--smallest-mean", metavar="X"),
    )
    genes: int = option(
        2000,
        Whole(200, 10**6),
        "Genes of a simulated experiment, from which the hyperparameters are learnt.",
        flag("--genes", "-g", metavar="N"),
    )
    probes: int = option(
        300,
        Whole(20, 10**5),
        "Further genes of exactly each of the effects, in each simulated experiment.",
        flag("--probes", metavar="N"),
    )
    repeats: int = option(
        1,
        Whole(1, 1000),
        "Simulated experiments of each size.",
        flag("--repeats", metavar="N"),
    )
    depth: float = option(
        1.0,
        Number(0.001, 1000.0),
        "Sequencing depth, relative to that of the pilot: base means are multiplied by it.",
        flag("--depth", metavar="X"),
    )
    seed: int = option(
        1,
        Whole(0, 2**32 - 1),
        "Random seed: the same seed gives the same numbers.",
        flag("--seed", metavar="N"),
    )

    def __post_init__(self) -> None:
        check_fields(self)
