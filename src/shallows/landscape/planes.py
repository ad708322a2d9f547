r"""The loss on planes through three students, and the curves on which it is not analytic there.

On a plane a neuron is $u = u_0 + x u_1 + y u_2$. With a law in closed form the loss has kinks where

* a neuron vanishes, a jump of the slope (order 1): at a point, or on a line if u₁, u₂ and u₀ are
  all multiples of one vector;
* two neurons, of student or teacher, are parallel or antiparallel, a jump of the third derivative
  (order 3). Every component of $u \wedge v$ is a quadratic in (x, y): in general they have no
  common zero, but among symmetric students they share one, or are all multiples of one conic.

On a data set the slope jumps where a neuron is orthogonal to a point: on lines.
"""

import dataclasses
import itertools
from typing import Any

import contourpy
import numpy as np
from jaxtyping import Float

from shallows import notebook
from shallows.landscape.loss import SquaredLoss
from shallows.landscape.slices import BATCH, values_of
from shallows.model import Network, Sample

# Relative size below which a quadratic, or a component of neurons on a plane, is zero.
_ZERO = 1e-9
_MOST_LINES = 20_000


@dataclasses.dataclass(frozen=True, eq=False)
class KinkCurve:
    """A curve, or a point, of a plane at which a derivative of the loss jumps."""

    order: int
    """Of the first derivative that jumps: 1 where a neuron vanishes or meets a point of the data,
    3 where two are parallel."""
    points: Float[np.ndarray, "n 2"]
    """Along it; a single one where a neuron vanishes at a point."""
    neurons: tuple[tuple[int, int | None], ...]
    """The student neurons that make it, each with its partner: None for none, the number of a
    point of the data, or of a neuron, teacher neurons counted after the students."""


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Plane(notebook.AbstractShown):
    """The loss on the plane through three students.

    Points are W = W₀ + x e₁ + y e₂, with e₁ along W₁ − W₀ and e₂ orthogonal to it towards W₂,
    both of norm 1: distances in the picture are distances between students.
    """

    x: Float[np.ndarray, " nx"]
    y: Float[np.ndarray, " ny"]
    loss: Float[np.ndarray, "ny nx"]
    corners: Float[np.ndarray, "3 2"]
    """Where the three students are."""
    corner_losses: Float[np.ndarray, "3"]
    kinks: tuple[KinkCurve, ...]
    """Where the loss is not analytic; empty for smooth activations."""

    def __repr__(self) -> str:
        return (
            f"Plane({len(self.x)} × {len(self.y)} points: loss {np.min(self.loss):.6g} to "
            f"{np.max(self.loss):.6g}, {len(self.kinks)} curves of kinks)"
        )

    def _columns(self) -> notebook.Columns:
        x, y = self.corners.T
        names = ("first", "second", "third")
        return {"student": names, "x": x, "y": y, "loss": self.corner_losses}

    def _picture(self) -> str:
        return notebook.picture_of(self.loss[::-1])  # y upwards

    def to_xarray(self) -> Any:
        """An `xarray.Dataset` of the loss over y and x, with places and losses of the students.

        **Raises.** `ValueError` if xarray is not installed.
        """
        arrays = {
            "loss": (("y", "x"), self.loss),
            "corner": (("student", "axis"), self.corners),
            "corner_loss": (("student",), self.corner_losses),
        }
        return notebook.dataset(arrays, {"x": self.x, "y": self.y, "axis": ["x", "y"]})


def slice_through(
    loss: SquaredLoss,
    first: Network,
    second: Network,
    third: Network,
    *,
    points: int = 101,
    margin: float | int = 0.25,
) -> Plane:
    """The loss on a grid in the plane through three students with the heads of the first.

    The grid covers the triangle and `margin` of its extent beyond, on each side.

    **Raises.** `ValueError` for students of different shapes or heads, or on one line, and for
    less than 2 points a side. **Cost.** points² times that of the loss, and a contour for each
    two neurons, or each neuron and point of a data set.
    """
    for student in (first, second, third):
        loss._check(student)
        if student.inner.shape != first.inner.shape or not np.allclose(student.outer, first.outer):
            raise ValueError(
                "A plane goes through three students of one shape with the same heads, but these "
                "differ. Relabel them, or use paths, along which heads may change."
            )
    if points < 2 or margin < 0:
        raise ValueError(
            f"A grid needs 2 points a side and a margin that is not negative: {points=}, {margin=}."
            f" Use e.g. `points=101, margin=0.25`."
        )
    base = np.asarray(first.inner)
    one, two = (np.asarray(n.inner) - base for n in (second, third))
    length = float(np.linalg.norm(one))
    along = one / length if length > 0 else one
    beside = two - np.sum(two * along) * along
    height = float(np.linalg.norm(beside))
    if length == 0 or height <= 1e-9 * max(length, float(np.linalg.norm(two))):
        raise ValueError(
            "The three students lie on one line, through which there is no single plane. Take "
            "another one, or relabel it."
        )
    across = beside / height
    corners = np.array([[0.0, 0.0], [length, 0.0], [float(np.sum(two * along)), height]])
    x, y = (
        np.linspace(c.min() - margin * np.ptp(c), c.max() + margin * np.ptp(c), points)
        for c in corners.T
    )
    xs, ys = (g.ravel() for g in np.meshgrid(x, y))
    heads = np.asarray(first.outer)

    def at(u: np.ndarray, v: np.ndarray) -> np.ndarray:
        parts = []
        for i in range(0, len(u), BATCH):  # the students themselves would not fit into memory
            part = slice(i, i + BATCH)
            w = base + u[part, None, None] * along + v[part, None, None] * across
            parts.append(values_of(loss, w, np.broadcast_to(heads, (len(w), len(heads)))))
        return np.concatenate(parts)

    curves = () if loss.activation.is_smooth else kink_curves(loss, base, along, across, x, y)
    return Plane(x, y, at(xs, ys).reshape(points, points), corners, at(*corners.T), curves)


def kink_curves(
    loss: SquaredLoss,
    base: Float[np.ndarray, "k d"],
    along: Float[np.ndarray, "k d"],
    across: Float[np.ndarray, "k d"],
    x: Float[np.ndarray, " nx"],
    y: Float[np.ndarray, " ny"],
) -> tuple[KinkCurve, ...]:
    """The kinks of a plane within the window of a grid.

    Curves are found where the grid's cells see them, and their points then lie on them to 1e-9:
    loops smaller than a cell are missed. Single points at which two neurons are parallel, as at a
    global minimum, are left out.

    **Raises.** `ValueError` for data sets with more than 20 000 lines.
    """
    corner = np.array([[x[0], y[0]], [x[-1], y[-1]]])
    frame = np.stack([base, along, across], axis=1)  # (k, 3, d)
    if isinstance(loss.law, Sample):
        data = np.asarray(loss.law.points).reshape(-1, loss.law.inputs)[: loss.law.size]
        if len(data) * len(base) > _MOST_LINES:
            raise ValueError(
                f"A data set has a kink for each neuron and point, here {len(base)} × {len(data)} "
                f"lines, more than a picture holds ({_MOST_LINES}). Use fewer points."
            )
        lines = np.einsum("kcd,nd->knc", frame, data)
        made = [((i, n), _line(lines[i, n], corner)) for i, n in np.ndindex(lines.shape[:2])]
        return tuple(KinkCurve(1, ends, (who,)) for who, ends in made if ends is not None)
    scale = float(max(np.ptp(x), np.ptp(y)))
    unit = frame * np.array([1.0, scale, scale])[:, None]
    teachers = [np.stack([v, 0 * v, 0 * v]) for v in np.asarray(loss.teacher.inner) if v.any()]
    everyone = [*unit, *teachers]
    # By the equations that they are the zeros of: symmetric neurons share theirs.
    found: dict[tuple[int, bytes], tuple[list[np.ndarray], list[tuple[int, int | None]]]] = {}

    def add(order, equations, who, zeros):
        name = order, (np.round(equations.T @ equations, 6) + 0.0).tobytes()
        if name not in found:
            found[name] = (zeros(equations, x / scale, y / scale), [])
        found[name][1].append(who)

    for i, neuron in enumerate(unit):
        add(1, _independent(neuron.T), (i, None), _zeros_of_linear)
    for i, j in itertools.combinations(range(len(everyone)), 2):
        if i < len(unit):
            add(3, _independent(_wedge(everyone[i], everyone[j])), (i, j), _zeros_of_quadratic)
    return tuple(
        KinkCurve(order, scale * curve, tuple(neurons))
        for (order, _), (curves, neurons) in found.items()
        for curve in curves
    )


def _independent(equations) -> Float[np.ndarray, "r n"]:
    """Orthonormal rows that span those given, up to a relative size that is rounding."""
    _, sizes, rows = np.linalg.svd(equations, full_matrices=False)
    return rows[sizes > _ZERO * max(1.0, sizes.max(initial=0.0))]


def _wedge(u, v) -> Float[np.ndarray, "n 6"]:
    """The components of u ∧ v on the plane, in the monomials 1, x, y, x², xy, y²."""
    # In the span of the six vectors there are few.
    basis, _ = np.linalg.qr(np.concatenate([u, v]).T)
    u, v = u @ basis, v @ basis
    size = np.linalg.norm(u) * np.linalg.norm(v)
    a, b = np.triu_indices(u.shape[1], 1)
    form = np.einsum("cn,en->nce", u[:, a], v[:, b]) - np.einsum("cn,en->nce", u[:, b], v[:, a])
    form = (form + form.swapaxes(1, 2)) / max(size, 1e-300)
    c, e = np.array([0, 0, 0, 1, 1, 2]), np.array([0, 1, 2, 1, 2, 2])
    return form[:, c, e] * np.where(c == e, 0.5, 1.0)


def _zeros_of_linear(rows, x, y) -> list[np.ndarray]:
    """Where all rows · (1, x, y) are zero: nothing, a point or a line."""
    if len(rows) == 1:
        return _contours(np.pad(rows, ((0, 0), (0, 3))), rows[0], x, y)
    if len(rows) != 2:
        return []
    z, px, py = np.cross(rows[0], rows[1])
    point = np.array([px, py]) / z if abs(z) > _ZERO else np.full(2, np.inf)
    inside = x[0] <= point[0] <= x[-1] and y[0] <= point[1] <= y[-1]
    return [point[None]] if inside else []


def _zeros_of_quadratic(rows, x, y) -> list[np.ndarray]:
    """The curves on which all rows · (1, x, y, x², xy, y²) are zero."""
    if not 1 <= len(rows) <= 3:  # parallel all over the plane, or no factor in common
        return []
    one = rows[0] if len(rows) == 1 else np.array([0.8, 0.5, -0.3])[: len(rows)] @ rows
    conic = np.array([[2, 1, 1], [1, 2, 1], [1, 1, 2]]) / 2 * one[[[0, 1, 2], [1, 3, 4], [2, 4, 5]]]
    values, vectors = np.linalg.eigh(conic)
    order = np.argsort(np.abs(values))
    if abs(values[order[1]]) <= _ZERO * abs(values[order[2]]):  # a line, twice
        return _contours(rows, vectors[:, order[2]], x, y)
    return _contours(rows, one, x, y)


def _contours(rows, one, x, y) -> list[np.ndarray]:
    """The parts of the zeros of one polynomial on which all rows are zero."""
    terms = len(one)

    def monomials(p):
        u, v = p[:, 0], p[:, 1]
        return np.stack([np.ones_like(u), u, v, u * u, u * v, v * v])

    def slope(p):
        u, v, nil, own = p[:, 0], p[:, 1], np.zeros(len(p)), np.ones(len(p))
        by_x, by_y = [nil, own, nil, 2 * u, v, nil], [nil, nil, own, nil, u, 2 * v]
        return np.stack([one @ np.array(by_x)[:terms], one @ np.array(by_y)[:terms]], axis=1)

    grid = np.stack([g.ravel() for g in np.meshgrid(x, y)], axis=1)
    z = (one @ monomials(grid)[:terms]).reshape(len(y), len(x))
    made = []
    for curve in contourpy.contour_generator(x, y, z).lines(0.0):
        p = np.array(curve)
        for _ in range(4):  # from the grid's chords to the curve
            g = slope(p)
            square = np.maximum(np.sum(g * g, axis=1), 1e-30)
            p = p - ((one @ monomials(p)[:terms]) / square)[:, None] * g
        on = np.max(np.abs(rows @ monomials(p)), axis=0) <= _ZERO * 10
        # Runs of points that are on all of them.
        edges = np.flatnonzero(np.diff(np.concatenate([[0], on.astype(int), [0]])))
        made += [p[a:b] for a, b in edges.reshape(-1, 2) if b - a > 1]
    return made


def _line(row, corner) -> Float[np.ndarray, "2 2"] | None:
    """The part of a + b x + c y = 0 within a rectangle, or None."""
    a, b, c = row
    (x0, y0), (x1, y1) = corner
    ends = [(x, -(a + b * x) / c) for x in (x0, x1) if c] + [
        (-(a + c * y) / b, y) for y in (y0, y1) if b
    ]
    slack = 1e-12 * np.ptp(corner)
    inside = [
        p for p in ends if x0 - slack <= p[0] <= x1 + slack and y0 - slack <= p[1] <= y1 + slack
    ]
    if len(inside) < 2:
        return None
    first = np.array(inside[0])
    far = max(inside[1:], key=lambda p: np.linalg.norm(np.array(p) - first))
    return np.stack([first, np.array(far)])
