"""The piecewise-linear function of a network on a line: its knots, slopes and norms.

What a network with one input computes is a linear spline, whatever its neurons are. Splines that
networks are compared with (the linear interpolant, the natural cubic one) are here, too.
"""

import dataclasses
import itertools
import math

import numpy as np
import scipy.interpolate
from jaxtyping import Float

from shallows import notebook
from shallows.model.activations import PiecewiseLinear
from shallows.model.network import Network, Numbers, finite


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class LinearSpline(notebook.AbstractTable):
    r"""A continuous piecewise-linear function, $f(x) = \ell(x) + \sum_i j_i\,(x - u_i)_+$.

    ℓ is its leftmost piece, uᵢ are the knots and jᵢ the jumps of its slope.

    **Convention.** Knots increase strictly and jumps are not zero.

    **Accuracy.** f(x) to a few ulp of |ℓ(x)| + Σ |jᵢ| (|x| + |uᵢ|).

    **Raises.** `ValueError` for knots that do not increase, and jumps that are zero.
    """

    knots: Float[np.ndarray, " p"]
    jumps: Float[np.ndarray, " p"]
    slope: float
    """The leftmost slope, f′(−∞)."""
    intercept: float
    """The value of the leftmost piece at x = 0."""

    def __post_init__(self):
        if not np.all(np.diff(self.knots) > 0) or not np.all(self.jumps):
            raise ValueError(
                "The knots of a spline increase strictly and its slope jumps at each. Use "
                "`spline_of_kinks`, which sorts and merges."
            )

    def __call__(self, x: Float[np.ndarray, "*n"]) -> Float[np.ndarray, "*n"]:
        """The values f(x)."""
        x = np.asarray(x, dtype=float)
        passed = np.searchsorted(self.knots, x, side="right")
        moments = np.concatenate([[0.0], np.cumsum(self.jumps * self.knots)])
        return self.intercept + self.slopes[passed] * x - moments[passed]

    @property
    def slopes(self) -> Float[np.ndarray, " pieces"]:
        """The slope of each piece, from the left."""
        return self.slope + np.concatenate([[0.0], np.cumsum(self.jumps)])

    @property
    def variation(self) -> float:
        """TV(f′), the sum of the |jᵢ|."""
        return math.fsum(np.abs(self.jumps))

    @property
    def norm(self) -> float:
        r"""The least ½ Σ (aᵢ² + wᵢ²) of wide networks that compute f up to a constant.

        $\max(\mathrm{TV}(f'), |f'(-\infty) + f'(+\infty)|)$; biases are free.

        **Source.** Savarese, Evron, Soudry & Srebro (2019).
        """
        return max(self.variation, abs(self.slope + float(self.slopes[-1])))

    @property
    def weighted_variation(self) -> float:
        r"""The cost of f where biases are penalised, too: $\sum_i \sqrt{1 + u_i^2}\,|j_i|$.

        An affine function is free.

        **Source.** Boursier & Flammarion (2023).
        """
        return math.fsum(np.hypot(1.0, self.knots) * np.abs(self.jumps))

    def in_units(
        self, centre: float, half: float, offset: float = 0.0, factor: float = 1.0
    ) -> "LinearSpline":
        """The function offset + factor · f((x − centre)/half), half > 0 and factor ≠ 0."""
        steep = factor / half
        return LinearSpline(
            centre + half * self.knots,
            steep * self.jumps,
            steep * self.slope,
            offset + factor * self.intercept - steep * self.slope * centre,
        )

    def __repr__(self) -> str:
        return f"LinearSpline({len(self.knots)} knots, TV(f′) = {self.variation:.6g})"

    def _columns(self) -> notebook.Columns:
        return {"knot": self.knots, "jump": self.jumps}

    def _notes(self) -> list[str]:
        return [f"The leftmost piece is {self.slope:.6g} x + {self.intercept:.6g}."]


def spline_of_kinks(
    knots: Numbers, jumps: Numbers, slope: float = 0.0, intercept: float = 0.0
) -> LinearSpline:
    """The spline with these kinks in any order: those at one knot are added, exactly."""
    u, j = np.asarray(finite("knots", knots)), np.asarray(finite("jumps", jumps))
    # Without −0.0, which differs from 0.0 to the eye only.
    u = u + 0.0
    places, group = np.unique(u, return_inverse=True)
    order = np.argsort(group, kind="stable")
    starts = np.searchsorted(group[order], np.arange(len(places) + 1))
    # Jumps that cancel, as of a neuron and its copy of opposite sign, must leave nothing.
    total = np.array([math.fsum(j[order[a:b]]) for a, b in itertools.pairwise(starts)])
    kept = total != 0
    return LinearSpline(places[kept], total[kept], float(slope), float(intercept))


def linear_spline(network: Network) -> LinearSpline:
    """The function of a network with one input and one output.

    A neuron w, b has its knot at −b/w. Division is rounded correctly, so that knots which are
    equal as fractions are merged; their jumps are added exactly.

    **Raises.** `ValueError` for more inputs or outputs, for a batch, and for an activation that is
    not piecewise linear.
    """
    if network.inner.ndim != 2 or network.inputs != 1 or network.outputs is not None:
        raise ValueError(
            f"A function on a line needs one network with one input and one output, but `inner` "
            f"has shape {network.inner.shape} and `outer` {network.outer.shape}. Restrict it to "
            f"a line first: x ↦ f(p + x q) has inner weights W q and biases W p."
        )
    sigma = network.activation
    if not isinstance(sigma, PiecewiseLinear):
        raise ValueError(
            f"A network with the activation {sigma.name} is not piecewise linear. Use one of "
            f"`relu`, `leaky(s)` and `absolute`."
        )
    w, c = np.asarray(network.inner)[:, 0], np.asarray(network.outer)
    b = np.zeros_like(w) if network.bias is None else np.asarray(network.bias)
    moving = w != 0
    with np.errstate(over="ignore"):
        u = -b[moving] / w[moving]
    beyond = ~np.isfinite(u)  # a knot at infinity: the neuron is affine
    positive, negative = sigma.positive, sigma.negative
    # Left of all knots a neuron with w > 0 is off; σ(t) is n t there, else p t.
    lowest = np.where(w > 0, negative, positive)
    lowest[~moving] = np.where(b[~moving] > 0, positive, negative)
    lowest[np.flatnonzero(moving)[beyond]] = np.where(b[moving][beyond] > 0, positive, negative)
    jump = (positive - negative) * (c * np.abs(w))[moving]
    return spline_of_kinks(
        u[~beyond],
        jump[~beyond],
        slope=math.fsum(c * lowest * w),
        intercept=math.fsum(c * lowest * b),
    )


def linear_interpolant(x: Numbers, y: Numbers) -> LinearSpline:
    """The spline with knots at the inner points, linear beyond the second and the last but one.

    It has the least TV(f′) of all interpolants, and Savarese's least norm (there are others).

    **Raises.** `ValueError` as `samples`.
    """
    x, y = samples(x, y)
    slopes = np.diff(y) / np.diff(x)
    jumps = np.diff(slopes)
    return spline_of_kinks(x[1:-1], jumps, slopes[0], y[0] - slopes[0] * x[0])


def natural_cubic(x: Numbers, y: Numbers) -> scipy.interpolate.CubicSpline:
    """The interpolant of least ∫ f″²; for two points the straight line.

    **Raises.** `ValueError` as `samples`.
    """
    return scipy.interpolate.CubicSpline(*samples(x, y), bc_type="natural")


def samples(x: Numbers, y: Numbers) -> tuple[Float[np.ndarray, " n"], Float[np.ndarray, " n"]]:
    """Points and values by increasing x, points that are given twice with one value once.

    **Raises.** `ValueError` for points and values that are not vectors of one length, for two
    values at one point, and for less than two points.
    """
    u, v = np.asarray(finite("x", x)), np.asarray(finite("y", y))
    if u.ndim != 1 or u.shape != v.shape:
        raise ValueError(
            f"Points on a line need one value each, but `x` has shape {u.shape} and `y` "
            f"{v.shape}. Pass two vectors of one length."
        )
    order = np.lexsort((v, u))
    u, v = u[order], v[order]
    twice = np.flatnonzero((np.diff(u) == 0) & (np.diff(v) != 0))
    if len(twice):
        i = twice[0]
        raise ValueError(
            f"No function has two values at one point, but at x = {u[i]:.17g} both y = {v[i]:.17g} "
            f"and y = {v[i + 1]:.17g} are given. Keep one of them, or their mean."
        )
    new = np.concatenate([[True], np.diff(u) > 0]) if len(u) else np.zeros(0, dtype=bool)
    if np.count_nonzero(new) < 2:
        raise ValueError(
            f"A function needs at least two points to go through, but there is "
            f"{np.count_nonzero(new)}. Give more points."
        )
    return u[new], v[new]
