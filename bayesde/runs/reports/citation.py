"""How a run is cited: its methods in a paragraph, and the papers that they come from."""

from __future__ import annotations

from html import escape
from typing import Any

from bayesde.design.random_effects import fixed_formula

__all__ = ["citation_section"]

LOVE = (
    "Love, M. I., Huber, W. and Anders, S. (2014) Moderated estimation of fold change and dispersion for "
    "RNA-seq data with DESeq2. Genome Biology 15:550. doi:10.1186/s13059-014-0550-8"
)
ZHU = (
    "Zhu, A., Ibrahim, J. G. and Love, M. I. (2019) Heavy-tailed prior distributions for sequence count "
    "data. Bioinformatics 35:2084-2092. doi:10.1093/bioinformatics/bty895"
)
STEPHENS = (
    "Stephens, M. (2017) False discovery rates: a new deal. Biostatistics 18:275-294. "
    "doi:10.1093/biostatistics/kxw041"
)
VEHTARI = (
    "Vehtari, A., Simpson, D., Gelman, A., Yao, Y. and Gabry, J. (2024) Pareto smoothed importance sampling. "
    "Journal of Machine Learning Research 25:72"
)
CARPENTER = (
    "Carpenter, B. et al. (2017) Stan: a probabilistic programming language. Journal of Statistical Software "
    "76:1. doi:10.18637/jss.v076.i01"
)
SAMPLED = {
    "psis": ("Pareto-smoothed importance sampling", VEHTARI),
    "nuts": ("Hamiltonian Monte Carlo in Stan, in blocks of genes given the hyperparameters", CARPENTER),
    "joint": ("Hamiltonian Monte Carlo in Stan, genes and hyperparameters jointly", CARPENTER),
}


def citation_section(record: dict[str, Any]) -> str:
    """Describe the methods of a run in a paragraph that can go into a paper.

    Parameters
    ----------
    record : dict
        What ``run.json`` holds.

    Returns
    -------
    str
        HTML.
    """
    plan, version = record["plan"], record.get("versions", {}).get("bayesde", "")
    if plan["command"] == "eb":
        text, papers = _tested(plan)
    else:
        text, papers = _sampled(plan)
    design = plan["model"].get("design", "")
    start = f"Counts were analysed with bayesde {version}".rstrip() + f", design {design}. "
    listed = "".join(f"<li>{escape(paper)}</li>" for paper in papers)
    return f"<p>{escape(start + text)}</p><ul>{listed}</ul>"


def _tested(plan: dict[str, Any]) -> tuple[str, list[str]]:
    if fixed_formula(plan["model"]["design"]) != plan["model"]["design"]:
        return (
            "Negative binomial regressions with random effects were fitted by maximizing the marginal "
            "likelihood of each gene, dispersions and standard deviations of random effects moderated by "
            "their laws over the genes; size factors are DESeq2's. There are no p-values.",
            [LOVE],
        )
    test = "likelihood-ratio test" if plan["model"].get("test") == "lrt" else "Wald test"
    return (
        "Size factors, dispersions and coefficients of negative binomial regressions were estimated as in "
        f"DESeq2; p-values are those of the {test}, adjusted by Benjamini and Hochberg's method; shrunken "
        "effects are apeglm's unless another method is named in the options.",
        [LOVE, ZHU],
    )


def _sampled(plan: dict[str, Any]) -> tuple[str, list[str]]:
    engine, paper = SAMPLED.get(plan.get("sample", {}).get("engine", "psis"), SAMPLED["psis"])
    return (
        "Posteriors of the coefficients and the dispersion of each gene, under a negative binomial model "
        f"with priors learnt from all genes, were sampled by {engine}; size factors are DESeq2's. Genes were "
        "ranked by s-values.",
        [LOVE, ZHU, STEPHENS, paper],
    )
