"""The squared loss of a network with several hidden layers, on a data set."""

import itertools
import math
from collections.abc import Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float

from shallows.model import AbstractActivation, Sample
from shallows.model.deep import Deep, forward
from shallows.model.network import positive_integer


class HiddenLayers(eqx.Module):
    """All hidden layers are trained, the heads stay: θ is one row, the layers end to end.

    The form in which the methods of `solve` move them: for those a network of one neuron.
    """

    widths: tuple[int, ...] = eqx.field(static=True)
    """Inputs, then the units of each layer."""

    @property
    def size(self) -> int:
        """The number P of parameters."""
        return sum(math.prod(shape) for shape in self.shapes)

    @property
    def shapes(self) -> list[tuple[int, int]]:
        """Rows and columns of each layer."""
        return [(m, n) for n, m in itertools.pairwise(self.widths)]

    def join(self, layers: Sequence[Float[Array, "..."]]) -> Float[Array, "*b 1 p"]:
        """θ of layers, which may have leading axes in common."""
        flat = [w.reshape(*w.shape[:-2], -1) for w in layers]
        return jnp.concatenate(flat, axis=-1)[..., None, :]

    def layers(self, theta: Float[Array, "*b 1 p"]) -> list[Float[Array, "..."]]:
        """The layers of θ."""
        row, made, first = theta[..., 0, :], [], 0
        for m, n in self.shapes:
            made.append(row[..., first : first + m * n].reshape(*row.shape[:-1], m, n))
            first += m * n
        return made

    def split(self, theta, heads):
        """For methods, which hand back to the loss what they moved: θ and an unused head."""
        return theta, heads


class DeepLoss(eqx.Module):
    r"""$L = \frac12\,\mathbb{E}_x\,|f_{\text{student}}(x) - f_{\text{teacher}}(x)|^2$ on data.

    The student has hidden layers of sizes `widths` (default: the teacher's) and fixed heads:
    those of the teacher if it has as many, else 1. There is no closed form beyond one hidden
    layer, so the law is a `Sample`; derivatives are automatic, and exact for that data set. With
    the data of `closed_sample` and an `iterated` teacher the loss is invariant under all
    relabellings of inputs and of the units of each layer.

    **Accuracy.** Rounding: 1e-14 of E |f|² for the loss. With kinks (relu) the gradient jumps, and
    the Hessian is that of a cell of activations.

    **Raises.** `ValueError` for a law that is no data set, for students of other shapes or with
    another activation. **Cost.** 2 n P operations for the loss, thrice that for its gradient.
    """

    teacher: Deep
    law: Sample
    heads: Float[Array, " k"] | Float[Array, "k o"]
    targets: Float[Array, "blocks block"] | Float[Array, "blocks block o"]
    """What the teacher makes of the points."""
    trained: HiddenLayers

    def __init__(self, teacher: Deep, law: Sample, widths: Sequence[int] | None = None):
        if not isinstance(teacher, Deep) or not isinstance(law, Sample):
            raise TypeError(
                f"A deep loss needs a `Deep` teacher and a `Sample`, but got "
                f"{type(teacher).__name__} and {type(law).__name__}. Draw from a law: "
                f"`closed_sample(law.draw(key, 20))`."
            )
        if teacher.inputs != law.inputs:
            raise ValueError(
                f"Teacher and data live in different spaces: the teacher has {teacher.inputs} "
                f"inputs, the points {law.inputs}. Use points with {teacher.inputs} columns."
            )
        sizes = teacher.widths if widths is None else tuple(widths)
        if not sizes:
            raise ValueError("A student needs a hidden layer, but `widths` is empty. Use (4,).")
        sizes = tuple(positive_integer("widths", k) for k in sizes)
        k, outputs = sizes[-1], teacher.outer.shape[1:]
        if k != teacher.widths[-1] and outputs:
            raise ValueError(
                f"With several outputs the student has the teacher's heads, one row for each of "
                f"{teacher.widths[-1]} units, but its last layer has {k}. Use as many."
            )
        self.teacher, self.law = teacher, law
        self.heads = teacher.outer if k == teacher.widths[-1] else jnp.ones(k)
        self.targets = teacher(law.points)
        self.trained = HiddenLayers((teacher.inputs, *sizes))

    @property
    def activation(self) -> AbstractActivation:
        """σ, of student and teacher."""
        return self.teacher.activation

    @property
    def is_smooth(self) -> bool:
        """Whether there is a Hessian everywhere."""
        return self.activation.is_smooth

    def student(self, theta: Float[Array, "1 p"]) -> Deep:
        """The network with parameters θ."""
        return Deep(self.trained.layers(theta), self.heads, self.activation)

    def __call__(self, student: Deep) -> Float[Array, ""]:
        """The loss of a student."""
        return self.value_at(self._theta(student), jnp.zeros(1))

    def gradient(self, student: Deep) -> list[Float[Array, "..."]]:
        """∂L/∂W of each hidden layer."""
        return self.trained.layers(self.gradient_at(self._theta(student), jnp.zeros(1)))

    def hessian(self, student: Deep) -> Float[Array, "p p"]:
        """∂²L/∂θ², dense, the layers end to end.

        **Raises.** `ValueError` for activations with kinks.
        """
        self._check_smooth()
        return self.hessian_at(self._theta(student))

    def hvp(self, student: Deep, v: ArrayLike) -> Float[Array, " p"]:
        """The Hessian applied to v, of length P, without the matrix.

        **Raises.** `ValueError` for activations with kinks and for a v of another shape.
        """
        self._check_smooth()
        direction = jnp.asarray(v, dtype=float)
        if direction.shape != (self.trained.size,):
            raise ValueError(
                f"`v` must have one entry for each of the {self.trained.size} parameters, but has "
                f"shape {direction.shape}. Flatten it: `loss.trained.join(layers).ravel()`."
            )
        return self.product_at(self._theta(student), direction)

    # The array forms: what the solvers call. A head that is not used comes along for them.

    @jax.jit
    def value_at(
        self, theta: Float[Array, "*b 1 p"], heads: Float[Array, "*b 1"]
    ) -> Float[Array, "*b"]:
        """The loss, of arrays."""
        return jnp.vectorize(self._value, signature="(p)->()")(theta[..., 0, :])

    @jax.jit
    def gradient_at(
        self, theta: Float[Array, "*b 1 p"], heads: Float[Array, "*b 1"]
    ) -> Float[Array, "*b 1 p"]:
        """The gradient, of arrays."""
        slope = jnp.vectorize(jax.grad(self._value), signature="(p)->(p)")
        return slope(theta[..., 0, :])[..., None, :]

    @jax.jit
    def hessian_at(self, theta: Float[Array, "1 p"]) -> Float[Array, "p p"]:
        """The Hessian, of arrays."""
        return jax.hessian(self._value)(theta[0])

    @jax.jit
    def product_at(self, theta: Float[Array, "1 p"], x: Float[Array, " p"]) -> Float[Array, " p"]:
        """The Hessian-vector product, of arrays."""
        return jax.jvp(jax.grad(self._value), (theta[0],), (x,))[1]

    def _value(self, row):
        layers = self.trained.layers(row[None])

        def part(points, mass, targets):
            miss = forward(layers, self.activation, points) @ self.heads - targets
            return jnp.sum(mass * jnp.sum(miss.reshape(*mass.shape, -1) ** 2, axis=-1))

        def add(total, block):
            return (total + part(*block), None)

        return jax.lax.scan(add, 0.0, (self.law.points, self.law.mass, self.targets))[0] / 2

    def _theta(self, student: Deep) -> Float[Array, "1 p"]:
        shape = (student.inputs, *student.widths)
        if shape != self.trained.widths or student.outer.shape != self.heads.shape:
            raise ValueError(
                f"The student has inputs and layers of sizes {shape} and heads of shape "
                f"{student.outer.shape}, but the loss is about {self.trained.widths} and "
                f"{self.heads.shape}. Pass `widths=` to the loss, or another student."
            )
        if student.activation != self.activation:
            raise ValueError(
                f"The student's activation is {student.activation.name}, the teacher's "
                f"{self.activation.name}. Give the student the same."
            )
        if not jnp.array_equal(student.outer, self.heads):
            raise ValueError(
                "The student's heads are not those that the loss keeps fixed. Use "
                "`Deep(layers, loss.heads, loss.activation)`."
            )
        return self.trained.join(student.layers)

    def _check_smooth(self):
        if not self.is_smooth:
            raise ValueError(
                f"The loss of a {self.activation.name} network on data has kinks and no Hessian. "
                f"Use a smooth activation, such as softplus or tanh."
            )
