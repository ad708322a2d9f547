"""Exponents of the theory and of works before it: second-hand, so hypotheses; nothing is quoted."""

from fractions import Fraction

Powers = dict[str, Fraction]


def powers(**of: int | str) -> Powers:
    """Exponents by variable: n points, φ, m neurons, k outputs, L layers."""
    return {name: Fraction(value) for name, value in of.items()}


def times(*factors: tuple[Powers, int | Fraction]) -> Powers:
    """The product of powers of monomials."""
    found: Powers = {}
    for monomial, power in factors:
        for name, value in monomial.items():
            found[name] = found.get(name, Fraction(0)) + value * power
    return {name: value for name, value in found.items() if value}


RATIO = powers(m=1, φ=1, k=-1, n=-2)
"""The lower bound of |∇L|²/L, inside `RADIUS`."""
RADIUS = powers(φ="3/2", n=-3, L=-6)
"""How far each layer may move for that; logarithms are left out."""
STEP = powers(k=1, L=-2, m=-1)
"""η."""
LENGTH = powers(k="1/2", n=1, m="-1/2", φ="-1/2")
"""The upper bound of the length of the way."""
ITERATIONS = powers(n=2, L=2, φ=-1)
"""The number of steps to ε, without log(1/ε)."""
WIDTH = powers(k=1, n=8, L=12, φ=-4)
"""A width that suffices, without logarithms."""

BEFORE = {
    "Allen-Zhu, Li & Song (2018)": (powers(n=24, L=12, φ=-8), powers(n=6, L=2, φ=-2)),
    "Zou, Cao, Zhou & Gu (2018)": (powers(n=26, L=38, φ=-8), powers(n=8, L=9, φ=-2)),
}
"""Width and iterations of works before it."""


def width_from_ingredients() -> Powers:
    """The width at which `LENGTH` is `RADIUS`, as the length falls like m^(−1/2)."""
    rest = {name: value for name, value in LENGTH.items() if name != "m"}
    return times((rest, 2), (RADIUS, -2))


def iterations_from_ingredients() -> Powers:
    """One over the step times the bound of the ratio."""
    return times((STEP, -1), (RATIO, -1))
