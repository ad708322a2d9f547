"""Functions that answer queries and count them, and reveal nothing else."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from shallows.model.activations import relu
from shallows.model.layers import Layers
from shallows.model.network import Network

# What is linear, or moves numbers about. Products and quotients need a constant factor as well.
_LINEAR = {
    *("Add", "AveragePool", "BatchNormalization", "Cast", "Concat", "Constant", "Conv", "Div"),
    *("Dropout", "Flatten", "Gather", "Gemm", "GlobalAveragePool", "Identity", "MatMul", "Mul"),
    *("Neg", "Pad", "ReduceMean", "ReduceSum", "Reshape", "Slice", "Split", "Squeeze", "Sub"),
    *("Sum", "Transpose", "Unsqueeze"),
}
_WITH_A_CONSTANT = {"Gemm": (0, 1), "MatMul": (0, 1), "Mul": (0, 1), "Div": (1,)}


class Oracle:
    """A function of d inputs that is known by its answers alone.

    It is called with one point a row and answers with one row of outputs for each, in float64.
    It counts the points in `queries`, and refuses those beyond `budget` with `Exhausted`.
    There is nothing else to ask: what it was made of is out of reach of its attributes.

    **Raises.** `ValueError` for points that do not fit, and for answers that are no finite numbers
    or too few.
    """

    __slots__ = ("__answer", "budget", "inputs", "outputs", "queries")

    def __init__(
        self, function: Callable[[Any], Any], inputs: int, *, budget: int | None = None
    ) -> None:
        if inputs < 1:
            raise ValueError(f"A function has at least one input, but {inputs=}. Say how many.")
        if budget is not None and budget < 1:
            raise ValueError(f"A budget of {budget} queries answers nothing. Allow e.g. 1000000.")

        def answer(x: np.ndarray) -> np.ndarray:
            return np.asarray(function(x), dtype=float)

        self.__answer = answer
        self.inputs, self.budget = int(inputs), budget
        self.queries = 0
        self.outputs = 1
        self.outputs = self(np.zeros((1, inputs))).shape[1]

    def __call__(self, x: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n o"]:
        """The outputs at the points in the rows of `x`."""
        if x.ndim != 2 or x.shape[1] != self.inputs:
            raise ValueError(
                f"The oracle answers for {self.inputs} inputs, but the points have shape "
                f"{x.shape}. Give one point a row."
            )
        if self.budget is not None and self.queries + len(x) > self.budget:
            raise Exhausted
        y = self.__answer(x)
        is_first, self.queries = self.queries == 0, self.queries + len(x)
        shape = y.shape
        y = y[:, None] if y.ndim == 1 else y
        if y.ndim != 2 or len(y) != len(x) or (y.shape[1] != self.outputs and not is_first):
            raise ValueError(
                f"The oracle answered {len(x)} points with an array of shape {shape}. It must "
                f"return one number, or one row of numbers, for each."
            )
        if not np.all(np.isfinite(y)):
            worst = x[np.flatnonzero(~np.isfinite(y).all(axis=1))[0]]
            raise ValueError(
                f"The oracle's answer is not finite at a point of norm "
                f"{np.linalg.norm(worst):.3g}. It must be defined everywhere."
            )
        return y


class Exhausted(Exception):
    """The budget of queries is spent."""


def network_oracle(
    network: Network,
    *,
    slope: np.ndarray | None = None,
    constant: np.ndarray | None = None,
    budget: int | None = None,
) -> Oracle:
    """The function of a network, plus an affine one if given: x ↦ f(x) + x·slope + constant.

    **Raises.** `ValueError` for a batch of networks, and a slope or constant that does not fit.
    """
    if network.inner.ndim != 2:
        raise ValueError(
            f"This is a batch of networks, of shape {network.inner.shape[:-2]}. Take one of them."
        )
    if network.activation is not relu:
        # Not NumPy's, but right for any activation.
        def plain(x: np.ndarray) -> np.ndarray:
            return np.asarray(network(jnp.asarray(x))).reshape(len(x), -1)
    else:
        inner = np.array(network.inner).T
        outer = np.array(network.outer).reshape(network.neurons, -1)
        bias = np.zeros(network.neurons) if network.bias is None else np.array(network.bias)

        def plain(x: np.ndarray) -> np.ndarray:
            return np.maximum(x @ inner + bias, 0.0) @ outer

    width = network.outputs or 1
    tilt = np.zeros((network.inputs, width)) if slope is None else _fitted(slope, "slope")
    lift = np.zeros(width) if constant is None else _fitted(constant, "constant")
    tilt = tilt.reshape(-1, 1) if tilt.ndim < 2 else tilt
    if tilt.shape != (network.inputs, width) or lift.size != width:
        raise ValueError(
            f"`slope` has shape {tilt.shape} and `constant` {lift.shape}, but the network has "
            f"{network.inputs} inputs and {width} outputs. Give a row for each input."
        )
    if not np.any(tilt) and not np.any(lift):
        return Oracle(plain, network.inputs, budget=budget)
    flat = lift.reshape(-1)
    return Oracle(lambda x: plain(x) + x @ tilt + flat, network.inputs, budget=budget)


def layers_oracle(layers: Layers, *, budget: int | None = None) -> Oracle:
    """The function of a network with any number of hidden layers."""
    if layers.activation is not relu:

        def plain(x: np.ndarray) -> np.ndarray:
            return np.asarray(layers(jnp.asarray(x)))
    else:
        weights = [np.array(w).T for w in layers.weights]
        biases = [0.0 if b is None else np.array(b) for b in layers.biases]

        def plain(x: np.ndarray) -> np.ndarray:
            for w, b in zip(weights[:-1], biases[:-1], strict=True):
                x = np.maximum(x @ w + b, 0.0)
            return x @ weights[-1] + biases[-1]

    return Oracle(plain, layers.sizes[0], budget=budget)


def _fitted(value: np.ndarray, name: str) -> np.ndarray:
    made = np.asarray(value, dtype=float)
    if not np.all(np.isfinite(made)):
        raise ValueError(f"`{name}` has entries that are not finite. Give numbers.")
    return made


def onnx_oracle(path: str | os.PathLike[str], *, budget: int | None = None) -> Oracle:
    """The function of an ONNX file, its weights as they are and its arithmetic in float64.

    Files in single precision are evaluated in double: kinks are found by cancellation, which
    would leave nothing of seven digits.

    **Raises.** `ValueError` where onnx and onnxruntime are missing, for files that are no models,
    models with other operators than ReLU and linear ones (which are named) and models with several
    inputs or outputs, or of shapes that are not known.
    """
    onnx, model = onnx_model(path)
    try:
        import onnxruntime
    except ImportError as error:
        raise _missing(path, error) from None
    graph = model.graph
    fixed = _constants(graph)
    _refuse_others(graph, fixed, path)
    entries = [value for value in graph.input if value.name not in fixed]
    if len(entries) != 1 or len(graph.output) != 1:
        raise ValueError(
            f"{str(path)!r} has {len(entries)} inputs and {len(graph.output)} outputs, but a "
            f"function of one vector is needed. Export one of each."
        )
    shape = [d.dim_value for d in entries[0].type.tensor_type.shape.dim]
    if len(shape) < 2 or min(shape[1:]) < 1:
        raise ValueError(
            f"The input {entries[0].name!r} of {str(path)!r} has shape {shape}, but needs a batch "
            f"axis and known sizes after it. Export it so."
        )
    _promote(onnx, graph, entries[0])
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    try:
        session = onnxruntime.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
    except Exception as error:
        raise ValueError(
            f"onnxruntime refuses {str(path)!r} in double precision ({error}). Pass the function "
            f"as a Python callable to `Oracle`."
        ) from None
    name = entries[0].name

    def run(x: np.ndarray) -> np.ndarray:
        try:
            (y,) = session.run(None, {name: x.reshape(-1, *shape[1:])})
        except Exception as error:
            raise ValueError(
                f"{str(path)!r} does not answer {len(x)} points at once ({error}). Export it with "
                f"a batch axis of any length."
            ) from None
        return np.asarray(y, dtype=float).reshape(len(y), -1)

    return Oracle(run, int(np.prod(shape[1:])), budget=budget)


def onnx_model(path: str | os.PathLike[str]) -> tuple[Any, Any]:
    """The module onnx, and the checked model in a file.

    **Raises.** `ValueError` where onnx is missing, and for files that are no models.
    """
    try:
        import onnx
    except ImportError as error:
        raise _missing(path, error) from None
    if not Path(path).is_file():
        raise ValueError(f"There is no file {str(path)!r}. Name an ONNX model.")
    try:
        model = onnx.load(os.fspath(path))
        onnx.checker.check_model(model)
    except Exception as error:  # protobuf and onnx have no common base
        raise ValueError(
            f"{str(path)!r} is not an ONNX model ({error}). Export it again."
        ) from None
    return onnx, model


def _missing(path: str | os.PathLike[str], error: ImportError) -> ValueError:
    return ValueError(
        f"Reading {str(path)!r} needs onnx and onnxruntime ({error}). Install them with "
        f"`pip install 'shallows[onnx]'`."
    )


def _constants(graph: Any) -> set[str]:
    """Names of what does not depend on the input."""
    fixed = {value.name for value in graph.initializer}
    for node in graph.node:  # in topological order, as ONNX demands
        if all(name in fixed for name in node.input if name):
            fixed |= set(node.output)
    return fixed


def _refuse_others(graph: Any, fixed: set[str], path: str | os.PathLike[str]) -> None:
    others: list[str] = []
    for node in graph.node:
        label = f"{node.op_type} (node {node.name or node.output[0]!r})"
        if set(node.output) <= fixed or node.op_type == "Relu":
            continue
        if node.op_type not in _LINEAR:
            others.append(label)
        slots: Sequence[int] = _WITH_A_CONSTANT.get(node.op_type, ())
        if slots and not any(node.input[i] in fixed for i in slots):
            others.append(f"{label} of two variables")
    if others:
        raise ValueError(
            f"{str(path)!r} is not a ReLU network: it has {', '.join(others)}. Leave out what "
            f"follows the last linear layer, or pass the function as a Python callable to `Oracle`."
        )


def _promote(onnx: Any, graph: Any, entry: Any) -> None:
    """Make single and half precision double, and the batch axis free, in place."""
    double = onnx.TensorProto.DOUBLE
    low = (onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16, onnx.TensorProto.BFLOAT16)

    def wide(tensor: Any) -> None:
        if tensor.data_type in low:
            array = onnx.numpy_helper.to_array(tensor).astype(np.float64)
            tensor.CopyFrom(onnx.numpy_helper.from_array(array, tensor.name))

    for tensor in graph.initializer:
        wide(tensor)
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("t"):
                wide(attribute.t)
            if node.op_type == "Cast" and attribute.name == "to" and attribute.i in low:
                attribute.i = double
    for value in [*graph.input, *graph.output]:
        if value.type.tensor_type.elem_type in low:
            value.type.tensor_type.elem_type = double
    del graph.value_info[:]
    for value in (entry, graph.output[0]):
        if value.type.tensor_type.shape.dim:
            value.type.tensor_type.shape.dim[0].dim_param = "points"
