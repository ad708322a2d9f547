"""Eigenvalues that are Laurent series: roots of polynomials with such coefficients.

Newton's polygon tells at which powers they start; those that start alike are told apart where they
first differ.
"""

from collections.abc import Iterator

import flint
import numpy as np

from shallows.symmetry.laurent import (
    ZERO,
    Laurent,
    LostDigitsError,
    UnknownTermsError,
    rounding,
    up_to,
    vanishes,
)


def characteristic(matrix: np.ndarray) -> list[Laurent]:
    """The coefficients of det(λ − matrix), from λ⁰ on, without divisions by series."""
    n = len(matrix)
    made = [ZERO] * n + [Laurent([1])]
    power = np.full((n, n), ZERO, dtype=object)
    # Faddeev & LeVerrier.
    for j in range(1, n + 1):
        power = matrix @ power + made[n - j + 1] * _identity(n)
        made[n - j] = -np.trace(matrix @ power) / j
    return made


def _identity(n: int) -> np.ndarray:
    made = np.full((n, n), ZERO, dtype=object)
    made[np.diag_indices(n)] = Laurent([1])
    return made


# Coefficients from the power 0 on.
Polynomial = list[Laurent]


def roots(polynomial: Polynomial, above: float | int = -np.inf) -> list[Laurent]:
    """The roots that start at powers > `above`, all of which are real Laurent series."""
    found: list[Laurent] = []
    for power, side in _sides(polynomial):
        if power <= above:
            continue
        for leading, times in _real_roots(side):
            first = Laurent([leading], power)
            if times == 1:
                found.append(_simple_root(polynomial, first))
            else:
                found += [first + r for r in roots(_shifted(polynomial, first), power)]
    return found


def _sides(polynomial: Polynomial) -> Iterator[tuple[int, list[flint.arb]]]:
    """The sides of Newton's polygon: a power, and the polynomial of roots' leading coefficients."""
    points = [(i, c) for i, c in enumerate(polynomial) if not c.is_zero]
    if points[0][0]:
        raise UnknownTermsError("An eigenvalue vanishes as far as is known. Take more terms.")
    here = 0
    while here < len(points) - 1:
        i, a = points[here]
        slopes = [(a.valuation - b.valuation) / (j - i) for j, b in points[here + 1 :]]
        steepest = max(slopes)
        if steepest % 1:
            raise ValueError(
                f"Eigenvalues start at the power {steepest}, so that the matrix is not symmetric. "
                f"Check it."
            )
        last = here + 1 + max(x for x, s in enumerate(slopes) if s == steepest)
        side = [flint.arb(0)] * (points[last][0] - i + 1)
        for j, c in points[here : last + 1]:
            if a.valuation - c.valuation == steepest * (j - i):
                side[j - i] = c.leading("needed to tell eigenvalues apart")
        yield int(steepest), side
        here = last


def _real_roots(coefficients: list[flint.arb]) -> list[tuple[flint.arb, int]]:
    """Roots of a polynomial all of whose roots are real, with multiplicities."""
    near = np.sort(np.roots([float(c) for c in reversed(coefficients)]).real)
    # In floats a root of multiplicity m scatters by the m-th root of rounding. Roots taken for one
    # are one only if derivatives vanish there too, to half the digits.
    for tolerance in (1e-3, 1e-5, 1e-7, 1e-9):
        gaps = np.flatnonzero(np.diff(near) > tolerance * np.max(np.abs(near))) + 1
        found = [(_real_root(coefficients, g), len(g)) for g in np.split(near, gaps)]
        if all(root is not None for root, _ in found):
            return [(root, times) for root, times in found if root is not None]
    raise LostDigitsError(
        "Leading coefficients of eigenvalues are too close to tell them apart. Take more bits."
    )


def _real_root(coefficients: list[flint.arb], near: np.ndarray) -> flint.arb | None:
    """The root that these approximate, if it has their multiplicity."""
    chain = [flint.arb_poly(coefficients)]
    for _ in near:
        chain.append(chain[-1].derivative())
    # A root of multiplicity m is a simple one of the derivative of order m − 1.
    value, slope = chain[-2:]
    x = flint.arb(float(np.mean(near)))
    for _ in range(flint.ctx.prec.bit_length() + 3):
        x = (x - value(x) / slope(x)).mid()
    around = flint.arb(x, 4 * (value(x) / slope(x)).abs_upper())
    found = x - value(x) / slope(around)
    is_multiple = all(vanishes(p(found)) for p in chain[:-2])
    return found if around.contains(found) and is_multiple else None


def _shifted(polynomial: Polynomial, by: Laurent) -> Polynomial:
    """The polynomial in λ − `by`."""
    made = list(polynomial)
    for i in range(len(made) - 1):
        for j in range(len(made) - 2, i - 1, -1):
            made[j] = made[j] + by * made[j + 1]
    return made


def _simple_root(polynomial: Polynomial, first: Laurent) -> Laurent:
    """The root that starts like this and no other does."""
    slope = [i * c for i, c in enumerate(polynomial)][1:]

    x = first.cut(first.valuation + 1)
    for _ in range(_MOST_STEPS):
        change = _at(polynomial, x) / _at(slope, x.blurred())
        moved = x - change
        if moved.order is None:  # a root that ends
            return moved
        is_done = change.size < rounding(3 / 5)
        order = moved.order
        x = moved.cut(order)
        if is_done:
            break
    around = x.widened(2 * change.size + rounding(3 / 4), order)
    found = _improved(polynomial, x, _at(slope, around))
    if not around.contains(found):
        raise LostDigitsError(
            f"Newton's method did not enclose an eigenvalue near {first!r}. Take more bits."
        )
    return found


def _improved(polynomial: Polynomial, x: Laurent, slope: Laurent) -> Laurent:
    """Newton's step from a Laurent polynomial, with all its errors.

    What rounding leaves of the value at x is no number that vanishes, and must not be dropped.
    """
    known = [(i, c) for i, c in enumerate(polynomial) if not c.is_zero]
    first = min(c.valuation + i * x.valuation for i, c in known)
    order = min(c.order + i * x.valuation for i, c in known if c.order is not None)
    value, power, t = flint.arb_poly(), flint.arb_poly([1]), flint.arb_poly(x.coefficients)
    for i, c in enumerate(polynomial):
        if not c.is_zero:
            shift = c.valuation + i * x.valuation - first
            value += (flint.arb_poly(c.coefficients) * power).left_shift(shift)
        power = power * t
    with up_to(max(flint.ctx.cap, order - first)):
        series = flint.arb_series(value.coeffs()[: order - first], prec=order - first)
        change = series / flint.arb_series(slope.coefficients, prec=slope.known)
    start, end = first - slope.valuation, first - slope.valuation + change.prec
    terms = [x.coefficient(p) - change[p - start] for p in range(max(x.valuation, start), end)]
    ahead = [x.coefficient(p) for p in range(x.valuation, min(start, end))]
    return Laurent([*ahead, *terms], x.valuation, end)


_MOST_STEPS = 40


def _at(polynomial: Polynomial, x: Laurent) -> Laurent:
    total = ZERO
    for c in reversed(polynomial):
        total = total * x + c
    return total
