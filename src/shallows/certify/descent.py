"""Directions of descent: an eigenvector in short decimals, and what is proved of these."""

import math
from collections.abc import Mapping

import numpy as np
from flint import arb

from shallows.certify._balls import enclosure
from shallows.certify.certificate import Descent, Entry
from shallows.symmetry import Balls, Component, ReducedLoss, Representation


def steepest(
    loss: ReducedLoss, point: np.ndarray, parts: tuple[Component, ...], numbers: Balls
) -> Descent | None:
    """Close to the eigenvector of the smallest Hessian eigenvalue, if that is negative."""
    found = [(np.linalg.eigvalsh(_floats(part.matrix))[0], part) for part in parts]
    _, part = min(found, key=lambda pair: pair[0])
    vector = np.linalg.eigh(_floats(part.matrix))[1][:, 0] @ _floats(part.vectors)
    return proved(loss, point, _fixed(part), vector, numbers)


def proved(
    loss: ReducedLoss,
    point: np.ndarray,
    fixed: Mapping[int, int],
    vector: np.ndarray,
    numbers: Balls,
    less: str = "0",
) -> Descent | None:
    """The direction along a vector of the blocks with these places fixed, in short decimals.

    The quotient is that of the Hessian less a multiple of the identity; None if it is not certain
    to be negative.
    """
    fine, split = loss.split(fixed)
    # Rounding errors count k/4 times, twice: that is the Hessian's largest eigenvalue.
    digits = 6 + math.ceil(math.log10(sum(loss.blocks.sizes)) / 2)
    largest = float(np.max(np.abs(vector)))
    texts = [f"{x / largest:.{digits - 1}e}" for x in vector]
    along = numbers.numbers([arb(text) for text in texts])
    square = np.sum(numbers.numbers(fine.blocks.counts) * along * along)
    value = along @ fine.hessian(point[split.coarse], numbers) @ along / square - arb(less)
    if not value < 0:
        return None
    entries = []
    for text, (place, position), coarse in zip(texts, split.places, split.coarse, strict=True):
        orbit = loss.blocks.orbits[coarse]
        if float(text):
            entries.append(
                Entry(orbit.row, place, orbit.column, position, orbit.is_diagonal, _short(text))
            )
    places = tuple(fixed.get(f, 0) for f in range(len(loss.blocks.sizes)))
    return Descent(places, tuple(entries), enclosure(value))


def _short(text: str) -> str:
    """The same number without zeros that say nothing."""
    mantissa, _, exponent = text.partition("e")
    mantissa = mantissa.rstrip("0").rstrip(".")
    return f"{mantissa}E{int(exponent)}" if int(exponent) else mantissa


def _fixed(part: Component) -> dict[int, int]:
    """The places that have to be fixed for a component's vectors to be."""
    two = part.representation in (Representation.exterior, Representation.two_row)
    return dict.fromkeys(part.factors, 2 if two else 1)


def _floats(values: np.ndarray) -> np.ndarray:
    return np.vectorize(float, otypes=[float])(values)
