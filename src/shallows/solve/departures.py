r"""Departures: the directions in which tangency arcs leave a critical point.

Which eigenvectors? If the subgroup H of the isotropy group fixes, of the eigenspace, a line only,
then λ is a simple eigenvalue in the fixed-point space of H, and by the implicit function theorem
there is one arc in that space, with a half on each side of c. Here H is a product of symmetric
groups: it cuts a block of size n into parts, and an irreducible representation has a line for

* standard: two parts, p and n − p. The vectors are +1 on one part and have mean zero;
* exterior square: three parts. Fewer fix nothing, and r parts a space of (r − 1)(r − 2)/2
  dimensions (see `fixed_dimension`);
* two-row (n − 2, 2): two parts of at least two places;
* product of two standard ones: two parts of each block;
* trivial: no cut at all.

If an element of the isotropy group turns v into −v, the two halves are relabellings of each
other: where two parts of equal sizes can be exchanged, of a block cut in a standard or an exterior
way (exterior: any two of the three). Groups that are no such products (cyclic ones in the exterior
square, groups that are diagonal in two blocks in a product) fix lines too: they are not followed.
"""

import dataclasses
from collections.abc import Iterator, Sequence

from shallows.symmetry import (
    AbstractArithmetic,
    Blocks,
    Component,
    Floats,
    ReducedLoss,
    Representation,
    components,
)
from shallows.symmetry.arithmetic import Number, Numbers


@dataclasses.dataclass(frozen=True)
class Departure:
    """How an arc leaves: an eigenvector of the Hessian, up to the isotropy group of the point."""

    representation: Representation
    rank: int
    """The number of the eigenvalue among those of its component, from below, from 0."""
    parts: dict[int, tuple[Number, ...]] = dataclasses.field(default_factory=dict)
    """For each factor of the group that the component belongs to, the sizes of its parts."""
    sign: int = 1
    """1 or −1: which half. For 1 the eigenvector's coefficient of largest size is positive in
    the basis of `component`."""

    @property
    def factors(self) -> tuple[int, ...]:
        """The factors of the group that move the component."""
        return tuple(self.parts)

    @property
    def is_reversible(self) -> bool:
        """Whether the other half is a relabelling of this one."""
        if self.representation in (Representation.trivial, Representation.two_row):
            return False
        return any(len(set(map(float, each))) < len(each) for each in self.parts.values())


def departures(
    loss: ReducedLoss,
    point: Numbers,
    numbers: AbstractArithmetic | None = None,
    *,
    cuts: Sequence[int] | None = None,
) -> tuple[Departure, ...]:
    """The ways to leave a critical point, one for each eigenvalue, cut and half.

    **Convention.** With p in `cuts`, blocks of n are cut in (n − p, p) for standard and two-row, in
    (n − 2p, p, p) for exterior, and both blocks of a product by the same p, wherever parts are
    large enough and p ≤ n/2. By default p = 1, 2 and ⌊n/2⌋ (exterior: 1, 2, ⌊n/3⌋, and once
    1, ⌊(n − 1)/2⌋ and the rest, all of different sizes if n > 4; product: 1 and ⌊n/2⌋). Halves that
    are relabellings of each other are listed once. All other products of symmetric groups: by
    hand, as `Departure`.

    **Raises.** `ValueError` for a cut below 1.
    """
    o = Floats() if numbers is None else numbers
    if cuts is not None and any(not p >= 1 for p in cuts):
        raise ValueError(
            f"Cuts take at least one place from a block, but {tuple(cuts)} were asked for. Use "
            f"e.g. `cuts=(1, 2)`."
        )
    with o.precision():
        found = components(loss, point, o)
    made = []
    for part in found:
        for parts in _cuts(part, loss.blocks, cuts):
            for rank in range(len(part.matrix)):
                departure = Departure(part.representation, rank, parts)
                made.append(departure)
                if not departure.is_reversible:
                    made.append(dataclasses.replace(departure, sign=-1))
    return tuple(made)


def _cuts(
    part: Component, blocks: Blocks, cuts: Sequence[int] | None
) -> Iterator[dict[int, tuple[Number, ...]]]:
    sizes = [blocks.sizes[f] for f in part.factors]
    wanted: list[dict[int, tuple[Number, ...]]]
    if part.representation is Representation.trivial:
        yield {}
        return
    if part.representation is Representation.product:
        halves = [[1, n // 2] if cuts is None else cuts for n in sizes]
        pairs = zip(*halves, strict=True)
        wanted = [
            {f: (n - p, p) for f, n, p in zip(part.factors, sizes, pair, strict=True)}
            for pair in pairs
            if all(1 <= p <= n / 2 for n, p in zip(sizes, pair, strict=True))
        ]
    else:
        (f,), (n,) = part.factors, sizes
        if part.representation is Representation.exterior:
            own = [1, 2, n // 3] if cuts is None else list(cuts)
            triples = [(n - 2 * p, p, p) for p in own if 1 <= 2 * p < n]
            if cuts is None and n > 4:
                half = (n - 1) // 2
                triples.append((n - 1 - half, half, 1))
            wanted = [{f: triple} for triple in triples]
        else:
            least = 2 if part.representation is Representation.two_row else 1
            own = [1, 2, n // 2] if cuts is None else list(cuts)
            wanted = [{f: (n - p, p)} for p in own if least <= p <= n / 2]
    seen = set()
    for parts in wanted:
        key = tuple(tuple(sorted(map(float, each))) for each in parts.values())
        if key not in seen:
            seen.add(key)
            yield parts
