r"""Expectations of ReLU neurons with biases under a standard Gaussian input, in closed form.

A row (u, b) is the neuron with $U = u^\top z + b$, that is a neuron of d + 1 inputs of which the
last is 1. Everything here is about $K = \mathbb{E}\,U_+ V_+$ for two rows (u, b) and (v, c). With
unit vectors ū, v̄ at the angle θ, $h = b/|u|$ and $g = c/|v|$,

$$ K = (bc + u^\top v)\,C + |u|\,c\,\alpha + |v|\,b\,\beta + |u||v|\,\Gamma \sin\theta, $$

where $C = P(U > 0, V > 0)$, and with the depths $\eta = (g - h\cos\theta)/\sin\theta$ and
$\epsilon = (h - g\cos\theta)/\sin\theta$ of each half-space's foot in the other one
$\alpha = \varphi(h)\Phi(\eta)$ and $\beta = \varphi(g)\Phi(\epsilon)$ are the Gaussian lengths of
the two edges of the wedge {U > 0, V > 0}, $\Gamma = \varphi(h)\varphi(\eta)$ is the weight of its
corner. In d + 1 coordinates, Stein's lemma gives

$$ \frac{\partial K}{\partial (u, b)} = \bigl(|v|\,(\eta\,\alpha + \Gamma) \sin\theta\,\bar u
   + C v,\; c\,C + |v|\,(\alpha\cos\theta + \beta)\bigr), $$

$$ \frac{\partial^2 K}{\partial (u, b)^2} = \frac{|v|}{|u|}\sin\theta\,\bigl(
   \varphi(h) I_0\,(f f^\top + P) + \alpha\,(f n^\top + n f^\top) + \Gamma\, n n^\top \bigr), $$

$$ \frac{\partial^2 K}{\partial (u, b)\,\partial (v, c)} = C I + \alpha\,(\bar u e^\top + e \bar
   u^\top - h \bar u \bar u^\top) + \beta\,(\bar v e^\top + e \bar v^\top - g \bar v \bar v^\top)
   + \Gamma \sin\theta\,(m m^\top - p p^\top), $$

where e is the last axis, $f = e - h\bar u$ the hyperplane's point nearest to the origin, P the
projection on the directions of z orthogonal to u, $I_0 = \eta\Phi(\eta) + \varphi(\eta)$, and n,
m, p are the unit vectors of `overlaps`. No term is singular where neurons are parallel: what is
infinite there (η, ε) only enters Φ and φ. Without biases these are the formulas of `overlaps`.

**The angle between errors.** Near θ = 0 the depths are wrong by 1e-16/θ, and so are α and β, but
in opposite ways: η and ε are computed from one difference h − g, and K and its derivatives are
Lipschitz in (h, g, θ). So they keep their digits where neurons are parallel or equal.

**Constant neurons.** For u = 0 the formulas hold with h = ±∞. At (u, b) = 0 there is no gradient;
the convention is $1\{0 > 0\} = 1/2$, as in `overlaps`.

**Source.** The truncated moments of the bivariate normal (Rosenbaum 1961); C by Owen's T (1956).
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from shallows.model import sectors
from shallows.model.overlaps import Pairs, _lengths, pairs

# Stands for infinity where a hyperplane has none: its square does not overflow.
_FAR = 1e50

_PEAK = 1 / np.sqrt(2 * np.pi)


class Wedges(eqx.Module):
    """What every formula needs of each pair of half-spaces {U > 0} and {V > 0}."""

    pairs: Pairs
    mean_u: Float[Array, "*b k"]
    mean_v: Float[Array, "*c m"]
    height_u: Float[Array, "*b k"]
    """h."""
    height_v: Float[Array, "*c m"]
    """g."""
    both: Float[Array, "*b k m"]
    """C."""
    edge_u: Float[Array, "*b k m"]
    """α."""
    edge_v: Float[Array, "*b k m"]
    """β."""
    corner: Float[Array, "*b k m"]
    """Γ."""
    reach_u: Float[Array, "*b k m"]
    """|v| η sin θ, the mean of V where U = 0."""
    reach_v: Float[Array, "*b k m"]
    """|u| ε sin θ, the mean of U where V = 0."""


def wedges(u: Float[Array, "*b k e"], v: Float[Array, "*c m e"]) -> Wedges:
    """The wedges of all pairs (row of `u`, row of `v`); biases in the last column.

    **Accuracy.** C to 1e-15, also where neurons are parallel. **Cost.** That of two `sectors`
    a pair.
    """
    p = pairs(_tilted(u), _tilted(v))
    height_u, height_v = _height(u[..., -1], p.norm_u), _height(v[..., -1], p.norm_v)
    plane_u = jax.tree.map(lambda x: x[..., :, None], sectors.heights(height_u))
    plane_v = jax.tree.map(lambda x: x[..., None, :], sectors.heights(height_v))
    h, g = plane_u.height, plane_v.height
    # Half the sum and half the difference of the heights meet the half-angle: only in this form do
    # the errors of η and ε cancel.
    middle, rise = (h + g) / 2, (h - g) / 2
    is_acute, less = p.sign > 0, jnp.sqrt(p.gap / (2 - p.gap))
    more = 1 / jnp.maximum(less, 1e-150)
    tan, cot = jnp.where(is_acute, less, more), jnp.where(is_acute, more, less)
    eta, epsilon = middle * tan - rise * cot, middle * tan + rise * cot
    minus = jnp.where(is_acute, p.gap, 2 - p.gap)
    depth_u, depth_v = (middle * minus + side * rise * (2 - minus) for side in (-1, 1))
    sector_u, part_u, bell = sectors.sector(plane_u, eta)
    sector_v, part_v, _ = sectors.sector(plane_v, epsilon)
    return Wedges(
        p,
        u[..., -1],
        v[..., -1],
        height_u,
        height_v,
        both=sector_u + sector_v - 0.5 * ((h < 0) != (g < 0)),
        edge_u=_PEAK * plane_u.bell * (part_u + 0.5),
        edge_v=_PEAK * plane_v.bell * (part_v + 0.5),
        corner=_PEAK**2 * plane_u.bell * bell,
        reach_u=_scaled(p.norm_v[..., None, :], depth_u, v[..., None, :, -1]),
        reach_v=_scaled(p.norm_u[..., :, None], depth_v, u[..., :, None, -1]),
    )


def _tilted(u):
    """The weights without the bias, and zero if they are nothing against it."""
    is_flat = jnp.max(jnp.abs(u[..., :-1]), axis=-1) * _FAR <= jnp.abs(u[..., -1])
    return jnp.where(is_flat[..., None], 0.0, u[..., :-1])


def _height(mean, norm):
    return jnp.where(norm > 0, mean / jnp.where(norm > 0, norm, 1.0), jnp.sign(mean) * _FAR)


def _scaled(norm, depth, mean):
    return jnp.where(norm > 0, norm * depth, mean)  # a constant neuron has its mean everywhere


@jax.custom_jvp
def gram(u: Float[Array, "*b k e"], v: Float[Array, "*c m e"]) -> Float[Array, "*b k m"]:
    r"""The matrix of overlaps of the rows of `u` with those of `v`, biases in the last column.

    **Accuracy.** 1e-15 of |(u, b)||(v, c)|, and the tails where both half-spaces are far from the
    origin not better than that. May be differentiated once.
    """
    p = wedges(u, v)
    inner = u @ jnp.swapaxes(v, -1, -2)
    s, t = p.pairs.norm_u[..., :, None], p.pairs.norm_v[..., None, :]
    edges = s * p.mean_v[..., None, :] * p.edge_u + t * p.mean_u[..., :, None] * p.edge_v
    return inner * p.both + edges + s * t * p.corner * p.pairs.sine


@gram.defjvp
def _gram_jvp(primals, tangents):
    (u, v), (du, dv) = primals, tangents
    p = _wedges_once(u, v)
    (x, y), (dx, dy), (db, dc) = (
        (u[..., :-1], v[..., :-1]),
        (du[..., :-1], dv[..., :-1]),
        (du[..., -1], dv[..., -1]),
    )
    on_u, on_v = _radial(p)
    tilt_u, tilt_v = _tilts(p)
    along_u = on_u * jnp.sum(p.pairs.unit_u * dx, axis=-1)[..., :, None]
    along_v = on_v * jnp.sum(p.pairs.unit_v * dy, axis=-1)[..., None, :]
    across = p.both * (dx @ jnp.swapaxes(y, -1, -2) + x @ jnp.swapaxes(dy, -1, -2))
    lifted = tilt_u * db[..., :, None] + tilt_v * dc[..., None, :]
    return gram(u, v), along_u + along_v + across + lifted


@jax.custom_jvp
def _wedges_once(u, v):
    return wedges(u, v)


@_wedges_once.defjvp
def _wedges_twice(primals, tangents):
    # Autodiff of `wedges` would be wrong where neurons are parallel, without telling.
    raise TypeError(
        "Overlaps of neurons with biases may be differentiated once, and their gradients once; "
        "this asks for more. Use `gradient_at`, `cell_hessian_at` or `product_at` of the loss."
    )


def _radial(p):
    """What multiplies ū in ∂K/∂u, and v̄ in ∂K/∂v."""
    corner = p.corner * p.pairs.sine
    on_u = p.reach_u * p.edge_u + p.pairs.norm_v[..., None, :] * corner
    on_v = p.reach_v * p.edge_v + p.pairs.norm_u[..., :, None] * corner
    return on_u, on_v


def _tilts(p):
    """∂K/∂b and ∂K/∂c."""
    s, t, cosine = p.pairs.norm_u[..., :, None], p.pairs.norm_v[..., None, :], p.pairs.cosine
    on_b = p.mean_v[..., None, :] * p.both + t * (cosine * p.edge_u + p.edge_v)
    on_c = p.mean_u[..., :, None] * p.both + s * (cosine * p.edge_v + p.edge_u)
    return on_b, on_c


def gram_gradient(u: Float[Array, "k e"], v: Float[Array, "m e"]) -> Float[Array, "k m e"]:
    r"""All gradients $\partial K / \partial (u_i, b_i)$.

    **Accuracy.** 1e-14 of |(v, c)|.
    """
    p = wedges(u, v)
    flat = _radial(p)[0][..., None] * p.pairs.unit_u[:, None] + p.both[..., None] * v[:, :-1]
    return jnp.concatenate([flat, _tilts(p)[0][..., None]], axis=-1)


@jax.custom_jvp
def pull(
    u: Float[Array, "*b k e"], v: Float[Array, "*c m e"], heads: Float[Array, "*e m"]
) -> Float[Array, "*b k e"]:
    r"""The gradients $\sum_j c_j\, \partial K_{ij} / \partial (u_i, b_i)$, c = `heads`.

    **Accuracy.** 1e-14 of Σ|cⱼ||vⱼ|; once differentiable, to 1e-13. **Cost.** That of `wedges`
    and a matrix product.
    """
    return _pulled(wedges(u, v), v, heads)


def _pulled(p, v, heads):
    column = heads[..., None]
    flat = (_radial(p)[0] @ column) * p.pairs.unit_u + p.both @ (column * v[..., :-1])
    return jnp.concatenate([flat, _tilts(p)[0] @ column], axis=-1)


@pull.defjvp
def _pull_jvp(primals, tangents):
    (u, v, heads), (du, dv, dheads) = primals, tangents
    p = _wedges_once(u, v)
    first = jnp.einsum("...ide,...ie->...id", _curvature(p, heads), du)
    return _pulled(p, v, heads), first + _mixed_product(p, heads, dv) + _pulled(p, v, dheads)


@jax.custom_jvp
def net_pull(
    w: Float[Array, "*b k e"],
    a: Float[Array, "*#b k"],
    v: Float[Array, "m e"],
    b: Float[Array, " m"],
) -> Float[Array, "*b k e"]:
    r"""What training evaluates at every step, the pull of students less that of teachers.

    The sums of `overlaps.net_pull`, with biases in the last column. **Domain.** Rows shorter than
    1e-150 count as constant neurons.

    **Accuracy.** 1e-14 of Σ|aⱼ||wⱼ| + Σ|bⱼ||vⱼ|; once differentiable, to 1e-13. **Cost.** Three
    to six times that of `overlaps.net_pull`: one sector for each pair of students, since that of
    (j, i) is the other one of (i, j), and two for a student and a teacher.
    """
    batch = jnp.broadcast_shapes(w.shape[:-2], a.shape[:-1])
    if not batch:
        return _net_pull(w, a, v, b)
    # One student after the other: it stays in the fastest cache.
    w = jnp.broadcast_to(w, (*batch, *w.shape[-2:])).reshape(-1, *w.shape[-2:])
    a = jnp.broadcast_to(a, (*batch, a.shape[-1])).reshape(-1, a.shape[-1])
    each = jax.lax.map(lambda x: _net_pull(x[0], x[1], v, b), (w, a))
    return each.reshape(*batch, *each.shape[1:])


@net_pull.defjvp
def _net_pull_jvp(primals, tangents):
    (w, a, v, b), (dw, da, dv, db) = primals, tangents
    both, moved = (
        jnp.concatenate([x, jnp.broadcast_to(y, (*x.shape[:-2], *y.shape))], axis=-2)
        for x, y in ((w, v), (dw, dv))
    )
    heads, more = (
        jnp.concatenate([x, jnp.broadcast_to(-y, (*x.shape[:-1], *y.shape))], axis=-1)
        for x, y in ((a, b), (da, db))
    )
    _, turn = jax.jvp(pull, (w, both, heads), (dw, moved, more))
    return net_pull(w, a, v, b), turn


def _net_pull(w, a, v, b):
    # Depths come from rounded cosines, as in `overlaps`, which costs the gradient no more than
    # the cosine's rounding: it is Lipschitz in (h, g, cos θ) as long as all come from the same.
    x, length, p = _tilt(w)
    y, there, q = _tilt(v)
    own, other = x @ x.T, y @ x.T
    eta, _, sine = _depths(own, p.height, p.height[:, None])
    low, high, their_sine = _depths(other, p.height, q.height[:, None])

    # A branch only because XLA keeps what its operands are. Else it computes depths and
    # exponentials again in each of the loops below, and deals these out to threads that are
    # started for some microseconds of work each.
    def known(p, q, eta, low, high):
        q = jax.tree.map(lambda z: z[:, None], q)
        return (
            *sectors.sector(p, eta),
            *sectors.sector(p, low),
            *sectors.sector(q, high)[:2],
        )

    def unknown(p, q, eta, low, high):
        return tuple(jnp.full_like(z, jnp.nan) for z in 3 * (eta,) + 3 * (low,) + 2 * (high,))

    each = jax.lax.cond(jnp.isfinite(jnp.sum(w)), known, unknown, p, q, eta, low, high)
    part, reach, bell, on_low, low_reach, low_bell, on_high, high_reach = each

    # In these matrices students are columns. Products with them cost less than sums and transposes.
    heads, lengths, their_lengths = a[:, None] * w, a * length, -b * there
    their_heads = -b[:, None] * v
    edge, their_edge = _PEAK * p.bell, _PEAK * q.bell
    reach, low_reach = reach + 0.5, low_reach + 0.5
    across = edge * (lengths @ (own * reach) + their_lengths @ (other * low_reach))
    corner = lengths @ (bell * sine) + their_lengths @ (low_bell * their_sine)
    means = heads[:, -1] @ reach + their_heads[:, -1] @ low_reach
    radial = edge * (means + _PEAK * corner) - p.height * across
    lifted = across + reach @ (lengths * edge) + (their_lengths * their_edge) @ (high_reach + 0.5)
    # ½·1{h, g differ in sign} is a matrix of rank two.
    s, t = 0.5 * (p.height < 0), 0.5 * (q.height < 0)
    excess = s @ heads + t @ their_heads
    excess += s[:, None] * ((1 - 4 * s) @ heads + (1 - 4 * t) @ their_heads)
    flat = part.T @ heads + part @ heads + (on_low + on_high).T @ their_heads - excess
    return flat + jnp.concatenate([radial[:, None] * x, lifted[:, None]], axis=1)


def _tilt(w):
    """Unit vectors, lengths and half-planes of neurons."""
    square, inverse = _lengths(w[:, :-1])
    far = _FAR * jnp.sign(w[:, -1])
    height = jnp.where(square > 0, jnp.clip(w[:, -1] * inverse, -_FAR, _FAR), far)
    return w[:, :-1] * inverse[:, None], square * inverse, sectors.heights(height)


def _depths(cosine, h, g):
    """η, ε and sin θ, of one and the same θ."""
    gap = 1 - jnp.abs(cosine)
    gap = jnp.where(gap > 1e-15, gap, 1e-300)  # what may be rounding is 0, but no infinity
    inverse = 1 / jnp.sqrt(gap * (2 - gap))
    less, more = gap * inverse, (2 - gap) * inverse
    is_acute = cosine > 0
    tan, cot = jnp.where(is_acute, less, more), jnp.where(is_acute, more, less)
    middle, rise = (h + g) * (tan / 2), (h - g) * (cot / 2)
    return middle - rise, middle + rise, gap * more


def curvature(
    u: Float[Array, "k e"], heads: Float[Array, " m"], v: Float[Array, "m e"]
) -> Float[Array, "k e e"]:
    r"""The matrices $\sum_j c_j\, \partial^2 K_{ij} / \partial (u_i, b_i)^2$, c = `heads`.

    **Accuracy.** 1e-13 of Σ|cⱼ||vⱼ|/|uᵢ|.
    """
    return _curvature(wedges(u, v), heads)


def _curvature(p, heads):
    unit, foot = p.pairs.unit_u, _foot(p.pairs.unit_u, p.height_u)
    inverse = heads[..., None, :] * _reciprocal(p.pairs.norm_u)[..., :, None]
    scale = inverse * p.pairs.norm_v[..., None, :]
    # sin θ n = v̄ − cos θ ū, by differences, so that n/sin θ and its square keep their digits.
    normal = _lifted(_across(p.pairs))
    level = jnp.sum(inverse * _radial(p)[0], axis=-1)
    around = jnp.eye(foot.shape[-1]).at[-1, -1].set(0.0) - _square(_lifted(unit))
    flat = level[..., None, None] * (_square(foot) + around)
    side = jnp.einsum("...im,...imd->...id", scale * p.edge_u, normal)
    bent = foot[..., :, None] * side[..., None, :]
    weight = scale * p.corner * _reciprocal(p.pairs.sine)
    spread = jnp.einsum("...im,...imd,...ime->...ide", weight, normal, normal)
    return flat + bent + jnp.swapaxes(bent, -1, -2) + spread


def mixed_curvature(u: Float[Array, "k e"], v: Float[Array, "m e"]) -> Float[Array, "k m e e"]:
    r"""The matrices $\partial^2 K_{ij} / \partial (u_i, b_i)\, \partial (v_j, c_j)$.

    **Accuracy.** 1e-13.
    """
    p = wedges(u, v)
    tan, cot = (x[..., None, None] / 2 for x in p.pairs.tangents)
    x, y = _lifted(p.pairs.unit_u)[:, None], _lifted(p.pairs.unit_v)[None]
    turned = tan * _square(x + y) - cot * _square(y - x)
    return (
        p.both[..., None, None] * jnp.eye(u.shape[-1])
        + p.edge_u[..., None, None] * _hinge(p.pairs.unit_u, p.height_u)[:, None]
        + p.edge_v[..., None, None] * _hinge(p.pairs.unit_v, p.height_v)[None]
        + p.corner[..., None, None] * turned
    )


def _mixed_product(p, heads, dv):
    """Σⱼ cⱼ ∂²K/∂(uᵢ, bᵢ)∂(vⱼ, cⱼ) dvⱼ, without the matrices."""
    dv = heads[..., None] * dv
    tan, cot = (x / 2 for x in p.pairs.tangents)
    x, y = _lifted(p.pairs.unit_u)[..., :, None, :], _lifted(p.pairs.unit_v)[..., None, :, :]
    other = dv[..., None, :, :]
    turned = (
        tan * p.corner * jnp.sum((x + y) * other, axis=-1),
        -cot * p.corner * jnp.sum((y - x) * other, axis=-1),
    )
    own = jnp.einsum("...ide,...ie->...id", _hinge(p.pairs.unit_u, p.height_u), p.edge_u @ dv)
    theirs = jnp.einsum("...jde,...je->...jd", _hinge(p.pairs.unit_v, p.height_v), dv)
    return (
        p.both @ dv
        + own
        + p.edge_v @ theirs
        + jnp.sum(turned[0][..., None] * (x + y) + turned[1][..., None] * (y - x), axis=-2)
    )


def _hinge(unit, height):
    """ū eᵀ + e ūᵀ − h ū ūᵀ: 0 for a constant neuron, whose hyperplane is nowhere."""
    x = _lifted(unit)
    e = jnp.zeros(x.shape[-1]).at[-1].set(1.0)
    side = x[..., :, None] * e
    return side + jnp.swapaxes(side, -1, -2) - height[..., None, None] * _square(x)


def _foot(unit, height):
    """The point e − hū of a hyperplane, with 1 as its last coordinate."""
    return jnp.concatenate([-height[..., None] * unit, jnp.ones_like(height)[..., None]], axis=-1)


def _across(p: Pairs):
    u, v, sign = p.unit_u[..., :, None, :], p.unit_v[..., None, :, :], p.sign[..., None]
    return (v - sign * u) + sign * p.gap[..., None] * u


def _lifted(x):
    return jnp.concatenate([x, jnp.zeros_like(x[..., :1])], axis=-1)


def _square(x):
    return x[..., :, None] * x[..., None, :]


def _reciprocal(x):
    """1/x for x > 0, and 0 for x = 0."""
    return jnp.where(x > 0, 1 / jnp.where(x > 0, x, 1.0), 0.0)
