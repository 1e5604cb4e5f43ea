"""Draw simulated counts for given sizes, a design and options."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import logsumexp

from bayesde.counts import Counts
from bayesde.design import Design
from bayesde.design.random_effects import refuse_groupings
from bayesde.errors import InputError, OptionError, first_few
from bayesde.options import nearest
from bayesde.simulation.experiment import LN2, Simulation
from bayesde.simulation.laws import draw_counts, draw_dispersions, draw_effects
from bayesde.simulation.options import SimulationOptions

__all__ = ["simulate"]

LARGEST_EXPONENT = 700.0
"""Means are limited to e^700, below the overflow of the exponential; counts are limited far below."""


def simulate(
    n_genes: int | None = None,
    groups: Sequence[int] = (4, 4),
    *,
    design: str | None = None,
    sample_table: pd.DataFrame | None = None,
    base_mean: Any = None,
    size_factors: Any = None,
    seed: int | np.random.Generator = 1,
    options: SimulationOptions | None = None,
) -> Simulation:
    """Draw counts from the model, together with the true parameters.

    Every part (base means, size factors, effects, which of them are 0, dispersions, counts) has its own
    stream of random numbers: another distribution of the effects, for example, does not change base means and
    dispersions.

    Parameters
    ----------
    n_genes : int, optional
        By default 2,000, or the number of base means given.
    groups : sequence of int
        Samples in each group, at least one group; the sample table then has a column ``condition`` with the
        levels ``control`` and ``treated``, or ``group1``, ``group2``, ... for other numbers of groups.
    design : str, optional
        Formula; by default ``"~ condition"``, or ``"~ 1"`` for one group. Some linear combination of its
        columns must be constant, as in all but unusual designs.
    sample_table : pandas.DataFrame, optional
        One row per sample, indexed by name, instead of `groups`; requires a `design`.
    base_mean : array-like (gene,), optional
        Base means, 0 or more, instead of log-normal ones: for example those of a real experiment
        (``fit.base_mean``, with ``fit.trend`` as the options' trend). If there are not `n_genes` of them,
        they are drawn with replacement. A gene of base mean 0 has no counts.
    size_factors : array-like (sample,), optional
        Instead of log-normal ones.
    seed : int or numpy.random.Generator
        The same integer gives the same counts. A generator spawns new streams, so that it gives other counts
        the next time.
    options : SimulationOptions, optional

    Returns
    -------
    Simulation

    Raises
    ------
    InputError
        If samples, design, base means or size factors do not fit together.
    OptionError
        If an option is not allowed.
    """
    options = options or SimulationOptions()
    generator, number = _generator(seed)
    means_from, factors_from, effects_from, zeros_from, dispersions_from, counts_from = generator.spawn(6)
    table, formula = _samples(groups, design, sample_table)
    model = Design.from_formula(formula, table)
    refuse_groupings(model.groupings, "simulate", "Leave them out of the formula.")
    means = _base_means(n_genes, base_mean, options, means_from)
    factors = _size_factors(size_factors, model.n_samples, options, factors_from)
    scales = _scales(options, model)
    beta = _coefficients(model, means, draw_effects(len(means), scales, options, effects_from, zeros_from))
    dispersions = draw_dispersions(means, options, dispersions_from)
    mu = factors * np.exp(np.minimum(beta @ model.matrix.T, LARGEST_EXPONENT))
    matrix = draw_counts(np.nan_to_num(mu, nan=0.0), dispersions[1], counts_from)
    genes = pd.Index([f"gene{g + 1}" for g in range(len(means))], dtype=object, name="gene")
    names = pd.Index(model.samples, dtype=object, name="sample")
    return Simulation(
        counts=Counts(matrix, genes=genes, samples=names, sample_table=table),
        design=model,
        beta=beta,
        truth=_truth(model, genes, means, dispersions, beta),
        size_factors=pd.Series(factors, index=names, name="size_factor"),
        hyperparameters=_hyperparameters(options, scales, model),
        options=options,
        seed=number,
    )


def _generator(seed: Any) -> tuple[np.random.Generator, int | None]:
    """Make the generator, and return the seed if there is one."""
    if isinstance(seed, np.random.Generator):
        return seed, None
    if not isinstance(seed, int | np.integer) or isinstance(seed, bool) or seed < 0:
        raise OptionError(f"seed must be a whole number of 0 or more, or a numpy Generator; got {seed!r}.")
    return np.random.default_rng(int(seed)), int(seed)


def _samples(groups: Any, design: str | None, sample_table: pd.DataFrame | None) -> tuple[pd.DataFrame, str]:
    """Return the sample table and the formula."""
    if sample_table is None:
        table = _group_table(groups)
        return table, design or ("~ condition" if table["condition"].nunique() > 1 else "~ 1")
    if not isinstance(sample_table, pd.DataFrame):
        raise InputError(f"the sample table is a {type(sample_table).__name__}; give a pandas DataFrame.")
    if design is None:
        columns = first_few(sample_table.columns, 20) or "none"
        raise InputError(f"a sample table needs a design, such as '~ condition'; its columns are {columns}.")
    return sample_table, design


def _group_table(groups: Any) -> pd.DataFrame:
    """Make the sample table of groups of given sizes."""
    sizes = list(groups) if isinstance(groups, Sequence | np.ndarray) and not isinstance(groups, str) else []
    whole = all(isinstance(size, int | np.integer) and not isinstance(size, bool) for size in sizes)
    if not sizes or not whole or min(sizes) < 1:
        raise InputError(
            f"groups must be whole numbers of samples, 1 or more, such as (4, 4); got {groups!r}."
        )
    names = [f"group{i + 1:0{len(str(len(sizes)))}d}" for i in range(len(sizes))]
    if len(sizes) == 2:
        names = ["control", "treated"]
    samples = [f"sample{j + 1}" for j in range(sum(sizes))]
    return pd.DataFrame({"condition": np.repeat(names, sizes)}, index=pd.Index(samples, name="sample"))


def _base_means(
    n_genes: int | None, given: Any, options: SimulationOptions, random: np.random.Generator
) -> np.ndarray:
    """Draw base means (gene,), or check those that are given."""
    if n_genes is not None:
        _check_whole("the number of genes", n_genes)
    if given is None:
        return options.median_mean * np.exp(options.mean_log_sd * random.standard_normal(n_genes or 2000))
    means = _numbers(given, "base means")
    if means.size == 0 or not (np.isfinite(means) & (means >= 0.0)).all():
        raise InputError("base means must be finite numbers of 0 or more, and there must be at least one.")
    return means if n_genes in (None, means.size) else random.choice(means, n_genes)


def _check_whole(name: str, value: Any) -> None:
    """Refuse what is not a whole number of at least 1."""
    if not isinstance(value, int | np.integer) or isinstance(value, bool) or value < 1:
        raise InputError(f"{name} must be a whole number of 1 or more; got {value!r}.")


def _numbers(given: Any, what: str) -> np.ndarray:
    try:
        values = np.array(given, dtype=np.float64)
    except (TypeError, ValueError) as problem:
        raise InputError(f"the {what} are not numbers: {problem}.") from problem
    if values.ndim != 1:
        raise InputError(f"the {what} have shape {values.shape}; a list of numbers is needed.")
    return values


def _size_factors(
    given: Any, n_samples: int, options: SimulationOptions, random: np.random.Generator
) -> np.ndarray:
    """Draw size factors (sample,), or check those that are given."""
    if given is None:
        logs = options.size_factor_sd * random.standard_normal(n_samples)
        return np.asarray(np.exp(logs - logs.mean()))
    factors = _numbers(given, "size factors")
    if factors.size != n_samples or not (np.isfinite(factors) & (factors > 0.0)).all():
        raise InputError(
            f"{n_samples} size factors are needed, finite and above 0, one for each sample; got "
            f"{factors.size}: {first_few(factors)}."
        )
    return factors


def _scales(options: SimulationOptions, design: Design) -> np.ndarray:
    """Scale of the effects of every coefficient (coefficient,); 0 for the intercept."""
    names = list(design.coefficients)
    effects = [name for k, name in enumerate(names) if k != design.intercept]
    if not isinstance(options.effect_scale, Mapping):
        return np.array([options.effect_scale if name in effects else 0.0 for name in names])
    unknown = [name for name in options.effect_scale if name not in effects]
    if unknown:
        raise OptionError(
            f"effect_scale names {first_few(unknown)};{nearest(str(unknown[0]), effects)} the design's "
            f"effects are {first_few(effects, 20) or 'none'}."
        )
    return np.array([options.effect_scale.get(name, 0.0) for name in names], dtype=np.float64)


def _coefficients(design: Design, means: np.ndarray, effects: np.ndarray) -> np.ndarray:
    """Add to effects (gene, coefficient) what makes the mean over samples of exp(X beta) the base mean."""
    ones = np.ones(design.n_samples)
    constant = np.linalg.lstsq(design.matrix, ones, rcond=None)[0]
    if not np.allclose(design.matrix @ constant, ones, atol=1e-8):
        raise InputError(
            f"no combination of the columns of '{design.formula}' is constant, so that the base mean of a "
            "gene cannot be set: keep the intercept, or the levels of one factor."
        )
    constant[np.abs(constant) < 1e-10] = 0.0  # rounding must not move an effect that is exactly 0
    average = logsumexp(effects @ design.matrix.T, axis=1) - math.log(design.n_samples)
    with np.errstate(divide="ignore"):
        level = np.log(means) - average
    return np.where(
        means[:, None] > 0.0, effects + np.where(means > 0.0, level, 0.0)[:, None] * constant, np.nan
    )


def _truth(
    design: Design,
    genes: pd.Index,
    means: np.ndarray,
    dispersions: tuple[np.ndarray, np.ndarray],
    beta: np.ndarray,
) -> pd.DataFrame:
    columns = {
        "base_mean": means,
        "dispersion": dispersions[1],
        "dispersion_trend": dispersions[0],
        "log2_fold_change": beta @ design.contrast().vector / LN2,
    }
    columns |= {f"log2[{name}]": beta[:, k] / LN2 for k, name in enumerate(design.coefficients)}
    return pd.DataFrame(columns, index=genes)


def _hyperparameters(options: SimulationOptions, scales: np.ndarray, design: Design) -> dict[str, Any]:
    asymptotic, extra = (None, None) if callable(options.trend) else map(float, options.trend)
    return {
        "shrinkage_scale": {
            name: float(scale) for name, scale in zip(design.coefficients, scales, strict=True) if scale > 0.0
        },
        "dispersion_sd": float(options.dispersion_sd),
        "asymptotic_dispersion": asymptotic,
        "extra_poisson": extra,
        "residuals": options.residuals,
        "nu": float(options.nu) if options.residuals == "student_t" else None,
    }
