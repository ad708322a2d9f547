r"""Kinks of a function on a line, from its values alone.

Between two kinks a piecewise linear function is a line, and two values are all there is to know
of it. So an interval is asked at four points near its ends: if the two lines through them agree
there is no kink inside; if they meet inside, on the function, there is one, at the meeting point,
which is exact up to rounding however long the interval is; else it is cut in two.
"""

import dataclasses
from collections.abc import Callable

import numpy as np
from jaxtyping import Bool, Float

# Lines are drawn through points at 1/8 of the interval from its ends, so that rounding is
# multiplied by less than 20 at the other end.
_REACH, _GROWTH = 1 / 8, 20.0
# Intervals shorter than this, relative to where they lie, are not cut again.
_SHORTEST = 2.0**-40


@dataclasses.dataclass(frozen=True, eq=False)
class Rounding:
    """How large rounding errors of an oracle are, at points of norm |x|."""

    floor: float
    rate: float

    def __call__(self, norm: Float[np.ndarray, " n"] | float) -> Float[np.ndarray, " n"] | float:
        """A bound that errors hardly ever exceed."""
        return self.floor + self.rate * norm


@dataclasses.dataclass(frozen=True, eq=False)
class LineKinks:
    """The kinks of a function on a line."""

    at: Float[np.ndarray, " k"]
    """Where, in increasing order."""
    jump: Float[np.ndarray, " k"]
    """Of the slope."""
    error: Float[np.ndarray, " k"]
    """Bound on the error of `at` that rounding makes."""
    unresolved: Float[np.ndarray, "u 2"]
    """Short intervals in which there is more than one kink, or something else."""
    breaks: bool
    """Whether some of them were cut and cut again without one of the parts being free of kinks:
    so it is where a function is smooth, but not where it has kinks."""
    leap: tuple[float, float] | None
    """A point at which the function jumps, and by how much."""


def kinks_on_line(
    f: Callable[[np.ndarray], np.ndarray],
    rounding: Callable[[np.ndarray], np.ndarray],
    grid: Float[np.ndarray, " g"],
    *,
    most: int = 20_000,
    seed: int = 0,
) -> LineKinks:
    """The kinks of f between the first and the last point of `grid`, which increases.

    `rounding` bounds the error of f at each t.

    **Accuracy.** Positions to about 40 rounding errors over the jump. Kinks with jumps so small
    that they do not show above rounding over their interval are not seen; two kinks nearer than
    about 1e-12 of their distance from 0 end in `unresolved`, or are one.

    **Cost.** 30 to 50 queries a kink, whatever the accuracy.
    """
    rng = np.random.default_rng(seed)
    a, b = grid[:-1], grid[1:]
    y = f(grid)
    fa, fb = y[:-1], y[1:]
    found, unresolved = [], []
    breaks, leap, crowded = False, None, 0
    while len(a):
        length = b - a
        s = _REACH * length
        inner = a + rng.uniform(0.35, 0.65, len(a)) * length
        fl, fr, fi = np.split(f(np.concatenate([a + s, b - s, inner])), 3)
        bound = _GROWTH * rounding(np.maximum(np.abs(a), np.abs(b)))
        left, right = (fl - fa) / s, (fb - fr) / s
        is_straight = (
            (np.abs(fa + left * length - fb) <= bound)
            & (np.abs(fb - right * length - fa) <= bound)
            & (np.abs(fa + left * (inner - a) - fi) <= bound)
        )
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            t = a + (fb - fa - right * length) / (left - right)
        meet = ~is_straight & (t > a + s) & (t < b - s)
        is_single = meet.copy()
        if np.any(meet):
            is_single[meet] = _is_kink(f, t, a, b, fa, fb, left, right, bound, meet)
            is_single &= np.where(
                inner < t,
                np.abs(fa + left * (inner - a) - fi),
                np.abs(fb - right * (b - inner) - fi),
            ) <= np.where(meet, bound, 0.0)
        for i in np.flatnonzero(is_single):
            size = abs(right[i] - left[i])
            found.append((t[i], right[i] - left[i], 2 * bound[i] / size))
        rest = ~is_straight & ~is_single
        short = rest & (length <= _SHORTEST * np.maximum(1.0, np.maximum(np.abs(a), np.abs(b))))
        for i in np.flatnonzero(short):
            unresolved.append((a[i], b[i]))
            if abs(fb[i] - fa[i]) > 1e3 * bound[i]:
                leap = (float(a[i]), float(fb[i] - fa[i]))
        rest &= ~short
        # A kink leaves one half straight; where a function is smooth no half ever is.
        crowded = crowded + 1 if np.sum(rest) > max(64, 0.85 * len(a)) else 0
        if crowded > 7 or np.sum(rest) > most:
            breaks = True
            unresolved.extend(zip(a[rest], b[rest], strict=True))
            break
        cut = a[rest] + rng.uniform(0.42, 0.58, int(np.sum(rest))) * length[rest]
        fc = f(cut) if len(cut) else cut
        a, b = np.concatenate([a[rest], cut]), np.concatenate([cut, b[rest]])
        fa, fb = np.concatenate([fa[rest], fc]), np.concatenate([fc, fb[rest]])
    table = np.array(sorted(found)).reshape(-1, 3)
    gaps = np.array(sorted(unresolved)).reshape(-1, 2)
    return LineKinks(table[:, 0], table[:, 1], table[:, 2], gaps, breaks, leap)


def _is_kink(f, t, a, b, fa, fb, left, right, bound, meet) -> Bool[np.ndarray, " m"]:
    """Whether f is the two lines: next to their meeting point, and halfway to it from either end.

    Two kinks of opposite signs look like one at a point outside both, which is on f and on both
    lines; but right next to it f has no kink.
    """
    t, a, b, fa, fb = t[meet], a[meet], b[meet], fa[meet], fb[meet]
    left, right, bound = left[meet], right[meet], bound[meet]
    near = np.minimum(20 * bound / np.abs(right - left), 0.3 * np.minimum(t - a, b - t))
    before, after = [(a + t) / 2, t - near], [t + near, (t + b) / 2]
    values = np.split(f(np.concatenate([t, *before, *after])), 5)
    fits = np.abs(fa + left * (t - a) - values[0]) <= bound
    for x, y in zip(before, values[1:3], strict=True):
        fits &= np.abs(fa + left * (x - a) - y) <= bound
    for x, y in zip(after, values[3:], strict=True):
        fits &= np.abs(fb - right * (b - x) - y) <= bound
    return fits
