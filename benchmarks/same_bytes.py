"""Check that tables are the same bytes whatever the processor, the BLAS and the number of threads.

    python -m benchmarks.same_bytes                      # every environment below, against this one
    python -m benchmarks.same_bytes --python PYTHON ...  # other interpreters with bayesde as well
    python -m benchmarks.same_bytes --part posterior     # the posterior's tables as well
    python -m benchmarks.same_bytes --tree CHECKOUT --part estimates --part posterior --part runs

Estimates, every kind of test and of shrinkage, transforms and size factors of pasilla and airway are written
as tables and hashed column by column, in a process of its own for each environment: other kernels of
OpenBLAS, other targets of numba, NumPy without its AVX-512 loops, one thread. A kernel that this processor
cannot run ends in an illegal instruction; it is skipped, and the report says so.

With ``--tree`` the other side is not an environment but another state of the source, such as a git worktree
of an earlier commit. Then the folders of runs (``--part runs``: commands eb and sample, methods psis, nuts
and joint) can be compared as well: tables, hyperparameters and draws. Exits with 1 if anything differs.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
BLAS_KERNELS = ("Haswell", "SkylakeX", "Zen", "Nehalem", "Prescott")
NUMBA_TARGETS = ("generic", "haswell", "skylake-avx512")
CONTROLLED = ("OPENBLAS_CORETYPE", "NUMBA_CPU_NAME", "NUMBA_CPU_FEATURES", "NPY_DISABLE_CPU_FEATURES")


def environments() -> dict[str, dict[str, str]]:
    """Name the environments, each with the variables that make it (numba takes a target's own features)."""
    blas = {f"OpenBLAS {kernel}": {"OPENBLAS_CORETYPE": kernel} for kernel in BLAS_KERNELS}
    targets = {
        f"numba {target}": {"NUMBA_CPU_NAME": target, "NUMBA_CPU_FEATURES": ""} for target in NUMBA_TARGETS
    }
    numpy = {"NumPy without AVX-512": {"NPY_DISABLE_CPU_FEATURES": "X86_V4 AVX512_ICL AVX512_SPR"}}
    return {"as it is": {}} | blas | targets | numpy | {"one thread": {"NUMBA_NUM_THREADS": "1"}}


def _estimates(name: str) -> Iterator[tuple[str, object]]:
    """Yield every table of point estimates of a data set under its name."""
    import bayesde as bde

    counts = bde.load_pasilla() if name == "pasilla" else bde.load_airway()
    design = "~ type + condition" if name == "pasilla" else "~ cell + dex"
    fit = bde.fit_eb(counts, design)
    coefficient = fit.design.coefficients[-1]
    yield "wald", fit.results(coef=coefficient)
    yield "threshold", fit.results(coef=coefficient, lfc_threshold=0.5)
    for method in ("apeglm", "ashr", "normal"):
        yield method, fit.shrink(coef=coefficient, method=method)
    yield "lrt", fit.test_lrt(design.rsplit(" + ", 1)[0])
    yield "use_t", bde.fit_eb(counts, design, options=bde.EbOptions(use_t=True)).results(coef=coefficient)
    yield (
        "local trend",
        bde.fit_eb(counts, design, options=bde.EbOptions(trend="local")).results(coef=coefficient),
    )
    yield "~ 1", bde.fit_eb(counts, "~ 1").results()
    yield "vst", bde.vst(counts)
    yield "rlog", bde.rlog(counts)
    for method in ("ratio", "poscounts", "iterate"):
        yield f"size factors, {method}", bde.size_factors(counts, method).to_frame()


def _posterior(name: str) -> Iterator[tuple[str, object]]:
    """Yield the tables of inference method psis of a data set under their names."""
    import bayesde as bde

    counts = bde.load_pasilla() if name == "pasilla" else bde.load_airway()
    post = bde.fit_posterior(counts, "~ type + condition" if name == "pasilla" else "~ cell + dex", seed=1)
    yield "psis, table", post.results()
    yield "psis, diagnostics", post.diagnostics
    yield "psis, hyperparameters", post.hyperparameter_summary


def _runs(name: str) -> Iterator[tuple[str, object]]:
    """Yield the tables, hyperparameters and draws in the folders of runs of a data set."""
    import bayesde

    data = Path(bayesde.__file__).parent / "datasets"
    design = "~ type + condition" if name == "pasilla" else "~ cell + dex"
    given = [str(data / f"{name}_counts.tsv.gz"), str(data / f"{name}_samples.tsv"), "--design", design]
    with tempfile.TemporaryDirectory() as folder:
        panel = Path(folder) / "panel.txt"
        names = bayesde.read_counts(*given[:2]).genes
        panel.write_text("\n".join(names[:: len(names) // PANEL]) + "\n")
        few = ["--genes", str(panel), "--chains", "2", "--draws", "200", "--warmup", "200"]
        for run, options in {
            "eb": ["eb"],
            "eb lrt": ["eb", "--test", "lrt", "--reduced", design.rsplit(" + ", 1)[0], "--shrinkage", "ashr"],
            "psis": ["sample", "--draws", "500"],
            "psis student_t": ["sample", "--residuals", "student_t", "--scales", "term", "--draws", "500"],
            "nuts": ["sample", "--engine", "nuts", *few],
            "joint": ["sample", "--engine", "joint", *few],
        }.items():
            out = Path(folder) / run
            command = [sys.executable, "-m", "bayesde", options[0], *given, *options[1:], "--out", str(out)]
            ran = subprocess.run(command, capture_output=True, text=True)
            if ran.returncode not in (0, 3):
                raise RuntimeError(f"{' '.join(command)} ended with {ran.returncode}: {ran.stderr[-2000:]}")
            yield from ((f"{run}, {label}", values) for label, values in _in_folder(out))


def _in_folder(out: Path) -> Iterator[tuple[str, object]]:
    """Yield the output of a run: tables, hyperparameters, draws."""
    import pandas as pd
    import xarray as xr

    for path in sorted(out.rglob("*.tsv")):
        yield str(path.relative_to(out)), pd.read_csv(path, sep="\t", dtype=str, keep_default_na=False)
    for path in sorted(out.rglob("hyperparameters.json")):
        yield str(path.relative_to(out)), json.loads(path.read_text())
    for path in sorted([*out.glob("posterior.nc"), *out.glob("posterior.zarr")]):
        opened = xr.open_zarr(path) if path.suffix == ".zarr" else xr.open_dataset(path, group="posterior")
        with opened as draws:
            yield (
                path.name,
                {str(k): hashlib.sha256(v.values.tobytes()).hexdigest() for k, v in draws.items()},
            )


def _keep(name: str, text: str) -> None:
    """Write a table to the folder ``BAYESDE_KEEP_TABLES``, to inspect differences."""
    folder = os.environ.get("BAYESDE_KEEP_TABLES")
    if folder:
        Path(folder).mkdir(parents=True, exist_ok=True)
        (Path(folder) / f"{name.replace('/', ' ')}.tsv").write_text(text)


PARTS = {"estimates": _estimates, "posterior": _posterior, "runs": _runs}
PANEL = 30
"""Genes that are sampled by Stan."""


def digests(parts: Sequence[str], sets: Sequence[str]) -> dict[str, str]:
    """Hash every column of the given parts' tables in this process."""
    warnings.simplefilter("ignore")
    found = {}
    for part in parts:
        for name in sets:
            for table, values in PARTS[part](name):
                for column, text in _columns(values, f"{name}, {table}").items():
                    found[f"{name}, {table}: {column}"] = hashlib.sha256(text.encode()).hexdigest()
    return found


def _columns(values: object, label: str) -> dict[str, str]:
    """Write every column of a table, or entry of a dictionary, as text."""
    import pandas as pd

    from bayesde.results import tab_separated

    if isinstance(values, dict):
        return {key: json.dumps(value) for key, value in values.items()}
    table = pd.DataFrame(values).reset_index()
    _keep(label, tab_separated(table))
    return {str(name): tab_separated(table[[name]]) for name in table}


def measured(
    python: str, variables: dict[str, str], options: Sequence[str], tree: Path = REPOSITORY
) -> dict[str, str] | str:
    """Hash the tables in a process with these variables; a sentence where it could not be run."""
    kept = {name: value for name, value in os.environ.items() if name not in CONTROLLED}
    kept["PYTHONPATH"] = str(tree)
    run = subprocess.run(
        [python, str(Path(__file__).resolve()), "--print", *options],
        cwd=tree,
        env=kept | variables,
        capture_output=True,
        text=True,
    )
    if run.returncode == -signal.SIGILL:
        return "skipped: this processor cannot run it (illegal instruction)"
    if run.returncode:
        return f"failed with exit code {run.returncode}: {run.stderr.strip()[-500:]}"
    return dict(json.loads(run.stdout))


def main() -> int:
    """Compare the environments; return 1 if a table differs or a process failed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--part", action="append", choices=tuple(PARTS), help="default: estimates")
    parser.add_argument("--tree", type=Path, help="compare with another checkout of this repository instead")
    parser.add_argument("--set", action="append", choices=("pasilla", "airway"), help="default: both")
    parser.add_argument("--python", action="append", default=[], help="another interpreter that has bayesde")
    parser.add_argument("--only", help="only environments whose name contains this")
    parser.add_argument("--print", action="store_true", help="print the digests of this process as JSON")
    given = parser.parse_args()
    parts, sets = given.part or ["estimates"], given.set or ["pasilla", "airway"]
    if given.print:
        print(json.dumps(digests(parts, sets)))
        return 0
    options = [f"--part={name}" for name in parts] + [f"--set={name}" for name in sets]
    chosen = {name: v for name, v in environments().items() if given.only is None or given.only in name}
    runs = [(name, sys.executable, variables, REPOSITORY) for name, variables in chosen.items()]
    runs += [(f"interpreter {path}", path, {}, REPOSITORY) for path in given.python]
    if given.tree:
        runs = [(f"checkout {given.tree}", sys.executable, {}, given.tree.resolve())]
    wanted = measured(sys.executable, {}, options)
    if isinstance(wanted, str):
        print(wanted)
        return 1
    print(f"{len(wanted)} columns of {len({name.rpartition(': ')[0] for name in wanted})} tables")
    bad = False
    for name, python, variables, tree in runs:
        found = measured(python, variables, options, tree)
        if isinstance(found, str):
            bad |= not found.startswith("skipped")
            print(f"{name}: {found}", flush=True)
            continue
        differing = differences(wanted, found)
        bad |= bool(differing)
        print(f"{name}: {'; '.join(differing) or 'all equal'}", flush=True)
    return int(bad)


def differences(wanted: dict[str, str], found: dict[str, str]) -> list[str]:
    """Name the columns that differ, or that only one side has."""
    unequal = [name for name in wanted if name in found and found[name] != wanted[name]]
    kinds = {
        "differ": unequal,
        "only here": [name for name in wanted if name not in found],
        "only there": [name for name in found if name not in wanted],
    }
    return [f"{kind}: {', '.join(names)}" for kind, names in kinds.items() if names]


if __name__ == "__main__":
    sys.exit(main())
