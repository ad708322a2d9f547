r"""The loss in all weights, in balls, with sums over neurons as products of matrices.

With $\bar w$ = w/|w| the second derivatives of the overlap of two neurons are

$$ 2\pi\,\partial_{uu} K = \tfrac{|v|}{|u|}\sin\theta\,(I - \bar u\bar u^\top + nn^\top), \qquad
   2\pi\,\partial_{uv} K = (\pi - \theta) I + n'\bar v^\top + n \bar u^\top, $$

where $n = (\bar v - \cos\theta\,\bar u)/\sin\theta$ and $n'$ is the same with u and v exchanged.
Sums over neurons are products of matrices of balls, which cost little more than those of floats.
"""

from collections.abc import Sequence
from typing import Any

from flint import arb, arb_mat


class DenseLoss:
    """½ Σ cᵢ cⱼ K(uᵢ, uⱼ) over students and teachers, and its derivatives, in balls."""

    def __init__(self, outer: Sequence[str], teacher: Any, teacher_outer: Sequence[str]):
        self.heads = [arb(text) for text in outer] + [-arb(text) for text in teacher_outer]
        self.teacher = [[arb(text) for text in row] for row in teacher]

    def _gram(self, w: arb_mat):
        """All neurons, their inner products, and their lengths."""
        rows = [*w.tolist(), *self.teacher]
        gram = (arb_mat(rows) * arb_mat(rows).transpose()).tolist()
        norms = [gram[i][i].sqrt() for i in range(len(rows))]
        return rows, gram, norms

    def gradient(self, w: arb_mat) -> arb_mat:
        """One column: all weights, row after row."""
        n = w.nrows()
        rows, gram, norms = self._gram(w)
        pi, many = arb.pi(), len(rows)
        on = [[arb(0)] * many for _ in range(n)]
        for i in range(n):
            for j in range(many):
                share = self.heads[i] * self.heads[j] / (2 * pi)
                if i == j:
                    on[i][i] += share * pi
                elif not norms[j].is_zero():
                    cosine = gram[i][j] / (norms[i] * norms[j])
                    sine = (1 - cosine * cosine).sqrt()
                    on[i][i] += share * sine * norms[j] / norms[i]
                    on[i][j] += share * (pi - cosine.acos())
        return arb_mat([[x] for x in (arb_mat(on) * arb_mat(rows)).entries()])

    def value(self, w: arb_mat) -> arb:
        """The loss."""
        _, gram, norms = self._gram(w)
        total = arb(0)
        for i, mine in enumerate(norms):
            total += self.heads[i] ** 2 * mine**2 / 4
            for j in range(i):
                length = mine * norms[j]
                if length.is_zero():
                    continue
                share = self.heads[i] * self.heads[j] * length / (2 * arb.pi())
                total += share * _profile(gram[i][j] / length)
        return total

    def hessian(self, w: arb_mat) -> arb_mat:
        """In all weights, row after row."""
        n, d = w.nrows(), w.ncols()
        rows, gram, norms = self._gram(w)
        unit = [
            [x / size for x in row] if not size.is_zero() else row
            for row, size in zip(rows, norms, strict=True)
        ]
        pi = arb.pi()
        table = [[arb(0)] * (n * d) for _ in range(n * d)]
        for i in range(n):
            upon = arb(0)
            across, weight = [], []
            for j in range(len(rows)):
                if j == i or norms[j].is_zero():
                    continue
                share = self.heads[i] * self.heads[j] / (2 * pi)
                cosine = gram[i][j] / (norms[i] * norms[j])
                sine = (1 - cosine * cosine).sqrt()
                mine = [(y - cosine * x) / sine for x, y in zip(unit[i], unit[j], strict=True)]
                curvature = share * sine * norms[j] / norms[i]
                upon += curvature
                across.append(mine)
                weight.append(curvature)
                if i < j < n:
                    yours = [(x - cosine * y) / sine for x, y in zip(unit[i], unit[j], strict=True)]
                    turned = arb_mat([yours, mine]).transpose() * arb_mat([unit[j], unit[i]])
                    _put(table, i, j, turned, share, share * (pi - cosine.acos()))
            # Σ weight (I − ūūᵀ + nnᵀ), and 1/2 for the neuron itself.
            across.append(unit[i])
            weight.append(-upon)
            columns = [[c * x for x in row] for c, row in zip(weight, across, strict=True)]
            own = arb_mat(columns).transpose() * arb_mat(across)
            _put(table, i, i, own, arb(1), upon + self.heads[i] ** 2 / 2)
        return arb_mat(table)


def _profile(cosine: arb) -> arb:
    """The overlap of unit vectors, times 2π. It grows with the cosine, also where θ is 0 or π."""
    ends = []
    for end in (cosine.lower(), cosine.upper()):
        c = max(arb(-1), min(arb(1), arb(end)))
        ends.append(((1 - c) * (1 + c)).sqrt() + (arb.pi() - c.acos()) * c)
    return ends[0].union(ends[1])


def _put(table, i: int, j: int, block: arb_mat, factor: arb, diagonal: arb) -> None:
    """Write factor × block + diagonal × I at places (i, j) and (j, i) of the table of blocks."""
    d = block.nrows()
    for p, row in enumerate(block.tolist()):
        for q, x in enumerate(row):
            value = factor * x + diagonal if p == q else factor * x
            table[i * d + p][j * d + q] = value
            table[j * d + q][i * d + p] = value
