"""Points of a multivariate Student-t distribution, by a Latin hypercube.

McKay, Beckman and Conover (1979, Technometrics 21:239): few points lie evenly along every axis.
"""

from __future__ import annotations

import numpy as np
from scipy.special import chdtri, ndtri

__all__ = ["POINT_DF", "student_t_points"]

POINT_DF = 7.0


def student_t_points(number: int, size: int, rng: np.random.Generator) -> np.ndarray:
    """Draw points with center 0 and the unit matrix for a scale matrix.

    Parameters
    ----------
    number : int
        Of points.
    size : int
        Of dimensions.
    rng : Generator

    Returns
    -------
    ndarray (point, dimension)
    """
    strata = rng.permuted(np.tile(np.arange(number), (size + 1, 1)), axis=1)
    levels = (strata + rng.random(strata.shape)) / number
    return np.asarray((ndtri(levels[:-1]) * np.sqrt(POINT_DF / chdtri(POINT_DF, levels[-1]))).T)
