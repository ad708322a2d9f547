r"""Closed forms of real numbers, proposed by integer relations.

A lattice that is reduced (LLL) shows a short vector where a number is a combination of given ones
with small rational coefficients. What is found from half the digits of a ball must hold for all.
"""

import math
from collections.abc import Sequence
from fractions import Fraction

import flint

_FACTORS = ("1 - 2/pi", "1 + 2/pi", "1 - 1/pi")
# Powers of 1/π, and how often the number is multiplied with these factors: differences of leading
# eigenvalues of the Hessian, by which series are divided.
_SHAPES = [
    (range(0, 6), (0, 0, 0)),
    (range(-2, 9), (0, 0, 0)),
    (range(-1, 10), (1, 0, 0)),
    (range(-1, 9), (2, 0, 0)),
    (range(-1, 9), (3, 0, 0)),
    (range(-1, 9), (0, 1, 0)),
    (range(-1, 9), (1, 1, 0)),
    (range(-1, 9), (0, 0, 1)),
    (range(-1, 9), (3, 0, 1)),
]


def closed_form(x: flint.arb, radical: int | None = None) -> str | None:
    r"""A formula for the number in a ball, or None where none is short enough.

    It is a Laurent polynomial in π with rational coefficients, over powers of $1 \mp 2/\pi$ and
    $1 - 1/\pi$; with `radical`, coefficients may contain its square root. In text, with
    `pi`, `sqrt` and `^`.

    **Accuracy.** A conjecture: it is found from half the digits of the ball, has at most two thirds
    as many digits itself, and lies in the ball with all its digits.
    """
    digits = int(x.rel_accuracy_bits() * math.log10(2)) - 5 if not x.is_exact() else 300
    if digits < 30:
        return None
    root = None if radical is None or math.isqrt(radical) ** 2 == radical else radical
    pi = flint.arb.pi()
    factors = (1 - 2 / pi, 1 + 2 / pi, 1 - 1 / pi)
    for powers, exponents in _SHAPES:
        y = math.prod((f**n for f, n in zip(factors, exponents, strict=True)), start=x)
        for radicals in ([1], [root], [1, root]) if root else ([1],):
            basis = [(n, r) for r in radicals for n in powers]
            values = [flint.arb(r or 1).sqrt() / pi**n for n, r in basis]
            found = _relation(y, values, digits // 2)
            if found is None:
                continue
            shares = [Fraction(-c, found[0]) for c in found[1:]]
            total = sum(
                (v * s.numerator / s.denominator for v, s in zip(values, shares, strict=True)),
                flint.arb(0),
            )
            if y.overlaps(total):
                return _over(_text(shares, basis), exponents)
    return None


def _relation(y: flint.arb, values: Sequence[flint.arb], digits: int) -> list[int] | None:
    """Small integers c with c₀ y + Σ cᵢ valuesᵢ = 0 to so many digits, if there are such."""
    scale = flint.arb(10) ** digits
    rows = []
    for i, value in enumerate([y, *values]):
        rows.append([int(i == j) for j in range(len(values) + 1)])
        last = (value * scale).mid().floor().unique_fmpz()
        assert last is not None
        rows[-1].append(int(last))
    short = [int(c) for c in flint.fmpz_mat(rows).lll().tolist()[0]][:-1]
    # A lattice without relation has a shortest vector of about `digits` digits in all.
    length = sum(math.log10(1 + abs(c)) for c in short)
    return short if short[0] and length < 2 * digits / 3 else None


def _text(shares: Sequence[Fraction], basis: Sequence[tuple[int, int | None]]) -> str:
    text = ""
    for share, (power, root) in zip(shares, basis, strict=True):
        if not share:
            continue
        above = [str(abs(share.numerator))] if abs(share.numerator) != 1 else []
        below = [str(share.denominator)] if share.denominator != 1 else []
        above += [f"sqrt({root})"] if root != 1 else []
        if power:
            (below if power > 0 else above).append("pi" + _exponent(abs(power)))
        sign = ("- " if share < 0 else "+ ") if text else ("-" if share < 0 else "")
        under = f"/{below[0]}" if len(below) == 1 else f"/({'*'.join(below)})" if below else ""
        text += f"{' ' if text else ''}{sign}{'*'.join(above) or '1'}{under}"
    return text


def _exponent(n: int) -> str:
    return "" if n == 1 else f"^{n}"


def _over(text: str, exponents: Sequence[int]) -> str:
    factors = [f"({f}){_exponent(n)}" for f, n in zip(_FACTORS, exponents, strict=True) if n]
    if not factors:
        return text
    above = f"({text})" if " " in text else text
    return f"{above}/{factors[0]}" if len(factors) == 1 else f"{above}/({'*'.join(factors)})"
