"""Which relabellings of inputs and hidden units leave a network of several layers as it is."""

import itertools
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from math import factorial, prod

import numpy as np

from shallows.symmetry.configuration import ColouredGraph, check_tolerance, layered_graph
from shallows.symmetry.isotropy import Permutation, linked_orbits, powers, written

# Elements of a group that is no product, up to which they are listed one by one.
_MOST_ELEMENTS = 50_000


@dataclass(frozen=True, repr=False)
class LayeredIsotropy:
    """The relabellings (σ₀ of inputs, σ₁, …, σ_L of units) that leave all layers as they are.

    **Convention.** A generator (σ₀, …, σ_L) satisfies `W[np.ix_(σ_l, σ_{l−1})] ≈ W` for layer l
    and leaves the heads of the last layer as they are. Outputs stay in place.

    **Names.** As in `Isotropy`: the group is a *product* if it is one of symmetric groups S_p,
    each acting in the natural way on the orbits it moves. `ΔS4` moves inputs and each layer alike,
    `Δ(S3×S1)` fixes one of each; in `S2[0:0:1]` two units of the second layer alone are moved, as
    the numbers of orbits among the inputs, in the first layer, … say. Units that are fixed where
    others have none to set against them are counted as `+0:1:1`. Other groups go by their order.
    """

    name: str
    order: int
    generators: tuple[tuple[Permutation, ...], ...]
    orbits: tuple[tuple[tuple[int, ...], ...], ...]
    """Of inputs, then of the units of each layer; the largest first."""
    is_product: bool
    is_diagonal: bool
    """Whether inputs and all layers are permuted alike, so that after relabelling it is a subgroup
    of the group ΔS_k of the `iterated` target. False for more than 50,000 elements of a group that
    is no product."""
    ambiguous: bool
    """Whether it is another group at a tenth or at ten times the tolerance."""
    tolerance: float

    def __repr__(self) -> str:
        return f"LayeredIsotropy({self.name!r}, order {self.order}{', ambiguous' * self.ambiguous})"


def layered_isotropy(
    layers: Sequence[np.ndarray], heads: np.ndarray, *, tolerance: float = 1e-6
) -> LayeredIsotropy:
    """Find the isotropy group of a network with hidden layers `layers` and outer weights `heads`.

    These are the automorphisms of the graph on inputs and units whose edges between neighbouring
    layers carry the classes of the weights.

    **Accuracy.** Weights of a layer belong to one class if sorted neighbours differ by at most
    `tolerance` in units of its largest. **Raises.** `ValueError` for layers that do not fit, for
    entries that are not finite, and for a tolerance outside (0, 1).
    """
    check_tolerance(tolerance)
    matrices, outer = _checked(layers, heads)
    graph = layered_graph(matrices, outer, tolerance)
    parts = _parts(matrices)
    factors, fixed = _factors(graph, parts)
    is_product = graph.order == prod(factorial(p) for p, _ in factors.elements())
    name = _name(factors, fixed) if is_product else f"non-product of order {written(graph.order)}"
    near = (
        layered_graph(matrices, outer, min(10 * tolerance, 0.5)),
        layered_graph(matrices, outer, tolerance / 10, split_chains=True),
    )
    return LayeredIsotropy(
        name=name,
        order=graph.order,
        generators=tuple(
            tuple(tuple((g[part] - part[0]).tolist()) for part in parts) for g in graph.generators
        ),
        orbits=tuple(_orbits(graph.orbits[part]) for part in parts),
        is_product=is_product,
        is_diagonal=_is_diagonal(graph, parts, factors, fixed, is_product),
        ambiguous=any(other.order != graph.order for other in near),
        tolerance=tolerance,
    )


def layered_order(
    layers: Sequence[np.ndarray], heads: np.ndarray, *, tolerance: float = 1e-6
) -> list[np.ndarray]:
    """Permutations of inputs and of each layer that make equivalent networks equal.

    Two networks that are relabellings of one another agree entry by entry, up to noise, once each
    is relabelled by its own. **Raises.** As `layered_isotropy`.
    """
    check_tolerance(tolerance)
    matrices, outer = _checked(layers, heads)
    order = layered_graph(matrices, outer, tolerance).canonical_order
    return [order[np.isin(order, part)] - part[0] for part in _parts(matrices)]


def _checked(layers, heads) -> tuple[list[np.ndarray], np.ndarray]:
    matrices, outer = [np.asarray(w, dtype=float) for w in layers], np.asarray(heads, dtype=float)
    fits = bool(matrices) and all(w.ndim == 2 and w.size for w in matrices)
    fits = fits and all(b.shape[1] == len(a) for a, b in itertools.pairwise(matrices))
    if not fits or outer.ndim not in (1, 2) or len(outer) != len(matrices[-1]):
        raise ValueError(
            f"Layers must be matrices with a column for each unit of the layer before and heads "
            f"one row a unit of the last, but have shapes {[w.shape for w in matrices]} and "
            f"{outer.shape}. Pass the weights of one `Deep` network."
        )
    if not all(np.isfinite(x).all() for x in (*matrices, outer)):
        raise ValueError("Weights must be finite, but some are not. Train again, with less step.")
    return matrices, outer


def _parts(layers: Sequence[np.ndarray]) -> list[np.ndarray]:
    """The vertices of inputs and of each layer."""
    sizes = [layers[0].shape[1], *(len(w) for w in layers)]
    return np.split(np.arange(sum(sizes)), np.cumsum(sizes)[:-1])


def _factors(
    graph: ColouredGraph, parts: Sequence[np.ndarray]
) -> tuple[Counter[tuple[int, tuple[int, ...]]], tuple[int, ...]]:
    """Sizes p > 1 of linked orbits with their numbers in each part, and the fixed units there."""
    sizes = np.bincount(graph.orbits)
    count, component = linked_orbits(graph)
    where = np.zeros((count, len(parts)), dtype=int)
    p = np.zeros(count, dtype=int)
    for i, part in enumerate(parts):
        for orbit in np.unique(graph.orbits[part]):
            where[component[orbit], i] += 1
            p[component[orbit]] = sizes[orbit]
    factors: Counter[tuple[int, tuple[int, ...]]] = Counter()
    fixed = np.zeros(len(parts), dtype=int)
    for size, row in zip(p.tolist(), where, strict=True):
        if size == 1:
            fixed += row
        else:
            factors[size, tuple(row.tolist())] += 1
    return factors, tuple(fixed.tolist())


def _name(factors, fixed) -> str:
    moved = sorted(factors.elements(), reverse=True)
    if not moved:
        return "trivial"
    words = [f"S{p}" if set(row) == {1} else f"S{p}[{':'.join(map(str, row))}]" for p, row in moved]
    words += ["S1"] * min(fixed)
    inside = "×".join(powers(words))
    name = f"Δ{inside}" if len(words) == 1 else f"Δ({inside})"
    rest = [n - min(fixed) for n in fixed]
    return f"{name}+{':'.join(map(str, rest))}" if any(rest) else name


def _is_diagonal(graph, parts, factors, fixed, is_product) -> bool:
    if len({len(part) for part in parts}) > 1:
        return False
    if is_product:
        return len(set(fixed)) == 1 and all(len(set(row)) == 1 for _, row in factors)
    if graph.order > _MOST_ELEMENTS:
        return False
    # As many cycles of each length in every part, for every element: one permutation character.
    return all(
        len({tuple(_cycles(g[part] - part[0])) for part in parts}) == 1
        for g in _elements(graph.generators)
    )


def _elements(generators: np.ndarray):
    """All products of permutations."""
    start = tuple(range(generators.shape[1]))
    seen, fresh = {start}, [start]
    while fresh:
        new = []
        for g in fresh:
            for s in generators:
                product = tuple(s[list(g)].tolist())
                if product not in seen:
                    seen.add(product)
                    new.append(product)
        fresh = new
    return (np.array(g) for g in seen)


def _cycles(order: np.ndarray) -> list[int]:
    left, lengths = set(range(len(order))), []
    while left:
        i = left.pop()
        n, j = 1, int(order[i])
        while j != i:
            left.remove(j)
            n, j = n + 1, int(order[j])
        lengths.append(n)
    return sorted(lengths)


def _orbits(labels: np.ndarray) -> tuple[tuple[int, ...], ...]:
    members = [tuple(np.flatnonzero(labels == orbit).tolist()) for orbit in np.unique(labels)]
    return tuple(sorted(members, key=lambda m: (-len(m), m)))
