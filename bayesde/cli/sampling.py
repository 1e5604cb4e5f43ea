"""The command that samples posteriors: it reads its arguments, makes a plan and has it carried out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bayesde.cli.arguments import (
    Config,
    ContrastText,
    ControlGenes,
    Counts,
    DesignFormula,
    Factors,
    Force,
    Lengths,
    OutputFolder,
    References,
    Samples,
    SizeFactors,
    Strand,
    Threshold,
    Trend,
    Workers,
)
from bayesde.cli.planning import build_plan, eb_options, model_options, sampling_options
from bayesde.cli.running import carry_out

__all__ = ["sample"]

_MODEL, _SAMPLER = "The model of the posterior", "The sampler"

Engine = Annotated[
    str | None,
    typer.Option(
        metavar="psis|nuts|joint",
        rich_help_panel=_SAMPLER,
        help="`psis`: importance sampling of every gene, in seconds, without Stan (default); `nuts`: Stan, "
        "genes in blocks, resumable; `joint`: Stan, genes and hyperparameters at once, for panels.",
    ),
]
Draws = Annotated[
    int | None,
    typer.Option(
        metavar="N", rich_help_panel=_SAMPLER, help="Draws of each gene or of each chain [default: 1000]."
    ),
]
Chains = Annotated[
    int | None, typer.Option(metavar="N", rich_help_panel=_SAMPLER, help="Chains of Stan [default: 4].")
]
Warmup = Annotated[
    int | None,
    typer.Option(
        metavar="N", rich_help_panel=_SAMPLER, help="Warm-up iterations of each chain [default: 300]."
    ),
]
Seed = Annotated[
    int | None,
    typer.Option(metavar="N", rich_help_panel=_SAMPLER, help="Same seed, same draws [default: 1]."),
]
NoHandOver = Annotated[
    bool,
    typer.Option(
        "--no-hand-over",
        rich_help_panel=_SAMPLER,
        help="Leave genes that `psis` cannot do as they are (status `high_pareto_k`), and do not give them "
        "to Stan.",
    ),
]
Genes = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE", help="Only these genes get a posterior, one name a line; all are used for the rest."
    ),
]
HyperparametersText = Annotated[
    str | None,
    typer.Option(
        "--hyperparameters",
        metavar="FILE|eb",
        rich_help_panel=_MODEL,
        help="Hold what all genes share fixed: at the values in a file, the hyperparameters.json of another "
        "run, or at those of the point estimates, `eb`. Default: learnt from all genes and integrated over.",
    ),
]
Residuals = Annotated[
    str | None,
    typer.Option(
        metavar="normal|student_t",
        rich_help_panel=_MODEL,
        help="How log dispersions scatter about their trend: `normal` (default), or `student_t`, which has "
        "room for genes far off it.",
    ),
]
ShrinkCoefficients = Annotated[
    list[str] | None,
    typer.Option(
        "--shrink-coefficient",
        metavar="NAME",
        rich_help_panel=_MODEL,
        help="Shrink this coefficient, `'condition[T.treated]'`, or all of this term, `condition`, and no "
        "other; `none` shrinks nothing. May be repeated. Default: all but the intercept; nothing in a "
        "design without one.",
    ),
]
Scales = Annotated[
    str | None,
    typer.Option(
        metavar="coefficient|term",
        rich_help_panel=_MODEL,
        help="A scale of effects for every coefficient (default), or one for all coefficients of a `term`: "
        "it then matters less which level of a factor is the reference.",
    ),
]
PriorTexts = Annotated[
    list[str] | None,
    typer.Option(
        "--prior",
        metavar="NAME=VALUES",
        rich_help_panel=_MODEL,
        help="Prior of a hyperparameter, natural log: median and sd of the log of `shrinkage_scale` "
        "[default: 0.2,1.5], `dispersion_sd` [0.7,0.7], `asymptotic_dispersion` [0.05,2], `extra_poisson` "
        "[2,2]; shape and rate of `nu` [2,0.1]; `unshrunken_sd` [15]. `--prior shrinkage_scale=0.1,1`. May "
        "be repeated.",
    ),
]


def sample(
    counts: Counts,
    samples: Samples,
    out: OutputFolder,
    design: DesignFormula = None,
    contrast: ContrastText = None,
    reference: References = None,
    engine: Engine = None,
    draws: Draws = None,
    chains: Chains = None,
    warmup: Warmup = None,
    seed: Seed = None,
    no_hand_over: NoHandOver = False,
    genes: Genes = None,
    hyperparameters: HyperparametersText = None,
    residuals: Residuals = None,
    trend: Trend = None,
    shrink_coefficient: ShrinkCoefficients = None,
    scales: Scales = None,
    prior: PriorTexts = None,
    size_factors: SizeFactors = None,
    control_genes: ControlGenes = None,
    normalization_factors: Factors = None,
    average_lengths: Lengths = None,
    strand: Strand = None,
    lfc_threshold: Threshold = None,
    config: Config = None,
    workers: Workers = None,
    force: Force = False,
) -> None:
    """Sample the posterior of every gene: by importance sampling, or with Stan, resumably.

    Writes results.tsv, diagnostics.tsv, the draws and pictures into DIR, and the point estimates of all genes
    into DIR/eb and DIR/shrunken. Exit code 3: finished, but some genes failed their diagnostics; the column
    `status` says which.

    For example:

        bayesde sample counts.tsv.gz samples.tsv -d '~ batch + condition' -c condition,treated,control -o post

        bayesde sample counts.tsv.gz samples.tsv -d '~ condition' --engine nuts --genes list.txt -o overnight

        bayesde sample counts.tsv.gz samples.tsv -d '~ condition' --engine joint --genes panel.txt -o panel

        bayesde sample counts.tsv.gz samples.tsv -d '~ condition' --residuals student_t --prior nu=2,0.05 -o t

        bayesde resume post
    """
    fixed_at_eb = hyperparameters == "eb"
    files = {
        "counts": counts,
        "samples": samples,
        "control_genes": control_genes,
        "normalization_factors": normalization_factors,
        "average_lengths": average_lengths,
        "genes": genes,
        "hyperparameters": None if hyperparameters is None or fixed_at_eb else Path(hyperparameters),
    }
    chosen = {"engine": engine, "draws": draws, "chains": chains, "warmup": warmup, "seed": seed}
    if hyperparameters is not None:
        chosen["hyperparameters"] = "eb" if fixed_at_eb else "integrated"
    model = model_options(design, [contrast] if contrast else None, reference, size_factors, lfc_threshold)
    model["strand"] = strand
    sampling, priors = sampling_options(residuals, shrink_coefficient, scales, no_hand_over, prior)
    plan = build_plan("sample", files, model, eb_options(trend), config, chosen, sampling, priors)
    carry_out(plan, out, force, workers)
