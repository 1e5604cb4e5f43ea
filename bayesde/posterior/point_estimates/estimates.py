r"""Point estimates of designs with random effects: each gene's mode with the random effects integrated out.

    theta_g = (beta_g, ln tau_g, ln alpha_g) maximizes

    ln int p(y_g | beta, u, alpha) p(u | tau) du + ln p(beta) + ln Normal(ln tau | m_tau, s_tau)
        + ln Normal(ln alpha | ln trend_g, sigma),

the marginal likelihood of one gene (as glmmTMB maximizes it) with the standard deviations of the random
effects and the dispersion moderated by their laws over the genes. The laws are learnt from at most a thousand
genes, as engine psis learns them: m_tau, s_tau, the trend and sigma maximize the marginal likelihood of all
of these genes. The coefficients have the wide prior Normal(0, 15), so that they are maximum-likelihood
estimates.

Standard errors are those of the joint curvature at the mode: the inverse of minus the Hessian of all of
theta, in which tau and alpha are not held fixed. They are conditional on the laws, and rest on a quadratic
approximation, which few levels do not justify; `tables` says what follows.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from bayesde.counts import Counts
from bayesde.design import Design
from bayesde.eb.fit import EbFit
from bayesde.eb.options import EbOptions
from bayesde.model.density import ConditionalModel
from bayesde.model.hyperparameters import Hyperparameters
from bayesde.model.modes import NEARLY_FLAT, Modes, find_modes
from bayesde.model.priors import Priors
from bayesde.numerics.elementary import exponentials
from bayesde.posterior.codings.starting_values import starting_values
from bayesde.posterior.hyper.learning import few_draws, maximum_of_some, spread_genes
from bayesde.posterior.options import EngineRunOptions, SamplingOptions
from bayesde.posterior.random_effects import with_laws_of_random_effects
from bayesde.posterior.request import Request
from bayesde.workers.pools import LocalPool, Pool, in_order
from bayesde.workers.progress import GenesDone, Progress, silent

__all__ = ["RandomEffectsEstimates", "estimated", "with_wide_priors"]


@dataclass(frozen=True, eq=False, repr=False)
class RandomEffectsEstimates:
    """Point estimates of every gene of a design with random effects; see `RandomEffectsFit`.

    Attributes
    ----------
    request : Request
        The fit of the fixed effects, the design, and what the model of some genes is made of.
    hyperparameters : Hyperparameters
    location : ndarray (gene, coefficient + random effect + 1)
        beta, ln tau and ln alpha; NaN for genes without estimates.
    location_se : ndarray (gene, coefficient + random effect + 1)
        Standard errors.
    converged : ndarray of bool (gene,)
    """

    request: Request
    hyperparameters: Hyperparameters
    location: np.ndarray
    location_se: np.ndarray
    converged: np.ndarray

    @property
    def fixed(self) -> EbFit:
        """The fit without random effects, from which the searches start."""
        return self.request.fit

    @property
    def counts(self) -> Counts:
        """The counts."""
        return self.fixed.counts

    @property
    def design(self) -> Design:
        """The design, with its random effects."""
        return self.request.design

    @property
    def options(self) -> EbOptions:
        """The options of the fit."""
        return self.fixed.options

    @property
    def estimated(self) -> np.ndarray:
        """Genes (gene,) that have estimates."""
        return self.fixed.estimated

    @property
    def base_mean(self) -> np.ndarray:
        """Means (gene,) of the normalized counts."""
        return self.fixed.base_mean

    @property
    def beta(self) -> np.ndarray:
        """Coefficients (gene, coefficient), natural log."""
        return self.location[:, : self.design.n_coefficients]

    @property
    def beta_se(self) -> np.ndarray:
        """Standard errors of the coefficients (gene, coefficient), natural log."""
        return self.location_se[:, : self.design.n_coefficients]

    @property
    def dispersion(self) -> np.ndarray:
        """Dispersions (gene,)."""
        return exponentials(self.location[:, -1])

    @property
    def random_effect_sd(self) -> dict[str, np.ndarray]:
        """Standard deviations (gene,) of the random effects, natural log, by name: ``"donor"``."""
        first = self.design.n_coefficients
        names = [name for one in self.request.groupings for name in one.sd_names]
        return {name: exponentials(self.location[:, first + t]) for t, name in enumerate(names)}

    def blocks(self) -> Iterator[tuple[np.ndarray, ConditionalModel]]:
        """Yield the genes with estimates block by block: their positions, and their model."""
        for genes in self.fixed.inputs.pieces(np.flatnonzero(self.estimated)):
            yield genes, self.request.model(genes)


def with_wide_priors(model: ConditionalModel) -> ConditionalModel:
    """Return a model in which no coefficient is shrunken.

    Parameters
    ----------
    model : ConditionalModel

    Returns
    -------
    ConditionalModel
    """
    return replace(
        model,
        shrunken=np.zeros(model.n_coefficients, dtype=bool),
        shrinkage_scale=np.ones(model.n_coefficients),
        effect_df=None,
    )


def estimated(
    fixed: EbFit, design: Design, pool: Pool | None = None, progress: Progress = silent
) -> RandomEffectsEstimates:
    """Learn the laws of the genes' parameters, and find the mode of every gene.

    Parameters
    ----------
    fixed : EbFit
        Of the fixed effects alone, without outlying counts replaced.
    design : Design
        With random effects.
    pool : Pool, optional
        Where the modes of blocks of genes are searched for; by default here.
    progress : callable
        See `Progress`.

    Returns
    -------
    RandomEffectsEstimates

    Raises
    ------
    FitError
        If the genes say too little of their laws.
    """
    request = _request(fixed, design)
    hyper = _learnt(request, progress)
    shape = fixed.counts.n_genes, request.coding.n_coefficients + len(hyper.random_effect_sd) + 1
    found = RandomEffectsEstimates(
        replace(request, hyperparameters=hyper),
        hyper,
        np.full(shape, math.nan),
        np.full(shape, math.nan),
        np.zeros(shape[0], dtype=bool),
    )
    places: list[np.ndarray] = []

    def calls() -> Iterator[tuple[ConditionalModel, np.ndarray, np.ndarray]]:
        for genes, model in found.blocks():
            places.append(genes)
            start = found.request.start(genes)
            yield with_wide_priors(model), start.beta, start.log_dispersion

    fitted = GenesDone(progress, int(fixed.estimated.sum()), "fitting {:,} genes with random effects")
    for number, modes in enumerate(in_order(pool or LocalPool(), _modes, calls())):
        genes = places[number]
        found.location[genes], found.converged[genes] = modes.location, modes.converged
        found.location_se[genes] = np.sqrt((modes.scale**2).sum(axis=2))
        fitted.more(genes.size)
    return found


def _request(fixed: EbFit, design: Design) -> Request:
    """Return what engine psis would be asked for, with one scale for each coefficient of the design.

    Coefficients of a design without an intercept are levels, which nothing shrinks.
    """
    options = SamplingOptions(coding="treatment", shrink=None if fixed.design.has_intercept else ())
    run, priors = EngineRunOptions(), Priors()
    start = with_laws_of_random_effects(
        starting_values(fixed, None, options), design.groupings, priors, given=False
    )
    return Request(
        fixed,
        np.flatnonzero(fixed.estimated),
        start,
        learning=True,
        draws=run.draws,
        chains=run.chains,
        warmup=run.warmup,
        seed=run.seed,
        workers=run.workers,
        options=options,
        priors=priors,
        full_design=design,
    )


def _learnt(request: Request, progress: Progress) -> Hyperparameters:
    """Learn the hyperparameters from some of the genes."""
    everyone, space = request.everyone, request.space
    some = everyone[spread_genes(request.fit.base_mean[everyone], request.seeds(everyone))]
    progress(0, 0, f"learning the hyperparameters from {some.size:,} genes")
    psi = space.psi_of(request.hyperparameters)
    psi, _ = maximum_of_some(request.model(some), request.start(some), space, psi, few_draws(some.size))
    return replace(space.hyperparameters(space.phi(psi)), source="eb")


def _modes(model: ConditionalModel, beta: np.ndarray, log_dispersion: np.ndarray) -> Modes:
    """Find modes under priors that do not shrink: from no effect, a search would lead to the same ones."""
    return find_modes(model, beta, log_dispersion, from_no_effect=False, flat=NEARLY_FLAT)
