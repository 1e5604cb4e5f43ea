"""Damaged and badly written files for every reader: ``python -m benchmarks.fuzz [--seconds 600] [--seed 1]``.

Each round writes the file of one reader, damages it in one to three ways (as spreadsheets and broken
downloads do), and reads it. Reading it may work, warn, or end with an `InputError`; anything else is a fault,
and is printed with the number of its round, which makes it again (``--first ROUND --rounds 1``).
"""

from __future__ import annotations

import argparse
import gzip
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd

import bayesde as bde
from bayesde.io.tables import read_sample_table
from bayesde.results import read_results

__all__ = ["DAMAGES", "READERS", "fault", "one_round"]

N_GENES, SAMPLES = 12, tuple(f"s{j}" for j in range(1, 7))
GENES = ("MARCH1", "SEPT2", "ENSG0001.3", *(f"gene{i}" for i in range(4, N_GENES + 1)))

Rng = np.random.Generator
Lines = list[list[str]]


def _table(rng: Rng, index: str = "gene", names: tuple[str, ...] = GENES) -> Lines:
    """Make a table of counts, as cells."""
    counts = rng.negative_binomial(2, 0.002, (len(names), len(SAMPLES))).astype(str)
    return [[index, *SAMPLES], *([name, *row] for name, row in zip(names, counts, strict=True))]


def _samples(_: Rng) -> Lines:
    rows = [[name, "treated" if j % 2 else "control", "1.5"] for j, name in enumerate(SAMPLES)]
    return [["sample", "condition", "age"], *rows]


def _featurecounts(rng: Rng) -> Lines:
    table = _table(rng, "Geneid")
    about = [
        ["Chr", "Start", "End", "Strand", "Length"],
        *(["1;1", "1;9", "5;20", "+;+", "15"] for _ in GENES),
    ]
    rows = [[row[0], *extra, *row[1:]] for row, extra in zip(table, about, strict=True)]
    return [["# Program:featureCounts v2.0.6"], *rows]


def _bins(rng: Rng) -> Lines:
    return _table(rng, "feature", tuple(f"gene{i // 4}:E{i % 4:03d}" for i in range(N_GENES)))


def _quantification(rng: Rng) -> Lines:
    header = ["Name", "Length", "EffectiveLength", "TPM", "NumReads"]
    return [header, *([name, "1000", "800.5", "3.2", f"{rng.gamma(1.0, 100.0):.3f}"] for name in GENES)]


def _results(rng: Rng) -> Lines:
    header = ["gene", "base_mean", "log2_fold_change", "status"]
    return [header, *([name, repr(float(rng.gamma(1.0, 100.0))), "-0.5", "ok"] for name in GENES)]


def _with_samples(read: Callable[..., object]) -> Callable[[Path], object]:
    table = pd.DataFrame({"condition": ["a", "b"] * 3}, index=list(SAMPLES))
    return lambda path: read(path, samples=table)


def _quantified(path: Path) -> object:
    frame = pd.DataFrame({"transcript": list(GENES), "gene": [f"g{i // 2}" for i in range(N_GENES)]})
    return bde.read_tximport({"a": path, "b": path}, tx2gene=frame)


READERS: dict[str, tuple[Callable[[Rng], Lines], Callable[[Path], object]]] = {
    "counts": (_table, bde.read_counts),
    "counts with samples": (_table, _with_samples(bde.read_counts)),
    "featureCounts": (_featurecounts, bde.read_counts),
    "one sample": (
        lambda rng: [row[:2] for row in _table(rng)[1:]],
        lambda path: bde.read_counts({"a": path}),
    ),
    "sample table": (_samples, read_sample_table),
    "usage": (_bins, _with_samples(bde.read_usage)),
    "quantification": (_quantification, _quantified),
    "matrices": (_table, lambda path: bde.read_tximport(counts=path, lengths=path)),
    "results": (_results, read_results),
}
"""What writes a file, as rows of cells, and what reads it."""


def _cell(rows: Lines, rng: Rng) -> tuple[int, int]:
    filled = [i for i, row in enumerate(rows) if row]
    i = int(rng.choice(filled))
    return i, int(rng.integers(len(rows[i])))


WEIRD = (
    *(
        "",
        " ",
        "NA",
        "nan",
        "inf",
        "-inf",
        "1e400",
        "-5",
        "3.7",
        "1,234",
        "1.234.567",
        "1 234",
        "0x1f",
        "TRUE",
    ),
    *(
        "#N/A",
        "#REF!",
        "2-Sep",
        "2026-09-02",
        "Mar-01",
        "01/03/2026",
        "\u22125",
        "\u00a05",
        "5\u00a0",
        "١٢",
        "5 %",
    ),
    *(
        '"',
        "'",
        "a\tb",
        "a,b",
        "None",
        "9" * 30,
        "9" * 400,
        "\x00",
        "é",
        "__no_feature",
        "#5",
        "5e-324",
        "1_000",
    ),
)
"""Cells of spreadsheets, of other programs, and of people."""


def _change_cells(rows: Lines, rng: Rng) -> None:
    for _ in range(int(rng.integers(1, 4))):
        i, j = _cell(rows, rng)
        rows[i][j] = WEIRD[int(rng.integers(len(WEIRD)))]


def _same_everywhere(rows: Lines, rng: Rng) -> None:
    _, j = _cell(rows, rng)
    value = WEIRD[int(rng.integers(len(WEIRD)))]
    for row in rows[int(rng.integers(2)) :]:
        if j < len(row):
            row[j] = value


def _thousands(rows: Lines, rng: Rng) -> None:
    mark = rng.choice([",", ".", " ", "'"])
    for row in rows[1:]:
        row[1:] = [f"{int(cell):,}".replace(",", mark) if cell.isdigit() else cell for cell in row[1:]]


def _dates(rows: Lines, _: Rng) -> None:
    for row in rows:
        if row:
            row[0] = {"MARCH1": "1-Mar", "SEPT2": "2-Sep"}.get(row[0], row[0])


def _repeat_row(rows: Lines, rng: Rng) -> None:
    i = 0 if rng.random() < 0.5 else int(rng.integers(len(rows)))
    rows.insert(int(rng.integers(len(rows) + 1)), list(rows[i]))


def _repeat_column(rows: Lines, rng: Rng) -> None:
    _, j = _cell(rows, rng)
    for row in rows:
        if j < len(row):
            row.insert(j, row[j])


def _drop_column(rows: Lines, rng: Rng) -> None:
    _, j = _cell(rows, rng)
    for row in rows:
        if j < len(row):
            del row[j]


def _ragged(rows: Lines, rng: Rng) -> None:
    i, j = _cell(rows, rng)
    rows[i] = rows[i][:j] if rng.random() < 0.5 else [*rows[i], "7"]


def _empty_ends(rows: Lines, rng: Rng) -> None:
    last = len(rows) if rng.random() < 0.5 else 1  # of the header alone
    for row in rows[int(rng.integers(2)) : last]:
        row.extend([""] * int(rng.integers(1, 3)))


def _no_rows(rows: Lines, rng: Rng) -> None:
    del rows[int(rng.integers(0, 3)) :]


def _shuffle(rows: Lines, rng: Rng) -> None:
    rows[:] = [rows[i] for i in rng.permutation(len(rows))]


def _transposed(rows: Lines, _: Rng) -> None:
    width = max(map(len, rows), default=0)
    rows[:] = [[row[j] if j < len(row) else "" for row in rows] for j in range(width)]


OF_CELLS = (
    *(_change_cells, _same_everywhere, _thousands, _dates, _repeat_row, _repeat_column, _drop_column),
    *(_ragged, _empty_ends, _no_rows, _shuffle, _transposed),
)


def _bytes_changed(data: bytes, rng: Rng) -> bytes:
    changed = bytearray(data)
    for at in rng.integers(0, max(len(changed), 1), int(rng.integers(1, 5))):
        changed[at : at + 1] = bytes([rng.integers(256)])
    return bytes(changed)


def _part_lost(data: bytes, rng: Rng) -> bytes:
    first, last = sorted(rng.integers(0, len(data) + 1, 2))
    return data[:first] + data[last:]


def _cut(data: bytes, rng: Rng) -> bytes:
    return data[: int(rng.integers(len(data) + 1))]


def _squeezed(data: bytes, _: Rng) -> bytes:
    return gzip.compress(data, mtime=0)


def _recoded(data: bytes, rng: Rng) -> bytes:
    code = str(rng.choice(["utf-16", "utf-8-sig", "latin-1", "utf-32"]))
    return data.decode("utf-8", "replace").encode(code, "replace")


def _line_ends(data: bytes, rng: Rng) -> bytes:
    return data.replace(b"\n", rng.choice([b"\r\n", b"\r", b"\n\n", b"\r\r\n"]))


def _other_separator(data: bytes, rng: Rng) -> bytes:
    return data.replace(b"\t", rng.choice([b";", b",", b" ", b"|", b", ", b"\t\t", b" \t"]))


def _quoted(data: bytes, _: Rng) -> bytes:
    return b"\n".join(b"\t".join(b'"%b"' % cell for cell in line.split(b"\t")) for line in data.split(b"\n"))


def _noise(data: bytes, rng: Rng) -> bytes:
    return (
        rng.choice([b"\x1f\x8b", b"PAR1", b"\x89HDF\r\n\x1a\n", b"PK\x03\x04", b"BZh9", b"\xfd7zXZ\x00"])
        + data
    )


OF_BYTES = (
    *(_bytes_changed, _part_lost, _cut, _squeezed, _recoded, _line_ends, _other_separator, _quoted, _noise),
)
DAMAGES = (*OF_CELLS, *OF_BYTES)


def one_round(seed: int, number: int, folder: Path) -> tuple[str, list[str], Path]:
    """Write the file of a round.

    Parameters
    ----------
    seed, number : int
    folder : Path

    Returns
    -------
    reader : str
        Which of `READERS` is to read it.
    damages : list of str
    path : Path
    """
    rng = np.random.default_rng([seed, number])
    reader = list(READERS)[int(rng.integers(len(READERS)))]
    rows = READERS[reader][0](rng)
    chosen = [DAMAGES[i] for i in np.sort(rng.integers(0, len(DAMAGES), int(rng.integers(1, 4))))]
    for damage in chosen:
        if damage in OF_CELLS and any(rows):
            damage(rows, rng)
    data = "".join("\t".join(row) + "\n" for row in rows).encode()
    for damage in chosen:
        if damage in OF_BYTES:
            data = damage(data, rng)
    if rng.random() < 0.15:  # a download that broke off
        data = _cut(gzip.compress(data, mtime=0), rng)
    name = rng.choice(["table.tsv", "table.csv", "table.txt", "table.tsv.gz", "quant.sf", "table"])
    path = folder / str(name)
    path.write_bytes(data)
    return reader, [damage.__name__.strip("_") for damage in chosen], path


def fault(reader: str, path: Path) -> BaseException | None:
    """Read a file, and return what must not happen.

    Parameters
    ----------
    reader : str
    path : Path

    Returns
    -------
    BaseException or None
    """
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", bde.BayesdeWarning)
        warnings.simplefilter("ignore", bde.BayesdeNote)
        try:
            READERS[reader][1](path)
        except bde.InputError:
            return None
        except Exception as problem:
            return problem
    return None


def _rounds(first: int, rounds: int | None, seconds: float) -> Iterator[int]:
    started, number = time.monotonic(), first
    while (number - first < rounds) if rounds else (time.monotonic() - started < seconds):
        yield number
        number += 1


def main() -> int:
    """Fuzz, and return 1 if there is a fault."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--first", type=int, default=0, help="round to begin with")
    parser.add_argument("--rounds", type=int, help="instead of --seconds")
    asked = parser.parse_args()
    places: dict[str, int] = {}
    number = asked.first
    with tempfile.TemporaryDirectory() as scratch:
        for number in _rounds(asked.first, asked.rounds, asked.seconds):
            reader, damages, path = one_round(asked.seed, number, Path(scratch))
            if (problem := fault(reader, path)) is not None:
                where = traceback.extract_tb(problem.__traceback__)
                own = [step for step in where if "bayesde" in step.filename and "fuzz" not in step.filename]
                place = (
                    f"{type(problem).__name__} in {own[-1].name} line {own[-1].lineno}"
                    if own
                    else repr(problem)
                )
                places[place] = places.get(place, 0) + 1
                if places[place] == 1:
                    print(
                        f"round {number}: {reader}, {', '.join(damages)}: {place}: {problem!s:.300}",
                        flush=True,
                    )
    done = number - asked.first + 1
    print(f"{done:,} rounds, seed {asked.seed}: {sum(places.values())} faults at {len(places)} places")
    return 1 if places else 0


if __name__ == "__main__":
    sys.exit(main())
