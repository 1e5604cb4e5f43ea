"""Our empirical-Bayes fit against R's DESeq2 1.38.3: every gene of every reference set, every quantity.

    python -m benchmarks.parity.compare

writes, into benchmarks/parity/, ``summary.tsv`` (how far each quantity of each set is from R's at most) and
``exceptions.tsv`` (every gene beyond 1e-6 in any quantity, with the objectives of both estimates and the
cause), a record of one machine. ``tests/eb/test_parity.py`` finds the exceptions anew and fails where one has
no cause, or a quantity has more than one in a thousand genes. R's answers are read from ../shared/ref. Counts
of iterations are not compared.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
from mpmath import nstr
from numba import njit

from bayesde.eb.block import GeneBlock
from bayesde.eb.genes import estimate_gene_wise, mean_reciprocal_factor
from bayesde.eb.regression.design_layout import DesignLayout
from bayesde.eb.regression.glm import MIN_MU, RIDGE, fit_glm, fitted_means
from bayesde.eb.regression.irls import set_means
from bayesde.eb.testing.wald import wald_test
from bayesde.normalize import base_var
from bayesde.numerics.negative_binomial import nb_log_pmf
from bayesde.results import ResultsTable
from benchmarks.parity.objectives import log_posterior_of_beta, log_posterior_of_dispersion
from benchmarks.parity.reference import SETS, SHARED, Reference, load

LIMIT = 1e-6
"""Relative difference beyond which a gene is an exception."""
FAILED = 100
"""R's number of iterations for a gene that it gave to its bounded optimizer."""
SMALL = 1e-8
"""A dispersion this near to R's is the same."""
NEXT_TO_NOTHING = 1e-8
UNEXPLAINED = "UNEXPLAINED"
MOST = 1e-3
"""Share of a quantity's genes that may be exceptions."""
DISPERSION_GAIN, BOUNDED_GAIN = 1e-6, 1e7 * np.finfo(float).eps
"""Gains at which the searches stop: of a log posterior, and relative to max(|objective|, 1)."""
AMPLIFIED = 1.1
"""By how much the first-order amplification of a p-value may be exceeded."""
SMALLEST_P = 1e-300
"""p-values are compared relative to this at least: R's normal distribution ends at 1e-308, ours at 1e-323."""
POISSON_NOISE = 1.1e-7
"""Gene-wise dispersions below mean "only Poisson noise"; R returns rounding noise, used by nothing."""
FOLDER = Path(__file__).resolve().parent
RESULTS = {
    "base_mean": "baseMean",
    "log2_fold_change": "log2FoldChange",
    "lfc_se": "lfcSE",
    "stat": "stat",
    "p_value": "pvalue",
    "padj": "padj",
}
DISPERSIONS = {
    "dispersion_gene_wise": "dispGeneEst",
    "dispersion_trend": "dispFit",
    "dispersion_map": "dispMAP",
    "dispersion": "dispersion",
}


@dataclass(frozen=True, eq=False)
class Quantity:
    """One quantity of both sides, a value a gene, or several with the gene repeated."""

    name: str
    genes: pd.Index
    ours: np.ndarray
    theirs: np.ndarray
    smallest: float = 0.0

    @cached_property
    def difference(self) -> np.ndarray:
        """|ours - R's| / |R's|; 0 where equal or both missing, infinite where only one is missing."""
        missing = np.isnan(self.ours), np.isnan(self.theirs)
        with np.errstate(divide="ignore", invalid="ignore"):
            far = np.abs(self.ours - self.theirs) / np.maximum(np.abs(self.theirs), self.smallest)
        far[(self.ours == self.theirs) | (missing[0] & missing[1])] = 0.0
        far[missing[0] != missing[1]] = np.inf
        return far

    @property
    def same_missing(self) -> bool:
        """Whether the same values are missing on both sides."""
        return np.array_equal(np.isnan(self.ours), np.isnan(self.theirs))

    @property
    def exceptions(self) -> dict[str, int]:
        """Genes beyond the limit, each with the position of its largest difference."""
        beyond = np.flatnonzero(self.difference > LIMIT)
        ordered = beyond[np.argsort(self.difference[beyond], kind="stable")]
        return dict(sorted((str(self.genes[i]), int(i)) for i in ordered))

    @property
    def n_causes(self) -> int:
        """Number of exceptions; genes that share an adjusted p-value, a running minimum, are one."""
        if not self.name.endswith("padj"):
            return len(self.exceptions)
        return len({f"{self.theirs[i]:.5g}" for i in self.exceptions.values()})

    def summary(self) -> dict[str, object]:
        """One row of the summary."""
        return {
            "quantity": self.name,
            "genes": len(self.genes.unique()),
            "max_relative_difference": self.difference.max(),
            "quantile_99.9": np.quantile(self.difference, 0.999),
            "beyond_1e-6": len(self.exceptions),
            "beyond_1e-8": len(self.genes[self.difference > 1e-8].unique()),
            "same_missing": self.same_missing,
        }


def _quantity(name: str, ours: np.ndarray, theirs: pd.Series, smallest: float = 0.0) -> Quantity:
    return Quantity(name, theirs.index, ours.astype(float), theirs.to_numpy(dtype=float), smallest)


def quantities(reference: Reference) -> Iterator[Quantity]:
    """Compare everything that R was asked for."""
    yield _size_factors(reference)
    yield from _genes(reference)
    yield from _coefficients(reference)
    fit, coef = reference.fit, reference.coef
    yield from _table(reference, "results", fit.results(coef=coef))
    unfiltered = replace(fit.inputs, options=replace(fit.options, independent_filtering=False))
    plain = replace(fit, inputs=unfiltered, count_outlier=np.zeros_like(fit.count_outlier))
    yield from _table(reference, "results_nofilter", plain.results(coef=coef))
    threshold = fit.results(coef=coef, lfc_threshold=1.0, alternative="greaterAbs2014")
    yield from _table(reference, "results_lfcThreshold1", threshold)
    if reference.has("lrt"):
        yield from _table(reference, "lrt", fit.test_lrt(reference.reduced))
    for kind, other in reference.with_other_trends.items():
        yield from _dispersions(other, f"fitType_{kind}")
        yield from _table(other, f"fitType_{kind}", other.fit.results(coef=coef))
    yield from _every_count(reference)


def _size_factors(reference: Reference) -> Quantity:
    theirs = pd.read_csv(
        reference.folder / "size_factors.tsv", sep="\t", index_col=0, float_precision="round_trip"
    )["sizeFactor"]
    return _quantity("size_factors", reference.fit.size_factors.loc[theirs.index].to_numpy(), theirs)


def _dispersions(reference: Reference, table: str) -> Iterator[Quantity]:
    theirs = reference.table(table)
    prefix = "" if table == "deseq2_mcols" else f"{table}."
    for ours, column in DISPERSIONS.items():
        kept = theirs[column]
        if column == "dispGeneEst":
            kept = kept[~(kept <= POISSON_NOISE)]
        yield _quantity(prefix + ours, reference.ours(getattr(reference.fit, ours), kept), kept)


@njit(cache=True)
def _deviances(y, mu, dispersion):  # type: ignore[no-untyped-def]
    out = np.zeros(len(y))
    for g in range(len(y)):
        for j in range(y.shape[1]):
            out[g] -= 2.0 * nb_log_pmf(y[g, j], mu[g, j], dispersion[g])
    return out


def _genes(reference: Reference) -> Iterator[Quantity]:
    """Everything of a gene that does not belong to a coefficient."""
    fit, theirs = reference.fit, reference.table("deseq2_mcols")
    yield _quantity("base_mean", reference.ours(fit.base_mean, theirs), theirs["baseMean"])
    y, factors = fit.fitted_counts(), fit.normalization_factors
    yield _quantity("base_var", reference.ours(base_var(y, factors), theirs), theirs["baseVar"])
    yield from _dispersions(reference, "deseq2_mcols")
    outlier = theirs["dispOutlier"].astype(float)
    ours = np.where(fit.estimated, fit.dispersion_outlier, np.nan)
    yield _quantity("dispersion_outlier", reference.ours(ours, theirs), outlier)
    converged = theirs["betaConv"].astype(float)
    ours = np.where(fit.estimated, fit.converged, np.nan)
    yield _quantity("converged", reference.ours(ours, theirs), converged)
    if "replace" in theirs:
        replaced = theirs["replace"].astype(float)
        yield _quantity("replaced", reference.ours(fit.replaced, theirs), replaced)
    yield _quantity("max_cooks", reference.ours(fit.max_cooks, theirs), theirs["maxCooks"].astype(float))
    mu = factors * np.exp(fit.beta @ fit.design.matrix.T)
    bounded = reference.ours(mu, theirs)
    bounded = np.where(theirs["betaIter"].to_numpy()[:, None] >= FAILED, np.maximum(bounded, MIN_MU), bounded)
    deviance = _deviances(reference.ours(y, theirs), bounded, reference.ours(fit.dispersion, theirs))
    yield _quantity("deviance", deviance, theirs["deviance"])


def _coefficients(reference: Reference) -> Iterator[Quantity]:
    """All coefficients with their Wald tests."""
    fit, theirs = reference.fit, reference.table("deseq2_mcols")
    p, names = fit.design.n_coefficients, fit.design.coefficients
    first = list(theirs.columns).index("Intercept")
    for k, name in enumerate(names):
        stat, p_value = wald_test(fit.beta[:, k], fit.beta_se[:, k])
        log2 = fit.beta[:, k] / math.log(2), fit.beta_se[:, k] / math.log(2)
        for i, (what, ours) in enumerate(
            (("beta", log2[0]), ("beta_se", log2[1]), ("wald_stat", stat), ("wald_p", p_value))
        ):
            column = theirs.iloc[:, first + k + i * p]
            smallest = SMALLEST_P if what == "wald_p" else 0.0
            yield _quantity(f"{what}[{name}]", reference.ours(ours, theirs), column, smallest)


def _table(reference: Reference, name: str, ours: ResultsTable) -> Iterator[Quantity]:
    theirs = reference.table(name)
    for own, column in RESULTS.items():
        smallest = SMALLEST_P if own in ("p_value", "padj") else 0.0
        values = reference.ours(ours[own], theirs)
        yield _quantity(f"{name}.{own}", values, theirs[column].astype(float), smallest)


def _every_count(reference: Reference) -> Iterator[Quantity]:
    """Quantities that every count has: means, leverages, Cook's distances, replacements."""
    fit = reference.fit
    if reference.has("mu"):
        x, rows = fit.design.matrix, fit.counts.genes.get_indexer(reference.table("mu").index)
        factors, dispersion = fit.normalization_factors[rows], fit.dispersion[rows]
        glm = fit_glm(fit.counts.rows(rows), factors, x, dispersion)
        mu = fitted_means(glm.beta, factors, x)
        hat = _leverages(fitted_means(glm.working_beta, factors, x), x, dispersion)
        for name, ours in (("mu", mu), ("hat", hat), ("cooks", fit.cooks_distances(rows))):
            yield _of_counts(name, ours, reference.table(name))
    if reference.has("replaceCounts"):
        theirs = reference.table("replaceCounts")
        yield _of_counts("replaced_counts", reference.ours(fit.fitted_counts(), theirs), theirs)


def _leverages(mu: np.ndarray, x: np.ndarray, dispersion: np.ndarray) -> np.ndarray:
    """Diagonals (gene, sample) of W^1/2 X (X'WX + R)^-1 X' W^1/2."""
    held = np.maximum(mu, MIN_MU)
    weights = held / (1.0 + dispersion[:, None] * held)
    information = np.einsum("gj,ja,jb->gab", weights, x, x) + RIDGE * np.eye(x.shape[1])
    return weights * np.einsum("ja,gab,jb->gj", x, np.linalg.inv(information), x)


def _of_counts(name: str, ours: np.ndarray, theirs: pd.DataFrame) -> Quantity:
    values = theirs.to_numpy(dtype=float)
    genes = pd.Index(np.repeat(theirs.index.to_numpy(), values.shape[1]))
    # A distance of a count at its mean is the square of a rounding error: relative to the gene's largest.
    smallest = np.repeat(1e-3 * values.max(axis=1), values.shape[1]) if name == "cooks" else 0.0
    return Quantity(name, genes, ours.astype(float).ravel(), values.ravel(), smallest)  # type: ignore[arg-type]


def exception_rows(reference: Reference, found: list[Quantity]) -> list[dict[str, object]]:
    """Describe every gene and quantity beyond the limit.

    Parameters
    ----------
    reference : Reference
    found : list of Quantity
        All of the set, so that what follows from what can be told.

    Returns
    -------
    list of dict
        Set, gene, quantity, both values, the objectives of both, which is better, and the cause.
    """
    rows, by_name = [], {quantity.name: quantity for quantity in found}
    for quantity in found:
        for gene, i in quantity.exceptions.items():
            row = {"set": reference.name, "gene": gene, "quantity": quantity.name}
            row |= {"ours": quantity.ours[i], "R": quantity.theirs[i], "difference": quantity.difference[i]}
            rows.append(row | _judged(reference, quantity, gene, i, by_name))
    return rows


def _judged(
    reference: Reference, quantity: Quantity, gene: str, i: int, by_name: dict[str, Quantity]
) -> dict[str, object]:
    """Objectives of both estimates and which is better; or what the difference follows from."""
    prefix, name = _table_and_column(quantity.name)
    if name in ("dispersion_gene_wise", "dispersion_map"):
        other = reference.with_other_trends.get(prefix.removeprefix("fitType_"), reference)
        objectives = _dispersion_objectives(other, name, gene, quantity.ours[i], quantity.theirs[i])
        return _compared(*objectives, tolerance=DISPERSION_GAIN)
    here = f"{prefix}." if prefix.startswith("fitType_") else ""
    if name == "dispersion":
        maximum = gene in by_name[f"{here}dispersion_map"].exceptions
        return {"cause": f"follows from its dispersion_{'map' if maximum else 'gene_wise'}"}
    bounded = bool(reference.table("deseq2_mcols").loc[gene, "betaIter"] >= FAILED)
    if name.startswith("beta[") and bounded:
        ours, theirs = _beta_objectives(reference, gene)
        return _compared(ours, theirs, tolerance=BOUNDED_GAIN * max(abs(float(theirs)), 1.0), bounded=True)
    return {"cause": _downstream(quantity, gene, i, by_name, here, bounded=bounded)}


def _table_and_column(name: str) -> tuple[str, str]:
    """Take the name of a quantity apart; those of coefficients have dots of their own."""
    table, _, column = name.partition(".")
    return (table, column) if column and "[" not in table else ("", name)


def _of_gene(quantity: Quantity, gene: str) -> float:
    """Difference of one gene in another quantity."""
    return float(quantity.difference[quantity.genes.get_loc(gene)])


def _downstream(
    quantity: Quantity, gene: str, i: int, by_name: dict[str, Quantity], here: str, *, bounded: bool
) -> str:
    """Say from what a difference follows."""
    dispersion = _of_gene(by_name[f"{here}dispersion"], gene)
    if dispersion > (LIMIT if bounded else SMALL):
        return f"follows from its dispersion, {dispersion:.1e} from R's"
    if bounded:
        return "follows from its coefficients, which are from the bounded search"
    trend = _of_gene(by_name[f"{here}dispersion_trend"], gene)
    if trend > 1e-10:
        origin = f"the trend, {trend:.1e} from R's through the gene-wise dispersions above"
    else:
        origin = "rounding"
    if quantity.name.endswith("padj") and _has_a_neighbor_s(quantity, i, by_name):
        return f"p-value far in the tail, its own or the next larger one's: amplifies {origin}"
    if ("wald_p" in quantity.name or quantity.name.endswith("p_value")) and _is_amplified(
        quantity, i, by_name
    ):
        return f"p-value far in the tail: amplifies {origin}"
    if abs(quantity.ours[i] - quantity.theirs[i]) < NEXT_TO_NOTHING and "p_value" not in quantity.name:
        return f"a value of next to nothing: differs by less than {NEXT_TO_NOTHING:g} from {origin}"
    return UNEXPLAINED


def _is_amplified(quantity: Quantity, i: int, by_name: dict[str, Quantity]) -> bool:
    """Tell whether a p-value differs by no more than its statistic's difference, below 1e-6, explains.

    To first order d ln p = -(z^2 + 1) dz / z for a normal statistic z far in the tail, and half of it in z^2
    for a likelihood ratio.
    """
    name = quantity.name.replace("wald_p[", "wald_stat[").replace(".p_value", ".stat")
    stat = by_name[name]
    size = float(np.abs(stat.theirs[i])) if quantity.name.startswith("lrt") else float(stat.theirs[i]) ** 2
    bound = AMPLIFIED * (size + 2.0) * float(stat.difference[i])
    return bool(stat.difference[i] < LIMIT and quantity.difference[i] < bound + SMALL)


def _has_a_neighbor_s(quantity: Quantity, i: int, by_name: dict[str, Quantity]) -> bool:
    """Tell whether an adjusted p-value differs no more than the p-value of a gene that shares it, or its own.

    Adjusted ones are running minima, so that neighbors in rank share one; their p-values are judged as such.
    """
    p_value = by_name[quantity.name.replace(".padj", ".p_value")]
    alike = np.abs(quantity.theirs / quantity.theirs[i] - 1.0) < 1e-4
    return bool(quantity.difference[i] <= p_value.difference[alike].max() * AMPLIFIED + SMALL)


def _compared(ours: object, theirs: object, *, tolerance: float, bounded: bool = False) -> dict[str, object]:
    """Give both objectives, and the cause: none if ours is worse by more than the search's tolerance."""
    gain = float(ours - theirs)  # type: ignore[operator]
    if gain < -tolerance:
        cause = UNEXPLAINED
    elif bounded:
        cause = "bounded search: both within its stopping rule (a relative gain of 2e-9)"
    elif abs(gain) > 1e-8:
        cause = "line search: a gain of 1e-6 to within rounding, where it stops; one side made another step"
    else:
        cause = "line search: the last steps gain less than the rounding error of R's objective"
    better = "ours" if gain > 0.0 else "R's"
    texts = {"objective_ours": nstr(ours, 20), "objective_R": nstr(theirs, 20)}
    return texts | {"gain_of_ours": f"{gain:.2g}", "better": better, "cause": cause}


def _dispersion_objectives(
    reference: Reference, name: str, gene: str, ours: float, theirs: float
) -> tuple[object, object]:
    fit = reference.fit
    row = [fit.counts.genes.get_loc(gene)]
    layout, x = DesignLayout.of(fit.design.matrix), fit.design.matrix
    factors = fit.normalization_factors[row]
    block = GeneBlock.of(fit.fitted_counts(np.array(row)), factors)
    own = estimate_gene_wise(block, layout, mean_reciprocal_factor(fit.normalization_factors), MIN_MU)
    y, mu, coefficients = block.counts, np.empty_like(factors), own.coefficients
    set_means(y[0], factors[0], layout.cells, coefficients[0], MIN_MU, mu[0])
    prior = ()
    if name == "dispersion_map":
        prior = (float(np.log(fit.dispersion_trend[row[0]])), fit.dispersion_prior_var)
    return tuple(log_posterior_of_dispersion(at, y[0], mu[0], x, *prior) for at in (ours, theirs))  # type: ignore[return-value]


def _beta_objectives(reference: Reference, gene: str) -> tuple[object, object]:
    fit, theirs = reference.fit, reference.table("deseq2_mcols")
    i, first = fit.counts.genes.get_loc(gene), list(theirs.columns).index("Intercept")
    betas = (
        fit.beta[i] / math.log(2),
        theirs.loc[gene].iloc[first : first + fit.beta.shape[1]].to_numpy(float),
    )
    y, factors = fit.fitted_counts(np.array([i]))[0], fit.normalization_factors[i]
    return tuple(
        log_posterior_of_beta(beta, y, factors, fit.design.matrix, fit.dispersion[i]) for beta in betas
    )  # type: ignore[return-value]


def main() -> None:
    """Compare all sets and write both tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--shared", type=Path, default=SHARED)
    parser.add_argument("--set", dest="sets", nargs="+", default=list(SETS), choices=SETS)
    parser.add_argument("--into", type=Path, default=FOLDER)
    arguments = parser.parse_args()
    summary, exceptions = [], []
    for name in arguments.sets:
        reference = load(arguments.shared, name)
        found = list(quantities(reference))
        summary += [{"set": name} | quantity.summary() for quantity in found]
        exceptions += exception_rows(reference, found)
        genes = {row["gene"] for row in exceptions if row["set"] == name}
        print(f"{name}: {len(found)} quantities, {len(genes)} genes beyond {LIMIT:g} in any of them")
    arguments.into.mkdir(exist_ok=True)
    for frame, file in ((pd.DataFrame(summary), "summary.tsv"), (pd.DataFrame(exceptions), "exceptions.tsv")):
        frame.to_csv(arguments.into / file, sep="\t", index=False)


if __name__ == "__main__":
    main()
