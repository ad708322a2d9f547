r"""Check a certificate for all real sizes from one on again.

Nothing here calls what found the curve or made the certificate, except for the arithmetic of
expansions (`_expansions`). The formulas for the loss, its derivatives and the isotypic components
are those of `shallows.certify.verify_interval`, which checks the part up to some size; there the
theorems behind a check are listed. Besides, one needs to know that

* π is transcendental: a rational function of π with whole coefficients is 0 only if its numerator
  is the zero polynomial;
* an expansion says something of all ε in (0, ε₀] at once, so that the interval Newton method,
  applied to it, holds at each of them;
* a matrix that permutations of rows and columns leave in place has each value on a set of
  entries that they leave in place: if each kind of diagonal entries has a value that no other
  entries have, rows and columns are permuted alike, within the kinds.
"""

import itertools
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any

from flint import arb

from shallows.certify._balls import between, negative_eigenvalues
from shallows.certify._constants import Constant
from shallows.certify._expansions import Expansion, Expansions, Scale
from shallows.certify._models import Models
from shallows.certify.infinity import InfinityCertificate, Tail, Weight, infinity_words
from shallows.certify.interval import Box
from shallows.certify.verdict import Verdict
from shallows.certify.verify import Check
from shallows.certify.verify_interval import (
    FailedError,
    Loss,
    Space,
    exact,
    has_negative,
    isotypic,
    require,
    solution,
    verify_interval,
)


def verify_infinity(
    certificate: InfinityCertificate, step: Callable[[], None] = lambda: None
) -> Check:
    """Prove the statement of a certificate again, or say what cannot be proved.

    `step` is called after each box of the interval, and after the tail. **Accuracy.** Rigorous.
    **Cost.** A minute for the tail, a few seconds for each box.
    """
    c = certificate
    try:
        require(c.verdict is Verdict.PROVED, "It does not claim to be a proof.")
        tail = c.tail
        if tail is None:
            raise FailedError("It does not say anything of large sizes.")
        require(infinity_words(c) == c.statement, "Its words do not say what its data say.")
        same = (c.first, c.fixed) == (c.interval.first, c.interval.fixed)
        require(same, "Its interval is about other sizes or another symmetry.")
        require(bool(c.interval.boxes), "It has no interval of sizes.")
        require(exact(c.interval.loss[0]) > 0, "The loss of some size may not be positive.")
        end = c.interval.boxes[-1]
        meet = exact(end.lower) == exact(tail.upper)
        require(meet, "The tail does not begin where the boxes end.")
        require(
            exact(tail.upper) ** 2 * exact(c.interval.last) <= 1,
            "What is said of all losses does not follow from what is said of the tail.",
        )
        numbers = Expansions(tail.bits, Scale(tail.upper, tail.exact, tail.terms))
        with numbers.precision():
            _check(tail, end, c.fixed, numbers)
        step()
        for box in c.interval.boxes:
            _distinct_in(box, len(c.fixed), c.interval.bits, c.interval.degree)
    except (FailedError, ArithmeticError, ValueError) as failure:
        return Check(Verdict.UNDECIDED, str(failure))
    check = verify_interval(c.interval, step)
    reason = check.reason and f"Of sizes up to {c.interval.last}: {check.reason}"
    return Check(check.verdict, reason)


def _check(tail: Tail, end: Box, fixed: Sequence[int], numbers: Expansions) -> None:
    pi = numbers.pi
    size = 1 / (numbers.epsilon * numbers.epsilon) - sum(fixed)
    space = Space(size, tuple(range(1 + len(fixed))))
    require(
        len(tail.weights) == len(space.orbits) == len(end.predictor),
        "The tail does not have a weight for each orbit.",
    )
    curve = [_around(w, numbers) for w in tail.weights]
    middle, tube = ([pair[i] for pair in curve] for i in (0, 1))
    slopes = Loss(space, middle, pi).slopes()
    change = solution(Loss(space, tube, pi).matrices(space.units)[0], slopes)
    for x, w in zip(change, tail.weights, strict=True):
        require(
            x.scaled(w.power).abs_upper() < arb(w.radius).abs_lower(),
            "For large sizes Newton's method does not map the tube of weights into its interior.",
        )
    point = [m - x for m, x in zip(middle, change, strict=True)]
    require(_is_one_curve(end, tube, point), "The tail does not continue the curve of the boxes.")
    _require_distinct(tube, len(fixed), "For large sizes")

    loss = Loss(space, point, pi).value()
    require(loss > 0, "For large sizes the loss may not be positive.")
    power = 2 * tail.loss_power
    require(
        between(*tail.scaled_loss).contains(loss.scaled(power)),
        "For large sizes the loss is not enclosed by what it claims.",
    )
    limit = Constant.read(tail.limit)
    require(
        limit.written() == tail.limit and loss.coefficient(power) == limit,
        "The limit of the loss is another one.",
    )
    least, most = (exact(text) for text in tail.smallest_eigenvalue)
    is_below = False
    for name, fine, patterns in isotypic(space):
        hessian, gram = Loss(fine, point, pi).matrices(patterns)
        require(
            negative_eigenvalues(_shifted(hessian, gram, least)) == 0,
            f"For large sizes an eigenvalue of the {name} component may be below {float(least)}.",
        )
        is_below = is_below or _may_be_negative(_shifted(hessian, gram, most))
    require(is_below, f"For large sizes no eigenvalue is certain to be below {float(most)}.")


def _around(w: Weight, numbers: Expansions) -> tuple[Expansion, Expansion]:
    """The polynomial of a weight, and all that is within its radius."""
    powers = [power for power, _, _ in w.exact]
    require(
        bool(powers)
        and sorted(set(powers)) == powers
        and powers[-1] < w.order
        and exact(w.radius) > 0
        and len(w.decimals) < numbers.scale.terms,
        "A weight of the tail is no polynomial with a radius.",
    )
    head = {}
    for power, above, below in w.exact:
        head[power] = Constant.read((above, below))
        require(head[power].written() == (above, below), "A coefficient is not in lowest terms.")
    decimals = [between(text, text) for text in w.decimals]
    middle = numbers.expansion(head, w.order, decimals)
    return middle, middle + numbers.expansion({}, w.power, [between(f"-{w.radius}", w.radius)])


def _is_one_curve(end: Box, tube: Sequence[Expansion], point: Sequence[Expansion]) -> bool:
    """Whether where the boxes end a zero of one lies where the other's is the only one.

    The zero of the last box is where it is the only one.
    """
    box = []
    for coefficients, radius in zip(end.predictor, end.radius, strict=True):
        # At t = −1, in rational numbers.
        value = sum((-1) ** n * exact(c) for n, c in enumerate(coefficients))
        box.append((value - exact(radius), value + exact(radius)))
    inside = all(
        wide(end.lower).contains_interior(_ball(low).union(_ball(high)))
        for wide, (low, high) in zip(tube, box, strict=True)
    )
    return inside or all(
        _ball(low) < x(end.lower) < _ball(high) for x, (low, high) in zip(point, box, strict=True)
    )


def _ball(x: Fraction | int) -> arb:
    return arb(x.numerator) / x.denominator


def _require_distinct(weights: Sequence[Any], fixed: int, where: str) -> None:
    """That each diagonal orbit has a value that no other orbit has."""
    orbits = Space(None, tuple(range(1 + fixed))).orbits
    for (i, (row, column, same)), j in itertools.product(enumerate(orbits), range(len(orbits))):
        if row == column and same and i != j:
            apart = weights[i] > weights[j] or weights[i] < weights[j]
            require(apart, f"{where} the symmetry may be larger than that of the statement.")


def _distinct_in(box: Box, fixed: int, bits: int, degree: int) -> None:
    numbers = Models(bits, degree)
    with numbers.precision():
        tube = [
            numbers.polynomial(p) + between(f"-{r}", r)
            for p, r in zip(box.predictor, box.radius, strict=True)
        ]
        _require_distinct(tube, fixed, f"For ε from {box.lower} to {box.upper}")


def _shifted(hessian: Any, gram: Any, shift: Fraction) -> list[list[Any]]:
    return [
        [x - shift * y for x, y in zip(*rows, strict=True)]
        for rows in zip(hessian, gram, strict=True)
    ]


def _may_be_negative(matrix: list[list[Any]]) -> bool:
    try:
        return has_negative(matrix)
    except ArithmeticError:  # a pivot that is 0
        return False
