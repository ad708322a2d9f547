r"""Laws of independent inputs: uniform, Laplace, noisy signs, any symmetric marginal.

Let x have independent symmetric entries of variance 1 with characteristic function φ. For a
piecewise linear σ the overlap is, as under any even law, a multiple of $u^\top v$ and one of
$\mathbb{E}|u^\top x||v^\top x| = u^\top S v$, where $S = \mathbb{E}\,x x^\top
\operatorname{sign}(u^\top x) \operatorname{sign}(v^\top x)$ gives the derivatives as well:

$$ \frac{\partial}{\partial u} u^\top S v = S v, \qquad
   \frac{\partial^2}{\partial u\,\partial v} u^\top S v = S. $$

Since $\operatorname{sign} U \operatorname{sign} V = \frac{2}{\pi^2} \int_0^\infty
\log\left|\frac{U + \tau V}{U - \tau V}\right| \frac{d\tau}{\tau}$, and $-\log|t|$ is up to a
constant the integral of $\cos(\rho t)\,d\rho/\rho$, what S has beyond the Gaussian's is a double
integral of products of one-dimensional functions: with $w_\pm = u \pm \tau v$, bars for unit
vectors and $C(w) = \mathbb{E}\,x x^\top \cos(w^\top x)$,

$$ S = S_{\text{Gauss}} + \frac{2}{\pi^2} \int_0^\infty \frac{d\tau}{\tau} \Bigl[
   \bar w \bar w^\top + \int_0^\infty \frac{d\rho}{\rho}\, C(\rho \bar w)
   \Bigr]_{w = w_+}^{w = w_-}. $$

The Gaussian part is a closed form. The rest is exactly 0 where neurons are parallel. τ is chosen on
a scale that follows the angle of the neurons, ρ as φ needs it.

The formula is our own.
"""

import functools
import itertools
import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from shallows.model.activations import AbstractOverlaps, PiecewiseLinear
from shallows.model.laws import AbstractLinear
from shallows.model.marginals import AbstractMarginal, gauss_legendre, positive_number
from shallows.model.network import positive_integer


class Product(AbstractLinear):
    """Independent inputs with the same symmetric `marginal`.

    No permutation and no change of signs of the inputs changes the law, so that symmetries are
    those of the Gaussian. Overlaps are exact up to quadrature (see the module), refined until
    gradients of the overlap of test pairs of unit vectors change by less than `tolerance`.

    **Accuracy.** That `tolerance`, of |v|, for ∂K/∂u and K/|u|, for which `error` measures it at
    given neurons. ∂²K/∂u² is worse by one digit, and by two or three under `Uniform` on three
    inputs and under `Laplace` near axes, where third derivatives are infinite. The worst gradients
    under `Uniform` are those of pairs on the same two inputs, such as (1, 1, 0, …) and
    (1, −1, 0, …).

    **Raises.** `ValueError` where the finest rule does not reach the tolerance, saying how far it
    got. **Cost.** A few thousand nodes a pair of neurons, 2 d φ's a node: see docs.
    """

    inputs: int = eqx.field(static=True)
    marginal: AbstractMarginal
    tolerance: float = eqx.field(static=True)
    level: int = eqx.field(static=True)
    """Which of its marginal's rules it uses."""
    constant: float = eqx.field(static=True)
    root: None = eqx.field(static=True)
    is_smooth = True

    def __init__(self, marginal: object, inputs: int, *, tolerance: float = 1e-6):
        if not isinstance(marginal, AbstractMarginal):
            raise TypeError(
                f"`marginal` must be the law of an input, but is {marginal!r:.200}. Use e.g. "
                f"`Product(Uniform(), 5)`."
            )
        self.marginal, self.inputs = marginal, positive_integer("inputs", inputs)
        self.tolerance = positive_number("tolerance", tolerance)
        self.constant, self.root = marginal.deviation**2, None
        best = math.inf
        for level in range(_FINEST):
            error = _test_error(marginal, self.inputs, level)
            best = min(best, error)
            if error <= self.tolerance:
                self.level = level
                return
        raise ValueError(
            f"The quadrature for {type(marginal).__name__} marginals in {self.inputs} dimensions "
            f"does not reach the tolerance {self.tolerance:.3g}: the finest rule has the error "
            f"{best:.2g}. Raise `tolerance`, or use a `Sample` of draws."
        )

    def check(self, activation):
        """See `AbstractLaw`: only piecewise linear functions have these overlaps."""
        if not isinstance(activation, PiecewiseLinear):
            raise ValueError(
                f"Under a Product law there are overlaps for piecewise linear activations, such "
                f"as relu, and {activation.name} is none. Use a `Sample` of draws."
            )

    def overlaps(self, activation):
        """See `AbstractLinear`."""
        self.check(activation)
        return Corrected(activation, self.marginal, self.level)

    def error(self, u: Float[Array, "k d"], v: Float[Array, "m d"]) -> float:
        """What the next finer rule changes in ∂K(uᵢ, vⱼ)/∂uᵢ, as a share of |vⱼ|: the largest."""
        first, second = (_unit(np.asarray(x), np)[0] for x in (u, v))
        pairs = [(x, y) for x in first for y in second]
        return _error(self.marginal, pairs, self.level)

    def draw(self, key, number):
        """See `AbstractLaw`."""
        return self.marginal.draw(key, (number, self.inputs))


class Corrected(AbstractOverlaps):
    """The Gaussian's overlaps, and what those under independent inputs of variance 1 have more."""

    activation: PiecewiseLinear
    marginal: AbstractMarginal
    level: int = eqx.field(static=True)

    @property
    def _share(self) -> float:
        return self.activation.share / 4

    def _turn(self, pair, b):
        u, v = pair
        return _turn(self.marginal, self.level, u, v, b)

    def _both(self, pair):
        return jax.vmap(lambda b: self._turn(pair, b))(jnp.stack(pair))

    def _correction(self, u, v):
        """(S − S_Gauss) v for all pairs of a row of u and one of v."""
        (u, _), (v, size) = _unit(u), _unit(v)
        return size[:, None] * _over_pairs(lambda pair: self._turn(pair, pair[1]), u, v)

    def gram(self, u, v):
        """See `AbstractOverlaps`."""
        flat = self.activation.gram(u, v)
        batch = flat.shape[:-2]
        first = jnp.broadcast_to(u, (*batch, *u.shape[-2:])).reshape(-1, *u.shape[-2:])
        second = jnp.broadcast_to(v, (*batch, *v.shape[-2:])).reshape(-1, *v.shape[-2:])
        more = jax.lax.map(
            lambda x: jnp.einsum("kd,kmd->km", x[0], self._correction(*x)), (first, second)
        )
        return flat + self._share * more.reshape(flat.shape)

    def slopes(self, u, v):
        """See `AbstractOverlaps`."""
        return self.activation.slopes(u, v) + self._share * self._correction(u, v)

    def net_pull(self, w, a, v, b):
        """See `AbstractOverlaps`."""
        flat = self.activation.net_pull(w, a, v, b)
        v = jnp.eye(w.shape[-1]) if v is None else v
        k = w.shape[-2]
        i, j = np.triu_indices(k, 1)

        def one(x):
            w, a = x
            unit, size = _unit(w)
            # S is symmetric: each pair is of use twice.
            ours = jax.lax.map(self._both, (unit[i], unit[j]))
            pull = jnp.zeros_like(w)
            pull = pull.at[i].add((a * size)[j][:, None] * ours[:, 1])
            pull = pull.at[j].add((a * size)[i][:, None] * ours[:, 0])
            return pull - jnp.einsum("m,kmd->kd", b, self._correction(w, v))

        flat_w, flat_a = w.reshape(-1, *w.shape[-2:]), jnp.broadcast_to(a, w.shape[:-1])
        more = jax.lax.map(one, (flat_w, flat_a.reshape(-1, k)))
        return flat + self._share * more.reshape(w.shape)

    def curvature(self, u, heads, v):
        """See `AbstractOverlaps`."""
        theirs, size = _unit(u if v is None else v)

        def one(pair):
            x, y = pair

            def along(e):
                return jax.jvp(lambda x: self._turn((_unit(x)[0], y), y), (x,), (e,))[1]

            return jax.lax.map(along, jnp.eye(len(x))).T

        pure = jnp.einsum("m,kmde->kde", heads * size, _over_pairs(one, u, theirs))
        both = (pure + jnp.swapaxes(pure, 1, 2)) / 2  # as the integral is, not the quadrature
        return self.activation.curvature(u, heads, v) + self._share * both

    def mixed_curvature(self, u):
        """See `AbstractOverlaps`."""
        unit, identity = _unit(u)[0], jnp.eye(u.shape[-1])

        def rows(pair):
            return jax.lax.map(lambda b: self._turn(pair, b), identity)

        more = _over_pairs(rows, unit, unit)
        return self.activation.mixed_curvature(u) + self._share * more


def _turn(marginal, level, u, v, b, xp=jnp):
    r"""$(S - S_{\text{Gauss}})\,b$ for unit vectors u and v."""
    rule = marginal.rule(level, u.shape[-1])
    y, weights = _angles(marginal, rule.turns, u, v, xp)
    # cos ∝ 1 − y and sin ∝ 1 + y: sums and differences of u and v are kept apart, for they may be
    # tiny where neurons are parallel.
    minus, plus = (u - v) - y[:, None] * (u + v), (u + v) + y[:, None] * (v - u)
    w, weights = _unit(xp.concatenate([minus, plus]), xp)[0], xp.concatenate([weights, -weights])
    flat = (weights * (w @ b)) @ w
    return 2 / math.pi**2 * (flat + _waves(marginal, rule, w, weights, b, xp))


def _waves(marginal, rule, w, weights, b, xp):
    r"""$\sum_n k_n \int C(\rho w_n)\,b\,d\rho/\rho$, for unit vectors in the rows of w."""
    y = w.T[:, :, None] * rule.nodes
    f, s, c = marginal.factors(y, np) if xp is np else _factors(marginal, y)
    d = w.shape[-1]

    def over(entries):
        """E cos(w·x) and E (b·x) sin(w·x) over none of the inputs, the first, and so on."""
        p, q = xp.ones_like(f[0]), xp.zeros_like(f[0])
        yield p, q
        for i in entries:
            p, q = p * f[i], q * f[i] + p * (b[i] * s[i])
            yield p, q

    before, after = list(over(range(d - 1))), list(over(range(d - 1, 0, -1)))[::-1]
    entries = []
    for i, ((p, q), (r, t)) in enumerate(zip(before, after, strict=True)):
        value = (b[i] * c[i]) * (p * r) - s[i] * (p * t + q * r)
        entries.append(weights @ (value @ rule.weights))
    return xp.stack(entries)


@functools.partial(jax.custom_jvp, nondiff_argnums=(0,))
def _factors(marginal, y):
    # Kept, or XLA works them out again for each of the sums that they are used in.
    return jax.lax.optimization_barrier(marginal.factors(y))


@_factors.defjvp
def _factors_jvp(marginal, primals, tangents):
    # φ′ and φ″ are there already: only the third derivative is new.
    (y,), (dy,) = primals, tangents
    f, s, c = _factors(marginal, y)
    third = jax.jvp(lambda y: marginal.factors(y)[2], (y,), (jnp.ones_like(y),))[1]
    return (f, s, c), jax.lax.optimization_barrier((-s * dy, c * dy, third * dy))


def _angles(marginal, number, u, v, xp):
    """Nodes y = (τ − 1)/(τ + 1) ∈ (−1, 1) and weights for ∫ f dτ/τ.

    For unit vectors |u − τv| is least at y = 0, where w turns within |y| of about ε = tan(θ/2).
    y = ε sinh t sees that scale and every other.
    """
    if xp is jnp:
        u, v = jax.lax.stop_gradient((u, v))
    sizes = xp.linalg.norm(xp.stack([u - v, u + v]), axis=-1)
    ratio = xp.min(sizes) / xp.max(sizes)
    scale = xp.maximum(ratio, _PARALLEL)
    end = xp.arcsinh(1 / scale)[None]
    x, weights = gauss_legendre(number)
    middle = xp.zeros(1)
    if marginal.is_singular_at_axes:
        p, q = xp.abs(u), xp.abs(v)
        total = p + q
        # Where both entries are rounding errors, so is the place of their zero: in the middle.
        is_there = total > 1e-9
        zero = xp.where(is_there, (p - q) / xp.where(is_there, total, 1.0), 0.0)
        middle = xp.sort(xp.arcsinh(zero / scale))
        # Nodes crowd at the ends of panels, where the integrand is not smooth.
        x, weights = x * x * (3 - 2 * x), weights * 6 * x * (1 - x)
    corners = xp.concatenate([-end, middle, end])
    lengths = xp.diff(corners)[:, None]
    t = (corners[:-1, None] + lengths * x).ravel()
    y = scale * xp.sinh(t)
    rest = xp.maximum(1 - y * y, 1e-15)  # less only by rounding, where panels have no length
    weights = (lengths * weights).ravel() * xp.where(ratio < _PARALLEL, 0.0, scale)
    return y, weights * xp.cosh(t) * 2 / rest


# Below this angle the whole correction is smaller than the tolerances: 0.1 of it in S, and of its
# square in gradients.
_PARALLEL = 1e-6


def _over_pairs(function, u, v):
    """function((uᵢ, vⱼ)) for all pairs of rows, one after the other: each is some 10⁵ numbers."""
    return jax.lax.map(lambda x: jax.lax.map(lambda y: function((x, y)), v), u)


def _unit(u, xp=jnp):
    """Unit rows, and their lengths; a zero row stays zero."""
    largest = xp.max(xp.abs(u), axis=-1, keepdims=True)
    if xp is jnp:
        largest = jax.lax.stop_gradient(largest)
    u = u / xp.where(largest > 0, largest, 1.0)
    square = xp.sum(u * u, axis=-1, keepdims=True)
    length = xp.sqrt(xp.where(square > 0, square, 1.0))
    return u / length, (largest * length)[..., 0]


# Rules beyond this one cost seconds a gradient.
_FINEST = 6


def _error(marginal, pairs, level):
    """By NumPy, for it is evaluated once for each of several sizes, and compiling takes longer."""

    def change(u, v):
        rough, fine = (_turn(marginal, n, u, v, v, np) for n in (level, level + 1))
        return float(np.max(np.abs(rough - fine))) / 4

    return max(change(u, v) for u, v in pairs)


@functools.lru_cache(maxsize=256)
def _test_error(marginal, inputs, level):
    """The error for neurons along axes, in general position, nearly parallel, and symmetric."""
    d = inputs
    if d == 1:  # the only two directions are parallel
        return 0.0
    first, second, *more = _unit(np.random.default_rng(0).normal(size=(8, d)), np)[0]
    e, centre = np.eye(d), np.full(d, 2 / d)
    rows = [
        (e[0], e[1]),
        (first, second),
        (first, e[0]),
        (first, first + 0.1 * second),
        (centre - e[0], centre - e[1]),
        (centre - e[0], e[1]),
        *itertools.pairwise(more),
    ]
    return _error(marginal, [(_unit(x, np)[0], _unit(y, np)[0]) for x, y in rows], level)
