"""Convex programs of networks with batch normalisation, before or after the ReLU."""

import numpy as np
from jaxtyping import Float

from shallows.landscape.convex.losses import AbstractLoss
from shallows.landscape.convex.patterns import Patterns, all_patterns, orthonormal_columns
from shallows.landscape.convex.programs import (
    AbstractConvexProgram,
    Find,
    Masked,
    Point,
    found_patterns,
    problem,
)
from shallows.model.network import Network, Numbers
from shallows.model.normalised import NormalisedNetwork, Placement, normalised_on


class NormalisedBefore(Masked[NormalisedNetwork]):
    r"""Batch normalisation before the ReLU, $L + \tfrac\beta2 \sum (\gamma^2 + \alpha^2 + v^2)$.

    It is `Unnormalised` with X replaced by U′ = [U, 1/√n], whose columns are orthonormal. Weights w
    are free, as only their direction matters.

    **Convention.** Neurons are normalised to |Pc X w| = 1. With `usual` γ/√n and α/√n are
    penalised, as where they are divided by standard deviations: β of the program is then β/√n.
    `rank` keeps as many singular directions of Pc X only, the largest.

    **Raises.** `ValueError` as `Unnormalised`, for features that are all constant, and for a `rank`
    that is more than there is.

    **Source.** Ergen et al. (2021), 2103.01499, derived anew.
    """

    def __init__(
        self,
        x: Numbers,
        y: Numbers,
        beta: float,
        loss: AbstractLoss | None = None,
        *,
        usual: bool = False,
        rank: int | None = None,
        patterns: Patterns | Find = all_patterns,
    ):
        batch, self.y, self.loss, beta = problem(x, y, beta, loss)
        self.batch, self.patches = batch, batch.shape[1]
        flat = batch.reshape(-1, batch.shape[2])
        u, s, v = orthonormal_columns(_centred(flat))
        if not len(s):
            raise ValueError(
                f"Every feature is constant on the {len(flat)} points, so that normalised neurons "
                f"are 0/0. Remove constant columns, and give one that varies."
            )
        if rank is not None and not 1 <= rank <= len(s):
            raise ValueError(f"`rank` must be from 1 to the rank {len(s)} of Pc X, but is {rank}.")
        gates = np.column_stack([flat, np.ones(len(flat))])
        if rank is not None and rank < len(s):
            u, s, v = u[:, :rank], s[:rank], v[:, :rank]
            gates = np.column_stack([u, np.ones(len(flat))])
        self.features = np.column_stack([u, np.full(len(flat), 1 / np.sqrt(len(flat)))])
        self.factor = 1 / np.sqrt(len(flat)) if usual else 1.0
        self.beta = beta * self.factor
        self.given_beta = beta
        self.spectrum, self.axes = s, v
        # U′ has the column space of [X, 1], in which patterns are exact.
        self.gates = gates
        self.patterns = found_patterns(patterns, gates)

    def network(self, point: Point) -> NormalisedNetwork:
        """Neurons w = V S⁻¹ t with (γ, α) = (|t|, τ)/√|s| and v = ±√|s|, for blocks s = (t, τ)."""
        blocks = self.solid(point)
        s = np.array([point[block] for block in blocks]).reshape(-1, self.width)
        inner = s[:, :-1] / self.spectrum @ self.axes.T
        lengths = np.linalg.norm(s[:, :-1], axis=1)
        heads = np.sqrt(self.factor * np.linalg.norm(s, axis=1))
        return _balanced(self._rows, Placement.before, blocks, inner, lengths, s[:, -1], heads)

    @property
    def _rows(self) -> np.ndarray:
        return self.batch if self.patches > 1 else self.batch[:, 0]

    def plain(self, network: NormalisedNetwork) -> Network:
        """Statistics go into weights and biases."""
        return network.plain()

    def cost(self, network: NormalisedNetwork) -> float:
        """L + (β/2) Σ (γ² + α² + v²), on the batch."""
        return _normalised_cost(self, network, Placement.before, self._rows)

    def point(self, network: NormalisedNetwork) -> Point:
        """Σ |v| (γ UᵀPcXw/|PcXw|, α) over the neurons of a pattern and sign."""
        point = np.zeros(self.shape)
        u = self.features[:, :-1]
        centred = _centred(self.batch.reshape(-1, self.batch.shape[2]))
        for w, g, a, v in zip(
            network.inner, network.scale, network.shift, network.outer, strict=True
        ):
            t = u.T @ (centred @ w)
            size = float(np.linalg.norm(t))
            s = np.append(g * t / size if size > 0 else 0 * t, a)
            if v and np.any(s):
                point[int(v < 0), self.pattern_of(s)] += abs(v) * s
        return point


class NormalisedAfter(AbstractConvexProgram[NormalisedNetwork]):
    r"""Batch normalisation after the ReLU, $L + \tfrac\beta2 \sum (\gamma^2 + \alpha^2 + v^2)$.

    Blocks are (w, α), where Pc Dᵢ X w is the normalised neuron times γ and v: w itself is kept, as
    Pc Dᵢ X may have a kernel, on which the cone depends. With `bias` X has a column of ones.

    **Convention.** As `NormalisedBefore`.

    **Raises.** `ValueError` as `Unnormalised`; for patches, for which this is not made.

    **Source.** Ergen et al. (2021), 2103.01499, derived anew.
    """

    def __init__(
        self,
        x: Numbers,
        y: Numbers,
        beta: float,
        loss: AbstractLoss | None = None,
        *,
        usual: bool = False,
        bias: bool = False,
        patterns: Patterns | Find = all_patterns,
    ):
        batch, self.y, self.loss, beta = problem(x, y, beta, loss)
        if batch.shape[1] > 1:
            raise ValueError(
                f"Normalising after the ReLU is not made for {batch.shape[1]} patches a point. Use "
                f"`NormalisedBefore`, or sum patches first."
            )
        self.batch, self.patches, self.has_bias = batch, 1, bias
        rows = batch[:, 0]
        self.features = np.column_stack([rows, np.ones(len(rows))]) if bias else rows
        self.factor = 1 / np.sqrt(len(rows)) if usual else 1.0
        self.beta, self.given_beta = beta * self.factor, beta
        self.gates = self.features
        self.patterns = found_patterns(patterns, self.gates)

    @property
    def targets(self) -> Float[np.ndarray, " n"]:
        """As given."""
        return self.y

    @property
    def width(self) -> int:
        """Of w, and one for α."""
        return self.features.shape[1] + 1

    def columns(self, pattern: int) -> Float[np.ndarray, "n r"]:
        """[Pc Dᵢ X, 1/√n]."""
        masked = self.features * self.patterns.masks[pattern][:, None]
        n = len(masked)
        return np.column_stack([_centred(masked), np.full(n, 1 / np.sqrt(n))])

    def metric(self, pattern: int) -> Float[np.ndarray, "n r"]:
        """Aᵢ: its last column is orthogonal to the others, and of length one."""
        return self.columns(pattern)

    def predict(self, point: Point) -> Float[np.ndarray, " n"]:
        """Pc Σ Dᵢ X (wᵢ − wᵢ′) + Σ (αᵢ − αᵢ′)/√n."""
        difference = point[0] - point[1]
        gates = self.features @ difference[:, :-1].T
        values = np.sum(gates * self.patterns.masks.T, axis=1)
        return values - values.mean() + difference[:, -1].sum() / np.sqrt(len(values))

    def adjoint(self, v: Float[np.ndarray, " n"]) -> Float[np.ndarray, "P r"]:
        """(Xᵀ Dᵢ Pc v, 1·v/√n)."""
        inner = (self.patterns.masks * (v - v.mean())) @ self.features
        return np.column_stack([inner, np.full(len(inner), v.sum() / np.sqrt(len(v)))])

    def norms(self, point: Point) -> Float[np.ndarray, "2 P"]:
        """|(Pc Dᵢ X w, α)|."""
        gates = point[..., :-1] @ self.features.T * self.patterns.masks
        gates -= gates.mean(axis=2, keepdims=True)
        return np.hypot(np.linalg.norm(gates, axis=2), point[..., -1])

    def network(self, point: Point) -> NormalisedNetwork:
        """Neurons w with γ = |Pc Dᵢ X w|/√|·|, α likewise and v = ±√|·|."""
        blocks = self.solid(point)
        z = np.array([point[block] for block in blocks]).reshape(-1, self.width)
        masks = self.patterns.masks[[i for _, i in blocks]]
        gates = z[:, :-1] @ self.features.T * masks
        gamma = np.linalg.norm(gates - gates.mean(axis=1, keepdims=True), axis=1)
        heads = np.sqrt(self.factor * np.hypot(gamma, z[:, -1]))
        return _balanced(self.features, Placement.after, blocks, z[:, :-1], gamma, z[:, -1], heads)

    def plain(self, network: NormalisedNetwork) -> Network:
        """Statistics, and the column of ones if there is one, go into weights and biases."""
        return network.plain(has_constant=self.has_bias)

    def cost(self, network: NormalisedNetwork) -> float:
        """L + (β/2) Σ (γ² + α² + v²), on the batch; `inner` has a column for the bias, if any."""
        return _normalised_cost(self, network, Placement.after, self.features)

    def point(self, network: NormalisedNetwork) -> Point:
        """Σ |v| (γ w/|Pc(Xw)₊|, α) over the neurons of a pattern and sign.

        γ may be negative: its sign goes with the head, and so does then that of α.
        """
        point = np.zeros(self.shape)
        on_batch = _on(self.features, network)
        for w, g, a, v, spread in zip(
            network.inner, network.scale, network.shift, network.outer, on_batch.spread, strict=True
        ):
            sign, head = (1.0, v) if g >= 0 else (-1.0, -v)
            z = np.append(abs(g) * w / spread if spread > 0 else 0 * w, sign * a)
            if head and np.any(z):
                i = self.pattern_of(z[:-1])
                point[int(head < 0), i] += abs(head) * z
        return point


def _normalised_cost(
    program: NormalisedBefore | NormalisedAfter,
    network: NormalisedNetwork,
    placement: Placement,
    batch: np.ndarray,
) -> float:
    if network.placement is not placement:
        raise ValueError(
            f"The network is normalised {network.placement.value}, but this program is for those "
            f"{placement.value}. Use the other program."
        )
    made = _on(batch, network)
    squares = program.factor**2 * (network.scale**2 + network.shift**2) + network.outer**2
    return program.loss(made(batch), program.y) + program.given_beta * float(np.sum(squares)) / 2


def _balanced(
    batch: np.ndarray,
    placement: Placement,
    blocks: list[tuple[int, int]],
    inner: np.ndarray,
    scale: np.ndarray,
    shift: np.ndarray,
    heads: np.ndarray,
) -> NormalisedNetwork:
    """Neurons with |v| (γ, α) and |v| given."""
    sign = np.array([1.0 - 2 * s for s, _ in blocks])
    return normalised_on(batch, placement, inner, scale / heads, shift / heads, sign * heads)


def _on(batch: np.ndarray, network: NormalisedNetwork) -> NormalisedNetwork:
    return normalised_on(
        batch, network.placement, network.inner, network.scale, network.shift, network.outer
    )


def _centred(rows: np.ndarray) -> np.ndarray:
    """Pc rows, constant columns being 0 for certain; of no spread at all there is an error."""
    centred = rows - rows.mean(axis=0)
    centred[:, np.ptp(rows, axis=0) == 0] = 0.0
    return centred
