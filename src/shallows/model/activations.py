r"""Activations, and the overlaps of their neurons under a standard Gaussian input.

An activation σ answers for $K(u, v) = \mathbb{E}\,\sigma(u^\top x)\,\sigma(v^\top x)$ and for the
derivatives of K that a squared loss is made of. Whatever is piecewise linear goes through the
ReLU (`overlaps`); what is smooth has a closed form, or a series, in the two variances and the
covariance of $(u^\top x, v^\top x)$ (`smooth`).
"""

import abc
from typing import Final

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from shallows.model import overlaps


def finite_number(name: str, value: object) -> float:
    """`value` as a finite float, or an error that calls it `name`."""
    try:
        number = float(value)  # type: ignore[arg-type]  # it is what we test
    except (TypeError, ValueError):
        number = float("nan")
    if not abs(number) < 1e100:
        raise ValueError(f"`{name}` must be a finite number, but is {value!r:.200}. Use e.g. 0.1.")
    return number


class AbstractOverlaps(eqx.Module):
    """The overlaps K(u, v) = E σ(u·x) σ(v·x) of neurons, with what a loss asks of them."""

    @abc.abstractmethod
    def gram(self, u: Float[Array, "*b k d"], v: Float[Array, "*c m d"]) -> Float[Array, "*b k m"]:
        """K(uᵢ, vⱼ)."""

    @abc.abstractmethod
    def slopes(self, u: Float[Array, "k d"], v: Float[Array, "m d"]) -> Float[Array, "k m d"]:
        """∂K(uᵢ, vⱼ)/∂uᵢ."""

    @abc.abstractmethod
    def net_pull(
        self,
        w: Float[Array, "*b k d"],
        a: Float[Array, "*b k"],
        v: Float[Array, "m d"] | None,
        b: Float[Array, " m"],
    ) -> Float[Array, "*b k d"]:
        """Σⱼ aⱼ ∂K(wᵢ, wⱼ)/∂wᵢ − Σⱼ bⱼ ∂K(wᵢ, vⱼ)/∂wᵢ; `v` is None for the standard basis."""

    @abc.abstractmethod
    def curvature(
        self, u: Float[Array, "k d"], heads: Float[Array, " m"], v: Float[Array, "m d"] | None
    ) -> Float[Array, "k d d"]:
        """Σⱼ cⱼ ∂²K(uᵢ, vⱼ)/∂uᵢ²; without `v` rows are paired with each other."""

    @abc.abstractmethod
    def mixed_curvature(self, u: Float[Array, "k d"]) -> Float[Array, "k k d d"]:
        """∂²K(uᵢ, uⱼ)/∂uᵢ∂uⱼ as a function of two arguments, also for i = j."""


class AbstractActivation(AbstractOverlaps):
    """A function σ of one variable, with its overlaps under x ~ N(0, I)."""

    is_homogeneous: eqx.AbstractClassVar[bool]
    """Whether σ(s t) = s σ(t) for s > 0."""
    is_smooth: eqx.AbstractClassVar[bool]
    """Whether σ has two derivatives everywhere."""

    @property
    @abc.abstractmethod
    def name(self) -> str:
        """A word for the command line and for records."""

    @property
    @abc.abstractmethod
    def parity(self) -> int:
        """1 where σ(−t) = σ(t), −1 where σ(−t) = −σ(t), else 0."""

    @abc.abstractmethod
    def __call__(self, t: Float[Array, "..."]) -> Float[Array, "..."]:
        """σ(t)."""

    @abc.abstractmethod
    def slope(self, t: Float[Array, "..."]) -> Float[Array, "..."]:
        """σ′(t); at a kink the mean of the two sides."""

    @abc.abstractmethod
    def bend(self, t: Float[Array, "..."]) -> Float[Array, "..."]:
        """σ″(t), without what kinks contribute."""


class PiecewiseLinear(AbstractActivation):
    r"""$\sigma(t) = p \max(t, 0) + n \min(t, 0)$: slope `negative` = n, then slope `positive` = p.

    With $m = (p - n)/2$, σ is $\frac{p+n}{2} t + m |t|$, whose two terms are uncorrelated in every
    pair, so that $K_\sigma = 4 m^2 K_{\text{ReLU}} + p\,n\;u^\top v$.

    **Accuracy.** As for the ReLU. **Raises.** `ValueError` for slopes that are not finite, and for
    two slopes 0.
    """

    negative: float = eqx.field(static=True)
    positive: float = eqx.field(static=True)
    is_homogeneous = True
    is_smooth = False

    def __init__(self, negative: float | int = 0.0, positive: float | int = 1.0):
        self.negative = finite_number("negative", negative)
        self.positive = finite_number("positive", positive)
        if self.negative == self.positive == 0:
            raise ValueError("An activation with two slopes 0 is the zero function. Use (0, 1).")

    @property
    def share(self) -> float:
        """What the overlap has of that of the ReLU, 4m²."""
        return (self.positive - self.negative) ** 2

    @property
    def rest(self) -> float:
        """What it has of the inner product, p n."""
        return self.positive * self.negative

    @property
    def name(self) -> str:
        """See `AbstractActivation`."""
        known = {(0.0, 1.0): "relu", (-1.0, 1.0): "abs", (1.0, 1.0): "linear"}
        if self.positive == 1.0:
            return known.get((self.negative, 1.0), f"leaky:{self.negative:g}")
        return f"piecewise:{self.negative:g},{self.positive:g}"

    @property
    def parity(self) -> int:
        """See `AbstractActivation`."""
        return {-self.positive: 1, self.positive: -1}.get(self.negative, 0)

    def __call__(self, t):
        """See `AbstractActivation`."""
        if self.rest == 0 and self.negative == 0:
            return self.positive * jnp.maximum(t, 0.0)
        return self.positive * jnp.maximum(t, 0.0) + self.negative * jnp.minimum(t, 0.0)

    def slope(self, t):
        """See `AbstractActivation`."""
        return self.negative + (self.positive - self.negative) * jnp.heaviside(t, 0.5)

    def bend(self, t):
        """See `AbstractActivation`."""
        return jnp.zeros_like(t)

    def gram(self, u, v):
        """See `AbstractActivation`."""
        return self._sum(lambda: overlaps.gram(u, v), lambda: u @ jnp.swapaxes(v, -1, -2))

    def slopes(self, u, v):
        """See `AbstractActivation`."""
        return self._sum(lambda: overlaps.gram_gradient(u, v), lambda: v)

    def net_pull(self, w, a, v, b):
        """See `AbstractActivation`."""

        def linear():
            theirs = b if v is None else b @ v
            return (a[..., None, :] @ w) - theirs

        return self._sum(lambda: overlaps.net_pull(w, a, v, b), linear)

    def curvature(self, u, heads, v):
        """See `AbstractActivation`."""
        return self.share * overlaps.curvature(overlaps.pairs(u, v), heads)

    def mixed_curvature(self, u):
        """See `AbstractActivation`."""
        return self._sum(
            lambda: overlaps.mixed_curvature(overlaps.pairs(u)), lambda: jnp.eye(u.shape[-1])
        )

    def _sum(self, relu, linear):
        """What is zero is not computed, nor multiplied by 1."""
        if self.share == 0:  # the identity: there are no kinks
            return self.rest * (linear() + jnp.zeros_like(relu()))
        curved = relu() if self.share == 1 else self.share * relu()
        return curved if self.rest == 0 else curved + self.rest * linear()


relu: Final = PiecewiseLinear()
"""max(t, 0)."""
absolute: Final = PiecewiseLinear(-1.0, 1.0)
"""|t|."""


def leaky(slope: float | int = 0.01) -> PiecewiseLinear:
    """max(t, slope · t) for slopes below one."""
    return PiecewiseLinear(slope, 1.0)
