"""What a fit has to say about itself, once: how many genes went another way than most."""

from __future__ import annotations

import logging
import warnings

import numpy as np

from bayesde.counts.display import html_table
from bayesde.design.description import variable_lines
from bayesde.eb.dispersion.estimates import MIN_DISPERSION
from bayesde.eb.estimates import EbEstimates
from bayesde.errors import BayesdeWarning, first_few

__all__ = ["one_line", "html_summary", "fit_lines", "summary_lines", "report_fit"]

logger = logging.getLogger(__name__)

AT_FLOOR = 100.0 * MIN_DISPERSION
FLAT_SHARE = 0.9
"""With more than this share of the genes at the smallest dispersion, something is wrong with the counts."""


def summary_lines(fit: EbEstimates) -> list[str]:
    """Describe a fit in sentences: its design, variable by variable, and what happened to genes.

    Parameters
    ----------
    fit : EbEstimates

    Returns
    -------
    list of str
    """
    return [*variable_lines(fit.design), *fit_lines(fit)]


def fit_lines(fit: EbEstimates) -> list[str]:
    """Describe a fit in sentences, one for each thing that happened to any gene.

    Parameters
    ----------
    fit : EbEstimates

    Returns
    -------
    list of str
    """
    fitted = (
        f"{fit.estimated.sum():,} of {_genes(fit.counts.n_genes)} fitted; dispersion trend {fit.trend.kind}, "
        f"prior sd of ln dispersion: {fit.dispersion_prior_var**0.5:.3g}"
    )
    events = (
        (fit.all_zero, "without any count: no estimates"),
        (fit.low_weight, "without enough weight: no estimates"),
        (fit.replaced & ~fit.emptied, "with outlier counts replaced by what the replicates say"),
        (fit.emptied, "of which nothing is left once the outlier counts are replaced"),
        (fit.count_outlier, "with an outlier count that cannot be replaced: no p-value"),
        (fit.dispersion_outlier, _outliers(int(fit.dispersion_outlier.sum()))),
        (fit.separated, _separated(int(fit.separated.sum()))),
    )
    return [fitted, *(f"{_genes(genes.sum())} {text}" for genes, text in events if genes.any())]


def one_line(fit: EbEstimates) -> str:
    """Describe a fit in one line.

    Parameters
    ----------
    fit : EbEstimates

    Returns
    -------
    str
    """
    formula = fit.design.formula or ", ".join(fit.design.coefficients)
    weighted = ", weighted" if fit.weights is not None else ""
    variables = "".join(f"; {line}" for line in variable_lines(fit.design))
    return (
        f"<EbFit: {fit.counts.n_genes} genes ({fit.estimated.sum()} estimated), "
        f"{fit.counts.n_samples} samples{weighted}; design: {formula}{variables}; trend: {fit.trend.kind}>"
    )


def html_summary(fit: EbEstimates) -> str:
    """Describe a fit in a short table, as HTML.

    Parameters
    ----------
    fit : EbEstimates

    Returns
    -------
    str
    """
    lines = (line.partition(": ") for line in variable_lines(fit.design))
    return html_table(
        [
            ("EbFit", f"{fit.counts.n_genes:,} genes, {fit.counts.n_samples} samples"),
            ("design", fit.design.formula or ", ".join(fit.design.coefficients)),
            *((name, text) for name, _, text in lines),
            *(("", line) for line in fit_lines(fit)),
        ]
    )


def _outliers(number: int) -> str:
    return f"far above the dispersion trend: {'its' if number == 1 else 'their'} own dispersion is used"


def _separated(number: int) -> str:
    whose, effects = ("its", "effect has") if number == 1 else ("their", "effects have")
    return (
        f"separated (a group without counts): {whose} {effects} no finite maximum-likelihood estimate; read "
        "sign and p-value, not the size, or shrink"
    )


def _genes(number: int) -> str:
    return "1 gene" if number == 1 else f"{number:,} genes"


def report_fit(fit: EbEstimates) -> None:
    """Log the summary, and warn of what makes results doubtful.

    Parameters
    ----------
    fit : EbEstimates
    """
    for line in summary_lines(fit):
        logger.info("%s", line)
    _warn_if_flat(fit)
    failed = fit.estimated & ~fit.converged
    if failed.any():
        names = first_few(fit.counts.genes[failed])
        warnings.warn(
            f"the estimates of {_genes(failed.sum())} did not converge: {names}. The status of those "
            "that were tested says so. Most often such genes have very few counts (leave genes of low counts "
            "out), or a covariate is far from 0 or in odd units (write scale(covariate) in the design).",
            BayesdeWarning,
            stacklevel=3,
        )


def _warn_if_flat(fit: EbEstimates) -> None:
    """Warn if nearly all genes vary less than Poisson noise: such counts are not raw counts of replicates."""
    own = fit.dispersion_gene_wise[fit.estimated]
    flat = int(np.sum(own < AT_FLOOR))
    if own.size and flat > FLAT_SHARE * own.size and flat < own.size:
        warnings.warn(
            f"{flat:,} of {own.size:,} genes vary no more than Poisson noise (gene-wise dispersions below "
            f"{AT_FLOOR:g}), as replicates hardly ever do. Are these raw counts, are the samples biological "
            "replicates, and were normalization factors built from the counts themselves?",
            BayesdeWarning,
            stacklevel=4,
        )
