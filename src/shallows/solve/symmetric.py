"""Critical points among block-symmetric students: Newton's method on a handful of numbers."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from shallows import notebook
from shallows.solve.critical import NewtonOutcome
from shallows.symmetry import AbstractArithmetic, Balls, Floats, ReducedLoss


@dataclasses.dataclass(frozen=True, repr=False)
class SymmetricPoint(notebook.AbstractShown):
    """Where Newton's method ended in a fixed-point space."""

    loss: ReducedLoss
    point: np.ndarray
    """One number for each orbit of entries."""
    numbers: AbstractArithmetic
    outcome: NewtonOutcome
    gradient_norm: float
    """Frobenius norm of the gradient of the full loss."""
    change: float
    """The last step, relative to each weight, at its largest."""
    steps: int

    def __repr__(self) -> str:
        return (
            f"SymmetricPoint({len(self.point)} orbits, {self.outcome.name}: gradient norm "
            f"{self.gradient_norm:.3g} after {self.steps} steps)"
        )

    def _columns(self) -> notebook.Columns:
        orbits = self.loss.blocks.orbits
        return {
            "block of neurons": [orbit.row for orbit in orbits],
            "block of inputs": [orbit.column for orbit in orbits],
            "diagonal": [orbit.is_diagonal for orbit in orbits],
            "weight": [float(x) for x in self.point],
        }

    def _notes(self) -> Sequence[str]:
        return [self.outcome.value]


def symmetric_point(
    loss: ReducedLoss,
    start,
    numbers: AbstractArithmetic | None = None,
    *,
    max_steps: int = 60,
    reach: float = np.inf,
) -> SymmetricPoint:
    r"""The critical point that Newton's method finds from `start`, saddle or minimum.

    By symmetric criticality it is one of the full loss. A run that leaves the ball of radius
    `reach` around its start (each weight measured in units of its largest) is `outside_basin`.

    **Accuracy.** In balls every weight is right to about the precision less the digits that sums
    of k² terms lose: with `Balls(64 + 8 log2 k)` to 1e-17 relative up to k = 10⁹ and beyond. In
    floats to about 1e-16 k² / λ.

    **Cost.** Reduced Hessians, at most `max_steps` of them: below a millisecond each.
    """
    o = Floats() if numbers is None else numbers
    with o.precision():
        first = x = _middle(o, o.numbers(start))
        counts = np.array([float(c) for c in loss.blocks.counts])
        rounding = 1e-15 if isinstance(o, Floats) else 1e-25
        nothing = 2.0 ** (-o.bits / 3) if isinstance(o, Balls) else 1e-6
        size = change = previous = np.inf
        outcome, steps = NewtonOutcome.out_of_steps, 0
        for steps in range(max_steps + 1):
            slope = _middle(o, loss.gradient(x, o))
            values = np.array([float(s) for s in slope])
            size = float(np.sqrt(np.sum(values**2 / counts)))
            if not np.isfinite(size):
                outcome = NewtonOutcome.at_kink
                break
            # Stop when the step is at rounding level, or no longer shrinks near it.
            if change <= rounding or (change < 1e-9 and change >= previous / 4):
                outcome = NewtonOutcome.converged
                break
            if steps == max_steps:
                break
            step = o.solution(loss.hessian(x, o), slope)
            if step is None:
                outcome = NewtonOutcome.singular
                break
            x = _middle(o, x - step)
            moved, here = (np.array([abs(float(v)) for v in y]) for y in (step, x))
            # A weight that is zero is so to rounding only, and has no relative accuracy.
            floor = nothing * max(float(np.max(here)), 1e-300)
            previous, change = change, float(np.max(moved / np.maximum(here, floor)))
            far = max(abs(float(a - b)) for a, b in zip(x, first, strict=True))
            if far > reach * max(abs(float(v)) for v in first):
                outcome = NewtonOutcome.outside_basin
                break
        return SymmetricPoint(loss, x, o, outcome, size, change, steps)


def _middle(o, values):
    """Newton's iterates are exact numbers: their error is in the next step, not in a radius."""
    return values if isinstance(o, Floats) else o.numbers([v.mid() for v in values])
