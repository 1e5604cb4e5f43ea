"""A posterior in a few lines, as it is printed."""

from __future__ import annotations

from bayesde.counts.display import html_table
from bayesde.design.description import variable_lines
from bayesde.posterior.data import PosteriorData
from bayesde.posterior.summaries.checks import checked

__all__ = ["described", "described_as_table"]


def described(posterior: PosteriorData) -> str:
    """Describe a posterior in one line.

    Parameters
    ----------
    posterior : PosteriorData

    Returns
    -------
    str
    """
    statuses = posterior.diagnostics["status"][posterior.diagnostics["sampled"]].value_counts()
    found = ", ".join(f"{name} {number:,}" for name, number in statuses.items())
    design = posterior.design
    model = [design.formula or ", ".join(design.coefficients), *variable_lines(design)]
    return (
        f"<Posterior: {_sampled(posterior)}, {design.n_samples} samples; engine {posterior.engine}; "
        f"design: {'; '.join(model)}; status: {found}>"
    )


def described_as_table(posterior: PosteriorData) -> str:
    """Describe a posterior as an HTML table.

    Parameters
    ----------
    posterior : PosteriorData

    Returns
    -------
    str
    """
    design = posterior.design
    what = f"{_sampled(posterior)}, {design.n_samples} samples, engine {posterior.engine}"
    return html_table(
        [
            ("Posterior", what),
            ("design", design.formula or ", ".join(design.coefficients)),
            *((name, text) for name, _, text in (line.partition(": ") for line in variable_lines(design))),
            ("checks", checked(posterior)),
            ("hyperparameters", repr(posterior.hyperparameters)[1:-1].partition(": ")[2]),
        ]
    )


def _sampled(posterior: PosteriorData) -> str:
    return f"{posterior.gene_draws.n_genes:,} of {len(posterior.diagnostics):,} genes"
