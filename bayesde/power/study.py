r"""Power by simulation: experiments are drawn from the hierarchy, and analysed by engine psis.

For every number of replicates n, an experiment of two groups is simulated, with effects from their law, and
its posterior computed: hyperparameters and s-values are what that experiment would give. Few of its genes
have an effect of the size that is asked for. Therefore further genes (probes) are simulated with exactly that
effect, up in one half of them and down in the other, and sampled under the hyperparameters that were learnt.
A gene with the local false sign rate l would have, among those of the experiment, the s-value

    s(l) = (l + sum_{i: l_i <= l} l_i) / (1 + #{i: l_i <= l}),

the mean of the rates down to it (Stephens 2017, doi:10.1093/biostatistics/kxw041); a probe is found if that
is below the level and its estimate has the right sign. The power is the share of probes that are found.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from bayesde.counts import Counts
from bayesde.eb.fit import fit_eb
from bayesde.errors import BayesdeWarning
from bayesde.model.hyperparameters import Hyperparameters
from bayesde.posterior.fit import fit_posterior
from bayesde.posterior.options import SamplingOptions
from bayesde.posterior.posterior import Posterior
from bayesde.power.assumptions import Assumptions, assumptions_of
from bayesde.power.options import PowerOptions
from bayesde.simulation import SimulationOptions, simulate
from bayesde.simulation.laws import draw_counts, draw_dispersions
from bayesde.workers.progress import Progress, silent

__all__ = ["PowerStudy", "power_study"]

LN2 = float(np.log(2.0))


@dataclass(frozen=True, eq=False, repr=False)
class PowerStudy:
    """What experiments of several sizes would find.

    Attributes
    ----------
    table : pandas.DataFrame
        One row for each number of ``replicates`` and each ``effect`` (absolute log2 fold change): ``power``,
        the share of such genes that are found, and its standard error ``power_se``; and of a whole experiment
        of that size ``found``, the share of all genes with an s-value below the level, and ``wrong_signs``,
        the share of these whose estimate does not have the sign of the true effect.
    options : PowerOptions
    laws : SimulationOptions
        From which genes were simulated.
    source : str
        Where the laws come from.
    """

    table: pd.DataFrame
    options: PowerOptions
    laws: SimulationOptions
    source: str

    def __repr__(self) -> str:
        return f"<PowerStudy: {'; '.join(self.sentences())}>"

    def needed(self) -> pd.Series:
        """Return the smallest numbers of replicates whose power reaches the target.

        Returns
        -------
        pandas.Series of Int64 (effect,)
            Missing where none of those that were tried does.
        """
        enough = self.table[self.table["power"] >= self.options.target]
        least = enough.groupby("effect")["replicates"].min()
        index = pd.Index(self.options.effects, name="effect")
        return least.reindex(index).astype("Int64").rename("replicates")

    def sentences(self) -> list[str]:
        """Say what is needed for each effect.

        Returns
        -------
        list of str
        """
        most, told = max(self.options.replicates), []
        for effect, number in self.needed().items():
            share = f"{100 * self.options.target:g} % of the genes with a log2 fold change of {effect:g}"
            enough = f"more than {most}" if pd.isna(number) else f"{number}"
            told.append(f"{enough} replicates per group find {share} (s-value < {self.options.s_value:g})")
        return told


def power_study(
    pilot: Posterior | str | Path | None = None,
    *,
    coefficient: str | None = None,
    laws: SimulationOptions | None = None,
    options: PowerOptions | None = None,
    progress: Progress | None = None,
) -> PowerStudy:
    """Find how many replicates are needed for which effect.

    Parameters
    ----------
    pilot : Posterior, path or None
        A pilot experiment: its posterior, or the folder of its run. By default typical values are taken.
    coefficient : str, optional
        The coefficient of the pilot whose effects are like those of the experiment that is planned; by
        default its last one that is shrunken.
    laws : SimulationOptions, optional
        The laws of genes, without a pilot.
    options : PowerOptions, optional
    progress : callable, optional
        Called with (units done, units, text).

    Returns
    -------
    PowerStudy

    Raises
    ------
    InputError
        If pilot and laws are given, the pilot cannot be read, or its laws cannot be simulated from.
    """
    options, report = options or PowerOptions(), progress or silent
    assumed = assumptions_of(pilot, coefficient, laws)
    work = [(n, repeat) for n in options.replicates for repeat in range(options.repeats)]
    rows = []
    for done, (n, repeat) in enumerate(work):
        report(done, len(work), f"simulating experiments of {n} + {n} samples")
        with warnings.catch_warnings():  # of what is only simulated
            warnings.simplefilter("ignore", BayesdeWarning)
            rows += _experiment(assumed, options, n, np.random.default_rng((options.seed, n, repeat)))
    report(len(work), len(work), "simulating experiments")
    return PowerStudy(_summary(pd.DataFrame(rows), options), options, assumed.laws, assumed.source)


def _experiment(
    assumed: Assumptions, options: PowerOptions, n: int, rng: np.random.Generator
) -> list[dict[str, float]]:
    """Simulate and analyse one experiment; return a row for each effect."""
    means, sampling = _means(assumed, options, options.genes, rng), _sampling(assumed.laws)
    drawn = simulate(None, (n, n), base_mean=means, seed=rng, options=assumed.laws)
    posterior = fit_posterior(drawn.counts, drawn.design, options=sampling)
    table = posterior.results()
    called = (table["s_value"] < options.s_value).to_numpy()
    right = (np.sign(table["log2_fold_change"]) == np.sign(drawn.log2_fold_change())).to_numpy()
    of_all = {
        "found": float(called.mean()),
        "called": int(called.sum()),
        "wrong": int((called & ~right).sum()),
    }
    rates = table["lfsr"].dropna().to_numpy()
    found = _probes_found(assumed, options, n, rng, posterior.hyperparameters, rates)
    return [
        {"replicates": n, "effect": effect, "power": float(share), **of_all}
        for effect, share in zip(options.effects, found, strict=True)
    ]


def _sampling(laws: SimulationOptions) -> SamplingOptions:
    """Return the model that an experiment would be analysed with: that of the pilot."""
    effects = "cauchy" if laws.effects == "cauchy" else "spike_t" if laws.zero_share else "student_t"
    return SamplingOptions(effects=effects, residuals=laws.residuals, hand_over=False)


def _means(
    assumed: Assumptions, options: PowerOptions, number: int, rng: np.random.Generator, least: float = 0.0
) -> np.ndarray:
    """Draw base means of at least a given size."""
    known, laws = assumed.base_mean, assumed.laws
    if known is None:
        known = laws.median_mean * np.exp(laws.mean_log_sd * rng.standard_normal(max(10 * number, 10_000)))
    known = options.depth * known
    enough = known[known >= least]
    return rng.choice(enough if enough.size else np.full(1, least), number)


def _probes_found(
    assumed: Assumptions,
    options: PowerOptions,
    n: int,
    rng: np.random.Generator,
    hyper: Hyperparameters,
    rates: np.ndarray,
) -> np.ndarray:
    """Return the shares (effect,) of the probes that are found."""
    size = options.probes
    effect = np.repeat(options.effects, size) * np.where(
        np.arange(size * len(options.effects)) % 2, -1.0, 1.0
    )
    counts = _probe_counts(assumed, options, n, effect, rng)
    fit = fit_eb(counts, "~ condition", size_factors=np.ones(2 * n))
    sampling = SamplingOptions(hand_over=False)  # the hyperparameters say what the laws are
    sampled = fit_posterior(counts, fit.design, eb=fit, hyperparameters=hyper, options=sampling)
    table = sampled.results()
    below = _s_values(table["lfsr"].to_numpy(), rates) < options.s_value
    found = below & (np.sign(table["log2_fold_change"].to_numpy()) == np.sign(effect))
    return np.asarray(found.reshape(-1, size).mean(axis=1))


def _probe_counts(
    assumed: Assumptions, options: PowerOptions, n: int, effect: np.ndarray, rng: np.random.Generator
) -> Counts:
    """Draw counts of genes with given effects (log2), at size factors of 1."""
    means = _means(assumed, options, effect.size, rng, options.smallest_mean)
    dispersion = draw_dispersions(means, assumed.laws, rng)[1]
    fold = np.exp(LN2 * effect)
    level = 2.0 * means / (1.0 + fold)
    mu = np.repeat(np.column_stack([level, level * fold]), n, axis=1)
    samples = [f"s{j}" for j in range(2 * n)]
    table = pd.DataFrame({"condition": ["control"] * n + ["treated"] * n}, index=samples)
    genes = [f"probe{i}" for i in range(effect.size)]
    return Counts(draw_counts(mu, dispersion, rng), genes=genes, samples=samples, sample_table=table)


def _s_values(own: np.ndarray, rates: np.ndarray) -> np.ndarray:
    """Return the s-values that genes would have among others; 1 for a gene without a rate."""
    ordered = np.sort(rates)
    total = np.concatenate([[0.0], np.cumsum(ordered)])
    before = np.searchsorted(ordered, own, side="right")
    with np.errstate(invalid="ignore"):
        return np.nan_to_num((own + total[before]) / (1.0 + before), nan=1.0)


def _summary(rows: pd.DataFrame, options: PowerOptions) -> pd.DataFrame:
    """Average over the repeats."""
    grouped = rows.groupby(["replicates", "effect"], sort=True)
    table = grouped[["power", "found"]].mean()
    binomial = table["power"] * (1.0 - table["power"]) / (options.probes * options.repeats)
    totals = grouped[["called", "wrong"]].sum()
    table.insert(1, "power_se", np.sqrt(binomial))
    table["wrong_signs"] = totals["wrong"] / totals["called"].where(totals["called"] > 0)
    return table.reset_index()
