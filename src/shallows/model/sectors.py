r"""Gaussian weights of plane sectors, and with them probabilities of two normal variables.

The foot of a half-plane's edge is at the distance h from the origin (signed: the edge is where
t = −h), and a corner lies on it at the depth η. Owen's T says how much of the half-plane is
seen from the origin on the corner's side,

$$ S(h, \eta) = \tfrac12 \Phi(h) - T(h, \eta/h), \qquad
   T(h, a) = \frac{1}{2\pi} \int_0^a \frac{e^{-h^2 (1 + x^2)/2}}{1 + x^2}\,dx. $$

The probability of a wedge is the sum of two such sectors. With L the larger and s the smaller one
of |h| and |η|, the integral is one over y = x/a in [0, 1] of $e^{-s^2 y^2/2}/(1 + a^2 y^2)$,
a = s/L. Its rule has nodes at $y^2 = n/32$: so all exponentials are powers of one of them.

**Source.** Owen (1956).
"""

from typing import Final

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from shallows.model.overlaps import _polynomial

# e^{-x²/2} is 6e-18 there; beyond, it counts as that.
_FAR: Final = 8.9

# Φ(−x) e^{x²/2} for 0 ≤ x ≤ _FAR, in the variable that 10/(5 + x) is mapped to on [-1, 1]:
# least squares in 40 digits with the weight e^{-x²/2}, under which the error is 1e-17.
_TAIL: Final = (
    0.14826950398217645,
    0.17261469019403128,
    0.10412048915061758,
    0.04983372971804972,
    0.018727134712019897,
    0.005325300204779362,
    0.0010370846429506792,
    9.161888390822702e-05,
    -1.4541112447337378e-05,
    -5.156659166846722e-06,
    -5.2883526779313834e-08,
    1.9322591985199906e-07,
    1.6220745161630054e-08,
    -1.1364746766357066e-08,
    1.0846895327542342e-09,
)
_STRETCH: Final = 15.617977528089888
_OFFSET: Final = -2.1235955056179775

# e^{-x} for 0 ≤ x ≤ _FAR²/64: Chebyshev interpolation in 40 digits, relative error 5e-17.
_EXP: Final = (
    1.0,
    -0.9999999999999997,
    0.49999999999998407,
    -0.16666666666633692,
    0.04166666666309705,
    -0.008333333310160585,
    0.0013888887913013886,
    -0.0001984124189530288,
    2.48010281520467e-05,
    -2.7549407095109483e-06,
    2.7478253325583175e-07,
    -2.45033470690887e-08,
    1.8329250127007072e-09,
    -8.704370390421893e-11,
)

# The nodes n and weights of the rule: found by exchange, then least squares in 40 digits over
# |s| ≤ |L| ≤ 8.6. The error of T is 1e-16.
_RULE: Final = {
    0: 0.08836401901318611,
    1: 0.17684771320139875,
    4: 0.1765296305807173,
    9: 0.18099750804682518,
    12: -0.02719755790334767,
    15: 0.1682449665248467,
    22: 0.12016644254253493,
    25: 0.015053089584370261,
    28: 0.05802845556002419,
    30: 0.031135063354928657,
    32: 0.011830669494522869,
}

# n = i + j, in an order in which all powers come from earlier ones.
_SUMS: Final = (
    (1, 1),
    (1, 2),
    (2, 2),
    (4, 4),
    (1, 8),
    (1, 9),
    (4, 8),
    (3, 12),
    (10, 12),
    (12, 12),
    (1, 24),
    (4, 24),
    (15, 15),
    (4, 28),
)


class Heights(eqx.Module):
    """What a sector needs of its half-plane."""

    height: Float[Array, "*b"]
    """h, not 0."""
    root: Float[Array, "*b"]
    """exp(−h²/64)."""
    bell: Float[Array, "*b"]
    """exp(−h²/2)."""
    part: Float[Array, "*b"]
    """Φ(h) − ½."""


def heights(h: Float[Array, "*b"]) -> Heights:
    """The half-planes with these heights; 1e-100 in place of smaller ones, with a sign.

    A corner at the origin is then seen under the same angle as one near it.
    """
    h = jnp.where(jnp.abs(h) < 1e-100, 1e-100, h)
    root, bell = _bells(h)
    return Heights(h, root, bell, _part(h, bell))


def sector(
    plane: Heights, depth: Float[Array, "*b"]
) -> tuple[Float[Array, "*b"], Float[Array, "*b"], Float[Array, "*b"]]:
    """S(h, η), Φ(η) − ½ and exp(−η²/2), where the fields of `plane` broadcast against η.

    The probability of a wedge is the sum of two S, less ½ where their heights differ in sign.

    **Accuracy.** 1e-15. **Cost.** Some 150 operations, vectorised, of which three are divisions.
    """
    root, bell = _bells(depth)
    part = _part(depth, bell)
    is_steep = jnp.abs(depth) > jnp.abs(plane.height)
    small, large = (
        jnp.where(is_steep, x, y) for x, y in ((plane.height, depth), (depth, plane.height))
    )
    owen = _owen(
        jnp.where(is_steep, bell, plane.bell),
        jnp.where(is_steep, plane.root, root),
        small / large,
    )
    # The other half is that of T(h, a) + T(ah, 1/a) = ½Φ(h) + ½Φ(ah) − Φ(h)Φ(ah) − ½·1{a < 0}.
    steep = plane.part * part + owen + 0.5 * (plane.height * depth < 0)
    return plane.part / 2 + jnp.where(is_steep, steep, 0.25 - owen), part, bell


def _bells(t):
    near = jnp.minimum(jnp.abs(t), _FAR)
    return _polynomial(_EXP, near * near / 64), jnp.exp(near * near / -2)


def _part(t, bell):
    half = 0.5 - bell * _polynomial(_TAIL, _STRETCH / (5 + jnp.minimum(jnp.abs(t), _FAR)) + _OFFSET)
    return jnp.where(t < 0, -half, half)


def _owen(bell, root, a):
    """T(L, a), of exp(−L²/2) and exp(−a²L²/64)."""
    powers = {0: jnp.ones_like(root), 1: root}
    for i, j in _SUMS:
        powers[i + j] = powers[i] * powers[j]
    # One division for all fractions.
    square, rule = a * a, _RULE.items()
    terms = [(w / (2 * np.pi) * powers[n], 1 + square * (n / 32)) for n, w in rule]
    while len(terms) > 1:
        joined = [
            (p * s + r * q, q * s) for (p, q), (r, s) in zip(terms[::2], terms[1::2], strict=False)
        ]
        terms = joined + terms[2 * len(joined) :]
    ((over, under),) = terms
    # The division comes last: XLA keeps quotients, and would compute a product again for each use.
    return a * bell * over / under
