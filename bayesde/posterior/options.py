"""What may be chosen in sampling."""

from __future__ import annotations

from dataclasses import dataclass

from bayesde.errors import OptionError
from bayesde.options import check_choice, check_range

__all__ = ["FEWEST_WEIGHTED", "JOINT_GENE_LIMIT", "MOST_WEIGHTED", "SamplingOptions", "check_joint"]

JOINT_GENE_LIMIT = 2000
"""Engine joint's time grows faster than the number of genes: 4 chains of 300 + 500 iterations take half an
hour of processor time for so many, where engine psis takes seconds."""
FEWEST_WEIGHTED = 100
"""Draws of a gene that engine psis needs, for the tail of their weights to be told."""
MOST_WEIGHTED = 10**6
"""Draws of a gene that engine psis holds in memory, at the most."""


@dataclass(frozen=True, kw_only=True)
class SamplingOptions:
    """Settings of the samplers, beside the numbers of chains, draws and warm-up iterations.

    Parameters
    ----------
    block_size : int
        Genes that engine nuts samples together. One step size serves them all, so the stiffest gene of a
        large block slows the others; small blocks pay more often for the start of a process.
    adapt_delta : float
        Acceptance rate that the step size is adapted to; in (0, 1).
    rerun_adapt_delta : float
        The same, for genes that failed a check and are sampled once more, alone.
    max_treedepth : int
        Trajectories are at most 2**max_treedepth steps.
    max_rhat : float
        A gene with a larger R-hat, in any parameter, fails.
    min_ess : float
        A gene with a smaller bulk or tail effective sample size, in any parameter, fails.
    residuals : {"normal", "student_t"}
        Distribution of log dispersions around the trend, where hyperparameters are learnt.
    trend : {"parametric", "constant"}, optional
        Dispersion trend, where hyperparameters are learnt: a0 + a1 / mean, or a0. By default that of the
        empirical-Bayes fit: constant where that is a constant (``EbOptions(trend="mean")``), otherwise
        parametric.
    shrink : sequence of str, optional
        The coefficients that are shrunken, by name or by that of their term in the formula: by default all
        but the intercept (none in a design without one); empty for none.
    scales : {"coefficient", "term"}
        Whether every shrunken coefficient has a scale S of its own, or those of one term of the formula
        share one, so that it matters less which level of a factor is the reference.
    hand_over : bool
        Whether engine psis hands genes that it cannot do over to engine nuts, where there is a Stan.
    """

    block_size: int = 20
    adapt_delta: float = 0.9
    rerun_adapt_delta: float = 0.99
    max_treedepth: int = 10
    max_rhat: float = 1.01
    min_ess: float = 400.0
    residuals: str = "normal"
    trend: str | None = None
    shrink: tuple[str, ...] | None = None
    scales: str = "coefficient"
    hand_over: bool = True

    def __post_init__(self) -> None:
        for name, low, high in (("block_size", 1, 10_000), ("max_treedepth", 1, 20)):
            check_whole(name, getattr(self, name), low, high)
        check_range("adapt_delta", self.adapt_delta, 0.0, 1.0, open_ends=True)
        check_range("rerun_adapt_delta", self.rerun_adapt_delta, 0.0, 1.0, open_ends=True)
        check_range("max_rhat", self.max_rhat, 1.0, 10.0)
        check_range("min_ess", self.min_ess, 0.0, 1e6)
        check_choice("residuals", self.residuals, ("normal", "student_t"))
        if self.trend is not None:
            check_choice("trend", self.trend, ("parametric", "constant"))
        check_choice("scales", self.scales, ("coefficient", "term"))
        if not isinstance(self.hand_over, bool):
            raise OptionError(f"hand_over must be true or false; got {self.hand_over!r}.")
        if self.shrink is not None:
            object.__setattr__(self, "shrink", _names(self.shrink))


def _names(value: object) -> tuple[str, ...]:
    """Return a list of coefficients as a tuple."""
    if not isinstance(value, list | tuple) or not all(isinstance(name, str) for name in value):
        raise OptionError(f"shrink must be a list of names of coefficients; got {value!r}.")
    return tuple(value)


def check_whole(name: str, value: object, low: int, high: int) -> None:
    """Refuse anything but a whole number between two others.

    Raises
    ------
    OptionError
        Naming the option, the value and the limits.
    """
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise OptionError(f"{name} must be a whole number from {low} to {high}; got {value!r}.")


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
