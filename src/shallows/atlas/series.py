r"""Named families as power series in $k^{-1/2}$."""

from shallows.atlas.sheets import Sheet, sheets
from shallows.solve.series import Family, Series, branch_series
from shallows.symmetry import Blocks
from shallows.symmetry.arithmetic import AbstractArithmetic, Number


def series(name: str, terms: int, *, bits: int = 512) -> Series:
    r"""The first terms of weights, loss and Hessian eigenvalues of a family as $k \to \infty$.

    `name` is that of a family in which the number of flipped neurons, or of the others, does not
    depend on k: `A`, `I`, `II`, `flipped:P`, `unflipped:Q`.

    **Convention.** Weights are those of `Blocks((k - P, P))`, unflipped neurons first, or of
    `Blocks((k - Q, Q))`, flipped neurons first: ξ1, ξ2, … of docs, notation.

    **Accuracy.** See `branch_series`.

    **Raises.** `ValueError` for an unknown family, for one without a fixed P or Q, and for fewer
    terms than 1.

    **Source.** Arjevani & Field (2021), 2107.10370, for the first terms of A, I and II.
    """
    family, few, roles = at_infinity(name)
    return branch_series(name, family, terms, roles=roles, bits=bits, radical=few or None)


def at_infinity(name: str) -> tuple[Family, int, tuple[str, ...]]:
    """What is known of a family as k → ∞: blocks and leading terms of the weights at size k.

    And the number of neurons whose number does not depend on k, and what the blocks are called.

    **Raises.** `ValueError` for an unknown family, and for one without such a number.
    """
    found = sheets(name)
    if not found:
        raise ValueError(
            f"`{name}` is the teacher at every k, so that its series end where they begin. Use "
            f"`A`, `I`, `II`, `flipped:P` or `unflipped:Q`, with P ≥ 1."
        )
    (sheet,) = found
    if not isinstance(sheet, Sheet):
        raise ValueError(
            f"The series of `{name}` cannot be told: its leading terms for large k are not known. "
            f"Use `A`, `I`, `II`, `flipped:P` or `unflipped:Q`."
        )
    few = round(sheet.count)
    near = _few_flipped if sheet.is_of_second_type else _few_kept
    roles = sheet.roles if sheet.is_of_second_type else tuple(reversed(sheet.roles))
    return lambda k, o: near(k, few, o), few, roles


def _few_flipped(k: Number, p: int, o: AbstractArithmetic):
    """Unflipped neurons, all but p, and p flipped ones: leading terms of the weights."""
    u = 1 / o.pi
    start = [1, -4 * p * u / (k * k), 2 / k, 4 * u / k, -1]
    # Between flipped neurons; from the series for P = 2, where it was a number first.
    between = (2 + 8 * u - 24 * u * u + 32 * u * u * u) / (1 + 2 * u) / k
    return Blocks((k - p, p)), [*start, between] if p > 1 else start


def _few_kept(k: Number, q: int, o: AbstractArithmetic):
    """Flipped neurons, all but q, and q unflipped ones: leading terms of the weights."""
    start = [-1 + 2 / k, 2 / k]
    if q == 0:
        return Blocks((k,)), start
    u = 1 / o.pi
    start += [(16 * u - 12) * u / (k * k), (2 - 4 * u) / k, 1]
    return Blocks((k - q, q)), [*start, 0] if q > 1 else start
