"""Every notebook runs from its first cell to its last, those that take long on less data."""

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from nbformat.v4 import new_code_cell

NOTEBOOKS = sorted((Path(__file__).parents[1] / "notebooks").glob("*.ipynb"))
REDUCED = {
    "airway_start_to_end": "GENES = 6000",
    "donors": "GENES = 150",
    "exon_usage": "GENES = 150",
    "model_in_stan": "GENES, WARMUP, DRAWS = 20, 200, 100",
    "normalization": "GENES = 1500",
    "yoruba_sex": "EVERY = 20",
}
"""Settings that take the place of those of the cell tagged ``parameters``."""
DATA = {
    "donors": {
        "CARDIOGENIC_SHOCK": "data/cardiogenic_shock",
        "CARDIOGENIC_SHOCK_GLMMTMB": "ref/cardiogenic_shock",
        "VARPART_DE": "data/varpart_de",
    },
    "exon_usage": {"PASILLA_EXON": "data/pasilla_exon"},
    "yoruba_sex": {"YORUBA": "data/yoruba"},
}
"""The environment variables that say where data are that the package does not have, and their folders."""


def reduced(notebook, settings):
    """Insert settings after those that they take the place of."""
    tagged = [i for i, cell in enumerate(notebook.cells) if "parameters" in cell.metadata.get("tags", [])]
    assert len(tagged) == 1
    notebook.cells.insert(tagged[0] + 1, new_code_cell(settings))


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of the kernel's own libraries
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_runs(path, tmp_path, cmdstan, request, monkeypatch):
    notebook = nbformat.read(path, as_version=4)
    for variable, folder in DATA.get(path.stem, {}).items():
        monkeypatch.setenv(variable, str(request.getfixturevalue("shared") / folder))
    for table in path.parent.glob("*.tsv.gz"):
        (tmp_path / table.name).symlink_to(table)
    if path.stem in REDUCED:
        reduced(notebook, REDUCED[path.stem])
    NotebookClient(notebook, timeout=None, resources={"metadata": {"path": str(tmp_path)}}).execute()
    shown = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    assert any("image/png" in output.get("data", {}) for output in shown)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_stored_output_is_that_of_a_whole_run(path):
    """Cells were run once, in order, on all data, without an error."""
    cells = [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    assert not [output for cell in cells for output in cell.outputs if output.output_type == "error"]
    assert any("image/png" in output.get("data", {}) for cell in cells for output in cell.outputs)


def test_every_notebook_with_settings_of_its_own_is_there():
    assert (REDUCED.keys() | DATA.keys()) <= {path.stem for path in NOTEBOOKS}
