r"""Laws of the inputs, and what a squared loss asks of them.

A law answers for the difference of two networks, $f(x) = \sum_i a_i \sigma(w_i^\top x) -
\sum_j b_j \sigma(v_j^\top x)$: its energy $\frac12 \mathbb{E} f^2$ and that energy's derivatives
in the neurons (w, a), for an activation σ. Through the overlap K of two neurons all of it is
closed form for Gaussian laws and, where σ is homogeneous, for elliptical ones; a data set is a law
whose averages are finite sums; a mixture is the mean of its parts.

Arrays `w` (k × d) and `a` (k) may carry leading batch axes wherever a method says so.
"""

import abc
import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from shallows.model.activations import (
    AbstractActivation,
    AbstractOverlaps,
    finite_number,
    relu,
)
from shallows.model.network import Numbers, finite, positive_integer


class AbstractLaw(eqx.Module):
    """A probability law of the inputs x ∈ R^d."""

    inputs: eqx.AbstractVar[int]
    """The dimension d."""
    is_smooth: eqx.AbstractClassVar[bool]
    """Whether the energy has a Hessian wherever no neuron vanishes, for any activation."""

    @abc.abstractmethod
    def check(self, activation: AbstractActivation) -> None:
        """Raise `ValueError` for an activation that this law has no means for."""

    @abc.abstractmethod
    def gram(
        self,
        u: Float[Array, "*b k d"],
        v: Float[Array, "*c m d"],
        activation: AbstractActivation = relu,
    ) -> Float[Array, "*b k m"]:
        """The overlaps E σ(uᵢ·x) σ(vⱼ·x)."""

    @abc.abstractmethod
    def energy(
        self,
        w: Float[Array, "*b k d"],
        a: Float[Array, "*b k"],
        v: Float[Array, "m d"],
        b: Float[Array, " m"],
        activation: AbstractActivation = relu,
    ) -> Float[Array, "*b"]:
        """½ E f²."""

    @abc.abstractmethod
    def slope(
        self,
        w: Float[Array, "*b k d"],
        a: Float[Array, "*b k"],
        v: Float[Array, "m d"] | None,
        b: Float[Array, " m"],
        activation: AbstractActivation = relu,
    ) -> Float[Array, "*b k d"]:
        """∂(½ E f²)/∂w; `v` is None for the standard basis, which is cheaper."""

    @abc.abstractmethod
    def head_slope(
        self,
        w: Float[Array, "*b k d"],
        a: Float[Array, "*b k"],
        v: Float[Array, "m d"],
        b: Float[Array, " m"],
        activation: AbstractActivation = relu,
    ) -> Float[Array, "*b k"]:
        """∂(½ E f²)/∂a."""

    @abc.abstractmethod
    def curvature(
        self,
        w: Float[Array, "k d"],
        a: Float[Array, " k"],
        v: Float[Array, "m d"],
        b: Float[Array, " m"],
        activation: AbstractActivation = relu,
    ) -> Float[Array, "k d k d"]:
        """∂²(½ E f²)/∂w∂w, within the cell of activations for laws that are not smooth."""

    @abc.abstractmethod
    def head_curvature(
        self,
        w: Float[Array, "k d"],
        a: Float[Array, " k"],
        v: Float[Array, "m d"],
        b: Float[Array, " m"],
        activation: AbstractActivation = relu,
    ) -> Float[Array, "k d k"]:
        """∂²(½ E f²)/∂w∂a; ∂²/∂a∂a is `gram(w, w)`."""

    @abc.abstractmethod
    def draw(self, key: Key[Array, ""], number: int) -> Float[Array, "n d"]:
        """Independent inputs."""

    @abc.abstractmethod
    def moment(self) -> Float[Array, "d d"]:
        """E x xᵀ."""

    def whiten(self, w: Float[Array, "*b k d"]) -> Float[Array, "*b k d"]:
        """Rows whose Euclidean geometry is the law's: E (u·x)(v·x) = constant · ⟨ũ, ṽ⟩."""
        values, vectors = jnp.linalg.eigh(self.moment())
        return w @ (vectors * jnp.sqrt(jnp.maximum(values, 0))) @ vectors.T


class AbstractLinear(AbstractLaw):
    """A law of x = R y whose overlaps are a constant times those of y, which are closed forms."""

    root: eqx.AbstractVar[Float[Array, "d e"] | None]
    """R; None for the identity."""
    constant: eqx.AbstractVar[float]

    @abc.abstractmethod
    def overlaps(self, activation: AbstractActivation) -> AbstractOverlaps:
        """The overlaps under y."""

    def _back(self, g):
        g = g if self.root is None else g @ self.root.T
        return g if self.constant == 1 else self.constant * g

    def moment(self):
        """See `AbstractLaw`."""
        root = jnp.eye(self.inputs) if self.root is None else self.root
        return self.constant * root @ root.T

    def whiten(self, w):
        """See `AbstractLaw`."""
        return w if self.root is None else w @ self.root

    def gram(self, u, v, activation=relu):
        """See `AbstractLaw`."""
        return self.constant * self.overlaps(activation).gram(self.whiten(u), self.whiten(v))

    def energy(self, w, a, v, b, activation=relu):
        """See `AbstractLaw`; absolute error about 1e-15 of the three terms it is the sum of."""
        return (
            _form(self.gram(w, w, activation), a, a) / 2
            - _form(self.gram(w, v, activation), a, b)
            + _form(self.gram(v, v, activation), b, b) / 2
        )

    def slope(self, w, a, v, b, activation=relu):
        """See `AbstractLaw`. This is where training spends its time."""
        if v is None and self.root is not None:
            v = jnp.eye(self.inputs)
        w, v = self.whiten(w), None if v is None else self.whiten(v)
        return self._back(a[..., None] * self.overlaps(activation).net_pull(w, a, v, b))

    def head_slope(self, w, a, v, b, activation=relu):
        """See `AbstractLaw`."""
        mine = (self.gram(w, w, activation) @ a[..., None])[..., 0]
        return mine - self.gram(w, v, activation) @ b

    def curvature(self, w, a, v, b, activation=relu):
        """See `AbstractLaw`."""
        w, v, overlaps = self.whiten(w), self.whiten(v), self.overlaps(activation)
        own = overlaps.curvature(w, a, None) - overlaps.curvature(w, b, v)
        blocks = overlaps.mixed_curvature(w) * (a[:, None] * a)[..., None, None]
        k = w.shape[0]
        blocks = blocks.at[jnp.arange(k), jnp.arange(k)].add(a[:, None, None] * own)
        if self.root is not None:
            blocks = self.root @ blocks @ self.root.T
        return self.constant * jnp.swapaxes(blocks, 1, 2)

    def head_curvature(self, w, a, v, b, activation=relu):
        """See `AbstractLaw`."""
        w, v, overlaps = self.whiten(w), self.whiten(v), self.overlaps(activation)
        k = w.shape[0]
        mixed = a[:, None, None] * overlaps.slopes(w, w)
        mixed = mixed.at[jnp.arange(k), jnp.arange(k)].add(overlaps.net_pull(w, a, v, b))
        return jnp.swapaxes(self._back(mixed), 1, 2)


class AbstractEllipsoidal(AbstractLinear):
    """A law whose overlaps are a constant times those of x = R z with z standard Gaussian."""

    def check(self, activation):
        """See `AbstractLaw`: what depends on |x| drops out for homogeneous activations only."""
        if not activation.is_homogeneous:
            raise ValueError(
                f"A {type(self).__name__} law has closed forms for homogeneous activations, such "
                f"as relu, and {activation.name} is not. Use a Gaussian law, or a `Sample` of "
                f"draws."
            )

    def overlaps(self, activation):
        """See `AbstractLinear`."""
        return activation


class Gaussian(AbstractEllipsoidal):
    r"""A centred Gaussian, $x \sim \mathcal{N}(0, \Sigma)$; `Gaussian(d)` has $\Sigma = I_d$.

    **Raises.** `ValueError` unless the covariance is symmetric and positive semidefinite.
    """

    inputs: int = eqx.field(static=True)
    root: Float[Array, "d d"] | None
    constant: float = eqx.field(static=True)
    is_smooth = True

    def __init__(self, inputs: int | None = None, *, covariance: Numbers | None = None):
        if (inputs is None) == (covariance is None):
            raise ValueError(
                f"A Gaussian needs either a dimension or a covariance, but got {inputs=} and "
                f"{'a' if covariance is not None else 'no'} covariance. "
                f"Use `Gaussian(10)` or `Gaussian(covariance=matrix)`."
            )
        self.constant = 1.0
        if covariance is None:
            self.inputs, self.root = positive_integer("inputs", inputs), None
            return
        matrix = np.asarray(finite("covariance", covariance))
        if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or not matrix.size:
            raise ValueError(
                f"`covariance` must be a square matrix, but has shape {matrix.shape}. "
                f"Use e.g. `np.cov(data.T)`."
            )
        size = float(np.max(np.abs(matrix)))
        if not np.allclose(matrix, matrix.T, rtol=0, atol=1e-12 * size):
            raise ValueError(
                f"`covariance` must be symmetric, but differs from its transpose by "
                f"{np.max(np.abs(matrix - matrix.T)):.3g}. Pass (A + A.T) / 2."
            )
        values, vectors = np.linalg.eigh((matrix + matrix.T) / 2)
        if values[0] < -1e-12 * size or size == 0:
            raise ValueError(
                f"`covariance` must be positive semidefinite and not zero, but has the eigenvalue "
                f"{values[0]:.6g}. Project it on the positive ones."
            )
        self.inputs = len(matrix)
        self.root = jnp.asarray((vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T)

    def check(self, activation):
        """See `AbstractLaw`: any activation will do."""

    def draw(self, key, number):
        """See `AbstractLaw`."""
        z = jax.random.normal(key, (number, self.inputs))
        return z if self.root is None else z @ self.root.T


class Rotational(AbstractEllipsoidal):
    r"""The uniform law on the sphere of radius $\rho$, or on the ball (`filled=True`).

    ReLU is homogeneous, so overlaps under any rotation-invariant law are the Gaussian ones
    times $\mathbb{E}|x|^2 / d$: that is $\rho^2/d$ on the sphere and $\rho^2/(d+2)$ in the ball.
    """

    inputs: int = eqx.field(static=True)
    radius: float = eqx.field(static=True)
    filled: bool = eqx.field(static=True)
    root: None = eqx.field(static=True)
    constant: float = eqx.field(static=True)
    is_smooth = True

    def __init__(self, inputs: int, radius: float | None = None, *, filled: bool = False):
        self.inputs = positive_integer("inputs", inputs)
        self.filled = bool(filled)
        try:
            self.radius = math.sqrt(self.inputs) if radius is None else float(radius)
        except (TypeError, ValueError):
            self.radius = math.nan
        if not (0 < self.radius < math.inf):
            raise ValueError(
                f"`radius` must be positive and finite, but is {radius!r:.200}. "
                f"Leave it out for √d = {math.sqrt(self.inputs):.4g}."
            )
        self.root = None
        self.constant = self.radius**2 / (self.inputs + 2 if self.filled else self.inputs)

    def draw(self, key, number):
        """See `AbstractLaw`."""
        angle, length = jax.random.split(key)
        z = jax.random.normal(angle, (number, self.inputs))
        unit = z / jnp.linalg.norm(z, axis=-1, keepdims=True)
        if not self.filled:
            return self.radius * unit
        return self.radius * unit * jax.random.uniform(length, (number, 1)) ** (1 / self.inputs)


class StudentT(AbstractEllipsoidal):
    r"""$x = R z / \sqrt{\chi^2_\nu / \nu}$: heavy tails, with ν = `degrees` of freedom, scale R Rᵀ.

    The length of x is independent of its direction as seen by R, so that overlaps are the Gaussian
    ones times $\mathbb{E}\,\nu / \chi^2_\nu = \nu / (\nu - 2)$.

    **Raises.** `ValueError` for ν ≤ 2, where E |x|² is infinite, and as `Gaussian` for the scale.
    """

    inputs: int = eqx.field(static=True)
    degrees: float = eqx.field(static=True)
    root: Float[Array, "d d"] | None
    constant: float = eqx.field(static=True)
    is_smooth = True

    def __init__(
        self, inputs: int | None = None, *, degrees: float | int, scale: Numbers | None = None
    ):
        self.degrees = finite_number("degrees", degrees)
        if self.degrees <= 2:
            raise ValueError(
                f"With {self.degrees:g} degrees of freedom x has no second moment, and the loss is "
                f"infinite. Use more than 2."
            )
        shape = Gaussian(inputs) if scale is None else Gaussian(covariance=scale)
        if scale is not None and inputs not in (None, shape.inputs):
            raise ValueError(
                f"`inputs` is {inputs}, but `scale` has {shape.inputs} rows. Leave `inputs` out."
            )
        self.inputs, self.root = shape.inputs, shape.root
        self.constant = self.degrees / (self.degrees - 2)

    def draw(self, key, number):
        """See `AbstractLaw`."""
        direction, length = jax.random.split(key)
        z = jax.random.normal(direction, (number, self.inputs))
        z = z if self.root is None else z @ self.root.T
        return z / jnp.sqrt(
            2 / self.degrees * jax.random.gamma(length, self.degrees / 2, (number, 1))
        )


def _form(matrix, x, y):
    return jnp.sum(x * (matrix @ y[..., None])[..., 0], axis=-1)
