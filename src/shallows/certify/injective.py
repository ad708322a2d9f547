r"""Whether a layer x ↦ ReLU(Wx + b) is injective: a proof, or two inputs with the same output.

A row is active at x where $w_i^\top x + b_i \ge 0$. The layer is injective on Rⁿ if and only if the
active rows span Rⁿ at every x: if all rows active at x miss a direction d, then x and x + εd have
one image; and if two points have one image, all rows active at their midpoint are orthogonal to
their difference. So it is *not* injective if and only if for some set F of rows that does not span,
closed under linear dependence, all rows outside F are negative at one x.

The search goes through such sets F from the empty one on. Either the rows outside F can be negative
at once, which is a counterexample; or by Motzkin's theorem some of them, C, have λ > 0 with
$\sum \lambda_i w_i = 0$ and $\sum \lambda_i b_i \ge 0$: a *positive circuit*, of which at least one
row is active everywhere. One of them joins F, in all |C| ways, and with all that depends on it. The
rank grows by one each time, so that n choices end the search: (n + 2)ⁿ sets at most, however many
rows there are. A circuit serves for all F that it does not meet.

What is proved rests on integers: the circuits are exact; ranks are taken modulo a prime, where rows
may only seem *more* dependent than they are, so that a set that spans there spans.
"""

import dataclasses
import enum
import itertools
import math
from collections.abc import Callable, Sequence
from fractions import Fraction

import numpy as np
from flint import fmpz_mat
from scipy.optimize import Bounds, LinearConstraint

from shallows.certify.verdict import AbstractStated, Verdict
from shallows.model.inequalities import (
    Contradiction,
    Solution,
    exact_array,
    rational_rows,
    strictly_negative,
)
from shallows.model.network import Numbers, positive_integer
from shallows.model.programmes import mixed_integer

# Products of two residues fit in 63 bits.
_PRIMES = (2_147_483_647, 2_147_483_629, 2_147_483_587)
_MOST = 100_000
_BEFORE_PROGRAMME = 2000
_MARGIN = 1e-4

Pair = tuple[tuple[Fraction, ...], tuple[Fraction, ...]]


@dataclasses.dataclass(frozen=True, repr=False)
class Injectivity(AbstractStated):
    """What is proved about a layer, or a network of them."""

    statement: str
    verdict: Verdict
    reason: str
    """Why, or what is missing."""
    witness: Pair | None = None
    """Two inputs with the same output, exactly."""
    circuits: tuple[Contradiction, ...] = ()
    """Of rows, one of which is active everywhere; the proof if there is no counterexample."""
    flats: int = 0
    """Sets of rows that were looked at."""


def is_injective(
    weights: Numbers,
    bias: Numbers | None = None,
    *,
    most: int = _MOST,
    seconds: float | int = 10.0,
    progress: Callable[[int], None] | None = None,
) -> Injectivity:
    """Whether x ↦ ReLU(Wx + b) is injective on Rⁿ.

    Floats are the fractions that they are: a layer that is injective but for rounding is refuted.
    Ties, zero rows and dependent rows are allowed. After 2000 sets of rows a mixed-integer
    programme looks, for some `seconds`, for a point with few active rows; what it finds is checked
    exactly. `UNDECIDED` after `most` sets.

    **Accuracy.** Exact: `PROVED` and `REFUTED` hold for these numbers.

    **Raises.** `ValueError` as `rational_rows`, and for a negative number of seconds.

    **Cost.** For n inputs at most (n + 2)ⁿ sets, mostly (n + 1)ⁿ⁻¹, each some 250 µs, and some
    systems of inequalities: 40 rows in R⁴ take a tenth of a second, 60 in R⁶ two. For n ≥ 8 proofs
    are out of reach unless rows are special, as in [B; −DB], where n sets suffice.

    **Source.** puthawala2022, with a criterion that needs no case for biases.
    """
    rows = rational_rows(weights, bias)
    most = positive_integer("most", most)
    if not seconds >= 0:
        raise ValueError(f"`seconds` must not be negative, but is {seconds}. Use e.g. 10.")
    m, n = rows.shape[0], rows.shape[1] - 1
    statement = f"This layer of {m} ReLUs on {n} inputs is injective."
    search = _Search(rows, progress)
    fewest: Fewest | None = None

    def refuted(witness: Pair) -> Injectivity:
        reason = "Two inputs have the same output, in exact arithmetic."
        return Injectivity(statement, Verdict.REFUTED, reason, witness, flats=search.visited)

    for prime in _PRIMES:
        found = search.run(prime, min(most, _BEFORE_PROGRAMME))
        if found is _Stop.exhausted and fewest is None and seconds > 0:
            fewest = fewest_active(rows, seconds)
            witness = None if fewest.point is None else collision(rows, fewest.point)
            if witness is not None:
                return refuted(witness)
        if found is _Stop.exhausted and most > _BEFORE_PROGRAMME:
            found = search.run(prime, most)
        if found is _Stop.exhausted:
            break
        if found is _Stop.proved:
            reason = (
                f"Each of {search.visited} sets of rows that do not span leaves out one of "
                f"{len(search.circuits)} positive circuits, of which a row is active everywhere."
            )
            circuits = tuple(search.circuits)
            return Injectivity(
                statement, Verdict.PROVED, reason, circuits=circuits, flats=search.visited
            )
        witness = collision(rows, found.point)
        if witness is not None:
            return refuted(witness)
        # Rows that are dependent modulo this prime only: one chance in 10⁸. Take another.
    reason = (
        f"After {search.visited} sets of rows neither a proof nor a counterexample was complete."
    )
    if fewest is not None and fewest.active is not None:
        reason += (
            f" In floats, the fewest active rows found are {fewest.active}, and there are at least "
            f"{fewest.bound} everywhere; {n} that span are needed."
        )
    reason += " Raise `most`, or `seconds`."
    return Injectivity(statement, Verdict.UNDECIDED, reason, flats=search.visited)


@dataclasses.dataclass(frozen=True)
class Fewest:
    """What a mixed-integer programme found, in floats."""

    active: int | None
    """The fewest active rows at a point that was found."""
    bound: int
    """There are no fewer, up to the programme's tolerances."""
    point: tuple[Fraction, ...] | None


def fewest_active(rows: np.ndarray, seconds: float | int) -> Fewest:
    """A point with few active rows, by HiGHS within some seconds; rows with wᵢ = 0 are left out.

    Binary zᵢ is 1 where row i may be active: (wᵢ·y + bᵢ s)/|(wᵢ, bᵢ)|₁ ≤ zᵢ − δ (1 − zᵢ), in the
    cube |y| ≤ 1, δ ≤ s ≤ 1, with δ = 1e-4; the point is y/s.
    """
    kept = rows[np.any(rows[:, :-1] != 0, axis=1)]
    m, n = kept.shape[0], kept.shape[1] - 1
    if m == 0:
        return Fewest(0, 0, (Fraction(0),) * n)
    scaled = (kept / np.sum(np.abs(kept), axis=1)[:, None]).astype(float)
    whole = np.r_[np.zeros(n + 1), np.ones(m)]
    found = mixed_integer(
        whole,
        integrality=whole,
        bounds=Bounds(np.r_[-np.ones(n), _MARGIN, np.zeros(m)], np.ones(n + 1 + m)),
        constraints=LinearConstraint(
            np.column_stack([scaled, -(1 + _MARGIN) * np.eye(m)]), -np.inf, -_MARGIN
        ),
        seconds=seconds,
    )
    bound = found.get("mip_dual_bound")
    least = 0 if bound is None or not np.isfinite(bound) else max(0, int(np.ceil(bound - 1e-6)))
    if found.x is None:
        return Fewest(None, least, None)
    y, s = found.x[:n].tolist(), found.x[n].item()
    point = tuple(Fraction(t) / Fraction(s) for t in y)
    return Fewest(round(found.x[n + 1 :].sum()), least, point)


class _Stop(enum.Enum):
    """How a search ended that found no counterexample."""

    proved = enum.auto()
    exhausted = enum.auto()


class _Search:
    """The tree of sets F; rows are integers, sets are bits of an integer."""

    def __init__(self, rows: np.ndarray, progress: Callable[[int], None] | None):
        self.rows, self.progress = rows, progress
        self.circuits: list[Contradiction] = []
        self.masks: list[int] = []
        self.visited = 0
        for pair in _opposite_rows(rows):
            self._keep(pair)

    def run(self, prime: int, most: int) -> Solution | _Stop:
        """A point where active rows do not span modulo `prime`, if there is one."""
        residues = (self.rows[:, :-1] % prime).astype(np.int64)
        todo = [residues]
        seen = {_dependent(residues)}
        self.visited = 0
        while todo:
            left = todo.pop()
            self.visited += 1
            if self.visited > most:
                return _Stop.exhausted
            if self.progress is not None and self.visited % 100 == 0:
                self.progress(self.visited)
            found = self._circuit(_dependent(left))
            if isinstance(found, Solution):
                return found
            for i in found.multipliers:
                smaller = _projected(left, i, prime)
                if not smaller.shape[1]:
                    continue  # these rows span
                flat = _dependent(smaller)
                if flat not in seen:
                    seen.add(flat)
                    todo.append(smaller)
        return _Stop.proved

    def _circuit(self, flat: int) -> Contradiction | Solution:
        """A circuit that does not meet this set, or a point where all other rows are negative."""
        for mask, circuit in zip(self.masks, self.circuits, strict=True):
            if not mask & flat:
                return circuit
        outside = [i for i in range(len(self.rows)) if not flat >> i & 1]
        found = strictly_negative(self.rows[outside])
        if isinstance(found, Solution):
            return found
        circuit = Contradiction({outside[i]: f for i, f in found.multipliers.items()})
        self._keep(circuit)
        return circuit

    def _keep(self, circuit: Contradiction) -> None:
        self.circuits.append(circuit)
        self.masks.append(sum(1 << i for i in circuit.multipliers))


def _opposite_rows(rows: np.ndarray) -> list[Contradiction]:
    """Circuits of two rows: they end the search of [B; −DB] after n sets, not (n + 1)ⁿ⁻¹."""
    best: dict[tuple[int, ...], tuple[Fraction, int, int]] = {}
    for i, (*w, b) in enumerate(rows.tolist()):
        factor = math.gcd(*w)
        if factor:
            direction = tuple(t // factor for t in w)
            this = (Fraction(b, factor), i, factor)
            best[direction] = max(best.get(direction, this), this)
    pairs = []
    for direction, (offset, i, factor) in best.items():
        other = best.get(tuple(-t for t in direction))
        if other is not None and i < other[1] and offset + other[0] >= 0:
            pairs.append(Contradiction({i: other[2], other[1]: factor}))
    return pairs


def _dependent(residues: np.ndarray) -> int:
    """The rows that vanish, as bits."""
    zero = ~residues.any(axis=1)
    return int.from_bytes(np.packbits(zero, bitorder="little").tobytes(), "little")


def _projected(residues: np.ndarray, row: int, prime: int) -> np.ndarray:
    """The rows modulo one of them, in one coordinate less."""
    chosen = residues[row]
    pivot = int(np.argmax(chosen != 0))
    factors = chosen * pow(int(chosen[pivot]), -1, prime) % prime
    made = (residues - residues[:, pivot, None] * factors) % prime
    return np.delete(made, pivot, axis=1)


def collision(rows: np.ndarray, point: Sequence[Fraction]) -> Pair | None:
    """Two inputs next to `point` with the same output, if rows active there do not span.

    `rows` are integers, as `rational_rows` makes them: the outputs of the layer itself agree
    where theirs do.
    """
    for digits in (1, 10, 1000, 10**6, None):  # the shortest fractions that do
        x = np.array([t if digits is None else t.limit_denominator(digits) for t in point])
        values = rows[:, :-1] @ x + rows[:, -1]
        kernel = _kernel(rows[values >= 0, :-1])
        if kernel is None:
            continue
        slopes = rows[:, :-1] @ kernel
        rising = slopes > 0
        room = min([Fraction(2), *(-values[rising] / slopes[rising])])
        # The power of two below it, which keeps fractions short.
        shift = room.numerator.bit_length() - room.denominator.bit_length() - 1
        step = Fraction(2) ** shift
        pair = tuple(x), tuple(x + step * kernel)
        if _is_collision(rows, *pair):
            return pair
    return None


def _kernel(rows: np.ndarray) -> np.ndarray | None:
    """A direction orthogonal to all of these rows of integers, if there is one."""
    n = rows.shape[1]
    if not len(rows):
        return np.array([Fraction(int(i == 0)) for i in range(n)])
    basis, nullity = fmpz_mat(rows.tolist()).nullspace()
    if not nullity:
        return None
    entries = [int(basis[i, 0]) for i in range(n)]
    factor = int(np.gcd.reduce(np.array(entries, dtype=object)))
    return np.array([Fraction(entry, factor) for entry in entries])


def _is_collision(rows: np.ndarray, first: Sequence[Fraction], second: Sequence[Fraction]) -> bool:
    one, other = (
        rows[:, :-1] @ np.array(point, dtype=object) + rows[:, -1] for point in (first, second)
    )
    return first != second and all(max(s, 0) == max(t, 0) for s, t in zip(one, other, strict=True))


def have_equal_outputs(
    weights: Numbers, bias: Numbers | None, first: Sequence[Fraction], second: Sequence[Fraction]
) -> bool:
    """Whether two inputs of a layer differ and their outputs do not, in exact arithmetic."""
    return _is_collision(rational_rows(weights, bias), tuple(first), tuple(second))


def is_network_injective(
    layers: Sequence[tuple[Numbers, Numbers | None]], *, most: int = _MOST
) -> Injectivity:
    """Whether a network of ReLU layers (W, b) is injective, by its layers.

    `PROVED` if all are. `REFUTED` if the first is not: its two inputs have one output throughout.
    Else `UNDECIDED`: a later layer need only be injective on what those before it reach.

    **Raises.** `ValueError` for no layers, and for layers that do not fit.
    """
    if not layers:
        raise ValueError("A network needs a layer, but there is none. Pass `[(W, b)]`.")
    shapes = [np.shape(w) for w, _ in layers]
    for i, (before, after) in enumerate(itertools.pairwise(shapes)):
        if after[1:] != before[:1]:
            raise ValueError(
                f"Layers do not fit: layer {i + 1} has the shape {after}, but layer {i} has "
                f"{before[:1]} units. Give it a column for each."
            )
    statement = f"This network of {len(layers)} layers of ReLUs is injective."
    flats = 0
    for i, (w, b) in enumerate(layers):
        found = is_injective(w, b, most=most)
        flats += found.flats
        if found.verdict is not Verdict.PROVED:
            if i == 0:
                return dataclasses.replace(found, statement=statement)
            reason = f"Layer {i} by itself: {found.verdict.value}. {found.reason}"
            return Injectivity(statement, Verdict.UNDECIDED, reason, flats=flats)
    return Injectivity(statement, Verdict.PROVED, "Each layer is injective.", flats=flats)


def is_convolution_injective(
    kernels: Numbers, patch: Sequence[int], *, most: int = _MOST
) -> Injectivity:
    r"""Whether convolution with these kernels, followed by ReLU, is injective, by one patch.

    If the kernels at all places inside a patch P, with zeros elsewhere, have at every
    $x \in R^P$ active ones that span R^P, then the layer is injective on signals of any size that
    hold a patch, for unit strides and with or without padding: where two signals have one image,
    they agree on each patch. The condition is sufficient only: `PROVED` or `UNDECIDED`.

    **Convention.** `kernels` has one kernel for each first index; its other axes, channels among
    them, are those of `patch`. A channel axis is as long in a kernel as in the patch.

    **Raises.** `ValueError` for kernels that do not fit into the patch.

    **Source.** puthawala2022, our reading.
    """
    given, size = exact_array("kernels", kernels), tuple(int(t) for t in patch)
    if given.ndim != len(size) + 1 or any(
        k > p for k, p in zip(given.shape[1:], size, strict=False)
    ):
        raise ValueError(
            f"Kernels of shape {given.shape[1:]} do not fit into a patch of shape {size}. Pass a "
            f"patch with as many axes that is as long in each."
        )
    places = np.ndindex(*(p - k + 1 for k, p in zip(given.shape[1:], size, strict=True)))
    rows = []
    for place in places:
        window = tuple(slice(a, a + k) for a, k in zip(place, given.shape[1:], strict=True))
        for kernel in given:
            row = np.full(size, Fraction(0), dtype=object)
            row[window] = kernel
            rows.append(row.ravel())
    found = is_injective(np.array(rows), most=most)
    statement = (
        f"Convolution with these {len(given)} kernels and ReLU is injective on signals that hold a "
        f"patch of shape {size}."
    )
    if found.verdict is Verdict.REFUTED:
        reason = (
            "On one patch the kernels at all places do not suffice. That does not decide: larger "
            "patches may."
        )
        return Injectivity(statement, Verdict.UNDECIDED, reason, flats=found.flats)
    return dataclasses.replace(found, statement=statement)
