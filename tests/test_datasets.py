"""The data that ship with the package."""

import numpy as np
import pandas as pd
import pytest

from bayesde import InputError, datasets


@pytest.mark.parametrize(
    ("load", "name", "shape", "columns"),
    [
        (datasets.load_pasilla, "pasilla", (14599, 7), ["condition", "type"]),
        (datasets.load_airway, "airway", (64102, 8), ["cell", "dex"]),
    ],
)
def test_data_sets_are_the_published_counts(shared, load, name, shape, columns):
    counts = load()
    assert counts.matrix.shape == shape
    assert list(counts.sample_table.columns)[:2] == columns
    original = pd.read_csv(shared / "data" / name / "counts.tsv.gz", sep="\t", index_col=0)
    np.testing.assert_array_equal(counts.matrix, original.to_numpy())
    assert list(counts.samples) == list(original.columns)


def test_an_unknown_data_set():
    with pytest.raises(InputError, match=r"no data set 'parathyroid'.*'pasilla', 'airway'"):
        datasets.path("parathyroid")
