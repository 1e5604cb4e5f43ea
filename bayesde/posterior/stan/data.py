"""What the Stan programs are given: data of some genes, and the coordinates in which they are sampled.

The sampler moves z; a gene's parameters are theta = location + scale e, where e_i = z_i but for what is
noncentered: there z_i stands for theta_i on the scale of its prior, as far as the counts let it go, and e_i
is solved for (stan/README.md). With random effects theta has their log standard deviations between the
coefficients and the log dispersion, and the effects of the levels have a z each, after theta's
(`bayesde.posterior.stan.levels`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from bayesde.model.density import ConditionalModel
from bayesde.model.modes import Modes, Starts, find_modes
from bayesde.posterior.stan.effects import effect_data, map_of_effects, prior_widths
from bayesde.posterior.stan.levels import (
    NO_DATA,
    LevelCoordinates,
    errors_with_random_effects,
    level_coordinates,
)
from bayesde.posterior.stan.run import Chains

__all__ = [
    "KeptPart",
    "SamplerCoordinates",
    "coupled_scale",
    "draws_of",
    "genes_data",
    "names_of_draws",
    "prior_shaped",
    "shared_data",
]

PRIOR_SHAPES = 0.5
"""Standard error over prior scale from which the prior's shape shows. Between 0.25 and 1 this hardly matters
to engine nuts; engine joint reaches an R-hat below 1.01 for all of 200 genes of pasilla at 0.5, for 99 % at
1."""
WIDTH, FEW_COUNTS = 1.2, 2.0
"""In standard errors, and natural log."""
SMALLEST = 1e-300
STILL = 0.01
"""Change of a log mean that is as good as none."""


@dataclass(frozen=True, eq=False)
class KeptPart:
    """The parameters whose draws are kept, where Stan samples levels that others integrate out.

    Given these parameters the levels' effects can be drawn again (`bayesde.posterior.factor_levels`).

    Attributes
    ----------
    model : ConditionalModel
        Of these parameters, with the levels integrated out.
    columns : ndarray of int
        Of theta.
    """

    model: ConditionalModel
    columns: np.ndarray

    def genes(self, rows: np.ndarray) -> KeptPart:
        """Take some of the genes.

        Parameters
        ----------
        rows : ndarray of int
            Positions.
        """
        return replace(self, model=self.model.genes(rows))


@dataclass(frozen=True, eq=False)
class SamplerCoordinates:
    """Genes, and the coordinates in which they are sampled.

    Attributes
    ----------
    model : ConditionalModel
    start : Starts
        Where searches for the genes' modes started, and the genes' seeds.
    location : ndarray (gene, P + 1)
        Each gene's mode, natural log.
    scale : ndarray (gene, P + 1, P + 1)
        Upper triangles.
    noncentered : ndarray of bool (gene, P + 1)
    width : ndarray (gene, fixed coefficient)
        Of noncentered coefficients, natural log: beyond it they grow evenly with z; 0 for none, as where a
        group has no counts.
    precision, precision_times_mean : ndarray (gene,)
        Of noncentered log dispersions: precision, and precision times mean, of a normal density that the
        counts' is like; 0 for none.
    levels : LevelCoordinates, optional
        Of random effects.
    kept : KeptPart, optional
        Where not all of theta is.
    """

    model: ConditionalModel
    start: Starts
    location: np.ndarray
    scale: np.ndarray
    noncentered: np.ndarray
    width: np.ndarray
    precision: np.ndarray
    precision_times_mean: np.ndarray
    levels: LevelCoordinates | None = None
    kept: KeptPart | None = None

    @classmethod
    def of(cls, model: ConditionalModel, start: Starts, beta_se: np.ndarray) -> SamplerCoordinates:
        """Choose coordinates by the genes' modes and by what the data say of every parameter.

        Parameters
        ----------
        model : ConditionalModel
            Known mixtures are without a point mass.
        start : Starts
        beta_se : ndarray (gene, fixed coefficient)
            Standard errors of the maximum-likelihood coefficients without random effects, natural log; NaN
            counts as large.

        Returns
        -------
        SamplerCoordinates
        """
        modes = find_modes(model, start.beta, start.log_dispersion)
        beta_se = errors_with_random_effects(model, modes.location, beta_se)
        by_width = replace(model, shrinkage_scale=prior_widths(model))
        noncentered = prior_shaped(by_width, modes, beta_se)
        scale, none = coupled_scale(model, modes, noncentered), np.zeros(model.n_genes)
        widths = np.where(without_bound(model), 0.0, _widths(beta_se))
        levels = level_coordinates(model, modes.location)
        return cls(model, start, modes.location, scale, noncentered, widths, none, none, levels)

    def genes(self, rows: np.ndarray) -> SamplerCoordinates:
        """Take some of the genes.

        Parameters
        ----------
        rows : ndarray of int
            Positions.
        """
        names = ("location", "scale", "noncentered", "width", "precision", "precision_times_mean")
        own = {name: getattr(self, name)[rows] for name in names}
        levels = None if self.levels is None else self.levels.genes(rows)
        kept = None if self.kept is None else self.kept.genes(rows)
        return SamplerCoordinates(
            self.model.genes(rows), self.start.genes(rows), **own, levels=levels, kept=kept
        )

    @property
    def n_levels(self) -> int:
        """Number of levels of all random effects."""
        return 0 if self.levels is None else self.levels.n_levels

    @property
    def n_kept(self) -> int:
        """Number of parameters of a gene whose draws are kept."""
        return self.location.shape[1] if self.kept is None else self.kept.columns.size

    @property
    def uncertain(self) -> ConditionalModel:
        """The model of the draws without priors that have no hyperparameters: mixtures are not shrunken."""
        model = self.model if self.kept is None else self.kept.model
        shrunken = model.shrunken.copy()
        shrunken[[k for k, _ in model.mixtures]] = False
        return replace(model, shrunken=shrunken, mixtures=())

    @property
    def arrays(self) -> tuple[np.ndarray, ...]:
        """What draws depend on beside the model: arrays with genes first."""
        start = self.start
        coordinates = (
            self.location,
            self.scale,
            self.noncentered,
            self.width,
            self.precision,
            self.precision_times_mean,
        )
        of_levels = () if self.levels is None else self.levels.arrays
        return (*coordinates, start.beta, start.log_dispersion, start.seeds, *of_levels)

    def z(self, theta: np.ndarray) -> np.ndarray:
        """Return where the sampler is when a gene's parameters are theta.

        Parameters
        ----------
        theta : ndarray (gene, ..., P + 1)
            Coefficients, log standard deviations of random effects and log dispersion, natural log.

        Returns
        -------
        ndarray (gene, ..., P + 1)
            Without the levels' (`with_levels`).
        """
        model, each = self.model, (slice(None), *[None] * (theta.ndim - 2))
        gap = (theta - self.location[each])[..., None]
        e = np.linalg.solve(self.scale[each], gap)[..., 0]
        n = int(model.is_fixed.sum())
        scale, rate = (values[:n] for values in map_of_effects(model))
        slopes = _unbounded(theta[..., :n], scale, self.width[each]) / rate
        center, prior, precision, precision_times_mean = self._residuals()
        variance = 1.0 / (precision + prior)
        mean = variance * (precision_times_mean + center * prior)
        residuals = (theta[..., n:] - mean[each]) / np.sqrt(variance)[each]
        on_prior_scale = np.concatenate([slopes, residuals], axis=-1)
        return np.where(self.noncentered[each], on_prior_scale, e)

    def _residuals(self) -> tuple[np.ndarray, ...]:
        """Return, of what comes after the fixed effects (gene, parameter), the laws and what counts say.

        Centers and precisions of the priors, then precisions, and precisions times means.
        """
        model, levels = self.model, self.levels
        center, spread = model.log_sd_prior
        prior = np.append(spread**-2.0, model.dispersion_sd**-2)
        known = (self.precision, self.precision_times_mean)
        if levels is None:
            own = tuple(part[:, None] for part in known)
        else:
            of_levels = (levels.sd_precision, levels.sd_precision_times_mean)
            own = tuple(np.column_stack(pair) for pair in zip(of_levels, known, strict=True))
        centers = np.tile(center, (model.n_genes, 1))
        return np.column_stack([centers, model.log_trend]), prior, *own

    def with_levels(self, values: np.ndarray, of_levels: float) -> np.ndarray:
        """Add the levels of random effects to what is known of the sampler's other coordinates.

        Parameters
        ----------
        values : ndarray (..., P + 1)
        of_levels : float
            The value of all levels: where they start, their variances.

        Returns
        -------
        ndarray (..., P + 1 + level)
        """
        shape = (*values.shape[:-1], self.n_levels)
        return np.concatenate([values, np.full(shape, of_levels)], axis=-1)


def _widths(beta_se: np.ndarray) -> np.ndarray:
    """Return how far the counts let a coefficient go, from its standard error (NaN counts as no bound).

    About one standard error; more where that is large, because a group then has next to no counts, and the
    likelihood falls off slowly on one side.
    """
    return np.asarray(np.nan_to_num(WIDTH * beta_se * (1.0 + (beta_se / FEW_COUNTS) ** 2)))


def without_bound(model: ConditionalModel) -> np.ndarray:
    """Return the coefficients that the counts do not keep from going to infinity, on one side.

    Those of groups without counts. With the coefficients u that are not shrunken making way for coefficient
    k where counts are, log means move along  v = x_k - X_u (X_u' Y X_u)^-1 X_u' Y x_k,  Y = diag(y_j). If v
    is 0 for all samples with counts, and has one sign for the others, the posterior has the prior's tail on
    one side. A width would make z have it, too: of 20 genes of which 6 had a group without counts, the
    chains then took 561 gradients a draw, and 17 without widths.

    Parameters
    ----------
    model : ConditionalModel

    Returns
    -------
    ndarray of bool (gene, fixed coefficient)
    """
    n, (free, weighted, gram) = int(model.is_fixed.sum()), _counts_where_they_are(model)
    seen, found = model.y > 0, np.zeros((model.n_genes, n), dtype=bool)
    some = np.flatnonzero(~seen.all(axis=1))
    for k in np.flatnonzero(model.shrunken[:n]).tolist():
        way = _way_made(model, weighted[some], gram[some], k)
        moved = model.x[:, k] + way @ model.x[:, free].T  # (gene, sample)
        kept = ((np.abs(moved) < STILL) | ~seen[some]).all(axis=1)
        found[some, k] = kept & ((moved < STILL).all(axis=1) | (moved > -STILL).all(axis=1))
    return found


def _counts_where_they_are(model: ConditionalModel) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return what makes way for others: unshrunken coefficients u that are no levels, Y X_u, and X_u' Y X_u.

    Samples without counts have next to no weight.
    """
    free = np.flatnonzero(~model.shrunken & (model.factors < 0) & model.is_fixed)
    weights = model.y + 1e-3 * (model.y.mean(axis=1, keepdims=True) + 1e-3)
    weighted = weights[:, :, None] * model.x[:, free]  # (gene, sample, unshrunken)
    return free, weighted, weighted.transpose(0, 2, 1) @ model.x[:, free]


def _way_made(model: ConditionalModel, weighted: np.ndarray, gram: np.ndarray, k: int) -> np.ndarray:
    """Return by how much what makes way (gene, unshrunken) changes with coefficient k."""
    return np.asarray(-np.linalg.solve(gram, weighted.transpose(0, 2, 1) @ model.x[:, [k]])[:, :, 0])


def _unbounded(beta: np.ndarray, scale: np.ndarray, width: np.ndarray) -> np.ndarray:
    """Return x with width asinh(scale / width sinh(x)) = beta, or scale sinh(x) where the width is 0."""
    bound = np.where(width > 0.0, width, 1.0)
    size = np.abs(beta) / bound
    log_sinh = size + np.log(-np.expm1(-2.0 * np.maximum(size, SMALLEST))) - np.log(2.0)
    log_ratio = np.log(bound / scale) + log_sinh
    far = log_ratio + np.log(2.0)
    near = np.arcsinh(np.exp(np.minimum(log_ratio, 20.0)))
    bounded = np.sign(beta) * np.where(log_ratio > 20.0, far, near)
    return np.where(width > 0.0, bounded, np.arcsinh(beta / scale))


def prior_shaped(model: ConditionalModel, modes: Modes, beta_se: np.ndarray) -> np.ndarray:
    """Choose the parameters that are sampled on the scale of their prior (noncentered).

    Those whose standard error is above `PRIOR_SHAPES` of their prior's scale: the prior says much, and the
    posterior has the prior's peak and tails, which a step size in units of the curvature cannot serve both.

    Parameters
    ----------
    model : ConditionalModel
    modes : Modes
    beta_se : ndarray (gene, fixed coefficient)
        Standard errors of the maximum-likelihood coefficients, natural log; NaN counts as large.

    Returns
    -------
    ndarray of bool (gene, P + 1)
        The last column is the log dispersion, of which the same is asked: it is True where the posterior
        variance is above half of the prior's. Log standard deviations of random effects are not noncentered.
    """
    shrunken, scale = model.shrunken[model.is_fixed], model.shrinkage_scale[model.is_fixed]
    slopes = shrunken & ~(beta_se <= PRIOR_SHAPES * scale)
    centered = np.zeros((model.n_genes, model.n_random), dtype=bool)
    return np.column_stack([slopes, centered, modes.scale[:, -1, -1] ** 2 > 0.5 * model.dispersion_sd**2])


def coupled_scale(model: ConditionalModel, modes: Modes, noncentered: np.ndarray) -> np.ndarray:
    """Return the scale of the rescaling, made fit for coefficients that move far from the mode.

    A noncentered coefficient may wander along its prior's tails. What is not shrunken (the intercept) has to
    make way by as much as keeps the expected counts where counts are: in the gene's column of such a
    coefficient k, the unshrunken coefficients u have  c = -(X_u' Y X_u)^-1 X_u' Y x_k  with Y = diag(y_j),
    instead of the covariance at the mode, which holds only there.

    Parameters
    ----------
    model : ConditionalModel
    modes : Modes
    noncentered : ndarray of bool (gene, P + 1)

    Returns
    -------
    ndarray (gene, P + 1, P + 1)
        Upper triangles.
    """
    scale = modes.scale.copy()
    fixed, weighted, gram = _counts_where_they_are(model)
    for k in np.flatnonzero(noncentered[:, :-1].any(axis=0)):
        rows = noncentered[:, k]
        answer = _way_made(model, weighted[rows], gram[rows], int(k))
        before = fixed[fixed < k]
        scale[rows, :k, k] = 0.0
        scale[np.ix_(np.flatnonzero(rows), before, [k])] = (
            answer[:, : before.size, None] * scale[rows, k, k][:, None, None]
        )
    return scale


def shared_data(genes: SamplerCoordinates) -> dict[str, Any]:
    """Return the data that both programs read.

    Parameters
    ----------
    genes : SamplerCoordinates
    """
    model = genes.model
    fixed = model.is_fixed
    return {
        "G": model.n_genes,
        "N": model.x.shape[0],
        "P": int(fixed.sum()),
        "y": model.y.tolist(),
        "x": model.x[:, fixed].tolist(),
        **(NO_DATA if genes.levels is None else genes.levels.data()),
        "log_nf": model.log_nf.tolist(),
        "location": genes.location.tolist(),
        "scale": genes.scale.tolist(),
        "noncentered": genes.noncentered.astype(int).tolist(),
        "width": genes.width.tolist(),
        "precision": genes.precision.tolist(),
        "precision_times_mean": genes.precision_times_mean.tolist(),
        "shrunken": model.shrunken[fixed].astype(int).tolist(),
        "unshrunken_sd": model.unshrunken_sd,
        **effect_data(model),
        "residuals": int(np.isfinite(model.nu)),
        "use_likelihood": 1,
    }


def genes_data(genes: SamplerCoordinates) -> dict[str, Any]:
    """Return the data of stan/genes.stan.

    Parameters
    ----------
    genes : SamplerCoordinates
    """
    model = genes.model
    fixed, (center, spread) = model.is_fixed, model.log_sd_prior
    return shared_data(genes) | {
        "shrinkage_scale": model.shrinkage_scale[fixed].tolist(),
        "effect_nu": np.where(model.shrunken, model.prior_df, 1.0)[fixed].tolist(),
        "random_sd_center": center.tolist(),
        "random_sd_spread": spread.tolist(),
        "log_trend": model.log_trend.tolist(),
        "dispersion_sd": model.dispersion_sd,
        "nu": model.nu if np.isfinite(model.nu) else 1.0,
    }


def names_of_draws(genes: SamplerCoordinates) -> tuple[str, ...]:
    """Return the variables of both programs that are a gene's parameters, in their order.

    Parameters
    ----------
    genes : SamplerCoordinates
    """
    return ("beta", "log_dispersion") if genes.levels is None else ("beta", "log_random_sd", "log_dispersion")


def draws_of(chains: Chains, genes: SamplerCoordinates) -> np.ndarray:
    """Put a gene's parameters together.

    Parameters
    ----------
    chains : Chains
        With the variables of `names_of_draws`.
    genes : SamplerCoordinates

    Returns
    -------
    ndarray (chain, draw, gene, kept parameter)
        Coefficients, log standard deviations of random effects and log dispersion, natural log.
    """
    *others, log_dispersion = (chains.variables[name] for name in names_of_draws(genes))
    theta = np.concatenate([*others, log_dispersion[..., None]], axis=-1)
    return theta if genes.kept is None else theta[..., genes.kept.columns]
