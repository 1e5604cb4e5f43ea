"""The posterior of every gene, from counts: arguments are checked here, and an engine called."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from pathlib import Path

from bayesde.counts import Counts
from bayesde.design import Design
from bayesde.eb.fit import EbFit, fit_eb
from bayesde.model.hyperparameters import Hyperparameters
from bayesde.model.priors import Priors
from bayesde.options import check_choice
from bayesde.posterior.engines import ENGINES
from bayesde.posterior.options import (
    FEWEST_WEIGHTED,
    MOST_WEIGHTED,
    SamplingOptions,
    check_joint,
    check_whole,
)
from bayesde.posterior.posterior import Posterior
from bayesde.posterior.progress import Progress
from bayesde.posterior.request import (
    Request,
    check_same,
    check_unweighted,
    selected_genes,
    starting_values,
)

__all__ = ["fit_posterior"]


def fit_posterior(
    counts: Counts,
    design: str | Design,
    *,
    engine: str = "psis",
    genes: Sequence[str] | None = None,
    hyperparameters: Hyperparameters | str | None = None,
    draws: int = 1000,
    chains: int = 4,
    warmup: int = 300,
    seed: int = 1,
    workers: int = 1,
    eb: EbFit | None = None,
    priors: Priors | None = None,
    options: SamplingOptions | None = None,
    directory: str | PathLike[str] | None = None,
    progress: Progress | None = None,
) -> Posterior:
    """Draw from the posterior of every gene's coefficients and dispersion.

    Parameters
    ----------
    counts : Counts
    design : str or Design
        A formula over the sample table, or a design made before.
    engine : {"psis", "nuts", "joint"}
        ``psis``: every gene by importance sampling, the hyperparameters integrated over; needs no Stan, and
        takes seconds. Genes that it cannot do are handed over to ``nuts`` where there is a Stan. ``nuts``:
        genes in blocks given the hyperparameters, whose uncertainty is let in afterwards. ``joint``: genes
        and hyperparameters in one posterior; for panels, up to some hundred genes.
    genes : sequence of str, optional
        Only these get a posterior; normalization and the empirical-Bayes fit still use all.
    hyperparameters : Hyperparameters or "eb", optional
        By default their posterior is learnt from all genes and integrated over. ``"eb"`` fixes them at the
        values of the empirical-Bayes fit; others may be given. Engine joint samples them and takes none.
    draws, chains, warmup : int
        Draws kept of each chain, chains, and warm-up iterations of each; of engine psis only the draws of a
        gene, at least 100.
    seed : int
        The same seed gives the same draws, whatever the number of workers.
    workers : int
        Processes of Stan at a time; what needs no Stan uses as many threads as numba has.
    eb : EbFit, optional
        A fit of the same counts and design, so that it is not made again.
    priors : Priors, optional
        Of the hyperparameters and of the coefficients that are not shrunken.
    options : SamplingOptions, optional
    directory : path, optional
        A folder for finished blocks; those found there are not sampled again. Engine nuts only.
    progress : callable, optional
        Called with (units done, units, text).

    Returns
    -------
    Posterior

    Raises
    ------
    InputError
        If arguments do not go together, or the empirical-Bayes fit has observation weights.
    OptionError
        If an option has a value that is not allowed.
    ToolchainError
        If there is no Stan and none can be built.
    FitError
        If the sampler cannot run.
    """
    options = options or SamplingOptions()
    check_choice("engine", engine, tuple(ENGINES))
    _check_sizes(draws, chains, warmup, seed, workers)
    if engine == "psis":
        check_whole("draws", draws, FEWEST_WEIGHTED, MOST_WEIGHTED)
    fit = eb if eb is not None else fit_eb(counts, design)
    check_unweighted(fit)
    check_same(counts, design, fit)
    rows = selected_genes(counts, fit, genes)
    if engine == "joint":
        check_joint(
            fixed=hyperparameters is not None,
            local_trend=fit.options.trend == "local",
            genes=rows.size,
        )
    request = Request(
        fit,
        rows,
        starting_values(fit, hyperparameters, options),
        hyperparameters is None,
        draws,
        chains,
        warmup,
        seed,
        workers,
        options,
        priors or Priors(),
        None if directory is None else Path(directory),
        progress,
    )
    return Posterior.of(ENGINES[engine](request))


def _check_sizes(draws: int, chains: int, warmup: int, seed: int, workers: int) -> None:
    check_whole("draws", draws, 4, 10**7)
    check_whole("chains", chains, 1, 1000)
    check_whole("warmup", warmup, 1, 10**7)
    check_whole("seed", seed, 0, 2**32 - 1)
    check_whole("workers", workers, 1, 1024)
