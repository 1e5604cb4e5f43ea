"""Draw the prior predictive check of stan/README.md: ``python -m benchmarks.calibration.priors``.

Data sets drawn from the default priors, in the design of the pasilla experiment, with real ones over them:
two that ship with the package and, where they are beside the repository, two more.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from bayesde import Priors, fit_eb, load_airway, load_pasilla, read_counts
from bayesde.plots import prior_predictive_plot
from bayesde.posterior.queries.prior_predictive import PriorPredictive, as_observed, prior_predictive

REPOSITORY = Path(__file__).resolve().parents[2]
BESIDE = REPOSITORY.parent / "shared" / "data"
PICTURE = Path(__file__).resolve().parent / "results" / "prior_predictive.png"
MORE = {
    "gse60450": ("mouse tissue (GSE60450)", "~ immunophenotype + developmental_stage"),
    "yoruba": ("69 people (Yoruba)", "~ gender"),
}


def observed() -> Iterator[PriorPredictive]:
    """Fit the real data sets, one after the other."""
    yield as_observed(fit_eb(load_pasilla(), "~ type + condition"), "fly cells (pasilla)")
    yield as_observed(fit_eb(load_airway(), "~ cell + dex"), "human cells (airway)")
    for folder, (name, design) in MORE.items():
        if (BESIDE / folder).is_dir():
            counts = read_counts(BESIDE / folder / "counts.tsv.gz", samples=BESIDE / folder / "coldata.tsv")
            yield as_observed(fit_eb(counts, design), name)


def main(picture: Path = PICTURE) -> None:
    """Draw the picture."""
    import matplotlib

    matplotlib.use("Agg")
    drawn = prior_predictive(fit_eb(load_pasilla(), "~ type + condition"), Priors())
    axes = prior_predictive_plot(drawn, list(observed()))
    axes[0].figure.savefig(picture, dpi=110)
    print(f"the picture is {picture}")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
