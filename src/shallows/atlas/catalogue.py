"""What a census finds: families of critical points, and the catalogue of them."""

import abc
import dataclasses
import enum
from typing import Any

import numpy as np

from shallows import notebook


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

    def to_pandas(self) -> Any:
        """A `pandas.DataFrame` with a row for each time.

        **Raises.** `ValueError` if pandas is not installed.
        """
        return notebook.frame(dataclasses.asdict(self))


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


class AbstractFamily(abc.ABC):
    """A critical point up to relabelling, and how often training found it."""

    count: int
    loss: float

    @abc.abstractmethod
    def as_json(self) -> dict[str, Any]:
        """The entry of the document."""

    @property
    @abc.abstractmethod
    def label(self) -> str:
        """What it is called in a line."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.label!r}, found {self.count}×, loss {self.loss:.6g})"

    def numbers(self) -> dict[str, Any]:
        """What one row holds of it: all that is a number, a word or a truth value."""
        return {
            key: value
            for key, value in self.as_json().items()
            if value is None or isinstance(value, str | int | float)
        }


@dataclasses.dataclass(frozen=True, repr=False)
class Family(AbstractFamily):
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

    @property
    def label(self) -> str:
        """Its name."""
        return self.name

    def _repr_html_(self) -> str:
        notes = [
            f"{self.kind.value}, isotropy {self.isotropy}; weights, and Hessian eigenvalues:",
            "" if self.proof is None else f"{self.proof.verdict.value}: {self.proof.statement}",
        ]
        picture = notebook.picture_of(self.weights)
        return notebook.page(repr(self), self._levels(), notes=notes, picture=picture)

    def _levels(self) -> dict[str, list[Any]]:
        return {
            "eigenvalue": [level.eigenvalue for level in self.spectrum],
            "multiplicity": [level.multiplicity for level in self.spectrum],
        }

    def to_pandas(self) -> Any:
        """A `pandas.DataFrame` of its Hessian spectrum: a row for each different eigenvalue.

        **Raises.** `ValueError` if pandas is not installed.
        """
        return notebook.frame(self._levels())

    def as_json(self) -> dict[str, Any]:
        """The entry of the document."""
        return {
            "name": self.name,
            "isotropy": self.isotropy,
            "isotropy_order": self.isotropy_order,
            "flipped": self.flipped,
            "count": self.count,
            "loss": self.loss,
            "smallest_eigenvalue": self.smallest_eigenvalue,
            "kind": self.kind.value,
            "gradient_norm": self.gradient_norm,
            "spread": self.spread,
            "first_start": self.first_start,
            "weights": self.weights.tolist(),
            "outer": self.outer.tolist(),
            "spectrum": [dataclasses.asdict(level) for level in self.spectrum],
            **({} if self.proof is None else self.proof.as_json()),
        }


@dataclasses.dataclass(frozen=True, repr=False)
class Findings:
    """What training from many starts has found, whatever was trained."""

    question: dict[str, Any]
    """What was asked."""
    starts: int
    settled: int
    seconds: float
    """Computing time of the starts in the catalogue, summed over workers and sessions."""
    families: tuple[AbstractFamily, ...]
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
            "families": [family.as_json() for family in self.families],
            "provenance": self.provenance,
        }

    def __repr__(self) -> str:
        shown = [f"{family.label} {family.count}×" for family in self.families[:5]]
        more = len(self.families) - len(shown)
        shown += [f"and {more} more"] if more else []
        return (
            f"{type(self).__name__}({self.settled} of {self.starts} starts settled"
            f"{': ' if shown else ''}{', '.join(shown)})"
        )

    def _columns(self) -> dict[str, list[Any]]:
        rows = [family.numbers() for family in self.families]
        names = list(dict.fromkeys(name for row in rows for name in row))
        return {name: [row.get(name) for row in rows] for name in names}

    def _repr_html_(self) -> str:
        lost = "; ".join(f"{name} {count}×" for name, count in self.unsettled.items())
        asked = ", ".join(
            f"{key} {value}"
            for key, value in self.question.items()
            if isinstance(value, str | int | float)
        )
        title = f"{type(self).__name__}: {self.settled} of {self.starts} starts settled"
        notes = [asked, f"Not settled: {lost}." if lost else ""]
        return notebook.page(title, self._columns(), notes=notes)

    def to_pandas(self) -> Any:
        """A `pandas.DataFrame` with a row for each family, and the question in its `attrs`.

        Its columns are those keys of `as_json` that hold numbers, words and truth values.

        **Raises.** `ValueError` if pandas is not installed.
        """
        return notebook.frame(self._columns(), self.question)


@dataclasses.dataclass(frozen=True, repr=False)
class Census(Findings):
    """The catalogue of critical points that training finds.

    `question` has neurons (of the student), inputs, teacher, teacher_neurons, law, trained,
    optimiser (`flow`, `gd`, `sgd`), method (with its parameters), step, init, seed, starts.
    """

    families: tuple[Family, ...]

    def to_xarray(self) -> Any:
        """An `xarray.Dataset` over family, neuron and input: weights, heads, counts and the rest.

        Its `attrs` are the question, as far as it consists of numbers and words.

        **Raises.** `ValueError` if xarray is not installed, or if there is no family.
        """
        if not self.families:
            raise ValueError(
                f"No family was found in {self.starts} starts, so that there are no weights. Look "
                f"at `unsettled`."
            )
        weights = np.stack([family.weights for family in self.families])
        outer = np.stack([family.outer for family in self.families])
        per_head = ("family", "neuron", "output")[: outer.ndim]
        each = {
            name: (("family",), np.asarray(column))
            for name, column in self._columns().items()
            if name != "name" and None not in column
        }
        arrays = {"weights": (("family", "neuron", "input"), weights), "outer": (per_head, outer)}
        said = {k: v for k, v in self.question.items() if isinstance(v, str | int | float)}
        names = {"family": [family.name for family in self.families]}
        return notebook.dataset({**each, **arrays}, names, said)
