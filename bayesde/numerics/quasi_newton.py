r"""Minimization by limited-memory BFGS, with or without bounds, in a fixed order of summation.

The method of R's ``optim(method = "L-BFGS-B")`` (Byrd, Lu, Nocedal and Zhu 1995, doi:10.1137/0916069; line
search: More and Thuente 1994, doi:10.1145/192115.192132). With the last few steps s and changes y of the
gradient, the Hessian B is modelled by updating theta I, theta = y'y / s'y,

    B <- B - B s s' B / (s' B s) + y y' / (y' s)

and each iteration goes (1) along the projected gradient to the first minimum of the model, the Cauchy
point, (2) from there to the minimum of the model among the variables that are not at a bound, as far as the
bounds allow, and (3) searches the line to that point. SciPy has the third version of the method, which treats
a step beyond a bound otherwise than R's second, and computes through a BLAS, so that where the search stops
depends on the processor.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from bayesde.numerics.linear import least_squares

__all__ = ["Minimum", "minimize"]

EPSILON = float(np.finfo(float).eps)
SUFFICIENT_DECREASE, CURVATURE, NARROWEST = 1e-3, 0.9, 0.1
"""Of the line search: on the value, on the slope, and the relative width of the bracket at which it ends."""
MAX_TRIALS = 20
LONGEST = 1e10
"""Longest step where there are no bounds."""
SHRINK = 0.66
EXTRAPOLATE = (1.1, 4.0)


class Minimum(NamedTuple):
    """Where a search ended.

    Attributes
    ----------
    x : ndarray (variable,)
    converged : bool
        Whether it ended because the relative gain was small enough.
    """

    x: np.ndarray
    converged: bool


class _Problem(NamedTuple):
    """What is minimized, and the bounds (variable,), infinite where there are none."""

    value: Callable[[np.ndarray], float]
    gradient: Callable[[np.ndarray], np.ndarray]
    lower: np.ndarray
    upper: np.ndarray

    @property
    def bounded(self) -> bool:
        """Whether there are bounds."""
        return bool(np.isfinite(self.lower).any())

    def within(self, x: np.ndarray) -> np.ndarray:
        """Return the point within the bounds that is nearest to x."""
        return np.clip(x, self.lower, self.upper)


Pairs = list[tuple[np.ndarray, np.ndarray]]
"""Steps s and changes of the gradient y, the oldest first."""


def minimize(
    value: Callable[[np.ndarray], float],
    gradient: Callable[[np.ndarray], np.ndarray],
    start: np.ndarray,
    *,
    bounds: tuple[float, float] = (-math.inf, math.inf),
    memory: int = 5,
    relative_gain: float = 1e7 * EPSILON,
    max_iterations: int = 100,
) -> Minimum:
    """Minimize a function from a start.

    Parameters
    ----------
    value, gradient : callable
        Of the variables (variable,): a float, and an ndarray (variable,).
    start : ndarray (variable,)
        Within the bounds.
    bounds : (float, float), optional
        Smallest and largest value of every variable.
    memory : int
        How many steps the model of the Hessian remembers.
    relative_gain : float
        The search ends when a step lowers the value by less than this share of max(|value|, 1).
    max_iterations : int

    Returns
    -------
    Minimum
    """
    # Slopes may overflow, as for a covariate far from 0: such a model is of no use, and is given up.
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        return _minimum(value, gradient, start, bounds, memory, relative_gain, max_iterations)


def _minimum(
    value: Callable[[np.ndarray], float],
    gradient: Callable[[np.ndarray], np.ndarray],
    start: np.ndarray,
    bounds: tuple[float, float],
    memory: int,
    relative_gain: float,
    max_iterations: int,
) -> Minimum:
    x = np.array(start, dtype=np.float64)
    problem = _Problem(value, gradient, *(np.full(x.size, bound) for bound in bounds))
    f, g, pairs = value(x), gradient(x), Pairs()
    iteration = 0
    while iteration < max_iterations:
        if not np.any(problem.within(x - g) != x):
            return Minimum(x, True)
        target = _target(x, g, pairs, problem)
        found = _search_line(problem, x, f, g, target, first=iteration == 0)
        if found is None:
            if not pairs:
                return Minimum(x, False)
            pairs = Pairs()  # the model is of no use any more
            continue
        iteration += 1
        x_new, f_new, g_new, s = found
        y, gain, size = g_new - g, f - f_new, max(abs(f), abs(f_new), 1.0)
        if np.sum(s * y) > -EPSILON * np.sum(s * g):
            pairs = [*pairs[-(memory - 1) :], (s, y)]
        x, f, g = x_new, f_new, g_new
        if gain <= relative_gain * size:
            return Minimum(x, True)
    return Minimum(x, False)


def _target(x: np.ndarray, g: np.ndarray, pairs: Pairs, problem: _Problem) -> np.ndarray:
    """Return the point (variable,) towards which the line is searched."""
    newton = x - _inverse_times(pairs, g)
    if not problem.bounded:
        return newton
    hessian = _hessian(pairs, x.size)
    cauchy = _cauchy_point(x, g, hessian, problem)
    free = (cauchy > problem.lower) & (cauchy < problem.upper)
    step = newton - cauchy if free.all() else np.zeros(x.size)
    if not free.all() and free.any():
        slope = g + np.sum(hessian * (cauchy - x), axis=1)
        step[free] = -least_squares(hessian[np.ix_(free, free)], slope[free])
    return problem.within(cauchy + _feasible(cauchy, step, problem) * step)


def _feasible(x: np.ndarray, step: np.ndarray, problem: _Problem, most: float = 1.0) -> float:
    """Return how much of a step from within the bounds, at most ``most``, stays within them."""
    room = np.where(step < 0.0, problem.lower - x, problem.upper - x)
    for length, limit in zip(step, room, strict=True):
        if length != 0.0 and abs(length) * most > abs(limit):
            most = float(limit / length)
    return most


def _inverse_times(pairs: Pairs, g: np.ndarray) -> np.ndarray:
    """Return B^-1 g (variable,) by the two loops over the pairs (Nocedal 1980, doi:10.2307/2006193)."""
    q, shares = g.copy(), []
    for s, y in reversed(pairs):
        shares.append(np.sum(s * q) / np.sum(s * y))
        q -= shares[-1] * y
    if pairs:
        s, y = pairs[-1]
        q *= np.sum(s * y) / np.sum(y * y)
    for (s, y), share in zip(pairs, reversed(shares), strict=True):
        q += (share - np.sum(y * q) / np.sum(s * y)) * s
    return q


def _hessian(pairs: Pairs, n: int) -> np.ndarray:
    """Return B (variable, variable)."""
    theta = 1.0 if not pairs else np.sum(pairs[-1][1] ** 2) / np.sum(pairs[-1][0] * pairs[-1][1])
    hessian = theta * np.eye(n)
    for s, y in pairs:
        along = np.sum(hessian * s, axis=1)
        hessian = hessian - np.outer(along, along) / np.sum(s * along) + np.outer(y, y) / np.sum(s * y)
    return hessian


def _cauchy_point(x: np.ndarray, g: np.ndarray, hessian: np.ndarray, problem: _Problem) -> np.ndarray:
    """Return the first minimum of the model along the projected path x - t g, t >= 0."""
    bound = np.where(g < 0.0, problem.upper, problem.lower)
    breaks = np.where(g == 0.0, math.inf, (x - bound) / g)
    direction, point, before = np.where(breaks > 0.0, -g, 0.0), x.copy(), 0.0
    for i in [*np.argsort(breaks, kind="stable"), None]:
        curvature = np.sum(direction * np.sum(hessian * direction, axis=1))
        if not curvature > 0.0:
            return point
        slope = np.sum(direction * (g + np.sum(hessian * (point - x), axis=1)))
        wanted = max(-slope / curvature, 0.0)
        if i is None or not 0.0 <= breaks[i] - before <= wanted:
            if i is not None and breaks[i] <= 0.0:
                continue  # at its bound from the start
            return point + wanted * direction
        point, before = point + (breaks[i] - before) * direction, breaks[i]
        point[i], direction[i] = bound[i], 0.0
    return point


def _search_line(
    problem: _Problem, x: np.ndarray, f: float, g: np.ndarray, target: np.ndarray, first: bool
) -> tuple[np.ndarray, float, np.ndarray, np.ndarray] | None:
    """Search from x towards a target; return point, value, gradient and step, or None if nothing is found."""
    direction = target - x
    slope = float(np.sum(direction * g))
    if not slope < 0.0:
        return None
    bounded = problem.bounded
    longest = (1.0 if first else _feasible(x, direction, problem, LONGEST)) if bounded else LONGEST
    length = min(1.0 / math.sqrt(float(np.sum(direction**2))), longest) if first and not bounded else 1.0
    search = _LineSearch(f, slope, length, longest)
    for _ in range(MAX_TRIALS):
        point = target.copy() if search.length == 1.0 else x + search.length * direction
        value, gradient = problem.value(point), problem.gradient(point)
        if search.ended(value, float(np.sum(direction * gradient))):
            return point, value, gradient, search.length * direction
    return None


class _LineSearch:
    """The search of More and Thuente for a length with enough decrease and a flat enough slope.

    ``best`` and ``other`` are the ends (length, value, slope) of the interval that is searched, of which the
    former has the lower value; ``bracketed`` tells whether a minimum is known to lie between them.
    """

    def __init__(self, value: float, slope: float, length: float, longest: float) -> None:
        self.value, self.slope, self.length, self.longest = value, slope, length, longest
        self.best = self.other = (0.0, value, slope)
        self.bracketed, self.decreasing = False, True
        self.width, self.width_before = longest, 2.0 * longest
        self.range = (0.0, length + EXTRAPOLATE[1] * length)

    def ended(self, value: float, slope: float) -> bool:
        """Take value and slope at ``length``; tell whether the search ends there, or choose the next."""
        length, wanted = self.length, SUFFICIENT_DECREASE * self.slope
        enough = self.value + length * wanted
        if self.decreasing and value <= enough and slope >= 0.0:
            self.decreasing = False
        low, high = self.range
        if self.bracketed and (not low < length < high or high - low <= NARROWEST * high):
            return True
        if length == self.longest and value <= enough and slope <= wanted:
            return True
        if length == 0.0 or (value <= enough and abs(slope) <= CURVATURE * -self.slope):
            return True
        tilt = wanted if self.decreasing and enough < value <= self.best[1] else 0.0
        self._narrow((length, value, slope), tilt)
        return False

    def _narrow(self, trial: tuple[float, float, float], tilt: float) -> None:
        """Replace an end of the interval, and choose the next length; ``tilt`` is taken off all slopes."""
        best, other, trial = (_tilted(end, -tilt) for end in (self.best, self.other, trial))
        length, closes = _next_length(best, other, trial, self.bracketed, self.range)
        self.bracketed |= closes
        if trial[1] > best[1]:
            other = trial
        else:
            other, best = (best if trial[2] * best[2] < 0.0 else other), trial
        self.best, self.other = _tilted(best, tilt), _tilted(other, tilt)
        ends = (self.best[0], self.other[0])
        if self.bracketed:
            if abs(ends[1] - ends[0]) >= SHRINK * self.width_before:
                length = ends[0] + 0.5 * (ends[1] - ends[0])
            self.width_before, self.width = self.width, abs(ends[1] - ends[0])
            self.range = (min(ends), max(ends))
        else:
            self.range = tuple(length + factor * (length - ends[0]) for factor in EXTRAPOLATE)  # type: ignore[assignment]
        length = min(max(length, 0.0), self.longest)
        low, high = self.range
        if self.bracketed and (not low < length < high or high - low <= NARROWEST * high):
            length = ends[0]
        self.length = length


def _tilted(end: tuple[float, float, float], tilt: float) -> tuple[float, float, float]:
    """Add a line of slope ``tilt`` through the origin to an end (length, value, slope)."""
    return (end[0], end[1] + end[0] * tilt, end[2] + tilt)


def _next_length(
    best: tuple[float, float, float],
    other: tuple[float, float, float],
    trial: tuple[float, float, float],
    bracketed: bool,
    allowed: tuple[float, float],
) -> tuple[float, bool]:
    """Choose the next length by the cubic and the quadratic or secant through the ends.

    Returns
    -------
    length : float
    closes : bool
        Whether the trial shows that a minimum lies within the interval.
    """
    (x, fx, dx), (y, _, _), (t, ft, dt) = best, other, trial
    if ft > fx:
        cubic = _cubic_minimum(best, trial, x)
        quadratic = x + dx / ((fx - ft) / (t - x) + dx) / 2.0 * (t - x)
        nearer = abs(cubic - x) < abs(quadratic - x)
        return (cubic if nearer else cubic + (quadratic - cubic) / 2.0), True
    secant = t + dt / (dt - dx) * (x - t) if dt != dx else math.inf
    if dt * dx < 0.0:
        cubic = _cubic_minimum(trial, best, t)
        return (cubic if abs(cubic - t) > abs(secant - t) else secant), True
    end = allowed[1] if t > x else allowed[0]
    if abs(dt) < abs(dx):
        cubic = _cubic_beyond(best, trial, end)
        if not bracketed:
            length = cubic if abs(cubic - t) > abs(secant - t) else secant
            return min(max(length, allowed[0]), allowed[1]), False
        length = cubic if abs(cubic - t) < abs(secant - t) else secant
        limit = t + SHRINK * (y - t)
        return (min(limit, length) if t > x else max(limit, length)), False
    return (_cubic_minimum(trial, other, t) if bracketed else end), False


def _cubic(a: tuple[float, float, float], b: tuple[float, float, float]) -> tuple[float, float]:
    """Return theta and gamma of the cubic that matches values and slopes at two ends."""
    theta = 3.0 * (a[1] - b[1]) / (b[0] - a[0]) + a[2] + b[2]
    scale = max(abs(theta), abs(a[2]), abs(b[2]))
    return theta, scale * math.sqrt(max(0.0, (theta / scale) ** 2 - a[2] / scale * (b[2] / scale)))


def _cubic_minimum(a: tuple[float, float, float], b: tuple[float, float, float], origin: float) -> float:
    """Minimum of the cubic through two ends, reckoned from the first, which is at ``origin``."""
    theta, gamma = _cubic(a, b)
    gamma = -gamma if b[0] < a[0] else gamma
    share = (gamma - a[2] + theta) / (gamma - a[2] + gamma + b[2])
    return origin + share * (b[0] - a[0])


def _cubic_beyond(best: tuple[float, float, float], trial: tuple[float, float, float], end: float) -> float:
    """Minimum of the cubic beyond the trial, or the end of what is allowed if it has none there."""
    theta, gamma = _cubic(best, trial)
    gamma = -gamma if trial[0] > best[0] else gamma
    share = (gamma - trial[2] + theta) / (gamma + (best[2] - trial[2]) + gamma)
    return trial[0] + share * (best[0] - trial[0]) if share < 0.0 and gamma != 0.0 else end
