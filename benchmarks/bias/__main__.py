"""The benchmark of sequence-specific bias: ``python -m benchmarks.bias [--part models simulated ...]``."""

from __future__ import annotations

import argparse
from pathlib import Path

import pandas as pd

from benchmarks.bias import models, salmon, scale, simulated, starts

PARTS = ("models", "starts", "simulated", "salmon", "scale")
RESULTS = Path(__file__).parent / "results"


def main() -> None:
    """Run the parts that were asked for, and write a table of each."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.bias", description=__doc__)
    parser.add_argument("--part", nargs="+", choices=PARTS, default=list(PARTS), help="what is run")
    parser.add_argument("--seeds", type=int, default=1, help="divisions into halves, and simulations")
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder for the tables")
    chosen = parser.parse_args()
    chosen.out.mkdir(parents=True, exist_ok=True)

    def save(name: str, table: pd.DataFrame) -> None:
        table.to_csv(
            chosen.out / f"{name}.tsv", sep="\t", index=False, float_format="%.5g", lineterminator="\n"
        )
        print(table.tail(1).to_string(header=len(table) == 1), flush=True)

    if "models" in chosen.part:
        models.compare(chosen.seeds, lambda table: save("models", table))
    if "starts" in chosen.part:
        save("starts", starts.compare())
    if "simulated" in chosen.part:
        simulated.run(chosen.seeds, lambda table: save("simulated", table))
    if "salmon" in chosen.part:
        save("salmon", salmon.compare())
    if "scale" in chosen.part:
        save("scale", scale.measure())


if __name__ == "__main__":
    main()
