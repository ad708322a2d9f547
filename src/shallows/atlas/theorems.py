"""Theorems about families: certificates for every size in a range, in one file."""

import dataclasses
import json
import math
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any, ClassVar

import shallows
from shallows.atlas.extra import continuations
from shallows.atlas.families import Member, member
from shallows.atlas.series import at_infinity
from shallows.atlas.thresholds import threshold
from shallows.certify import Certificate, Check, Verdict, certify, verify
from shallows.certify.document import agrees, opened, sealed, well_formed
from shallows.certify.infinity import InfinityCertificate, certify_infinity
from shallows.certify.interval import IntervalCertificate, certify_interval
from shallows.certify.splitting import SplittingCertificate, certify_splitting
from shallows.certify.threshold import ThresholdEnclosure, certify_threshold
from shallows.certify.verdict import AbstractStated
from shallows.lab import AbstractPlace, Case, Result, Store, Study, sweep
from shallows.lab.places import HERE

# Changes whenever what is proved, or how, may change.
_VERSION = 2


def certified(name: str, neurons: int, bits: int | None = None) -> Certificate:
    """A certificate for a family's member: existence, loss, spectrum and index.

    **Raises.** `ValueError` where there is no such member, and for fewer than 53 or more than
    20,000 bits. **Cost.** About 0.1 s at any size.
    """
    point, precision = _candidate(name, neurons, bits)
    return certify(point.loss, point.point, bits=precision)


def certified_wider(
    name: str, neurons: int, extra: int, how: int | None = None, bits: int | None = None
) -> Certificate | SplittingCertificate:
    """What a family's member becomes with `extra` more neurons, proved.

    By default that splitting any of its neurons makes a saddle, which is proved for every number of
    extra neurons at once. With `how`, the continuation of this number (from 1) among those of
    `continuations`: all that is new, or one block's split neurons.

    **Raises.** `ValueError` where `certified` and `continuations` do, and for a number that none
    has. **Cost.** About 0.2 s; with `how` that of `continuations`.
    """
    point, precision = _candidate(name, neurons, bits)
    if extra < 1:
        raise ValueError(f"`extra` counts neurons that are added, but is {extra}. Use 1, 2, …")
    if how is None:
        return certify_splitting(point.loss, point.point, bits=precision)
    found = continuations(point, extra)
    if not 1 <= how <= len(found):
        raise ValueError(
            f"`{name}` has {len(found)} continuations with {extra} more neurons at k = {neurons}, "
            f"but `how` is {how}. They are those of `shallows family {name} -k {neurons} --extra "
            f"{extra}`, counted from 1."
        )
    chosen = found[how - 1]
    if chosen.is_gone:
        raise ValueError(
            f"Number {how} is no continuation, but where descent ends that leaves the family "
            f"(loss {chosen.value:.3g}). Choose another `how`."
        )
    if chosen.row is None:
        return certify(chosen.loss, chosen.point, bits=precision)
    return certify_splitting(chosen.loss, chosen.point, bits=precision, rows=(chosen.row,))


def _candidate(name: str, neurons: int, bits: int | None) -> tuple[Member, int]:
    precision = 192 + math.ceil(12 * math.log2(neurons)) if bits is None else bits
    if not 53 <= precision <= 20_000:
        raise ValueError(f"`bits` is {bits}, but must be from 53 to 20000. Leave it out.")
    point = member(name, neurons)
    if point.name == "global":
        raise ValueError(
            "The global minimum needs no certificate: its loss is zero, and neurons meet there, "
            "where the gradient is not differentiable twice. Choose another family, e.g. `II`."
        )
    return point, precision


@dataclasses.dataclass(frozen=True, repr=False)
class Theorem(AbstractStated):
    """For every whole number in a range, a spurious strict minimum of one symmetry."""

    first: int
    last: int
    certificates: tuple[Certificate, ...]
    version: str = shallows.__version__
    schema: ClassVar[str] = "shallows-theorem/1"

    @property
    def missing(self) -> list[int]:
        """The sizes for which nothing was proved."""
        proved = {_size(c) for c in self.certificates if _is_spurious(c)}
        return [k for k in range(self.first, self.last + 1) if k not in proved]

    @property
    def verdict(self) -> Verdict:
        """`PROVED` if no size is missing."""
        return Verdict.UNDECIDED if self.missing else Verdict.PROVED

    @property
    def statement(self) -> str:
        """In words."""
        but = ""
        if self.missing:
            listed = ", ".join(map(str, self.missing[:20]))
            but = f" except possibly {listed}{' and more' if len(self.missing) > 20 else ''}"
        return (
            f"For every whole number k from {self.first} to {self.last}{but}, the loss of k "
            f"students against k orthonormal teachers with k standard Gaussian inputs and all "
            f"outer weights 1 has a strict local minimum with positive loss, fixed by "
            f"Δ(S_(k−1) × S_1)."
        )

    def check(self, step: Callable[[], None] = lambda: None) -> Check:
        """Prove every certificate again, and that they cover the range."""
        if self.missing:
            return Check(Verdict.UNDECIDED, f"Nothing is claimed for k = {self.missing[:10]}.")
        for certificate in self.certificates:
            check = verify(certificate)
            if check.verdict is not Verdict.PROVED:
                return Check(check.verdict, f"k = {_size(certificate)}: {check.reason}")
            step()
        return Check(Verdict.PROVED, "")

    def as_json(self) -> dict[str, Any]:
        """The document, with a digest of its contents."""
        body = {
            "schema": self.schema,
            "version": self.version,
            "verdict": self.verdict.value,
            "statement": self.statement,
            "first": self.first,
            "last": self.last,
            "certificates": [c.as_json() for c in self.certificates],
        }
        return sealed(body)

    @classmethod
    def from_json(cls, document: Any) -> "Theorem":
        """The theorem in a document.

        **Raises.** `ValueError`: no theorem, altered, or with words other than its data say.
        """
        body = opened(document, cls.schema)
        with well_formed():
            made = cls(
                first=int(body["first"]),
                last=int(body["last"]),
                certificates=tuple(Certificate.from_json(c) for c in body["certificates"]),
                version=str(body["version"]),
            )
        agrees(body, made)
        return made


def spurious(
    first: int,
    last: int,
    folder: Path,
    on: AbstractPlace = HERE,
    step: Callable[[], None] = lambda: None,
) -> Theorem:
    """Prove for each size in the range that type II is a spurious strict minimum.

    Certificates are kept in a store in `folder`, so that the same call goes on where it stopped.
    Sizes at which type II is no minimum, or does not exist, are `missing`.
    """
    study = Study("theorem-spurious", _VERSION, _measure)
    cases = [Case({"neurons": k}) for k in range(first, last + 1)]
    found = []
    for record in sweep(study, cases, Store(folder), on=on):
        text = record.values["certificate"]
        if text:
            found.append(Certificate.from_json(json.loads(text)))
        step()
    return Theorem(first, last, tuple(found))


def spurious_everywhere(
    first: str, last: str, step: Callable[[float], None] = lambda share: None
) -> IntervalCertificate:
    """Prove for all real sizes in an interval that type II is a spurious strict minimum.

    `first` and `last` are decimal strings; `step` is told the share that is done. **Cost.** Three
    boxes for each power of ten in k, of 2 to 6 s each.
    """
    return certify_interval(_second_type, first, last, step=step, degree=_degree(last))


def spurious_to_infinity(
    first: str, name: str = "II", step: Callable[[float], None] = lambda share: None
) -> InfinityCertificate:
    """Prove for all real sizes from one on that a family's member is a spurious strict minimum.

    `first` is a decimal string; `step` is told the share that is done.

    **Domain.** `A`, `I` and `II`. **Raises.** `ValueError` for other families, and for a size that
    is not above 4 (3 for `A`) and below 10¹². **Cost.** Up to a minute from k = 6 on.
    """
    fixed = {"A": (), "I": (1,), "II": (1,)}.get(name)
    if fixed is None:
        raise ValueError(
            f"For {name!r} nothing was proved for all large sizes so far. Use `A`, `I` or `II`."
        )
    family, _, _ = at_infinity(name)
    last = "1000" if Decimal(first) < 1000 else str(2 * Decimal(first))
    return certify_infinity(
        family,
        lambda neurons: member(name, neurons).point,
        first,
        fixed=fixed,
        last=last,
        degree=_degree(last),
        step=step,
    )


def certified_threshold(name: str, *, until: str | None = None) -> ThresholdEnclosure:
    """Where a family becomes a minimum, proved: signs on both sides, monotone between.

    With `until` (a decimal string) also that it is a minimum at all real sizes from there up to it.

    **Domain.** `II`, `A` and `I`. **Cost.** A second; with `until`, some for each box.
    """
    if name not in _FIXED:
        raise ValueError(
            f"The threshold of {name!r} was not proved so far. Use `II`, `A` or `I`, or "
            f"`threshold` for a value in floats."
        )
    found = threshold(name)
    return certify_threshold(
        lambda neurons: member(name, neurons).point,
        found.neurons,
        fixed=_FIXED[name],
        component=found.representation,
        until=until,
    )


# Families whose blocks are of one size that grows and of single neurons.
_FIXED = {"A": (), "I": (1,), "II": (1,)}


def _second_type(neurons: float):
    return member("II", neurons).point


def _degree(last: str) -> int:
    """What is cut off is multiplied by k², since the loss is a difference of such terms."""
    return 30 if float(last) <= 1e5 else 40 if float(last) <= 1e7 else 60


def _measure(case: dict[str, Any]) -> Result:
    try:
        certificate = certified("II", case["neurons"])
    except ValueError as error:  # no such member at this size
        return Result({"certificate": "", "reason": str(error)})
    kept = json.dumps(certificate.as_json(), ensure_ascii=False)
    return Result({"certificate": kept if _is_spurious(certificate) else "", "reason": ""})


def _size(certificate: Certificate) -> int:
    return sum(int(n) for n in certificate.sizes)


def _is_spurious(certificate: Certificate) -> bool:
    k = _size(certificate)
    return (
        certificate.verdict is Verdict.PROVED
        and certificate.index == 0
        and float(certificate.loss[0]) > 0
        and certificate.sizes == (str(k - 1), "1")
        and certificate.rows == certificate.columns == (0, 1)
    )
