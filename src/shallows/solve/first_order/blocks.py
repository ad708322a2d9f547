r"""Blocks of a convex two-layer program: predictions Σ ±Aᵢ s, penalties β|s|, cones Cᵢ s ≥ 0.

Every pattern i has two groups: number i with +Aᵢ and number P + i with −Aᵢ, in the same cone.
"""

import abc
import dataclasses

import numpy as np
from jaxtyping import Bool, Float, Int, Shaped

from shallows.landscape.convex import AbstractConvexProgram, AbstractLoss, Squared
from shallows.model.network import Numbers, finite

Groups = Int[np.ndarray, " m"]


class AbstractBlocks(abc.ABC):
    """The matrices Aᵢ and Cᵢ of P patterns, as products with them."""

    patterns: int
    points: int
    width: int
    """Coordinates of a group."""
    is_gated: bool
    """Whether the cones are left out: s may leave the cell of its pattern."""
    curvature: float
    """At least |Cᵢ|², the squared spectral norm, for all i."""

    @abc.abstractmethod
    def adjoint(self, groups: Groups, v: Float[np.ndarray, " n"]) -> Float[np.ndarray, "m r"]:
        """±Aᵢᵀ v."""

    def adjoints(self, v: Float[np.ndarray, " n"]) -> Float[np.ndarray, "g r"]:
        """±Aᵢᵀ v for all groups."""
        half = self.adjoint(np.arange(self.patterns), v)
        return np.concatenate([half, -half])

    @abc.abstractmethod
    def predict(self, groups: Groups, s: Float[np.ndarray, "m r"]) -> Float[np.ndarray, " n"]:
        """Σ ±Aᵢ s."""

    @abc.abstractmethod
    def slack(self, groups: Groups, s: Float[np.ndarray, "m r"]) -> Float[np.ndarray, "m c"]:
        """Cᵢ s."""

    @abc.abstractmethod
    def pull(
        self, groups: Groups, multipliers: Float[np.ndarray, "m c"]
    ) -> Float[np.ndarray, "m r"]:
        """Cᵢᵀ λ."""

    @abc.abstractmethod
    def columns(self, groups: Groups) -> Float[np.ndarray, "m n r"]:
        """±Aᵢ."""

    @abc.abstractmethod
    def cone(self, group: int) -> Float[np.ndarray, "c r"]:
        """Cᵢ."""

    def signs(self, groups: Groups) -> Float[np.ndarray, " m"]:
        """1 or −1."""
        return np.where(groups < self.patterns, 1.0, -1.0)


class MaskedBlocks(AbstractBlocks):
    r"""$A_i = D_i U$ and $C_i = (2D_i - 1) U$ for masks Dᵢ; no product DᵢU is kept.

    With `patches` K there are K rows of U for each point, which are summed after Dᵢ. Rows of U
    that are zero constrain nothing.

    **Raises.** `ValueError` for features that are not a finite matrix, and for masks of another
    number of rows. **Cost.** Memory PN + Pr for N rows; a product is one of matrices N × r.
    """

    def __init__(
        self,
        features: Numbers,
        masks: Bool[np.ndarray, "P N"],
        *,
        gated: bool = False,
        patches: int = 1,
    ):
        self.features = np.asarray(finite("features", features))
        if self.features.ndim != 2 or masks.shape[1:] != self.features.shape[:1] or not len(masks):
            raise ValueError(
                f"Each mask needs an entry for each row of the features, but the shapes are "
                f"{masks.shape} and {self.features.shape}. Use e.g. `x @ gates.T >= 0`, transposed."
            )
        if len(self.features) % patches:
            raise ValueError(
                f"{len(self.features)} rows are no multiple of {patches} patches a point. "
                f"Give the patches of all points."
            )
        self.masks, self.is_gated, self.patches = masks, gated, patches
        self.patterns, self.width = len(masks), self.features.shape[1]
        self.points = len(self.features) // patches
        self.curvature = float(np.linalg.norm(self.features, 2)) ** 2

    def adjoint(self, groups: Groups, v: Float[np.ndarray, " n"]) -> Float[np.ndarray, "m r"]:
        """±Uᵀ Dᵢ v."""
        masked = self.masks[groups % self.patterns] * np.repeat(v, self.patches)
        return self.signs(groups)[:, None] * (masked @ self.features)

    def predict(self, groups: Groups, s: Float[np.ndarray, "m r"]) -> Float[np.ndarray, " n"]:
        """Σ ±Dᵢ U s."""
        gates = (self.signs(groups)[:, None] * s) @ self.features.T
        values = np.einsum("mn,mn->n", gates, self.masks[groups % self.patterns])
        return values.reshape(self.points, self.patches).sum(axis=1)

    def slack(self, groups: Groups, s: Float[np.ndarray, "m r"]) -> Float[np.ndarray, "m c"]:
        """(2Dᵢ − 1) U s."""
        gates = s @ self.features.T
        return np.where(self.masks[groups % self.patterns], gates, -gates)

    def pull(
        self, groups: Groups, multipliers: Float[np.ndarray, "m c"]
    ) -> Float[np.ndarray, "m r"]:
        """Uᵀ (2Dᵢ − 1) λ."""
        turned = np.where(self.masks[groups % self.patterns], multipliers, -multipliers)
        return turned @ self.features

    def columns(self, groups: Groups) -> Float[np.ndarray, "m n r"]:
        """±Dᵢ U."""
        signed = self.signs(groups)[:, None] * self.masks[groups % self.patterns]
        masked = signed[..., None] * self.features
        return masked.reshape(len(groups), self.points, self.patches, -1).sum(axis=2)

    def cone(self, group: int) -> Float[np.ndarray, "c r"]:
        """(2Dᵢ − 1) U."""
        mask = self.masks[group % self.patterns][:, None]
        return np.where(mask, self.features, -self.features)


class DenseBlocks(AbstractBlocks):
    """Blocks whose matrices have nothing in common; memory P(n + c)r.

    **Raises.** `ValueError` for arrays whose shapes do not fit.
    """

    def __init__(
        self, matrices: Float[np.ndarray, "P n r"], cones: Float[np.ndarray, "Q c s"] | None
    ):
        if cones is not None and (len(cones), cones.shape[2]) != (
            len(matrices),
            matrices.shape[2],
        ):
            raise ValueError(
                f"Each matrix needs a cone of its width, but the shapes are {matrices.shape} and "
                f"{cones.shape}. Pass None for no cones."
            )
        self.matrices = matrices
        self.patterns, self.points, self.width = matrices.shape
        self.is_gated = cones is None
        self.cones = np.zeros((self.patterns, 0, self.width)) if cones is None else cones
        self.curvature = max(
            (float(np.linalg.norm(c, 2)) ** 2 for c in self.cones if c.size), default=1.0
        )

    def adjoint(self, groups: Groups, v: Float[np.ndarray, " n"]) -> Float[np.ndarray, "m r"]:
        """±Aᵢᵀ v."""
        return self.signs(groups)[:, None] * (v @ self.matrices[groups % self.patterns])

    def predict(self, groups: Groups, s: Float[np.ndarray, "m r"]) -> Float[np.ndarray, " n"]:
        """Σ ±Aᵢ s."""
        signed = self.signs(groups)[:, None] * s
        return np.einsum("mnr,mr->n", self.matrices[groups % self.patterns], signed)

    def slack(self, groups: Groups, s: Float[np.ndarray, "m r"]) -> Float[np.ndarray, "m c"]:
        """Cᵢ s."""
        return (self.cones[groups % self.patterns] @ s[..., None])[..., 0]

    def pull(
        self, groups: Groups, multipliers: Float[np.ndarray, "m c"]
    ) -> Float[np.ndarray, "m r"]:
        """Cᵢᵀ λ."""
        return (multipliers[:, None, :] @ self.cones[groups % self.patterns])[:, 0]

    def columns(self, groups: Groups) -> Float[np.ndarray, "m n r"]:
        """±Aᵢ."""
        return self.signs(groups)[:, None, None] * self.matrices[groups % self.patterns]

    def cone(self, group: int) -> Float[np.ndarray, "c r"]:
        """Cᵢ."""
        return self.cones[group % self.patterns]


@dataclasses.dataclass(frozen=True, eq=False)
class GroupProblem:
    r"""$\min\; L(\sum \pm A_i s) + \beta \sum |s|$ over the groups of blocks, each in its cone.

    **Raises.** `ValueError` for targets that do not fit the blocks or the loss, and for a penalty
    that is not positive.
    """

    blocks: AbstractBlocks
    y: Float[np.ndarray, " n"]
    beta: float
    loss: AbstractLoss = dataclasses.field(default_factory=Squared)

    def __post_init__(self):
        if self.y.shape != (self.blocks.points,):
            raise ValueError(
                f"There are {self.blocks.points} points, but the targets have shape "
                f"{self.y.shape}. Give one number for each point."
            )
        finite("y", self.y)
        if not 0 < self.beta < np.inf:
            raise ValueError(
                f"`beta` must be positive and finite, but is {self.beta}. Use e.g. 0.01."
            )
        self.loss.checked(self.y)

    def objective(self, groups: Groups, s: Float[np.ndarray, "m r"]) -> float:
        """Of a point that is zero in the groups that are not given."""
        penalty = float(np.linalg.norm(s, axis=1).sum())
        return self.loss(self.blocks.predict(groups, s), self.y) + self.beta * penalty

    def bound(self, v: Float[np.ndarray, " n"], price: float) -> tuple[float, float]:
        """The lower bound −L*(−κv) and κ, if no group gains more than `price` from v."""
        most = self.beta / price if price > 0 else np.inf
        kappa = self.loss.best_scale(-v, self.y, most)
        return -self.loss.conjugate(-kappa * v, self.y), kappa


def grouped(program: AbstractConvexProgram) -> tuple[GroupProblem, Shaped[np.ndarray, " P"]]:
    """A program as a problem of groups, and the matrices Rᵢ with z = Rᵢ⁻¹ s (None where 1).

    **Raises.** `ValueError` where a penalty |Mᵢ z| leaves a direction free: its cone has no
    description here.
    """
    width, count = program.width, len(program.patterns)
    none = np.full(count, None, dtype=object)
    if program.metric(0) is None:
        blocks: AbstractBlocks = MaskedBlocks(
            program.features, program.patterns.masks, patches=program.patches
        )
        return GroupProblem(blocks, program.y, program.beta, program.loss), none
    matrices, cones = np.zeros((count, len(program.y), width)), []
    for i in range(count):
        metric = program.metric(i)
        assert metric is not None
        factor = np.asarray(np.linalg.qr(metric, mode="r"))
        if len(factor) < width or np.linalg.cond(factor) > 1e12:
            raise ValueError(
                f"The penalty of pattern {i} does not see all {width} coordinates: too few points "
                f"are active there. Use `InteriorPoint()`."
            )
        none[i] = factor
        matrices[i] = np.linalg.solve(factor.T, program.columns(i).T).T
        rows = np.where(program.patterns.masks[i][:, None], program.features, -program.features)
        rows = np.pad(rows, ((0, 0), (0, width - rows.shape[1])))
        cones.append(np.linalg.solve(factor.T, rows.T).T)
    blocks = DenseBlocks(matrices, np.array(cones))
    return GroupProblem(blocks, program.y, program.beta, program.loss), none
