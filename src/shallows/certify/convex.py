r"""The least regularised loss of two-layer networks of any width, between numbers that are proved.

From above it is the loss of a network, in balls. From below it is weak duality: for all activation
patterns D, both signs s and all h = Fu with (2D − I) h ≥ 0, what is to be shown is
$-s\,v^\top D h \le \beta |u|$. With multipliers λ ≥ 0

$$ -s\,v^\top D h \le (-sDv + (2D - I)\lambda)^\top F u
     \le |F^\top(-sDv + (2D - I)\lambda)|\,|u|, $$

and the largest of these norms, in balls, says by how much v must shrink. Where neurons are
normalised before the ReLU, F is an orthonormal basis of the columns of [X, 1], made in balls by
Gram and Schmidt. Where they are normalised after it, |u| is replaced by |Pc D X w|: the functional
of w in the middle is then one of Pc D X w, for which λ must satisfy equations on the kernel of that
matrix. They are solved in fractions.

Patterns are enumerated again, in exact arithmetic.
"""

import dataclasses
from collections.abc import Sequence
from fractions import Fraction

import numpy as np
from flint import arb, arb_mat, ctx, fmpq, fmpq_mat

from shallows.certify._balls import enclosure
from shallows.certify.verdict import AbstractStated, Verdict
from shallows.landscape.convex import (
    AbstractConvexProgram,
    Hinge,
    Logistic,
    NormalisedAfter,
    NormalisedBefore,
    Ramps,
    Squared,
    Unnormalised,
    all_patterns,
)
from shallows.landscape.convex.duality import cone_support, seminorm_support
from shallows.landscape.convex.patterns import exact_pivots
from shallows.model import Network, NormalisedNetwork
from shallows.model.network import finite, positive_integer

# Gains that are this share of the penalty need multipliers; smaller ones are far from it.
_NEAR = 0.99
_LOSSES = {
    Squared: "squared loss ½ Σ (f(x) − y)²",
    Logistic: "logistic loss Σ log(1 + exp(−y f(x)))",
    Hinge: "hinge loss Σ (1 − y f(x))₊",
}


@dataclasses.dataclass(frozen=True, repr=False)
class LeastLoss(AbstractStated):
    """What is proved about the least regularised loss."""

    statement: str
    verdict: Verdict
    """PROVED where both bounds are; UNDECIDED where there is none from below but 0."""
    optimum: tuple[str, str]
    """Decimals, rounded outward, between which the least regularised loss lies."""
    reason: str
    """What is missing, or nothing."""


def certify_convex(
    program: AbstractConvexProgram,
    network: Network | NormalisedNetwork,
    dual: np.ndarray,
    *,
    limit: int = 20_000,
    bits: int = 192,
) -> LeastLoss:
    """The optimum of a program, and so the least cost of networks of any width, enclosed.

    Data and weights are the floats that they are. The dual vector need not be feasible.

    **Accuracy.** The gap of network and dual vector, and 1e-13 relative: vectors are in floats.

    **Raises.** `ValueError` for a dual vector of another length, a network that does not fit, a
    loss of your own, bits that are not from 64 to 10 000, and as `all_patterns`. **Cost.** Some
    1 ms a pattern, of which most is their enumeration and multipliers.
    """
    bits = positive_integer("bits", bits, most=10_000)
    v = np.asarray(finite("dual", dual))
    if bits < 64 or v.shape != program.y.shape:
        raise ValueError(
            f"`bits` must be at least 64 and `dual` have one number for each of the "
            f"{len(program.y)} points, but these are {bits} and an array of shape {v.shape}."
        )
    if type(program.loss) not in _LOSSES:
        raise ValueError(
            f"The loss {type(program.loss).__name__} is not one that is known in balls. Use "
            f"`Squared()`, `Logistic()` or `Hinge()`."
        )
    before, ctx.prec = ctx.prec, bits
    try:
        high = _cost(program, network)
        why = _incomplete(program, limit)
        low = arb(0) if why else _bound(program, program.loss.admissible(v, program.y))
        ends = ("0" if why else enclosure(low)[0], enclosure(high)[1])
        if not why and float(low.lower()) <= 0 < float(high.lower()):
            why = "The dual vector gives no positive bound. Pass that of a better solution."
    finally:
        ctx.prec = before
    statement = (
        f"The least {_words(program)} over networks of any width, at these {len(program.y)} "
        f"points with β = {_given_beta(program)!r}, lies between {ends[0]} and {ends[1]}."
    )
    return LeastLoss(statement, Verdict.UNDECIDED if why else Verdict.PROVED, ends, why)


def _words(program: AbstractConvexProgram) -> str:
    """The cost, and which networks: a bound for those without biases is none for others."""
    loss = _LOSSES[type(program.loss)]
    if isinstance(program, NormalisedBefore | NormalisedAfter):
        place = "before" if isinstance(program, NormalisedBefore) else "after"
        kind = "usual " if program.factor != 1 else ""
        penalty = f"(γ² + α² + v²), {kind}batch normalisation {place} the ReLU,"
        if isinstance(program, NormalisedAfter):
            penalty += " with biases," if program.has_bias else " without biases,"
    elif isinstance(program, Ramps):
        penalty = "(|w|² + a²), biases free,"
    else:
        has_bias = isinstance(program, Unnormalised) and program.has_bias
        penalty = "(|w|² + b² + a²)" if has_bias else "(|w|² + a²), no biases,"
    patches = "" if program.patches == 1 else f" summed over {program.patches} patches,"
    return f"{loss} + (β/2) Σ {penalty}{patches}"


def _given_beta(program: AbstractConvexProgram) -> float:
    if isinstance(program, NormalisedBefore | NormalisedAfter):
        return program.given_beta
    return program.beta


def _incomplete(program: AbstractConvexProgram, limit: int) -> str:
    """Why the program may not have all patterns; nothing if it has them."""
    if isinstance(program, Ramps):
        return ""
    if not program.patterns.exact:
        return (
            f"The {len(program.patterns)} patterns are a sample: the program bounds the optimum "
            f"from above only. Use `all_patterns`."
        )
    gates = program.features
    if isinstance(program, NormalisedBefore):
        gates = _raw(program)
        if len(exact_pivots(gates)) != program.width:
            return (
                f"The program has {program.width} features, but the columns of [X, 1] have rank "
                f"{len(exact_pivots(gates))} in exact arithmetic. Remove columns that are nearly "
                f"dependent, and keep all singular directions."
            )
    fresh = all_patterns(gates, limit=limit)
    if len(exact_pivots(gates)) != fresh.rank:
        return "Features are nearly dependent, so that patterns are not exact. Remove columns."
    missing = sum(mask.tobytes() not in program.patterns.index for mask in fresh.masks)
    if missing:
        return f"{missing} of {len(fresh)} patterns are not in the program. Use `all_patterns`."
    return ""


def _raw(program: NormalisedBefore | NormalisedAfter) -> np.ndarray:
    flat = program.batch.reshape(-1, program.batch.shape[2])
    return np.column_stack([flat, np.ones(len(flat))])


def _bound(program: AbstractConvexProgram, v: np.ndarray) -> arb:
    """−L*(κv) with a κ for which κv is feasible, for certain."""
    if isinstance(program, NormalisedAfter):
        largest = _gain_after(program, v)
    elif isinstance(program, Ramps):
        ramps, centred = _exact_ramps(program), _centred(_balls(v))
        gains = (arb_mat([centred]) * ramps).tolist()[0]
        largest = max((abs(t).upper() for t in gains), default=arb(0))
    else:
        largest = _gain(program, v)
    beta = arb(program.beta)
    if isinstance(program, NormalisedBefore | NormalisedAfter) and program.factor != 1:
        beta = arb(program.given_beta) / arb(len(program.features)).sqrt()
    most = np.inf
    if largest > 0:
        most = np.nextafter(float((beta / largest).lower()), 0)
    kappa = program.loss.best_scale(v, program.y, most)
    if isinstance(program.loss, Logistic | Hinge):
        kappa = np.nextafter(kappa, 0)  # so that the product below stays in the domain
    scaled = [arb(kappa) * t for t in (centred if isinstance(program, Ramps) else _balls(v))]
    return -_conjugate(program, scaled)


def _gain(program: AbstractConvexProgram, v: np.ndarray) -> arb:
    """A bound on ±vᵀ D h over unit blocks, of all patterns."""
    basis = program.features.tolist()
    if isinstance(program, NormalisedBefore):
        raw = _raw(program)
        basis = _orthonormal(raw[:, exact_pivots(raw)])
    gains = program.adjoint(v)
    spread = np.repeat(v, program.patches)
    near = _NEAR * program.beta
    vectors: list[list[arb]] = []
    for i, mask in enumerate(program.patterns.masks):
        on = np.where(mask, 1.0, -1.0)
        for s in (1.0, -1.0):
            e = [arb(float(t)) for t in -s * mask * spread]
            if np.linalg.norm(gains[i]) > near:
                rows = _rows(program, i)
                _, found = cone_support(-s * gains[i], program.cone(i, walls=True))
                for j, factor in zip(rows, found, strict=True):
                    e[j] += arb(float(on[j] * factor))
            vectors.append(e)
    products = (arb_mat(vectors) * arb_mat(basis)).tolist()
    return max((_length(row).upper() for row in products), default=arb(0))


def _gain_after(program: NormalisedAfter, v: np.ndarray) -> arb:
    x = program.features
    exact = [[Fraction(t) for t in row] for row in x.tolist()]
    n, d = x.shape
    mean = _total(_balls(v)) / n
    gains, near = program.adjoint(v), _NEAR * program.beta
    largest = arb(0)
    for i, mask in enumerate(program.patterns.masks):
        masked = [row if on else [Fraction(0)] * d for row, on in zip(exact, mask, strict=True)]
        means = [sum((row[l] for row in masked), Fraction(0)) / n for l in range(d)]
        image = [[row[l] - means[l] for l in range(d)] for row in masked]
        reduced, rank = _rational(image).rref()
        pivots = [next(j for j in range(d) if reduced[k, j] != 0) for k in range(rank)]
        if not rank:
            continue
        columns = arb_mat([[_ball(row[j]) for j in pivots] for row in image])
        gram = columns.transpose() * columns
        kernel = _kernel(reduced, rank, pivots, d)
        plain = (columns.transpose() * arb_mat([[t] for t in _balls(v)])).tolist()
        for s in (1, -1):
            functional = [-s * t[0] for t in plain]
            if np.linalg.norm(np.linalg.lstsq(program.columns(i).T, gains[i])[0]) > near:
                rows = _rows(program, i)
                c, cone = -s * gains[i], program.cone(i, walls=True)
                c[-1] = 0.0  # α is apart: its column is orthogonal to the others
                _, found = seminorm_support(c, cone, program.columns(i))
                signed = [[t if mask[j] else -t for t in exact[j]] for j in rows]
                exactly = _exact_multipliers(signed, found, kernel)
                for k, j in enumerate(pivots):
                    more = sum(
                        (f * r[j] for f, r in zip(exactly, signed, strict=True)), Fraction(0)
                    )
                    functional[k] += _ball(more)
            column = arb_mat([[t] for t in functional])
            square = (column.transpose() * gram.solve(column)).tolist()[0][0]
            largest = max(largest, square.nonnegative_part().upper())
    return (largest + n * mean * mean).sqrt().upper()


def _kernel(reduced: fmpq_mat, rank: int, pivots: list[int], d: int) -> list[list[Fraction]]:
    """A basis of the vectors that a reduced matrix takes to 0."""
    basis = []
    for free in (j for j in range(d) if j not in pivots):
        column = [Fraction(int(j == free)) for j in range(d)]
        for k in range(rank):
            entry = reduced[k, free]
            column[pivots[k]] = -Fraction(int(entry.p), int(entry.q))
        basis.append(column)
    return basis


def _exact_multipliers(
    rows: list[list[Fraction]], found: np.ndarray, kernel: list[list[Fraction]]
) -> list[Fraction]:
    """λ ≥ 0 near those found with Σ λⱼ rowⱼ = 0 on the kernel; all 0 where that fails."""
    made = [Fraction(float(t)) for t in found]
    if not kernel or not any(made):
        return made
    # The largest ones first: they give way.
    order = [int(j) for j in np.argsort(-found, kind="stable") if found[j] > 0]
    system = [
        [sum((a * b for a, b in zip(rows[j], direction, strict=True)), Fraction(0)) for j in order]
        for direction in kernel
    ]
    reduced, rank = _rational(system).rref()
    for k in range(rank):
        pivot = next(l for l in range(len(order)) if reduced[k, l] != 0)
        total = Fraction(0)
        for l in range(pivot + 1, len(order)):
            entry = reduced[k, l]
            total += Fraction(int(entry.p), int(entry.q)) * made[order[l]]
        made[order[pivot]] = -total
    return made if min(made) >= 0 else [Fraction(0)] * len(made)


def _rows(program: AbstractConvexProgram, pattern: int) -> list[int]:
    """Of the features, those in `program.cone(pattern, walls=True)`."""
    walls = program.patterns.walls
    if walls is not None:
        return np.flatnonzero(walls[pattern]).tolist()
    return np.flatnonzero(np.any(program.features != 0, axis=1)).tolist()


def _cost(program: AbstractConvexProgram, network: Network | NormalisedNetwork) -> arb:
    """Loss and penalty of a network, as `program.cost`."""
    program.cost(network)  # complains of networks that do not fit
    penalty = arb(0)
    if isinstance(network, NormalisedNetwork):
        assert isinstance(program, NormalisedBefore | NormalisedAfter)
        is_before = isinstance(program, NormalisedBefore)
        rows = _raw(program)[:, :-1] if is_before else program.features
        size = arb(len(rows))
        outputs = [arb(0)] * len(rows)
        weight = 1 / size if program.factor != 1 else arb(1)
        neurons = zip(network.inner, network.scale, network.shift, network.outer, strict=True)
        for w, g, a, head in neurons:
            gate = _times(rows, w)
            if not is_before:
                gate = [t.nonnegative_part() for t in gate]
            gate = _centred(gate)
            spread = _length(gate)
            factor = arb(0) if g == 0 or all(t == 0 for t in gate) else arb(float(g)) / spread
            unit = [factor * t + arb(float(a)) / size.sqrt() for t in gate]
            if is_before:
                unit = [t.nonnegative_part() for t in unit]
            outputs = [o + arb(float(head)) * t for o, t in zip(outputs, unit, strict=True)]
            squares = arb(float(g)) ** 2 + arb(float(a)) ** 2
            penalty += weight * squares + arb(float(head)) ** 2
    else:
        inner, outer = np.asarray(network.inner), np.asarray(network.outer)
        bias = None if network.bias is None else np.asarray(network.bias)
        rows = program.features
        if isinstance(program, Ramps):
            rows = program.x[:, None]
        elif isinstance(program, Unnormalised) and program.has_bias:
            rows = rows[:, :-1]
        outputs = [arb(0)] * len(rows)
        for j, (w, head) in enumerate(zip(inner, outer, strict=True)):
            shift = arb(0) if bias is None else arb(float(bias[j]))
            gate = [(t + shift).nonnegative_part() for t in _times(rows, w)]
            outputs = [o + arb(float(head)) * t for o, t in zip(outputs, gate, strict=True)]
            penalty += _total([t * t for t in _balls(w)]) + arb(float(head)) ** 2
            if not isinstance(program, Ramps):
                penalty += shift * shift
    summed = [
        _total(outputs[i : i + program.patches]) for i in range(0, len(outputs), program.patches)
    ]
    return _loss(program, summed) + arb(_given_beta(program)) * penalty / 2


def _targets(program: AbstractConvexProgram) -> list[arb]:
    return _balls(program.given if isinstance(program, Ramps) else program.y)


def _loss(program: AbstractConvexProgram, outputs: list[arb]) -> arb:
    pairs = list(zip(outputs, _targets(program), strict=True))
    if isinstance(program.loss, Squared):
        return _total([(p - y) ** 2 for p, y in pairs]) / 2
    margins = [-y * p for p, y in pairs]
    if isinstance(program.loss, Hinge):
        return _total([(1 + t).nonnegative_part() for t in margins])
    return _total([(1 + t.exp()).log() for t in margins])


def _conjugate(program: AbstractConvexProgram, v: list[arb]) -> arb:
    pairs = list(zip(v, _targets(program), strict=True))
    if isinstance(program.loss, Squared):
        return _total([t * t / 2 + t * y for t, y in pairs])
    shares = [-y * t for t, y in pairs]
    if not all(0 <= q <= 1 for q in shares):
        return arb("inf")
    if isinstance(program.loss, Hinge):
        return -_total(shares)
    terms = [t * t.log() for q in shares for t in (q, 1 - q) if t != 0]
    return _total(terms)


def _exact_ramps(program: Ramps) -> arb_mat:
    """Ramps in columns; differences of floats are rounded only in balls."""
    x, knots = _balls(program.x), _balls(program.knots)
    right = [[(t - u).nonnegative_part() for u in knots] for t in x]
    left = [[(u - t).nonnegative_part() for u in knots] for t in x]
    return arb_mat([a + b for a, b in zip(right, left, strict=True)])


def _orthonormal(columns: np.ndarray) -> list[list[arb]]:
    """An orthonormal basis of independent columns; balls stay small where they are well apart."""
    done: list[list[arb]] = []
    for j in range(columns.shape[1]):
        w = _balls(columns[:, j])
        for q in done:
            share = _total([a * b for a, b in zip(q, w, strict=True)])
            w = [b - share * a for a, b in zip(q, w, strict=True)]
        size = _length(w)
        done.append([t / size for t in w])
    return [list(row) for row in zip(*done, strict=True)]


def _times(rows: np.ndarray, w: np.ndarray) -> list[arb]:
    column = arb_mat([[t] for t in w.tolist()])
    return [t[0] for t in (arb_mat(rows.tolist()) * column).tolist()]


def _balls(values: np.ndarray) -> list[arb]:
    return [arb(t) for t in values.tolist()]


def _ball(fraction: Fraction) -> arb:
    return arb(fmpq(fraction.numerator, fraction.denominator))


def _rational(rows: list[list[Fraction]]) -> fmpq_mat:
    flat = [fmpq(t.numerator, t.denominator) for row in rows for t in row]
    return fmpq_mat(len(rows), len(rows[0]), flat)


def _total(terms: Sequence[arb]) -> arb:
    return sum(terms, arb(0))


def _centred(values: list[arb]) -> list[arb]:
    mean = _total(values) / len(values)
    return [t - mean for t in values]


def _length(values: Sequence[arb]) -> arb:
    return _total([t * t for t in values]).sqrt()
