"""The files of an analysis of usage."""

from __future__ import annotations

import json
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd

from bayesde.columns import COLUMNS
from bayesde.io.writing import results_folder, write_atomically
from bayesde.statuses import STATUSES
from bayesde.usage.fit import UsageFit
from bayesde.usage.posterior import UsagePosterior

__all__ = ["FILES", "write_usage"]

FILES = ("results.tsv", "genes.tsv", "results.columns.json", "posterior.tsv", "usage.json")
_RATIO = "of the ratio of this feature to the others of its gene (of inclusion to exclusion), log2"
DESCRIPTIONS = {
    "gene": "gene of the feature",
    "base_mean": "mean of the normalized counts of the feature over all samples",
    "log2_fold_change": f"change {_RATIO}: maximum likelihood, or posterior mean",
    "lfc_se": f"standard error, or posterior standard deviation, of the change {_RATIO}",
    "lfc_lower": f"lower end of the posterior interval of the change {_RATIO}",
    "lfc_upper": f"upper end of the posterior interval of the change {_RATIO}",
    "stat": "likelihood ratio of the design and the reduced design",
    "p_value": "p-value of the likelihood-ratio test",
    "psi_reference": "posterior mean of the percent spliced in (0 to 1) before the change",
    "psi": "posterior mean of the percent spliced in (0 to 1) after the change",
    "delta_psi": "posterior mean of the change of the percent spliced in",
    "delta_psi_lower": "lower end of its posterior interval",
    "delta_psi_upper": "upper end of its posterior interval",
    "features": "number of features of the gene that were tested",
    "smallest_p_value": "smallest p-value of these features",
    "q_value": "false discovery rate if all genes with as small a p-value are called",
}


def write_usage(
    folder: Path, fit: UsageFit, contrast: Any = None, posterior: UsagePosterior | None = None
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame | None]:
    """Write tables by feature and by gene, and what their columns mean.

    Parameters
    ----------
    folder : pathlib.Path
        Created if it does not exist; files of an earlier analysis in it are replaced, or removed.
    fit : UsageFit
    contrast : optional
        Whatever ``design.contrast`` takes.
    posterior : UsagePosterior, optional

    Returns
    -------
    results, genes, posterior : pandas.DataFrame
        The tables; the last is None without a posterior.

    Raises
    ------
    InputError
        If the contrast does not exist, or the folder cannot be written to.
    """
    results, genes = fit.results(contrast), fit.genes()
    sampled = None if posterior is None else posterior.results(contrast)
    tables = {"results.tsv": results, "genes.tsv": genes}
    if sampled is not None:
        tables["posterior.tsv"] = sampled
    names = dict.fromkeys(name for table in tables.values() for name in table.columns)
    columns = {name: DESCRIPTIONS.get(name) or COLUMNS[name].description for name in names}
    meanings = {name: status.meaning for name, status in STATUSES.items()}
    about = {"columns": columns, "status": meanings}
    texts = {name: table.to_csv(sep="\t", lineterminator="\n") for name, table in tables.items()}
    texts["results.columns.json"] = json.dumps(about, indent=2) + "\n"
    texts["usage.json"] = json.dumps(_described(fit, contrast, posterior), indent=2) + "\n"
    with results_folder(folder):
        for name in FILES:  # also a posterior of an earlier analysis
            (folder / name).unlink(missing_ok=True)
        for name, text in texts.items():
            write_atomically(folder / name, text)
    return results, genes, sampled


def _described(fit: UsageFit, contrast: Any, posterior: UsagePosterior | None) -> dict[str, Any]:
    """Describe how the tables were made."""
    options, trend = fit.options, fit.dispersions.trend
    described: dict[str, Any] = {
        "bayesde": version("bayesde"),
        "design": fit.design.formula,
        "tested": list(fit.tested),
        "contrast": fit.design.contrast(contrast).name,
        "options": {name: getattr(options, name) for name in options.__dataclass_fields__},
        "dispersion_trend": trend.kind,
        "dispersion_prior_var": fit.dispersions.prior.prior_var,
    }
    if trend.curve is None:
        described["asymptotic_dispersion"] = trend.asymptotic_dispersion
        described["extra_poisson"] = trend.extra_poisson
    if posterior is not None:
        described["shrinkage_scale"] = dict(zip(fit.tested, posterior.draws.scales.tolist(), strict=True))
    return described
