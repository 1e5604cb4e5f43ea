r"""The scale on which probabilities are searched for and sampled.

    psi = p^(1/3) - (1 - p)^(1/3),      from -1 to 1.

Near 0 it is the cube root, on which a Gamma distribution is close to a normal one (Wilson and Hilferty 1931,
doi:10.1073/pnas.17.12.684), as the posterior of a small probability is not on the scale of the logit; near 1
it is the same of 1 - p. With a = p^(1/3), b = (1 - p)^(1/3) and s = a + b,

    s^3 + 3 psi^2 s = 4,   a = (s + psi)/2,   da/dpsi = b^2 / (a^2 + b^2),   db/dpsi = -a^2 / (a^2 + b^2).

Beyond -1 and 1 the scale is reflected.
"""

from __future__ import annotations

import numpy as np

__all__ = ["direction", "logit_slope", "of_probability", "probability", "roots"]

SMALLEST = 1e-6
"""Of a and b, so that nothing is divided by 0."""


def roots(psi: np.ndarray | float) -> tuple[np.ndarray, np.ndarray]:
    """Return the cube roots of p and 1 - p.

    Parameters
    ----------
    psi : ndarray (...) or float

    Returns
    -------
    a, b : ndarray (...)
    """
    inside = np.abs((np.asarray(psi, dtype=np.float64) + 3.0) % 4.0 - 2.0) - 1.0  # psi itself, reflected
    larger = np.cbrt(2.0 + np.sqrt(4.0 + inside**6))
    total = larger - inside**2 / larger  # the product of Cardano's two roots is -psi^2
    return np.maximum(0.5 * (total + inside), SMALLEST), np.maximum(0.5 * (total - inside), SMALLEST)


def direction(psi: float) -> float:
    """Return 1 where p grows with psi, and -1 where the scale is reflected.

    Parameters
    ----------
    psi : float
    """
    return 1.0 if (psi + 3.0) % 4.0 >= 2.0 else -1.0


def probability(psi: np.ndarray | float) -> np.ndarray:
    """Return p.

    Parameters
    ----------
    psi : ndarray (...) or float

    Returns
    -------
    ndarray (...)
    """
    a, b = roots(psi)
    return np.where(a < b, a**3, 1.0 - b**3)


def of_probability(p: np.ndarray | float) -> np.ndarray:
    """Return psi.

    Parameters
    ----------
    p : ndarray (...) or float

    Returns
    -------
    ndarray (...)
    """
    return np.asarray(np.cbrt(p) - np.cbrt(1.0 - np.asarray(p)))


def logit_slope(psi: float) -> float:
    """Return d logit(p) / d psi = 3 / (a b (a^2 + b^2)), negative where the scale is reflected.

    Parameters
    ----------
    psi : float
    """
    a, b = roots(psi)
    return direction(psi) * float(3.0 / (a * b * (a * a + b * b)))
