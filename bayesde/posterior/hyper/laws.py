r"""The law of the effects, learnt from the full likelihood of the counts.

The draws of the genes do not depend on the law: proposals are made for Cauchy priors. So with every draw's
log ratio ln p(y | theta) / q(theta) known, the marginal likelihood of any law is a mean of weights,

    p(y_g | F) = mean_m exp(log_ratio_gm) prod_k F_k(beta_gmk) p(ln alpha_gm | trend, sigma),

and is maximized over the numbers of the laws (S, nu, pi0) and the dispersions' together. The weights of a
mixture sum_j pi_j f_j maximize sum_g ln sum_j L_gj pi_j + (penalty), with

    L_gj = mean_m w_gm f_j(beta_gmk),      w_gm without F_k,

exactly, by Newton steps (`bayesde.eb.shrinkage.mixture_weights`), in turn with the other hyperparameters; the
penalty is ash's, a Dirichlet prior with `NULL_WEIGHT` for zero and 1 elsewhere (Stephens 2017,
doi:10.1093/biostatistics/kxw041). Some of the genes give all but the last round. Laws are compared at these
weights. Posteriors integrate over the weights (`mean_weights`), with a Dirichlet prior in which the other
scales have `OTHER_WEIGHTS` together: at the weights of largest density, scales that the counts cannot tell
from zero lose all their weight to it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from bayesde.eb.shrinkage.mixture_weights import maximum_likelihood_weights
from bayesde.errors import FitError
from bayesde.model.effect_laws import EffectMixture
from bayesde.model.hyperparameter_names import EFFECT_NU, PI0, SCALE, effect_name
from bayesde.model.hyperparameter_space import HyperparameterSpace
from bayesde.model.hyperparameters import Hyperparameters
from bayesde.numerics.compiled import kernel
from bayesde.numerics.elementary import exponential
from bayesde.numerics.sums import sum_of
from bayesde.numerics.threads import for_each, over_genes
from bayesde.posterior.hyper.hyperparameter_posterior import HyperparameterPosterior
from bayesde.posterior.hyper.marginal_likelihood import (
    MarginalLikelihood,
    gene_weights,
    relative,
    with_mixtures,
)
from bayesde.posterior.hyper.maximum import curvature_sd, maximize
from bayesde.posterior.hyper.mean_weights import mean_weights
from bayesde.posterior.proposal.genes import ProposedGenes, StartedGenes
from bayesde.posterior.proposal.patterns import Patterns, add_offsets, slices

__all__ = [
    "ENOUGH_GENES",
    "TELLING",
    "LawsToLearn",
    "gain_of_student_t",
    "learn_laws",
    "log_likelihood",
    "with_mean_weights",
    "with_zeros",
]

ENOUGH_GENES = 2000
"""From which the laws are learnt in all rounds but the last."""
MOST_ROUNDS, SETTLED = 6, 0.1
"""Of mixtures' weights and other hyperparameters in turn, and the gain in log likelihood that ends them."""
NULL_WEIGHT = 10.0
"""Of zero in the Dirichlet prior of a mixture's weights: ash's penalty."""
OTHER_WEIGHTS = 1.0
"""Of all other scales together, where weights are integrated over: their number does not matter then. (At the
weights of largest density, as in ash, each has 1.)"""
RARE = 0.1
"""Genes that count as not zero, with the smallest scale, where no gene says so."""
TELLING = 10.0
"""Log marginal likelihood by which another law must be better to be named."""
NORMAL_95 = 1.96
STARTS: tuple[dict[str, float], ...] = ({}, {SCALE: 1.5, EFFECT_NU: -0.4, PI0: 0.45})
"""Where searches start, beside Cauchy's law: what is added to the numbers of psi. The second
one is for few effects that are large, which a scale that is small may also explain."""


@dataclass(frozen=True, eq=False)
class LawsToLearn:
    """Which laws of effects are learnt, beside Cauchy's.

    Attributes
    ----------
    space : HyperparameterSpace
        With the laws that have hyperparameters, and those that are known.
    scales : mapping of int to ndarray (component,)
        Scales of the mixtures that are learnt, by coefficient: 0 for zero.
    """

    space: HyperparameterSpace
    scales: Mapping[int, np.ndarray] = field(default_factory=dict)

    @property
    def atoms(self) -> tuple[int, ...]:
        """Coefficients whose law has an atom at zero."""
        own = [k for k, scale in self.scales.items() if (scale == 0.0).any()]
        return tuple(sorted({*self.space.atoms, *own}))


def with_zeros(
    likelihood: MarginalLikelihood, pieces: Iterable[StartedGenes], atoms: tuple[int, ...]
) -> tuple[MarginalLikelihood, list[list[ProposedGenes]]]:
    """Add draws of which some coefficients are zero to those of all genes.

    Parameters
    ----------
    likelihood : MarginalLikelihood
        Of draws without zeros, in an array with room for as many more.
    pieces : iterable of StartedGenes
        All genes.
    atoms : tuple of int
        Coefficients that may be zero.

    Returns
    -------
    likelihood : MarginalLikelihood
        In the same array.
    at_zero : list of list of ProposedGenes
        The proposals with zeros of every piece.
    """
    patterns = Patterns.of(atoms)
    sizes = patterns.sizes_beside(likelihood.n_draws)
    theta = likelihood.theta
    if theta.shape[1] < sum(sizes):
        theta = np.empty((theta.shape[0], sum(sizes), theta.shape[2]), dtype=np.float32)
        theta[:, : sizes[0]] = likelihood.theta[:, : sizes[0]]
    log_ratio = np.empty((theta.shape[0], sum(sizes)), dtype=np.float32)
    log_ratio[:, : sizes[0]] = likelihood.log_ratio

    def fill(piece: StartedGenes) -> list[ProposedGenes]:
        own, rows = patterns.pieces_of(piece), piece.rows
        for each, part in zip(own, slices(sizes)[1:], strict=True):
            drawn = each.draws(part.stop - part.start)
            theta[rows, part] = drawn.theta
            log_ratio[rows, part] = relative(drawn.log_ratio, likelihood.highest[rows])
        return own

    at_zero = for_each(fill, pieces)
    add_offsets(log_ratio, sizes)
    return replace(likelihood, theta=theta, log_ratio=log_ratio), at_zero


def learn_laws(
    likelihood: MarginalLikelihood, laws: LawsToLearn, hyper: Hyperparameters, *, near: bool = False
) -> tuple[MarginalLikelihood, np.ndarray]:
    """Find the laws of effects of largest posterior density.

    Parameters
    ----------
    likelihood : MarginalLikelihood
        Of draws of all genes, with those that are zero for laws with atoms.
    laws : LawsToLearn
    hyper : Hyperparameters
        Where the search starts.
    near : bool
        Whether these are such laws, learnt from some of the genes, so that only a last round is needed.

    Returns
    -------
    likelihood : MarginalLikelihood
        Under the laws: mixtures that were learnt are known in its space, and their log densities are part of
        its log ratios.
    psi : ndarray (hyperparameter,)
        The maximum.

    Raises
    ------
    FitError
        If it is not reached.
    """
    free = replace(likelihood, space=laws.space)
    if near:
        psi = laws.space.psi_of(hyper)
        known = {k: hyper.mixtures[laws.space.coefficients[k]] for k in laws.scales}
    else:
        some = free.spread(ENOUGH_GENES)
        known = {k: _even(scale) for k, scale in laws.scales.items()}
        psi, known = _best_start(some, laws, known, hyper)
        if some is free:
            return _under(free, known), psi
    known = {k: _reweighted(free, known, k, psi) for k in known}
    under = _under(free, known)
    return under, maximize(under, psi)


def with_mean_weights(
    likelihood: MarginalLikelihood, laws: LawsToLearn, under: MarginalLikelihood, psi: np.ndarray
) -> tuple[MarginalLikelihood, np.ndarray]:
    """Integrate over the weights of mixtures, those of each coefficient with the others' held.

    Parameters
    ----------
    likelihood : MarginalLikelihood
        As `learn_laws` takes it.
    laws : LawsToLearn
    under : MarginalLikelihood
    psi : ndarray (hyperparameter,)
        As `learn_laws` returns them.

    Returns
    -------
    under : MarginalLikelihood
        Under the mixtures with the posterior means of their weights.
    psi : ndarray (hyperparameter,)
        Its maximum.
    """
    if not laws.scales:
        return under, psi
    free = replace(likelihood, space=laws.space)
    known = {k: law for k, law in under.space.mixtures if k in laws.scales}
    means = {}
    for k, law in known.items():
        null = law.scale == 0.0
        concentration = np.where(null, NULL_WEIGHT, OTHER_WEIGHTS / (~null).sum())
        weight = mean_weights(_components(free, known, k, psi), concentration, law.weight)
        means[k] = EffectMixture(weight, law.scale)
    under = _under(free, means)
    return under, maximize(under, psi)


def log_likelihood(likelihood: MarginalLikelihood, psi: np.ndarray) -> float:
    """Return the log marginal likelihood of hyperparameters.

    Parameters
    ----------
    likelihood : MarginalLikelihood
    psi : ndarray (hyperparameter,)

    Returns
    -------
    float
        Without their prior, up to a constant that only depends on the draws.
    """
    return float(likelihood.log_posterior(psi)) - likelihood.space.log_prior(psi)[0]


def gain_of_student_t(likelihood: MarginalLikelihood, psi: np.ndarray) -> dict[str, float]:
    """Return by how much Student's t explains the effects better than Cauchy's law.

    The degrees of freedom are searched for with some of the genes, and judged with all.

    Parameters
    ----------
    likelihood : MarginalLikelihood
        Under Cauchy's law.
    psi : ndarray (hyperparameter,)
        Its maximum.

    Returns
    -------
    dict of str to float
        ``student_t_gain``, in log marginal likelihood. Where that is more than `TELLING`, also the degrees of
        freedom by coefficient, ``student_t[COEFFICIENT]``, and the ends of their 95 % intervals,
        ``student_t_lower`` and ``student_t_upper``, by the curvature of the likelihood. Empty if there is no
        such law.
    """
    cauchy = likelihood.space
    if not cauchy.shrunken:
        return {}
    laws = LawsToLearn(replace(cauchy, families=("student_t",) * cauchy.n_scales))
    under = replace(likelihood, space=laws.space)
    some = under.spread(ENOUGH_GENES)
    try:
        found = maximize(some, laws.space.psi_of(cauchy.hyperparameters(cauchy.phi(psi))))
        gain = log_likelihood(under, found) - log_likelihood(likelihood, psi)
        if gain <= TELLING:
            return {"student_t_gain": gain}
        sd = curvature_sd(under, found)
    except FitError:  # these genes say too little of the degrees of freedom
        return {}
    ends = {"": 0.0, "_lower": -NORMAL_95, "_upper": NORMAL_95}
    values = {"student_t_gain": gain}
    for name, times in ends.items():
        by_name = laws.space.by_name(laws.space.phi(found + times * sd))
        for k in cauchy.shrunken:
            coefficient = cauchy.coefficients[k]
            values[f"student_t{name}[{coefficient}]"] = float(by_name[effect_name(EFFECT_NU, coefficient)])
    return values


def _even(scale: np.ndarray) -> EffectMixture:
    return EffectMixture(np.full(scale.size, 1.0 / scale.size), scale)


def _best_start(
    some: MarginalLikelihood, laws: LawsToLearn, known: dict[int, EffectMixture], hyper: Hyperparameters
) -> tuple[np.ndarray, dict[int, EffectMixture]]:
    """Search from some starts, and return the better end."""
    start = laws.space.psi_of(hyper)
    parts = laws.space.kinds
    ends, problems = [], []
    for moves in STARTS if PI0 in parts else STARTS[:1]:
        move = np.array([moves.get(part, 0.0) for part in parts])
        try:
            ends.append(_in_turn(some, known, start + move))
        except FitError as problem:
            problems.append(problem)
    if not ends:
        raise problems[0]
    return max(ends, key=lambda end: end[0])[1:]


def _in_turn(
    some: MarginalLikelihood, known: dict[int, EffectMixture], psi: np.ndarray
) -> tuple[float, np.ndarray, dict[int, EffectMixture]]:
    """Maximize over the weights of the mixtures and over the other hyperparameters in turn."""
    before = -np.inf
    for _ in range(MOST_ROUNDS):
        known = {k: _reweighted(some, known, k, psi) for k in known}
        under = _under(some, known)
        psi = maximize(under, psi)
        value = float(under.log_posterior(psi))
        if not known or value - before < SETTLED:
            break
        before = value
    return value, psi, known


def _under(likelihood: MarginalLikelihood, known: Mapping[int, EffectMixture]) -> MarginalLikelihood:
    """Return the marginal likelihood with laws that are known."""
    space = replace(likelihood.space, mixtures=(*likelihood.space.mixtures, *known.items()))
    log_ratio = with_mixtures(space, likelihood.theta, likelihood.log_ratio)
    return replace(likelihood, space=space, log_ratio=log_ratio.astype(np.float32))


def _reweighted(
    likelihood: MarginalLikelihood, known: Mapping[int, EffectMixture], k: int, psi: np.ndarray
) -> EffectMixture:
    """Return the mixture of a coefficient with the weights of largest posterior density, given the rest."""
    law = known[k]
    components = _components(likelihood, known, k, psi)
    prior = np.eye(law.scale.size)[np.repeat(np.flatnonzero(law.scale == 0.0), int(NULL_WEIGHT) - 1)]
    weight = maximum_likelihood_weights(np.concatenate([components, prior]))
    if not weight[law.scale > 0.0].any():  # a law of effects has some that are not zero
        weight = weight * (1.0 - RARE / len(components))
        weight[np.where(law.scale > 0.0, law.scale, np.inf).argmin()] = RARE / len(components)
    return EffectMixture(weight, law.scale)


def _components(
    likelihood: MarginalLikelihood, known: Mapping[int, EffectMixture], k: int, psi: np.ndarray
) -> np.ndarray:
    """Return the marginal likelihood of every gene under each component of a mixture, the largest being 1."""
    law, others = known[k], {other: law for other, law in known.items() if other != k}
    space = replace(likelihood.space, mixtures=(*likelihood.space.mixtures, *others.items()))
    point = HyperparameterPosterior(space, space.phi(psi)[None], np.ones(1))
    theta, log_ratio = likelihood.theta, likelihood.log_ratio
    n_genes = log_ratio.shape[0]
    components = np.empty((n_genes, law.scale.size))
    weights = gene_weights(space, likelihood.base_mean, theta, log_ratio, point)
    over_genes(_fill_components, n_genes, theta, weights, k, law.scale, components)
    row = components.max(axis=1)
    return np.asarray(components[row > 0.0] / row[row > 0.0, None])


@kernel
def _fill_components(first, last, theta, weights, k, scale, components):  # type: ignore[no-untyped-def]
    """Fill the weighted sums of normal densities of effects (gene, component); of zero the weight there."""
    n_draws = weights.shape[1]
    effect, work = np.empty(n_draws), np.empty(n_draws)
    for g in range(first, last):
        for m in range(n_draws):
            effect[m] = theta[g, m, k]
        for j in range(scale.size):
            if scale[j] == 0.0:
                for m in range(n_draws):
                    work[m] = weights[g, m] if effect[m] == 0.0 else 0.0
                components[g, j] = sum_of(work)
                continue
            inverse = 1.0 / scale[j]
            height = inverse / math.sqrt(2.0 * math.pi)
            for m in range(n_draws):
                u = effect[m] * inverse
                density = weights[g, m] * exponential(-0.5 * u * u)
                work[m] = density if effect[m] != 0.0 else 0.0
            components[g, j] = height * sum_of(work)
