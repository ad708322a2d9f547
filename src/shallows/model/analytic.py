r"""Activations that are given by a function, whose overlaps are sums of few products.

See `smooth` for what overlaps and their derivatives are, and `hermite` for the sums.
"""

import functools
from collections.abc import Callable
from typing import Final

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from shallows.model import hermite
from shallows.model.activations import finite_number
from shallows.model.smooth import AbstractSmooth


class Analytic(AbstractSmooth):
    r"""Any smooth activation, by Mehler's series.

    κ and its derivatives are means of derivatives of σ,

    $$ \frac{\partial^{i + j + n} \kappa}{\partial p^i\,\partial q^j\,\partial c^n}
       = 2^{-i-j}\; \mathbb{E}\,\sigma^{(2i + n)}(U)\,\sigma^{(2j + n)}(V), $$

    each a sum of 10 to 30 products of functions of p, of q and of the correlation, tabulated once
    (`hermite`). Students with a neuron longer than `longest` are served by the series itself, whose
    error then grows with the length.

    `function` works on arrays by JAX operations. **Accuracy.** `tolerance`, for overlaps and their
    first two derivatives relative to the root mean squares of the derivatives of σ that they are
    means of, for neurons up to length `longest`: where that is not given, 3, or 2 or 1.5 if the
    series does not reach as far. `error(length)` says what is reached by overlaps and gradients.

    **Raises.** `ValueError` if the tolerance is not reached with 2048 terms, saying how far it got.
    **Cost.** Two to five times that of the ReLU, and beyond `longest` some hundred times that.
    """

    function: Callable = eqx.field(static=True)
    label: str = eqx.field(static=True)
    longest: float = eqx.field(static=True)
    tolerance: float = eqx.field(static=True)
    terms: int = eqx.field(static=True)
    symmetry: int = eqx.field(static=True)

    def __init__(
        self,
        function: Callable,
        name: str,
        *,
        longest: float | None = None,
        tolerance: float = 1e-11,
    ):
        self.function, self.label = function, name
        self.tolerance = finite_number("tolerance", tolerance)
        tried = (3.0, 2.0, 1.5) if longest is None else (finite_number("longest", longest),)
        if tried[0] <= 0:
            raise ValueError(f"`longest` must be positive, but is {longest!r:.200}. Use e.g. 1.5.")
        self.symmetry = _parity(function)
        for length in tried:
            self.longest = length
            try:
                self.terms, error = hermite.needed(function, length, self.tolerance)
            except jax.errors.TracerArrayConversionError:
                raise TypeError(
                    f"The function of {name!r} is not made of JAX operations. Write it with "
                    f"jax.numpy, e.g. `jnp.tanh`."
                ) from None
            if error <= self.tolerance:
                error = self.error(length)
            if error <= self.tolerance:
                return
        raise ValueError(
            f"The Hermite series of {name!r} does not reach the tolerance {self.tolerance:.3g} for "
            f"neurons of length {self.longest:g}: with {self.terms} terms the error is "
            f"{error:.3g}. Raise `tolerance`, lower `longest`, or use a smoother function."
        )

    @property
    def name(self) -> str:
        """See `AbstractActivation`."""
        return self.label

    @property
    def parity(self) -> int:
        """See `AbstractActivation`; from its values at 50 places."""
        return self.symmetry

    def error(self, length: float | int) -> float:
        """The error of overlaps and gradients for |u| = `length` and shorter v, by more terms.

        The largest found at 15 lengths and 31 correlations, relative as said above.
        """
        s, t = np.full((1, 1), float(length)), length * np.linspace(1 / 15, 1, 15)[:, None]
        ratio = np.cos(np.linspace(0, np.pi, 31))
        worst = 0.0
        for order in _FIRST:
            f, g = (
                np.moveaxis(hermite.known(self.function, n, x), -1, 0)
                for n, x in zip(order, (s, t), strict=True)
            )
            powers = ratio ** np.arange(len(f))[:, None, None]
            exact = np.sum(f * g * powers, axis=0)
            if length <= self.longest:
                found = self._series(order).at(s, t, ratio)
            else:
                found = np.sum((f * g * powers)[: self.terms], axis=0)
            size = [np.sqrt(np.max(np.sum(x * x, axis=0))) for x in (f, g)]
            worst = max(worst, np.max(np.abs(found - exact)) / max(size[0] * size[1], 1e-300))
        return float(worst)

    def _series(self, order):
        return hermite.series(self.function, order, self.longest, self.terms, self.tolerance)

    def _means(self, orders, p, q, c):
        # No neuron is so short that its length had no derivative.
        s, t = (jnp.sqrt(jnp.maximum(x, 1e-30)) for x in (p, q))
        ratio = c / (s * t)

        def quick():
            series = [self._series(order) for order in orders]
            left = hermite.tables([x.left for x in series], s, self.longest)
            right = hermite.tables([x.right for x in series], t, self.longest)
            return tuple(x.total(f, g, ratio) for x, f, g in zip(series, left, right, strict=True))

        def whole():
            return tuple(
                hermite.mean(self.function, order, s, t, ratio, self.terms) for order in orders
            )

        is_short = jnp.maximum(jnp.max(s), jnp.max(t)) <= self.longest
        return jax.lax.cond(is_short, quick, whole)

    def __call__(self, t):
        """See `AbstractActivation`."""
        return self.function(t)

    def overlap(self, p, q, c):
        """See `AbstractSmooth`."""
        return _means(self, ((0, 0),), p, q, c)[0]

    def first(self, p, q, c):
        """See `AbstractSmooth`."""
        on_p, on_c = _means(self, _FIRST[1:], p, q, c)
        return on_p / 2, on_c

    def second(self, p, q, c):
        """See `AbstractSmooth`."""
        pp, pc, cc, qc = _means(self, ((4, 0), (3, 1), (2, 2), (1, 3)), p, q, c)
        return pp / 4, pc / 2, cc, cc / 4, qc / 2

    def net_pull(self, w, a, v, b):
        """See `AbstractActivation`."""
        batch = jnp.broadcast_shapes(w.shape[:-2], a.shape[:-1])
        if not batch:
            return _net_pull(self, w, a, v, b)
        # One student after the other: it stays in the fastest cache, and its neurons alone decide
        # whether the tables reach as far.
        w = jnp.broadcast_to(w, (*batch, *w.shape[-2:])).reshape(-1, *w.shape[-2:])
        a = jnp.broadcast_to(a, (*batch, a.shape[-1])).reshape(-1, a.shape[-1])
        each = jax.lax.map(lambda x: _net_pull(self, *x, v, b), (w, a))
        return each.reshape(*batch, *each.shape[1:])

    def _net_pull_by_tables(self, w, a, v, b):
        # What only one branch uses is computed in it: XLA keeps for both what it has before.
        def quick():
            s, t = _lengths(w), one if v is None else _lengths(v)
            unit = w / s[:, None]
            cosines = unit if v is None else unit @ (v / t[:, None]).T
            on_p, on_c = self._series((2, 0)), self._series((1, 1))
            sides = [on_p.left, on_p.right, on_c.left, on_c.right]
            bent, plain, left, right = hermite.tables(sides, s, self.longest)
            plain_there, right_there = hermite.tables(sides[1::2], t, self.longest)

            def pairs(series, f, g, ratio):
                return series.total(f[:, :, None], g[:, None, :], ratio)

            own = unit @ unit.T
            radial = pairs(on_p, bent, plain, own) @ a
            radial -= pairs(on_p, bent, plain_there, cosines) @ b
            flat = pairs(on_c, left, right, own) @ (a[:, None] * w)
            there = pairs(on_c, left, right_there, cosines) * b
            return radial[:, None] * w + flat - (there if v is None else there @ v)

        one = np.ones(1)  # the length of a basis
        longest = jnp.maximum(jnp.max(_lengths(w)), 1.0 if v is None else jnp.max(_lengths(v)))
        return jax.lax.cond(
            longest <= self.longest, quick, lambda: self._net_pull_by_means(w, a, v, b)
        )


@functools.partial(jax.custom_jvp, nondiff_argnums=(0,))
def _net_pull(activation, w, a, v, b):
    return activation._net_pull_by_tables(w, a, v, b)


@_net_pull.defjvp
def _net_pull_jvp(activation, primals, tangents):
    # The tables are not to be differentiated: their derivatives are tables of their own.
    return jax.jvp(activation._net_pull_by_means, primals, tangents)


_FIRST: Final = ((0, 0), (2, 0), (1, 1))
"""The derivatives of σ in κ, 2 ∂κ/∂p and ∂κ/∂c."""


@functools.partial(jax.custom_jvp, nondiff_argnums=(0, 1))
def _means_at(activation, orders, p, q, c):
    """E σ⁽ⁱ⁾(U) σ⁽ʲ⁾(V) for each pair (i, j) of `orders`."""
    return activation._means(orders, p, q, c)


@functools.partial(_means_at.defjvp, symbolic_zeros=True)
def _means_jvp(activation, orders, primals, tangents):
    parts = [
        (tangent, step, half)
        for tangent, step, half in zip(
            tangents, ((2, 0), (0, 2), (1, 1)), (0.5, 0.5, 1.0), strict=True
        )
        if not isinstance(tangent, jax.custom_derivatives.SymbolicZero)
    ]
    wanted = [(i + di, j + dj) for _, (di, dj), _ in parts for i, j in orders]
    found = _means_at(activation, (*orders, *wanted), *primals)
    number = len(orders)
    values, rest = found[:number], found[number:]
    turns = [jnp.zeros_like(value) for value in values]
    for n, (tangent, _, half) in enumerate(parts):
        for m in range(number):
            turns[m] = turns[m] + half * tangent * rest[n * number + m]
    return values, tuple(turns)


# Compiled, since otherwise each of its many small operations would be started by itself.
_means = jax.jit(_means_at, static_argnums=(0, 1))


def _parity(function) -> int:
    t = jnp.linspace(0.1, 5, 50)
    there, back = function(t), function(-t)

    def is_like(x):
        return bool(jnp.allclose(there, x, rtol=1e-13, atol=0))

    return int(is_like(back)) - int(is_like(-back))


def _lengths(w):
    # No neuron is so short that its length had no derivative.
    return jnp.sqrt(jnp.maximum(jnp.sum(w * w, axis=-1), 1e-30))
