"""A summary of a fit in sentences, and warnings about estimates that are doubtful."""

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
"""With a larger share of the genes at the smallest dispersion, the counts are probably not raw counts."""


def summary_lines(fit: EbEstimates) -> list[str]:
    """Describe a fit in sentences: its design, variable by variable, and then ``fit_lines``.

    Parameters
    ----------
    fit : EbEstimates

    Returns
    -------
    list of str
    """
    return [*variable_lines(fit.design), *fit_lines(fit)]


def fit_lines(fit: EbEstimates) -> list[str]:
    """Describe a fit in sentences: how many genes were fitted, replaced, left out or flagged.

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
        (fit.replaced & ~fit.emptied, "with outlier counts replaced by a trimmed mean"),
        (fit.emptied, "with no counts left after outlier counts were replaced"),
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
            f"the estimates of {_genes(failed.sum())} did not converge: {names}. In tables, the "
            "status of those that were tested is 'not_converged'. Usual reasons are very few counts (filter "
            "out genes with low counts) and a covariate far from 0 or in unusual units (write "
            "scale(covariate) in the design).",
            BayesdeWarning,
            stacklevel=5,
        )


def _warn_if_flat(fit: EbEstimates) -> None:
    """Warn if nearly all genes vary less than Poisson noise: such counts are not raw counts of replicates."""
    own = fit.dispersion_gene_wise[fit.estimated]
    flat = int(np.sum(own < AT_FLOOR))
    if own.size and flat > FLAT_SHARE * own.size and flat < own.size:
        warnings.warn(
            f"{flat:,} of {own.size:,} genes vary no more than Poisson noise (gene-wise dispersions below "
            f"{AT_FLOOR:g}), which is rare among biological replicates. Check that these are raw "
            "counts of biological replicates, and that normalization factors were not made from the counts.",
            BayesdeWarning,
            stacklevel=6,
        )
