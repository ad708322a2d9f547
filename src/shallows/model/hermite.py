r"""Gaussian means of two functions' product, by few terms of Mehler's series.

For U and V normal with standard deviations s, t and correlation ρ,

$$ \mathbb{E}\,f(U)\,g(V) = \sum_n f_n(s)\,g_n(t)\,\rho^n, \qquad
   f_n(s) = \mathbb{E}\,f(s z)\,\mathrm{He}_n(z)/\sqrt{n!}. $$

The series converges slowly where f has poles near the real axis (for the hyperbolic tangent and
s = 3 it takes a thousand terms), but it is a sum over n of what is smooth in n, and for s, t up to
some length its terms span, to 12 digits, a space of dimension 10 to 25 only. So there is a
*quadrature in n* with about as many nodes,

$$ \mathbb{E}\,f(U)\,g(V) = \sum_r \omega_r\,f_{n_r}(s)\,g_{n_r}(t)\,\rho^{n_r}, $$

found once for each pair of functions, whose $f_n$ are polynomials in $s/(1+s)$.
"""

import dataclasses
import functools
import math
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np
import scipy.linalg

# φ(z)^(1/2) is 4e-19 there.
_FAR = 13.0
_MOST = 2048
_BLOCK = 1 << 13
_LOW = 6
"""Chebyshev polynomials up to this degree times those of its multiples are the basis in s."""


@dataclasses.dataclass(frozen=True)
class Series:
    """A quadrature in n: E f(U) g(V) = Σ left_r(s) right_r(t) ρ^(orders_r) for s, t ≤ longest."""

    orders: tuple[int, ...]
    left: np.ndarray
    """Coefficients of ω_r f_{n_r} in row r."""
    right: np.ndarray
    longest: float

    def total(self, left, right, ratio):
        """The sum for tables of both sides (r on the first axis) and correlations, by Horner."""
        powers = {1: ratio}

        def power(n):
            if n not in powers:
                powers[n] = power(n // 2) * power(n - n // 2)
            return powers[n]

        sum_, above = 0.0, None
        for r in range(len(self.orders) - 1, -1, -1):
            if above is not None:
                sum_ = sum_ * power(above - self.orders[r])
            sum_, above = sum_ + left[r] * right[r], self.orders[r]
        return sum_ * power(above) if above else sum_ + 0 * ratio

    def at(self, s, t, ratio):
        """The mean at lengths and correlations that broadcast against each other."""
        (left,), (right,) = (
            tables([c], x, self.longest) for c, x in ((self.left, s), (self.right, t))
        )
        return self.total(left, right, ratio)


def tables(sides: Sequence[np.ndarray], s, longest: float) -> list:
    """The functions with these coefficients at lengths s, on a first axis: one matrix product."""
    xp = np if isinstance(s, np.ndarray) else jnp
    x = 2 * s / (1 + s) * ((1 + longest) / longest) - 1
    width = max(side.shape[1] for side in sides)
    low = _chebyshev(x, _LOW)
    high = _chebyshev(2 * low[_LOW // 2] ** 2 - 1, width // _LOW)
    basis = xp.stack(high)[:, None] * xp.stack(low)[None]
    stacked = np.concatenate([np.pad(c, ((0, 0), (0, width - c.shape[1]))) for c in sides])
    flat = (xp.asarray(stacked) @ basis.reshape(width, -1)).reshape(-1, *x.shape)
    return xp.split(flat, np.cumsum([len(side) for side in sides])[:-1])


def _chebyshev(x, number):
    terms = [1 + 0 * x, x]
    while len(terms) < number:
        terms.append(2 * x * terms[-1] - terms[-2])
    return terms[:number]


def derivative(function: Callable, order: int) -> Callable:
    """The function's derivative of that order, elementwise."""
    for _ in range(order):
        function = functools.partial(_slope, function)
    return function


def _slope(function, t):
    return jax.jvp(function, (t,), (jnp.ones_like(t),))[1]


def coefficients(function: Callable, order: int, s, terms: int):
    """f₀, …, f_{terms−1} of a derivative of the function at lengths s, on a last axis."""
    nodes, table = hermite(terms)
    return derivative(function, order)(s[..., None] * nodes) @ table


def mean(function: Callable, order: tuple[int, int], s, t, ratio, terms: int):
    """E f(U) g(V) for derivatives of those orders, by Mehler's series term by term."""
    f, g = (
        jnp.moveaxis(coefficients(function, n, x, terms), -1, 0)[::-1]
        for n, x in zip(order, (s, t), strict=True)
    )
    start = jnp.zeros(jnp.broadcast_shapes(s.shape, t.shape, ratio.shape))
    return jax.lax.scan(lambda sum_, x: (sum_ * ratio + x[0] * x[1], None), start, (f, g))[0]


@functools.lru_cache(maxsize=8)
def hermite(terms: int) -> tuple[np.ndarray, np.ndarray]:
    r"""Nodes z of the trapezoidal rule, and $h\,\varphi\,\mathrm{He}_n/\sqrt{n!}$ there.

    n is on the last axis. The step resolves Hermite functions of degree `terms`, whose frequencies
    reach √terms, twice: so the rule is exact to rounding for what their series is exact for.
    """
    nodes = np.linspace(-_FAR, _FAR, 2 * math.ceil(8 * (math.sqrt(terms) + 4)) + 1)
    rows = [np.exp(-(nodes**2) / 4) / (2 * math.pi) ** 0.25]
    weight = rows[0] * (nodes[1] - nodes[0])
    rows.append(nodes * rows[0])
    for n in range(1, terms - 1):
        rows.append((nodes * rows[n] - math.sqrt(n) * rows[n - 1]) / math.sqrt(n + 1))
    return nodes, (np.stack(rows[:terms]) * weight).T


def known(function: Callable, order: int, s: np.ndarray, terms: int = _MOST) -> np.ndarray:
    """`coefficients`, in NumPy and also while something is traced."""
    nodes, table = hermite(terms)
    return _values(function, order, s[..., None] * nodes) @ table


def _values(function, order, t):
    # In blocks of one size, and three derivatives at once: compilation takes longer than this.
    flat = np.ravel(t)
    blocks = np.pad(flat, (0, -len(flat) % _BLOCK)).reshape(-1, _BLOCK)
    with jax.ensure_compile_time_eval():
        found = [np.asarray(_block(function, order // 3, jnp.asarray(x))) for x in blocks]
    return np.concatenate(found, axis=1)[order % 3, : len(flat)].reshape(t.shape)


@functools.partial(jax.jit, static_argnums=(0, 1))
def _block(function, third, t):
    return jnp.stack([derivative(function, 3 * third + n)(t) for n in range(3)])


def lengths(longest: float, number: int) -> np.ndarray:
    """Chebyshev's nodes in s/(1 + s), increasing."""
    x = (1 - np.cos(np.pi * (np.arange(number) + 0.5) / number)) / 2 * longest / (1 + longest)
    return x / (1 - x)


def needed(function: Callable, longest: float, tolerance: float) -> tuple[int, float]:
    """How many terms give E f(U)² to the tolerance for f and its second derivative; the error.

    What is cut off is what Parseval's identity misses.
    """
    nodes, _ = hermite(_MOST)
    weight = np.exp(-(nodes**2) / 2) * (nodes[1] - nodes[0]) / math.sqrt(2 * math.pi)
    rest = np.zeros(_MOST)
    for order in (0, 2):
        values = _values(function, order, longest * nodes)
        if not np.all(np.isfinite(values)):
            return _MOST, math.inf
        whole = float(weight @ values**2)
        parts = known(function, order, np.asarray(longest)) ** 2
        rest = np.maximum(rest, np.abs(whole - np.cumsum(parts)) / max(whole, 1e-300))
    enough = np.flatnonzero(rest <= tolerance / 4)
    if not len(enough):
        return _MOST, float(rest[-1])
    terms = max(16, 8 * math.ceil((enough[0] + 1) / 8))
    return terms, float(rest[terms - 1])


@functools.lru_cache(maxsize=256)
def series(
    function: Callable, order: tuple[int, int], longest: float, terms: int, tolerance: float
) -> Series:
    """The quadrature in n for E f(U) g(V), f and g the derivatives of those orders.

    **Accuracy.** About `tolerance` of the largest √(E f² E g²) up to the length `longest`.
    """
    fine = [_known(function, n, longest, terms) for n in order]
    scale = math.prod(np.sqrt(np.max(np.sum(x * x, axis=1))) for x in fine)
    if scale == 0:
        return Series((0,), np.zeros((1, 2 * _LOW)), np.zeros((1, 2 * _LOW)), longest)

    # All products at all pairs of lengths, and their series at correlations up to 1.
    f, g = (x[np.linspace(0, len(x) - 1, 12).astype(int)] for x in fine)
    ratio = np.cos(np.linspace(0, 1, 48) ** 1.5 * np.pi / 2)
    products = np.einsum("in,jn->ijn", f, g).reshape(-1, terms) / scale
    powers = ratio[:, None] ** np.arange(terms)
    # E f(U) g(V) for negative correlations is that of even n less that of odd n.
    parity = np.arange(terms) % 2
    chosen, weights = [], []
    for odd in (0, 1):
        among = _candidates(terms, odd)
        rows = (products[:, None, among] * powers[:, among]).reshape(-1, len(among))
        rows[np.abs(rows) < 1e-30] = 0.0  # arithmetic is slow where numbers underflow
        whole = np.einsum("in,jn->ij", products[:, parity == odd], powers[:, parity == odd])
        some, omega = _quadrature(rows, whole.ravel(), tolerance)
        chosen += [among[i] for i in some]
        weights += list(omega)
    pick = np.argsort(chosen)
    orders = np.asarray(chosen, dtype=int)[pick]
    omega = np.asarray(weights)[pick]
    f, g = fine
    left, right = _interpolated([f[:, orders] * omega, g[:, orders]], tolerance / 16)
    return Series(tuple(orders.tolist()), left, right, longest)


@functools.lru_cache(maxsize=16)
def _known(function, order, longest, terms):
    return known(function, order, lengths(longest, 96), terms)


def _candidates(terms, odd):
    """All small n of that parity, and larger ones at distances that grow like n."""
    n, step, found = odd, 2, []
    while n < terms:
        found.append(n)
        if len(found) % 16 == 0 and n >= 8 * step:
            step *= 2
        n += step
    return np.asarray(found)


def _quadrature(rows, whole, tolerance):
    """Few columns of `rows`, and weights, whose combination is `whole`."""
    size = np.max(np.abs(rows)) if rows.size else 0.0
    if size < tolerance / 100:
        return [], []
    # Triangular factors say the same as all rows.
    (upper,) = scipy.linalg.qr(np.column_stack([rows, whole]), mode="r", check_finite=False)
    upper, target = upper[: rows.shape[1], :-1], upper[: rows.shape[1], -1]
    rank, order = scipy.linalg.qr(upper, mode="r", pivoting=True)
    rank = np.abs(np.diag(rank))
    for cut in (10.0, 3.0, 1.0, 0.3, 0.1, 0.01):
        some = np.sort(order[: max(1, int(np.sum(rank > cut * tolerance)))])
        omega = np.linalg.lstsq(upper[:, some], target, rcond=1e-15)[0]
        if np.max(np.abs(rows[:, some] @ omega - whole)) < tolerance / 4:
            break
    return some, omega


def _interpolated(sides, tolerance):
    """Coefficients in the basis of `tables` of functions known at Chebyshev's nodes."""
    number = len(sides[0])
    angle = np.pi * (np.arange(number) + 0.5) / number
    cosines = np.cos(np.arange(number)[:, None] * (np.pi - angle)) * (2 / number)
    cosines[0] /= 2
    spectra = [cosines @ side for side in sides]
    sizes = [np.max(np.abs(side), axis=0) for side in sides]
    # An error of one side is seen times the size of the other.
    seen = np.maximum(spectra_error(spectra[0]) * sizes[1], spectra_error(spectra[1]) * sizes[0])
    limit = tolerance * np.max(sizes[0] * sizes[1])
    needed = int(np.max(np.flatnonzero(np.max(seen, axis=1) > limit), initial=1)) + 1
    degree = min(_LOW * math.ceil(max(needed, 2 * _LOW) / _LOW), number - number % _LOW)
    matrix = np.zeros((degree, degree))
    for i in range(degree):
        high, low = divmod(i, _LOW)
        matrix[abs(high * _LOW - low), i] += 0.5
        if high * _LOW + low < degree:
            matrix[high * _LOW + low, i] += 0.5
    return [np.linalg.solve(matrix, x[:degree]).T for x in spectra]


def spectra_error(x):
    """What is left out if a Chebyshev series ends before each of its terms, at most."""
    return np.cumsum(np.abs(x)[::-1], axis=0)[::-1]
