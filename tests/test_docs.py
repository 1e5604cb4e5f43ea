"""The documentation names everything that is public, and only that."""

import re
from pathlib import Path

import pytest

import bayesde as bde
from bayesde import plots

DOCS = Path(__file__).parents[1] / "docs"


def _listed(page: str) -> list[str]:
    text = (DOCS / "reference" / page).read_text(encoding="utf-8")
    return re.findall(r"^   (\w+)$", text, re.MULTILINE)


@pytest.mark.parametrize(
    ("page", "names"),
    [
        ("api.md", (set(bde.__all__) - {"plots", "bias"}) | set(bde.bias.__all__)),
        ("plots.md", set(plots.__all__)),
    ],
)
def test_reference_lists_each_public_name_once(page, names):
    assert sorted(_listed(page)) == sorted(names)


def test_gallery_shows_every_plot():
    shown = set(re.findall(r"bde\.plots\.(\w+)\(", (DOCS / "gallery.md").read_text(encoding="utf-8")))
    chains = {"hyperparameter_trace_plot"}  # of Stan's chains, which the page has none of
    assert shown == set(plots.__all__) - chains


def test_pages_are_in_a_table_of_contents():
    for folder in ("how_to", "background", "reference", "tutorials"):
        index = (DOCS / folder / "index.md").read_text(encoding="utf-8")
        pages = {path.stem for path in (DOCS / folder).glob("*.md")} - {"index", "commands"}
        assert pages <= set(re.findall(r"^(\w+)$", index, re.MULTILINE)), folder
