r"""Split neurons: why adding one neuron turns a critical point into a saddle.

Replace a neuron w of a critical point by parallel ones $t_1 w, \dots, t_q w$, with $t_a > 0$ and
$\sum t_a = 1$. The network stays what it is, and so does the gradient at each part, as
$\nabla_w L = E\,(f - y)\,\sigma'(w \cdot x)\,x$ depends on the direction of w only: all points of
this simplex are critical, with the same loss.

The loss is C² there, and C³ it is not. With φ = π − θ, its second derivatives at parallel u, v are
those of the overlap, $\partial_{uu} K = 0$ and $\partial_{uv} K = \frac12 I$, from whichever side.
Move part a by ε and part b by −ε. Of the Hessian's block at a neuron $t w$ the term ½ I is from the
neuron itself, and the rest, $H'/t$, is homogeneous of degree −1 in it. The terms ½ I cancel,

$$ \tfrac12|\epsilon|^2 + \tfrac12|\epsilon|^2 - 2 \cdot \tfrac12|\epsilon|^2
   + \Bigl(\frac1{t_a} + \frac1{t_b}\Bigr)\,\epsilon^\top H' \epsilon, $$

and what is left has the sign of $\epsilon^\top H' \epsilon$, where H' = H_w − ½ I and H_w is the
Hessian's block at w *before* it was split. There no two neurons are parallel, and balls decide. On
w itself the block is ½ |w|², positive: such a point is no maximum, either.

Splitting other neurons as well changes nothing in this, since H' has the others' directions and the
sums of their lengths in it. One neuron more is enough, and so is every larger number.

**Source.** safranyehudaishamir2020, where H'_ii with a negative eigenvalue is a condition that is
checked in floats.
"""

import dataclasses
from typing import Any, ClassVar

import numpy as np

import shallows
from shallows.certify._balls import between
from shallows.certify.certificate import Certificate, Descent
from shallows.certify.descent import proved
from shallows.certify.document import agrees, opened, sealed, well_formed
from shallows.certify.prove import certify
from shallows.certify.verdict import AbstractStated, Verdict
from shallows.symmetry import Balls, Blocks, ReducedLoss
from shallows.symmetry.arithmetic import Numbers


@dataclasses.dataclass(frozen=True)
class Separation:
    """A direction ε with ε·H'ε < 0, for each neuron of one block."""

    row: int
    """The block."""
    descent: Descent
    """ε, as a matrix with one row that is not zero; the Hessian is that before splitting, less
    ½ I."""


@dataclasses.dataclass(frozen=True, repr=False)
class SplittingCertificate(AbstractStated):
    """That splitting neurons of a critical point makes saddles of it."""

    core: Certificate
    """The point before."""
    separations: tuple[Separation, ...]
    """For each block of which a neuron may be split."""
    version: str = shallows.__version__
    schema: ClassVar[str] = "shallows-splitting/1"

    @property
    def verdict(self) -> Verdict:
        """`PROVED` if there is a block whose neurons can be split."""
        is_proved = self.core.verdict is Verdict.PROVED and self.separations
        return Verdict.PROVED if is_proved else Verdict.UNDECIDED

    @property
    def hypotheses(self) -> tuple[str, ...]:
        """Those of the core."""
        return self.core.hypotheses

    @property
    def statement(self) -> str:
        """In words."""
        if self.verdict is not Verdict.PROVED:
            return "Nothing was proved: no direction that separates parts of a neuron descends."
        blocks, sizes = self.core.rows, self.core.sizes
        named = [s.row for s in self.separations]
        which = "any neurons" if sorted(named) == list(range(len(blocks))) else "neurons"
        listed = ", ".join(f"{row} (of {sizes[blocks[row]]})" for row in named)
        quotients = " and ".join(
            f"[{s.descent.quotient[0]}, {s.descent.quotient[1]}] for block {s.row}"
            for s in self.separations
        )
        return (
            f"{self.core.statement} Split {which} w of this point into parallel ones t₁w, t₂w, … "
            f"with positive shares t that sum to 1, among them at least one of the neurons of "
            f"blocks {listed}. For all shares, and whatever the number of neurons becomes, the "
            f"result is a critical point with the same loss, and a saddle: along +ε at one part "
            f"and −ε at another of such a neuron, with the given ε, the second derivative of the "
            f"loss is (1/t + 1/t′) ε·H′ε, and ε·H′ε/|ε|² lies in {quotients}. Along the shares "
            f"the loss is constant: these saddles are degenerate, and not isolated."
        )

    def as_json(self) -> dict[str, Any]:
        """The document, with a digest of its contents."""
        body = {
            "schema": self.schema,
            "version": self.version,
            "verdict": self.verdict.value,
            "statement": self.statement,
            "core": self.core.as_json(),
            "separations": [dataclasses.asdict(s) for s in self.separations],
        }
        return sealed(body)

    @classmethod
    def from_json(cls, document: Any) -> "SplittingCertificate":
        """The certificate in a document.

        **Raises.** `ValueError`: of another schema, altered, malformed, or with other words.
        """
        body = opened(document, cls.schema)
        with well_formed():
            made = cls(
                core=Certificate.from_json(body["core"]),
                separations=tuple(
                    Separation(int(s["row"]), Descent.from_json(s["descent"]))
                    for s in body["separations"]
                ),
                version=str(body["version"]),
            )
            agrees(body, made)
        return made


def certify_splitting(
    loss: ReducedLoss, point: Numbers, *, bits: int, rows: tuple[int, ...] | None = None
) -> SplittingCertificate:
    """Prove that splitting neurons of the critical point next to `point` makes a saddle of it.

    `rows` are the blocks of which a neuron may be split (all by default). For each, ε is looked
    for among what the group leaves in place that fixes the neuron; where none descends, or the
    point is not proved, the verdict is `UNDECIDED`.

    **Raises.** `ValueError` where `certify` does, and for a block that there is not.
    **Cost.** Twice that of `certify`.
    """
    blocks = Blocks(loss.blocks.whole(), loss.blocks.rows, loss.blocks.columns)
    chosen = tuple(range(len(blocks.rows))) if rows is None else rows
    if not chosen or any(not 0 <= row < len(blocks.rows) for row in chosen):
        raise ValueError(
            f"There are blocks 0 to {len(blocks.rows) - 1} of neurons, but `rows` is {chosen}. "
            f"Leave it out to split all."
        )
    core = certify(loss, point, bits=bits)
    if core.verdict is not Verdict.PROVED:
        return SplittingCertificate(core, ())
    numbers = Balls(bits)
    exact = ReducedLoss(blocks)
    with numbers.precision():
        box = numbers.numbers([between(*pair) for pair in core.weights])
        found = [_separation(exact, box, row, numbers) for row in chosen]
    return SplittingCertificate(
        core, tuple(s for s in found if s is not None) if all(found) else ()
    )


def _separation(loss: ReducedLoss, box: np.ndarray, row: int, numbers: Balls) -> Separation | None:
    """Close to the eigenvector of the smallest eigenvalue of H' that the neuron's group fixes."""
    factor = loss.blocks.rows[row]
    fixed = {} if loss.blocks.is_single[factor] else {factor: 1}
    fine, split = loss.split(fixed)
    own = [
        i
        for i, (coarse, places) in enumerate(zip(split.coarse, split.places, strict=True))
        if loss.blocks.orbits[coarse].row == row and places[0] == len(fixed)
    ]
    metric = np.sqrt([float(fine.blocks.counts[i]) for i in own])
    hessian = fine.hessian(box[split.coarse], numbers)[np.ix_(own, own)]
    table = np.vectorize(float, otypes=[float])(hessian) / metric[:, None] / metric
    vector = np.zeros(len(fine.blocks.orbits))
    vector[own] = np.linalg.eigh(table)[1][:, 0] / metric
    descent = proved(loss, box, fixed, vector, numbers, less="0.5")
    return None if descent is None else Separation(row, descent)
