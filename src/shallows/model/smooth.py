r"""Smooth activations: overlaps as functions of two variances and a covariance.

Under a standard Gaussian input $(u^\top x, v^\top x)$ is Gaussian with variances $p = |u|^2$,
$q = |v|^2$ and covariance $c = u^\top v$, so that $K(u, v) = \kappa(p, q, c)$ and

$$ \frac{\partial K}{\partial u} = 2 \kappa_p\, u + \kappa_c\, v, \qquad
   \frac{\partial^2 K}{\partial u^2} = 2 \kappa_p I + 4 \kappa_{pp}\, u u^\top
     + 2 \kappa_{pc} (u v^\top + v u^\top) + \kappa_{cc}\, v v^\top, $$

$$ \frac{\partial^2 K}{\partial u\,\partial v} = \kappa_c I + 4 \kappa_{pq}\, u v^\top
     + 2 \kappa_{pc}\, u u^\top + 2 \kappa_{qc}\, v v^\top + \kappa_{cc}\, v u^\top. $$

κ is analytic wherever these activations are used, also where neurons are parallel: its
derivatives are those of its formula.
"""

import abc
import math
from collections.abc import Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from shallows.model.activations import AbstractActivation, finite_number
from shallows.model.network import finite


class AbstractSmooth(AbstractActivation):
    """An activation with an analytic overlap."""

    is_homogeneous = False
    is_smooth = True

    @abc.abstractmethod
    def overlap(self, p, q, c):
        """κ of variances p, q and covariances c, arrays that broadcast against each other."""

    def slope(self, t):
        """See `AbstractActivation`."""
        return jax.jvp(self.__call__, (t,), (jnp.ones_like(t),))[1]

    def bend(self, t):
        """See `AbstractActivation`."""
        return jax.jvp(self.slope, (t,), (jnp.ones_like(t),))[1]

    def gram(self, u, v):
        """See `AbstractActivation`."""
        return self.overlap(*_moments(u, v))

    def slopes(self, u, v):
        """See `AbstractActivation`."""
        on_p, on_c = self.first(*_moments(u, v))
        return 2 * on_p[..., None] * u[:, None] + on_c[..., None] * v

    def _net_pull_by_means(self, w, a, v, b):
        theirs = jnp.eye(w.shape[-1]) if v is None else v
        return self._pull(w, w, a) - self._pull(w, theirs, b)

    def _pull(self, u, v, heads):
        on_p, on_c = self.first(*_moments(u, v))
        return 2 * (on_p @ heads[..., None]) * u + on_c @ (heads[..., None] * v)

    def curvature(self, u, heads, v):
        """See `AbstractActivation`."""
        v = u if v is None else v
        pp, pc, cc, _, _ = self.second(*_moments(u, v))
        on_p, _ = self.first(*_moments(u, v))

        def total(x):
            return (x @ heads)[:, None, None]

        side = ((pc * heads) @ v)[:, None, :] * u[:, :, None]
        across = jnp.swapaxes(v * (cc * heads)[..., None], -1, -2) @ v
        flat = 2 * total(on_p) * jnp.eye(u.shape[-1])
        upon = 4 * total(pp) * u[:, :, None] * u[:, None]
        return flat + upon + 2 * (side + jnp.swapaxes(side, 1, 2)) + across

    def mixed_curvature(self, u):
        """See `AbstractActivation`."""
        moments = _moments(u, u)
        _, pc, cc, pq, qc = (x[..., None, None] for x in self.second(*moments))
        _, on_c = self.first(*moments)
        first, second = u[:, None], u[None, :]

        def outer(x, y):
            return x[..., :, None] * y[..., None, :]

        return (
            on_c[..., None, None] * jnp.eye(u.shape[-1])
            + 4 * pq * outer(first, second)
            + 2 * pc * outer(first, first)
            + 2 * qc * outer(second, second)
            + cc * outer(second, first)
        )

    @abc.abstractmethod
    def first(self, p, q, c):
        """∂κ/∂p and ∂κ/∂c."""

    @abc.abstractmethod
    def second(self, p, q, c):
        """∂²κ/∂p², ∂p∂c, ∂c², ∂p∂q and ∂q∂c."""


class AbstractClosed(AbstractSmooth):
    """An activation whose overlap is a formula, whose derivatives are those of the formula."""

    def net_pull(self, w, a, v, b):
        """See `AbstractActivation`."""
        return self._net_pull_by_means(w, a, v, b)

    def first(self, p, q, c):
        """See `AbstractSmooth`."""
        return _along(self.overlap, 0)(p, q, c), _along(self.overlap, 2)(p, q, c)

    def second(self, p, q, c):
        """See `AbstractSmooth`."""
        on_p, on_c = _along(self.overlap, 0), _along(self.overlap, 2)
        return tuple(
            _along(f, i)(p, q, c)
            for f, i in ((on_p, 0), (on_c, 0), (on_c, 2), (on_p, 1), (on_c, 1))
        )


class Erf(AbstractClosed):
    r"""$\sigma(t) = \operatorname{erf}(s\,t)$ with `scale` s, by default $1/\sqrt2$.

    $\kappa = \frac2\pi \arcsin \frac{2 s^2 c}{\sqrt{(1 + 2 s^2 p)(1 + 2 s^2 q)}}$ (Williams 1997;
    Saad & Solla 1995 for the default scale).

    **Accuracy.** 1e-15 · (1 + s²|u|²) and, of second derivatives, 1e-13 for neurons of length 3.
    """

    scale: float = eqx.field(static=True)

    def __init__(self, scale: float | int = math.sqrt(0.5)):
        self.scale = finite_number("scale", scale)

    @property
    def name(self) -> str:
        """See `AbstractActivation`."""
        return "erf" if self.scale == math.sqrt(0.5) else f"erf:{self.scale:g}"

    @property
    def parity(self) -> int:
        """See `AbstractActivation`."""
        return -1

    def __call__(self, t):
        """See `AbstractActivation`."""
        return jax.scipy.special.erf(self.scale * t)

    def overlap(self, p, q, c):
        """See `AbstractSmooth`."""
        p, q, c = (2 * self.scale**2 * x for x in (p, q, c))
        # An angle from its cosine and sine: arcsin loses half the digits near 1.
        return 2 / math.pi * jnp.arctan2(c, jnp.sqrt(1 + p + q + (p * q - c * c)))


class Sine(AbstractClosed):
    r"""$\sigma(t) = \sin(\omega t + \varphi)$; with `phase` φ = π/2 the cosine.

    $\kappa = \frac12 \bigl(e^{-\omega^2 (p + q - 2c)/2} - \cos 2\varphi\,
    e^{-\omega^2 (p + q + 2c)/2}\bigr)$.

    **Accuracy.** 1e-15 · (1 + ω²|u|²).
    """

    frequency: float = eqx.field(static=True)
    phase: float = eqx.field(static=True)

    def __init__(self, frequency: float | int = 1.0, phase: float | int = 0.0):
        self.frequency = finite_number("frequency", frequency)
        self.phase = finite_number("phase", phase)

    @classmethod
    def cosine(cls, frequency: float | int = 1.0) -> "Sine":
        """The cosine: a quarter of a turn ahead."""
        return cls(frequency, math.pi / 2)

    @property
    def name(self) -> str:
        """See `AbstractActivation`."""
        known = {0.0: "sin", math.pi / 2: "cos"}
        rest = "" if self.frequency == 1 else f":{self.frequency:g}"
        if self.phase in known:
            return known[self.phase] + rest
        return f"sin:{self.frequency:g},{self.phase:.17g}"

    @property
    def parity(self) -> int:
        """See `AbstractActivation`."""
        return {0.0: -1, math.pi / 2: 1}.get(self.phase, 0)

    def __call__(self, t):
        """See `AbstractActivation`."""
        return jnp.sin(self.frequency * t + self.phase)

    def overlap(self, p, q, c):
        """See `AbstractSmooth`."""
        p, q, c = (self.frequency**2 * x for x in (p, q, c))
        apart, together = jnp.exp(-(p + q - 2 * c) / 2), jnp.exp(-(p + q + 2 * c) / 2)
        return (apart - math.cos(2 * self.phase) * together) / 2


class Polynomial(AbstractClosed):
    r"""$\sigma(t) = \sum_n c_n t^n$, with the coefficients in increasing order of powers.

    By Isserlis' theorem
    $\mathbb{E}\,U^m V^n = \sum_{r} \frac{m!\,n!}{r!\,i!\,j!\,2^{i+j}}\, c^r p^i q^j$
    with $i = (m-r)/2$ and $j = (n-r)/2$ whole.

    **Domain.** Degree at most 20. **Accuracy.** 1e-14 of the sum of the terms' sizes.
    """

    coefficients: tuple[float, ...] = eqx.field(static=True)

    def __init__(self, coefficients: Sequence | np.ndarray):
        given = np.trim_zeros(np.atleast_1d(finite("coefficients", coefficients)).ravel(), "b")
        if np.ndim(coefficients) > 1 or not 2 <= len(given) <= 21:
            raise ValueError(
                f"A polynomial activation has a degree from 1 to 20, but the coefficients "
                f"{coefficients!r:.200} do not. Give those of 1, t, t², …: e.g. [0, 0, 1]."
            )
        self.coefficients = tuple(given.tolist())

    @classmethod
    def hermite(cls, coefficients: Sequence | np.ndarray) -> "Polynomial":
        r"""$\sigma = \sum_n c_n \mathrm{He}_n/\sqrt{n!}$, orthonormal under N(0, 1)."""
        given = np.atleast_1d(np.asarray(finite("coefficients", coefficients)))
        scaled = [c / math.sqrt(math.factorial(n)) for n, c in enumerate(given[:30].ravel())]
        return cls(np.polynomial.hermite_e.herme2poly(scaled))

    @property
    def name(self) -> str:
        """See `AbstractActivation`."""
        return "poly:" + ",".join(f"{c:.17g}" for c in self.coefficients)

    @property
    def parity(self) -> int:
        """See `AbstractActivation`."""
        even, odd = any(self.coefficients[::2]), any(self.coefficients[1::2])
        return int(even) - int(odd)

    def __call__(self, t):
        """See `AbstractActivation`."""
        return jnp.polyval(jnp.asarray(self.coefficients[::-1]), t)

    def overlap(self, p, q, c):
        """See `AbstractSmooth`."""
        # κ = Σ_r c^r g_r(p) g_r(q): a short polynomial in each variable.
        degree = len(self.coefficients) - 1
        total = jnp.zeros_like(c)
        for r in range(degree, -1, -1):
            factors = [
                self.coefficients[m]
                * math.factorial(m)
                / (
                    math.sqrt(math.factorial(r))
                    * math.factorial((m - r) // 2)
                    * 2 ** ((m - r) // 2)
                )
                for m in range(r, degree + 1, 2)
            ]

            def side(x, f=tuple(factors)):
                return jnp.polyval(jnp.asarray(f[::-1]), x)

            total = total * c + side(p) * side(q)
        return total


def _moments(u, v):
    """Variances and covariances of all pairs of rows, to broadcast against each other."""
    p, q = jnp.sum(u * u, axis=-1), jnp.sum(v * v, axis=-1)
    return p[..., :, None], q[..., None, :], u @ jnp.swapaxes(v, -1, -2)


def _along(function, i):
    """The partial derivative of an elementwise function in its argument i."""

    def derivative(*x):
        def moved(y):
            return function(*x[:i], y, *x[i + 1 :])

        return jax.jvp(moved, (x[i],), (jnp.ones_like(x[i]),))[1]

    return derivative
