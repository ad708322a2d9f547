"""A range of sizes as series: what the census says, as a function of the number of neurons."""

import dataclasses
import itertools
import math
from collections.abc import Sequence

from shallows.atlas.catalogue import Census, Family
from shallows.report import scales
from shallows.report.words import is_global


@dataclasses.dataclass(frozen=True)
class Band:
    """One layer of the stacked figure: a share of the starts for every size."""

    label: str
    colour: str
    shares: tuple[float, ...]


def ordered(censuses: Sequence[Census]) -> list[Census]:
    """The censuses by number of neurons; misuse where that number is missing.

    **Raises.** `ValueError` for no census, or one whose question does not say `neurons`.
    """
    if not censuses:
        raise ValueError(
            "An atlas needs at least one census: got an empty sequence. "
            "Run a census for some sizes first, e.g. `shallows census -k 6:10`."
        )
    for census in censuses:
        if not isinstance(census.question.get("neurons"), int):
            raise ValueError(
                "A census in an atlas says its number of neurons: "
                f"{census.question.get('neurons')=}. Put it into `question['neurons']`."
            )
    return sorted(censuses, key=lambda census: census.question["neurons"])


def neurons(census: Census) -> int:
    """The number k of student neurons."""
    return int(census.question["neurons"])


def bands(censuses: Sequence[Census], cap: int = 10) -> list[Band]:
    """Shares of all starts: global, then 0, 1, 2, … flipped neurons, then unsettled.

    **Convention.** `cap` and more flipped neurons share one band; "0 flipped" are the points
    without a flipped neuron that are not the global minimum. Bands that are empty at
    every size are left out. At every size the shares add up to one.
    """
    if cap < 1:
        raise ValueError(f"At least one band of flipped neurons is drawn: {cap=}. Pass cap >= 1.")
    flips = {f.flipped for census in censuses for f in census.families if not is_global(f)}
    top = max((p for p in flips if p > 0), default=1)
    last = min(top, cap)

    def share(census: Census, p: int) -> float:
        def belongs(family: Family) -> bool:
            return not is_global(family) and min(family.flipped, last) == p

        return sum(f.count for f in census.families if belongs(f)) / census.starts

    found = [
        Band(
            "global",
            scales.VERMILLION,
            tuple(
                sum(f.count for f in census.families if is_global(f)) / census.starts
                for census in censuses
            ),
        )
    ]
    for p in range(last + 1):
        label = "0 flipped" if p == 0 else f"{p} flipped"
        if p == last and top > cap:
            label = f"≥ {p} flipped"
        colour = scales.PURPLE if p == 0 else scales.ramp((p - 1) / max(last - 1, 1))
        found.append(Band(label, colour, tuple(share(census, p) for census in censuses)))
    rest = tuple(
        max(0.0, 1 - sum(f.count for f in census.families) / census.starts) for census in censuses
    )
    found.append(Band("not settled", scales.LIGHT, rest))
    return [band for band in found if any(band.shares)]


def mean_flipped(census: Census) -> tuple[float, float]:
    """The mean number of flipped neurons over the settled starts, and its standard error."""
    total = sum(family.count for family in census.families)
    if total == 0:
        return math.nan, math.nan
    mean = sum(family.count * family.flipped for family in census.families) / total
    square = sum(family.count * (family.flipped - mean) ** 2 for family in census.families) / total
    return mean, math.sqrt(square / total)


def mean_loss(census: Census, *, spurious: bool = False) -> float:
    """The mean final loss over the settled starts, or over those not at the global minimum."""
    members = [f for f in census.families if not (spurious and is_global(f))]
    total = sum(family.count for family in members)
    return sum(f.count * f.loss for f in members) / total if total else math.nan


def worst_gradient(census: Census) -> float:
    """The largest gradient norm over all settled starts."""
    return max((family.gradient_norm for family in census.families), default=math.nan)


def is_evenly_spaced(sizes: Sequence[int]) -> bool:
    """Whether the sizes may be drawn to scale as bars that touch."""
    steps = {b - a for a, b in itertools.pairwise(sizes)}
    return len(steps) <= 1 and 0 not in steps
