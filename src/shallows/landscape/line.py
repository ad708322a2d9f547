r"""The squared loss of a network on labelled points of a line, in two sets of coordinates.

$f(x) = \frac1\alpha \sum_i c_i\,(a_i x - b_i)_+$. What neuron i computes is fixed by
$r_i = c_i \sqrt{a_i^2 + b_i^2}$ and the angle $\theta_i$ of $(a_i, -b_i)$; what is left is
$\delta_i = c_i^2 - a_i^2 - b_i^2$, which gradient flow conserves.

Everything here is NumPy: a sum over the points that a neuron sees is a difference of two prefix
sums, so that a gradient costs m log n + n operations and not m n.
"""

import dataclasses

import numpy as np
from jaxtyping import Float

from shallows.model import Network
from shallows.model.pieces import samples

Parameters = Float[np.ndarray, "3 m"]
"""The rows a, b and c."""
_FAR = 1e150


@dataclasses.dataclass(frozen=True, eq=False)
class LineLoss:
    r"""$L = \frac12 \sum_j (f(x_j) - y_j)^2$ as a function of the rows (a, b, c).

    **Convention.** A sum over the points, not a mean; knots are $u_i = b_i / a_i$. Of the two
    gradients where a point is at a knot, it is the one of points a little to the left.

    **Accuracy.** The gradient to 1e-13 of its largest entry's terms. **Raises.** `ValueError` as
    `samples` (less than two points, two values at one), and for a scale that is not positive.
    """

    x: Float[np.ndarray, " n"]
    y: Float[np.ndarray, " n"]
    scale: float
    """α."""
    blur: float
    """Where positive, `gradient_at` sees a point with |a x − b| < blur in part, by a ramp from 0 to
    1 (Filippov's regularisation): knots then slide along a sample that attracts them instead of
    jumping to and fro. The loss, and δ along the flow, are not touched."""

    def __init__(self, x, y, scale: float, blur: float = 0.0):
        x, y = samples(x, y)
        if not (np.isfinite(scale) and scale > 0):
            raise ValueError(
                f"The scale α of a network is positive, but is {scale}. Use its width m, or √m."
            )
        if not (np.isfinite(blur) and blur >= 0):
            raise ValueError(f"`blur` is a width, zero or positive, but is {blur}. Use e.g. 1e-3.")
        object.__setattr__(self, "x", x)
        object.__setattr__(self, "y", y)
        object.__setattr__(self, "scale", float(scale))
        object.__setattr__(self, "blur", float(blur))

    def network(self, z: Parameters) -> Network:
        """The network with these parameters; α is in its outer weights."""
        return Network(z[0][:, None], z[2] / self.scale, -z[1])

    def residuals(self, z: Parameters) -> Float[np.ndarray, " n"]:
        """ρⱼ = f(xⱼ) − yⱼ."""
        return self._residuals(z, self._cells(z))

    def value_at(self, z: Parameters) -> float:
        """L."""
        rho = self.residuals(z)
        return 0.5 * float(rho @ rho)

    def gradient_at(self, z: Parameters) -> Parameters:
        """(∂L/∂a, ∂L/∂b, ∂L/∂c)."""
        return self.value_and_gradient(z)[1]

    def value_and_gradient(self, z: Parameters) -> tuple[float, Parameters]:
        """Both, for the price of one."""
        cells = self._cells(z)
        rho = self._residuals(z, cells)
        s0, s1 = self._pulls(z, rho, cells)
        slope = np.empty_like(z)
        np.multiply(z[2], s1, out=slope[0])
        np.multiply(z[2], s0, out=slope[1])
        np.negative(slope[1], out=slope[1])
        np.subtract(z[0] * s1, z[1] * s0, out=slope[2])
        slope /= self.scale
        return 0.5 * float(rho @ rho), slope

    def pulls(self, z: Parameters) -> tuple[Float[np.ndarray, " m"], Float[np.ndarray, " m"]]:
        """Σ ρⱼ and Σ ρⱼ xⱼ over the points that each neuron sees."""
        cells = self._cells(z)
        return self._pulls(z, self._residuals(z, cells), cells)

    def tangent_kernel(self, z: Parameters) -> Float[np.ndarray, "n n"]:
        """⟨∇f(xᵢ), ∇f(xⱼ)⟩: under gradient flow, dρ/dt = −K ρ."""
        hidden = np.outer(self.x, z[0]) - z[1]
        seen = np.where(hidden > 0, z[2], 0.0)
        features = np.maximum(hidden, 0.0)
        kernel = features @ features.T + (seen @ seen.T) * (1 + np.outer(self.x, self.x))
        return kernel / self.scale**2

    def curvature(self, z: Parameters) -> float:
        """A bound on the modulus of every eigenvalue of the cell's Hessian.

        That of the tangent kernel for what J Jᵀ contributes, and the largest pull for the rest,
        which couples cᵢ with (aᵢ, bᵢ) only. With `blur` also the steepest ramp of a neuron that
        is next to a point.
        """
        cells = self._cells(z)
        rho = self._residuals(z, cells)
        s0, s1 = self._pulls(z, rho, cells)
        bound = np.linalg.norm(self.tangent_kernel(z), 2) + np.max(np.hypot(s0, s1)) / self.scale
        if self.blur > 0:
            push = np.concatenate([[0.0], np.abs(rho) * (1 + self.x**2), [0.0]])
            after = cells % (len(self.x) + 1)
            ramp = np.max(np.abs(z[2]) * np.maximum(push[after], push[after + 1]))
            bound += ramp / (self.blur * self.scale)  # neighbours arrive within a step
        return float(bound)

    def knot_velocity(self, z: Parameters) -> Float[np.ndarray, " m"]:
        r"""du/dt under gradient flow, $\frac{c}{\alpha a} \sum_{j\ \text{seen}} \rho_j (1+u x_j)$.

        **Source.** facts: splines_and_convex, section 1. NaN for neurons without a knot, a = 0.
        """
        s0, s1 = self.pulls(z)
        a, b, c = z
        with np.errstate(divide="ignore", invalid="ignore"):
            velocity = c / (self.scale * a) * (s0 + b / a * s1)
        return np.where(a == 0, np.nan, velocity)

    def _cells(self, z):
        """For each neuron the number of its cell: which points it sees."""
        a, b, _ = z
        with np.errstate(divide="ignore", invalid="ignore"):
            knots = b / a
        # A flat neuron sees all points or none; as one whose knot is at an end of the line.
        if not a.all():
            knots = np.where(a == 0, np.where(b < 0, -np.inf, np.inf), knots)
        cells = self.x.searchsorted(knots, side="right")
        cells[a < 0] += len(self.x) + 1
        return cells

    def _residuals(self, z, cells):
        n = len(self.x)
        a, b, c = z
        slope = np.bincount(cells, c * a, 2 * n + 2)
        shift = np.bincount(cells, c * b, 2 * n + 2)
        # Of rising neurons x[j] is seen by those of the cells 0 … j, of falling ones by j + 1 … n.
        up, down = slope[:n].cumsum(), shift[:n].cumsum()
        up += slope[: n + 1 : -1].cumsum()[::-1]
        down += shift[: n + 1 : -1].cumsum()[::-1]
        return (up * self.x - down) / self.scale - self.y

    def _pulls(self, z, rho, cells):
        n = len(self.x)
        # Of each moment the sums of the last n, n − 1, … points, then of the first 0, 1, …
        sums = np.zeros((2, 2 * n + 2))
        moments = sums[:, n + 2 :]
        moments[0] = rho
        np.multiply(rho, self.x, out=moments[1])
        sums[:, :n] = moments[:, ::-1].cumsum(axis=1)[:, ::-1]
        moments.cumsum(axis=1, out=moments)
        s0, s1 = sums[0].take(cells), sums[1].take(cells)
        if self.blur > 0:
            a, b, _ = z
            right = np.where(cells > n, cells - (n + 1), cells)
            padded = np.concatenate([[-_FAR], self.x, [_FAR]])
            for shift in (0, 1):  # the points next to a knot
                height = padded[shift:].take(right)
                height *= a
                height -= b
                near = np.flatnonzero(np.abs(height) < self.blur)
                point = right[near] + (shift - 1)
                # A flat neuron may be near to what is no point.
                is_point = (point >= 0) & (point < n)
                near, point = near[is_point], point[is_point]
                t = height[near]
                part = (t / (2 * self.blur) + 0.5 - (t > 0)) * rho[point]
                s0[near] += part
                s1[near] += part * self.x[point]
        return s0, s1


def invariants(z: Parameters) -> Float[np.ndarray, " m"]:
    """δᵢ = cᵢ² − aᵢ² − bᵢ², conserved by gradient flow, neuron by neuron.

    **Convention.** Positive where the outer weight is the larger one; the sign is ours.
    """
    a, b, c = z
    return (c - np.hypot(a, b)) * (c + np.hypot(a, b))


def polar(z: Parameters) -> Float[np.ndarray, "2 m"]:
    """The rows r = c √(a² + b²) and θ, the angle of (a, −b)."""
    a, b, c = z
    return np.stack([c * np.hypot(a, b), np.arctan2(-b, a)])


def unpolar(
    q: Float[np.ndarray, "2 m"], delta: Float[np.ndarray, " m"], signs: Float[np.ndarray, " m"]
) -> Parameters:
    """The parameters with these (r, θ) and δ; `signs` are those of c, used where r is zero."""
    r, theta = q
    inner = np.sqrt(inner_square(r, delta))
    c = np.where(r == 0, signs, np.sign(r)) * np.sqrt(inner_square(r, -delta))
    return np.stack([inner * np.cos(theta), -inner * np.sin(theta), c])


def inner_square(
    r: Float[np.ndarray, " m"], delta: Float[np.ndarray, " m"]
) -> Float[np.ndarray, " m"]:
    """a² + b² = (q − δ)/2 with q = √(δ² + 4r²), also where δ > 0 would cancel."""
    q = np.hypot(delta, 2 * r)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(delta > 0, 2 * r**2 / (q + delta), (q - delta) / 2)


def attractors(
    loss: LineLoss, residuals: Float[np.ndarray, " n"], rises: bool, outer: int
) -> Float[np.ndarray, " n"]:
    r"""For each sample 1 if it attracts the knots of a class, −1 if it repels them, else 0.

    A class is the signs of a and of c (`rises`: a > 0; `outer`: ±1). The velocity of a knot next to
    a sample, on its two sides, has a sign that does not depend on |a| and |c|: it attracts where
    knots move right on its left and left on its right.

    **Source.** facts: splines_and_convex, section 1.
    """
    if outer not in (-1, 1):
        raise ValueError(f"`outer` is the sign of c, but is {outer!r}. Use 1 or -1.")
    x, factor = loss.x, outer * (1 if rises else -1)
    terms = residuals[None, :] * (1 + np.outer(x, x))
    index = np.arange(len(x))
    # A knot just left of x[i]: rising neurons see x[i] and beyond, falling ones what is below.
    low = index[None, :] >= index[:, None] if rises else index[None, :] < index[:, None]
    high = index[None, :] > index[:, None] if rises else index[None, :] <= index[:, None]
    before = np.sign(factor * np.sum(np.where(low, terms, 0.0), axis=1))
    after = np.sign(factor * np.sum(np.where(high, terms, 0.0), axis=1))
    return ((before > 0) & (after < 0)) * 1.0 - ((before < 0) & (after > 0)) * 1.0
