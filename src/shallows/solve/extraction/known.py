"""The layers of a network that are known already, as features of which the next one is made."""

import dataclasses

import numpy as np
from jaxtyping import Float, Int


@dataclasses.dataclass(frozen=True, eq=False)
class Known:
    r"""Hidden layers $h_l = \sigma(W_l h_{l-1} + b_l)$ with $h_0 = x$, from the first one on.

    A row is known up to a positive factor, and a layer's *sides* are known if it is known which
    sign each row has. Since $\sigma(-z) = \sigma(z) - z$, a layer with rows of the wrong signs
    does as well for the next one, if that may be linear in $h_{l-1}$, too.
    """

    inputs: int
    weights: tuple[Float[np.ndarray, "_ _"], ...] = ()
    biases: tuple[Float[np.ndarray, " _"], ...] = ()
    has_sides: bool = True
    """Whether the sides of the last layer are known; those of the others are."""

    @property
    def depth(self) -> int:
        """The number of layers that are known."""
        return len(self.weights)

    @property
    def widths(self) -> tuple[int, ...]:
        """The size of the input and of every layer."""
        return (self.inputs, *(len(b) for b in self.biases))

    @property
    def count(self) -> int:
        """The number m of features: the last layer, what it is made of without sides, and 1."""
        return self.widths[-1] + (0 if self.has_sides else self.widths[-2]) + 1

    def with_layer(self, rows: Float[np.ndarray, "k m"], *, has_sides: bool = False) -> "Known":
        """With a layer more, whose rows are about the features of this one; it needs sides."""
        if not self.has_sides:
            raise ValueError(
                "The sides of the last layer are not known. Use `turned` before `with_layer`."
            )
        return Known(
            self.inputs,
            (*self.weights, rows[:, :-1]),
            (*self.biases, rows[:, -1]),
            has_sides,
        )

    def turned(self, signs: Float[np.ndarray, " k"]) -> "Known":
        """The same with the rows of the last layer multiplied by signs, by which it has sides."""
        return Known(
            self.inputs,
            (*self.weights[:-1], self.weights[-1] * signs[:, None]),
            (*self.biases[:-1], self.biases[-1] * signs),
        )

    def signals(self, x: Float[np.ndarray, "n d"]) -> list[Float[np.ndarray, "n _"]]:
        """The input and what every layer makes of it."""
        made = [x]
        for w, b in zip(self.weights, self.biases, strict=True):
            made.append(np.maximum(made[-1] @ w.T + b, 0.0))
        return made

    def features(self, x: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n m"]:
        """All features at points."""
        h = self.signals(x)
        below = [] if self.has_sides else [h[-2]]
        return np.hstack([h[-1], *below, np.ones((len(x), 1))])

    def slopes(self, x: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n m d"]:
        """The derivatives of all features at points on no boundary."""
        n, d = x.shape
        signal, made = x, [np.broadcast_to(np.eye(d), (n, d, d))]
        for w, b in zip(self.weights, self.biases, strict=True):
            z = signal @ w.T + b
            made.append((z > 0)[:, :, None] * (w @ made[-1]))
            signal = np.maximum(z, 0.0)
        below = [] if self.has_sides else [made[-2]]
        return np.concatenate([made[-1], *below, np.zeros((n, 1, d))], axis=1)

    def below(self, x: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n _ d"]:
        """The derivatives of what the last layer is made of; of the input itself without layers."""
        if not self.depth:
            return np.broadcast_to(np.eye(self.inputs), (len(x), self.inputs, self.inputs))
        return Known(self.inputs, self.weights[:-1], self.biases[:-1]).slopes(x)[:, :-1]

    def knots(
        self, start: Float[np.ndarray, " d"], way: Float[np.ndarray, " d"], far: float
    ) -> Float[np.ndarray, " c"]:
        """Where on the line start + t · way some unit changes sign, and ±far, beyond all that.

        **Accuracy.** About 1e-14 of the distance between neighbours.
        """
        at = np.array([-far, far])
        for l in range(self.depth):
            z = self.signals(start + at[:, None] * way)[l] @ self.weights[l].T + self.biases[l]
            at = np.unique(np.concatenate([at, zeros(at, z)[0]]))
        return at


def zeros(
    at: Float[np.ndarray, " n"], z: Float[np.ndarray, "n k"]
) -> tuple[Float[np.ndarray, " c"], Int[np.ndarray, " c"]]:
    """Zeros of functions that are linear between neighbours, and after which of these they are."""
    i, j = np.nonzero((z[:-1] > 0) != (z[1:] > 0))
    share = z[i, j] / (z[i, j] - z[i + 1, j])
    return at[i] + share * (at[i + 1] - at[i]), i
