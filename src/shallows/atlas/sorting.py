"""End points of training, sorted into critical points up to relabelling, and what these are."""

import dataclasses
import functools
import math
from collections import Counter
from collections.abc import Callable

import jax.numpy as jnp
import numpy as np
import scipy.linalg
import scipy.sparse.linalg

from shallows.atlas.catalogue import Curve, Family, Kind, Level
from shallows.atlas.naming import ZERO_LOSS, family_name
from shallows.landscape import SquaredLoss
from shallows.model import Gaussian, Sample, relu
from shallows.solve import ZERO, Outcome, has_continuum, teacher_power
from shallows.symmetry import (
    Canonical,
    canonical,
    distance_up_to_relabelling,
    flipped_neurons,
    matched_distance,
)

# Frobenius distance, relative to the norm of the weights, below which two end points are one
# critical point. Safran, Yehudai & Shamir (2020) used 1e-6, too.
SAME = 1e-6

# Parameters above which the full spectrum of a Hessian is not computed, only its ends.
_FULL_SPECTRUM = 3000


@dataclasses.dataclass
class Pile:
    """A family in the making."""

    point: Canonical
    inner: np.ndarray
    outer: np.ndarray
    loss: float
    start: int
    steps: int
    is_global: bool
    count: int = 0
    gradient_norm: float = 0.0
    spread: float = 0.0


class Sorter:
    """Sorts end points into families, block by block; the first that finds one represents it."""

    def __init__(self, loss: SquaredLoss):
        self.loss = loss
        teacher = loss.teacher
        # The geometry in which relabellings act is the law's; only there is the standard
        # basis as a teacher the standard basis.
        self.whiten = lambda w: np.asarray(loss.law.whiten(jnp.asarray(w)))
        self.parity = loss.activation.parity
        basis = np.asarray(teacher.inner)
        self.is_standard = (
            not isinstance(loss.law, Sample)
            and getattr(loss.law, "root", None) is None
            and np.array_equal(basis, np.eye(*basis.shape))
            and basis.shape[0] == basis.shape[1]
        )
        self.basis = None if self.is_standard else self.whiten(basis)
        heads = np.asarray(teacher.outer)
        self.teacher_heads = None if np.all(heads == 1) else heads
        # The problem whose families are known, so that names can be checked by the loss.
        self.has_families = (
            self.is_standard
            and isinstance(loss.law, Gaussian)
            and self.teacher_heads is None
            and teacher.outputs is None
            and not loss.trained.is_everything
            and loss.activation == relu
            and loss.dropout is None
        )
        self.has_continuum = functools.cache(functools.partial(has_continuum, loss))
        self.size = teacher_power(loss)
        self.piles: list[Pile] = []
        self.unsettled: Counter[str] = Counter()
        self.settled = 0

    def add(self, table) -> None:
        """Sort the end points of a block into the families."""
        k = table["inner"].shape[1] // self.loss.law.inputs
        shape = (k,) if self.loss.teacher.outputs is None else (k, -1)
        for row in range(len(table["start"])):
            outcome = str(table["outcome"][row])
            if outcome not in (Outcome.settled.name, Outcome.reached_zero.name):
                self.unsettled[outcome] += 1
                continue
            self.settled += 1
            self.place(
                table["inner"][row].reshape(k, -1),
                table["outer"][row].reshape(shape),
                float(table["loss"][row]),
                int(table["start"][row]),
                int(table["steps"][row]),
                float(table["gradient_norm"][row]),
            )

    def place(self, inner, outer, loss, start, steps, size) -> Pile:
        """The family of an end point, which counts one more from now on."""
        rows, outer_up_to_sign = self._rows(inner, outer)
        has_heads = self.teacher_heads is not None or not np.all(outer_up_to_sign == 1)
        heads = outer_up_to_sign if has_heads else None
        # Zero loss with neurons or heads to spare is a continuum, and one family.
        has_valley = self.has_continuum(inner.shape[0])
        is_global = loss <= (ZERO if has_valley else ZERO_LOSS) * self.size
        pile: Pile | None = None
        distance = 0.0
        if has_valley and is_global:
            pile = next((pile for pile in self.piles if pile.is_global), None)
        if pile is None:
            pile, distance = self._known(rows, heads, loss, SAME * float(np.linalg.norm(inner)))
        if pile is None:
            theirs = None if heads is None else np.asarray(self.loss.teacher.outer)
            point = canonical(rows, self.basis, heads, theirs)
            pile = Pile(point, inner, outer, loss, start, steps, is_global)
            self.piles.append(pile)
        pile.count += 1
        pile.gradient_norm = max(pile.gradient_norm, size)
        pile.spread = max(pile.spread, distance)
        return pile

    def _known(self, rows, heads, loss, limit) -> tuple[Pile | None, float]:
        """The family that an end point belongs to, and its distance from what represents it."""
        near = [pile for pile in self.piles if abs(pile.loss - loss) <= 1e-8 * self.size]
        if self.is_standard and heads is None:
            # Nearly all are told by one relabelling; canonical forms take as long as training.
            for pile in near:
                distance = matched_distance(pile.point.inner, rows)
                if distance <= limit:
                    return pile, distance
        theirs = None if heads is None else np.asarray(self.loss.teacher.outer)
        for pile in near:
            known, outer = self._rows(pile.inner, pile.outer)
            mine = None if heads is None else outer
            distance = distance_up_to_relabelling(known, rows, self.basis, mine, heads, theirs)
            if distance <= limit:
                return pile, distance
        return None, 0.0

    def _rows(self, inner, outer) -> tuple[np.ndarray, np.ndarray]:
        """Neurons in the law's geometry, and heads, without the signs that cannot matter.

        For an even σ those of neurons and, as seen by a standard basis, those of inputs: what is
        left are absolute values. For an odd σ with trained heads, those of heads.
        """
        rows = inner if self.is_standard else self.whiten(inner)
        if self.parity > 0 and self.is_standard:
            return np.abs(rows), outer
        if self.parity > 0:
            largest = np.argmax(
                np.abs(rows) > (1 - 1e-6) * np.abs(rows).max(axis=1)[:, None], axis=1
            )
            return rows * np.sign(rows[np.arange(len(rows)), largest])[:, None], outer
        if self.parity < 0 and self.loss.trained.is_everything:
            signs = np.where(_leading(outer) < 0, -1.0, 1.0)
            return rows * signs[:, None], (outer.T * signs).T
        return rows, outer

    def families(
        self, curve: Callable[[Pile], Curve] = lambda pile: Curve((), (), ())
    ) -> tuple[Family, ...]:
        """The finished catalogue, most frequent first; `curve` trains once more."""
        seen: Counter[str] = Counter()
        made = []
        for pile in sorted(self.piles, key=lambda m: (-m.count, m.loss)):
            family = self._family(pile, curve)
            seen[family.name] += 1
            if seen[family.name] > 1:
                family = dataclasses.replace(family, name=f"{family.name}#{seen[family.name]}")
            made.append(family)
        return tuple(made)

    def _family(self, pile: Pile, curve: Callable[[Pile], Curve]) -> Family:
        point, loss = pile.point, self.loss
        flipped = flipped_neurons(self._rows(pile.inner, pile.outer)[0], self.basis)
        spectrum, kind = spectrum_of(loss, pile.inner, pile.outer)
        has_spare = not loss.trained.is_everything and has_continuum(loss, len(pile.outer))
        has_spare |= len(pile.outer) > loss.teacher.neurons
        if pile.is_global and (has_spare or kind is Kind.saddle):
            kind = Kind.degenerate  # whatever the sign of an eigenvalue near zero
        inner = pile.inner[point.neurons]
        if self.is_standard:
            inner = inner[:, point.inputs]
        return Family(
            name=family_name(
                point.isotropy,
                flipped,
                len(pile.outer),
                loss.teacher.neurons,
                is_global=pile.is_global,
                loss=pile.loss if self.has_families else None,
            ),
            isotropy=point.isotropy.name,
            isotropy_order=point.isotropy.order,
            flipped=flipped,
            count=pile.count,
            loss=max(pile.loss, 0.0),  # rounding may leave a zero at -1e-15
            smallest_eigenvalue=spectrum[0].eigenvalue,
            kind=kind,
            gradient_norm=pile.gradient_norm,
            weights=inner,
            outer=pile.outer[point.neurons],
            spectrum=spectrum,
            curve=curve(pile),
            first_start=pile.start,
            spread=pile.spread,
        )


def spectrum_of(loss: SquaredLoss, inner, outer) -> tuple[tuple[Level, ...], Kind]:
    """Hessian eigenvalues in increasing order, grouped, and what they make of the point."""
    w, a = jnp.asarray(inner), jnp.asarray(outer)
    if loss.trained.join(w, a).size <= _FULL_SPECTRUM:
        hessian = np.asarray(loss.cell_hessian_at(w, a))
        if loss.trained.is_everything and loss.activation.is_homogeneous:
            slice_ = _slice(inner, outer)
            hessian = slice_.T @ hessian @ slice_
        values = np.linalg.eigvalsh(hessian)
    else:
        values = _ends(loss, w, a)
    largest = float(np.max(np.abs(values)))
    resolution = 1e-9 * largest
    if values[0] < -resolution:
        kind = Kind.saddle
    else:
        kind = Kind.minimum if values[0] > resolution else Kind.degenerate
    starts = np.flatnonzero(np.diff(values, prepend=-np.inf) > 1e-8 * largest)
    groups = np.split(values, starts[1:])
    return tuple(Level(float(np.mean(g)), len(g)) for g in groups), kind


def _leading(outer) -> np.ndarray:
    """Outer weights, or of rows the entry of largest absolute value."""
    rows = outer.reshape(len(outer), -1)
    return rows[np.arange(len(rows)), np.argmax(np.abs(rows), axis=1)]


def _slice(inner, outer) -> np.ndarray:
    """An orthonormal basis of the directions that do not rescale a neuron (a/s, s w)."""
    k, d = inner.shape
    heads = outer.reshape(k, -1)
    tangents = np.zeros((k, k, d + heads.shape[1]))
    tangents[np.arange(k), np.arange(k), :d] = inner
    tangents[np.arange(k), np.arange(k), d:] = -heads
    return scipy.linalg.null_space(tangents.reshape(k, -1))


def _ends(loss: SquaredLoss, w, a) -> np.ndarray:
    """The six smallest and the six largest eigenvalues, by Lanczos; no dense Hessian."""
    shape = loss.trained.join(w, a).shape
    size = math.prod(shape)

    def product(x):
        return np.asarray(loss.product_at(w, a, x.reshape(shape))).ravel()

    operator = scipy.sparse.linalg.LinearOperator((size, size), matvec=product, dtype=float)
    first = np.cos(np.arange(size))  # a fixed start: the same answer every time
    both = scipy.sparse.linalg.eigsh(
        operator, k=12, which="BE", v0=first, return_eigenvectors=False
    )
    return np.sort(both)
