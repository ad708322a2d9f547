"""Overlaps of neurons with biases against quadrature and its differences, in 60 digits.

The route is none of the package's: given z along u, V is normal, and what is left is one integral
over z of $(|u| z + b)_+ \\varphi(z)$ times the mean of $V_+$. Derivatives are its differences.
"""

import fifty_digits as digits
import jax
import jax.numpy as jnp
import mpmath as mp
import numpy as np
import pytest

from shallows.model import biased

STEP = mp.mpf("1e-15")
FAR = 18  # φ(18) = 1e-71


def overlap(u, v):
    """K of two rows with biases in the last place."""
    (*x, b), (*y, c) = u, v
    s = mp.sqrt(digits.dot(x, x))
    if s == 0:
        if digits.dot(y, y) == 0:
            return max(b, 0) * max(c, 0)
        return overlap(v, u)
    slope = digits.dot(x, y) / s
    # The part of v orthogonal to u, by its vector: the difference of squares would lose digits.
    rest = [q - slope * p / s for p, q in zip(x, y, strict=True)]
    spread = mp.sqrt(digits.dot(rest, rest))

    def mean(z):
        m = c + slope * z
        if spread == 0:
            return max(m, 0)
        return m * mp.ncdf(m / spread) + spread * mp.npdf(m / spread)

    # Where the integrand turns, and how fast.
    places = [mp.mpf(-6), mp.mpf(-3), mp.mpf(0), mp.mpf(3), mp.mpf(6)]
    if slope != 0:
        kink, width = -c / slope, abs(spread / slope)
        places += [kink + side * w * width for side in (-1, 1) for w in (0, 1, 3, 7, 15)]
    low = max(-b / s, mp.mpf(-FAR))
    cuts = sorted({low, mp.mpf(FAR), *(p for p in places if low < p < FAR)})
    return mp.quad(lambda z: (s * z + b) * mp.npdf(z) * mean(z), cuts, maxdegree=8)


def along(u, v, du, dv):
    """K, and its first and second derivatives on a line through (u, v)."""

    def at(step):
        first, second = (
            [x + step * y for x, y in zip(row, move, strict=True)]
            for row, move in ((u, du), (v, dv))
        )
        return overlap(first, second)

    low, here, high = at(-STEP), at(0), at(STEP)
    return here, (high - low) / (2 * STEP), (high - 2 * here + low) / STEP**2


@jax.jit
def _ours(u, v, du, dv):
    u, v = u[None], v[None]
    one = jnp.ones(1)
    slopes = [biased.gram_gradient(u, v)[0, 0], biased.gram_gradient(v, u)[0, 0]]
    pure = [biased.curvature(u, one, v)[0], biased.curvature(v, one, u)[0]]
    mixed = biased.mixed_curvature(u, v)[0, 0]
    value, by_jvp = jax.jvp(biased.gram, (u, v), (du[None], dv[None]))
    pulled, turn = jax.jvp(biased.pull, (u, v, one), (du[None], dv[None], 0 * one))
    return (
        value[0, 0],
        du @ slopes[0] + dv @ slopes[1],
        du @ pure[0] @ du + 2 * du @ mixed @ dv + dv @ pure[1] @ dv,
        by_jvp[0, 0],
        pulled[0] - slopes[0],
        turn[0] - pure[0] @ du - mixed @ dv,
    )


CASES = {
    "generic": ([1.0, 0.3, 0.4], [-0.5, 0.8, -0.2]),
    "nearly parallel": ([1.0, 0.3, 0.4], [2.0 + 1e-7, 0.6 - 2e-7, 0.8 + 1e-6]),
    "equal": ([1.0, 0.3, 0.4], [1.0, 0.3, 0.4]),
    "nearly equal": ([1.0, 0.3, 0.4], [1.0 + 1e-9, 0.3 - 2e-9, 0.4 + 1e-9]),
    "parallel": ([1.0, 0.25, 0.4], [2.0, 0.5, -0.3]),
    "opposite": ([1.0, 0.25, 0.4], [-2.0, -0.5, 0.3]),
    "nearly opposite": ([1.0, 0.3, 0.4], [-1.0, -0.3 - 1e-7, -0.4 + 1e-7]),
    "no bias": ([1.0, 0.3, 0.0], [-0.5, 0.8, 0.0]),
    "one bias": ([1.0, 0.3, 0.0], [-0.5, 0.8, 0.6]),
    "tiny biases": ([1.0, 0.3, 1e-9], [-0.5, 0.8, -1e-9]),
    "both negative": ([1.0, 0.3, -1.4], [-0.5, 0.8, -0.7]),
    "far": ([1.0, 0.3, 6.0], [-0.5, 0.8, -3.0]),
    "nearly constant": ([0.1, 0.03, 6.0], [-0.5, 0.8, 3.0]),
    "constant": ([0.0, 0.0, 0.6], [-0.5, 0.8, 0.3]),
    "two constants": ([0.0, 0.0, 0.6], [0.0, 0.0, 0.3]),
    "asleep": ([0.1, 0.03, -6.0], [-0.5, 0.8, 3.0]),
}
DIRECTION = np.array([[0.3, -0.8, 0.5], [0.6, 0.2, -0.7]])


def test_overlaps_with_biases():
    first, second = (jnp.asarray(rows) for rows in zip(*CASES.values(), strict=True))
    ours = np.asarray(jax.jit(biased.gram)(first, second))
    with mp.workdps(20):
        for i, (name, (u, v)) in enumerate(CASES.items()):
            exact = overlap(digits.exact(u), digits.exact(v))
            size = float(np.linalg.norm(u) * np.linalg.norm(v))
            assert abs(mp.mpf(float(ours[i, i])) - exact) < 1e-15 * size, name


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_overlaps_with_biases_and_their_derivatives(case):
    u, v = CASES[case]
    exact = along(*(digits.exact(x) for x in (u, v, *DIRECTION)))
    ours = _ours(*(jnp.asarray(x) for x in (u, v, *DIRECTION)))
    size = float(np.linalg.norm(u) * np.linalg.norm(v))
    assert abs(mp.mpf(float(ours[0])) - exact[0]) < 1e-15 * size
    for first in (ours[1], ours[3]):
        assert abs(mp.mpf(float(first)) - exact[1]) < 1e-14 * max(size, 1)
    assert abs(mp.mpf(float(ours[2])) - exact[2]) < 1e-13 * max(size, 1)
    np.testing.assert_allclose(ours[4], 0, atol=1e-15 * size)  # contracted or not, it is the same
    np.testing.assert_allclose(ours[5], 0, atol=1e-14 * max(size, 1))
