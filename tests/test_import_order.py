"""Modules import only what stands before them, and ``import bayesde`` stays light."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import bayesde

PACKAGE = Path(bayesde.__file__).parent
ORDER = (
    "errors options numerics counts io datasets design normalize statuses results simulation eb "
    "stan_runtime posterior plots batch cli"
).split()
HEAVY = ("numba", "cmdstanpy", "arviz", "matplotlib")


def rooms() -> dict[str, list[Path]]:
    """Source files of each room: a module, or all modules of a sub-package."""
    found: dict[str, list[Path]] = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        found.setdefault(path.relative_to(PACKAGE).parts[0].removesuffix(".py"), []).append(path)
    return found


def imported_rooms(path: Path) -> set[str]:
    names: list[str] = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} has a relative import"
            names += [
                f"{node.module}.{alias.name}" if node.module == "bayesde" else str(node.module)
                for alias in node.names
            ]
        elif isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
    return {name.split(".")[1] for name in names if name.startswith("bayesde.")}


def test_every_room_has_its_place():
    assert set(rooms()) - {"__init__", "__main__"} <= set(ORDER)


def test_a_room_imports_only_from_rooms_before_it():
    for room, paths in rooms().items():
        if room in {"__init__", "__main__"}:
            continue
        allowed = set(ORDER[: ORDER.index(room) + 1]) | {"__version__"}
        for path in paths:
            assert imported_rooms(path) <= allowed, f"{path.relative_to(PACKAGE)} imports from a later room"


def test_the_guide_for_contributors_names_every_room():
    guide = (Path(__file__).resolve().parents[1] / "CONTRIBUTING.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`(\w+)`", "".join(re.findall(r"^\| (`[^|]+) \|", guide, flags=re.MULTILINE))))
    files = [path for room in ("eb", "posterior") for path in (PACKAGE / room).glob("*.py")]
    packages = {path.parent.name for path in (PACKAGE / "posterior").glob("*/__init__.py")}
    inside = {path.stem for path in files} - {"__init__"}
    assert named == set(ORDER) | inside | packages


def test_importing_the_package_is_light():
    program = f"import sys, bayesde; print([name for name in {HEAVY} if name in sys.modules])"
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"


def test_every_public_name_can_be_had():
    for name in bayesde.__all__:
        assert getattr(bayesde, name) is not None
    assert set(bayesde.__all__) <= set(dir(bayesde))
