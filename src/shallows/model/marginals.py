"""Laws of one input: symmetric marginals of product laws, by their characteristic functions.

A marginal that is not here is a subclass of `AbstractMarginal`: its characteristic function φ with
two derivatives, and a rule for integrals of products of φ's along a ray.
"""

import abc
import functools
import math
from types import ModuleType

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from shallows.model.activations import finite_number


class RadialRule(eqx.Module):
    """Nodes and weights of ∫ f(ρ) dρ/ρ, and how many nodes τ takes on each of its panels."""

    nodes: np.ndarray
    weights: np.ndarray
    turns: int


class AbstractMarginal(eqx.Module):
    """The law of one input: symmetric, with a finite variance."""

    deviation: eqx.AbstractVar[float]
    """The standard deviation; everything else is said for the one that is 1."""
    is_singular_at_axes: eqx.AbstractClassVar[bool]
    """Whether the density has a corner at 0: then τ has panels between zeros of entries of w."""

    @abc.abstractmethod
    def factors(self, y, xp: ModuleType = jnp):
        """φ(y) = E cos(yx), −φ′(y) = E x sin(yx) and −φ″(y) = E x² cos(yx), by NumPy or by JAX."""

    @abc.abstractmethod
    def rule(self, level: int, inputs: int) -> RadialRule:
        """A rule for unit vectors w, better at each higher level; the lowest is 0."""

    @abc.abstractmethod
    def draw(self, key: Key[Array, ""], shape: tuple[int, ...]) -> Float[Array, "*n"]:
        """Independent draws."""


class Uniform(AbstractMarginal):
    r"""Uniform on $[-\sqrt3 s, \sqrt3 s]$, with s the `deviation`.

    φ(y) = sin(√3 y)/(√3 y) oscillates and decays slowly. High frequencies are filtered smoothly,
    which changes no average against a density that is a polynomial near 0, as that of $w^\top x$
    is between the knots $\sqrt3 \sum \pm w_i$.
    """

    deviation: float = eqx.field(static=True)
    is_singular_at_axes = False

    def __init__(self, deviation: float | int = 1.0):
        self.deviation = positive_number("deviation", deviation)

    def factors(self, y, xp=jnp):
        """See `AbstractMarginal`."""
        z = math.sqrt(3) * y
        near = xp.abs(z) < 0.3
        far = xp.where(near, 1.0, z)
        square = xp.where(near, z * z, 0.0)
        sine, cosine = _sine_and_cosine(far, xp)
        over = 1 / far
        sinc = xp.where(near, _polynomial(_SINC[0], square), sine * over)
        first = xp.where(near, z * _polynomial(_SINC[1], square), (sine * over - cosine) * over)
        second = xp.where(near, _polynomial(_SINC[2], square), sine * over - 2 * first * over)
        return sinc, math.sqrt(3) * first, 3 * second

    def rule(self, level, inputs):
        """See `AbstractMarginal`."""
        middle, width = 9.0 * 1.35**level, 2.6 * 1.2**level
        longest = middle + 4 * width
        # |w·x| ≤ √(3d): so many oscillations.
        number = math.ceil(8 + 0.45 * longest * math.sqrt(3 * max(inputs, 3)))
        x, weights = gauss_legendre(number)
        rho = longest * x
        filtered = np.array([math.erfc((r - middle) / width) / 2 for r in rho])
        return RadialRule(rho, longest * weights * filtered / rho, math.ceil(0.65 * number))

    def draw(self, key, shape):
        """See `AbstractMarginal`."""
        edge = math.sqrt(3) * self.deviation
        return jax.random.uniform(key, shape, minval=-edge, maxval=edge)


class Laplace(AbstractMarginal):
    r"""The density $e^{-\sqrt2 |x|/s} / (\sqrt2 s)$, with s the `deviation`.

    φ(y) = 1/(1 + y²/2): the integrand is rational in ρ, and the trapezoidal rule in log ρ converges
    geometrically.
    """

    deviation: float = eqx.field(static=True)
    is_singular_at_axes = True

    def __init__(self, deviation: float | int = 1.0):
        self.deviation = positive_number("deviation", deviation)

    def factors(self, y, xp=jnp):
        """See `AbstractMarginal`."""
        f = 1 / (1 + y * y / 2)
        slope = y * f * f
        return f, slope, f * f - 2 * y * slope * f

    def rule(self, level, inputs):
        """See `AbstractMarginal`."""
        step, reach = 0.6 / 1.17**level, 7.0 + level
        log = np.arange(-reach, reach + step / 2, step)
        return RadialRule(np.exp(log), np.full(len(log), step), 6 + 2 * level)

    def draw(self, key, shape):
        """See `AbstractMarginal`."""
        return self.deviation / math.sqrt(2) * jax.random.laplace(key, shape)


class NoisySign(AbstractMarginal):
    r"""$s\,(\pm\sqrt{1 - n^2} + n z)$: a fair sign with Gaussian noise n, and `deviation` s.

    As under `noisy_signs`, at a cost that does not double with each input.
    """

    noise: float = eqx.field(static=True)
    deviation: float = eqx.field(static=True)
    is_singular_at_axes = False

    def __init__(self, noise: float | int, deviation: float | int = 1.0):
        self.deviation = positive_number("deviation", deviation)
        self.noise = positive_number("noise", noise)
        if self.noise > 1:
            raise ValueError(
                f"`noise` must lie above 0 and be at most 1, but is {self.noise:g}. Use e.g. 0.5."
            )

    @property
    def shift(self) -> float:
        """√(1 − n²)."""
        return math.sqrt(1 - self.noise**2)

    def factors(self, y, xp=jnp):
        """See `AbstractMarginal`."""
        m, n = self.shift, self.noise**2
        bell = xp.exp(-n * y * y / 2)
        cosine, sine = bell * xp.cos(m * y), bell * xp.sin(m * y)
        slope = m * sine + n * y * cosine
        return cosine, slope, (m * m + n - n * n * y * y) * cosine - 2 * m * n * y * sine

    def rule(self, level, inputs):
        """See `AbstractMarginal`."""
        longest = (4.5 + 0.8 * level) / self.noise
        waves = longest * self.shift * math.sqrt(inputs)
        number = math.ceil(8 + 4 * level + 0.45 * waves)
        x, weights = gauss_legendre(number)
        return RadialRule(longest * x, weights / x, math.ceil(0.65 * number) + 4)

    def draw(self, key, shape):
        """See `AbstractMarginal`."""
        sign, rest = jax.random.split(key)
        drawn = jax.random.rademacher(sign, shape, dtype=float)
        return self.deviation * (self.shift * drawn + self.noise * jax.random.normal(rest, shape))


@functools.lru_cache(maxsize=256)
def gauss_legendre(number: int) -> tuple[np.ndarray, np.ndarray]:
    """Nodes and weights on (0, 1)."""
    x, weights = np.polynomial.legendre.leggauss(number)
    return (1 + x) / 2, weights / 2


def positive_number(name: str, value: object) -> float:
    """`value` as a positive finite float, or an error that calls it `name`."""
    number = finite_number(name, value)
    if number <= 0:
        raise ValueError(f"`{name}` must be positive, but is {number:g}. Use e.g. 0.5.")
    return number


def _sine_and_cosine(z, xp):
    """To 1e-13 for |z| < 300, by polynomials, which are vectorised: XLA's own take longer."""
    half_turns = xp.round(z / math.pi)
    rest = z - half_turns * math.pi
    square = rest * rest
    sign = 1 - 2 * (half_turns - 2 * xp.floor(half_turns / 2))
    return sign * rest * _polynomial(_SINE, square), sign * _polynomial(_COSINE, square)


def _polynomial(coefficients, x):
    total = coefficients[0]
    for c in coefficients[1:]:
        total = total * x + c
    return total


# Taylor series, highest powers first: sin r / r and cos r in r² for |r| ≤ π/2, and sin z / z with
# the first two derivatives of −sin z / z, the first divided by z, in z² for z < 0.3.
_SINE = [(-1.0) ** n / math.factorial(2 * n + 1) for n in range(9, -1, -1)]
_COSINE = [(-1.0) ** n / math.factorial(2 * n) for n in range(10, -1, -1)]
_SINC = (
    _SINE[-6:],
    [-2 * n * (-1.0) ** n / math.factorial(2 * n + 1) for n in range(6, 0, -1)],
    [-2 * n * (2 * n - 1) * (-1.0) ** n / math.factorial(2 * n + 1) for n in range(6, 0, -1)],
)
