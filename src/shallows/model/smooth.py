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
import functools
import math
from collections.abc import Callable, Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import scipy.linalg

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

    def net_pull(self, w, a, v, b):
        """See `AbstractActivation`."""
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

    def first(self, p, q, c):
        """∂κ/∂p and ∂κ/∂c."""
        return _along(self.overlap, 0)(p, q, c), _along(self.overlap, 2)(p, q, c)

    def second(self, p, q, c):
        """∂²κ/∂p², ∂p∂c, ∂c², ∂p∂q and ∂q∂c."""
        on_p, on_c = _along(self.overlap, 0), _along(self.overlap, 2)
        return tuple(
            _along(f, i)(p, q, c)
            for f, i in ((on_p, 0), (on_c, 0), (on_c, 2), (on_p, 1), (on_c, 1))
        )


class Erf(AbstractSmooth):
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


class Sine(AbstractSmooth):
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


class Polynomial(AbstractSmooth):
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


class Analytic(AbstractSmooth):
    r"""Any smooth activation, by its Hermite coefficients.

    With $h_n(s) = \mathbb{E}\,\sigma(s z)\,\mathrm{He}_n(z)/\sqrt{n!}$ by Gauss–Hermite quadrature,
    $\kappa = \sum_{n < N} h_n(\sqrt p)\,h_n(\sqrt q)\,(c/\sqrt{pq})^n$ (Mehler). What is cut off
    is at most $\sum_{n \ge N} h_n^2$, which Parseval's identity tells.

    `function` works on arrays by JAX operations. **Accuracy.** `tolerance` relative to E σ² for
    neurons up to length `longest`; `error(longest)` says what is reached.

    **Raises.** `ValueError` if the tolerance is not reached with 512 terms, saying how far it got.
    **Cost.** A few multiplications a term and pair, and a
    matrix product to have the coefficients: 50 to 100 times that of a closed form.
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
        longest: float = 1.5,
        tolerance: float = 1e-11,
    ):
        self.function, self.label = function, name
        self.longest = finite_number("longest", longest)
        self.tolerance = finite_number("tolerance", tolerance)
        if self.longest <= 0:
            raise ValueError(f"`longest` must be positive, but is {longest!r:.200}. Use e.g. 1.5.")
        self.symmetry = _parity(function)
        for terms in (16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512):
            self.terms = terms
            error = self.error(self.longest)
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
        """What is cut off of E σ(u·x)² for |u| = `length`, relative to it, by Parseval.

        With what the quadrature of twice as many nodes changes in the coefficients.
        """
        nodes, table = _gauss_hermite(4 * self.terms)
        values = np.asarray(self.function(jnp.asarray(length * nodes))) * table[0]
        if not np.all(np.isfinite(values)):
            return math.inf
        whole = float(values @ values)
        known = table[: self.terms] @ values
        found = np.asarray(self._coefficients(jnp.asarray([length**2])))[0]
        rest = abs(whole - float(known @ known))
        return (rest + float(np.sum(np.abs(found**2 - known**2)))) / max(whole, 1e-300)

    def __call__(self, t):
        """See `AbstractActivation`."""
        return self.function(t)

    def overlap(self, p, q, c):
        """See `AbstractSmooth`."""
        # No neuron is so short that its length had no derivative.
        p, q = jnp.maximum(p, 1e-30), jnp.maximum(q, 1e-30)
        # Horner's scheme; for odd and even functions every other term is zero.
        first, stride = int(self.parity < 0), 1 + abs(self.parity)
        g, h = (
            jnp.moveaxis(self._coefficients(x)[..., first::stride], -1, 0)[::-1] for x in (p, q)
        )
        ratio = c / jnp.sqrt(p * q)
        power = ratio if stride == 1 else ratio * ratio
        total, _ = jax.lax.scan(
            lambda sum_, sides: (sum_ * power + sides[0] * sides[1], None),
            jnp.zeros_like(ratio),
            (g, h),
            unroll=8,
        )
        return total * ratio if first else total

    def _coefficients(self, p):
        """h₀, …, h_{N−1} at lengths √p, on a last axis."""
        nodes, table = _gauss_hermite(3 * self.terms // 2)
        averages = (table[0] * table[: self.terms]).T
        return self.function(jnp.sqrt(p)[..., None] * nodes) @ averages


def _parity(function) -> int:
    t = jnp.linspace(0.1, 5, 50)
    there, back = function(t), function(-t)

    def is_like(x):
        return bool(jnp.allclose(there, x, rtol=1e-13, atol=0))

    return int(is_like(back)) - int(is_like(-back))


@functools.lru_cache(maxsize=32)
def _gauss_hermite(number: int) -> tuple[np.ndarray, np.ndarray]:
    r"""Gauss's nodes $x_a$ for N(0, 1), and $\sqrt{w_a}\, \mathrm{He}_n(x_a) / \sqrt{n!}$ in row n.

    They are the eigenvalues and eigenvectors of the recurrence's matrix (Golub & Welsch), in which
    nothing overflows at high degree.
    """
    off = np.sqrt(np.arange(1.0, number))
    nodes, vectors = scipy.linalg.eigh_tridiagonal(np.zeros(number), off)
    return nodes, vectors * np.where(vectors[0] < 0, -1.0, 1.0)


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
