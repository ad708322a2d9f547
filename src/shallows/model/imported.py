"""Networks that others have trained: PyTorch modules, their state dicts, and ONNX files.

All are read as a chain: affine maps with one activation between them. Neighbouring affine maps
become one, in double precision. Neither PyTorch nor ONNX is imported for what is not theirs: a
module is known by its `named_children`, a state dict by its names, a tensor by its `detach`.
"""

import os
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np

from shallows.model.activations import AbstractActivation, leaky, relu
from shallows.model.layers import Layers
from shallows.model.named import activation as named

# Modules of PyTorch that leave a vector as it is, when nothing is trained.
_NOTHING = {"Dropout", "Flatten", "Identity"}
_PLAIN = {"ReLU": "relu", "Tanh": "tanh", "Sigmoid": "sigmoid", "SiLU": "silu", "GELU": "gelu"}

# Relative difference of a module's answers to those of what was read from it: more than single
# precision loses in a few layers, and far less than a wrong activation.
_AGREES = 1e-3


class Chain:
    """Affine maps and activations in the order in which they are met."""

    def __init__(self) -> None:
        self.weights: list[np.ndarray] = []
        self.biases: list[np.ndarray | None] = []
        self.activations: list[AbstractActivation] = []
        self._matrix: np.ndarray | None = None
        self._vector: np.ndarray | None = None

    def affine(self, where: str, matrix: np.ndarray, vector: np.ndarray | None) -> None:
        """Let x ↦ `matrix` x + `vector` follow; `where` is what errors call it."""
        before, units = self._matrix, self._units
        if units is not None and matrix.shape[1] != units:
            raise ValueError(
                f"{where} has {matrix.shape[1]} inputs, but what comes before has {units} outputs. "
                f"Give the layers in the order in which they are applied."
            )
        if before is None:
            self._matrix, self._vector = matrix, vector
            return
        wide = matrix.astype(float)
        moved = None if self._vector is None else wide @ self._vector
        self._matrix = wide @ before
        self._vector = vector if moved is None else moved if vector is None else moved + vector

    @property
    def _units(self) -> int | None:
        if self._matrix is not None:
            return len(self._matrix)
        return len(self.weights[-1]) if self.weights else None

    def units(self, where: str) -> int:
        """How many units there are so far, for what acts on each of them."""
        if self._units is None:
            raise ValueError(
                f"{where} comes before any linear layer, where the number of inputs is not known. "
                f"Leave it out and scale the inputs instead."
            )
        return self._units

    def activate(self, where: str, sigma: AbstractActivation) -> None:
        """Let σ follow, in every unit."""
        if self._matrix is None:
            raise ValueError(
                f"{where} comes before any linear layer, or right after another activation. Leave "
                f"it out, or put a linear layer in front."
            )
        self._close()
        self.activations.append(sigma)

    def layers(self, what: str) -> Layers:
        """The network, if it is one; errors call it `what`."""
        if self._matrix is None:
            raise ValueError(
                f"{what} ends with an activation, or has no linear layer at all. A network here "
                f"ends with a linear layer; leave out what follows it."
            )
        self._close()
        if not self.activations:
            raise ValueError(f"{what} is one linear map: it has no hidden layer. Add one.")
        names = [sigma.name for sigma in self.activations]
        if len(set(names)) > 1:
            raise ValueError(
                f"{what} has different activations: {', '.join(names)}. A network here has one."
            )
        return Layers(self.weights, self.biases, self.activations[0])

    def _close(self) -> None:
        assert self._matrix is not None
        self.weights.append(self._matrix)
        self.biases.append(self._vector)
        self._matrix = self._vector = None


def torch_layers(source: Any, activation: AbstractActivation = relu) -> Layers:
    """The network in a PyTorch module, or in a state dict with `activation` between its layers.

    A `Sequential` is read layer by layer. Of any other module the linear layers are read in the
    order of its attributes, with its activation between them, or `activation` if that is no
    module. It is then asked at some points, and refused if it answers otherwise.

    **Raises.** `ValueError` naming the layer that is neither linear nor a known activation, the
    entry of a state dict that belongs to no linear layer, and modules that compute something else.
    `TypeError` for what is neither.
    """
    if isinstance(source, Mapping):
        return _of_state(source, activation)
    if not callable(getattr(source, "named_children", None)):
        raise TypeError(
            f"A PyTorch module or a state dict is needed, but this is a {type(source).__name__}. "
            f"Pass e.g. `torch.nn.Sequential(…)`, or arrays to `Network(inner, outer)`."
        )
    what = f"The module {type(source).__name__}"
    chain = Chain()
    steps = [step for name, leaf in _leaves(source) for step in _steps(name, leaf)]
    if not _is_sequential(source):
        # The order of attributes is that of layers as a rule, but not that of activations, which
        # may be shared, or calls of functions that are not seen from outside.
        found = [step[1] for step in steps if isinstance(step[1], AbstractActivation)]
        between = (what, found[0] if found else activation)
        linear = [step for step in steps if not isinstance(step[1], AbstractActivation)]
        steps = [one for step in linear for one in (between, step)][1:]
    for where, does in steps:
        if isinstance(does, AbstractActivation):
            chain.activate(where, does)
        else:
            chain.affine(where, *does)
    made = chain.layers(what)
    _compare(source, made, what)
    return made


def _leaves(module: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    children = list(module.named_children())
    if not children:
        yield name or type(module).__name__, module
    for child_name, child in children:
        yield from _leaves(child, f"{name}.{child_name}" if name else child_name)


def _is_sequential(module: Any) -> bool:
    children = [child for _, child in module.named_children()]
    return not children or (
        type(module).__name__ == "Sequential" and all(map(_is_sequential, children))
    )


_Affine = tuple[np.ndarray, np.ndarray | None]


def _steps(name: str, leaf: Any) -> list[tuple[str, AbstractActivation | _Affine]]:
    """What a layer does, with what errors call it: one step, or none."""
    kind = type(leaf).__name__
    where = f"Layer {name!r} ({kind})"
    if kind == "Linear":
        bias = None if leaf.bias is None else _array(where, leaf.bias)
        return [(where, (_array(where, leaf.weight), bias))]
    if kind == "LeakyReLU":
        return [(where, leaky(float(leaf.negative_slope)))]
    if kind in _PLAIN:
        return [(where, named(_PLAIN[kind]))]
    if kind in _NOTHING:
        return []
    known = ", ".join(sorted({"Linear", "LeakyReLU", *_PLAIN, *_NOTHING}))
    raise ValueError(
        f"{where} is none that can be read; those are {known}. Ask the function itself, as "
        f"`Oracle(module, inputs)`, or replace the layer."
    )


def _compare(module: Any, made: Layers, what: str) -> None:
    """Refuse a module whose answers are not those of what was read."""
    x = np.random.default_rng(0).normal(size=(8, made.sizes[0]))
    parameter = next(iter(module.parameters()))
    was_training = bool(module.training)
    module.eval()  # dropout answers by chance while it trains
    try:
        answers = _array(what, module(parameter.new_tensor(x.tolist())))
    except Exception as error:
        raise ValueError(
            f"{what} does not take {len(x)} points with {made.sizes[0]} inputs each ({error}). "
            f"Pass the part of it that does, or its `state_dict()`."
        ) from None
    finally:
        module.train(was_training)
    expected = np.asarray(made(jnp.asarray(x)))
    answers = answers.astype(float).reshape(len(x), -1)
    size = max(1.0, float(np.abs(expected).max()))
    if answers.shape != expected.shape or not np.abs(answers - expected).max() <= _AGREES * size:
        raise ValueError(
            f"{what} computes something else than its layers one after the other, with "
            f"{made.activation.name} between them. Pass a `Sequential` of its layers, name the "
            f"`activation`, or ask the function itself, as `Oracle(module, inputs)`."
        )


def _of_state(state: Mapping[str, Any], activation: AbstractActivation) -> Layers:
    chain = Chain()
    used: set[str] = set()
    for name, value in state.items():
        if not str(name).endswith("weight"):
            continue
        where, stem = f"Entry {name!r}", str(name).removesuffix("weight")
        matrix = _array(where, value)
        if matrix.ndim != 2:
            raise ValueError(
                f"{where} has shape {matrix.shape}, and is no matrix of a linear layer. Only "
                f"linear layers can be read from a state dict."
            )
        bias = f"{stem}bias"
        if chain.weights or used:
            chain.activate(where, activation)
        vector = _array(f"Entry {bias!r}", state[bias]) if bias in state else None
        chain.affine(where, matrix, vector)
        used |= {name, bias}
    others = [str(name) for name in state if name not in used]
    if others or not used:
        said = ", ".join(map(repr, others[:5])) or "nothing"
        raise ValueError(
            f"The state dict holds {said}, which belongs to no linear layer. Linear layers have "
            f"`NAME.weight` and may have `NAME.bias`."
        )
    return chain.layers("The state dict")


def _array(where: str, value: Any) -> np.ndarray:
    """A tensor, or an array, as an array; half precision, which NumPy may lack, as single."""
    try:
        if callable(getattr(value, "detach", None)):
            value = value.detach().cpu()
            if "float16" in str(value.dtype):  # bfloat16 as well
                value = value.float()
            value = value.numpy()
        array = np.asarray(value)
    except (TypeError, ValueError, RuntimeError, AttributeError) as error:
        raise ValueError(f"{where} holds no array of numbers ({error}). Convert it.") from None
    if array.dtype.kind not in "fiu" or array.ndim == 0:
        raise ValueError(f"{where} holds {array.dtype} of shape {array.shape}, no weights.")
    return array


def onnx_layers(path: str | os.PathLike[str]) -> Layers:
    """The network in an ONNX file that is a chain of linear operators and activations of vectors.

    **Raises.** `ValueError` where onnx is missing, for files that are no models, and for operators
    that are none of such a chain, which are named. `onnx_oracle` asks files of all other kinds.
    """
    from shallows.model.oracle import onnx_model

    onnx, model = onnx_model(path)
    graph = model.graph
    constants = {t.name: onnx.numpy_helper.to_array(t) for t in graph.initializer}
    entries = [value.name for value in graph.input if value.name not in constants]
    if len(entries) != 1 or len(graph.output) != 1:
        raise ValueError(
            f"{str(path)!r} has {len(entries)} inputs and {len(graph.output)} outputs, but a "
            f"function of one vector is needed. Export one of each."
        )
    chain, current = Chain(), entries[0]
    for node in graph.node:
        attributes = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
        where = f"Operator {node.op_type} (node {node.name or node.output[0]!r}) of {str(path)!r}"
        if all(name in constants for name in node.input if name):
            constants[node.output[0]] = _constant(onnx, where, node, attributes, constants)
            continue
        others = [name for name in node.input if name and name not in constants]
        if others != [current]:
            raise ValueError(
                f"{where} takes {others}, and is no step of a chain: its input was to be "
                f"{current!r}. Ask the function itself, by `onnx_oracle`."
            )
        _onnx_step(chain, where, node, attributes, constants, current)
        current = node.output[0]
    if current != graph.output[0].name:
        raise ValueError(f"{str(path)!r} ends elsewhere than in its output. Export it again.")
    return chain.layers(repr(str(path)))


def _constant(onnx: Any, where: str, node: Any, attributes: Any, constants: Any) -> np.ndarray:
    values = [constants[name] for name in node.input if name]
    if node.op_type == "Constant" and "value" in attributes:
        return onnx.numpy_helper.to_array(attributes["value"])
    if node.op_type in ("Identity", "Cast") and len(values) == 1:
        return values[0]
    if node.op_type == "Transpose" and len(values) == 1:
        return np.transpose(values[0], attributes.get("perm"))
    raise ValueError(f"{where} makes a constant in a way that cannot be read. Fold constants.")


def _onnx_step(
    chain: Chain, where: str, node: Any, attributes: Any, constants: Any, current: str
) -> None:
    kind, inputs = node.op_type, list(node.input)
    activations: dict[str, Callable[[], AbstractActivation]] = {
        "Relu": lambda: relu,
        "LeakyRelu": lambda: leaky(float(attributes.get("alpha", 0.01))),
        "Tanh": lambda: named("tanh"),
        "Sigmoid": lambda: named("sigmoid"),
    }
    if kind in activations:
        return chain.activate(where, activations[kind]())
    if kind in ("Identity", "Dropout", "Cast") or (
        kind == "Flatten" and attributes.get("axis", 1) == 1
    ):
        return None
    first = inputs.index(current) == 0
    if kind == "Gemm" and first and not attributes.get("transA", 0):
        w, beta = _of(where, constants, inputs[1], 2), attributes.get("beta", 1.0)
        w = w if attributes.get("transB", 0) else w.T
        bias = _vector(where, constants, inputs[2], len(w)) if len(inputs) > 2 else None
        alpha = attributes.get("alpha", 1.0)
        bias = bias if bias is None or beta == 1 else beta * bias
        return chain.affine(where, w if alpha == 1 else alpha * w, bias)
    if kind == "MatMul" and first:
        return chain.affine(where, _of(where, constants, inputs[1], 2).T, None)
    if kind in ("Add", "Sub"):
        units = chain.units(where)
        other = _vector(where, constants, inputs[1] if first else inputs[0], units)
        if kind == "Add":
            return chain.affine(where, np.eye(units), other)
        sign = 1.0 if first else -1.0
        return chain.affine(where, sign * np.eye(units), -sign * other)
    if kind in ("Mul", "Div") and (first or kind == "Mul"):
        units = chain.units(where)
        factor = _vector(where, constants, inputs[1] if first else inputs[0], units).astype(float)
        return chain.affine(where, np.diag(factor if kind == "Mul" else 1 / factor), None)
    if kind == "Neg":
        return chain.affine(where, -np.eye(chain.units(where)), None)
    raise ValueError(
        f"{where} is no step of a chain of linear layers and activations of vectors. Ask the "
        f"function itself, by `onnx_oracle`."
    )


def _of(where: str, constants: Mapping[str, np.ndarray], name: str, axes: int) -> np.ndarray:
    array = constants[name]
    if array.ndim != axes:
        raise ValueError(f"{where} has a constant of shape {array.shape}, no matrix of weights.")
    return array


def _vector(where: str, constants: Any, name: str, units: int) -> np.ndarray:
    try:
        return np.broadcast_to(constants[name], (1, units))[0]
    except ValueError:
        raise ValueError(
            f"{where} has a constant of shape {constants[name].shape} for {units} units. Export "
            f"the network for vectors, one a row."
        ) from None
