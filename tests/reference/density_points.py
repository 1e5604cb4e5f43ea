"""Points at which all log densities are compared: 50 genes, each with 20 sets of parameters.

Designs, factors and hyperparameters are random; counts reach from 0 to 1e7, dispersions from 1e-8 to 1e3, and
every third set of coefficients lies far from the counts.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from reference.log_density import cauchy, gene_log_likelihood, normal, student_t

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

    @property
    def log_trend(self) -> float:
        extra = 0.0 if self.extra_poisson is None else self.extra_poisson / self.base_mean
        return float(np.log(self.asymptotic_dispersion + extra))

    def log_priors(self, theta) -> np.ndarray:
        """Reference log prior of the shrunken coefficients, of the others, and of the log dispersion."""
        parts = [np.longdouble(0)] * 3
        for k, shrunken in enumerate(self.shrunken):
            if shrunken:
                parts[0] += cauchy(theta[k], self.scale[k])
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
            "log_nf": [self.log_nf.tolist()],
            "location": np.zeros((1, p + 1)).tolist(),
            "scale": np.eye(p + 1)[None].tolist(),
            "noncentered": np.zeros((1, p + 1), int).tolist(),
            "width": np.zeros((1, p)).tolist(),
            "precision": [0.0],
            "precision_times_mean": [0.0],
            "shrunken": self.shrunken.astype(int).tolist(),
            "unshrunken_sd": self.unshrunken_sd,
            "residuals": int(self.nu is not None),
            "use_likelihood": 1,
        }


def gene_points(seed: int = 16) -> Iterator[GenePoints]:
    rng = np.random.default_rng(seed)
    for gene in range(GENES):
        yield _one_gene(rng, KINDS[gene % len(KINDS)], student=gene % 4 < 2, constant=gene % 5 == 0)


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
