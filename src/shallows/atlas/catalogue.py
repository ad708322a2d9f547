"""What a census finds: families of critical points, and the catalogue of them."""

import dataclasses
import enum
from typing import Any

import numpy as np


class Kind(enum.Enum):
    """What a critical point is, read off its Hessian spectrum (floating point, no proof)."""

    minimum = "minimum"
    """Every eigenvalue is above the resolution of the arithmetic."""
    saddle = "saddle"
    """Some eigenvalue is below minus the resolution."""
    degenerate = "degenerate"
    """No eigenvalue is clearly negative, and at least one cannot be told from zero."""


@dataclasses.dataclass(frozen=True)
class Level:
    """One eigenvalue of the Hessian and how often it occurs."""

    eigenvalue: float
    multiplicity: int


@dataclasses.dataclass(frozen=True)
class Curve:
    """A training curve: loss and gradient norm against time (steps for descents)."""

    time: tuple[float, ...]
    loss: tuple[float, ...]
    gradient_norm: tuple[float, ...]


@dataclasses.dataclass(frozen=True)
class Proof:
    """What was proved of a family: `certified_census` adds it."""

    verdict: enum.Enum
    """A `shallows.certify.Verdict`, which is not imported here: a reader of a report, who needs
    only these nouns, would pay for JAX."""
    index: int | None
    """How many Hessian eigenvalues are negative; None if that was not proved."""
    loss: tuple[str, str] | None
    """Decimal strings between which the loss lies."""
    smallest_eigenvalue: tuple[str, str] | None
    statement: str
    """What was proved, or why nothing was."""
    certificate: Any = None
    """With all that is needed to check it: a `Certificate`, a `PointCertificate`, or None."""
    file: str | None = None
    """Where it was written."""

    @property
    def words(self) -> str:
        """`minimum`, `saddle of index 6`, `global minimum`, or what is open."""
        if self.verdict.value != "PROVED":
            return "nothing"
        if self.certificate is None:
            return "global minimum"
        return {None: "critical point", 0: "minimum"}.get(
            self.index, f"saddle of index {self.index}"
        )

    def as_json(self) -> dict[str, Any]:
        """The keys that a family has in the document if it was certified."""
        return {
            "verdict": self.verdict.value,
            "index": self.index,
            "loss_enclosure": self.loss,
            "smallest_eigenvalue_enclosure": self.smallest_eigenvalue,
            "statement": self.statement,
            "certificate": self.file,
        }


@dataclasses.dataclass(frozen=True)
class Family:
    """A critical point up to relabelling, and how often training found it."""

    name: str
    """`global`, `II`, `flipped:2`, …, or `unnamed:…`; see `shallows.atlas.naming`."""
    isotropy: str
    """The isotropy group, e.g. `Δ(S9×S1)`."""
    isotropy_order: int
    flipped: int
    """Student neurons close to minus a teacher neuron."""
    count: int
    """Starts that ended here."""
    loss: float
    smallest_eigenvalue: float
    kind: Kind
    gradient_norm: float
    """Largest Frobenius norm of the gradient over the starts that ended here."""
    weights: np.ndarray
    """Inner weights (k, d) of the representative, rows and columns in canonical order."""
    outer: np.ndarray
    """Outer weights (k,) of the representative, in the same order; (k, o) for several outputs."""
    spectrum: tuple[Level, ...]
    """Hessian eigenvalues in increasing order; multiplicities add up to the parameters."""
    curve: Curve
    """The training curve of the first start that ended here."""
    first_start: int
    """The number of that start."""
    spread: float
    """Largest distance of a member to the representative, after relabelling."""
    proof: Proof | None = None
    """What was proved of it; None if that was not asked."""


@dataclasses.dataclass(frozen=True)
class Census:
    """The catalogue of critical points that training finds."""

    question: dict[str, Any]
    """What was asked: neurons (of the student), inputs, teacher, teacher_neurons, law, trained,
    optimiser (`flow`, `gd`, `sgd`), method (with its parameters), step, init, seed, starts."""
    starts: int
    settled: int
    seconds: float
    """Computing time of the starts in the catalogue, summed over workers and sessions."""
    families: tuple[Family, ...]
    """Most frequent first."""
    unsettled: dict[str, int]
    """How the starts that did not settle ended: outcome → count."""
    provenance: dict[str, Any]
    """Version, commit, precision, device, number of damaged records recomputed, …"""

    def as_json(self) -> dict[str, Any]:
        """The document `shallows census --json` prints (keys as in docs/commands.md)."""
        return {
            **{key: value for key, value in self.question.items() if key != "starts"},
            "starts": self.starts,
            "settled": self.settled,
            "seconds": self.seconds,
            "unsettled": self.unsettled,
            "families": [
                {
                    "name": family.name,
                    "isotropy": family.isotropy,
                    "isotropy_order": family.isotropy_order,
                    "flipped": family.flipped,
                    "count": family.count,
                    "loss": family.loss,
                    "smallest_eigenvalue": family.smallest_eigenvalue,
                    "kind": family.kind.value,
                    "gradient_norm": family.gradient_norm,
                    "spread": family.spread,
                    "first_start": family.first_start,
                    "weights": family.weights.tolist(),
                    "outer": family.outer.tolist(),
                    "spectrum": [dataclasses.asdict(level) for level in family.spectrum],
                    **({} if family.proof is None else family.proof.as_json()),
                }
                for family in self.families
            ],
            "provenance": self.provenance,
        }
