"""Tables as bytes: the same whatever the processor, the BLAS and the number of threads.

    python -m benchmarks.same_bytes                      # every environment below, against this one
    python -m benchmarks.same_bytes --python PYTHON ...  # other interpreters with bayesde as well
    python -m benchmarks.same_bytes --engine psis        # the posterior's tables as well

Estimates, every kind of test and of shrinkage, transforms and size factors of pasilla and airway are written
as tables and hashed, in a process of its own for each environment: other kernels of OpenBLAS, other targets
of numba, NumPy without its AVX-512 loops, one thread. A kernel that this processor cannot run ends in an
illegal instruction; it is skipped, and the report says so. Exits with 1 if any table differs.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import signal
import subprocess
import sys
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
    """Yield the tables of engine psis of a data set under their names."""
    import bayesde as bde

    counts = bde.load_pasilla() if name == "pasilla" else bde.load_airway()
    post = bde.fit_posterior(counts, "~ type + condition" if name == "pasilla" else "~ cell + dex", seed=1)
    yield "psis, table", post.results()
    yield "psis, diagnostics", post.diagnostics
    yield "psis, hyperparameters", post.hyperparameter_summary


def digests(engines: Sequence[str], sets: Sequence[str]) -> dict[str, str]:
    """Hash every table of the given engines and data sets in this process."""
    import pandas as pd

    from bayesde.results import tab_separated

    warnings.simplefilter("ignore")
    makers = {"eb": _estimates, "psis": _posterior}
    found = {}
    for engine in engines:
        for name in sets:
            for table, values in makers[engine](name):
                text = tab_separated(pd.DataFrame(values).reset_index())
                found[f"{name}, {table}"] = hashlib.sha256(text.encode()).hexdigest()
                _keep(f"{name}, {table}", text)
    return found


def _keep(name: str, text: str) -> None:
    """Write a table where ``BAYESDE_KEEP_TABLES`` says, to look at what differs."""
    folder = os.environ.get("BAYESDE_KEEP_TABLES")
    if folder:
        Path(folder).mkdir(parents=True, exist_ok=True)
        (Path(folder) / f"{name.replace('/', ' ')}.tsv").write_text(text)


def measured(python: str, variables: dict[str, str], options: Sequence[str]) -> dict[str, str] | str:
    """Hash the tables in a process with these variables; a sentence where it could not be run."""
    kept = {name: value for name, value in os.environ.items() if name not in CONTROLLED}
    run = subprocess.run(
        [python, "-m", "benchmarks.same_bytes", "--print", *options],
        cwd=REPOSITORY,
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
    parser.add_argument("--engine", action="append", choices=("eb", "psis"), help="default: eb")
    parser.add_argument("--set", action="append", choices=("pasilla", "airway"), help="default: both")
    parser.add_argument("--python", action="append", default=[], help="another interpreter that has bayesde")
    parser.add_argument("--only", help="only environments whose name contains this")
    parser.add_argument("--print", action="store_true", help="print the digests of this process as JSON")
    given = parser.parse_args()
    engines, sets = given.engine or ["eb"], given.set or ["pasilla", "airway"]
    if given.print:
        print(json.dumps(digests(engines, sets)))
        return 0
    options = [
        part
        for kind, names in (("engine", engines), ("set", sets))
        for n in names
        for part in (f"--{kind}", n)
    ]
    chosen = {name: v for name, v in environments().items() if given.only is None or given.only in name}
    runs = [(name, sys.executable, variables) for name, variables in chosen.items()]
    runs += [(f"interpreter {path}", path, {}) for path in given.python]
    wanted = measured(sys.executable, {}, options)
    if isinstance(wanted, str):
        print(wanted)
        return 1
    print(f"{len(wanted)} tables")
    bad = False
    for name, python, variables in runs:
        found = measured(python, variables, options)
        if isinstance(found, str):
            bad |= not found.startswith("skipped")
            print(f"{name}: {found}", flush=True)
            continue
        differing = [table for table in wanted if found.get(table) != wanted[table]]
        bad |= bool(differing)
        print(f"{name}: {'all equal' if not differing else 'differ in ' + '; '.join(differing)}", flush=True)
    return int(bad)


if __name__ == "__main__":
    sys.exit(main())
