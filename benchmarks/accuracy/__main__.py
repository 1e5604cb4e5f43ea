"""Measure accuracy on known truth: ``python -m benchmarks.accuracy``; accuracy.md explains it."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pandas as pd

from bayesde.io import write_atomically
from benchmarks.accuracy import judge, page, pictures
from benchmarks.accuracy.answers import bayesde_answers
from benchmarks.accuracy.peers import peer_answers
from benchmarks.accuracy.problems import simulated_problems, stored_problems
from benchmarks.accuracy.records import Problem
from benchmarks.accuracy.seqc import SEQC, seqc_problems

HERE = Path(__file__).resolve().parent
PAGE = HERE / "accuracy.md"
GENES, FEW_GENES = 6_000, 600
TABLES = ("cases", "scores", "curves", "calibration", "learnt", "laws")

Tables = dict[str, pd.DataFrame]


def problems(n_genes: int) -> dict[str, Callable[[], Problem]]:
    """Return all problems whose data are available."""
    return simulated_problems(n_genes) | stored_problems(n_genes) | (seqc_problems() if SEQC.exists() else {})


def measure(problem: Problem, *, peers: bool = True) -> Tables:
    """Run every method on a problem and score it."""
    answers, base_mean = bayesde_answers(problem)
    others, note = peer_answers(problem) if peers else ([], "limma and edgeR were not asked for")
    found = judge.cases(problem, [*answers, *others, *problem.published.values()], base_mean)
    tables = {
        name: pd.concat([getattr(judge, name)(case) for case in found], ignore_index=True)
        for name in TABLES[1:]
    }
    rows = [
        case.key
        | {
            "title": problem.title,
            "genes": case.effect.size,
            "in_both": int(case.seen_in_both.sum()),
            "left_out": case.left_out,
            "distrusted": case.distrusted,
            "offset": case.offset,
            "note": note,
        }
        for case in found
    ]
    for name in ("learnt", "laws"):
        tables[name] = tables[name].drop_duplicates(ignore_index=True)  # once for all truths
    return tables | {"cases": pd.DataFrame(rows)}


def read(folder: Path) -> Tables:
    """Read what was measured before."""
    return {
        name: pd.read_csv(folder / f"{name}.tsv", sep="\t")
        for name in TABLES
        if (folder / f"{name}.tsv").exists()
    }


def merged(before: Tables, new: Tables, order: Sequence[str]) -> Tables:
    """Replace old rows of the same problem by new ones; problems in the order given."""
    result = {}
    for name, table in new.items():
        old = before.get(name, table.iloc[:0])
        kept = old[~old["problem"].isin(new["cases"]["problem"])] if len(old) else old
        parts = [part for part in (kept, table) if len(part)]
        joined = pd.concat(parts, ignore_index=True) if parts else table
        rank = joined["problem"].map({key: i for i, key in enumerate(order)}) if len(joined) else None
        result[name] = joined if rank is None else joined.iloc[rank.argsort(kind="stable")]
    return result


def write(folder: Path, tables: Tables) -> None:
    """Write the tables, the pictures and the page."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, table in tables.items():
        text = table.to_csv(sep="\t", index=False, float_format="%.4g", lineterminator="\n")
        write_atomically(folder / f"{name}.tsv", text)
    tables = read(folder)
    for name, figure in pictures.draw(tables).items():
        figure.savefig(folder / f"{name}.png", dpi=pictures.DPI)


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    known = list(problems(GENES))
    parser = argparse.ArgumentParser(prog="python -m benchmarks.accuracy", description=__doc__)
    parser.add_argument(
        "--only", nargs="+", choices=known, default=known, metavar="SET", help=", ".join(known)
    )
    parser.add_argument("--quick", action="store_true", help="few genes, simulated sets only: does all run?")
    parser.add_argument("--redraw", action="store_true", help="tables and pictures from what is measured")
    parser.add_argument("--out", type=Path, default=HERE / "results", metavar="DIR", help="folder of results")
    chosen = parser.parse_args(arguments)
    if chosen.quick and chosen.out == HERE / "results":
        parser.error(
            "few genes are not for the results that are kept: give --quick a folder of its own, --out DIR"
        )
    return chosen


def main() -> None:
    """Measure, and write after each problem, so that an interrupted run keeps its results so far."""
    chosen = parse()
    start = time.process_time()
    known = problems(FEW_GENES if chosen.quick else GENES)
    tables = read(chosen.out)
    if not chosen.redraw:
        names = [name for name in chosen.only if not chosen.quick or name in simulated_problems(FEW_GENES)]
        for name in names:
            tables = merged(tables, measure(known[name]()), list(known))
            write(chosen.out, tables)
            print(f"[{time.process_time() - start:5.0f} s of CPU] {name}", flush=True)
    else:
        write(chosen.out, tables)
    if chosen.out == HERE / "results":
        page.refresh(PAGE, read(chosen.out))


if __name__ == "__main__":
    main()
