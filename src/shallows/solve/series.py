r"""Branches of critical points as power series in $k^{-1/2}$: what happens as k → ∞, term by term.

Sizes are $k - P$ with $k = \varepsilon^{-2}$, and the reduced gradient at a Laurent polynomial in
ε is a Laurent series. Newton's method needs nothing else: each step doubles the number of
terms that are right, and the last one, with balls around all coefficients, maps them into
themselves. The loss and the eigenvalues of the Hessian are evaluated, not fitted.
"""

import dataclasses
from collections.abc import Callable, Sequence
from fractions import Fraction

import flint
import numpy as np

from shallows import notebook
from shallows.solve.relations import closed_form
from shallows.symmetry import Blocks, ReducedLoss, Representation, components
from shallows.symmetry.arithmetic import AbstractArithmetic, Number
from shallows.symmetry.laurent import Laurent, LostDigitsError, UnknownTermsError
from shallows.symmetry.power_series import PowerSeries


@dataclasses.dataclass(frozen=True)
class Term:
    """One term, a coefficient times a power of k."""

    power: Fraction
    """Of k."""
    coefficient: flint.arb
    """A ball that contains it."""
    closed_form: str | None
    """A formula that agrees to all digits of the ball, or None; see `closed_form`."""

    @property
    def decimal(self) -> str:
        """The coefficient with 30 digits, the last one right up to one unit."""
        return self.coefficient.str(30, radius=False)


@dataclasses.dataclass(frozen=True)
class EigenvalueSeries:
    """One eigenvalue of the Hessian along the branch."""

    representation: Representation
    factors: tuple[int, ...]
    """The factors of the group that move it, as in `spectrum`."""
    multiplicity: str
    """A polynomial in k."""
    terms: tuple[Term, ...]


@dataclasses.dataclass(frozen=True, repr=False)
class Series(notebook.AbstractTable):
    """A branch of critical points for large k.

    Terms are those that do not vanish, by falling powers of k; fewer than asked for where there
    are no more of them, as for weights that do not depend on k.
    """

    name: str
    loss: tuple[Term, ...]
    weights: tuple[tuple[Term, ...], ...]
    """For each orbit of entries, in the order of `Blocks.orbits`."""
    eigenvalues: tuple[EigenvalueSeries, ...]
    """In the order of `components`, each component's by size."""
    roles: tuple[str, ...]
    """What each block of neurons is called."""

    def block(self, factors: Sequence[int]) -> str | None:
        """What these factors move, by its name; None for the trivial component."""
        return "×".join(self.roles[f] for f in factors) or None

    def __repr__(self) -> str:
        lead = self.loss[0] if self.loss else None
        begins = "0" if lead is None else f"{float(lead.coefficient):.6g} k^({lead.power}) + …"
        return f"Series({self.name!r}, loss {begins})"

    def _columns(self) -> notebook.Columns:
        named = [("loss", self.loss), *((f"weight{i}", w) for i, w in enumerate(self.weights))]
        for one in self.eigenvalues:
            block = self.block(one.factors)
            named.append((" ".join(filter(None, (one.representation.value, block))), one.terms))
        rows = [(name, term) for name, terms in named for term in terms]
        return {
            "of": [name for name, _ in rows],
            "power of k": [str(term.power) for _, term in rows],
            "coefficient": [float(term.coefficient) for _, term in rows],
            "closed form": [term.closed_form for _, term in rows],
        }


@dataclasses.dataclass(frozen=True)
class _Branch:
    """The same in numbers that still know their order."""

    loss: Laurent
    weights: tuple[Laurent, ...]
    eigenvalues: tuple[tuple[Representation, tuple[int, ...], Laurent, Laurent], ...]

    @property
    def everything(self) -> list[Laurent]:
        return [self.loss, *self.weights, *(e[-1] for e in self.eigenvalues)]


# Blocks of sizes that depend on k, and weights near the branch, both in series.
Family = Callable[[Number, AbstractArithmetic], tuple[Blocks, Sequence[Number]]]


def branch_series(
    name: str,
    family: Family,
    terms: int,
    *,
    roles: tuple[str, ...],
    bits: int = 512,
    radical: int | None = None,
) -> Series:
    r"""The first `terms` terms of weights, loss and eigenvalues of a branch as $k \to \infty$.

    `family(k, numbers)` makes the blocks at size k and the start: weights with the right leading
    terms, or close to them. `radical` is a number whose root closed forms may contain.

    **Accuracy.** Coefficients are balls. Arithmetic bounds them, and so does the last step of
    Newton's method, which maps the set of all series in those balls into itself; orders of
    truncation are carried along. What is not proved: that leading coefficients which are 0 to
    half of `bits` are 0 (`Laurent`), and that closed forms, which agree to all digits, hold.

    **Raises.** `ValueError` for fewer terms than 1, and where there is no such branch near
    the start. **Cost.** Seconds; grows like the square of `terms`.
    """
    if not isinstance(terms, int | np.integer) or terms < 1:
        raise ValueError(
            f"A series has at least one term, but {terms=}. Ask for 1 or more, a whole number."
        )
    # Sums of k² pairs cancel down to 1/k, and splitting close eigenvalues takes as much again.
    order = terms + 15
    while True:
        numbers = PowerSeries(bits, order)
        with numbers.precision():
            try:
                made = _branch(name, family, numbers)
                if all(len(_nonzero(x)) >= terms or x.order is None for x in made.everything):
                    return _written(name, made, terms, roles, radical)
                order += 6
            except UnknownTermsError:
                order += 6
            except LostDigitsError:
                bits *= 2
        if order > 3 * terms + 60 or bits > 1 << 14:
            raise ValueError(
                f"The series of `{name}` cannot be told from these terms: {order=}, {bits=}. Ask "
                f"for fewer."
            )


def _branch(name: str, family: Family, o: PowerSeries) -> _Branch:
    blocks, start = family(1 / (o.epsilon * o.epsilon), o)
    loss = ReducedLoss(blocks)
    point = _point(name, loss, o.numbers(start), o)
    found = [
        (part.representation, part.factors, o.numbers([part.dimension])[0], value)
        for part in components(loss, point, o)
        for value in o.eigenvalues(part.matrix)
    ]
    return _Branch(loss.value(point, o), tuple(point), tuple(found))


def _point(name: str, loss: ReducedLoss, start: np.ndarray, o: PowerSeries) -> np.ndarray:
    """The critical point near `start`: Newton's method on Laurent series."""
    point = o.numbers([x.cut(x.valuation + o.terms) for x in start])
    small, room = flint.arb(2) ** -(4 * o.bits // 5), flint.arb(2) ** -(3 * o.bits // 4)
    for _ in range(_MOST_STEPS):
        # With twice the digits: what is dropped as 0 here is a residual, and should be far below
        # the rounding of the weights, which is added at the end.
        with PowerSeries(2 * o.bits, o.terms).precision():
            slope = loss.gradient(point, o)
        if all(x.is_zero for x in slope):
            return point
        # Rounding must not make large entries of what cancels, so it is made part of the balls.
        step = o.solution(loss.hessian(o.numbers([x.blurred() for x in point]), o), slope)
        if step is None:
            break
        moved = point - step
        if all(x.size < small for x in step):
            # All series within twice the step; and a step with the slopes of all of them.
            around = o.numbers(
                [
                    x.widened(2 * s.size + room, y.order)
                    for x, s, y in zip(point, step, moved, strict=True)
                ]
            )
            last = o.solution(loss.hessian(around, o), slope)
            if last is None:
                break
            enclosed = [
                (x - s).widened(flint.arb(2) ** -o.bits, (x - s).order, x.valuation)
                for x, s in zip(point, last, strict=True)
            ]
            if not all(x.contains(y) for x, y in zip(around, enclosed, strict=True)):
                raise LostDigitsError(f"Newton's method did not enclose `{name}`. Take more bits.")
            return o.numbers(enclosed)
        point = o.numbers([x.cut(x.order) for x in moved])
    raise ValueError(
        f"Newton's method found no power series for `{name}` near its start. Start with the "
        f"leading terms of all weights."
    )


_MOST_STEPS = 30


def _nonzero(x: Laurent) -> list[tuple[int, flint.arb]]:
    """Powers and coefficients of the known terms that do not vanish."""
    return [(x.valuation + i, c) for i, c in enumerate(x.coefficients) if not c.contains(0)]


def _written(name, made: _Branch, terms: int, roles, radical: int | None) -> Series:
    def written(x: Laurent) -> tuple[Term, ...]:
        return tuple(
            Term(Fraction(-power, 2), c, closed_form(c, radical))
            for power, c in _nonzero(x)[:terms]
        )

    return Series(
        name,
        written(made.loss),
        tuple(written(x) for x in made.weights),
        tuple(
            EigenvalueSeries(representation, factors, _polynomial(times), written(value))
            for representation, factors, times, value in made.eigenvalues
        ),
        roles,
    )


def _polynomial(x: Laurent) -> str:
    """A polynomial in k with rational coefficients, as text."""
    text = ""
    for power, c in _nonzero(x):
        twice = (2 * c).unique_fmpz()
        assert twice is not None  # dimensions are halves of products of sizes
        share, k = Fraction(int(twice), 2), -power // 2
        symbol = {0: "", 1: "k"}.get(k, f"k^{k}")
        number = "" if abs(share.numerator) == 1 and symbol else str(abs(share.numerator))
        below = "" if share.denominator == 1 else f"/{share.denominator}"
        sign = ("- " if share < 0 else "+ ") if text else ("-" if share < 0 else "")
        text += f"{' ' if text else ''}{sign}{number}{symbol}{below}"
    return text or "0"
