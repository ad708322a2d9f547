"""From a weight matrix to the best proof there is: by its symmetry, or in all of its weights."""

import dataclasses
import json
import math
import tempfile
from collections.abc import Callable
from typing import Any

import numpy as np

from shallows.atlas.catalogue import Census, Proof
from shallows.atlas.questions import digest
from shallows.certify import Certificate, PointCertificate, Verdict, certify, certify_point
from shallows.certify.point import MOST_WEIGHTS
from shallows.lab import AbstractPlace, Case, Here, Result, Store, Study, sweep
from shallows.landscape import SquaredLoss
from shallows.model import Gaussian, Network, relu
from shallows.solve import ZERO, has_continuum, teacher_power
from shallows.symmetry import Blocks, ReducedLoss, isotropy

# Changes whenever what is proved, or how, may change.
_VERSION = 1

# Numbers of orbits of entries up to which a proof by symmetry is the faster one.
_MOST_ORBITS = 40

# Relative to the largest weight, how far a candidate may be from what is proved.
_REACH = 1e-6


def certified_point(
    student: Network, loss: SquaredLoss, *, bits: int | None = None
) -> Certificate | PointCertificate:
    """Prove that there is a critical point next to a student, and what it is.

    Where the student's isotropy group is a product of symmetric groups that act on blocks, the
    teacher is orthonormal with a neuron for each input, and all heads are 1, the proof is one on
    the fixed-point space: existence, loss and all Hessian eigenvalues, for a relabelling of
    the student. Otherwise, or if that fails, it is one in all weights.

    **Domain.** Standard Gaussian inputs, inner weights trained; without symmetry at most 1000
    weights. The verdict is `UNDECIDED`, with the reason in the statement, where there is no
    regular critical point next to the student.

    **Raises.** `ValueError` outside the domain, for shapes that do not fit, and for bits as in
    `certify_point`. **Cost.** 0.1 s by symmetry; without it 0.5 s for 100 weights, 3 s for 400.
    """
    refuse_uncertifiable(loss)
    loss._check(student)
    found = None
    if loss.has_basis and _all_one(student) and _all_one(loss.teacher):
        found = _by_symmetry(np.asarray(student.inner), bits)
        if found is not None and found.verdict is Verdict.PROVED:
            return found
    if found is not None and student.neurons * student.inputs > MOST_WEIGHTS:
        return found
    return certify_point(student, loss.teacher, bits=128 if bits is None else bits, reach=_REACH)


def refuse_uncertifiable(loss: SquaredLoss) -> None:
    """Refuse what no certificate is about.

    **Raises.** `ValueError` for other activations than the ReLU, inputs that are not standard
    Gaussian, dropout, and trained heads.
    """
    law = loss.law
    if loss.activation != relu:
        raise ValueError(
            f"Certificates are about the ReLU, but the activation is {loss.activation.name}. Ask "
            f"for no certificates, or leave the activation at its default."
        )
    if not isinstance(law, Gaussian) or law.root is not None:
        kind = type(law).__name__ + (" with a covariance" if isinstance(law, Gaussian) else "")
        raise ValueError(
            f"Certificates are about standard Gaussian inputs, but the law of the inputs is "
            f"{kind}. Ask for no certificates, or leave the law at its default."
        )
    if loss.dropout is not None:
        raise ValueError(
            f"Certificates are about the loss itself, but dropout (retain={loss.dropout.retain:g}) "
            f"adds a term to it. Ask for no certificates, or for no dropout."
        )
    if loss.teacher.outputs is not None:
        raise ValueError(
            f"Certificates are about networks with one output, but the teacher's `outer` has shape "
            f"{loss.teacher.outer.shape}. Ask for no certificates."
        )
    if loss.trained.is_everything:
        raise ValueError(
            "Certificates are about trained inner weights, but here heads are trained as well, and "
            "no critical point is isolated, as neurons can be rescaled. Train inner weights only."
        )


def _all_one(network: Network) -> bool:
    return bool(np.all(np.asarray(network.outer) == 1))


def _by_symmetry(inner: np.ndarray, bits: int | None) -> Certificate | None:
    """A proof on the fixed-point space, or None if the group is of no use for one."""
    found = blocks_of(inner)
    if found is None or len(found[0].orbits) > _MOST_ORBITS:
        return None
    blocks, neurons, inputs = found
    point = blocks.restrict(inner[np.ix_(neurons, inputs)])
    precision = 192 + math.ceil(12 * math.log2(max(inner.shape))) if bits is None else bits
    try:
        return certify(ReducedLoss(blocks), point, bits=precision, reach=_REACH)
    except (ArithmeticError, ValueError):  # where neurons meet, balls have no bounds
        return None


def blocks_of(
    inner: np.ndarray, tolerance: float = 1e-6
) -> tuple[Blocks, np.ndarray, np.ndarray] | None:
    """The blocks of a student's isotropy group, and orders of neurons and inputs that show them.

    The teacher is the standard basis. With these orders, `inner[np.ix_(neurons, inputs)]` is
    fixed by the group of the blocks, up to the tolerance. None where the group moves nothing, or
    is no product of symmetric groups that act on blocks.
    """
    group = isotropy(inner, tolerance=tolerance)
    if not group.is_product or group.order == 1:
        return None
    rows, columns = _linked(inner, group.neuron_orbits, group.input_orbits)
    # Larger factors first, and fixed neurons set against fixed inputs where there are both.
    moved = sorted({f for f, _ in (*rows, *columns)}, key=lambda f: -_factor_size(f, rows, columns))
    several = [f for f in moved if _factor_size(f, rows, columns) > 1]
    sizes = [_factor_size(f, rows, columns) for f in several]
    number = {f: i for i, f in enumerate(several)}
    placed: list[list[tuple[int, tuple[int, ...]]]] = []
    for some in (rows, columns):
        mine = sorted((number[f], orbit) for f, orbit in some if f in number)
        alone = sorted(orbit for f, orbit in some if f not in number)
        mine += [(len(several) + i, orbit) for i, orbit in enumerate(alone)]
        placed.append(mine)
    singles = max(sum(f >= len(several) for f, _ in some) for some in placed)
    blocks = Blocks(
        (*sizes, *(1,) * singles),
        rows=tuple(f for f, _ in placed[0]),
        columns=tuple(f for f, _ in placed[1]),
    )
    neurons, inputs = (np.array([i for _, orbit in some for i in orbit]) for some in placed)
    shown = inner[np.ix_(neurons, inputs)]
    away = np.max(np.abs(blocks.embed(blocks.restrict(shown)) - shown))
    if away > 10 * tolerance * max(1.0, float(np.max(np.abs(shown)))):
        return None
    return blocks, neurons, inputs


_Placed = list[tuple[int, tuple[int, ...]]]


def _factor_size(factor: int, rows: _Placed, columns: _Placed) -> int:
    return next(len(orbit) for f, orbit in (*rows, *columns) if f == factor)


def _linked(
    inner: np.ndarray, neurons: tuple[tuple[int, ...], ...], inputs: tuple[tuple[int, ...], ...]
) -> tuple[_Placed, _Placed]:
    """Orbits with the factor that moves them, each in the order of that factor's places.

    Two orbits of one size are moved together if their block has a diagonal: in each row one entry
    that is the farthest from all others.
    """
    rows: dict[int, tuple[int, tuple[int, ...]]] = {}
    columns: dict[int, tuple[int, tuple[int, ...]]] = {}
    factor = 0
    for start, orbit in enumerate(neurons):
        if start in rows:
            continue
        rows[start] = (factor, orbit)
        queue = [(True, start)]
        while queue:
            is_row, i = queue.pop()
            known, others, mine = (
                (columns, inputs, rows[i][1]) if is_row else (rows, neurons, columns[i][1])
            )
            for j, other in enumerate(others):
                if j in known or len(other) != len(mine) or len(mine) == 1:
                    continue
                block = inner[np.ix_(mine, other)] if is_row else inner[np.ix_(other, mine)].T
                diagonal = _diagonal(block)
                if diagonal is not None:
                    known[j] = (factor, tuple(other[c] for c in diagonal))
                    queue.append((not is_row, j))
        factor += 1
    for j, orbit in enumerate(inputs):
        if j not in columns:
            columns[j] = (factor, orbit)
            factor += 1
    return list(rows.values()), list(columns.values())


def _diagonal(block: np.ndarray) -> list[int] | None:
    """In each row the column that stands out; None in a block that is constant."""
    away = np.abs(block - np.median(block))
    if len(block) == 2:  # no entry is in a minority: the larger one
        away = block
    places = np.argmax(away, axis=1).tolist()
    scale = max(1.0, float(np.max(np.abs(block))))
    if np.ptp(block) <= 1e-5 * scale or len(set(places)) < len(places):
        return None
    return places


def certified_census(
    census: Census,
    loss: SquaredLoss,
    *,
    store: Store | None = None,
    on: AbstractPlace | None = None,
    step: Callable[[], None] = lambda: None,
) -> Census:
    """The census with a `Proof` for each family.

    Certificates are kept in `store`, one record a family, so that none is made twice. `step` is
    called after each.

    **Raises.** As `certified_point`.
    """
    refuse_uncertifiable(loss)
    study = Study("census-certificates", _VERSION, _Measure(loss))
    name = digest(loss)
    cases = [
        Case({"digest": name, "inner": f.weights.tolist(), "outer": f.outer.tolist()})
        for f in census.families
    ]
    proofs = []
    with tempfile.TemporaryDirectory() as scratch:
        kept = Store(scratch) if store is None else store
        for record in sweep(study, cases, kept, on=Here() if on is None else on):
            proofs.append(_proof(record.values))
            step()
    families = zip(census.families, proofs, strict=True)
    return dataclasses.replace(
        census, families=tuple(dataclasses.replace(f, proof=p) for f, p in families)
    )


@dataclasses.dataclass(frozen=True)
class _Measure:
    """Certify one point."""

    loss: SquaredLoss

    def __call__(self, case: dict[str, Any]) -> Result:
        student = Network(case["inner"], case["outer"])
        if _is_global(student, self.loss):
            return Result({"certificate": "", "reason": _GLOBAL, "is_global": True})
        is_zero = float(self.loss(student)) <= ZERO * teacher_power(self.loss)
        if is_zero and has_continuum(self.loss, student.neurons):
            return Result({"certificate": "", "reason": _VALLEY, "is_global": False})
        try:
            made = certified_point(student, self.loss)
        except ValueError as error:  # too large without symmetry
            return Result({"certificate": "", "reason": str(error), "is_global": False})
        document = json.dumps(made.as_json(), ensure_ascii=False)
        is_proved = made.verdict is Verdict.PROVED
        return Result(
            {
                "certificate": document if is_proved else "",
                "reason": "" if is_proved else made.statement,
                "is_global": False,
            }
        )


_VALLEY = (
    "Nothing was proved: The point lies in a valley where the loss is zero, and none of its points "
    "is isolated."
)
_GLOBAL = "The teacher itself, relabelled: its loss is zero, and no loss is below zero."


def _is_global(student: Network, loss: SquaredLoss) -> bool:
    """Whether a student is the teacher, relabelled, as far as floats can tell."""
    theirs = loss.teacher
    if student.neurons != theirs.neurons:
        return False
    distance = np.linalg.norm(
        np.asarray(student.inner)[:, None] - np.asarray(theirs.inner)[None], axis=-1
    )
    nearest = np.argmin(distance, axis=1)
    heads = np.asarray(theirs.outer)[nearest] == np.asarray(student.outer)
    # A loss near zero leaves neurons as far from their teachers as its root.
    is_near = bool(np.all(np.min(distance, axis=1) < _REACH) and np.all(heads))
    return is_near and len(set(nearest.tolist())) == len(nearest)


def _proof(values: Any) -> Proof:
    if values["is_global"]:
        return Proof(Verdict.PROVED, None, ("0", "0"), None, values["reason"], None)
    if not values["certificate"]:
        return Proof(Verdict.UNDECIDED, None, None, None, values["reason"], None)
    document = json.loads(values["certificate"])
    kind = PointCertificate if document["schema"] == PointCertificate.schema else Certificate
    made = kind.from_json(document)
    return Proof(
        made.verdict, made.index, made.loss, made.smallest_eigenvalue, made.statement, made
    )
