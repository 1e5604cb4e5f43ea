r"""Outlying counts, which no draw explains, and the posterior without them.

Under the model a two-sided leave-one-out tail probability is at most t with a probability of at most t,
whatever the dependence between counts (ties of a discrete count make it smaller still). So among N counts at
most N t are expected below t by chance, and with

    t = (false flags) / N

a data set has at most so many false flags in expectation: one by default. Unlike a false discovery rate this
needs no assumption on the dependence between counts of a gene, and whether a count is flagged does not depend
on how many others are.

Two outliers in one group may hide one another. Leave the counts out, and judge the others again.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd

from bayesde.errors import InputError, first_few
from bayesde.options import check_range
from bayesde.posterior.data import PosteriorData, PosteriorT
from bayesde.posterior.draws.gene_draws import GeneDraws
from bayesde.posterior.draws.pareto_smoothing import MAX_K
from bayesde.posterior.draws.resampling import resampled
from bayesde.posterior.importance.sampler import SMALLEST_SIZE, ImportanceSample
from bayesde.posterior.left_out_counts import kept_means
from bayesde.posterior.queries.left_out import by_pattern, copied, overwrite, sample_without
from bayesde.posterior.queries.loo_data import LeaveOneOutData

__all__ = ["LARGEST_NUMBER_OF_FLAGS", "outlier_counts", "table_of_flags", "without_outliers"]

LARGEST_NUMBER_OF_FLAGS = 1e9


def outlier_counts(loo: LeaveOneOutData, false_flags: float = 1.0) -> pd.DataFrame:
    """Flag the counts that the other counts of their gene do not explain.

    Parameters
    ----------
    loo : LeaveOneOutData
    false_flags : float
        How many counts may be flagged by chance, in expectation, in the whole data set. Above 0.

    Returns
    -------
    pandas.DataFrame
        One row a flagged count, the most surprising first: ``gene``, ``sample``, ``count``, ``expected``,
        ``tail_probability`` (two-sided), ``pareto_k``. Counts that had been left out before are not in it.

    Raises
    ------
    OptionError
        If `false_flags` is not a positive number.
    """
    check_range("false_flags", false_flags, 0.0, LARGEST_NUMBER_OF_FLAGS, open_ends=True)
    values, tail = loo.pointwise, loo.tail_probability.to_numpy()
    judged = ~values["left_out"].to_numpy()
    at = np.nonzero((tail <= false_flags / max(judged.sum(), 1)) & judged)
    names = {name: values[name].to_numpy()[own] for name, own in zip(("gene", "sample"), at, strict=True)}
    count, expected, pareto_k = (values[name].to_numpy()[at] for name in ("count", "expected", "pareto_k"))
    return table_of_flags(names, count, expected, tail[at], pareto_k)


def table_of_flags(
    names: dict[str, np.ndarray],
    count: np.ndarray,
    expected: np.ndarray,
    tail_probability: np.ndarray,
    pareto_k: np.ndarray,
) -> pd.DataFrame:
    """Return the table of flagged counts.

    Parameters
    ----------
    names : dict of str to ndarray of object (count,)
        Of ``gene`` and ``sample``.
    count, expected, tail_probability, pareto_k : ndarray (count,)

    Returns
    -------
    pandas.DataFrame
        As of `outlier_counts`.
    """
    order = np.argsort(tail_probability, kind="stable")
    own = {"count": count, "expected": expected, "tail_probability": tail_probability, "pareto_k": pareto_k}
    return pd.DataFrame({name: values[order] for name, values in (names | own).items()})


def without_outliers(posterior: PosteriorT, counts: pd.DataFrame) -> PosteriorT:
    """Sample the genes of some counts again without these.

    Parameters
    ----------
    posterior : PosteriorData
    counts : pandas.DataFrame
        With ``gene`` and ``sample``.

    Returns
    -------
    PosteriorData
        A new one, of the type given. The genes concerned come from engine psis, under the hyperparameters of
        the posterior; their dispersion trend is evaluated at the mean of the counts that are kept. Their
        status is ``outlier_left_out``, unless they fail a check.

    Raises
    ------
    InputError
        If a gene has no posterior, a sample does not exist, or no count of a gene would be left.
    """
    gene, sample = _positions(posterior, counts)
    genes, row = np.unique(gene, return_inverse=True)
    left_out = posterior.left_out_of(genes)
    left_out[row, sample] = True
    _check_something_left(posterior, genes, left_out)
    draws = copied(posterior.gene_draws, posterior.request.directory)
    diagnostics = posterior.diagnostics.copy()
    means = kept_means(posterior.observed(genes), left_out)
    for some, pattern in by_pattern(left_out, draws.n_draws):
        rows = genes[some]
        sampled = sample_without(posterior, rows, pattern, draws.n_draws, means[some])
        overwrite(draws, rows, _alike(posterior, rows, sampled))
        _note(diagnostics, posterior.genes[rows], sampled, draws.n_draws)
    return replace(
        posterior, gene_draws=draws, diagnostics=diagnostics, left_out=_table(posterior, gene, sample)
    )


def _positions(posterior: PosteriorData, counts: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Return the positions of the counts of a table: of sampled genes and of samples."""
    absent = [name for name in ("gene", "sample") if name not in counts]
    if absent:
        raise InputError(
            f"the table of counts to leave out has no column {first_few(absent)}; it needs gene and sample, "
            "as outlier_counts() returns them."
        )
    samples = pd.Index(posterior.design.samples)
    gene = posterior.genes.get_indexer(pd.Index(counts["gene"]))
    sample = samples.get_indexer(pd.Index(counts["sample"]))
    if (gene < 0).any():
        raise InputError(f"no posterior of {first_few(counts['gene'][gene < 0])}: no count can be left out.")
    if (sample < 0).any():
        raise InputError(
            f"there is no sample {first_few(counts['sample'][sample < 0])}; samples are "
            f"{first_few(samples, 20)}."
        )
    return gene, sample


def _check_something_left(posterior: PosteriorData, genes: np.ndarray, left_out: np.ndarray) -> None:
    bare = genes[left_out.all(axis=1)]
    if bare.size:
        raise InputError(f"no count would be left of {first_few(posterior.genes[bare])}; keep some.")


def _alike(posterior: PosteriorData, rows: np.ndarray, sampled: ImportanceSample) -> GeneDraws:
    """Return the draws, of equal weight if those of the posterior are."""
    if posterior.gene_draws.log_weights is not None:
        return sampled.draws
    theta = resampled(sampled.draws, posterior.seeds(rows))[0].transpose(1, 0, 2)
    return GeneDraws(theta, has_atoms=sampled.draws.has_atoms)


def _note(diagnostics: pd.DataFrame, genes: pd.Index, sampled: ImportanceSample, n_draws: int) -> None:
    """Update the diagnostics of genes that were sampled again."""
    of_chains = ["rhat", "ess_bulk", "ess_tail", "divergences", "treedepth_hits", "gradients"]
    diagnostics.loc[genes, [name for name in of_chains if name in diagnostics]] = np.nan
    for name, values in sampled.report.items():
        diagnostics.loc[genes, name] = values
    high = ~(sampled.report["pareto_k"] <= MAX_K)
    low = ~(sampled.report["ess"] >= SMALLEST_SIZE * n_draws)
    diagnostics.loc[genes, "engine"] = "psis"
    diagnostics.loc[genes, "status"] = np.select(
        [high, low], ["high_pareto_k", "low_ess"], default="outlier_left_out"
    )


def _table(posterior: PosteriorData, gene: np.ndarray, sample: np.ndarray) -> pd.DataFrame:
    """Return the table of these counts and of those that had been left out before."""
    both = zip(posterior.left_out_at, (gene, sample), strict=True)
    gene, sample = np.unique(np.stack([np.concatenate(parts) for parts in both]), axis=1)
    names = np.asarray(posterior.design.samples, dtype=object)
    return pd.DataFrame({"gene": posterior.genes[gene].to_numpy(), "sample": names[sample]})
