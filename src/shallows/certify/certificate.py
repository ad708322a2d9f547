"""Certificates: statements about critical points that anybody can check again."""

import dataclasses
import decimal
from typing import Any

import shallows
from shallows.certify.document import opened, pair, sealed, texts, well_formed, whole
from shallows.certify.verdict import AbstractStated, Verdict

SCHEMA = "shallows-certificate/2"
# The first one said nothing about descent and distance; all else is the same.
_READ = ("shallows-certificate/1", SCHEMA)

# Beyond this nobody has asked for an honest proof, and a check would take forever.
MOST_BITS = 20_000


@dataclasses.dataclass(frozen=True)
class EigenvalueEnclosure:
    """Eigenvalue number `rank` (from below, from 0) of one isotypic component."""

    component: str
    factors: tuple[int, ...]
    rank: int
    multiplicity: str
    """A decimal string: sizes may be real."""
    enclosure: tuple[str, str]


@dataclasses.dataclass(frozen=True)
class Entry:
    """The value of a matrix on one orbit of entries, where some places of each factor are fixed."""

    row: int
    """The block of neurons."""
    place: int
    """0 for places that are not fixed, 1, 2, … for the fixed ones, which are a factor's last."""
    column: int
    """The block of inputs, and then the same."""
    position: int
    is_diagonal: bool | None
    """Whether row and column have the same place in their factor; None if they have none
    in common."""
    value: str


@dataclasses.dataclass(frozen=True)
class Descent:
    """A direction D with D·H D < 0 for a symmetric matrix H, which is named where this is used."""

    fixed: tuple[int, ...]
    """How many places of each factor are fixed."""
    entries: tuple[Entry, ...]
    """Those of D; all others are zero."""
    quotient: tuple[str, str]
    """Between them lies D·H D / D·D."""

    @classmethod
    def from_json(cls, body: Any) -> "Descent":
        """The direction in a document."""
        entries = []
        for e in body["entries"]:
            made = Entry(**e)
            places = (made.row, made.place, made.column, made.position)
            if not all(isinstance(n, int) for n in places) or not isinstance(made.value, str):
                raise TypeError(f"{e!r} is no entry of a direction")
            entries.append(made)
        if not all(isinstance(n, int) for n in body["fixed"]):
            raise TypeError(f"{body['fixed']!r} are no numbers of places")
        return cls(tuple(body["fixed"]), tuple(entries), pair(body["quotient"]))


@dataclasses.dataclass(frozen=True)
class Distance:
    r"""The distance to the nearest permutation matrix P: $|W - P|^2 = |W|^2 + k - 2\,P \cdot W$.

    A doubly stochastic matrix is a mean of permutations (Birkhoff), so that one of these has a
    P·W at least as large: `matched` bounds the distance from above. If $u_r + v_c \ge W_{rc}$
    everywhere, no P·W exceeds $\sum u_r + \sum v_c$: that bounds it from below.
    """

    enclosure: tuple[str, str]
    matched: tuple[str, ...]
    """For each orbit, the sum of the entries of the doubly stochastic matrix on it."""
    rows: tuple[str, ...]
    """u for each block of neurons."""
    columns: tuple[str, ...]
    """v for each block of inputs."""

    @classmethod
    def from_json(cls, body: Any) -> "Distance":
        """The distance in a document."""
        numbers = (texts(body[key]) for key in ("matched", "rows", "columns"))
        return cls(pair(body["enclosure"]), *numbers)


@dataclasses.dataclass(frozen=True, repr=False)
class Certificate(AbstractStated):
    """A statement about one critical point, and all that is needed to check it.

    Numbers are decimal strings; enclosures are rounded outward.
    """

    verdict: Verdict
    statement: str
    hypotheses: tuple[str, ...]
    method: str
    bits: int
    sizes: tuple[str, ...]
    """Of the factors of the symmetric group; see `shallows.symmetry.Blocks`."""
    rows: tuple[int, ...]
    columns: tuple[int, ...]
    weights: tuple[tuple[str, str], ...]
    """For each orbit of entries, an interval; in the box there is exactly one critical point of
    the reduced loss."""
    loss: tuple[str, str]
    eigenvalues: tuple[EigenvalueEnclosure, ...]
    smallest_eigenvalue: tuple[str, str]
    index: int | None
    """How many Hessian eigenvalues are negative, with multiplicity; None if undecided."""
    descent: Descent | None = None
    """A direction of negative curvature of the loss, if there is one."""
    distance: Distance | None = None
    """To the global minima, if they are the permutation matrices."""
    version: str = shallows.__version__

    def as_json(self) -> dict[str, Any]:
        """The document, with a digest of its contents."""
        body = {"schema": SCHEMA, **dataclasses.asdict(self), "verdict": self.verdict.value}
        return sealed(body)

    @classmethod
    def from_json(cls, document: Any) -> "Certificate":
        """The certificate in a document.

        **Raises.** `ValueError`: not a certificate, of another schema, altered, or malformed.
        """
        body = opened(document, *_READ)
        descent, distance = body.get("descent"), body.get("distance")
        with well_formed():
            return cls(
                **{
                    **body,
                    "verdict": Verdict(body["verdict"]),
                    "hypotheses": tuple(body["hypotheses"]),
                    "bits": whole("bits", body["bits"], 53, MOST_BITS),
                    "sizes": tuple(body["sizes"]),
                    "rows": tuple(body["rows"]),
                    "columns": tuple(body["columns"]),
                    "weights": tuple(pair(w) for w in body["weights"]),
                    "loss": pair(body["loss"]),
                    "smallest_eigenvalue": pair(body["smallest_eigenvalue"]),
                    "eigenvalues": tuple(
                        EigenvalueEnclosure(
                            e["component"],
                            tuple(e["factors"]),
                            e["rank"],
                            e["multiplicity"],
                            pair(e["enclosure"]),
                        )
                        for e in body["eigenvalues"]
                    ),
                    "descent": None if descent is None else Descent.from_json(descent),
                    "distance": None if distance is None else Distance.from_json(distance),
                }
            )


def inertia_words(index: int | None, total: int, smallest: tuple[str, str]) -> str:
    """What is known of the signs of `total` Hessian eigenvalues, of which `index` are negative."""
    low, high = smallest
    if index is None:
        return f"Its smallest Hessian eigenvalue lies in [{low}, {high}]."
    if index == 0:
        return (
            f"It is a strict local minimum: all {total} Hessian eigenvalues are positive, the "
            f"smallest in [{low}, {high}]."
        )
    return (
        f"It is a saddle: {index} of the {total} Hessian eigenvalues are negative, the smallest in "
        f"[{low}, {high}], and the others are positive."
    )


def words(certificate: Certificate) -> str:
    """The statement, from the data."""
    c = certificate
    sizes = [int(n) for n in c.sizes]
    k, d = (sum(sizes[f] for f in blocks) for blocks in (c.rows, c.columns))
    total = sum(int(e.multiplicity) for e in c.eigenvalues)
    factors = "×".join(f"S{n}" for n in sizes)
    every = tuple(range(len(sizes)))
    if c.rows == c.columns == every:
        group = f"Δ({factors})" if len(sizes) > 1 else f"Δ{factors}"
    else:
        group = (
            f"{factors}, with factors {list(c.rows)} on blocks of neurons and {list(c.columns)} on "
            f"blocks of inputs"
        )
    said = [
        f"Let {k} students and {d} orthonormal teachers, all with outer weight 1, have {d} "
        f"standard Gaussian inputs.",
        f"Among the students with the symmetry {group} there is exactly one critical point of the "
        f"loss ½ E (f_student − f_teacher)² whose weights lie in the given intervals, and it is a "
        f"critical point among all students.",
        f"Its loss lies in [{c.loss[0]}, {c.loss[1]}].",
    ]
    said.append(inertia_words(c.index, total, c.smallest_eigenvalue))
    if c.descent is not None:
        said.append(
            f"In the given direction the second derivative of the loss is negative: its Rayleigh "
            f"quotient lies in [{c.descent.quotient[0]}, {c.descent.quotient[1]}]."
        )
    # With fewer students than teachers the least loss is not zero.
    if k >= d and decimal.Decimal(c.loss[0]) > 0:
        said.append("Its loss is positive, so that it is no global minimum.")
    if c.distance is not None:
        said.append(
            f"The global minima are the {k} × {k} permutation matrices, and its distance to the "
            f"nearest lies in [{c.distance.enclosure[0]}, {c.distance.enclosure[1]}]."
        )
    return " ".join(said)
