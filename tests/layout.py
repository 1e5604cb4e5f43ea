"""What the layout of the package is held to, measured: ``python tests/layout.py [CHECKOUT ...]``.

Prints one column for each checkout of this repository (by default this one): modules that import each other
in a circle, modules and sub-folders of one folder that do, folders with more than 15 files, functions with
more than 8 arguments, public functions whose docstring does not describe their parameters, options that are
defined at more than one place. `test_layout.py` requires that this checkout has none.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
MOST_FILES, MOST_ARGUMENTS = 15, 8
COMMANDS = "cli"
"""Folder whose functions have an argument for every option of a command."""
KERNELS = ("kernel", "inlined")
"""Decorators of compiled functions, which need no section Parameters."""


def modules(tree: Path, package: str) -> dict[str, Path]:
    """Return the files of a package by the names of their modules."""
    found = {}
    for path in sorted((tree / package).rglob("*.py")):
        if not any(part.startswith(".") for part in path.relative_to(tree).parts):
            parts = path.relative_to(tree).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports(path: Path, known: dict[str, Path]) -> set[str]:
    """Return the modules that a file imports: at its top, in functions, and for type checkers."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                found.add(full if full in known else node.module)
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return found & set(known)


def import_graph(tree: Path, package: str) -> dict[str, set[str]]:
    """Return the modules that each module of a package imports.

    The package's own ``__init__`` is left out: it names everything lazily, and is imported for its version.
    """
    known = modules(tree, package)
    return {name: imports(path, known) - {name, package} for name, path in known.items() if name != package}


def folder_graphs(tree: Path, package: str) -> dict[str, dict[str, set[str]]]:
    """Return, by folder, which of its modules and sub-folders import from which others of them.

    A sub-folder is one node, with everything in it. A folder's own ``__init__`` has the folder's name.
    """
    graph = import_graph(tree, package)
    folders = {package} | {name.rpartition(".")[0] for name in graph}
    found: dict[str, dict[str, set[str]]] = {folder: {} for folder in sorted(folders)}
    for folder, nodes in found.items():
        inside = {name for name in graph if name == folder or name.startswith(folder + ".")}
        for name in inside:
            node = child(folder, name)
            nodes.setdefault(node, set()).update(child(folder, other) for other in graph[name] & inside)
            nodes[node].discard(node)
    return found


def child(folder: str, module: str) -> str:
    """Return the module or sub-folder of a folder in which a module is, e.g. a.b for a and a.b.c."""
    depth = folder.count(".") + 2
    return ".".join(module.split(".")[:depth])


def circles(tree: Path, package: str) -> list[list[str]]:
    """Return the groups of modules each of which imports the others, directly or through others."""
    return groups(import_graph(tree, package))


def folder_circles(tree: Path, package: str) -> list[list[str]]:
    """Return the groups of modules and sub-folders of one folder each of which imports from the others."""
    return [group for graph in folder_graphs(tree, package).values() for group in groups(graph)]


def groups(graph: Mapping[str, set[str]]) -> list[list[str]]:
    """Return the sets of two or more nodes of a graph that can reach each other (Tarjan)."""
    number: dict[str, int] = {}
    lowest: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(name: str) -> None:
        number[name] = lowest[name] = len(number)
        stack.append(name)
        for other in sorted(graph.get(name, ())):
            if other not in number:
                visit(other)
                lowest[name] = min(lowest[name], lowest[other])
            elif other in stack:
                lowest[name] = min(lowest[name], number[other])
        if lowest[name] == number[name]:
            at = stack.index(name)
            if len(stack) - at > 1:
                found.append(sorted(stack[at:]))
            del stack[at:]

    for name in sorted(graph):
        if name not in number:
            visit(name)
    return found


def backward_imports(tree: Path, package: str) -> list[str]:
    """Return the imports within circles of folders: which module imports which, for a message."""
    graph = import_graph(tree, package)
    found = []
    for folder, nodes in folder_graphs(tree, package).items():
        for group in groups(nodes):
            for name in sorted(graph):
                for other in sorted(graph[name]):
                    ends = (child(folder, name), child(folder, other))
                    if set(ends) <= set(group) and ends[0] != ends[1]:
                        found.append(f"{name} imports {other}")
    return found


def crowded_folders(tree: Path, *packages: str) -> list[str]:
    """Return the folders that hold more than `MOST_FILES` Python files, with their numbers."""
    found = []
    for package in packages:
        for folder in sorted({path.parent for path in modules(tree, package).values()}):
            number = len(list(folder.glob("*.py")))
            if number > MOST_FILES:
                found.append(f"{folder.relative_to(tree)} ({number})")
    return found


Function = ast.FunctionDef | ast.AsyncFunctionDef


def functions(tree: Path, package: str) -> Iterator[tuple[str, Function, bool]]:
    """Yield every function of a package: where it is, its definition, whether it is public."""

    def inside(node: ast.AST, name: str, public: bool) -> Iterator[tuple[str, Function, bool]]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, Function | ast.ClassDef):
                seen = public and not child.name.startswith("_")
                label = f"{name}.{child.name}"
                if isinstance(child, Function):
                    yield label, child, seen
                    yield from inside(child, label, False)
                else:
                    yield from inside(child, label, seen)
            else:
                yield from inside(child, name, public)

    for module, path in modules(tree, package).items():
        yield from inside(ast.parse(path.read_text(encoding="utf-8")), module, True)


def arguments(function: Function) -> list[str]:
    """Return the names of a function's arguments, but for the object or class of a method."""
    given = function.args
    names = [one.arg for one in (*given.posonlyargs, *given.args, *given.kwonlyargs)]
    return [name for name in names if name not in ("self", "cls")]


def long_signatures(tree: Path, package: str) -> list[str]:
    """Return the functions with more than `MOST_ARGUMENTS` arguments, but for the commands."""
    return [
        f"{name} ({len(arguments(function))})"
        for name, function, _ in functions(tree, package)
        if len(arguments(function)) > MOST_ARGUMENTS and f".{COMMANDS}." not in name
    ]


def undescribed(tree: Path, package: str) -> list[str]:
    """Return the public functions with arguments and no section Parameters, but for kernels and commands.

    Each option of a command has its help text instead.
    """
    called = _registered_commands(tree, package)
    return [
        name
        for name, function, public in functions(tree, package)
        if public
        and arguments(function)
        and not _describes(function)
        and not (f".{COMMANDS}." in name and function.name in called)
    ]


def _registered_commands(tree: Path, package: str) -> set[str]:
    """Return the names of functions that are made commands.

    They are decorated, or given to ``app.command()``, or have one argument: what the user chose (``Chosen``).
    """
    found = set()
    for path in (tree / package / COMMANDS).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, Function):
                decorated = any(_name(one) in ("command", "callback") for one in node.decorator_list)
                kinds = [_name(one.annotation) for one in node.args.args if one.annotation is not None]
                if decorated or kinds == ["Chosen"]:
                    found.add(node.name)
            elif isinstance(node, ast.Call) and isinstance(node.func, ast.Call):
                if _name(node.func) == "command":
                    found |= {_name(one) for one in node.args}
    return found


def _describes(function: Function) -> bool:
    lines = [line.strip() for line in (ast.get_docstring(function) or "").splitlines()]
    return "Parameters" in lines or any(_name(one) in KERNELS for one in function.decorator_list)


def _name(node: ast.expr) -> str:
    if isinstance(node, ast.Call):
        node = node.func
    return node.id if isinstance(node, ast.Name) else getattr(node, "attr", "")


OPTION_FILES = re.compile(r"(^|/)(options(/\w+)?|(cli|runs|batch)(/\w+)+|posterior/fit)\.py$")
"""Where options are defined, checked and described: the rest of the package only uses them."""
OPTION_CLASSES = ("options", "plan")
"""Modules whose classes are option classes."""


def repeated_options(tree: Path, package: str) -> list[str]:
    """Return the options of which more is said than in one field of an option class, with the places.

    Such places are checks of a value, calls of typer, defaults of arguments, and entries of a class's
    docstring. Fields of the same name in several classes are options of their own.
    """
    fields: dict[str, list[str]] = {}
    others: dict[str, list[str]] = {}
    for path in modules(tree, package).values():
        if OPTION_FILES.search(str(path.relative_to(tree))):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.ClassDef) and path.stem not in OPTION_CLASSES:
                    continue
                for name, is_field in _option_places(node):
                    (fields if is_field else others).setdefault(name, []).append(path.stem)
    every = {name: fields.get(name, []) + places for name, places in others.items()}
    return [f"{name} ({', '.join(places)})" for name, places in sorted(every.items()) if len(places) > 1]


def _option_places(node: ast.AST) -> Iterator[tuple[str, bool]]:
    """Yield the options that a piece of code says something of, and whether it is their field."""
    if isinstance(node, ast.ClassDef):
        for field in node.body:
            if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
                yield field.target.id, True
        section = (
            (ast.get_docstring(node) or "").partition("Parameters\n----------\n")[2].partition("\n\n")[0]
        )
        for names in re.findall(r"^(\w+(?:, \w+)*) :", section, flags=re.MULTILINE):
            yield from ((name, False) for name in names.split(", "))
    elif isinstance(node, Function):
        given = [*node.args.posonlyargs, *node.args.args]
        pairs = [
            *zip(given[len(given) - len(node.args.defaults) :], node.args.defaults, strict=True),
            *zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True),
        ]
        for argument, default in pairs:
            if isinstance(default, ast.Constant) and default.value not in (None, False, ""):
                yield argument.arg, False
            yield from _typer_names(argument.annotation, argument.arg)
    elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
        yield from _typer_names(node.value, node.targets[0].id.lower())
    elif isinstance(node, ast.Call) and _name(node.func) in ("check_range", "check_choice", "check_whole"):
        if isinstance(node.args[0], ast.Constant):
            yield str(node.args[0].value), False


def _typer_names(node: ast.AST | None, name: str) -> Iterator[tuple[str, bool]]:
    """Yield the option that a call of typer in an annotation makes: its first spelling, or else `name`."""
    for call in [] if node is None else ast.walk(node):
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute):
            if call.func.attr in ("Option", "Argument"):
                spelt = [str(one.value) for one in call.args if isinstance(one, ast.Constant)]
                yield (spelt[0].removeprefix("--").replace("-", "_") if spelt else name), False


def measures(tree: Path) -> dict[str, list[str]]:
    """Return everything that is measured of a checkout, by what it is called."""
    return {
        "modules of bayesde in a circle of imports": [m for c in circles(tree, "bayesde") for m in c],
        "modules of benchmarks in a circle of imports": [m for c in circles(tree, "benchmarks") for m in c],
        "members of folders of bayesde in a circle": [m for c in folder_circles(tree, "bayesde") for m in c],
        "members of folders of benchmarks in a circle": [
            m for c in folder_circles(tree, "benchmarks") for m in c
        ],
        f"folders with more than {MOST_FILES} files": crowded_folders(tree, "bayesde", "benchmarks", "tests"),
        f"functions with more than {MOST_ARGUMENTS} arguments": long_signatures(tree, "bayesde"),
        "public functions without Parameters": undescribed(tree, "bayesde"),
        "options defined more than once": repeated_options(tree, "bayesde"),
    }


def main() -> None:
    """Print the measures of some checkouts side by side, and what there is to mend in the last."""
    trees = [Path(name).resolve() for name in sys.argv[1:]] or [REPOSITORY]
    found = [measures(tree) for tree in trees]
    for name in found[0]:
        print(f"{name}: " + ", ".join(str(len(one[name])) for one in found))
    for name, places in found[-1].items():
        if places:
            print(f"\n{name}:", *places, sep="\n  ")


if __name__ == "__main__":
    main()
