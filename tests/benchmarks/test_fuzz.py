"""Damaged files are read or refused with an explanation; ``python -m benchmarks.fuzz`` searches longer."""

import pytest

from bayesde import InputError, read_counts, read_results
from benchmarks.fuzz import DAMAGES, READERS, fault, one_round


def test_damaged_files_are_read_or_refused(tmp_path):
    seen, damaged = set(), set()
    for number in range(300):
        reader, damages, path = one_round(7, number, tmp_path)
        problem = fault(reader, path)
        assert problem is None, (number, reader, damages)
        seen.add(reader)
        damaged.update(damages)
    assert seen == set(READERS)
    assert damaged == {damage.__name__.strip("_") for damage in DAMAGES}


def test_a_fault_is_noticed(tmp_path, monkeypatch):
    monkeypatch.setitem(READERS, "counts", (READERS["counts"][0], lambda path: [][0]))
    assert isinstance(fault("counts", tmp_path), IndexError)


def test_cells_beyond_the_header_are_not_lost(tmp_path):
    path = tmp_path / "counts.tsv"
    path.write_text('gene\ta\ng1\t1\n"g2"\t2\t3\n')
    with pytest.raises(InputError, match="is not a table"):
        read_counts(path)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("g1\t5\tok\ng2\t6\n", "the row.s. of 'g2' have no status"),
        ("g1\t5\tok\ng2\t6\tok\tok\n", "is damaged"),
        ("g1\t5\tok\ng2\t6,5\tok\n", "a cell that is no number"),
    ],
)
def test_damaged_results_are_refused(tmp_path, text, said):
    path = tmp_path / "results.tsv"
    path.write_text(f"gene\tbase_mean\tstatus\n{text}")
    with pytest.raises(InputError, match=said):
        read_results(path)
    path.write_bytes(path.read_bytes() + b"\xff")
    with pytest.raises(InputError, match="not UTF-8"):
        read_results(path)


def test_a_quote_that_is_not_closed_in_a_long_header(tmp_path):
    path = tmp_path / "counts.tsv"
    path.write_text('"gene\ta\tb' + "x" * 140_000 + "\ng1\t1\t2\n")
    with pytest.raises(InputError, match="not a row of a table"):
        read_counts(path)
