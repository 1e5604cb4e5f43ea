"""Contrasts against R's: any two levels, weights of both signs and of one, no count in what is compared."""

import numpy as np
import pytest

from benchmarks.parity.reference import answers, load

CONTRASTS = {
    "pasilla_type": {
        "condrev": ("condition", "untreated", "treated"),
        "one_sign": [0, 1, 1],
        "mixed": [0, 1, -1],
        "cell": [1, 1, 0],
    },
    "gse60450": {
        "c32": ("group", "basal.pregnant", "basal.lactate"),
        "c15": ("group", "basal.virgin", "luminal.pregnant"),
        "one_sign": [0, 1, 1, 0, 0, 0],
        "mixed": [0, -1, 0, 0, 0.5, 0.5],
        "lst": [0, 1, 1, -1, -1, 0],
    },
}
COLUMNS = {
    "log2_fold_change": "log2FoldChange",
    "lfc_se": "lfcSE",
    "stat": "stat",
    "p_value": "pvalue",
}
CALLED_ZERO = {"c32", "c15", "lst", "mixed"}
"""Contrasts of both signs: among the genes kept, some have no count in the samples compared."""


@pytest.fixture(params=CONTRASTS)
def contrasted(request, shared):
    return load(shared, request.param)


def test_contrasts_equal_those_of_r(contrasted):
    reference = contrasted
    theirs = answers(f"deseq2_contrasts_{reference.name}")
    for key, contrast in CONTRASTS[reference.name].items():
        wanted = contrast if isinstance(contrast, tuple) else np.array(contrast, dtype=float)
        table = reference.fit.results(contrast=wanted)
        for ours, column in COLUMNS.items():
            values, expected = reference.ours(table[ours], theirs), theirs[f"{key}_{column}"]
            assert np.allclose(values, expected, rtol=1e-6, atol=1e-300, equal_nan=True), (key, ours)
        if key in CALLED_ZERO:
            empty = (theirs[f"{key}_log2FoldChange"] == 0.0).to_numpy()
            assert empty.any()
            assert np.all(reference.ours(table["p_value"], theirs)[empty] == 1.0)
