"""The isotropy group of a student: which relabellings leave it where it is, and their name."""

from collections import Counter
from dataclasses import dataclass
from decimal import Decimal
from math import factorial, prod

import numpy as np
from jaxtyping import Float
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from shallows.model import Network
from shallows.symmetry.configuration import (
    ColouredGraph,
    Configuration,
    check_tolerance,
    coloured_graph,
    configuration,
)

Permutation = tuple[int, ...]


@dataclass(frozen=True, repr=False)
class Isotropy:
    """The pairs (π, ρ) in S_k × S_m that leave student and teacher as they are.

    **Convention.** A generator (π, ρ) satisfies `W[np.ix_(π, ρ)] ≈ W` for the standard basis, and
    in general leaves W Wᵀ, W Vᵀ, V Vᵀ and both vectors of outer weights unchanged.

    **Names.** The group is a *product* if it is a direct product of symmetric groups S_p, each
    acting in the natural way on every orbit it moves. Then

    * `ΔS10`, `Δ(S7×S2×S1)`: factors that move student and teacher neurons together, sizes
      descending; each S1 is a fixed student neuron set against a fixed teacher neuron;
    * `Δ(S8)+1`: one fixed student neuron more than there are fixed teacher neurons to set it
      against; `+1 input`, `+2 inputs` if teacher neurons are left over;
    * `Δ(S8[2:1])`: S8 moves two student orbits and one teacher orbit at once (`S8` is `S8[1:1]`);
    * `S2(students)`, `S3(inputs)`: a factor that moves one orbit alone, such as duplicated
      neurons; so W = 0 has `S5(students) × S5(inputs)`;
    * four or more equal factors are written as a power, `Δ(S6×S1^4)`; no symmetry is `trivial`.

    Any other group is called by its order, `non-product of order 12`.
    """

    name: str
    order: int
    generators: tuple[tuple[Permutation, Permutation], ...]
    neuron_orbits: tuple[tuple[int, ...], ...]
    """Orbits of student neurons, the largest first."""
    input_orbits: tuple[tuple[int, ...], ...]
    """Orbits of teacher neurons (of inputs, for the standard basis), the largest first."""
    tolerance: float
    is_product: bool
    ambiguous: bool
    """Whether the group, and so the name, depends on the tolerance: it is another one at a tenth
    or at ten times the tolerance, or when classes wider than the tolerance are cut."""
    gap: float | None
    """If ambiguous, the step between sorted entries that decides: the least that was kept open
    or the largest that was closed, in the units of `tolerance`."""

    def __repr__(self) -> str:
        return f"Isotropy({self.name!r}, order {self.order}{', ambiguous' * self.ambiguous})"


def isotropy(
    inner: Network | Float[np.ndarray, "k d"],
    teacher_inner: Network | Float[np.ndarray, "m d"] | None = None,
    outer: Float[np.ndarray, " k"] | Float[np.ndarray, "k o"] | None = None,
    teacher_outer: Float[np.ndarray, " m"] | Float[np.ndarray, "m o"] | None = None,
    *,
    tolerance: float = 1e-6,
) -> Isotropy:
    """Find the isotropy group {(π, ρ) : P_π W P_ρᵀ = W}, or that of the joint Gram matrix.

    A `Network` in place of inner weights brings its outer weights along.

    These are the automorphisms of the graph on all neurons whose edges carry the classes of the
    entries of W Vᵀ, and of W Wᵀ and V Vᵀ for a teacher other than the standard basis (`None`).
    For inputs of covariance Σ, pass W Σ^½ and V Σ^½.

    **Accuracy.** Entries belong to one class if sorted neighbours differ by at most `tolerance`,
    with W in units of the longest row of student and teacher, V of the longest of the teacher,
    outer weights of the largest. A choice that matters is confessed in `ambiguous`.

    **Raises.** `ValueError` for shapes that do not fit, entries that are not finite and a
    tolerance outside (0, 1).

    **Source.** The groups and names of Arjevani and Field, 1912.11939 and 2107.10370; found with
    BLISS by way of igraph.
    """
    check_tolerance(tolerance)
    checked = configuration(inner, teacher_inner, outer, teacher_outer)
    return isotropy_of_graph(coloured_graph(checked, tolerance), checked, tolerance)


def isotropy_of_graph(
    graph: ColouredGraph, configuration: Configuration, tolerance: float
) -> Isotropy:
    """Name the group of a configuration whose graph at this tolerance is at hand."""
    factors = factors_of(graph)
    is_product = graph.order == prod(factorial(round(p)) for p, _, _ in factors.elements())
    k = graph.k
    gap = _deciding_gap(graph, configuration, tolerance)
    return Isotropy(
        name=name_of(factors) if is_product else f"non-product of order {written(graph.order)}",
        order=graph.order,
        generators=tuple(
            (tuple(g[:k].tolist()), tuple((g[k:] - k).tolist())) for g in graph.generators
        ),
        neuron_orbits=_members(graph.orbits[:k]),
        input_orbits=_members(graph.orbits[k:]),
        tolerance=tolerance,
        is_product=is_product,
        ambiguous=gap is not None,
        gap=gap,
    )


def number(x: float) -> int | float:
    """As an integer, if it is one up to rounding."""
    return round(x) if abs(x - round(x)) < 1e-9 * max(x, 1.0) else x


def factors_of(
    graph: ColouredGraph, weights: np.ndarray | None = None
) -> Counter[tuple[int | float, int, int]]:
    """Sizes p of linked orbits, with how many of them are of students and of teachers.

    With `weights` a vertex stands for so many. Two orbits are linked if some class is a bijection
    between them. The group then acts on linked orbits as on one, so its order is at most ∏ p!,
    with equality exactly for a product.
    """
    orbits, sizes = graph.orbits, np.bincount(graph.orbits)
    count, component = linked_orbits(graph)
    is_teacher = np.zeros(len(sizes), dtype=bool)
    is_teacher[orbits[graph.k :]] = True
    students = np.bincount(component[~is_teacher], minlength=count)
    teachers = np.bincount(component[is_teacher], minlength=count)
    p = np.zeros(count)
    p[component] = np.bincount(orbits, weights)
    named = map(number, p.tolist())
    return Counter(zip(named, students.tolist(), teachers.tolist(), strict=True))


def linked_orbits(graph: ColouredGraph) -> tuple[int, np.ndarray]:
    """How many sets of linked orbits there are, and the set of each orbit; see `factors_of`."""
    orbits, sizes = graph.orbits, np.bincount(graph.orbits)
    u, v = np.nonzero(graph.pairing & (sizes[orbits] > 1)[:, None])
    links = coo_array((np.ones(len(u)), (orbits[u], orbits[v])), shape=(len(sizes),) * 2)
    return connected_components(links, directed=False)


def name_of(factors: Counter[tuple[int | float, int, int]]) -> str:
    """Name a product; see `Isotropy`."""
    fixed, free_inputs = factors[1, 1, 0], factors[1, 0, 1]
    moved = sorted((f for f in factors.elements() if f[0] > 1), reverse=True)
    if not moved:
        return "trivial"
    diagonal = [
        f"S{p}" if (s, t) == (1, 1) else f"S{p}[{s}:{t}]" for p, s, t in moved if s + t > 1
    ] + ["S1"] * min(fixed, free_inputs)
    surplus = fixed - free_inputs
    parts = []
    if diagonal:
        together = "×".join(powers(diagonal))
        bare = len(diagonal) == 1 and surplus == 0
        parts.append(f"Δ{together}" if bare else f"Δ({together})")
    parts += powers([f"S{p}(students)" for p, s, t in moved if (s, t) == (1, 0)])
    parts += powers([f"S{p}(inputs)" for p, s, t in moved if (s, t) == (0, 1)])
    name = " × ".join(parts)
    if surplus > 0:
        return f"{name}+{surplus}"
    if surplus < 0:
        return f"{name}+{-surplus} input{'s' if surplus < -1 else ''}"
    return name


def powers(factors: list[str]) -> list[str]:
    """Write four or more equal factors as a power."""
    written: list[str] = []
    for factor, times in Counter(factors).items():
        written += [factor] * times if times < 4 else [f"{factor}^{times}"]
    return written


def written(order: int) -> str:
    """The order of a group, to four digits if it is large."""
    return str(order) if order < 10**12 else f"{Decimal(order):.3e}".replace("e+", "e")


def _members(orbits: np.ndarray) -> tuple[tuple[int, ...], ...]:
    members: dict[int, list[int]] = {}
    for i, orbit in enumerate(orbits.tolist()):
        members.setdefault(orbit, []).append(i)
    return tuple(tuple(m) for m in sorted(members.values(), key=lambda m: (-len(m), m)))


def _deciding_gap(
    graph: ColouredGraph, configuration: Configuration, tolerance: float
) -> float | None:
    """Find the step on which the group depends, if it is another one at nearby tolerances.

    Coarser classes have the larger group, so groups of equal order are equal.
    """
    steps = np.concatenate([np.diff(np.sort(x, axis=None)) for x in configuration.compared])
    kept, closed = steps[steps > tolerance], steps[steps <= tolerance]
    if (kept <= 10 * tolerance).any():
        coarser = coloured_graph(configuration, 10 * tolerance)
        if coarser.order != graph.order:
            return float(kept.min())
    # A rigid graph stays rigid when classes are split.
    if graph.order > 1 and closed.any():
        finer = coloured_graph(configuration, tolerance / 10, split_chains=True)
        if finer.order != graph.order:
            return float(closed.max())
    return None
