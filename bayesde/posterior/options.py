"""What may be chosen in sampling a posterior, and what does not go together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypedDict

from bayesde.errors import OptionError
from bayesde.options import (
    File,
    Number,
    Other,
    Switch,
    Whole,
    Words,
    check_fields,
    documented,
    flag,
    option,
)
from bayesde.posterior.effect_option import LAWS, checked_effects, read_effects
from bayesde.workers.pools import scheduler_or_address

__all__ = [
    "JOINT_GENE_LIMIT",
    "EngineKeywords",
    "EngineOptions",
    "SamplingOptions",
    "EngineRunOptions",
    "check_draws",
    "check_joint",
    "check_residuals",
]

JOINT_GENE_LIMIT = 2000
"""Engine joint's time grows faster than the number of genes: 4 chains of 300 + 500 iterations take half an
hour of processor time for so many, where engine psis takes seconds."""
_WEIGHTED_DRAWS = Whole(100, 10**6)
"""Draws of a gene in engine psis: enough to estimate the tail of their weights, and no more than fit into
memory."""
_MODEL, _SAMPLER = "The model of the posterior", "The sampler"


@documented
@dataclass(frozen=True, kw_only=True)
class EngineOptions:
    """Which sampler, and how much it draws."""

    engine: str = option(
        "psis",
        Words(
            {
                "psis": "importance sampling of every gene, in seconds, without Stan",
                "nuts": "Stan's NUTS, in blocks of genes given the hyperparameters; can be resumed",
                "joint": "Stan's NUTS, genes and hyperparameters in one posterior, for panels of up to some "
                "hundred genes",
            }
        ),
        "Inference method.",
        flag("--engine", metavar="psis|nuts|joint", panel=_SAMPLER),
    )
    draws: int = option(
        1000,
        Whole(4, 10**7),
        "Draws of each gene (psis, 100 to 1,000,000) or of each chain.",
        flag("--draws", metavar="N", panel=_SAMPLER),
    )
    warmup: int = option(
        300,
        Whole(1, 10**7),
        "Warm-up iterations of each chain.",
        flag("--warmup", metavar="N", panel=_SAMPLER),
    )
    chains: int = option(
        4, Whole(1, 1000), "Number of Stan's chains.", flag("--chains", metavar="N", panel=_SAMPLER)
    )
    seed: int = option(
        1,
        Whole(0, 2**32 - 1),
        "Random seed: the same seed gives the same draws, whatever the number of workers.",
        flag("--seed", metavar="N", panel=_SAMPLER),
    )

    outliers: str | None = option(
        None,
        Words(
            {
                "keep": "they are not looked for",
                "report": "they are found, in about the time of engine psis, and nothing else changes",
                "leave-out": "their genes are sampled again without them, and have the status "
                "`outlier_left_out`",
            }
        ),
        "What becomes of outlying counts, which the gene's other counts do not explain. `fit_posterior` "
        "keeps them by default, since a posterior without them cannot be reweighted to other priors; "
        "`bayesde sample` leaves them out where every sample has two others of the same kind, and reports "
        "them elsewhere.",
        flag(
            "--outliers",
            metavar="report|leave-out|keep",
            panel=_MODEL,
            help="Outlying counts, which the gene's other counts do not explain: `report` them "
            "(outlier_counts.tsv); `leave-out`, sample their genes again without them (status "
            "`outlier_left_out`); `keep`, do not look for them. Default: `leave-out` with engine psis where "
            "each combination of the design's variables has at least three samples, else `report`.",
        ),
    )

    def __post_init__(self) -> None:
        check_fields(self)


@documented
@dataclass(frozen=True, kw_only=True)
class EngineRunOptions(EngineOptions):
    """The sampler, and how it is run on this machine: none of the latter changes a number."""

    workers: int = option(
        1,
        Whole(1, 1024),
        "Processes of Stan at a time; what needs no Stan uses as many threads as numba has.",
        flag(
            "--workers",
            "-w",
            metavar="N",
            help="Number of processes; does not change the results. Default: all cores.",
        ),
    )
    directory: str | None = option(
        None,
        File(),
        "Folder for finished blocks; blocks found there are not sampled again. Of engine nuts, and of engine "
        "psis where the draws are many.",
    )
    scheduler: Any = option(
        None,
        Other("str or distributed.Client", scheduler_or_address, parsed=str),
        "Scheduler of a Dask cluster whose workers fit and sample blocks of genes: its address, or a client "
        "of it. By default everything is done on this machine.",
        flag(
            "--scheduler",
            metavar="ADDRESS",
            help="Address of a Dask scheduler, `tcp://host:8786`, whose workers compute blocks of genes "
            "(needs `pip install 'bayesde[dask]'`); does not change the results. Default: this machine.",
        ),
    )
    shared_folder: bool = option(
        True,
        Switch(),
        "Whether the workers of the cluster write finished blocks into the folder of the run; otherwise they "
        "send them back.",
        flag(
            "--no-shared-folder",
            help="The workers of --scheduler cannot write into DIR: they send finished blocks back.",
            sets=False,
        ),
    )


class EngineKeywords(TypedDict, total=False):
    """The fields of `EngineRunOptions` for type checkers: a test holds them to be the same."""

    engine: str
    draws: int
    warmup: int
    chains: int
    seed: int
    outliers: str | None
    workers: int
    directory: Any
    scheduler: Any
    shared_folder: bool


def _coefficients(name: str, value: Any) -> tuple[str, ...]:
    """Return a list of coefficients as a tuple."""
    if not isinstance(value, list | tuple) or not all(isinstance(one, str) for one in value):
        raise OptionError(f"{name} must be a list of names of coefficients; got {value!r}.")
    return tuple(value)


def _read_coefficients(texts: list[str]) -> tuple[str, ...]:
    """Read the coefficients to be shrunken; ``none`` is no coefficient."""
    if "none" not in texts:
        return tuple(texts)
    if len(texts) > 1:
        raise OptionError("--shrink-coefficient: 'none' shrinks nothing; give it alone or leave it out.")
    return ()


@documented
@dataclass(frozen=True, kw_only=True)
class SamplingOptions:
    """The model of the posterior, and the settings and checks of the samplers."""

    block_size: int = option(
        20,
        Whole(1, 10_000),
        "Number of genes that engine nuts samples together. They share a step size, so one gene with a "
        "difficult posterior slows down its whole block; with small blocks, more time goes into starting "
        "processes.",
    )
    adapt_delta: float = option(
        0.9, Number(0.0, 1.0, open_ends=True), "Acceptance rate that Stan adapts its step size to."
    )
    rerun_adapt_delta: float = option(
        0.99,
        Number(0.0, 1.0, open_ends=True),
        "The same, for genes that failed a check and are sampled once more, alone.",
    )
    max_treedepth: int = option(10, Whole(1, 20), "Trajectories have at most 2**max_treedepth steps.")
    max_rhat: float = option(
        1.01, Number(1.0, 10.0), "A gene fails if the R-hat of any parameter is larger than this."
    )
    min_ess: float = option(
        400.0,
        Number(0.0, 1e6),
        "A gene fails if the bulk or tail effective sample size of any parameter is smaller than this.",
    )
    effects: Any = option(
        "cauchy",
        Other("str, EffectMixture or mapping of str to these", checked_effects),
        "Law of the effects, where hyperparameters are learnt; by coefficient or term of the formula if it "
        'is a mapping, in which the name `""` stands for those that are not named: '
        + "; ".join(f'`"{law}"`: {meaning}' for law, meaning in LAWS.items())
        + "; or an `EffectMixture` that is known; or the path of the hyperparameters.json of another run, "
        "whose laws are then known (a coefficient that it does not name keeps Cauchy's).",
        flag(
            "--effects",
            metavar="LAW|NAME=LAW|FILE.json",
            panel=_MODEL,
            help="Law of the effects: "
            + "; ".join(f"`{law}`: {meaning}" for law, meaning in LAWS.items())
            + ". For one coefficient or term only: `condition=spike_t`. May be repeated. The "
            "hyperparameters.json of another run fixes the laws at those that it learnt. Default: cauchy.",
            repeated=True,
            read=read_effects,
        ),
    )
    residuals: str = option(
        "normal",
        Words(
            {
                "normal": "a normal distribution",
                "student_t": "Student's t, with heavier tails for genes far from the trend",
                "two_normals": "two normal distributions, a wide one for the few genes far from the trend "
                "(engine psis)",
            },
        ),
        "Distribution of log dispersions around their trend, where hyperparameters are learnt.",
        flag("--residuals", metavar="normal|student_t|two_normals", panel=_MODEL),
    )
    trend: str | None = option(
        None,
        Words({"parametric": "a0 + a1 / mean", "constant": "a0"}),
        "Dispersion trend, where hyperparameters are learnt. By default that of the empirical-Bayes fit: "
        'constant where that is a constant (`EbOptions(trend="mean")`), otherwise parametric.',
    )
    shrink: tuple[str, ...] | None = option(
        None,
        Other("sequence of str", _coefficients),
        "The coefficients that are shrunken, by name or by that of their term in the formula: by default all "
        "but the intercept (under treatment coding, none in a design without one); empty for none.",
        flag(
            "--shrink-coefficient",
            metavar="NAME",
            panel=_MODEL,
            help="Shrink only this coefficient, `'condition[T.treated]'`, or the coefficients of this term, "
            "`condition`; `none` shrinks nothing. May be repeated. Default: all but the intercept; with "
            "--coding treatment, none in a design without an intercept.",
            repeated=True,
            read=_read_coefficients,
        ),
    )
    coding: str = option(
        "levels",
        Words(
            {
                "levels": "an effect of every level of a factor, shrunken towards the center of all, so that "
                "neither the reference nor the coding of the design matters; of a factor of more than 8 "
                "levels, such as patients, and of interactions of 20 cells or more, they are integrated out",
                "sampled": "the same, but all coefficients are sampled; factors of more than 8 levels keep "
                "treatment coding",
                "treatment": "the design's own coefficients, as in apeglm: levels are shrunken towards the "
                "reference, and a comparison of two others has the prior that it would have if one of them "
                "were the reference",
            }
        ),
        "What the priors of effects are on. With levels, a factor of three or more levels has one scale S, "
        "named by its term, and the difference of two levels has a prior of scale 2S. Factors of two levels "
        "have the same prior under both.",
        flag("--coding", metavar="levels|sampled|treatment", panel=_MODEL),
    )
    scales: str = option(
        "coefficient",
        Words(
            {
                "coefficient": "one for each coefficient",
                "term": "one for all coefficients of a term of the formula, so that it matters less which "
                "level of a factor is the reference",
            }
        ),
        "Scales S of the prior of shrunken coefficients.",
        flag("--scales", metavar="coefficient|term", panel=_MODEL),
    )
    hand_over: bool = option(
        True,
        Switch(),
        "Whether genes with unreliable importance weights (Pareto k > 0.7) are sampled by engine nuts "
        "instead where Stan is installed.",
        flag(
            "--no-hand-over",
            panel=_SAMPLER,
            help="Keep the draws of genes with unreliable importance weights (status `high_pareto_k`) "
            "instead of sampling these genes with Stan.",
            sets=False,
        ),
    )

    def __post_init__(self) -> None:
        check_fields(self)


def check_draws(sampler: EngineOptions) -> None:
    """Refuse numbers of draws that engine psis cannot work with.

    Parameters
    ----------
    sampler : EngineOptions

    Raises
    ------
    OptionError
        If there are fewer than 100 or more than a million.
    """
    if sampler.engine == "psis":
        _WEIGHTED_DRAWS("draws", sampler.draws)


def check_residuals(engine: str, residuals: str) -> None:
    """Refuse laws of residuals that an engine does not have.

    Parameters
    ----------
    engine : str
    residuals : str

    Raises
    ------
    OptionError
        With what to do instead.
    """
    if residuals == "two_normals" and engine != "psis":
        raise OptionError(
            f"residuals: engine '{engine}' has no residuals with two normal components (two_normals); use "
            "engine 'psis', or 'student_t' for residuals with heavy tails."
        )


def check_joint(*, fixed: bool = False, local_trend: bool = False, genes: int = 0) -> None:
    """Refuse what engine joint cannot do.

    Parameters
    ----------
    fixed : bool
        Whether the hyperparameters are given or those of the empirical-Bayes fit.
    local_trend : bool
        Whether a local dispersion trend is asked for.
    genes : int
        Number of genes to sample.

    Raises
    ------
    OptionError
        With what to do instead.
    """
    if fixed:
        raise OptionError(
            "hyperparameters: engine 'joint' samples them and takes none; use engine 'psis' or 'nuts' to fix "
            "them."
        )
    if local_trend:
        raise OptionError(
            "trend: engine 'joint' has no local trend; choose 'parametric' or 'mean' (--trend mean)."
        )
    if genes > JOINT_GENE_LIMIT:
        raise OptionError(
            f"engine 'joint' samples all genes in one posterior, which takes too long for {genes} genes (the "
            f"limit is {JOINT_GENE_LIMIT}); choose genes (`genes`, --genes FILE), or use engine 'psis' or "
            "'nuts'."
        )
