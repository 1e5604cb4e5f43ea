"""How Sphinx builds the documentation: ``make docs``."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import bayesde

DOCS = Path(__file__).resolve().parent
REPOSITORY = DOCS.parent
sys.path.insert(0, str(DOCS))

NEEDS_DATA = {
    "donors": ("CARDIOGENIC_SHOCK", "CARDIOGENIC_SHOCK_GLMMTMB", "VARPART_DE"),
    "exon_usage": ("PASILLA_EXON",),
    "yoruba_sex": ("YORUBA",),
}
"""Notebooks whose data are not in the package, and the variables that say where they are."""


def notebooks_not_executed() -> list[str]:
    """Return patterns of the notebooks that are shown with their stored output."""
    if not os.environ.get("BAYESDE_DOCS_NOTEBOOKS"):
        return ["notebooks/*"]
    return [
        f"notebooks/{name}.ipynb" for name, where in NEEDS_DATA.items() if not set(where) <= set(os.environ)
    ]


project = "bayesde"
author = "The bayesde authors"
project_copyright = "2026, the bayesde authors"
version = release = bayesde.__version__

extensions = [
    "myst_nb",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.intersphinx",
    "sphinx.ext.mathjax",
    "sphinx_copybutton",
    "sphinx_design",
    "sphinx-mathjax-offline",  # formulas are drawn without a network
]
templates_path = ["_templates"]
exclude_patterns = ["_build", "_templates", "jupyter_execute", "**.ipynb_checkpoints"]
root_doc = "index"
nitpicky = False

# Reference pages of the public names are made from their docstrings.
autosummary_generate = True
autosummary_imported_members = False
autodoc_typehints = "none"
numpydoc_show_class_members = False
numpydoc_xref_param_type = False

# Pages with code are executed; their results are kept between builds. Notebooks are shown with their stored
# output, of all their data; with BAYESDE_DOCS_NOTEBOOKS=1 those are executed too whose data are there.
nb_execution_mode = "cache"
nb_execution_excludepatterns = notebooks_not_executed()
nb_execution_timeout = -1
nb_execution_raise_on_error = True
nb_merge_streams = True
suppress_warnings = ["myst-nb.lexer"]  # of pages of which nothing is executed
myst_enable_extensions = ["colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3

# Other projects' names are looked up only where a network can be reached.
intersphinx_mapping = (
    {
        "python": ("https://docs.python.org/3", None),
        "numpy": ("https://numpy.org/doc/stable", None),
        "pandas": ("https://pandas.pydata.org/docs", None),
        "xarray": ("https://docs.xarray.dev/en/stable", None),
        "matplotlib": ("https://matplotlib.org/stable", None),
        "anndata": ("https://anndata.readthedocs.io/en/stable", None),
    }
    if os.environ.get("BAYESDE_DOCS_ONLINE")
    else {}
)

html_theme = "pydata_sphinx_theme"
html_title = "bayesde"
html_static_path = ["_static"]
html_css_files = ["bayesde.css"]
html_sourcelink_suffix = ""
html_show_sourcelink = False
html_theme_options = {
    "navbar_align": "left",
    "show_toc_level": 2,
    "header_links_before_dropdown": 6,
    "footer_start": ["copyright"],
    "footer_end": [],
    "secondary_sidebar_items": ["page-toc"],
    "pygments_light_style": "tango",
}

COMMANDS_TEXT = """\
# Commands

Every command explains its options with `--help`. This is what they print.

"""


def copy_notebooks() -> None:
    """Copy the notebooks of the repository and the tables they read, so that they become pages."""
    target = DOCS / "notebooks"
    target.mkdir(exist_ok=True)
    for old in (*target.glob("*.ipynb"), *target.glob("*.tsv.gz")):
        if not (REPOSITORY / "notebooks" / old.name).exists():
            old.unlink()
    sources = REPOSITORY / "notebooks"
    for file in sorted([*sources.glob("*.ipynb"), *sources.glob("*.tsv.gz")]):
        new = target / file.name
        if not new.exists() or new.read_bytes() != file.read_bytes():
            shutil.copyfile(file, new)


def write_commands() -> None:
    """Write a page with the help text of every command."""
    from typer.main import get_command

    from bayesde.cli import app

    environment = os.environ | {"COLUMNS": "80", "NO_COLOR": "1", "TERM": "dumb"}
    text = [COMMANDS_TEXT]
    for name in ["", *get_command(app).commands]:  # type: ignore[attr-defined]
        command = [sys.executable, "-m", "bayesde", *([name] if name else []), "--help"]
        printed = subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout
        lines = "\n".join(line.rstrip() for line in printed.strip().splitlines())
        text.append(f"## `bayesde {name}`\n\n".replace(" `\n", "`\n") + f"```text\n{lines}\n```\n")
    page = DOCS / "reference" / "commands.md"
    page.write_text("\n".join(text), encoding="utf-8")


def prepare(_app: object) -> None:
    """Make the pages that come from other parts of the repository."""
    copy_notebooks()
    write_commands()


def setup(app: object) -> None:
    """Connect what Sphinx calls."""
    app.connect("builder-inited", prepare, priority=100)  # type: ignore[attr-defined]
