"""Points at which all log densities are compared: 50 genes, each with 20 sets of parameters.

Designs, factors and hyperparameters are random; counts reach from 0 to 1e7, dispersions from 1e-8 to 1e3, and
every third set of coefficients lies far from the counts.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np
from reference.log_density import effect_log_density, gene_log_likelihood, normal, student_t

from bayesde.posterior.stan.levels import NO_DATA

LAWS = ("cauchy", "student_t", "mixture")
GENES, POINTS = 50, 20
KINDS = ("ordinary", "zero row", "zero group", "millions", "single counts", "zero and millions")


@dataclass(frozen=True, eq=False)
class GenePoints:
    """One gene's data and hyperparameters, and points of its parameters: numbers of single precision."""

    y: np.ndarray
    log_nf: np.ndarray
    x: np.ndarray
    base_mean: float
    shrunken: np.ndarray
    scale: np.ndarray
    dispersion_sd: float
    asymptotic_dispersion: float
    extra_poisson: float | None
    nu: float | None
    unshrunken_sd: float
    theta: np.ndarray
    effect_nu: np.ndarray
    laws: dict = field(default_factory=dict)

    @property
    def log_trend(self) -> float:
        extra = 0.0 if self.extra_poisson is None else self.extra_poisson / self.base_mean
        return float(np.log(self.asymptotic_dispersion + extra))

    def log_priors(self, theta) -> np.ndarray:
        """Reference log prior of the shrunken coefficients, of the others, and of the log dispersion."""
        parts = [np.longdouble(0)] * 3
        for k, shrunken in enumerate(self.shrunken):
            if shrunken:
                parts[0] += effect_log_density(self.laws, k, theta[k], self.scale[k], self.effect_nu[k])
            else:
                parts[1] += normal(theta[k], 0, self.unshrunken_sd)
        around = (self.log_trend, self.dispersion_sd)
        parts[2] = normal(theta[-1], *around) if self.nu is None else student_t(theta[-1], self.nu, *around)
        return np.array(parts)

    def reference(self, theta) -> np.longdouble:
        """Log posterior density given the hyperparameters, all constants included."""
        data = {"log_nf": [self.log_nf], "x": self.x, "y": [self.y]}
        return self.log_priors(theta).sum() + gene_log_likelihood(data, 0, np.asarray(theta, np.longdouble))

    def stan_data(self) -> dict:
        """What both programs read, moving with theta itself."""
        n, p = self.x.shape
        return {
            "G": 1,
            "N": n,
            "P": p,
            "y": [self.y.tolist()],
            "x": self.x.tolist(),
            **NO_DATA,
            "log_nf": [self.log_nf.tolist()],
            "location": np.zeros((1, p + 1)).tolist(),
            "scale": np.eye(p + 1)[None].tolist(),
            "noncentered": np.zeros((1, p + 1), int).tolist(),
            "width": np.zeros((1, p)).tolist(),
            "precision": [0.0],
            "precision_times_mean": [0.0],
            "shrunken": self.shrunken.astype(int).tolist(),
            "unshrunken_sd": self.unshrunken_sd,
            **self.laws,
            "residuals": int(self.nu is not None),
            "use_likelihood": 1,
        }


def gene_points(law: str = "cauchy", seed: int = 16) -> Iterator[GenePoints]:
    """Genes whose shrunken coefficients have this law; the other numbers are the same for all."""
    rng, own = np.random.default_rng(seed), np.random.default_rng(seed + 1)
    for gene in range(GENES):
        made = _one_gene(rng, KINDS[gene % len(KINDS)], student=gene % 4 < 2, constant=gene % 5 == 0)
        yield _with_law(own, made, law)


def _with_law(rng, gene: GenePoints, law: str) -> GenePoints:
    """Degrees of freedom from 0.2 to 10,000; mixtures with scales from 0.001 to 3."""
    code, sizes = LAWS.index(law), rng.integers(1, 5, gene.scale.size)
    sizes = np.where(gene.shrunken & (law == "mixture"), sizes, 0)
    weights = [rng.dirichlet(np.ones(size)) for size in sizes.tolist()]
    total = int(sizes.sum())
    heavy = rng.random(total) < 0.5
    laws = {
        "effects": np.where(gene.shrunken, code, 0).tolist(),
        "components_of": sizes.tolist(),
        "component_weight": np.concatenate(weights).tolist(),
        "component_scale": (10.0 ** rng.uniform(-3, 0.5, total)).tolist(),
        "component_nu": np.where(heavy, 10.0 ** rng.uniform(-0.7, 4, total), np.inf).tolist(),
    }
    nu = 10.0 ** rng.uniform(-0.7, 4, gene.scale.size) if law == "student_t" else np.ones(gene.scale.size)
    return replace(gene, laws=laws, effect_nu=nu)


def _one_gene(rng, kind: str, student: bool, constant: bool) -> GenePoints:
    n, p = int(rng.integers(4, 9)), int(rng.integers(2, 5))
    group = np.arange(n) % 2
    x = np.column_stack([np.ones(n), group, rng.normal(size=(n, p - 2))])
    y = _counts(rng, kind, group)
    shrunken = np.arange(p) > 0
    if p == 4:
        shrunken[2] = False
    unshrunken_sd = float(rng.choice([15.0, 1.5]))
    return GenePoints(
        y=y,
        log_nf=rng.normal(0, 0.3, n),
        x=x,
        base_mean=float(y.mean()) + 0.1,
        shrunken=shrunken,
        scale=np.where(shrunken, 10.0 ** rng.uniform(-3, 0.5, p), unshrunken_sd),
        dispersion_sd=float(rng.uniform(0.2, 2)),
        asymptotic_dispersion=float(10.0 ** rng.uniform(-4, 0)),
        extra_poisson=None if constant else float(10.0 ** rng.uniform(-1, 1)),
        nu=2.0 + float(rng.gamma(2, 5)) if student else None,
        unshrunken_sd=unshrunken_sd,
        theta=_theta(rng, y, p),
        effect_nu=np.ones(p),
    )


def _counts(rng, kind: str, group: np.ndarray) -> np.ndarray:
    mean = {"millions": 5e6, "single counts": 0.7, "zero and millions": 5e6}.get(
        kind, 10.0 ** rng.uniform(0, 5)
    )
    y = np.minimum(rng.negative_binomial(2, 2 / (2 + mean), group.size), 10_000_000)
    if kind == "zero row":
        y[:] = 0
    if kind == "zero group":
        y[group == 1] = 0
    if kind == "millions":
        y[:2] = 9_999_991, 10_000_000
    if kind == "zero and millions":
        y[:2] = 0, 10_000_000
    return y


def _theta(rng, y: np.ndarray, p: int) -> np.ndarray:
    far = np.arange(POINTS)[:, None] % 3 == 0
    beta = rng.normal(0, np.where(far, 5.0, 0.4), (POINTS, p))
    beta[:, 0] += np.log(y.mean() + 0.1)
    log_dispersion = np.log(10.0) * rng.uniform(-8, 3, POINTS)
    log_dispersion[:2] = np.log([1e-8, 1e3])
    return np.column_stack([beta, log_dispersion]).astype(np.float32).astype(np.float64)
