r"""Expectations of ReLU neurons under a standard Gaussian input, in closed form.

Everything here is about $K(u, v) = \mathbb{E}\,\sigma(u^\top x)\,\sigma(v^\top x)$ for
$x \sim \mathcal{N}(0, I_d)$ and $\sigma(t) = \max(t, 0)$. With $\theta = \angle(u, v)$,

$$ K = \frac{|u||v|}{2\pi}\bigl(\sin\theta + (\pi - \theta)\cos\theta\bigr), \qquad
   \frac{\partial K}{\partial u}
     = \frac{1}{2\pi}\bigl(|v| \sin\theta\,\bar u + (\pi - \theta)\,v\bigr), $$

$$ \frac{\partial^2 K}{\partial u^2} = \frac{|v|\sin\theta}{2\pi|u|}
      \bigl(I - \bar u \bar u^\top + n n^\top\bigr), \qquad
   \frac{\partial^2 K}{\partial u\,\partial v} = \frac{1}{2\pi}
      \bigl((\pi - \theta) I + \sin\theta\,(m m^\top - p p^\top)\bigr), $$

where bars are unit vectors, $n$ is the unit vector along $\bar v - \cos\theta\,\bar u$, and
$m$, $p$ are the unit vectors along $\bar u + \bar v$ and $\bar v - \bar u$. The last formula is
the textbook one with its two rank-one terms combined: written with $m$ and $p$ no
term is singular where neurons are parallel, there the mixed derivative is exactly $I/2$.

The functions work on whole families of vectors (rows) and on batches of them at once,
because that is where the time goes; a pair of vectors is a pair of one-row matrices.

**Zero neurons.** $K$ has no gradient at $u = 0$. The convention here is $1\{0 > 0\} = 1/2$,
the mean over the directions in which $u$ can leave the origin: $\partial K/\partial u = v/4$
and $\partial^2 K/\partial u\,\partial v = I/4$. The pure second derivative in $u$, which grows
like $1/|u|$ across the ray, is given its radial (one-sided) value 0. Never NaN.

**Source.** Cho & Saul (2009), the arc-cosine kernel of degree 1, halved; derivatives as
in Safran & Shamir (2018) and Tian (2017), rearranged.
"""

import enum
from functools import partial

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

# arccos(1 - y) / sqrt(y) on 0 ≤ y ≤ 1: Chebyshev interpolation in 50 digits, degree 19, error
# below 1e-16. XLA's own arccos costs 15 to 25 ns an entry on a CPU; this costs about 1.
_ARCCOS = (
    1.4142135623730951,
    0.11785113019776038,
    0.026516504294174185,
    0.0078918167709976,
    0.0026854094104117963,
    0.0009887267348268115,
    0.00038336060942929936,
    0.00015495345888238244,
    6.005153146290005e-05,
    4.2957557386235544e-05,
    -4.012019272581058e-05,
    0.00013354581790885685,
    -0.0002443299117797378,
    0.0003657327389772116,
    -0.0004121378393464818,
    0.00035098841393298326,
    -0.0002173306282490777,
    9.308284204320327e-05,
    -2.4694896286267617e-05,
    3.1175119951048366e-06,
)

# θ / sin θ at cos θ = 1 - y on 0 ≤ y ≤ 1: Chebyshev interpolation in 60 digits, degree 20, error
# below 1e-16. With it an angle costs one square root, its sine's.
_ANGLE = (
    1.0,
    0.33333333333330945,
    0.13333333333682526,
    0.05714285694042784,
    0.025396831596651948,
    0.011543895604776996,
    0.00532944828305169,
    0.0024737607111697374,
    0.001251083869870826,
    0.00016421047913476515,
    0.0017011133906985544,
    -0.003976427223224787,
    0.009195329684833449,
    -0.01586170544127971,
    0.02153400343586953,
    -0.022454256450108755,
    0.01773831596916336,
    -0.01025927464062151,
    0.004114940516850556,
    -0.001025639660813829,
    0.00012117305831116537,
)

# Where 1 - |cos θ| is below this (θ within 0.14 of 0 or π) it is recomputed from the
# difference of the unit vectors; above, the rounding of cos θ costs at most 10 ulp in θ.
_NEAR = 1e-2


class Pairs(eqx.Module):
    """What every formula needs of each pair (row of the first family, row of the second)."""

    norm_u: Float[Array, "*b k"]
    norm_v: Float[Array, "*c m"]
    unit_u: Float[Array, "*b k d"]
    """Unit rows; a zero row stays zero."""
    unit_v: Float[Array, "*c m d"]
    gap: Float[Array, "*b k m"]
    """1 − |cos θ|, to a few ulp of itself."""
    sine: Float[Array, "*b k m"]
    supplement: Float[Array, "*b k m"]
    """π − θ."""

    @property
    def sign(self) -> Float[Array, "*b k m"]:
        """The sign of the cosine of the angle."""
        return jnp.where(self.supplement < jnp.pi / 2, -1.0, 1.0)

    @property
    def cosine(self) -> Float[Array, "*b k m"]:
        """The cosine of the angle."""
        return self.sign * (1 - self.gap)

    @property
    def tangents(self) -> tuple[Float[Array, "*b k m"], Float[Array, "*b k m"]]:
        """tan(θ/2) and cot(θ/2), each 0 where it is infinite.

        They only ever multiply |ū + v̄|² or |ū − v̄|², which vanish faster than they grow.
        """
        small = jnp.sqrt(self.gap / (2 - self.gap))
        large = _reciprocal(small)
        acute = self.sign > 0
        return jnp.where(acute, small, large), jnp.where(acute, large, small)


class Partner(enum.Enum):
    """Whom rows are paired with, where that saves work."""

    others = enum.auto()
    themselves = enum.auto()
    """The pair (i, i) is exactly parallel."""
    basis = enum.auto()
    """Cosines are the entries of the unit rows: no matrix product."""


def pairs(
    u: Float[Array, "*b k d"],
    v: Float[Array, "*c m d"] | None = None,
    *,
    partner: Partner | None = None,
) -> Pairs:
    r"""Norms, unit vectors and angles of all pairs of rows of `u` and `v`.

    Without `v`, of all pairs of rows of `u`, or with `partner=Partner.basis` of rows of `u` with
    the standard basis.

    **Accuracy.** Angles to 1e-14 absolute and, near 0 and π, to a few ulp of θ and π − θ. Sine and
    supplement may be differentiated once; at parallel rows, where they have a kink, the
    derivative is given the value 0 that every smooth combination of them agrees with.

    **Cost.** A few ns a pair; pairs within 0.14 of parallel cost a second pass, cheap as long
    as no row has two of them.
    """
    norm_u, unit_u = _polar(u)
    if v is not None:
        partner = Partner.others
        norm_v, unit_v = _polar(v)
    elif partner is Partner.basis:
        norm_v, unit_v = jnp.ones(u.shape[-1]), jnp.eye(u.shape[-1])
    else:
        partner = Partner.themselves
        norm_v, unit_v = norm_u, unit_u
    return Pairs(norm_u, norm_v, unit_u, unit_v, *_angles(unit_u, unit_v, partner))


@partial(jax.custom_jvp, nondiff_argnums=(2,))
def _angles(unit_u, unit_v, partner):
    if partner is Partner.basis:
        cosine, gap = unit_u, _gap_to_basis(unit_u)
    else:
        cosine = _dot(unit_u, unit_v)
        gap = _gap(unit_u, unit_v, cosine, partner is Partner.themselves)
    root = jnp.sqrt(gap)
    acute = root * _polynomial(_ARCCOS, gap)
    return gap, root * jnp.sqrt(2 - gap), jnp.where(cosine < 0, acute, jnp.pi - acute)


def _gap_to_basis(unit_u):
    # 1 − |uⱼ| = Σ uₗ²/(1 + |uⱼ|), summed over l ≠ j: without cancellation, and without a branch,
    # since a unit row has at most one entry near ±1.
    size = jnp.abs(unit_u)
    near = 1 - size < _NEAR
    rest = jnp.sum(jnp.where(near, 0.0, unit_u * unit_u), axis=-1)[..., None]
    return jnp.where(near, rest / (1 + size), 1 - size)


def _gap(unit_u, unit_v, cosine, is_own):
    distinct = ~jnp.eye(unit_u.shape[-2], dtype=bool) if is_own else jnp.ones((), dtype=bool)
    gap = jnp.where(distinct, jnp.maximum(1 - jnp.abs(cosine), 0.0), 0.0)

    # Branches, not `where`: most steps of a training run meet no parallel pair at all. What only
    # they use is computed in them, since XLA keeps for them what it has computed before.
    def exactly(gap):
        near = (gap < _NEAR) & distinct
        sign = jnp.where(cosine < 0, -1.0, 1.0)

        def one_a_row():
            closest = (near * sign) @ unit_v
            return jnp.broadcast_to(_half_square(unit_u - closest)[..., None], gap.shape)

        def every_pair():
            return _half_square(unit_u[..., :, None, :] - sign[..., None] * unit_v[..., None, :, :])

        several = jnp.any(jnp.sum(near, axis=-1) > 1)
        return jnp.where(near, jax.lax.cond(several, every_pair, one_a_row), gap)

    # The least of each column, not of each row: that is vectorised.
    least = jnp.min(jnp.where(distinct, gap, 1.0), axis=-2)
    return jax.lax.cond(jnp.any(least < _NEAR), exactly, lambda gap: gap, gap)


@_angles.defjvp
def _angles_jvp(partner, primals, tangents):
    # By hand: autodiff of a square root at a vanishing gap is infinite, and the usual repair
    # (`where`) silently drops terms that do not vanish, so that second derivatives of the overlap
    # come out finite, symmetric and wrong where neurons meet.
    (u, v), (du, dv) = primals, tangents
    gap, sine, supplement = _angles(u, v, partner)
    sign = jnp.where(supplement < jnp.pi / 2, -1.0, 1.0)
    slope = du if partner is Partner.basis else _dot(du, v) + _dot(u, dv)
    turn = -slope * _reciprocal(sine)
    return (gap, sine, supplement), (-sign * slope, sign * (1 - gap) * turn, -turn)


def _polar(u):
    # Scaled, so that neither huge nor tiny rows overflow or vanish when squared.
    largest = jax.lax.stop_gradient(jnp.max(jnp.abs(u), axis=-1))
    shrink = 1 / jnp.maximum(largest, 1e-300)
    square = jnp.sum((u * shrink[..., None]) ** 2, axis=-1)
    length = jnp.where(square > 0, jnp.sqrt(jnp.where(square > 0, square, 1.0)), 0.0)
    return length / shrink, u * (shrink * _reciprocal(length))[..., None]


def _polynomial(coefficients, y):
    # Estrin's scheme: as few operations as Horner's, and a chain of 5 instead of 19.
    terms, power = list(coefficients), y
    while len(terms) > 1:
        paired = [low + high * power for low, high in zip(terms[::2], terms[1::2], strict=False)]
        terms = paired + terms[len(paired) * 2 :]
        power = power * power
    return terms[0]


def _half_square(x):
    return jnp.sum(x * x, axis=-1) / 2


def _dot(x, y):
    return x @ _turned(y)


def _square(x):
    return x[..., :, None] * x[..., None, :]


def _reciprocal(x):
    """1/x for x > 0, and 0 for x = 0."""
    return jnp.where(x > 0, 1 / jnp.where(x > 0, x, 1.0), 0.0)


@jax.custom_jvp
def gram(u: Float[Array, "*b k d"], v: Float[Array, "*c m d"]) -> Float[Array, "*b k m"]:
    r"""The matrix $K(u_i, v_j)$ of overlaps of the rows of `u` with the rows of `v`.

    **Convention.** No factor 1/2 and no bias; unit input covariance.

    **Accuracy.** 1e-15 of |u||v|; relative accuracy is lost as θ → π, where K vanishes like
    (π − θ)³. May be differentiated twice, in forward or reverse mode, also where rows are
    parallel (to 1e-13); third derivatives do not exist there. Zero rows: see the module.

    **Source.** Cho & Saul (2009), degree 1, halved.
    """
    p = pairs(u, v)
    profile = p.sine + p.supplement * p.cosine
    return p.norm_u[..., :, None] * p.norm_v[..., None, :] * profile / (2 * jnp.pi)


@gram.defjvp
def _gram_jvp(primals, tangents):
    (u, v), (du, dv) = primals, tangents
    p = pairs(u, v)
    on_u = p.norm_v[..., None, :] * p.sine * jnp.sum(p.unit_u * du, axis=-1)[..., :, None]
    on_v = p.norm_u[..., :, None] * p.sine * jnp.sum(p.unit_v * dv, axis=-1)[..., None, :]
    across = p.supplement * (_dot(du, v) + _dot(u, dv))
    return gram(u, v), (on_u + on_v + across) / (2 * jnp.pi)


def gram_gradient(u: Float[Array, "k d"], v: Float[Array, "m d"]) -> Float[Array, "k m d"]:
    r"""All gradients $\partial K(u_i, v_j) / \partial u_i$.

    **Accuracy.** 1e-14 of |v|. **Cost.** k·m·d numbers; `pull` contracts without them.
    """
    p = pairs(u, v)
    radial = (p.norm_v * p.sine)[..., None] * p.unit_u[:, None]
    return (radial + p.supplement[..., None] * v) / (2 * jnp.pi)


def gram_hessian(
    u: Float[Array, "k d"], v: Float[Array, "m d"]
) -> tuple[Float[Array, "k m d d"], Float[Array, "k m d d"]]:
    r"""All second derivatives of $K(u_i, v_j)$: in $u_i$ twice, and mixed.

    The mixed one is symmetric, and I/2 where the vectors are parallel, 0 where antiparallel.

    **Accuracy.** 1e-13 of |v|/|u| and of 1. **Cost.** k·m·d² numbers.
    """
    p = pairs(u, v)
    identity = jnp.eye(u.shape[-1])
    normal = _across(p)
    weight = p.norm_v * _reciprocal(p.norm_u)[:, None] / (2 * jnp.pi)
    flat = identity - p.unit_u[:, None, :, None] * p.unit_u[:, None, None, :]
    pure = weight[..., None, None] * (
        p.sine[..., None, None] * flat + _reciprocal(p.sine)[..., None, None] * _square(normal)
    )
    return pure, mixed_curvature(p)


def _across(p: Pairs) -> Float[Array, "*b k m d"]:
    """v̄ − cos θ ū for every pair, by differences: its length is sin θ, also when tiny."""
    u, v = p.unit_u[..., :, None, :], p.unit_v[..., None, :, :]
    sign = p.sign[..., None]
    return (v - sign * u) + sign * p.gap[..., None] * u


def mixed_curvature(p: Pairs) -> Float[Array, "k m d d"]:
    r"""The matrices $\partial^2 K(u_i, v_j) / \partial u_i \partial v_j$; `p` = pairs(u, v)."""
    tan, cot = (x[..., None, None] / 2 for x in p.tangents)
    u, v = p.unit_u[:, None], p.unit_v[None]
    identity = jnp.eye(p.unit_u.shape[-1])
    turned = tan * _square(u + v) - cot * _square(v - u)
    return (p.supplement[..., None, None] * identity + turned) / (2 * jnp.pi)


def pull(
    p: Pairs, v: Float[Array, "*c m d"] | None, heads: Float[Array, "*e m"]
) -> Float[Array, "*b k d"]:
    r"""The gradients $\sum_j c_j\, \partial K(u_i, v_j) / \partial u_i$, where `p` = pairs(u, v).

    `v` is None for the standard basis. **Cost.** A matrix product on top of `pairs`, without
    `v` none.
    """
    radial = (p.sine @ (heads * p.norm_v)[..., None]) * p.unit_u
    flat = p.supplement * heads if v is None else p.supplement @ (heads[..., None] * v)
    return (radial + flat) / (2 * jnp.pi)


@jax.custom_jvp
def net_pull(
    w: Float[Array, "*b k d"],
    a: Float[Array, "*b k"],
    v: Float[Array, "m d"] | None,
    b: Float[Array, " m"],
) -> Float[Array, "*b k d"]:
    r"""What training evaluates at every step, the pull of students less that of teachers.

    $$ \sum_j a_j \frac{\partial K(w_i, w_j)}{\partial w_i}
       - \sum_j b_j \frac{\partial K(w_i, v_j)}{\partial w_i} $$

    `v` is None for the standard basis. **Domain.** Rows shorter than 1e-150 count as zero.

    **Accuracy.** 1e-14 of Σ|aⱼ||wⱼ| + Σ|bⱼ||vⱼ|; once differentiable, to 1e-13. **Cost.** Two
    matrix products, four with `v`, and one square root a pair.
    """
    # Angles come from rounded cosines, also near 0 and π, where that costs half their digits: an
    # error δ of θ moves |v| (sin θ ū - θ v̄) by |v| δ sin θ only, which is the cosine's rounding,
    # as long as the sine is that of the same θ.
    square, inverse = _lengths(w)
    sine, supplement = _rounded_angles(
        (w @ _turned(w)) * inverse[..., :, None] * inverse[..., None, :]
    )
    # The matrix is symmetric, and sums along the first axis are the faster ones.
    radial = jnp.sum(sine * (a * square * inverse)[..., :, None], axis=-2)
    flat = supplement @ (a[..., None] * w)
    unit = w * inverse[..., None]
    if v is None:
        sine, supplement = _rounded_angles(unit)
        radial, flat = radial - jnp.sum(sine * b, axis=-1), flat - supplement * b
    else:
        square, inverse = _lengths(v)
        sine, supplement = _rounded_angles((unit @ _turned(v)) * inverse)
        radial = radial - jnp.sum(sine * (b * square * inverse), axis=-1)
        flat = flat - supplement @ (b[:, None] * v)
    return (radial[..., None] * unit + flat) / (2 * jnp.pi)


@net_pull.defjvp
def _net_pull_jvp(primals, tangents):
    # Derivatives see the error of θ undiminished.
    return jax.jvp(_net_pull_by_pairs, primals, tangents)


def _net_pull_by_pairs(w, a, v, b):
    theirs = pull(pairs(w, v, partner=Partner.basis), v, b)
    return pull(pairs(w), w, a) - theirs


def _lengths(w):
    """|wᵢ|² and 1/|wᵢ|, which is 0 for a zero row."""
    square = jnp.sum(w * w, axis=-1)
    is_row = square > 0
    return square, jnp.where(is_row, 1 / jnp.sqrt(jnp.where(is_row, square, 1.0)), 0.0)


def _rounded_angles(cosine):
    """The sine and the supplement π − θ of one and the same θ."""
    # What may be rounding is 0: else noise would push a neuron that shrinks opposite to all others
    # across the origin.
    gap = 1 - jnp.abs(cosine)
    gap = jnp.where(gap > 1e-15, gap, 0.0)
    sine = jnp.sqrt(gap * (2 - gap))
    acute = sine * _polynomial(_ANGLE, gap)
    return sine, jnp.where(cosine < 0, acute, jnp.pi - acute)


def _turned(x):
    return jnp.swapaxes(x, -1, -2)


def curvature(p: Pairs, heads: Float[Array, " m"]) -> Float[Array, "k d d"]:
    r"""The matrices $\sum_j c_j\, \partial^2 K_{ij} / \partial u_i^2$, where `p` = pairs(u, v)."""
    weight = heads * p.norm_v * _reciprocal(p.norm_u)[:, None] / (2 * jnp.pi)
    flat = jnp.eye(p.unit_u.shape[-1]) - _square(p.unit_u)
    normal = _across(p)
    spread = jnp.swapaxes(normal * (weight * _reciprocal(p.sine))[..., None], -1, -2) @ normal
    return jnp.sum(weight * p.sine, axis=-1)[:, None, None] * flat + spread
