"""Our fit against R's DESeq2 1.38.3 and apeglm 1.27.0, gene by gene.

Every gene agrees to 1e-6 in every quantity, but for those that benchmarks/parity/exceptions.tsv lists with
their cause. After a change that moves them, look at what moved, and write the list anew with

    python benchmarks/parity.py
"""

import numpy as np
import pandas as pd
import pytest
from parity import FOLDER, quantities

from bayesde.eb.trend import fit_trend


def few(genes: list[str], of: int) -> None:
    """At most one gene in a hundred, and those are printed."""
    assert len(genes) <= 0.01 * of, f"{len(genes)} of {of} genes differ from R: {genes[:20]}"


def test_all_genes_but_the_listed_ones_equal_those_of_r(reference):
    listed = pd.read_csv(FOLDER / "exceptions.tsv", sep="\t", dtype={"gene": str})
    listed = listed[listed["set"] == reference.name]
    expected = set(zip(listed["quantity"], listed["gene"], strict=True))
    found, missing = set(), []
    for quantity in quantities(reference):
        found |= {(quantity.name, gene) for gene in quantity.exceptions}
        missing += [] if quantity.same_missing else [quantity.name]
    assert missing == []
    assert sorted(found - expected) == []
    assert sorted(expected - found) == [], "these agree now: take them off the list"


def test_no_exception_is_without_its_cause():
    listed = pd.read_csv(FOLDER / "exceptions.tsv", sep="\t", dtype={"gene": str})
    assert listed["cause"].notna().all()
    assert not listed["cause"].str.contains("UNEXPLAINED").any()
    roots = listed[listed["quantity"].str.contains("dispersion_gene_wise|dispersion_map")]
    gain = (roots["objective_ours"] - roots["objective_R"]).to_numpy()
    assert np.all(gain >= -1e-6), "an estimate of ours is worse than R's by more than the search's tolerance"


def test_size_factors(reference):
    size_factors = next(q for q in quantities(reference) if q.name == "size_factors")
    assert size_factors.difference.max() < 1e-10


def test_trend_and_prior(reference):
    fit = reference.fit
    assert fit.trend.asymptotic_dispersion == pytest.approx(
        reference.scalar("dispFit.coefficients.asymptDisp"), rel=1e-8
    )
    assert fit.trend.extra_poisson == pytest.approx(
        reference.scalar("dispFit.coefficients.extraPois"), rel=1e-8
    )
    assert fit.dispersion_prior.residual_var == pytest.approx(
        reference.scalar("dispFit.varLogDispEsts"), rel=1e-7
    )
    assert fit.dispersion_prior_var == pytest.approx(reference.scalar("dispFit.dispPriorVar"), rel=1e-7)


def test_local_trend(shrunken_reference):
    reference = shrunken_reference
    theirs = reference.table("fitType_local")
    own = theirs["dispGeneEst"] > 1e-6
    curve = fit_trend("local", theirs["dispGeneEst"][own].to_numpy(), theirs["baseMean"][own].to_numpy())
    assert np.allclose(curve(theirs["baseMean"]), theirs["dispFit"], rtol=1e-6, atol=0.0)
