"""Certificates for single points, in all of their weights: no symmetry is needed."""

import dataclasses
import math
from decimal import Decimal
from typing import Any, ClassVar

import flint
import numpy as np
from flint import arb, arb_mat

import shallows
from shallows.certify._balls import between, enclosure
from shallows.certify._dense import DenseLoss
from shallows.certify.certificate import MOST_BITS, inertia_words
from shallows.certify.document import opened, pair, sealed, texts, well_formed, whole
from shallows.certify.verdict import AbstractStated, Verdict
from shallows.model import Network

# The time of a proof grows with the third power.
MOST_WEIGHTS = 1000

# Sines of angles below which two neurons count as parallel; nothing is tried there.
_PARALLEL = 1e-7

_HYPOTHESES = (
    "inputs are standard Gaussian; outer weights and the teacher are the given ones and stay fixed",
    "ball arithmetic (arb) is correct",
)
_METHOD = (
    "Krawczyk's operator for the gradient of the loss in all weights; the Hessian in balls in a "
    "basis of approximate eigenvectors, with the theorems of Weyl and Ostrowski for its "
    "eigenvalues."
)

Pair = tuple[str, str]


@dataclasses.dataclass(frozen=True, repr=False)
class PointCertificate(AbstractStated):
    """A statement about one critical point in all of its weights, and all that a check needs.

    Numbers are decimal strings; enclosures are rounded outward. Nothing is left out by symmetry:
    two points that are relabellings of one another have two certificates.
    """

    verdict: Verdict
    statement: str
    hypotheses: tuple[str, ...]
    method: str
    bits: int
    outer: tuple[str, ...]
    """Outer weights of the students, exactly."""
    teacher: tuple[tuple[str, ...], ...]
    """Inner weights of the teachers, one row a neuron, exactly."""
    teacher_outer: tuple[str, ...]
    weights: tuple[tuple[Pair, ...], ...]
    """For each inner weight of each student an interval; in the box there is exactly one critical
    point of the loss."""
    loss: Pair
    smallest_eigenvalue: Pair
    """Of the Hessian in all inner weights."""
    index: int | None
    """How many Hessian eigenvalues are negative; None if undecided."""
    version: str = shallows.__version__
    schema: ClassVar[str] = "shallows-point/1"

    def as_json(self) -> dict[str, Any]:
        """The document, with a digest of its contents."""
        body = {"schema": self.schema, **dataclasses.asdict(self), "verdict": self.verdict.value}
        return sealed(body)

    @classmethod
    def from_json(cls, document: Any) -> "PointCertificate":
        """The certificate in a document.

        **Raises.** `ValueError`: not a certificate, of another schema, altered, or malformed.
        """
        body = opened(document, cls.schema)
        with well_formed():
            count = sum(map(len, body["weights"]))
            made = cls(
                **{
                    **body,
                    "verdict": Verdict(body["verdict"]),
                    "bits": whole("bits", body["bits"], 53, MOST_BITS),
                    "index": None
                    if body["index"] is None
                    else whole("index", body["index"], 0, count),
                    "hypotheses": texts(body["hypotheses"]),
                    "outer": texts(body["outer"]),
                    "teacher": tuple(texts(row) for row in body["teacher"]),
                    "teacher_outer": texts(body["teacher_outer"]),
                    "weights": tuple(tuple(map(pair, row)) for row in body["weights"]),
                    "loss": pair(body["loss"]),
                    "smallest_eigenvalue": pair(body["smallest_eigenvalue"]),
                }
            )
        made._check_shapes()
        return made

    def _check_shapes(self) -> None:
        inputs = {len(row) for row in (*self.teacher, *self.weights)}
        is_whole = len(inputs) == 1 and len(self.teacher) == len(self.teacher_outer) > 0
        # Nothing is enclosed where nothing was proved.
        is_open = self.verdict is not Verdict.PROVED and not self.weights
        count = len(self.weights) * max(inputs, default=0)
        if not is_whole or (len(self.weights) != len(self.outer) and not is_open):
            raise ValueError(
                "The certificate is malformed: its weights, heads and teachers have lengths that "
                "do not fit. Make it again."
            )
        if count > MOST_WEIGHTS:
            raise ValueError(f"A certificate has at most {MOST_WEIGHTS} weights, not {count}.")


def point_words(certificate: PointCertificate) -> str:
    """The statement, from the data."""
    c = certificate
    n, m, d = len(c.outer), len(c.teacher), len(c.teacher[0])
    heads = [Decimal(text) for text in c.outer]
    theirs = [Decimal(text) for text in c.teacher_outer]
    is_plain = all(
        Decimal(x) == (i == j) for i, row in enumerate(c.teacher) for j, x in enumerate(row)
    )
    ones = "all outer weights 1" if {*heads, *theirs} == {Decimal(1)} else "the given outer weights"
    kind = "orthonormal teachers" if is_plain else "teachers with the given inner weights"
    said = [
        f"Let {n} students and {m} {kind}, with {ones}, have {d} standard Gaussian inputs.",
        f"There is exactly one critical point of the loss ½ E (f_student − f_teacher)², as a "
        f"function of all {n * d} inner weights of the students, whose weights lie in the given "
        f"intervals.",
        f"Its loss lies in [{c.loss[0]}, {c.loss[1]}].",
    ]
    said.append(inertia_words(c.index, n * d, c.smallest_eigenvalue))
    # Where each teacher can have a student of its own, with a head of its sign, zero is attained.
    fits = all(
        sum(h * sign > 0 for h in heads) >= sum(h * sign > 0 for h in theirs) for sign in (1, -1)
    )
    if fits and Decimal(c.loss[0]) > 0:
        said.append("Its loss is positive, so that it is no global minimum.")
    return " ".join(said)


def certify_point(
    student: Network, teacher: Network, *, bits: int = 128, reach: float = 1e-6
) -> PointCertificate:
    r"""Prove that there is a critical point next to `student`, and what it is.

    Standard Gaussian inputs, inner weights trained, outer weights fixed at those given. The point
    is first polished by Newton's method, which may move it by `reach` times its largest weight. If
    it has no regular critical point so close, the verdict is `UNDECIDED`, the statement says why,
    and nothing is claimed. Weights of student and teacher stand for the shortest decimals that
    read back as the same floats.

    **Domain.** No neuron is zero or parallel to another one: there the gradient is not
    differentiable twice, and the verdict is `UNDECIDED`, as it is for points that are not isolated.

    **Accuracy.** Rigorous. The box has a radius of about 1e-8 of the largest weight, less where
    the Hessian is close to singular; the loss is enclosed to some 15 digits, the smallest
    eigenvalue to some 1e-11 of the largest one.

    **Raises.** `ValueError` for more than 1000 weights, biases, different numbers of inputs, and
    fewer than 53 or more than 20,000 bits. **Cost.** With nd weights of the order of (nd)³: 0.5 s
    of one core for 100, 3 s for 400.
    """
    _check_question(student, teacher, bits)
    outer, teacher_outer = (_decimals(np.asarray(x.outer)) for x in (student, teacher))
    rows = tuple(_decimals(row) for row in np.asarray(teacher.inner))
    blank = PointCertificate(
        verdict=Verdict.UNDECIDED,
        statement="",
        hypotheses=_HYPOTHESES,
        method=_METHOD,
        bits=bits,
        outer=outer,
        teacher=rows,
        teacher_outer=teacher_outer,
        weights=(),
        loss=("0", "Infinity"),
        smallest_eigenvalue=("-Infinity", "Infinity"),
        index=None,
    )
    try:
        _refuse_meetings(np.asarray(student.inner), np.asarray(teacher.inner))
        with flint.ctx.workprec(bits):
            loss = DenseLoss(outer, rows, teacher_outer)
            given = arb_mat(np.asarray(student.inner).tolist())
            made = _proved(blank, loss, _polished(loss, given, reach))
    except _OpenError as reason:
        return dataclasses.replace(blank, statement=f"Nothing was proved: {reason}")
    return dataclasses.replace(made, statement=point_words(made))


def _check_question(student: Network, teacher: Network, bits: int) -> None:
    for role, network in (("student", student), ("teacher", teacher)):
        if not isinstance(network, Network):
            raise TypeError(
                f"The {role} is a {type(network).__name__}, but must be a `Network`. Use "
                f"`Network(inner, outer)`."
            )
        if network.inner.ndim != 2 or network.bias is not None:
            raise ValueError(
                f"A certificate is about one network without biases, but the {role} has "
                f"{network.inner.shape=} and {'no ' if network.bias is None else ''}biases. "
                f"Take one, and leave its biases out."
            )
        if network.activation.name != "relu":
            raise ValueError(
                f"A certificate is about ReLU networks, but the {role}'s activation is "
                f"{network.activation.name}. There is none for others."
            )
        if network.outputs is not None:
            raise ValueError(
                f"A certificate is about networks with one output, but the {role} has "
                f"{network.outer.shape=}. Give it a number for each neuron."
            )
    if student.inputs != teacher.inputs:
        raise ValueError(
            f"Student and teacher live in different spaces: {student.inputs} inputs and "
            f"{teacher.inputs}. Embed the smaller one first, e.g. `teacher.embed(basis)`."
        )
    if student.neurons * student.inputs > MOST_WEIGHTS:
        raise ValueError(
            f"A point without symmetry is certified in all of its weights, at most "
            f"{MOST_WEIGHTS}, but this one has {student.neurons} × {student.inputs}. Choose a "
            f"smaller or a more symmetric one."
        )
    if not 53 <= bits <= MOST_BITS:
        raise ValueError(f"`bits` is {bits}, but must be from 53 to {MOST_BITS}. Leave it out.")


class _OpenError(Exception):
    """Why nothing is proved."""


def _decimals(values: np.ndarray) -> tuple[str, ...]:
    return tuple(repr(float(x)) for x in values)


def _refuse_meetings(w: np.ndarray, v: np.ndarray) -> None:
    """Say which neurons vanish or meet, if some do."""
    length = np.linalg.norm(w, axis=1)
    unit = np.concatenate([w, v])
    size = np.linalg.norm(unit, axis=1)
    longest = size.max()
    for zero in np.flatnonzero(length <= _PARALLEL * longest):
        raise _OpenError(f"Student {zero + 1} vanishes, where the loss has no Hessian.")
    unit = unit / np.where(size == 0, 1, size)[:, None]
    for i, mine in enumerate(unit[: len(w)]):
        for j, yours in enumerate(unit[i + 1 :], i + 1):
            # Kahan's: half its digits would be lost by the cosine.
            sine = np.linalg.norm(mine - yours) * np.linalg.norm(mine + yours) / 2
            if sine <= _PARALLEL and size[j] > 0:
                other = f"student {j + 1}" if j < len(w) else f"teacher {j - len(w) + 1}"
                raise _OpenError(
                    f"Student {i + 1} and {other} are parallel (sin θ = {sine:.0e}), where balls "
                    f"do not enclose the Hessian."
                )


def _floats(matrix: arb_mat) -> np.ndarray:
    entries = [float(x.mid()) for x in matrix.entries()]
    return np.array(entries).reshape(matrix.nrows(), matrix.ncols())


def _column(matrix: arb_mat) -> arb_mat:
    return arb_mat([[x] for x in matrix.entries()])


def _shaped(column: arb_mat, like: arb_mat) -> arb_mat:
    return arb_mat(like.nrows(), like.ncols(), column.entries())


def _size(matrix: arb_mat) -> arb:
    """A bound on the largest absolute row sum."""
    sums = [sum((x.abs_upper() for x in row), start=arb(0)) for row in matrix.tolist()]
    return max(arb(s.abs_upper()) for s in sums)  # exact numbers, exactly compared


def _inverse(hessian: arb_mat) -> arb_mat:
    """An approximate inverse, exactly what it is: a matrix of floats."""
    matrix = _floats(hessian)
    if not np.all(np.isfinite(matrix)):
        raise _OpenError("The Hessian has entries without bounds; neurons meet close to the point.")
    values, vectors = np.linalg.eigh((matrix + matrix.T) / 2)
    least, most = np.min(np.abs(values)), np.max(np.abs(values))
    if least <= 1e-11 * most:
        raise _OpenError(
            f"The Hessian is singular as far as floats can tell (it has an eigenvalue of "
            f"{values[np.argmin(np.abs(values))]:.0e}), so that the point need not be isolated."
        )
    return arb_mat(((vectors / values) @ vectors.T).tolist())


def _polished(loss: DenseLoss, given: arb_mat, reach: float) -> tuple[arb_mat, arb_mat]:
    """A point after Newton's steps and an approximate inverse Hessian; no part of a proof."""
    scale = float(np.max(np.abs(_floats(given))))
    point, inverse, last = given, None, math.inf
    enough = scale * 2.0 ** (20 - flint.ctx.prec)
    for _ in range(60):
        if inverse is None:
            inverse = _inverse(loss.hessian(point))
            refreshed = True
        step = (inverse * loss.gradient(point)).mid()
        size = float(_size(step)) if step.nrows() else 0.0
        if not math.isfinite(size) or size > reach * scale:
            break
        point = (point - _shaped(step, point)).mid()
        if size <= enough:
            break
        if size > 1e-3 * last and not refreshed:
            inverse = None
        refreshed, last = False, size
    moved = float(_size(_column(point - given)))
    if not (math.isfinite(size) and size <= reach * scale and moved <= reach * scale):
        raise _OpenError(
            f"There is no critical point so close to the candidate: Newton's method moves a weight "
            f"by {max(size, moved):.1e}, and may by {reach * scale:.1e}."
        )
    return point, _inverse(loss.hessian(point)) if inverse is None else inverse


def _proved(
    blank: PointCertificate, loss: DenseLoss, start: tuple[arb_mat, arb_mat]
) -> PointCertificate:
    point, inverse = start
    scale = max(float(abs(x)) for x in point.entries())
    # The Hessian varies by about 1/radius of itself; where it is nearly singular, less is allowed.
    radius = min(1e-8, 1e-7 / float(_size(inverse))) * scale
    for _ in range(4):
        box = _box(point, radius)
        balls = arb_mat([[between(*pair) for pair in row] for row in box])
        image = _krawczyk(loss, balls, inverse)
        if image is not None:
            break
        radius *= 1e-4
    else:
        raise _OpenError(
            "Krawczyk's operator does not map a box around the candidate into its interior; use "
            "more bits, or the point is degenerate."
        )
    # All critical points of the box are in the image, and so in the image of the image.
    inside = _krawczyk(loss, image, inverse, is_inside=False)
    assert inside is not None
    eigenvalues = _eigenvalues(loss.hessian(inside))
    index = None
    if not any(x.contains(0) for x in eigenvalues):
        index = sum(bool(x < 0) for x in eigenvalues)
    return dataclasses.replace(
        blank,
        verdict=Verdict.PROVED,
        weights=box,
        loss=enclosure(loss.value(inside)),
        # A check encloses it by other means, which need some room.
        smallest_eigenvalue=enclosure(eigenvalues[0] + arb(0, 1e-11) * abs(eigenvalues[-1])),
        index=index,
    )


def _box(point: arb_mat, radius: float) -> tuple[tuple[Pair, ...], ...]:
    digits = max(3, int(-math.log10(radius)) + 4)
    return tuple(
        tuple(enclosure(x + arb(0, radius), digits + 2) for x in row) for row in point.tolist()
    )


def _krawczyk(
    loss: DenseLoss, box: arb_mat, inverse: arb_mat, is_inside: bool = True
) -> arb_mat | None:
    """Krawczyk's operator on the box; None if it has to map it into its interior and does not."""
    middle = box.mid()
    n = inverse.nrows()
    identity = arb_mat(n, n, [int(i == j) for i in range(n) for j in range(n)])
    rest = identity - inverse * loss.hessian(box)
    image = _column(middle) - inverse * loss.gradient(middle) + rest * _column(box - middle)
    pairs = zip(box.entries(), image.entries(), strict=True)
    if is_inside and not all(x.contains_interior(y) for x, y in pairs):
        return None
    return _shaped(image, box)


def _eigenvalues(hessian: arb_mat) -> list[arb]:
    r"""Enclosures of all eigenvalues of a symmetric matrix of balls, in increasing order.

    With floats Q for eigenvectors, $Q^\top HQ = D + E$ has the eigenvalues of D up to |E| (Weyl),
    and each is one of H times a number between the extreme eigenvalues of $Q^\top Q$ (Ostrowski).
    """
    n = hessian.nrows()
    _, vectors = np.linalg.eigh(_floats(hessian))
    q = arb_mat(vectors.tolist())
    turned = (q.transpose() * hessian * q).tolist()
    gram = (q.transpose() * q).tolist()
    diagonal = sorted(turned[i][i].mid() for i in range(n))  # exact numbers
    for i in range(n):
        turned[i][i] -= turned[i][i].mid()
        gram[i][i] -= 1
    away, skew = _size(arb_mat(turned)), _size(arb_mat(gram))
    if not (away.is_finite() and skew < 1):
        raise _OpenError("The Hessian has entries without bounds. Use more bits.")
    return [(x + arb(0, 1) * away) / (1 + arb(0, 1) * skew) for x in diagonal]
