"""A student and its teacher as one complete graph whose edges carry the classes of inner products.

Everything in `isotropy` and `canonical` factors through this graph: a relabelling of student and
teacher neurons leaves the configuration unchanged, up to an orthogonal map of input space, exactly
when it is an automorphism.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import igraph
import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from shallows.model import Network
from shallows.model.network import unmasked


@dataclass(frozen=True, eq=False)
class Configuration:
    """Checked student and teacher rows with their inner products and outer weights.

    Outer weights are numbers, or rows of one length for several outputs, which stay in place.

    `teacher` is `None` for the standard basis. Then `overlaps` is the student itself, and it
    determines every other inner product; for any other teacher both Gram matrices take part too
    (W Wᵀ is redundant when V spans the input space, and then repeats what is known).
    """

    inner: Float[np.ndarray, "k d"]
    teacher: Float[np.ndarray, "m d"] | None
    outer: Float[np.ndarray, " k"] | Float[np.ndarray, "k o"]
    teacher_outer: Float[np.ndarray, " m"] | Float[np.ndarray, "m o"]

    @cached_property
    def overlaps(self) -> Float[np.ndarray, "k m"]:
        """W Vᵀ, in units of (longest row of student and teacher) × (longest row of the teacher)."""
        if self.teacher is None:
            return self.inner / self._length
        return self.inner @ self.teacher.T / (self._length * self._teacher_length)

    @cached_property
    def gram(self) -> Float[np.ndarray, "k k"]:
        """W Wᵀ, in units of the squared longest row."""
        return _gram(self.inner / self._length)

    @cached_property
    def teacher_gram(self) -> Float[np.ndarray, "m m"]:
        """V Vᵀ, in units of the squared longest row of the teacher."""
        m = len(self.teacher_outer)
        return np.eye(m) if self.teacher is None else _gram(self.teacher / self._teacher_length)

    @cached_property
    def heads(self) -> Float[np.ndarray, " n"] | Float[np.ndarray, "n o"]:
        """The outer weights of student, then teacher, in units of the largest."""
        heads = np.concatenate([self.outer, self.teacher_outer])
        return heads / (np.abs(heads).max() or 1.0)

    @property
    def _teacher_length(self) -> float:
        # A teacher of zeros has no length of its own; any unit will do.
        return 1.0 if self.teacher is None else np.linalg.norm(self.teacher, axis=1).max() or 1.0

    @property
    def _length(self) -> float:
        # Student neurons short against the teacher count as zero, so the unit is a joint one.
        return max(np.linalg.norm(self.inner, axis=1).max(), self._teacher_length)

    @property
    def compared(self) -> tuple[Float[np.ndarray, "..."], ...]:
        """The arrays whose entries are sorted into classes, each by itself."""
        if self.teacher is None:
            return self.overlaps, self.heads
        return self.overlaps, self.heads, self.gram, self.teacher_gram


def configuration(
    inner: np.ndarray | Network,
    teacher_inner: np.ndarray | Network | None,
    outer: np.ndarray | None,
    teacher_outer: np.ndarray | None,
) -> Configuration:
    """Check the arrays and fill in the defaults: the standard basis, and outer weights 1.

    **Raises.** `ValueError` for empty or non-finite arrays and for shapes that do not fit, for a
    network with biases, and for outer weights beside a network, which has its own.
    """
    inner, outer = _weights("student", "outer", inner, outer)
    _check_rows("student", "inner", inner)
    if teacher_inner is not None:
        teacher_inner, teacher_outer = _weights(
            "teacher", "teacher_outer", teacher_inner, teacher_outer
        )
        _check_rows("teacher", "teacher_inner", teacher_inner)
        if teacher_inner.shape[1] != inner.shape[1]:
            raise ValueError(
                f"Student and teacher live in different spaces: {inner.shape=} but "
                f"{teacher_inner.shape=}. Embed the smaller one first by appending zero columns."
            )
    m = inner.shape[1] if teacher_inner is None else len(teacher_inner)
    outer = _checked_heads("student", "outer", outer, len(inner))
    teacher_outer = _checked_heads("teacher", "teacher_outer", teacher_outer, m)
    if outer.shape[1:] != teacher_outer.shape[1:]:
        raise ValueError(
            f"Student and teacher have different outputs: {outer.shape=} but "
            f"{teacher_outer.shape=}. Give both a number for each neuron, or both a row with as "
            f"many columns."
        )
    return Configuration(inner, teacher_inner, outer, teacher_outer)


@dataclass(frozen=True, eq=False)
class ColouredGraph:
    """A complete graph with colours on its n = k + m vertices and integer classes on its edges.

    Vertices are the k student neurons, then the m teacher neurons. The colours are *equitable*:
    two vertices of one colour see every (class, colour) equally often. Both colours and classes
    are numbered in a way that does not depend on the labelling.
    """

    k: int
    classes: Int[np.ndarray, "n n"]
    colours: Int[np.ndarray, " n"]

    @cached_property
    def _layers(self) -> tuple[igraph.Graph, list[int]]:
        return _layered(self.classes, self.colours)

    @property
    def _is_rigid(self) -> bool:
        return int(self.colours.max()) + 1 == len(self.colours)

    @cached_property
    def order(self) -> int:
        """The exact order of the automorphism group (igraph counts in long integers)."""
        if self._is_rigid:
            return 1
        graph, colours = self._layers
        return int(graph.count_automorphisms(color=colours))

    @cached_property
    def generators(self) -> Int[np.ndarray, "g n"]:
        """Automorphisms that generate the group; row g sends vertex v to `generators[g, v]`."""
        n = len(self.colours)
        if self._is_rigid:
            return np.empty((0, n), dtype=np.int64)
        graph, colours = self._layers
        found = graph.automorphism_group(color=colours)
        return np.array([g[:n] for g in found], dtype=np.int64).reshape(-1, n)

    @cached_property
    def orbits(self) -> Int[np.ndarray, " n"]:
        """The number of the orbit of each vertex."""
        n = len(self.colours)
        images = self.generators.ravel()
        sources = np.tile(np.arange(n), len(self.generators))
        links = coo_array((np.ones(len(images), dtype=bool), (sources, images)), shape=(n, n))
        return connected_components(links, directed=False)[1].astype(np.int64)

    @cached_property
    def canonical_order(self) -> Int[np.ndarray, " n"]:
        """An order of the vertices in which isomorphic graphs have the same class matrix."""
        if self._is_rigid:
            return np.argsort(self.colours)
        graph, colours = self._layers
        # igraph 1.0 inverted what it means by a permutation, so igraph itself has to apply it.
        graph = graph.copy()
        graph.vs["was"] = range(graph.vcount())
        canonical = graph.permute_vertices(graph.canonical_permutation(color=colours))
        was = np.array(canonical.vs["was"], dtype=np.int64)
        return was[was < len(self.colours)]

    @cached_property
    def pairing(self) -> Bool[np.ndarray, "n n"]:
        """Whether the class of (u, v) occurs once only between u and the orbit of v.

        Classes are invariant, so between orbits of one size such a class is an equivariant
        bijection; elsewhere the entry is `False`.
        """
        n, orbits = len(self.colours), self.orbits
        sizes = np.bincount(orbits)[orbits]
        key = (np.arange(n)[:, None] * n + orbits[None, :]) * (self.classes.max() + 2)
        key += self.classes + 1
        _, place, count = np.unique(key, return_inverse=True, return_counts=True)
        alone = (count == 1)[place.reshape(n, n)]
        return alone & (sizes[:, None] == sizes[None, :]) & (orbits[:, None] != orbits[None, :])


def coloured_graph(
    configuration: Configuration, tolerance: float, *, split_chains: bool = False
) -> ColouredGraph:
    """Build the graph of a configuration, its entries told apart at a tolerance."""
    k, m = configuration.overlaps.shape
    n = k + m
    labels = [
        entry_classes(x, tolerance, split_chains=split_chains) for x in configuration.compared
    ]
    classes = np.zeros((n, n), dtype=np.int64)
    classes[:k, k:], classes[k:, :k] = labels[0], labels[0].T
    if len(labels) > 2:
        classes[:k, :k], classes[k:, k:] = labels[2], labels[3]
    lengths = classes.diagonal().copy()
    np.fill_diagonal(classes, -1)
    is_teacher = np.arange(n) >= k
    colours = _ranks(np.column_stack([is_teacher, labels[1], lengths]))
    return ColouredGraph(k, classes, _refined(classes, colours))


def layered_graph(
    layers: Sequence[np.ndarray],
    heads: np.ndarray,
    tolerance: float,
    *,
    split_chains: bool = False,
) -> ColouredGraph:
    """Build the graph of a layered network: inputs, then the units of each layer, as vertices.

    Edges between neighbouring layers carry the classes of the entries of W, in units of its
    largest; heads colour the last layer. Its k counts the inputs.
    """
    sizes = [layers[0].shape[1], *(len(w) for w in layers)]
    first = np.cumsum([0, *sizes])
    n = int(first[-1])
    classes = np.zeros((n, n), dtype=np.int64)
    for l, w in enumerate(layers):
        labels = 1 + entry_classes(
            w / (np.abs(w).max() or 1.0), tolerance, split_chains=split_chains
        )
        below, here = slice(first[l], first[l + 1]), slice(first[l + 1], first[l + 2])
        classes[here, below], classes[below, here] = labels, labels.T
    np.fill_diagonal(classes, -1)
    rows = heads.reshape(sizes[-1], -1) / (np.abs(heads).max() or 1.0)
    labels = np.zeros((n, rows.shape[1]), dtype=np.int64)
    labels[first[-2] :] = entry_classes(rows, tolerance, split_chains=split_chains)
    colours = _ranks(np.column_stack([np.repeat(np.arange(len(sizes)), sizes), labels]))
    return ColouredGraph(sizes[0], classes, _refined(classes, colours))


def entry_classes(
    values: Float[np.ndarray, "*s"], tolerance: float, *, split_chains: bool = False
) -> Int[np.ndarray, "*s"]:
    """Sort entries into classes: a new one starts where sorted entries step by > tolerance.

    **Convention.** Single linkage, so a chain of close entries may be wider than the tolerance.
    With `split_chains` a class that is wider is cut into pieces of that width: a refinement.
    """
    flat = values.ravel()
    order = np.argsort(flat, kind="stable")
    steps = np.diff(flat[order], prepend=flat[order[0]])
    starts = steps > tolerance
    if split_chains:
        first = np.maximum.accumulate(np.where(starts, np.arange(len(flat)), 0))
        piece = np.floor((flat[order] - flat[order][first]) / tolerance)
        starts |= np.diff(piece, prepend=0.0) > 0
    labels = np.empty(len(flat), dtype=np.int64)
    labels[order] = np.cumsum(starts)
    return labels.reshape(values.shape)


def _refined(
    classes: Int[np.ndarray, "n n"], colours: Int[np.ndarray, " n"]
) -> Int[np.ndarray, " n"]:
    """Refine colours until they are equitable (one-dimensional Weisfeiler–Leman)."""
    while True:
        seen = np.sort((classes + 1) * len(colours) + colours[None, :], axis=1)
        finer = _ranks(np.column_stack([colours, seen]))
        if finer.max() == colours.max():
            return colours
        colours = finer


def _ranks(rows: Int[np.ndarray, "n c"]) -> Int[np.ndarray, " n"]:
    # Big-endian bytes of non-negative integers sort as the integers do, and ten times faster than
    # np.unique(axis=0).
    keys = [row.tobytes() for row in rows.astype(">i8")]
    rank = {key: r for r, key in enumerate(sorted(set(keys)))}
    return np.array([rank[key] for key in keys], dtype=np.int64)


def _layered(
    classes: Int[np.ndarray, "n n"], colours: Int[np.ndarray, " n"]
) -> tuple[igraph.Graph, list[int]]:
    """Edge classes as vertex colours, for BLISS: bit l of the class is an edge in layer l.

    Classes are renumbered within each pair of colours, the most frequent as 0. So a block that
    is constant costs nothing, and ΔS_p needs one layer with p edges.
    """
    n = len(colours)
    i, j = np.triu_indices(n, 1)
    block = np.minimum(colours[i], colours[j]) * n + np.maximum(colours[i], colours[j])
    base = int(classes.max()) + 1
    keys, place, count = np.unique(
        block * base + classes[i, j], return_inverse=True, return_counts=True
    )
    by_frequency = np.lexsort((keys, -count, keys // base))
    blocks = (keys // base)[by_frequency]
    code = np.empty(len(keys), dtype=np.int64)
    code[by_frequency] = np.arange(len(keys)) - np.searchsorted(blocks, blocks)
    bits = code[place]

    layers = max(1, int(code.max()).bit_length())
    v = np.arange(n)
    edges = [np.column_stack([v + n * l, v + n * (l + 1)]) for l in range(layers - 1)]
    for l in range(layers):
        lit = (bits >> l) & 1 == 1
        edges.append(np.column_stack([i[lit], j[lit]]) + n * l)
    graph = igraph.Graph(n * layers, edges=np.concatenate(edges))
    return graph, (np.arange(layers)[:, None] * n + colours[None, :]).ravel().tolist()


def _gram(rows: Float[np.ndarray, "k d"]) -> Float[np.ndarray, "k k"]:
    gram = rows @ rows.T
    return (gram + gram.T) / 2  # BLAS need not round both triangles alike


def check_tolerance(tolerance: float) -> None:
    """Refuse a tolerance that is not a number strictly between 0 and 1."""
    if not 0 < tolerance < 1:
        raise ValueError(
            f"The tolerance must lie strictly between 0 and 1, as it is relative to the longest "
            f"row: {tolerance=}. Pass e.g. `tolerance=1e-6`."
        )


def _weights(
    whose: str, name: str, inner: np.ndarray | Network, outer: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray | None]:
    """Inner and outer weights as arrays, whether they come apart or as a network."""
    if not isinstance(inner, Network):
        return np.asarray(unmasked("inner", inner)), outer
    if outer is not None:
        raise ValueError(
            f"The {whose} is a network, which has outer weights, but `{name}` was given as well. "
            f"Leave it out, or pass `np.asarray(network.inner)`."
        )
    if inner.bias is not None:
        raise ValueError(
            f"Symmetry is known for networks without biases, but the {whose} has {inner.neurons} "
            f"of them. Pass `np.asarray(network.inner)` if they do not matter."
        )
    return np.asarray(inner.inner), np.asarray(inner.outer)


def _check_rows(whose: str, name: str, rows: np.ndarray) -> None:
    if rows.ndim != 2 or rows.size == 0:
        raise ValueError(
            f"A {whose} is a matrix with one row per neuron, at least one neuron and one input: "
            f"{name}.shape={rows.shape}. Pass a single neuron w as `w[None, :]`."
        )
    _check_finite(whose, name, rows)


def _checked_heads(whose: str, name: str, heads: np.ndarray | None, count: int) -> np.ndarray:
    if heads is None:
        return np.ones(count)
    if heads.ndim not in (1, 2) or heads.shape[0] != count:
        raise ValueError(
            f"The {whose} has {count} neurons but {name}.shape={heads.shape}. Pass one outer "
            f"weight per neuron, or `None` if all are 1."
        )
    _check_finite(whose, name, heads)
    return heads


def _check_finite(whose: str, name: str, values: np.ndarray) -> None:
    bad = np.argwhere(~np.isfinite(values))
    if len(bad):
        where = tuple(int(b) for b in bad[0])
        raise ValueError(
            f"The {whose} has entries that are not finite: {name}[{', '.join(map(str, where))}]="
            f"{values[where]}. Drop the point, or train it again with a smaller step."
        )
