r"""The smallest shift of a point that changes the sign of a ReLU network, between proved bounds.

N(x + B z), with $h = W x + b + W B z$ before the ReLUs. With the sign of N(x) in the heads, c, a
flip has $\sum_i c_i \sigma(h_i) \le 0$. Wherever each $h_i$ stays in $[l_i, u_i]$, it then has

$$\sum_i g_i h_i + e \le 0 :\qquad c_i \sigma(h_i) \ge g_i h_i + e_i ,$$

with any $g_i \in [0, c_i]$, $e_i = 0$ where $c_i > 0$ and with the chord where $c_i < 0$. A branch
has the signs of some h given: further inequalities. Any combination of them with multipliers ≥ 0
is one inequality, v + s·z ≤ 0, and no shift shorter than $v/|s|_*$ has it, by Hölder. So that each
branch has a lower bound that nothing but arithmetic on its multipliers rests on: floats (least
distance by non-negative least squares, or a linear programme) propose them, balls evaluate the
bound.
"""

import abc
import dataclasses
import enum
import heapq
import itertools
import math
from collections.abc import Callable

import numpy as np
from flint import arb, arb_mat, ctx
from jaxtyping import Float
from scipy.optimize import linprog

from shallows.certify.verdict import AbstractStated, Verdict
from shallows.landscape.convex.duality import nonnegative_factors
from shallows.model.network import Network, Numbers, finite, positive_integer
from shallows.solve.flips import first_flip

_BITS = 192
# Above rounding in a few operations, and far below what bounds are worth.
_SLACK = 1e-12
_CUTS = 40


class AbstractNorm(abc.ABC):
    """How long a shift z is."""

    symbol: str

    @abc.abstractmethod
    def of(self, z: np.ndarray) -> np.ndarray:
        """Along the last axis."""

    @abc.abstractmethod
    def dual(self, s: np.ndarray) -> np.ndarray:
        """|s|_*, along the last axis: |s·z| ≤ |s|_* |z|."""

    @abc.abstractmethod
    def balls(self, z: list[arb]) -> arb:
        """The norm in ball arithmetic."""

    @abc.abstractmethod
    def dual_balls(self, s: list[arb]) -> arb:
        """|s|_* in ball arithmetic."""

    @abc.abstractmethod
    def least(self, rows: np.ndarray, right: np.ndarray) -> tuple[np.ndarray | None, np.ndarray]:
        """The shortest z with `rows` z ≥ `right`, None if there is none; and multipliers ≥ 0."""


class Euclidean(AbstractNorm):
    """|z|₂."""

    symbol = "|z|₂"

    def of(self, z):
        """Along the last axis."""
        return np.linalg.norm(z, axis=-1)

    def dual(self, s):
        """|s|₂."""
        return np.linalg.norm(s, axis=-1)

    def balls(self, z):
        """The norm in ball arithmetic."""
        return sum((t * t for t in z), arb(0)).nonnegative_part().sqrt()

    def dual_balls(self, s):
        """|s|₂ in ball arithmetic."""
        return self.balls(s)

    def least(self, rows, right):
        """By Lawson and Hanson's reduction of least distance to non-negative least squares."""
        matrix = np.vstack([rows.T, right])
        target = np.zeros(len(matrix))
        target[-1] = 1.0
        multipliers = nonnegative_factors(matrix, target)
        rest = matrix @ multipliers - target
        if rest[-1] > -1e-13:
            return None, multipliers
        return -rest[:-1] / rest[-1], multipliers


_EUCLIDEAN = Euclidean()


class Maximum(AbstractNorm):
    """|z|∞."""

    symbol = "|z|∞"

    def of(self, z):
        """Along the last axis."""
        return np.max(np.abs(z), axis=-1)

    def dual(self, s):
        """|s|₁."""
        return np.sum(np.abs(s), axis=-1)

    def balls(self, z):
        """The norm in ball arithmetic."""
        found = arb(0)
        for t in z:
            found = found.max(abs(t))
        return found

    def dual_balls(self, s):
        """|s|₁ in ball arithmetic."""
        return sum((abs(t) for t in s), arb(0))

    def least(self, rows, right):
        """By a linear programme; where there is none, that of least violation in a large box."""
        l = rows.shape[1]
        box = np.vstack([np.hstack([np.eye(l), -np.ones((l, 1))])] * 2)
        box[l:, :l] *= -1
        matrix = np.vstack([np.hstack([-rows, np.zeros((len(rows), 1))]), box])
        limits = np.concatenate([-right, np.zeros(2 * l)])
        cost = np.zeros(l + 1)
        cost[-1] = 1
        bounds = [(None, None)] * l + [(0, None)]
        found = linprog(cost, matrix, limits, bounds=bounds)
        if found.status == 0:
            return found.x[:l], np.maximum(-found.ineqlin.marginals[: len(rows)], 0)
        matrix[: len(rows), -1] = -1
        matrix[len(rows) :, -1] = 0
        limits[len(rows) :] = 1e6
        found = linprog(cost, matrix, limits, bounds=bounds)
        if found.status != 0:
            return None, np.zeros(len(rows))
        return None, np.maximum(-found.ineqlin.marginals[: len(rows)], 0)


class FlipOutcome(enum.Enum):
    """How a search ended."""

    enclosed = "The two bounds are as close as asked for."
    none_within = "No shift within the given radius changes the sign."
    out_of_branches = "The bounds hold, but are further apart. Allow more branches."
    at_touch = "The bounds hold; a branch comes to zero closer than floats can tell from a flip."


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class SmallestFlip(AbstractStated):
    """What is proved of the least |z| for which N(x + B z) has not the sign of N(x)."""

    statement: str
    verdict: Verdict
    """PROVED where the search came to its end; UNDECIDED where what is enclosed is wide."""
    outcome: FlipOutcome
    lower: float
    """Proved: no shorter shift changes the sign."""
    upper: float
    """Proved: `shift` is not longer, and changes it; infinity where none was found."""
    shift: Float[np.ndarray, " l"] | None
    branches: int


def smallest_flip(
    network: Network,
    point: Numbers,
    directions: Numbers | None = None,
    *,
    norm: AbstractNorm = _EUCLIDEAN,
    within: float | None = None,
    gap: float = 1e-6,
    most: int = 10_000,
    progress: Callable[[int, float, float], None] | None = None,
) -> SmallestFlip:
    r"""Branch and bound for the smallest shift z that changes the sign of N(x + B z).

    Columns of B are `directions`, such as those across a subspace; None for all coordinates. The
    network, x and B are the floats that are given. Without `within`, a flip along gradients is
    looked for first.

    **Convention.** A flip has N(x) N(x + B z) ≤ 0. The norm is that of z, for orthonormal
    directions and the Euclidean norm that of the shift.

    **Accuracy.** `lower` ≤ the least |z| ≤ `upper`, in ball arithmetic, whatever the verdict;
    PROVED if upper − lower ≤ 2 `gap` · upper, or if none is `within`.

    **Raises.** `ValueError` for an activation other than the ReLU, several outputs, directions that
    do not fit, a `gap` not between 1e-9 and 1, and without `within` where no flip is found.

    **Cost.** 1 to 3 ms a branch. Exponential at worst: 40 neurons and 5 directions take some
    hundred branches, the theorem's sizes (a thousand, a hundred) are out of reach.
    """
    if not 1e-9 <= gap < 1:
        raise ValueError(f"`gap` must be between 1e-9 and 1, but is {gap}. Use e.g. 1e-6.")
    most = positive_integer("most", most)
    problem = _Problem(network, point, directions, norm)
    before, ctx.prec = ctx.prec, _BITS
    try:
        return _Search(problem, norm, gap).run(within, most, progress)
    finally:
        ctx.prec = before


class _Problem:
    """N(x + B z) as heads, values h₀ and slopes: in floats, and in balls that contain the truth."""

    def __init__(self, network: Network, point: Numbers, directions: Numbers | None, norm):
        if network.activation.name != "relu" or network.outputs is not None:
            raise ValueError(
                f"Flips are of ReLU networks with one output, but the activation is "
                f"{network.activation.name} and `outer` has shape {network.outer.shape}. Take one."
            )
        x = np.asarray(finite("point", point))
        if x.shape != (network.inputs,):
            raise ValueError(
                f"`point` must be a vector of {network.inputs} numbers, but has shape {x.shape}. "
                f"Take one row."
            )
        basis = (
            np.eye(len(x)) if directions is None else np.asarray(finite("directions", directions))
        )
        if basis.ndim != 2 or len(basis) != len(x) or not basis.shape[1]:
            raise ValueError(
                f"`directions` must have columns of {len(x)} numbers, but has shape {basis.shape}. "
                f"Use e.g. `subspace.across`."
            )
        self.network, self.x, self.basis = network, x, basis
        w, b = np.asarray(network.inner), network.bias
        bias = np.zeros(len(w)) if b is None else np.asarray(b)
        before, ctx.prec = ctx.prec, _BITS
        try:
            inner = arb_mat(w.tolist())
            self.slopes_balls = inner * arb_mat(basis.tolist())
            self.values_balls = inner * arb_mat([[t] for t in x.tolist()]) + arb_mat(
                [[t] for t in bias.tolist()]
            )
            self.heads_balls = [arb(t) for t in np.asarray(network.outer).tolist()]
            start = self.output_balls(np.zeros(basis.shape[1]))
            self.sign = 1.0 if start > 0 else -1.0 if start < 0 else 0.0
            slopes = self.slopes_balls.tolist()
            self.lengths = np.array([_above(norm.dual_balls(row)) for row in slopes])
            values = [row[0] for row in self.values_balls.tolist()]
            self.values = np.array([float(t.mid()) for t in values])
            self.errors = np.array([_above(abs(t - float(t.mid()))) for t in values])
        finally:
            ctx.prec = before
        self.slopes = np.array([[float(t.mid()) for t in row] for row in slopes])
        self.heads = self.sign * np.asarray(network.outer)
        self.scale = float(np.abs(self.heads) @ (np.abs(self.values) + 1e-3))

    def output_balls(self, z: np.ndarray) -> arb:
        """N(x + B z), in balls."""
        column = arb_mat([[t] for t in z.tolist()])
        enter = (self.values_balls + self.slopes_balls * column).tolist()
        zero = arb(0)
        return sum(
            (a * row[0].max(zero) for a, row in zip(self.heads_balls, enter, strict=True)), zero
        )

    def is_flip(self, z: np.ndarray) -> bool:
        """Whether z changes the sign, strictly, for certain."""
        return bool(self.sign * self.output_balls(z) < 0)

    def margin(self, z: np.ndarray) -> float:
        """Sign times output, in floats."""
        return float(np.maximum(self.values + self.slopes @ z, 0) @ self.heads)

    def gradient(self, z: np.ndarray) -> np.ndarray:
        """Of the margin."""
        return (self.heads * (self.values + self.slopes @ z > 0)) @ self.slopes

    def range(self, radius: float) -> tuple[np.ndarray, np.ndarray]:
        """Between which numbers each h is for |z| ≤ radius; rounded outward."""
        reach = (radius * self.lengths + self.errors) * (1 + _SLACK) + _SLACK * np.abs(self.values)
        return self.values - reach, self.values + reach


@dataclasses.dataclass(frozen=True, eq=False)
class _Rows:
    """Inequalities q·h + e ≤ 0, one a row, as floats that are exactly what they are."""

    factors: np.ndarray
    constants: np.ndarray

    def with_row(self, factors: np.ndarray, constant: float) -> "_Rows":
        return _Rows(np.vstack([self.factors, factors]), np.append(self.constants, constant))


Branch = tuple[tuple[int, bool], ...]


class _Search:
    """The tree of signs."""

    def __init__(self, problem: _Problem, norm: AbstractNorm, gap: float):
        self.problem, self.norm, self.gap = problem, norm, gap
        self.shift: np.ndarray | None = None
        self.upper = math.inf

    def run(self, within: float | None, most: int, progress) -> SmallestFlip:
        problem = self.problem
        if problem.sign == 0:
            zero = np.zeros(problem.basis.shape[1])
            return self._told(0.0, 0.0, zero, FlipOutcome.enclosed, 0)
        self._descend()
        if within is not None and not within > 0:
            raise ValueError(f"`within` must be a positive radius, but is {within}. Use e.g. 1.0.")
        if within is None and not math.isfinite(self.upper):
            raise ValueError(
                "No flip was found along gradients, so that there is no radius to search in. Pass "
                "one, e.g. `within=10.0`."
            )
        limit = math.inf if within is None else float(within)
        order = itertools.count()
        heap: list[tuple[float, int, Branch]] = [(0.0, next(order), ())]
        touch = math.inf
        branches = 0
        while heap and heap[0][0] < self._radius(limit):
            if branches >= most:
                lower = min(heap[0][0], touch)
                return self._told(
                    lower, self.upper, self.shift, FlipOutcome.out_of_branches, branches
                )
            parent, _, branch = heapq.heappop(heap)
            branches += 1
            if progress is not None and branches % 10 == 0:
                progress(branches, parent, self.upper)
            bound, split = self._bounded(branch, self._radius(limit))
            bound = max(bound, parent)
            if bound >= self._radius(limit):
                continue
            if split is None:
                touch = min(touch, bound)
                continue
            for active in (True, False):
                heapq.heappush(heap, (bound, next(order), (*branch, (split, active))))
        lower = min(self._radius(limit), touch)
        if touch < self._radius(limit):
            outcome = FlipOutcome.at_touch
        elif self.upper <= limit:
            outcome = FlipOutcome.enclosed
        else:
            outcome = FlipOutcome.none_within
        return self._told(lower, self.upper, self.shift, outcome, branches)

    def _radius(self, limit: float) -> float:
        """In which there is to be no flip: below the best that was found."""
        return min(limit, self.upper * (1 - self.gap))

    def _told(self, lower, upper, shift, outcome, branches) -> SmallestFlip:
        done = outcome in (FlipOutcome.enclosed, FlipOutcome.none_within)
        end = f", and one of {upper:.12g} does" if math.isfinite(upper) else ""
        return SmallestFlip(
            f"No shift with {self.norm.symbol} < {lower:.12g} changes the sign of the network"
            f"{end}.",
            Verdict.PROVED if done else Verdict.UNDECIDED,
            outcome,
            lower,
            upper,
            shift,
            branches,
        )

    def _offer(self, z: np.ndarray) -> None:
        """Keeps z if it is a shorter flip, for certain; moves it a little across if need be."""
        problem = self.problem
        slope = problem.gradient(z)
        square = float(slope @ slope)
        for nudge in (0.0, 1e-13, 1e-11, 1e-9):
            moved = z
            if nudge:
                if square == 0:
                    return
                moved = z - slope * ((problem.margin(z) + nudge * problem.scale) / square)
            length = float(self.norm.of(moved))
            if length >= self.upper:
                continue
            if problem.is_flip(moved):
                self.upper = _above(self.norm.balls([arb(t) for t in moved.tolist()]))
                self.shift = moved
                return

    def _descend(self) -> None:
        """Flips along gradients, and then by steps to the nearest zero of the affine piece."""
        problem = self.problem
        l = problem.basis.shape[1]
        restricted = Network(problem.slopes, problem.heads, problem.values)
        rays = [problem.gradient(np.zeros(l)), problem.heads @ problem.slopes]
        # The steepest descent of each norm.
        for towards in [-ray for ray in rays] + [-np.sign(ray) for ray in rays]:
            if not np.any(towards):
                continue
            t = first_flip(restricted, np.zeros(l), towards)
            if not math.isfinite(t):
                continue
            z = t * towards
            for _ in range(20):
                self._offer(z)
                # The nearest point of the zero set of this piece, continued.
                slope, margin = problem.gradient(z), problem.margin(z)
                step, _ = self.norm.least(-slope[None], np.array([margin - slope @ z]))
                if step is None or float(self.norm.of(step - z)) < 1e-12 * float(self.norm.of(z)):
                    break
                z = step

    def _bounded(self, branch: Branch, radius: float) -> tuple[float, int | None]:
        """A proved lower bound in this branch, and the neuron to split at; None if none is left."""
        problem, norm = self.problem, self.norm
        low, high = problem.range(radius)
        heads = problem.heads
        on, off = low >= 0, high <= 0
        signs = dict(branch)
        for i, active in signs.items():
            on[i], off[i] = active, not active
        factor, constant = np.where(on, heads, 0.0), np.zeros(len(heads))
        chord = ~on & ~off & (heads < 0)
        factor[chord] = heads[chord] * (high[chord] / (high[chord] - low[chord]))
        # c σ is concave: the lower of the two ends, less rounding.
        ends = np.minimum(-factor * low, heads * high - factor * high)
        slack = 8 * np.finfo(float).eps * np.abs(heads) * np.maximum(np.abs(low), np.abs(high))
        constant[chord] = (ends - slack)[chord]
        convex = ~on & ~off & (heads > 0)
        total = math.fsum(constant)
        total -= 4 * np.finfo(float).eps * float(np.abs(constant).sum())
        signed = np.zeros((len(signs), len(heads)))
        for row, (i, active) in enumerate(signs.items()):
            signed[row, i] = -1.0 if active else 1.0
        # Where that neuron's range is on one side already, its row only helps.
        rows = _Rows(signed, np.zeros(len(signs)))
        rows = rows.with_row(factor + np.where(convex & (problem.values > 0), heads, 0.0), total)
        bound, scale = 0.0, 1e-11 * problem.scale
        z = np.zeros(problem.basis.shape[1])
        for _ in range(_CUTS):
            right = rows.factors @ problem.values + rows.constants
            left = -rows.factors @ problem.slopes
            # Rows of one size, also where there is no slope left.
            sizes = np.linalg.norm(left, axis=1) + 1e-6 * np.abs(right) + 1e-300
            least, multipliers = norm.least(left / sizes[:, None], right / sizes)
            bound = max(bound, self._proved(rows, multipliers / sizes))
            if least is None or bound >= radius:
                break
            z = least
            if problem.margin(z) <= scale:
                self._offer(z)
            h = problem.values + problem.slopes @ z
            cut = factor + np.where(convex & (h > 0), heads, 0.0)
            if cut @ h + total <= scale:
                break
            rows = rows.with_row(cut, total)
        if bound >= self._radius(radius) or not np.any(chord):
            return bound, None
        # The neuron whose inequality is the loosest here.
        h = problem.values + problem.slopes @ z
        loose = heads * np.maximum(h, 0) - factor * h - constant
        return bound, int(np.argmax(np.where(chord, loose, -math.inf)))

    def _proved(self, rows: _Rows, multipliers: np.ndarray) -> float:
        """v/|s|_*, from below, for the combination of rows; 0 where it says nothing."""
        kept = np.flatnonzero(multipliers > 0)
        if not len(kept) or not np.all(np.isfinite(multipliers)):
            return 0.0
        problem = self.problem
        u = arb_mat([multipliers[kept].tolist()])
        combined = u * arb_mat(rows.factors[kept].tolist())
        constant = u * arb_mat([[t] for t in rows.constants[kept].tolist()])
        value = (combined * problem.values_balls + constant)[0, 0]
        if not value > 0:
            return 0.0
        dual = self.norm.dual_balls((combined * problem.slopes_balls).tolist()[0])
        if not dual > 0:
            # No slope at all: the branch is empty, up to a bound that is larger than any radius.
            top = dual.upper()
            return math.inf if top == 0 else _below(value / top)
        return _below(value / dual)


def _above(ball: arb) -> float:
    """A float that is not below the ball."""
    return float(ball.upper()) * (1 + 4e-16)


def _below(ball: arb) -> float:
    """A float that is not above a ball of positive numbers."""
    return max(0.0, float(ball.lower()) * (1 - 4e-16))
