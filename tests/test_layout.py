"""The order of modules and folders, their sizes, what is documented; and ``import bayesde`` stays light."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import layout
import pytest

import bayesde

REPOSITORY = Path(__file__).resolve().parents[1]
ORDER = (
    "errors options numerics counts io datasets design normalize statuses columns results gene_rankings "
    "simulation workers eb explore model stan_runtime posterior usage plots power bias runs cli"
).split()
"""Top-level folders and modules of the package; each imports only from those before it."""
HEAVY = ("numba", "cmdstanpy", "arviz", "matplotlib")


def listed(found: list[str]) -> str:
    return "\n  ".join(["", *found])


def test_every_top_level_folder_has_its_place():
    graph = layout.folder_graphs(REPOSITORY, "bayesde")["bayesde"]
    names = {name.removeprefix("bayesde.") for name in graph} - {"__main__"}
    assert names == set(ORDER)


def test_a_top_level_folder_imports_only_from_those_before_it():
    place = {f"bayesde.{name}": number for number, name in enumerate(ORDER)}
    graph = layout.import_graph(REPOSITORY, "bayesde")
    found = [
        f"{name} imports {other}"
        for name in sorted(graph)
        if name != "bayesde.__main__"
        for other in sorted(graph[name])
        if place[layout.child("bayesde", other)] > place[layout.child("bayesde", name)]
    ]
    assert not found, listed(found)


@pytest.mark.parametrize("package", ["bayesde", "benchmarks"])
def test_no_module_imports_itself_through_others(package):
    assert not layout.circles(REPOSITORY, package)


@pytest.mark.parametrize("package", ["bayesde", "benchmarks"])
def test_members_of_a_folder_have_an_order(package):
    """Of two sub-folders, or a sub-folder and a module beside it, only one imports from the other."""
    assert not layout.folder_circles(REPOSITORY, package), listed(
        layout.backward_imports(REPOSITORY, package)
    )


def test_imports_are_absolute():
    for package in ("bayesde", "benchmarks"):
        for name, path in layout.modules(REPOSITORY, package).items():
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                assert not (isinstance(node, ast.ImportFrom) and node.level), f"{name} has a relative import"


def test_no_module_is_too_long():
    found = [
        f"{path.relative_to(REPOSITORY)} ({lines} lines)"
        for package in ("bayesde", "benchmarks")
        for path in sorted((REPOSITORY / package).rglob("*.py"))
        if (lines := len(path.read_text(encoding="utf-8").splitlines())) > 450
    ]
    assert not found, listed(found)


def test_no_folder_has_too_many_files():
    found = layout.crowded_folders(REPOSITORY, "bayesde", "benchmarks", "tests")
    assert not found, listed(found)


def test_no_function_has_too_many_arguments():
    found = layout.long_signatures(REPOSITORY, "bayesde")
    assert not found, listed(found)


def test_public_functions_describe_their_parameters():
    found = layout.undescribed(REPOSITORY, "bayesde")
    assert not found, listed(found)


def test_circles_of_modules_and_folders_are_found(tmp_path):
    """Circles by an import in a function and one for type checkers; of folders, but not of modules."""
    texts = {
        "__init__": "",
        "low": "",
        "first": "def f():\n    from package import second",
        "second": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from package.first import f",
        "a/__init__": "",
        "a/one": "from package.b.one import x",
        "a/two": "import package.low",
        "b/__init__": "",
        "b/one": "",
        "b/two": "from package.a import two",
    }
    for name, text in texts.items():
        path = tmp_path / "package" / f"{name}.py"
        path.parent.mkdir(exist_ok=True, parents=True)
        path.write_text(text, encoding="utf-8")
    modules = ["package.first", "package.second"]
    assert layout.circles(tmp_path, "package") == [modules]
    assert sorted(layout.folder_circles(tmp_path, "package")) == [["package.a", "package.b"], modules]
    assert layout.backward_imports(tmp_path, "package") == [
        "package.a.one imports package.b.one",
        "package.b.two imports package.a.two",
        "package.first imports package.second",
        "package.second imports package.first",
    ]


def test_the_guide_for_contributors_names_every_folder():
    """The first columns of its tables have every folder, every module beside them, and nothing else."""
    guide = (REPOSITORY / "CONTRIBUTING.md").read_text(encoding="utf-8")
    first_columns = "".join(re.findall(r"^\| (`[^|]+) \|", guide, flags=re.MULTILINE))
    named = set(re.findall(r"`([\w/]+)`", first_columns))
    package = REPOSITORY / "bayesde"
    folders = {path.parent.relative_to(package).as_posix() for path in package.rglob("__init__.py")} - {"."}
    assert named == folders | set(ORDER)


def test_importing_the_package_is_light():
    program = f"import sys, bayesde; print([name for name in {HEAVY} if name in sys.modules])"
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"


def test_every_public_name_can_be_had():
    for name in bayesde.__all__:
        assert getattr(bayesde, name) is not None
    assert set(bayesde.__all__) <= set(dir(bayesde))


REFERENCE = re.compile(r"`((?:bayesde|benchmarks)(?:\.[a-z_0-9]+)+)(?:\.[A-Z]\w*)?[`(]")
FILE = re.compile(r"`((?:bayesde|benchmarks|tests|stan|notebooks)/[\w./-]+)`")
ELSEWHERE = {"bayesde.cmdstanpy", "bayesde/stan", "benchmarks/.venv-peers"}
"""A logger, a folder of the wheel, and one that is made when it is needed."""


def texts() -> dict[str, str]:
    """Return the sources and pages of this repository, by name."""
    sources = [
        path for name in ("bayesde", "benchmarks", "tests") for path in (REPOSITORY / name).rglob("*.py")
    ]
    pages = [path for name in ("benchmarks", "stan") for path in (REPOSITORY / name).rglob("*.md")]
    names = [path.relative_to(REPOSITORY) for path in [*sources, *pages, *REPOSITORY.glob("*.md")]]
    kept = [name for name in names if not any(part.startswith(".") for part in name.parts)]
    return {str(name): (REPOSITORY / name).read_text(encoding="utf-8") for name in kept}


def exists(reference: str, known: dict[str, Path]) -> bool:
    """Tell whether a module, or a name in a module, exists: the longest module, and the word in its file."""
    module, _, word = reference.rpartition(".")
    if reference in known or reference.rpartition(".")[0] == "bayesde":
        return reference in known or word in dir(bayesde)
    return (
        module in known and re.search(rf"\b{word}\b", known[module].read_text(encoding="utf-8")) is not None
    )


def test_what_documents_refer_to_exists():
    known = {
        n: p for package in ("bayesde", "benchmarks") for n, p in layout.modules(REPOSITORY, package).items()
    }
    missing = []
    for name, text in texts().items():
        found = [one for one in REFERENCE.findall(text) if not exists(one, known)]
        found += [one for one in FILE.findall(text) if not (REPOSITORY / one).exists()]
        missing += [f"{name}: {one}" for one in found if one not in ELSEWHERE]
    assert not missing, listed(missing)
