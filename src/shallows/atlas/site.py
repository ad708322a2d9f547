"""What the atlas page shows: points at the stops of a slider, censuses, portraits and fits.

Plain data, each number the library's own. `site_data` asks for all of it as one sweep, so that a
page whose making was interrupted goes on where it stopped.
"""

import dataclasses
import types
import typing
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

_T = TypeVar("_T")


@dataclasses.dataclass(frozen=True)
class Plan:
    """What to compute: families, sizes, and how much of each."""

    families: tuple[str, ...]
    stops: tuple[int, ...]
    """Sizes k, roughly even on a logarithmic scale."""
    landmarks: tuple[int, ...]
    """Stops at which arcs are followed along each eigenvalue, not the smallest alone."""
    portraits: tuple[int, ...]
    """Sizes of phase portraits."""
    width: int
    """Neurons of a network on a line."""
    scales: tuple[tuple[str, float, float], ...]
    """A name, κ and the exponent of α(m), for each start of such a network."""


DESK = Plan(
    families=("global", "II", "flipped:2", "flipped:5", "I", "A"),
    stops=(
        *(6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 18, 20, 25, 30, 40, 50, 70),
        *(100, 150, 200, 300, 500, 700, 1000, 2000, 5000),
        *(10**4, 3 * 10**4, 10**5, 3 * 10**5, 10**6),
    ),
    landmarks=(10,),
    portraits=(2, 5, 10),
    width=200,
    scales=(("small weights: knots move", 0.5, 1.0), ("large weights: knots stay", 20.0, 0.5)),
)
"""The page."""

SMOKE = Plan(
    families=("global", "II", "I", "A"),
    stops=(6, 10, 10**6),
    landmarks=(),
    portraits=(2,),
    width=40,
    scales=(("small weights: knots move", 0.5, 1.0),),
)
"""The same page with little on it, in seconds."""


@dataclasses.dataclass(frozen=True)
class ShownEntry:
    """Entries of the weight matrix that are equal."""

    neurons: str
    """What the block of neurons is: `unflipped` or `flipped`."""
    inputs: str
    entry: str
    """`diagonal`, `off-diagonal` or `all`."""
    value: float
    count: int


@dataclasses.dataclass(frozen=True)
class ShownLevel:
    """A Hessian eigenvalue, how often it occurs, and what its eigenvectors do."""

    eigenvalue: float
    multiplicity: int
    component: str
    block: str | None


@dataclasses.dataclass(frozen=True)
class ShownProof:
    """What a certificate says; enclosures are decimal strings."""

    verdict: str
    statement: str
    index: int | None
    loss: tuple[str, ...] | None
    smallest_eigenvalue: tuple[str, ...] | None
    bits: int


@dataclasses.dataclass(frozen=True)
class ShownContinuation:
    """What the point becomes with one more neuron."""

    how: str
    loss: float
    kind: str
    is_gone: bool
    """Whether the loss falls from there to another critical point."""
    smallest_eigenvalue: float | None


@dataclasses.dataclass(frozen=True)
class ShownPoint:
    """A family's critical point at one size; see `shallows.atlas.families.Member`."""

    name: str
    neurons: int
    reason: str
    """Why there is none; all that follows is empty then."""
    loss: float | None = None
    smallest_eigenvalue: float | None = None
    kind: str | None = None
    isotropy: str | None = None
    flipped: int | None = None
    continues: str | None = None
    """`II` or `A`: the sheet that it is on."""
    sizes: tuple[int, ...] = ()
    """Of the blocks of neurons, and of inputs."""
    roles: tuple[str, ...] = ()
    entries: tuple[ShownEntry, ...] = ()
    levels: tuple[ShownLevel, ...] = ()
    proof: ShownProof | None = None
    continuations: tuple[ShownContinuation, ...] = ()


@dataclasses.dataclass(frozen=True)
class ShownArc:
    """An arc out of a critical point; see `shallows.atlas.arcs.NamedArc`."""

    component: str
    block: str | None
    eigenvalue: float
    is_minimising: bool
    cut: str
    direction: str
    isotropy: str
    outcome: str
    barrier: float
    radii: tuple[float, ...]
    """Distances from the point, some of those on the way and the last."""
    losses: tuple[float, ...]
    end: str | None
    """The name of the critical point that it meets."""
    end_isotropy: str | None
    end_loss: float | None
    end_kind: str | None
    end_index: int | None
    distance: float | None
    certified: str | None


@dataclasses.dataclass(frozen=True)
class ShownArcs:
    """Arcs out of one family at one size, or why there are none."""

    name: str
    neurons: int
    reason: str
    arcs: tuple[ShownArc, ...] = ()


@dataclasses.dataclass(frozen=True)
class ShownThreshold:
    """The real size from which on a family is a minimum."""

    name: str
    neurons: float
    component: str
    block: str | None


@dataclasses.dataclass(frozen=True)
class ShownFixedPoint:
    """A critical point in the plane of a portrait."""

    kind: str
    x: float
    y: float
    loss: float


@dataclasses.dataclass(frozen=True)
class ShownPortrait:
    """The flow among students with x on the diagonal and y off it.

    Curves are (x₀, y₀, x₁, y₁, …); arrows (x, y, dx, dy) with a direction of length 1.
    """

    neurons: int
    window: tuple[float, ...]
    """The least and largest x, then y."""
    arrows: tuple[float, ...]
    nullclines: tuple[tuple[float, ...], ...]
    """Points where x does not move, and where y does not."""
    separatrices: tuple[tuple[float, ...], ...]
    runs: tuple[tuple[float, ...], ...]
    fixed: tuple[ShownFixedPoint, ...]


@dataclasses.dataclass(frozen=True)
class ShownFit:
    """A network on a line in training, at some times."""

    title: str
    scale: float
    exponent: float
    width: int
    x: tuple[float, ...]
    y: tuple[float, ...]
    times: tuple[float, ...]
    losses: tuple[float, ...]
    """½ Σ (f − y)² at these times."""
    grid: tuple[float, ...]
    values: tuple[tuple[float, ...], ...]
    """f on the grid, at each time."""
    knots: tuple[tuple[float | None, ...], ...]
    """Of some neurons, at each time; None where a neuron has none."""
    moved: float
    """The median distance by which a knot has moved."""
    stop: str


@dataclasses.dataclass(frozen=True)
class CensusRow:
    """How training ended at one size."""

    neurons: int
    starts: int
    settled: int
    families: int
    hits: dict[str, int]
    """Starts that ended at the global minimum, and with so many flipped neurons."""
    found: dict[str, int] | None
    """Starts for each family by its name; None where a summary does not say."""
    mean_loss: float
    """Of those that settled, the global minimum included."""


@dataclasses.dataclass(frozen=True)
class CensusTable:
    """Censuses over sizes, and where they come from."""

    source: str
    never: tuple[str, ...]
    """Families that no start ended in, at any of these sizes."""
    rows: tuple[CensusRow, ...]


@dataclasses.dataclass(frozen=True)
class SiteData:
    """All that the page shows."""

    families: tuple[str, ...]
    stops: tuple[int, ...]
    points: tuple[ShownPoint, ...]
    arcs: tuple[ShownArcs, ...]
    thresholds: tuple[ShownThreshold, ...]
    portraits: tuple[ShownPortrait, ...]
    fits: tuple[ShownFit, ...]
    census: CensusTable
    provenance: dict[str, Any]

    def as_json(self) -> dict[str, Any]:
        """Names of fields as keys, tuples as lists."""
        return dataclasses.asdict(self)


def from_json(kind: Callable[..., _T], body: Mapping[str, Any]) -> _T:
    """The object of which `dataclasses.asdict` made this.

    **Raises.** `TypeError` or `KeyError` for a body of something else.
    """
    hints = typing.get_type_hints(kind)
    return kind(**{name: _read(hints[name], body[name]) for name in hints})


def _read(hint: Any, value: Any) -> Any:
    if isinstance(hint, types.UnionType):
        if value is None:
            return None
        hint = next(h for h in typing.get_args(hint) if h is not types.NoneType)
    if typing.get_origin(hint) is tuple:
        inner = typing.get_args(hint)[0]
        if inner in (int, float, str):
            return tuple(value)
        return tuple(_read(inner, v) for v in value)
    if isinstance(hint, type) and dataclasses.is_dataclass(hint):
        return from_json(hint, value)
    return value
