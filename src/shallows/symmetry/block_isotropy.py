"""Isotropy groups of block-symmetric students, at any size."""

import math
from collections import Counter
from math import factorial, prod

import numpy as np

from shallows.symmetry.arithmetic import Numbers
from shallows.symmetry.blocks import Blocks
from shallows.symmetry.canonical import is_flipped
from shallows.symmetry.configuration import coloured_graph, configuration
from shallows.symmetry.isotropy import factors_of, name_of, number, written

_EXACT = 40
"""Neurons up to which groups are found on the matrix itself."""


def block_isotropy(
    blocks: Blocks, point: Numbers, *, tolerance: float = 1e-9
) -> tuple[str, int | float]:
    """What `isotropy` calls the group of a block-symmetric student, and its flipped neurons.

    It is found on a small matrix with the same values in blocks of other sizes, so that blocks may
    have any real size, and called by the true ones. Where the group is no product (as where two
    blocks can be exchanged), it is called by its order up to 40 neurons, and beyond by the
    product that it contains.

    **Domain.** An orthonormal teacher with a neuron for each input.

    **Accuracy.** Entries x are equal if asinh(k x) is, to `tolerance` times asinh k: as are entries
    of order 1 and of order 1/k that agree to about ten digits.
    """
    k = float(blocks.neurons)
    is_small = k <= _EXACT and all(float(n).is_integer() for n in blocks.sizes)
    model = blocks if is_small else blocks.resized(_model_sizes(blocks))
    spread = [math.asinh(k * float(x)) / math.asinh(k) for x in point]
    checked = configuration(model.embed(spread).astype(float), None, None, None)
    graph = coloured_graph(checked, tolerance)
    weights = [
        [
            float(n) / float(m)
            for n, m in ((blocks.sizes[f], model.sizes[f]) for f in factors)
            for _ in range(round(float(m)))
        ]
        for factors in (blocks.rows, blocks.columns)
    ]
    small, true = factors_of(graph), factors_of(graph, np.concatenate(weights))
    flips = is_flipped(model.embed([float(x) for x in point]).astype(float))
    flipped = number(float(np.sum(flips * weights[0])))
    if graph.order == prod(factorial(round(p)) for p, _, _ in small.elements()):
        return name_of(true), flipped
    if is_small:
        return f"non-product of order {written(graph.order)}", flipped
    own = Counter((number(float(blocks.sizes[f])), 1, 1) for f in blocks.rows)
    return f"non-product ⊃ {name_of(own)}", flipped


def _model_sizes(blocks: Blocks) -> list[int]:
    """Small sizes, equal ones where the true ones are; sums of different ones are different."""
    moved = {n for n, one in zip(blocks.sizes, blocks.is_single, strict=True) if not one}
    small = {n: 2 ** (i + 2) + i for i, n in enumerate(sorted(moved, key=float))}
    return [1 if one else small[n] for n, one in zip(blocks.sizes, blocks.is_single, strict=True)]
