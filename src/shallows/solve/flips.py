r"""How far a point may be moved before a two-layer network changes its sign.

Along a ray a ReLU network is a linear spline, so that the first change of sign is a formula once
knots are sorted. The estimate |N|/|∇N| is something else: the active set changes on the way.
"""

import dataclasses
import math

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float
from scipy.optimize import Bounds, LinearConstraint

from shallows.model.activations import PiecewiseLinear
from shallows.model.network import Network, Numbers, finite
from shallows.model.pieces import LinearSpline, linear_spline
from shallows.model.programmes import mixed_integer
from shallows.model.subspace import Subspace


def ray_spline(network: Network, point: Numbers, direction: Numbers) -> LinearSpline:
    r"""The network along a line, t ↦ N(x + t z), for all real t.

    **Raises.** `ValueError` as `linear_spline`, and for vectors of another length.
    """
    x, z = _vector("point", point, network), _vector("direction", direction, network)
    w = np.asarray(network.inner)
    b = 0.0 if network.bias is None else np.asarray(network.bias)
    return linear_spline(Network((w @ z)[:, None], network.outer, w @ x + b, network.activation))


def first_flip(network: Network, point: Numbers, direction: Numbers) -> float:
    """The least t ≥ 0 at which N(x + t z) has no longer the sign of N(x); infinity if none.

    **Accuracy.** That of the spline's values over the slope at the crossing: mostly 1e-13.

    **Raises.** `ValueError` as `ray_spline`. **Cost.** m log m.
    """
    spline = ray_spline(network, point, direction)
    start = float(spline(np.zeros(1))[0])
    if start == 0:
        return 0.0
    knots = spline.knots[spline.knots > 0]
    places = np.concatenate([[0.0], knots])
    values = math.copysign(1.0, start) * spline(places)
    values[0] = abs(start)
    slopes = math.copysign(1.0, start) * spline.slopes[len(spline.slopes) - len(places) :]
    crossed = np.flatnonzero(values[1:] <= 0)
    last = int(crossed[0]) if len(crossed) else len(knots)
    # On the piece from `last`, which starts positive; the last one may go on for ever.
    if slopes[last] >= 0:
        return math.inf if not len(crossed) else float(places[last + 1])
    return float(places[last] - values[last] / slopes[last])


def input_gradient(network: Network, point: Numbers) -> Float[np.ndarray, " d"]:
    """∇N at a point; a neuron exactly at zero counts as off."""
    x = _vector("point", point, network)
    w, a = np.asarray(network.inner), np.asarray(network.outer)
    t = w @ x + (0.0 if network.bias is None else np.asarray(network.bias))
    sigma = _piecewise(network)
    return (a * np.where(t > 0, sigma.positive, sigma.negative)) @ w


def universal_direction(network: Network, subspace: Subspace) -> Float[np.ndarray, " d"]:
    r"""$\sum_i a_i \Pi_\perp w_i$, normalised: one direction off the subspace for all points.

    Go along it times −sign N(x). It is 0 where the sum is.

    **Source.** melamed2023, our reading.
    """
    _check(network, subspace)
    total = np.asarray(network.outer) @ np.asarray(network.inner)
    return _unit(subspace.part_off(total))


def gradient_direction(
    network: Network, point: Numbers, subspace: Subspace | None = None
) -> Float[np.ndarray, " d"]:
    """∇N at the point, normalised; with a subspace, of what is orthogonal to it."""
    g = input_gradient(network, point)
    if subspace is None:
        return _unit(g)
    _check(network, subspace)
    return _unit(subspace.part_off(g))


@dataclasses.dataclass(frozen=True)
class FlipRadii:
    """Of one point, how far it must go to change sign; infinity where it never does."""

    universal: float
    own: float
    """Along the orthogonal part of its own gradient."""
    on: float
    """Along the part of the gradient in the subspace: what robustness on the data would say."""
    linear: float
    """|N|/|Π⊥∇N|, which is no radius."""


def flip_radii(network: Network, point: Numbers, subspace: Subspace) -> FlipRadii:
    """Distances along −sign N times each direction."""
    x = _vector("point", point, network)
    value = float(network(jnp.asarray(x)))
    sign = math.copysign(1.0, value)
    g = input_gradient(network, x)
    off = subspace.part_off(g)

    def along(direction: np.ndarray) -> float:
        return first_flip(network, x, -sign * direction) if np.any(direction) else math.inf

    length = float(np.linalg.norm(off))
    return FlipRadii(
        universal=along(universal_direction(network, subspace)),
        own=along(_unit(off)),
        on=along(_unit(g - off)),
        linear=abs(value) / length if length else math.inf,
    )


@dataclasses.dataclass(frozen=True, eq=False)
class ProgrammeFlip:
    """What a mixed-integer programme found, in floats."""

    radius: float
    """The least |z|∞ of a flip that was found; infinity where there is none."""
    bound: float
    """No less, up to the programme's tolerances."""
    shift: Float[np.ndarray, " l"] | None


def flip_by_programme(
    network: Network,
    point: Numbers,
    directions: Numbers | None = None,
    *,
    within: float,
    seconds: float | int = 30.0,
) -> ProgrammeFlip:
    r"""The least |z|∞ ≤ `within` for which N(x + B z) changes sign, by HiGHS.

    A neuron has its output $s_i \ge \max(0, h_i)$ and a binary $\delta_i$ with
    $s_i \le u_i \delta_i$ and $s_i \le h_i - l_i (1 - \delta_i)$, where [l, u] holds $h_i$ in the
    box. Columns of B are `directions`; None for all coordinates.

    **Accuracy.** 1e-6, relative to big coefficients: a search, not a proof; see
    `shallows.certify.smallest_flip`.

    **Raises.** `ValueError` for a radius that is not positive, and an activation other than the
    ReLU.
    """
    x = _vector("point", point, network)
    basis = np.eye(len(x)) if directions is None else np.asarray(finite("directions", directions))
    if not (within > 0 and math.isfinite(within)):
        raise ValueError(f"`within` must be a positive radius, but is {within}. Use e.g. 10.0.")
    sigma = _piecewise(network)
    if (sigma.positive, sigma.negative) != (1, 0):
        raise ValueError(f"The programme is of ReLUs, not of {sigma.name}. Use `relu`.")
    w, a = np.asarray(network.inner), np.asarray(network.outer)
    h0 = w @ x + (0.0 if network.bias is None else np.asarray(network.bias))
    slope = w @ basis
    sign = math.copysign(1.0, float(np.maximum(h0, 0) @ a))
    (m, l), reach = slope.shape, within * np.abs(slope).sum(axis=1)
    low, high = np.minimum(h0 - reach, 0), np.maximum(h0 + reach, 0)
    # Unknowns z, t, s, δ.
    zero, one = np.zeros((m, m)), np.eye(m)
    column = np.zeros((m, 1))
    rows = [
        (np.hstack([-slope, column, one, zero]), h0, np.full(m, np.inf)),
        (np.hstack([-slope, column, one, np.diag(-low)]), np.full(m, -np.inf), h0 - low),
        (np.hstack([0 * slope, column, one, np.diag(-high)]), np.full(m, -np.inf), np.zeros(m)),
    ]
    box = np.hstack([np.eye(l), -np.ones((l, 1)), np.zeros((l, 2 * m))])
    mirrored = box.copy()
    mirrored[:, :l] *= -1
    rows += [(part, np.full(l, -np.inf), np.zeros(l)) for part in (box, mirrored)]
    heads = np.concatenate([np.zeros(l + 1), sign * a, np.zeros(m)])[None]
    rows.append((heads, np.full(1, -np.inf), np.zeros(1)))
    cost = np.zeros(l + 1 + 2 * m)
    cost[l] = 1
    found = mixed_integer(
        cost,
        constraints=[LinearConstraint(*row) for row in rows],
        bounds=Bounds(
            np.concatenate([np.full(l, -within), [0.0], np.zeros(2 * m)]),
            np.concatenate([np.full(l, within), [within], high, np.ones(m)]),
        ),
        integrality=np.concatenate([np.zeros(l + 1 + m), np.ones(m)]),
        seconds=seconds,
        gap=1e-9,
    )
    bound = getattr(found, "mip_dual_bound", None)
    if found.x is None:
        proved = within if found.status == 2 else 0.0
        return ProgrammeFlip(math.inf, proved if bound is None else max(float(bound), proved), None)
    return ProgrammeFlip(float(found.x[l]), float(bound or 0.0), found.x[:l])


def _vector(name: str, value: Numbers, network: Network) -> np.ndarray:
    x = np.asarray(finite(name, value))
    if x.shape != (network.inputs,):
        raise ValueError(
            f"`{name}` must be a vector of {network.inputs} numbers, one for each input, but has "
            f"shape {x.shape}. Take one row."
        )
    return x


def _piecewise(network: Network) -> PiecewiseLinear:
    sigma = network.activation
    if not isinstance(sigma, PiecewiseLinear):
        raise ValueError(
            f"A network with the activation {sigma.name} is not piecewise linear. Use one of "
            f"`relu`, `leaky(s)` and `absolute`."
        )
    return sigma


def _check(network: Network, subspace: Subspace) -> None:
    if network.inputs != subspace.inputs:
        raise ValueError(
            f"The network has {network.inputs} inputs, but the subspace is of {subspace.inputs}. "
            f"Use one and the same."
        )


def _unit(x: np.ndarray) -> np.ndarray:
    length = np.linalg.norm(x)
    return x / length if length > 0 else x
