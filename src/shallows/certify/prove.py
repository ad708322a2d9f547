"""Make certificates: from an approximate point to a statement that holds."""

import dataclasses
import decimal

import flint
import numpy as np

from shallows.certify._balls import between, enclosure, negative_eigenvalues
from shallows.certify.certificate import Certificate, EigenvalueEnclosure, words
from shallows.certify.descent import steepest
from shallows.certify.distance import distance
from shallows.certify.verdict import Verdict
from shallows.symmetry import Balls, ReducedLoss, components, orthonormal_teacher
from shallows.symmetry.arithmetic import Numbers

_HYPOTHESES = (
    "inputs are standard Gaussian and teachers are orthonormal; all outer weights are 1 and fixed",
    "ball arithmetic (arb) is correct",
)
_METHOD = (
    "Krawczyk's operator for the gradient of the reduced loss, on the fixed-point space of the "
    "group; symmetric criticality; Hessian on isotypic components, and Sylvester's law of inertia; "
    "Birkhoff's theorem and linear duality for the distance to the permutation matrices."
)


def certify(loss: ReducedLoss, point: Numbers, *, bits: int, reach: float = 1e-9) -> Certificate:
    r"""Prove that there is a critical point next to `point`, and what it is.

    Where the Hessian has a negative eigenvalue, there is a direction close to its eigenvector with
    a negative Rayleigh quotient. With as many students as teachers there is the distance to the
    nearest global minimum.

    The point is first polished by Newton's method, which may move it by `reach` times its largest
    weight; the box around it has relative radius 10^(−0.15 bits). If there is no critical point
    so close, or Krawczyk's operator does not contract the box, the verdict is `UNDECIDED`, and
    nothing is claimed.

    **Domain.** Blocks of whole sizes, an orthonormal teacher, heads 1.

    **Accuracy.** Rigorous. Enclosures are as wide as the box makes them: with `bits` = 192 + 8
    log2 k they have about 15 digits at k = 10 and at k = 10⁹.

    **Raises.** `ValueError` outside the domain. **Cost.** Tens of milliseconds at any size.
    """
    sizes = loss.blocks.whole()
    if loss.teacher != orthonormal_teacher(loss.blocks) or any(h != 1 for h in loss.heads):
        raise ValueError(
            "Only students with heads 1 and an orthonormal teacher with a neuron for each input "
            "can be certified so far. Leave `teacher` and `heads` at their defaults."
        )
    exact = ReducedLoss(dataclasses.replace(loss.blocks, sizes=sizes))
    numbers = Balls(bits)
    with numbers.precision():
        given = numbers.numbers(point)
        polished = _polished(exact, given, numbers)
        farthest = max(abs(x - y) for x, y in zip(polished, given, strict=True))
        if not farthest <= reach * max(abs(x) for x in given):
            return _nothing(exact, bits)
        box = _box(polished, bits)
        balls = numbers.numbers([between(*pair) for pair in box])
        inside = _krawczyk(exact, balls, numbers)
        if inside is None:
            return _nothing(exact, bits)
        value = enclosure(exact.value(inside, numbers))
        found = []
        parts = components(exact, inside, numbers)
        for part in parts:
            for rank, pair in enumerate(_eigenvalues(part.matrix, numbers)):
                found.append(
                    EigenvalueEnclosure(
                        part.representation.value, part.factors, rank, str(part.dimension), pair
                    )
                )
        made = dataclasses.replace(
            _certificate(exact, box, bits, value, tuple(found)),
            descent=steepest(exact, inside, parts, numbers),
            distance=distance(exact.blocks, inside, numbers),
        )
        return dataclasses.replace(made, statement=words(made))


def _polished(loss: ReducedLoss, point: np.ndarray, numbers: Balls) -> np.ndarray:
    """The point after a few of Newton's steps, so that it fills its digits; no part of a proof."""
    for _ in range(4):
        point = numbers.numbers([x.mid() for x in point])
        step = numbers.solution(loss.hessian(point, numbers), loss.gradient(point, numbers))
        if step is None or not all(x.is_finite() for x in step):
            return point
        point = point - step
    return point


def _box(point: np.ndarray, bits: int) -> tuple[tuple[str, str], ...]:
    """An interval around each weight, in decimals."""
    digits = int(0.15 * bits)
    radius = flint.arb(10) ** -digits
    largest = max(abs(x.mid()) for x in point)
    made = []
    for x in point:
        middle = flint.arb(x.mid())
        # A weight of exactly zero gets a box as well.
        size = abs(middle) if abs(middle) > largest * radius else largest
        made.append(enclosure(middle + flint.arb(0, (size * radius).mid()), digits + 5))
    return tuple(made)


def _krawczyk(loss: ReducedLoss, box: np.ndarray, numbers: Balls) -> np.ndarray | None:
    """Krawczyk's operator on the box, if it maps it into its interior."""
    middle = numbers.numbers([x.mid() for x in box])
    gradient = loss.gradient(middle, numbers)
    jacobian = loss.hessian(box, numbers)
    n = len(box)
    try:
        inverse = flint.arb_mat([[x.mid() for x in row] for row in jacobian]).inv()
    except ZeroDivisionError:
        return None
    precondition = np.array(inverse.mid().tolist(), dtype=object).reshape(n, n)
    identity = numbers.numbers(np.eye(n, dtype=int))
    image = middle - precondition @ gradient + (identity - precondition @ jacobian) @ (box - middle)
    is_inside = all(x.contains_interior(y) for x, y in zip(box, image, strict=True))
    return image if is_inside else None


def _eigenvalues(matrix: np.ndarray, numbers: Balls) -> list[tuple[str, str]]:
    """Enclosures of all eigenvalues in increasing order, by bisection on the inertia."""
    width = max(float(x.rad()) for row in matrix for x in row)
    largest = max(abs(float(x)) for row in matrix for x in row)
    approximate = numbers.eigenvalues(matrix)
    slack = max(4 * len(matrix) * width, 1e-25 * largest)
    found = []
    for rank, value in enumerate(approximate):
        reach = slack
        while True:
            around = value.mid() + flint.arb(0, reach)
            pair = enclosure(around)
            below, upto = (_below(matrix, flint.arb(end)) for end in pair)
            if below is not None and upto is not None and below <= rank < upto:
                found.append(pair)
                break
            reach *= 16
            if reach > largest:
                raise ValueError("No enclosure of an eigenvalue was found. Use more bits.")
    return found


def _below(matrix: np.ndarray, shift) -> int | None:
    return negative_eigenvalues(
        [[x - shift if i == j else x for j, x in enumerate(row)] for i, row in enumerate(matrix)]
    )


def _nothing(loss: ReducedLoss, bits: int) -> Certificate:
    """The certificate that claims nothing."""
    return Certificate(
        verdict=Verdict.UNDECIDED,
        statement="Nothing was proved: there is no regular critical point next to the candidate.",
        hypotheses=_HYPOTHESES,
        method=_METHOD,
        bits=bits,
        sizes=tuple(str(n) for n in loss.blocks.sizes),
        rows=loss.blocks.rows,
        columns=loss.blocks.columns,
        weights=(),
        loss=("0", "Infinity"),
        eigenvalues=(),
        smallest_eigenvalue=("-Infinity", "Infinity"),
        index=None,
    )


def _certificate(loss, box, bits, value, found) -> Certificate:
    ends = [tuple(decimal.Decimal(t) for t in e.enclosure) for e in found]
    signs = list(zip(found, ends, strict=True))
    index = None
    if all(high < 0 or low > 0 for low, high in ends):
        index = sum(int(e.multiplicity) for e, (_, high) in signs if high < 0)
    least = min((e.enclosure for e in found), key=lambda pair: decimal.Decimal(pair[0]))
    most = min((e.enclosure for e in found), key=lambda pair: decimal.Decimal(pair[1]))
    return dataclasses.replace(
        _nothing(loss, bits),
        verdict=Verdict.PROVED,
        weights=box,
        loss=value,
        eigenvalues=found,
        smallest_eigenvalue=(least[0], most[1]),
        index=index,
    )
