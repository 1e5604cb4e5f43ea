"""Numbers as text: the same letters as Python's repr, for every kind of double."""

import io

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bayesde.decimals import format_rows
from bayesde.results import tab_separated

POWERS_OF_TWO = 2.0 ** np.arange(-1074, 1024)
POWERS_OF_TEN = np.array([float(f"1e{power}") for power in range(-323, 309)])


def some_doubles(rng):
    """Doubles of any bit pattern, finite ones only."""
    values = rng.integers(0, 2**64, size=50_000, dtype=np.uint64).view(np.float64)
    return values[np.isfinite(values)]


KINDS = {
    "any bits": some_doubles,
    "sizes of every day": lambda rng: rng.normal(size=20_000) * 10.0 ** rng.integers(-7, 20, 20_000),
    "few digits": lambda rng: rng.integers(-999, 1000, 20_000) / 10.0 ** rng.integers(0, 23, 20_000),
    "whole numbers": lambda rng: (
        rng.integers(-(2**62), 2**62, 5000).astype(float) // 10 ** np.arange(5000.0).clip(0, 18)
    ),
    "subnormal": lambda rng: rng.integers(1, 2**52, 5000, dtype=np.uint64).view(np.float64),
    "powers of two": lambda rng: POWERS_OF_TWO,
    "below powers of two": lambda rng: np.nextafter(POWERS_OF_TWO, 0.0),
    "above powers of two": lambda rng: np.nextafter(POWERS_OF_TWO[:-1], np.inf),
    "powers of ten": lambda rng: POWERS_OF_TEN,
    "below powers of ten": lambda rng: np.nextafter(POWERS_OF_TEN, 0.0),
    "above powers of ten": lambda rng: np.nextafter(POWERS_OF_TEN, 1.0),
    "zeros and ends": lambda rng: np.array([0.0, -0.0, np.inf, -np.inf, 5e-324, 1.7976931348623157e308]),
}


@pytest.mark.parametrize("kind", KINDS)
def test_the_text_is_that_of_repr(kind):
    values = np.asarray(KINDS[kind](np.random.default_rng(1)))
    assert format_rows(values[:, None]) == list(map(repr, values.tolist()))


@given(st.lists(st.lists(st.floats(allow_nan=False), min_size=3, max_size=3), max_size=5))
def test_rows_and_separators(rows):
    values = np.array(rows, dtype=np.float64).reshape(len(rows), 3)
    assert format_rows(values, ",") == [",".join(map(repr, row)) for row in values.tolist()]


def test_missing_numbers_are_empty():
    assert format_rows(np.array([[np.nan, 1.0, np.nan], [np.nan] * 3])) == ["\t1.0\t", "\t\t"]


def test_a_table_is_written_as_pandas_writes_it():
    frame = pd.DataFrame(
        {
            "x": [0.1, np.nan, 1e-300],
            "y": [1e16, 123456.0, -0.0],
            "n": [1, 2, 3],
            "text": ["a\tb", None, 'say "no"'],
            "single": np.array([0.1, 1.5, np.nan], dtype=np.float32),
            "z": [2.5, 3.0, np.inf],
            "yes": [True, False, True],
            "two\nlines": ["p", "q", np.nan],
        },
        index=pd.Index(['"quoted"', "plain", "last"], name="gene"),
    )
    for table in (frame, frame.iloc[:, :2], frame.iloc[:0], frame[["text"]]):
        assert tab_separated(table) == table.to_csv(sep="\t", index_label="gene", lineterminator="\n")


def test_names_with_line_ends_come_back():
    frame = pd.DataFrame({"text": ["a\rb", "c\r\nd"], "x": [1.0, 2.0]}, index=pd.Index(["g\r1", "g\n2"]))
    back = pd.read_csv(io.StringIO(tab_separated(frame), newline=""), sep="\t", index_col="gene")
    assert back.index.tolist() == frame.index.tolist()
    assert back["text"].tolist() == frame["text"].tolist()
