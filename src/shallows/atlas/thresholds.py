"""Thresholds: the real sizes from which on families are minima."""

import dataclasses
import functools

from shallows.atlas.sheets import Intermediate, Sheet, balls_for, sheets, told
from shallows.solve.branch import PseudoArclength, component_eigenvalues
from shallows.solve.symmetric import symmetric_point
from shallows.solve.waypoints import Event, EventKind
from shallows.symmetry import (
    Representation,
)


@dataclasses.dataclass(frozen=True)
class Threshold:
    """Where a family becomes a minimum, as k grows."""

    name: str
    neurons: float | int
    """The real k; above it the family is a minimum."""
    representation: Representation
    """The component of the Hessian whose smallest eigenvalue is zero there."""
    block: str | None
    """Which neurons it moves: `unflipped` or `flipped`, both for a product, None for `trivial`."""
    event: EventKind
    """A `crossing`, or the `fold` in which a family begins as a minimum."""


@functools.lru_cache(maxsize=256)
def threshold(name: str) -> Threshold:
    """The real number of neurons from which on the family is a minimum.

    P is fixed for `flipped:P`, and Q for `unflipped:Q`.

    **Accuracy.** A crossing is right to 1e-14, by bisection in balls; a fold to 1e-12.

    **Raises.** `ValueError` for names of none, for `global` (always a minimum), and for more
    than 10,000 flipped neurons.
    """
    candidates = sheets(name)
    if not candidates:
        raise ValueError(
            f"`{name}` is the global minimum at every k and has no threshold. Ask for "
            f"another family, e.g. `II`."
        )
    (sheet,) = candidates
    if isinstance(sheet, Intermediate):
        raise ValueError(
            f"`{name}` exists for some widths only, and no threshold is defined. "
            f"See its kind at a width, e.g. `member('intermediate:6', 20)`."
        )
    if sheet.count > 10_000:
        raise ValueError(
            f"Thresholds are found for up to 10,000 neurons, but `{name}` fixes {sheet.count}. "
            f"For large P the threshold is a multiple of it; ask for a smaller one."
        )
    walk = sheet.walk(sheet.count + 2 + 1e-3, PseudoArclength(around_folds=False))
    events = [e for e in walk.events if e.falls]
    if not events:
        raise ValueError(
            f"`{name}` is a minimum wherever it exists: {told(walk)}. It has no threshold."
        )
    event = max(events, key=lambda e: e.parameter)
    where = event.parameter if event.kind is EventKind.fold else _sharpened(sheet, event)
    block = "×".join(sheet.roles[f] for f in event.factors)
    return Threshold(name, where, event.representation, block or None, event.kind)


def _sharpened(sheet: Sheet, event: Event) -> float:
    """The parameter of a crossing, by secants in balls."""
    numbers = balls_for(event.parameter)

    def eigenvalue(k):
        loss = sheet.problem(k)
        found = symmetric_point(loss, event.point, numbers)
        values = component_eigenvalues(
            loss, found.point, event.representation, event.factors, numbers
        )
        return min(values, key=abs)

    with numbers.precision():
        k = numbers.numbers([event.parameter, event.parameter * (1 + 1e-9)])
        last, now = k
        before, here = eigenvalue(last), eigenvalue(now)
        for _ in range(8):
            if here == before:
                break
            last, now = now, (now - here * (now - last) / (here - before)).mid()
            before, here = here, eigenvalue(now)
            if abs(float(now - last)) < 1e-20 * event.parameter:
                break
        return float(now)
