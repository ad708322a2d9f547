"""Data on the unit sphere, no two points alike: what theories of wide networks are stated for."""

import dataclasses
import importlib.util
import math

import numpy as np
from jaxtyping import Float

from shallows.model.network import Numbers, finite, positive_integer

# How far from 1 the length of a point may be: rounding, and not a point that was not scaled.
_ROUNDING = 1e-9

# Draws for one point, beyond which there is no room for it.
_DRAWS = 1000


@dataclasses.dataclass(frozen=True, eq=False)
class UnitData:
    r"""Points $|x_i| = 1$ in rows, with targets $y_i$ in $\mathbb{R}^k$.

    **Raises.** `ValueError` for points of other lengths, for two that are equal (a network cannot
    tell them apart), for fewer than two, and for targets that are not one row a point.
    """

    points: Float[np.ndarray, "n d"]
    targets: Float[np.ndarray, "n k"]
    """One number a point may be given as a vector."""

    def __init__(self, points: Numbers, targets: Numbers):
        x, y = np.asarray(finite("points", points)), np.asarray(finite("targets", targets))
        if x.ndim != 2 or len(x) < 2:
            raise ValueError(
                f"`points` must be a matrix of two rows at least, but has shape {x.shape}. Use "
                f"e.g. `pair_data(10, 20, 0.2)`."
            )
        if y.ndim not in (1, 2) or len(y) != len(x):
            raise ValueError(
                f"There must be a target for each of the {len(x)} points, but they have shape "
                f"{y.shape}. Use a row for each."
            )
        lengths = np.linalg.norm(x, axis=1)
        worst = int(np.argmax(np.abs(lengths - 1)))
        if abs(lengths[worst] - 1) > _ROUNDING:
            raise ValueError(
                f"Points must have length 1, but point {worst} has length {lengths[worst]:.6g}. "
                f"Divide each by its length."
            )
        object.__setattr__(self, "points", x)
        object.__setattr__(self, "targets", y.reshape(len(y), -1))
        if self.separation == 0:
            i, j = self.closest
            raise ValueError(
                f"Points {i} and {j} are equal: their separation φ is 0, and no network tells them "
                f"apart. Remove one of them."
            )

    @property
    def closest(self) -> tuple[int, int]:
        """The two points that are closest to one another."""
        distances = _distances(self.points, self.points) + np.diag(np.full(len(self.points), 9.0))
        i, j = np.unravel_index(int(np.argmin(distances)), distances.shape)
        return int(min(i, j)), int(max(i, j))

    @property
    def separation(self) -> float:
        r"""$\varphi = \min_{i \ne j} |x_i - x_j|$, without cancellation."""
        i, j = self.closest
        return float(np.linalg.norm(self.points[i] - self.points[j]))

    @property
    def outputs(self) -> int:
        """The number k."""
        return self.targets.shape[1]


def pair_data(
    points: int,
    inputs: int,
    separation: float | int,
    *,
    outputs: int = 1,
    constant: float | int = 0.0,
    apart: float | int = 0.5,
    seed: int = 0,
) -> UnitData:
    r"""Random points on the sphere of which the first two are at distance φ, the others far away.

    The last coordinate of all is μ = `constant`; the others are uniform. No two but the first are
    closer than `apart`. Targets have signs ±1/√k at random, so that |y| = 1; those of the first
    two are opposite. From one seed data of different φ differ in the second point only, where
    `apart` does not intervene.

    **Accuracy.** φ to 1e-15. **Raises.** `ValueError` for a φ that is not positive, or above
    `apart`; for a μ that leaves no room, and where there is none for so many points.
    """
    n, d = positive_integer("points", points), positive_integer("inputs", inputs)
    k = positive_integer("outputs", outputs)
    if n < 2 or d < 3:
        raise ValueError(
            f"Data need two points and three inputs at least, but {n} points with {d} inputs were "
            f"asked for. Use e.g. `pair_data(10, 20, 0.2)`."
        )
    if not -1 < constant < 1:
        raise ValueError(
            f"`constant` is a coordinate of points of length 1 and must be between −1 and 1, but "
            f"is {constant}. Use e.g. 0.5."
        )
    if not 0 < separation <= apart:
        raise ValueError(
            f"The separation φ must be positive and at most `apart` = {apart}, but is {separation}."
            f" At 0 two points are equal, and no network tells them apart. Use e.g. 0.1."
        )
    rng, size = np.random.default_rng(seed), math.sqrt(1 - constant**2)
    free = d - 1 if constant else d
    first, along = (_unit(rng.normal(size=free)) for _ in range(2))
    along = _unit(along - (along @ first) * first)
    half = separation / (2 * size)
    if half > 1:
        raise ValueError(
            f"With the constant {constant} points are at most {2 * size:.4g} apart, but the "
            f"separation is {separation}. Use a smaller one."
        )
    angle = 2 * math.asin(half)
    rows = [first, math.cos(angle) * first + math.sin(angle) * along]
    signs = rng.choice([-1.0, 1.0], size=(n, k)) / math.sqrt(k)
    signs[1] = -signs[0]
    while len(rows) < n:
        for _ in range(_DRAWS):
            new = _unit(rng.normal(size=free))
            if np.min(_distances(new[None], np.array(rows))) * size >= apart:
                rows.append(new)
                break
        else:
            raise ValueError(
                f"There is no room for {n} points {apart} apart with {d} inputs: {len(rows)} were "
                f"placed. Use more inputs, or a smaller `apart`."
            )
    x = np.array(rows) * size
    if constant:
        x = np.column_stack([x, np.full(n, float(constant))])
    return UnitData(x, signs)


def has_digits() -> bool:
    """Whether `digit_data` has data: they come with scikit-learn, which is optional."""
    return importlib.util.find_spec("sklearn") is not None


def digits() -> tuple[np.ndarray, np.ndarray]:
    """Pixels and digits of scikit-learn's handwritten digits, as they come.

    **Raises.** `ValueError` without scikit-learn.
    """
    try:
        from sklearn.datasets import load_digits
    except ImportError:
        raise ValueError(
            "The digits come with scikit-learn, which is not installed. Install it: "
            "`pip install shallows[examples]`."
        ) from None
    return load_digits(return_X_y=True)


def digit_data(
    points: int, *, outputs: int = 1, constant: float | int = 0.0, seed: int = 0
) -> UnitData:
    """Some of scikit-learn's 1797 handwritten digits of 8 × 8 pixels, scaled to length 1.

    With one output the target is +1 for odd digits and −1 for even ones; with ten it is the unit
    vector of the digit. A `constant` μ is appended, and the pixels are scaled to √(1 − μ²).

    **Raises.** `ValueError` for other numbers of outputs, more points than there are, a μ not
    between −1 and 1, and without scikit-learn.
    """
    pixels, digit = digits()
    n = positive_integer("points", points, most=len(pixels))
    if outputs not in (1, 10):
        raise ValueError(f"Digits have 1 output (parity) or 10, not {outputs}. Use one of them.")
    if not -1 < constant < 1:
        raise ValueError(
            f"`constant` is a coordinate of points of length 1 and must be between −1 and 1, but "
            f"is {constant}. Use e.g. 0.5."
        )
    chosen = np.random.default_rng(seed).choice(len(pixels), size=n, replace=False)
    x = pixels[chosen] / np.linalg.norm(pixels[chosen], axis=1, keepdims=True)
    if constant:
        x = np.column_stack([x * math.sqrt(1 - constant**2), np.full(n, float(constant))])
    y = 2.0 * (digit[chosen] % 2) - 1 if outputs == 1 else np.eye(10)[digit[chosen]]
    return UnitData(x, y)


def _unit(x: np.ndarray) -> np.ndarray:
    return x / np.linalg.norm(x)


def _distances(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """|xᵢ − yⱼ| from differences, as φ may be far below the root of the rounding error."""
    return np.array([np.linalg.norm(row - y, axis=1) for row in x])
