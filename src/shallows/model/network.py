"""Two-layer networks."""

import operator
import os
from collections.abc import Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float, Int

from shallows import notebook
from shallows.model.activations import AbstractActivation, relu

# jaxtyping's `ArrayLike` leaves lists out.
Numbers = ArrayLike | Sequence


class Network(eqx.Module):
    r"""A two-layer network $f(x) = \sum_i a_i\, \sigma(w_i^\top x + b_i)$; σ is the ReLU.

    **Convention.** Rows of `inner` are neurons. Without `outer` every $a_i$ is 1; without
    `bias` there is none (not: a zero that is trained); another σ is given as `activation`.
    With an `outer` of as many axes as `inner` the $a_i$ are its rows and there are as many outputs
    as it has columns, $f(x) = A^\top \sigma(Wx)$; one column is not the same as a vector.
    Leading axes, shared by all arrays, are a batch of networks of one shape, such as the starts
    of a census.

    **Precision.** float64; float32 input is promoted, its rounding stays.

    **Raises.** `ValueError` for empty, mismatched, masked or non-finite weights.
    """

    inner: Float[Array, "*b k d"]
    outer: Float[Array, "*b k"] | Float[Array, "*b k o"]
    bias: Float[Array, "*b k"] | None
    activation: AbstractActivation
    given_as: str = eqx.field(static=True)
    """The type that `inner` came in, such as float32; records say so when it was not float64."""

    def __init__(
        self,
        inner: Numbers,
        outer: Numbers | None = None,
        bias: Numbers | None = None,
        activation: AbstractActivation = relu,
    ):
        if not isinstance(activation, AbstractActivation):
            raise TypeError(
                f"`activation` is a {type(activation).__name__}, but must be one of those in "
                f"`shallows.model`, such as `relu` or `Erf()`."
            )
        self.activation = activation
        self.inner, self.given_as = finite("inner", inner), given_type(inner)
        if self.inner.ndim < 2 or 0 in self.inner.shape:
            raise ValueError(
                f"`inner` must be a matrix with a row for each neuron and a column for each "
                f"input, but has shape {self.inner.shape}. Use e.g. `np.eye(10)`."
            )
        heads = jnp.ones(self.inner.shape[:-1]) if outer is None else finite("outer", outer)
        self.outer = _heads(heads, self.inner)
        self.bias = (
            None if bias is None else _one_a_neuron("bias", finite("bias", bias), self.inner)
        )

    @classmethod
    def from_torch(cls, source: Any, activation: AbstractActivation = relu) -> "Network":
        """The network in a PyTorch module, such as Sequential(Linear, ReLU, Linear), or state dict.

        A single output becomes a number. See `Layers.from_torch`.

        **Raises.** `ValueError` naming the layer, or the entry, that cannot be read, for more
        hidden layers than one, and for biases of the output; `TypeError` for anything else.
        """
        # Delayed: a chain of layers, with which files are read, knows what a network is.
        from shallows.model.layers import Layers

        return Layers.from_torch(source, activation).shallow()

    @classmethod
    def from_onnx(cls, path: str | os.PathLike[str]) -> "Network":
        """The network in an ONNX file; a single output becomes a number. See `Layers.from_onnx`.

        **Raises.** `ValueError` where onnx is missing, for files that are no models, naming the
        operator that cannot be read, for more hidden layers than one, and for biases of the output.
        """
        from shallows.model.layers import Layers

        return Layers.from_onnx(path).shallow()

    def _repr_html_(self) -> str:
        if self.inner.ndim > 2:
            return notebook.page(
                f"{self.inner.shape[:-2]} networks of shape {self.inner.shape[-2:]}"
            )
        columns = {
            "neuron": range(self.neurons),
            "norm": np.linalg.norm(self.inner, axis=1),
            **({} if self.bias is None else {"bias": np.asarray(self.bias)}),
            "outer": list(map(str, np.asarray(self.outer)))
            if self.outputs
            else np.asarray(self.outer),
        }
        said = "" if self.outputs is None else f", {self.outputs} outputs"
        title = (
            f"Network: {self.neurons} neurons, {self.inputs} inputs{said}, {self.activation.name}"
        )
        return notebook.page(title, columns, picture=notebook.picture_of(np.asarray(self.inner)))

    @property
    def neurons(self) -> int:
        """The number k of neurons."""
        return self.inner.shape[-2]

    @property
    def inputs(self) -> int:
        """The number d of inputs."""
        return self.inner.shape[-1]

    @property
    def outputs(self) -> int | None:
        """The number of outputs where they are a vector; None where the output is a number."""
        return self.outer.shape[-1] if self.outer.ndim == self.inner.ndim else None

    def __call__(self, x: Float[Array, "*n d"]) -> Float[Array, "*n"] | Float[Array, "*n o"]:
        """The outputs at the points in the rows of `x`."""
        x = jnp.asarray(unmasked("x", x), dtype=float)
        if x.shape[-1:] != (self.inputs,):
            raise ValueError(
                f"The network has {self.inputs} inputs, but the points have shape {x.shape}. "
                f"Their last axis must have length {self.inputs}."
            )
        if self.inner.ndim > 2:
            raise ValueError(
                f"This is a batch of networks, of shape {self.inner.shape[:-2]}. "
                f"Take one, e.g. `network[0](x)`."
            )
        preactivation = x @ self.inner.T
        if self.bias is not None:
            preactivation = preactivation + self.bias
        return self.activation(preactivation) @ self.outer

    def __getitem__(self, index: int | slice | np.ndarray) -> "Network":
        """One network of a batch, or some of them."""
        if self.inner.ndim == 2:
            raise IndexError("This is one network, not a batch of them; there is nothing to index.")
        if not isinstance(index, slice):
            index, length = np.asarray(index), len(self.inner)
            if np.any((index < -length) | (index >= length)):  # JAX would take the last one
                raise IndexError(
                    f"There is no network {index} in a batch of {length}. Count from 0."
                )
        return jax.tree.map(lambda leaf: leaf[index], self)

    def relabel(
        self,
        neurons: Sequence[int] | np.ndarray | None = None,
        inputs: Sequence[int] | np.ndarray | None = None,
    ) -> "Network":
        """The network whose neuron i is neuron `neurons[i]` of this one; likewise inputs.

        Relabelling neurons leaves the function as it is; relabelling inputs permutes its
        arguments.
        """
        rows = permutation("neurons", neurons, self.neurons)
        columns = permutation("inputs", inputs, self.inputs)
        return Network(
            self.inner[..., rows, :][..., columns],
            self.outer[..., rows] if self.outputs is None else self.outer[..., rows, :],
            None if self.bias is None else self.bias[..., rows],
            self.activation,
        )

    def rescale(self, factor: Numbers) -> "Network":
        """The same function with (a, w, b) replaced by (a/s, s w, s b), s > 0 for each neuron."""
        if not self.activation.is_homogeneous:
            raise ValueError(
                f"Rescaling leaves the function as it is for homogeneous activations only, and "
                f"{self.activation.name} is not. Change `inner` and `outer` as you like instead."
            )
        s = finite("factor", factor)
        if not bool(jnp.all(s > 0)):
            raise ValueError(
                f"{self.activation.name} is homogeneous for positive factors only, but `factor` is "
                f"{factor}. Pass positive numbers."
            )
        if s.ndim > 0:
            s = _one_a_neuron("factor", s, self.inner)
        s = jnp.broadcast_to(s, self.inner.shape[:-1])
        bias = None if self.bias is None else self.bias * s
        heads = self.outer / (s if self.outputs is None else s[..., None])
        return Network(self.inner * s[..., None], heads, bias, self.activation)

    def embed(self, basis: Numbers) -> "Network":
        """The network x ↦ f(Bᵀx) on a larger space; columns of `basis` (D × d) span the old one."""
        b = finite("basis", basis)
        if b.ndim != 2 or b.shape[1] != self.inputs:
            raise ValueError(
                f"`basis` needs a column for each of the {self.inputs} inputs, but has shape "
                f"{b.shape}. Pass e.g. `np.eye({self.inputs + 1})[:, :{self.inputs}]`."
            )
        return Network(self.inner @ b.T, self.outer, self.bias, self.activation)

    def with_constant(self) -> "Network":
        """The same function of (x, 1), without biases: they become the last column of `inner`.

        Without biases that column is zero. It goes with the law `with_constant(law)`.
        """
        bias = jnp.zeros(self.inner.shape[:-1]) if self.bias is None else self.bias
        inner = jnp.concatenate([self.inner, bias[..., None]], axis=-1)
        return Network(inner, self.outer, activation=self.activation)

    def without_constant(self) -> "Network":
        """The same function with its last column of `inner` as biases: x ↦ f(x, 1)."""
        if self.bias is not None or self.inputs == 1:
            raise ValueError(
                f"The last column of `inner` becomes the biases, but there are "
                f"{'biases already' if self.bias is not None else 'no other columns'}. Use it on "
                f"what `with_constant` returned, or on a student trained from it."
            )
        return Network(
            self.inner[..., :-1], self.outer, self.inner[..., -1], activation=self.activation
        )


def orthonormal(
    neurons: int, inputs: int | None = None, activation: AbstractActivation = relu
) -> Network:
    """The teacher of Safran & Shamir: `neurons` unit vectors of the standard basis, heads 1.

    **Raises.** `ValueError` if there are more neurons than inputs.
    """
    k = positive_integer("neurons", neurons)
    d = k if inputs is None else positive_integer("inputs", inputs)
    if k > d:
        raise ValueError(
            f"There are no {k} orthonormal neurons in {d} dimensions. Use at most {d} teacher "
            f"neurons, or a teacher of your own: `Network(inner)`."
        )
    if k * d > 10**8:
        raise ValueError(
            f"A teacher of {k} neurons in {d} dimensions has {k * d:.3g} weights, more than memory "
            f"holds. Stay below 1e8."
        )
    return Network(jnp.eye(k, d), activation=activation)


def finite(name: str, value: Numbers) -> Float[Array, "..."]:
    """`value` as a float64 array of finite numbers, or an error that calls it `name`."""
    unmasked(name, value)
    try:
        array = np.asarray(value)
        if array.dtype.kind not in "fiu":
            raise TypeError(f"{array.dtype} numbers")
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"`{name}` must be an array of real numbers, but is {value!r:.200} ({error}). "
            f"Pass a list of lists or a NumPy array."
        ) from None
    array = array.astype(np.float64)
    bad = np.argwhere(~np.isfinite(array))
    if len(bad):
        where = tuple(int(i) for i in bad[0])
        raise ValueError(
            f"`{name}` must be finite, but has {len(bad)} entries that are not; the first is "
            f"{array[where]} at {where}. Remove or repair them."
        )
    return jnp.asarray(array)


def unmasked(name: str, value: Numbers) -> Numbers:
    """`value` as it is, or an error that calls it `name` if entries of it are masked.

    Converted to a plain array they would come back as the numbers behind the mask.
    """
    try:
        is_masked = _is_masked(value)
    except RecursionError:  # a list that contains itself, which NumPy refuses in its own words
        is_masked = False
    if is_masked:
        raise ValueError(
            f"`{name}` must be known everywhere, but has masked entries, and what is behind a mask "
            f"is no number. Remove or repair them, e.g. with `numpy.ma.compress_rows`."
        )
    return value


def _is_masked(value) -> bool:
    if isinstance(value, list | tuple):
        return any(map(_is_masked, value))
    return isinstance(value, np.ma.MaskedArray) and bool(np.ma.is_masked(value))


def given_type(value: Numbers) -> str:
    """The floating-point type of `value`, or float64 for integers and lists, which lose nothing."""
    kind = np.asarray(value).dtype
    return str(kind) if kind.kind == "f" else "float64"


# Far beyond what memory holds; arrays of more rows abort the process instead of failing.
_LARGEST = 10**9


def positive_integer(name: str, value: object, most: int = _LARGEST) -> int:
    """`value` as an int of at most `most`, or an error that calls it `name`."""
    try:
        number = operator.index(value)  # type: ignore[arg-type]  # it is what we test
    except TypeError:
        number = 0
    if isinstance(value, bool) or number < 1:
        raise ValueError(f"`{name}` must be a positive integer, but is {value!r}. Use e.g. 10.")
    if number > most:
        raise ValueError(f"`{name}` may be at most {most:_}, but is {value!r}. Ask for fewer.")
    return number


def _heads(value, inner):
    """Outer weights: one a neuron, or where there are as many axes, one row a neuron."""
    if value.ndim < inner.ndim:
        return _one_a_neuron("outer", value, inner)
    if value.shape[:-1] != inner.shape[:-1] or value.shape[-1] == 0:
        raise ValueError(
            f"`outer` needs a number for each of the {inner.shape[-2]} neurons (rows of `inner`), "
            f"or a row with a number for each output, but has shape {value.shape}."
        )
    return value


def _one_a_neuron(name, value, inner):
    try:
        return jnp.broadcast_to(value, inner.shape[:-1])
    except ValueError:
        raise ValueError(
            f"`{name}` needs a number for each of the {inner.shape[-2]} neurons (rows of "
            f"`inner`), but has shape {value.shape}."
        ) from None


def permutation(
    name: str, order: Sequence[int] | np.ndarray | None, length: int
) -> Int[np.ndarray, " n"]:
    """`order` as a permutation of 0 … length − 1 (None: the identity), or an error about it."""
    if order is None:
        return np.arange(length)
    try:
        array = np.asarray([operator.index(i) for i in order])
    except TypeError:
        array = np.asarray([])
    if sorted(array.tolist()) != list(range(length)):
        raise ValueError(
            f"`{name}` must be a permutation of 0 … {length - 1}, but is {order!r:.200}. "
            f"Name every index once."
        )
    return array
