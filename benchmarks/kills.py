"""Runs that are killed again and again: ``python -m benchmarks.kills [--engine psis] [--kills 20]``.

A small run is made undisturbed, and once more by a process that is killed (SIGKILL) at a random one of its
operations on files in the folder of the run, resumed by another that is killed too, and so on. At last it is
resumed to its end, and every file with draws and numbers must be the same, byte for byte. What is killed are
operations, not seconds, so that a moment means the same on every machine.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

import bayesde as bde

__all__ = ["ENGINES", "Experiment", "differences"]

ENGINES = ("psis", "nuts", "joint", "eb", "analyses")
"""Those of `bayesde sample`, the point estimates of `bayesde eb`, and two analyses of one file."""
SAME = (
    "draws/*.npy",
    "draws/rest.npz",
    "posterior.zarr/**/*",
    "*.tsv",
    "**/results.tsv",
    "**/hyperparameters.json",
)
"""Files that must not depend on what happened to the run."""
PROGRAM = """
import os, signal, sys, warnings
from pathlib import Path

out, engine, last = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
EVENTS = {"open", "os.rename", "os.mkdir", "os.remove", "os.rmdir", "os.truncate", "shutil.rmtree"}
seen, own = 0, str(out)

def count(event, arguments):
    global seen
    if event in EVENTS and any(str(one).startswith(own) for one in arguments[:2]):
        seen += 1
        if seen == last:
            os.kill(os.getpid(), signal.SIGKILL)

sys.addaudithook(count)
warnings.simplefilter("ignore")
from bayesde.posterior.hyper import learning
from bayesde.posterior.importance import blocks
from bayesde.posterior.options import SamplingOptions
from bayesde.runs import RunPlan, resume, resume_analyses, run, run_analyses
from bayesde.runs.options import ModelPlan, RunFiles, SamplePlan

learning.DRAWS_TIMES_GENES, learning.FEWEST_DRAWS, learning.POINTS_TIMES_GENES = 1, 100, 1
blocks.LARGE, blocks.block_size = 0, lambda *_: 5
files = RunFiles(counts=str(out.parent / "counts.tsv"), samples=str(out.parent / "samples.tsv"))
if engine in ("eb", "analyses"):
    plan = RunPlan(command="eb", files=files, model=ModelPlan(design="~ condition"))
else:
    plan = RunPlan(
        command="sample",
        files=files,
        model=ModelPlan(design="~ condition"),
        sample=SamplePlan(engine=engine, draws=100 if engine == "psis" else 40, warmup=100, chains=2),
        sampling=SamplingOptions(hand_over=False, block_size=5, min_ess=0.0, max_rhat=10.0),
    )
if engine == "analyses":
    plan, run, resume = {"one": plan, "two": plan}, run_analyses, resume_analyses
resume(out) if (out / "run.json").exists() else run(plan, out)
(out.parent / "operations").write_text(str(seen))
"""


class Experiment:
    """Runs of one engine on a few simulated genes.

    Parameters
    ----------
    folder : Path
        Is made.
    engine : {"psis", "nuts", "joint", "eb", "analyses"}
    n_genes : int
    """

    def __init__(self, folder: Path, engine: str, n_genes: int = 20) -> None:
        folder.mkdir(parents=True)
        self.folder, self.engine = folder, engine
        simulated = bde.simulate(n_genes, groups=(3, 3), seed=2)
        simulated.counts.to_frame().to_csv(folder / "counts.tsv", sep="\t")
        simulated.counts.sample_table.to_csv(folder / "samples.tsv", sep="\t", index_label="sample")

    def start(self, name: str, last: int = 0) -> int:
        """Run or resume, in another process.

        Parameters
        ----------
        name : str
            Of the run.
        last : int
            Number of the operation on a file at which the process is killed; 0 for none.

        Returns
        -------
        int
            The exit code.
        """
        command = [sys.executable, "-c", PROGRAM, str(self.folder / name), self.engine, str(last)]
        return subprocess.run(command, capture_output=True).returncode

    @property
    def operations(self) -> int:
        """Number of operations on files of the last run that came to its end."""
        return int((self.folder / "operations").read_text())


def differences(one: Path, other: Path) -> list[str]:
    """Return the files of two runs that are not the same.

    Parameters
    ----------
    one, other : Path

    Returns
    -------
    list of str
        Their places in the folders.
    """

    def contents(run: Path) -> dict[str, bytes]:
        files = (file for pattern in SAME for file in run.glob(pattern) if file.is_file())
        return {file.relative_to(run).as_posix(): file.read_bytes() for file in files}

    ours, theirs = contents(one), contents(other)
    assert ours, "there is nothing to compare"
    return sorted(name for name in {*ours, *theirs} if ours.get(name) != theirs.get(name))


def main() -> None:
    """Kill runs of all engines, and print what became of them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--engine", action="append", choices=ENGINES)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args()
    rng, failed = np.random.default_rng(chosen.seed), False
    with tempfile.TemporaryDirectory() as folder:
        for engine in chosen.engine or ENGINES:
            experiment = Experiment(Path(folder) / engine, engine)
            assert experiment.start("undisturbed") == 0
            codes, most = [], experiment.operations
            for number in range(chosen.kills):
                name = f"killed{number // 4}"  # a folder goes through four kills
                codes.append(experiment.start(name, int(rng.integers(1, most))))
            for number in range(-(-chosen.kills // 4)):
                assert experiment.start(f"killed{number}") == 0
                found = differences(experiment.folder / "undisturbed", experiment.folder / f"killed{number}")
                failed |= bool(found)
                print(f"{engine}, folder {number}:", f"other bytes in {found}" if found else "same bytes")
            print(f"{engine}: {sum(code < 0 for code in codes)} of {len(codes)} processes were killed")
    sys.exit(failed)


if __name__ == "__main__":
    main()
