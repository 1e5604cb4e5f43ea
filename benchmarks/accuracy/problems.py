r"""Counts with known log2 fold changes: from the model, from other distributions, and from other simulators.

Simulated counts follow

    K_gj ~ NB(mean = s_j exp(x_j . beta_g), dispersion = alpha_g),   ln alpha_g around ln(a0 + a1 / m_g)

(`bayesde.simulation`). Their base means m_g are those of a real experiment, pasilla.

A real experiment with many samples gives a truth as well: estimates from a few samples are compared with the
maximum likelihood estimates from all the others.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

import bayesde as bde
from benchmarks.accuracy.records import Answer, Problem, Truth

__all__ = ["PAPER", "SHARED", "apeglm_paper", "simulated", "simulated_problems", "stored_problems"]

SHARED = Path(__file__).resolve().parents[2].parent / "shared" / "data"
PAPER, PAIRS = SHARED / "sim_apeglm_pickrell_1", SHARED / "sim20k_pairs"
YORUBA = SHARED / "yoruba"
PAPER_NAMES = {
    "apeglm": "apeglm [paper]",
    "ashr.DESeq2": "ashr [paper]",
    "ashr.limma": "ashr on limma [paper]",
    "DESeq2": "DESeq2, normal prior [paper]",
    "edgeR": "edgeR [paper]",
    "edgeR.PC5": "edgeR, prior count 5 [paper]",
    "limma": "limma [paper]",
}
SMALLEST_MEAN = 1.0


def simulated(
    name: str,
    title: str,
    options: bde.SimulationOptions,
    *,
    n_genes: int,
    groups: tuple[int, int] = (4, 4),
    seed: int = 1,
    known_factors: bool = False,
    student_t: bool = False,
) -> Problem:
    """Draw counts with the base means of pasilla (those of 1 or more, with replacement).

    Parameters
    ----------
    name, title : str
    options : SimulationOptions
        The distributions.
    n_genes : int
    groups : (int, int)
        Samples of control and treated.
    seed : int
    known_factors : bool
        Whether every method is given the true size factors.
    student_t : bool
        See `Problem`.

    Returns
    -------
    Problem
    """
    pasilla = bde.fit_eb(bde.load_pasilla(), "~ condition").base_mean
    drawn = bde.simulate(
        n_genes, groups, base_mean=pasilla[pasilla >= SMALLEST_MEAN], seed=seed, options=options
    )
    true = drawn.hyperparameters
    scales = {f"shrinkage_scale[{name}]": value for name, value in true["shrinkage_scale"].items()}
    others = {key: true[key] for key in ("dispersion_sd", "asymptotic_dispersion", "extra_poisson", "nu")}
    if options.effects != "cauchy" or options.zero_share:
        scales = {}
    return Problem(
        name,
        title,
        drawn.counts,
        "condition",
        "treated",
        "control",
        (Truth("simulated", drawn.truth["log2_fold_change"]),),
        size_factors=drawn.size_factors.to_numpy() if known_factors else None,
        dispersion=drawn.truth["dispersion"].to_numpy(),
        hyperparameters={key: value for key, value in {**scales, **others}.items() if value is not None},
        student_t=student_t,
    )


def simulated_problems(n_genes: int) -> dict[str, Callable[[], Problem]]:
    """Describe the simulated problems by name; each is drawn when called."""
    law = partial(bde.SimulationOptions, effect_scale=0.3, trend=(0.02, 3.0), largest_effect=30.0)
    make = partial(partial, simulated, n_genes=n_genes)
    return {
        "exact": make(
            "exact", "the model exactly, 4 v 4, size factors known", law(), seed=11, known_factors=True
        ),
        "model": make("model", "the same counts, size factors estimated", law(), seed=11),
        "normal": make("normal", "normal effects, 4 v 4", law(effects="normal", effect_scale=0.5), seed=12),
        "sparse": make(
            "sparse", "85 % of the effects exactly 0, 4 v 4", law(zero_share=0.85, effect_scale=0.5), seed=13
        ),
        "few": make(
            "few",
            "the model with large dispersions, 3 v 3",
            law(trend=(0.2, 5.0), dispersion_sd=0.8),
            seed=14,
            groups=(3, 3),
        ),
        "heavy": make(
            "heavy",
            "heavy-tailed dispersions (Student-t, 3 df), 4 v 4",
            law(residuals="student_t", nu=3.0),
            seed=15,
            student_t=True,
        ),
    }


def apeglm_paper() -> Problem:
    """Read the replicate of the apeglm paper's simulation that its authors have published, with its results.

    10,000 genes, 5 v 5, mean and dispersion pairs of real data, log2 fold changes from normal distributions:
    90 % with sd 1, 5 % with sd 2, 5 % with sd 3 (Zhu, Ibrahim and Love 2019,
    doi:10.1093/bioinformatics/bty895).
    """
    counts = bde.read_counts(PAPER / "counts.tsv.gz", samples=PAPER / "coldata.tsv")
    effect = pd.read_csv(PAPER / "truth.tsv", sep="\t", index_col=0).iloc[:, 0]
    others = pd.read_csv(PAPER / "reference_methods.tsv.gz", sep="\t", index_col=0).reindex(counts.genes)
    return Problem(
        "paper",
        "simulation of the apeglm paper, 5 v 5",
        counts,
        "condition",
        "b",
        "a",
        (Truth("simulated", effect.reindex(counts.genes)),),
        published={
            title: Answer(
                title,
                others[f"score_{key}"].to_numpy(),
                s_value=others.get(f"sval_{key}", pd.Series(np.nan, others.index)).to_numpy(),
            )
            for key, title in PAPER_NAMES.items()
        },
    )


def stored_problems(n_genes: int) -> dict[str, Callable[[], Problem]]:
    """Describe the problems that are read from files by name, those whose files exist."""
    found: dict[Path, tuple[str, Callable[[], Problem]]] = {
        PAPER: ("paper", apeglm_paper),
        PAIRS: ("pairs", partial(pairs, n_genes)),
        YORUBA: ("yoruba", partial(yoruba, n_genes)),
    }
    return dict(named for folder, named in found.items() if folder.exists())


def pairs(n_genes: int) -> Problem:
    """Read counts from another simulator: the first genes of 5 v 5 samples in two batches.

    80 % of the effects of the condition are exactly 0, and none of those of the batches.
    """
    counts = bde.read_counts(PAIRS / "counts.tsv.gz", samples=PAIRS / "coldata.tsv")
    counts = counts.subset(genes=list(counts.genes[:n_genes]))
    effect = pd.read_csv(PAIRS / "truth.tsv", sep="\t", index_col=0)["lfc"].reindex(counts.genes)
    title = "80 % of the effects exactly 0, a batch, another simulator, 5 v 5"
    truth = (Truth("simulated", effect),)
    return Problem("pairs", title, counts, "condition", "B", "A", truth, batch="batch")


def yoruba(n_genes: int) -> Problem:
    """Take four men and four women of a real experiment; the truth are estimates from the 61 others.

    Parameters
    ----------
    n_genes : int
        As many, at random, of the genes whose mean count in the other samples is 1 or more.

    Returns
    -------
    Problem
    """
    counts = bde.read_counts(YORUBA / "counts.tsv.gz", samples=YORUBA / "coldata.tsv")
    sex = counts.sample_table["gender"]
    chosen = [sample for one in ("female", "male") for sample in sex.index[sex == one][:4]]
    others = counts.subset(samples=[sample for sample in counts.samples if sample not in chosen])
    fit = bde.fit_eb(others, "~ gender", references={"gender": "female"})
    table = fit.results(("gender", "male", "female"))
    known = np.flatnonzero((fit.base_mean >= SMALLEST_MEAN) & np.isfinite(table["lfc_se"]))
    rows = np.sort(np.random.default_rng(1).choice(known, min(n_genes, known.size), replace=False))
    genes = [str(gene) for gene in counts.genes[rows]]
    return Problem(
        "yoruba",
        "men v women, 4 v 4 of 29 v 40",
        counts.subset(genes=genes, samples=chosen),
        "gender",
        "male",
        "female",
        (Truth("others", table["log2_fold_change"].loc[genes], table["lfc_se"].loc[genes]),),
    )
