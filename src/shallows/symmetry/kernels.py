r"""Overlaps of pairs of neurons and their derivatives, in any numbers.

Seen by a pair, a neuron is a short vector of entries with weights; a kernel says what the pair
contributes to a loss, and its derivatives in these entries. They are 1/`unit` of what is returned:
the factor 2π of the ReLU is common to all pairs.
"""

import abc
import dataclasses
from typing import TYPE_CHECKING

import numpy as np

from shallows.symmetry.arithmetic import AbstractArithmetic, Floats, Number

if TYPE_CHECKING:
    from shallows.model import AbstractActivation, PiecewiseLinear
    from shallows.model.smooth import AbstractSmooth


@dataclasses.dataclass(frozen=True)
class Pairs:
    """What kernels need of pairs (u, v); the last axis of `u`, `v` and `weight` are entries."""

    where_u: np.ndarray
    where_v: np.ndarray
    u: np.ndarray
    v: np.ndarray
    weight: np.ndarray
    share: np.ndarray
    square_u: np.ndarray
    square_v: np.ndarray
    inner: np.ndarray
    sine: np.ndarray
    """|u||v| sin θ."""
    supplement: np.ndarray
    """π − θ."""

    @property
    def identity(self) -> np.ndarray:
        """The inner product between entries."""
        return self.weight[..., None, :] * np.eye(self.u.shape[-1], dtype=int)


class AbstractKernel(abc.ABC):
    """The overlap K of two neurons under a standard Gaussian input."""

    @abc.abstractmethod
    def unit(self, o: AbstractArithmetic) -> Number:
        """What all that follows is divided by."""

    @abc.abstractmethod
    def value(self, p: Pairs, o: AbstractArithmetic) -> np.ndarray:
        """K of each pair."""

    @abc.abstractmethod
    def slopes(self, p: Pairs, o: AbstractArithmetic) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """x, y, z with ∂K/∂u = x u + z v and ∂K/∂v = y v + z u."""

    @abc.abstractmethod
    def curvatures(
        self, p: Pairs, o: AbstractArithmetic
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """∂²K/∂u², ∂²K/∂v² and ∂²K/∂u∂v, in entries."""


class Relu(AbstractKernel):
    """The formulas of `shallows.model.overlaps`."""

    def unit(self, o):
        """See `AbstractKernel`."""
        return 2 * o.pi

    def value(self, p, o):
        """See `AbstractKernel`."""
        return p.sine + p.supplement * p.inner

    def slopes(self, p, o):
        """See `AbstractKernel`."""
        return p.sine / p.square_u, p.sine / p.square_v, p.supplement

    def curvatures(self, p, o):
        """See `AbstractKernel`."""
        norm_u, norm_v = o.sqrt(p.square_u), o.sqrt(p.square_v)
        upon = o.inverse(p.sine)
        u, v, identity = p.weight * p.u, p.weight * p.v, p.identity

        def pure(x, y, square):
            # y less its component along x: of length |y| sin θ.
            across = y - column(p.inner / square) * x
            flat = identity - _square(x) / table(square)
            return table(p.sine / square) * flat + table(upon) * _square(across)

        # With the half angle: the two terms of the textbook formula are singular at parallel
        # pairs, and cancel. What multiplies a cotangent that is set to 0 is exactly 0.
        lengths = norm_u * norm_v
        is_acute = (p.inner > 0).astype(bool)
        small = p.sine * o.inverse(lengths + np.where(is_acute, p.inner, -p.inner))
        large = o.inverse(small)
        tan, cot = np.where(is_acute, small, large), np.where(is_acute, large, small)
        unit_u, unit_v = u / column(norm_u), v / column(norm_v)
        turned = table(tan) * _square(unit_u + unit_v) - table(cot) * _square(unit_v - unit_u)
        mixed = table(p.supplement) * identity + turned / 2
        return pure(u, v, p.square_u), pure(v, u, p.square_v), mixed


@dataclasses.dataclass(frozen=True)
class Bent(AbstractKernel):
    """A piecewise linear activation: a share of the ReLU's overlap, and one of the inner product's.

    See `shallows.model.PiecewiseLinear`.
    """

    activation: "PiecewiseLinear"

    def unit(self, o):
        """See `AbstractKernel`."""
        return 2 * o.pi

    def _linear(self, o):
        return self.activation.rest * self.unit(o)

    def value(self, p, o):
        """See `AbstractKernel`."""
        return self.activation.share * Relu().value(p, o) + self._linear(o) * p.inner

    def slopes(self, p, o):
        """See `AbstractKernel`."""
        on_u, on_v, across = (self.activation.share * x for x in Relu().slopes(p, o))
        return on_u, on_v, across + self._linear(o)

    def curvatures(self, p, o):
        """See `AbstractKernel`."""
        on_u, on_v, mixed = (self.activation.share * x for x in Relu().curvatures(p, o))
        return on_u, on_v, mixed + self._linear(o) * p.identity


@dataclasses.dataclass(frozen=True)
class Smooth(AbstractKernel):
    """A smooth activation, in floats: see `shallows.model.smooth` for the formulas.

    **Raises.** `ValueError` in other numbers.
    """

    activation: "AbstractSmooth"

    def unit(self, o):
        """See `AbstractKernel`."""
        if not isinstance(o, Floats):
            raise ValueError(
                f"The overlap of {self.activation.name} is known in floats only, not in "
                f"{type(o).__name__}. Use `Floats()`, or a piecewise linear activation."
            )
        return 1.0

    def value(self, p, o):
        """See `AbstractKernel`."""
        return np.asarray(self.activation.overlap(p.square_u, p.square_v, p.inner))

    def slopes(self, p, o):
        """See `AbstractKernel`."""
        on_u, across = self.activation.first(p.square_u, p.square_v, p.inner)
        on_v, _ = self.activation.first(p.square_v, p.square_u, p.inner)
        return 2 * np.asarray(on_u), 2 * np.asarray(on_v), np.asarray(across)

    def curvatures(self, p, o):
        """See `AbstractKernel`."""
        u, v = p.weight * p.u, p.weight * p.v

        def outer(x, y):
            return x[..., :, None] * y[..., None, :]

        def second(x, y):
            return [table(np.asarray(z)) for z in self.activation.second(x, y, p.inner)]

        def pure(x, y, along, pp, pc, cc):
            side = 2 * pc * outer(x, y)
            across = side + np.swapaxes(side, -1, -2) + cc * outer(y, y)
            return table(along) * p.identity + 4 * pp * outer(x, x) + across

        on_u, on_v, on_c = self.slopes(p, o)
        pp, pc, cc, pq, qc = second(p.square_u, p.square_v)
        qq, _, _, _, _ = second(p.square_v, p.square_u)
        mixed = table(on_c) * p.identity + 4 * pq * outer(u, v) + cc * outer(v, u)
        mixed = mixed + 2 * pc * outer(u, u) + 2 * qc * outer(v, v)
        return pure(u, v, on_u, pp, pc, cc), pure(v, u, on_v, qq, qc, cc), mixed


def kernel(activation: "AbstractActivation | None") -> AbstractKernel:
    """The kernel of an activation, by default of the ReLU."""
    if activation is None or activation.name == "relu":
        return Relu()
    return Smooth(activation) if activation.is_smooth else Bent(activation)  # type: ignore[arg-type]  # the two kinds there are


def column(x):
    """An axis more, for entries."""
    return x[..., None]


def table(x):
    """Two axes more, for pairs of entries."""
    return x[..., None, None]


def _square(x):
    return x[..., :, None] * x[..., None, :]
