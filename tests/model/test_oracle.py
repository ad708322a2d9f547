"""Oracles: they count, refuse, and hold nothing that could be looked up."""

import gc
import importlib.util

import numpy as np
import pytest

from shallows.model import Network, Oracle, network_oracle, onnx_oracle
from shallows.model.named import activation
from shallows.model.oracle import Exhausted

RNG = np.random.default_rng(0)
W, B, A = RNG.normal(size=(5, 3)), RNG.normal(size=5), RNG.normal(size=(5, 2))
X = RNG.normal(size=(7, 3))
HAS_ONNX = all(importlib.util.find_spec(name) for name in ("onnx", "onnxruntime"))


def test_an_oracle_answers_and_counts_every_point():
    asked = network_oracle(Network(W, A[:, 0], B))
    assert (asked.inputs, asked.outputs, asked.queries) == (3, 1, 1)  # one for the outputs
    assert np.allclose(asked(X)[:, 0], np.maximum(X @ W.T + B, 0) @ A[:, 0], rtol=1e-14)
    assert asked.queries == 8
    two = network_oracle(Network(W, A), slope=np.ones((3, 2)), constant=np.array([1.0, 2.0]))
    expected = np.maximum(X @ W.T, 0) @ A + X @ np.ones((3, 2)) + [1, 2]
    assert np.allclose(two(X), expected, rtol=1e-13)
    folded = network_oracle(Network(W, A, activation=activation("abs")))
    assert np.allclose(folded(X), np.abs(X @ W.T) @ A)


def test_weights_are_not_among_what_an_oracle_has():
    asked = network_oracle(Network(W, A, B))
    public = {name: getattr(asked, name) for name in dir(asked) if not name.startswith("_")}
    assert set(public) == {"budget", "inputs", "outputs", "queries"}
    assert all(value is None or isinstance(value, int) for value in public.values())
    assert not hasattr(asked, "__dict__")
    assert not any(isinstance(held, np.ndarray) for held in gc.get_referents(asked))


def test_a_budget_is_never_exceeded():
    asked = Oracle(lambda x: x[:, 0], 3, budget=10)
    asked(np.zeros((9, 3)))
    with pytest.raises(Exhausted):
        asked(np.zeros((1, 3)))
    assert asked.queries == 10


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda x: x[0], r"answered 1 points with an array of shape \(3,\)"),
        (lambda x: np.ones((len(x), 2, 2)), "one row of numbers"),
        (lambda x: np.where(np.any(x, axis=1), np.nan, 0.0), "not finite at a point of norm 1.73"),
        (lambda x: np.ones((len(x), len(x))), r"array of shape \(2, 2\)"),
    ],
)
def test_answers_that_are_none_are_refused(function, message):
    with pytest.raises(ValueError, match=message):
        Oracle(function, 3)(np.ones((2, 3)))


def test_misuse_of_oracles():
    with pytest.raises(ValueError, match="inputs=0"):
        Oracle(lambda x: x[:, 0], 0)
    with pytest.raises(ValueError, match="budget of 0 queries"):
        Oracle(lambda x: x[:, 0], 2, budget=0)
    with pytest.raises(ValueError, match=r"3 inputs, but the points have shape \(2, 4\)"):
        network_oracle(Network(W))(np.ones((2, 4)))
    with pytest.raises(ValueError, match="batch of networks"):
        network_oracle(Network(np.ones((2, 4, 3))))
    with pytest.raises(ValueError, match=r"`slope` has shape \(4, 1\)"):
        network_oracle(Network(W), slope=np.ones(4))
    with pytest.raises(ValueError, match="`constant` has entries that are not finite"):
        network_oracle(Network(W), constant=np.array([np.inf]))


def _model(path, kind="Relu", precision=np.float32, batch="n"):
    onnx = pytest.importorskip("onnx")
    helper, to = onnx.helper, onnx.numpy_helper.from_array
    fixed = [
        to(W.T.astype(precision), "w"),
        to(B.astype(precision), "b"),
        to(A.astype(precision), "a"),
    ]
    nodes = [
        helper.make_node("Gemm", ["x", "w", "b"], ["z"], name="first"),
        helper.make_node(kind, ["z", "z"][: 2 if kind == "Mul" else 1], ["s"], name="bend"),
        helper.make_node("MatMul", ["s", "a"], ["y"], name="last"),
    ]
    element = helper.np_dtype_to_tensor_dtype(np.dtype(precision))
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", element, [batch, 3])],
        [helper.make_tensor_value_info("y", element, [batch, 2])],
        fixed,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, path)
    return path


@pytest.mark.skipif(not HAS_ONNX, reason="needs onnx and onnxruntime")
@pytest.mark.parametrize("precision", [np.float32, np.float64])
def test_onnx_files_are_asked_in_double_precision(tmp_path, precision):
    asked = onnx_oracle(_model(tmp_path / "m.onnx", precision=precision, batch=1))
    w, b, a = (v.astype(precision).astype(float) for v in (W, B, A))
    assert np.allclose(asked(X), np.maximum(X @ w.T + b, 0) @ a, rtol=1e-13, atol=1e-14)
    assert (asked.inputs, asked.outputs, asked.queries) == (3, 2, 8)


@pytest.mark.skipif(not HAS_ONNX, reason="needs onnx and onnxruntime")
@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("Sigmoid", r"has Sigmoid \(node 'bend'\)"),
        ("LeakyRelu", r"has LeakyRelu \(node 'bend'\)"),
        ("Mul", r"has Mul \(node 'bend'\) of two variables"),
    ],
)
def test_operators_that_are_no_relu_are_named(tmp_path, kind, message):
    with pytest.raises(ValueError, match=message):
        onnx_oracle(_model(tmp_path / "m.onnx", kind))


@pytest.mark.skipif(not HAS_ONNX, reason="needs onnx and onnxruntime")
def test_files_that_are_no_models_are_refused(tmp_path):
    with pytest.raises(ValueError, match="There is no file"):
        onnx_oracle(tmp_path / "none.onnx")
    (tmp_path / "junk.onnx").write_bytes(b"\x08\x99junk")
    with pytest.raises(ValueError, match="is not an ONNX model"):
        onnx_oracle(tmp_path / "junk.onnx")


def test_without_onnx_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "onnx", None)
    with pytest.raises(ValueError, match=r"pip install 'shallows\[onnx\]'"):
        onnx_oracle(tmp_path / "m.onnx")
