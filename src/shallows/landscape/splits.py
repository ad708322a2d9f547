r"""Split neurons: lines of students that compute one function, and the Hessian along them.

Replace a neuron w with head a by two that compute the same,
$\lambda\, a\, \sigma(w \cdot x) + (1 - \lambda)\, a\, \sigma(w \cdot x)$, as neurons
$|\lambda| w$ and $|1 - \lambda| w$ with heads $a$ times the sign of λ and of 1 − λ. Outside [0, 1]
one copy has the opposite head. Loss and network are constant for all real λ, and where the student
was a critical point, all of the line is critical.

The Hessian is not constant. Of its block at w the part $C = a^2\, E\, \sigma'^2 x x^\top$ depends
on the direction of w only; the rest, H', comes from σ'' and is homogeneous of degree −1. With δ the
copies' movements times the signs of their heads, $\delta_1 = \lambda \delta + \eta$ and
$\delta_2 = (1 - \lambda) \delta - \eta$ bring the Hessian to

$$ H \oplus \frac{1}{\lambda (1 - \lambda)} H', $$

H that of the student before. So by Sylvester's law the line is a saddle wherever H' has, between 0
and 1, a negative eigenvalue, and outside, a positive one; H' w = 0 is the line itself.

**Source.** Fukumizu & Amari (2000) for trained heads; safranyehudaishamir2020 for H' inside.
"""

import dataclasses
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int

from shallows import notebook
from shallows.landscape.loss import SquaredLoss
from shallows.model import Network

_RESOLUTION = 1e-9
"""Eigenvalues of size below this, relative to the largest, count as zero."""


@dataclasses.dataclass(frozen=True, eq=False)
class NeuronSplit:
    """A student with one neuron split in two, in all ways.

    **Raises.** `ValueError` for a neuron that there is not, one that is zero, heads that are
    trained, dropout, and losses without Hessian.
    """

    loss: SquaredLoss
    student: Network
    neuron: int

    def __post_init__(self):
        k = self.student.inner.shape[-2]
        if not 0 <= self.neuron < k:
            raise ValueError(
                f"There are neurons 0 to {k - 1}, but number {self.neuron} is to be split. "
                f"Name one of them."
            )
        if self.loss.trained.is_everything:
            raise ValueError(
                "The Hessian along a split is that in neurons, but here heads are trained, too. "
                "Use `SquaredLoss(teacher, law)`."
            )
        if self.loss.dropout is not None:
            raise ValueError(
                "The loss is constant along a split, but with dropout it is not: two masks make "
                "less noise than one. Leave `dropout` out."
            )
        self.loss.hessian(self.student)  # raises where there is none

    def at(self, share: float | int) -> Network:
        """The student in which the copies have the shares λ and 1 − λ; the second copy is last.

        **Raises.** `ValueError` at 0 and 1, where one copy is zero.
        """
        if share in (0, 1) or not np.isfinite(share):
            raise ValueError(
                f"With the share {share} a copy is zero or infinite, where there is no Hessian. "
                f"Use another one, e.g. 0.5."
            )
        w, a = np.array(self.student.inner), np.array(self.student.outer)
        split, head, i = w[self.neuron].copy(), a[self.neuron], self.neuron
        w[i], a[i] = abs(share) * split, np.sign(share) * head
        return Network(
            np.vstack([w, abs(1 - share) * split]),
            np.append(a, np.sign(1 - share) * head),
            activation=self.student.activation,
        )

    def eigenvalues(self, share: float | int) -> Float[np.ndarray, " n"]:
        """Those of the dense Hessian at this share, in increasing order."""
        return np.linalg.eigvalsh(np.asarray(self.loss.hessian(self.at(share))))

    def kernel(self) -> Float[np.ndarray, "d d"]:
        """H': the Hessian's block at the neuron without C.

        It is half the difference of two blocks at share ½, H'/½ + C and C, so that no law and no
        activation enters.
        """
        wide = self.at(0.5)
        k, d = wide.inner.shape
        hessian = np.asarray(self.loss.hessian(wide)).reshape(k, d, k, d)
        i, j = self.neuron, k - 1
        found = (hessian[i, :, i] - hessian[i, :, j]) / 2
        return (found + found.T) / 2

    def signature(self) -> "Signature":
        """How many eigenvalues have which sign, on the whole line, by the decomposition above.

        **Accuracy.** Signs of floating-point eigenvalues, zero up to 1e-9 of the largest. **Cost.**
        Two dense spectra, whatever the number of shares.
        """
        before = np.linalg.eigvalsh(np.asarray(self.loss.hessian(self.student)))
        kernel = np.linalg.eigvalsh(self.kernel())
        negative, positive = _signs(before)
        below, above = _signs(kernel)
        return Signature(
            before=negative,
            inside=negative + below,
            outside=negative + above,
            flat=len(before) - negative - positive + len(kernel) - below - above,
            kernel=tuple(float(x) for x in kernel),
        )

    def along(self, shares: Float[np.ndarray, " n"]) -> "SplitLine":
        """Loss and Hessian spectrum at each share."""
        wide = [self.at(float(s)) for s in shares]
        spectra = np.stack([self.eigenvalues(float(s)) for s in shares])
        values = [float(self.loss.value_at(jnp.asarray(n.inner), n.outer)) for n in wide]
        return SplitLine(self, np.asarray(shares), np.array(values), spectra, self.signature())


@dataclasses.dataclass(frozen=True)
class Signature:
    """Numbers of eigenvalues along a split, by theory."""

    before: int
    """Negative ones of the student that is not split."""
    inside: int
    """Negative ones for 0 < λ < 1."""
    outside: int
    """Negative ones for λ < 0 and for λ > 1."""
    flat: int
    """Those that are zero, on the whole line; the line itself is one."""
    kernel: tuple[float, ...]
    """The eigenvalues of H'."""


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class SplitLine(notebook.AbstractTable):
    """A split at some shares."""

    split: NeuronSplit
    shares: Float[np.ndarray, " n"]
    loss: Float[np.ndarray, " n"]
    spectra: Float[np.ndarray, "n p"]
    signature: Signature

    @property
    def negative(self) -> Int[np.ndarray, " n"]:
        """How many eigenvalues are negative at each share, counted in the dense spectra."""
        return np.array([_signs(values)[0] for values in self.spectra])

    def __repr__(self) -> str:
        found = self.signature
        return (
            f"SplitLine(neuron {self.split.neuron} at {len(self.shares)} shares: {found.inside} "
            f"negative eigenvalues between 0 and 1, {found.outside} outside)"
        )

    def _columns(self) -> notebook.Columns:
        return {
            "share": self.shares,
            "loss": self.loss,
            "smallest_eigenvalue": self.spectra[:, 0],
            "negative": self.negative,
        }

    def to_xarray(self) -> Any:
        """An `xarray.Dataset` of loss and Hessian eigenvalues over the shares.

        **Raises.** `ValueError` if xarray is not installed.
        """
        arrays = {"loss": (("share",), self.loss), "spectrum": (("share", "number"), self.spectra)}
        return notebook.dataset(arrays, {"share": self.shares})


def _signs(values: np.ndarray) -> tuple[int, int]:
    """How many values are negative, and how many positive."""
    small = _RESOLUTION * float(np.max(np.abs(values)))
    return int(np.sum(values < -small)), int(np.sum(values > small))
