"""Our fit against R's DESeq2 1.38.3 and apeglm 1.27.0, gene by gene.

A gene agrees to 1e-6 in every quantity unless there is a cause, which the test establishes for each gene
that it finds: its estimate has no worse an objective than R's, in forty digits, than the search's tolerance
allows; or the quantity follows from such an estimate; or a p-value amplifies a difference below 1e-6 of its
statistic. Which genes these are depends on the last digits that a machine rounds;
benchmarks/parity/exceptions.tsv records them for one.
"""

import numpy as np
import pandas as pd
import pytest

from bayesde.eb.dispersion.trend import fit_trend
from benchmarks.parity.compare import FOLDER, MOST, UNEXPLAINED, exception_rows, quantities


def test_every_gene_equals_that_of_r_or_has_a_cause(reference):
    found = list(quantities(reference))
    assert [quantity.name for quantity in found if not quantity.same_missing] == []
    rows = exception_rows(reference, found)
    unexplained = [row for row in rows if row["cause"] == UNEXPLAINED]
    assert unexplained == []
    # where there are fewer than a thousand genes, one
    too_many = {
        quantity.name: quantity.n_causes
        for quantity in found
        if quantity.n_causes > max(MOST * len(quantity.genes.unique()), 1.0)
    }
    assert too_many == {}


def test_the_record_has_a_cause_for_every_exception():
    listed = pd.read_csv(FOLDER / "exceptions.tsv", sep="\t", dtype={"gene": str})
    assert listed["cause"].notna().all()
    assert not listed["cause"].eq(UNEXPLAINED).any()


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
