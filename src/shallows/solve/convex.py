r"""Convex programs of two-layer networks, solved, with a bound from below of our own.

What a solver returns is a point and a dual vector. Neither is trusted: the value is the objective
at the point, and the lower bound comes from the vector, scaled until it is feasible.
"""

import dataclasses
import enum

import numpy as np
import scipy.sparse as sp
from jaxtyping import Float

from shallows import notebook
from shallows.landscape.convex import (
    AbstractConvexProgram,
    Hinge,
    Logistic,
    Squared,
)
from shallows.landscape.convex.duality import nonnegative_factors

# Blocks below this share of the largest one are what interior points leave of zeros, and
# objectives within this of one another are the same.
_CANDIDATE, _SAME = 1e-6, 1e-9


class ConvexOutcome(enum.Enum):
    """How a solver ended; the text is advice."""

    converged = ""
    inaccurate = "The gap is larger than was asked. Scale features to size one, or raise `steps`."
    out_of_steps = "All steps were used. Raise `steps`, or scale the features to size one."
    failed = "Numbers broke down. Scale the features to size one, or raise the penalty β."


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class ConvexSolution(notebook.AbstractShown):
    """A point of a convex program with bounds on its optimum."""

    program: AbstractConvexProgram
    point: Float[np.ndarray, "2 P r"]
    value: float
    """The objective at the point."""
    dual: Float[np.ndarray, " n"]
    """Feasible for the dual, up to rounding."""
    lower_bound: float
    """Of the program, and where its patterns are all, of all networks."""
    outcome: ConvexOutcome

    @property
    def gap(self) -> float:
        """The value less the lower bound."""
        return self.value - self.lower_bound

    @property
    def network(self):
        """A network of this value."""
        return self.program.network(self.point)

    def __repr__(self) -> str:
        return (
            f"ConvexSolution(value {self.value:.9g}, gap {self.gap:.3g}, "
            f"{len(self.program.patterns)} patterns, {self.outcome.name})"
        )

    def _notes(self) -> list[str]:
        found = f"The optimum lies between {self.lower_bound:.9g} and {self.value:.9g}."
        sampled = "" if self.program.patterns.exact else "Patterns are a sample: restricted."
        return [self.outcome.value, found, sampled]


def convex_solution(
    program: AbstractConvexProgram,
    point: Float[np.ndarray, "2 P r"],
    dual: Float[np.ndarray, " n"],
    outcome: ConvexOutcome = ConvexOutcome.converged,
    *,
    tolerance: float = 1e-6,
) -> ConvexSolution:
    """The solution of a method that ended at a point with a dual vector, such as ∇L there.

    Where the vector leaves a gap, ∇L at the point is tried as well.
    `converged` becomes `inaccurate` where the gap is above the tolerance, relative to the value.
    """
    value = program.objective(point)
    bound = program.dual_bound(dual)
    enough = tolerance * max(abs(value), 1e-300)
    if not value - bound.value <= enough:
        slope = program.loss.gradient(program.predict(point), program.y)
        bound = max(bound, program.dual_bound(slope), key=lambda other: other.value)
    # A value below the bound is that of a point outside its cones.
    if outcome is ConvexOutcome.converged and not abs(value - bound.value) <= enough:
        outcome = ConvexOutcome.inaccurate
    return ConvexSolution(program, point, value, bound.vector, bound.value, outcome)


@dataclasses.dataclass(frozen=True)
class InteriorPoint:
    """Clarabel's interior-point method on the whole program, all blocks at once.

    **Accuracy.** 1e-8 relative in the value where patterns are hundreds and features of like sizes,
    in whatever units these and the targets are; `gap` says what it was. Of each cone only the walls
    are passed on where these are known.

    **Cost.** Some 20 steps, each a sparse factorisation: 10 ms for 24 patterns of 12 points.
    """

    tolerance: float = 1e-10
    """Of Clarabel, absolute and relative."""
    steps: int = 200
    gap: float = 1e-6
    """Relative to the value, for the outcome `converged`."""

    def __call__(self, program: AbstractConvexProgram) -> ConvexSolution:
        """The optimum of a program."""
        found = self._solved(program, *_units(program))
        if found.outcome in (ConvexOutcome.converged, ConvexOutcome.out_of_steps):
            return found
        # Features of very different sizes have no unit of their own: sometimes their own one is it.
        other = self._solved(program, 1.0, 1.0)
        return min(found, other, key=lambda one: abs(one.gap))

    def _solved(self, program: AbstractConvexProgram, height: float, size: float) -> ConvexSolution:
        import clarabel  # a tenth of a second, for those who need it

        quadratic, linear, matrix, goal, cones = _canonical(program, height, size)
        settings = clarabel.DefaultSettings()
        settings.verbose = False
        settings.max_iter = self.steps
        settings.tol_gap_abs = settings.tol_gap_rel = settings.tol_feas = self.tolerance
        found = clarabel.DefaultSolver(quadratic, linear, matrix, goal, cones, settings).solve()
        status = str(found.status)
        outcome = {
            "Solved": ConvexOutcome.converged,
            "AlmostSolved": ConvexOutcome.converged,
            "InsufficientProgress": ConvexOutcome.converged,  # the gap will tell
            "MaxIterations": ConvexOutcome.out_of_steps,
        }.get(status, ConvexOutcome.failed)
        x, z = np.array(found.x), np.array(found.z)
        if outcome is ConvexOutcome.failed or not np.all(np.isfinite(x)):
            x, z = np.zeros_like(x), np.zeros_like(z)
        n, blocks = len(program.y), int(np.prod(program.shape))
        point = fewer_blocks(program, height / size * x[:blocks].reshape(program.shape))
        return convex_solution(program, point, height * z[:n], outcome, tolerance=self.gap)


def fewer_blocks(
    program: AbstractConvexProgram, point: Float[np.ndarray, "2 P r"]
) -> Float[np.ndarray, "2 P r"]:
    """A point of the same prediction with at most n blocks, if it costs no more.

    Where a point is optimal, blocks stretched by other factors that predict the same cost the
    same: what they gain is what they cost. Nonnegative least squares finds factors few of which are
    not 0 (Carathéodory). Interior points have many more.
    """
    norms = program.norms(point)
    largest = float(np.max(norms, initial=0.0))
    blocks = np.argwhere(norms > _CANDIDATE * largest)
    if not len(blocks):
        return np.zeros(program.shape)
    sides = [(1 - 2 * s) * program.columns(int(i)) @ point[s, i] / norms[s, i] for s, i in blocks]
    system, goal = np.array(sides).T, program.predict(point)
    factors = nonnegative_factors(system, goal)
    made = np.zeros(program.shape)
    for (s, i), factor in zip(blocks, factors, strict=True):
        made[s, i] = factor * point[s, i] / norms[s, i]
    before, after = program.objective(point), program.objective(made)
    return made if after <= before + _SAME * abs(before) else point


def _units(program: AbstractConvexProgram) -> tuple[float, float]:
    """Of predictions, which the squared loss leaves free, and of columns: Clarabel wants both 1."""
    size = max(float(np.max(np.abs(program.columns(i)))) for i in range(len(program.patterns)))
    height = float(np.max(np.abs(program.y))) if isinstance(program.loss, Squared) else 1.0
    return height or 1.0, size or 1.0


def _canonical(program: AbstractConvexProgram, height: float, size: float):
    """The program as ½xᵀPx + qᵀx with Ax + s = b, s in cones; x is blocks, bounds, p, loss terms.

    Predictions are in units of `height` and columns in those of `size`, and so blocks in units of
    height/size. The first n rows say that p is the prediction; their multipliers are the dual
    vector.
    """
    import clarabel

    signs, patterns, width = program.shape
    n, blocks = len(program.y), signs * patterns
    weights = blocks * width
    stacked = np.concatenate([program.columns(i) for i in range(patterns)], axis=1) / size
    extra, terms = _loss_terms(program, height)
    variables = weights + blocks + n + extra

    def placed(part, at: int):
        """A matrix on variables from `at` on."""
        part = sp.csc_matrix(part)
        left = sp.csc_matrix((part.shape[0], at))
        right = sp.csc_matrix((part.shape[0], variables - at - part.shape[1]))
        return sp.hstack([left, part, right])

    rows = [placed(np.hstack([stacked, -stacked]), 0) + placed(-sp.identity(n), weights + blocks)]
    goals, cones = [np.zeros(n)], [clarabel.ZeroConeT(n)]
    half = [program.cone(i, walls=True) / size for i in range(patterns)]
    inequalities = sp.block_diag([-c for c in half] * 2)
    if inequalities.shape[0]:
        rows.append(placed(inequalities, 0))
        goals.append(np.zeros(inequalities.shape[0]))
        cones.append(clarabel.NonnegativeConeT(inequalities.shape[0]))
    # (t, Mz) of each block; of a tall M its triangular factor has the same lengths.
    metrics = []
    for i in range(patterns):
        m = program.metric(i)
        metrics.append(np.eye(width) if m is None else np.linalg.qr(m / size)[1])
    lengths = [len(m) for m in metrics] * 2
    starts = np.cumsum([0, *[l + 1 for l in lengths]])
    lifted = sp.block_diag([np.vstack([np.zeros((1, width)), -m]) for m in metrics] * 2)
    bounds = sp.csc_matrix(
        (-np.ones(blocks), (starts[:-1], np.arange(blocks))), shape=(starts[-1], blocks)
    )
    rows.append(placed(lifted, 0) + placed(bounds, weights))
    goals.append(np.zeros(starts[-1]))
    cones += [clarabel.SecondOrderConeT(l + 1) for l in lengths]
    quadratic, linear = sp.csc_matrix((variables, variables)), np.zeros(variables)
    # Of the objective in units of height², where |Mz| is in those of height, or |z| of height/size.
    each = [height if program.metric(i) is not None else height / size for i in range(patterns)]
    linear[weights : weights + blocks] = program.beta / height**2 * np.array(each * 2)
    first = weights + blocks
    for kind, part, goal in terms:
        if kind == "quadratic":
            quadratic = sp.block_diag([sp.csc_matrix((first, first)), part], format="csc")
            linear[first:] = goal
        else:
            rows.append(placed(part, first))
            goals.append(goal)
            cones += kind
    matrix = sp.csc_matrix(sp.vstack(rows, format="csc"))
    return sp.triu(quadratic, format="csc"), linear, matrix, np.concatenate(goals), cones


def _loss_terms(program: AbstractConvexProgram, height: float):
    """How many variables a loss adds to p, and its terms: of the objective, and cones of (p, …)."""
    import clarabel

    y, n = program.y, len(program.y)
    one, loss = sp.identity(n), program.loss
    if isinstance(loss, Squared):
        return 0, [("quadratic", one, -y / height)]
    if isinstance(loss, Hinge):  # ξ ≥ 0, ξ ≥ 1 − yp
        part = sp.bmat([[None, -one], [-sp.diags(y), -one]])
        goal = np.concatenate([np.zeros(n), -np.ones(n)])
        linear = np.concatenate([np.zeros(n), np.ones(n)])
        return n, [
            ("quadratic", sp.csc_matrix((2 * n, 2 * n)), linear),
            ([clarabel.NonnegativeConeT(2 * n)], part, goal),
        ]
    if not isinstance(loss, Logistic):
        raise ValueError(
            f"The loss {type(loss).__name__} has no conic form here. Use `Squared()`, "
            f"`Logistic()` or `Hinge()`."
        )
    # ℓ ≥ log(1 + e^{−yp}) is a + b ≤ 1 with a ≥ e^{−yp−ℓ}, b ≥ e^{−ℓ}; variables (p, ℓ, a, b).
    zero = sp.csc_matrix((n, n))
    exponents = [[sp.diags(y), one, zero, zero], [zero, one, zero, zero]]
    linear = np.concatenate([np.zeros(n), np.ones(n), np.zeros(2 * n)])
    terms: list = [
        ("quadratic", sp.csc_matrix((4 * n, 4 * n)), linear),
        (
            [clarabel.NonnegativeConeT(n)],
            sp.hstack([zero, zero, one, one]),
            np.ones(n),
        ),
    ]
    for k in range(2):
        bound = [zero] * 4
        bound[2 + k] = -one
        triples = sp.vstack([sp.hstack(exponents[k]), sp.csc_matrix((n, 4 * n)), sp.hstack(bound)])
        # Each cone takes its three rows together.
        order = np.arange(3 * n).reshape(3, n).T.ravel()
        goal = np.concatenate([np.zeros(n), np.ones(n), np.zeros(n)])
        cones = [clarabel.ExponentialConeT() for _ in range(n)]
        terms.append((cones, sp.csr_matrix(triples)[order], goal[order]))
    return 3 * n, terms
