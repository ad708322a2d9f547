"""Networks of PyTorch and ONNX: read as they are, or refused, naming what is in the way."""

import jax.numpy as jnp
import numpy as np
import pytest

from shallows.model import Deep, Layers, Network
from shallows.model.imported import Chain

RNG = np.random.default_rng(3)
X = jnp.asarray(RNG.normal(size=(7, 3)))
W1, B1, W2, B2 = RNG.normal(size=(4, 3)), RNG.normal(size=4), RNG.normal(size=(1, 4)), np.zeros(1)


class Tensor(np.ndarray):
    """As much of a tensor as is asked for: what is read of PyTorch is read by these names."""

    def detach(self):
        return self

    def cpu(self):
        return self

    def numpy(self):
        return np.array(self)

    def new_tensor(self, values):
        return np.array(values)


def _tensor(x):
    return np.asarray(x).view(Tensor)


class Module:
    training = True

    def named_children(self):
        return [(n, m) for n, m in vars(self).items() if isinstance(m, Module)]

    def parameters(self):
        for _, child in self.named_children():
            yield from child.parameters()

    def eval(self):
        self.training = False

    def train(self, mode):
        self.training = mode


class Linear(Module):
    def __init__(self, weight, bias=None):
        self.weight, self.bias = _tensor(weight), None if bias is None else _tensor(bias)

    def parameters(self):
        yield self.weight

    def __call__(self, x):
        return x @ self.weight.T + (0 if self.bias is None else self.bias)


class ReLU(Module):
    def __call__(self, x):
        return np.maximum(x, 0)


class Dropout(Module):
    def __call__(self, x):
        return x


class BatchNorm1d(Module):
    pass


class Sequential(Module):
    def __init__(self, *layers):
        self.__dict__.update({str(i): layer for i, layer in enumerate(layers)})

    def __call__(self, x):
        for _, layer in self.named_children():
            x = layer(x)
        return x


class Residual(Module):
    """Its activation is shared, and comes first among the attributes."""

    def __init__(self, skip):
        self.act, self.one, self.two = ReLU(), Linear(W1, B1), Linear(W2)
        self.skip = skip

    def __call__(self, x):
        return self.two(self.act(self.one(x))) + self.skip * x[:, :1]


def _by_hand(x, bias=B1):
    return (np.maximum(x @ W1.T + bias, 0) @ W2.T)[:, 0]


def test_a_sequential_module_and_its_state_dict_are_networks():
    module = Sequential(Linear(W1, B1), ReLU(), Dropout(), Linear(W2, B2))
    network = Network.from_torch(module)
    assert network.outputs is None
    np.testing.assert_allclose(network(X), _by_hand(X), rtol=0, atol=1e-14)
    assert module.training  # as it was
    state = {"0.weight": W1, "0.bias": B1, "3.weight": W2, "3.bias": B2}
    again = Network.from_torch({name: _tensor(x) for name, x in state.items()})
    assert np.array_equal(again.inner, network.inner)
    assert again.bias is not None
    assert np.array_equal(again.bias, B1)
    low = Network.from_torch({"a.weight": W1.astype(np.float32), "b.weight": W2})
    assert low.given_as == "float32"  # records say so
    assert low.bias is None


def test_neighbouring_linear_layers_are_one():
    v = RNG.normal(size=(3, 3))
    made = Layers.from_torch(Sequential(Linear(v, v[0]), Linear(W1, B1), ReLU(), Linear(W2)))
    assert made.sizes == (3, 4, 1)
    np.testing.assert_allclose(made(X)[:, 0], _by_hand(X @ v.T + v[0]), rtol=0, atol=1e-13)


def test_any_other_module_is_asked_whether_it_is_what_was_read():
    np.testing.assert_allclose(Network.from_torch(Residual(0.0))(X), _by_hand(X), atol=1e-14)
    with pytest.raises(ValueError, match=r"Residual computes something else.*`Sequential`"):
        Network.from_torch(Residual(0.1))


def test_several_layers_have_their_own_class():
    deep = Sequential(Linear(np.eye(3)), ReLU(), Linear(W1), ReLU(), Linear(W2))
    expected = np.maximum(np.maximum(X, 0) @ W1.T, 0) @ W2[0]
    np.testing.assert_allclose(Deep.from_torch(deep)(X), expected, rtol=0, atol=1e-14)
    with pytest.raises(ValueError, match=r"one hidden layer, but this one has 2.*`Layers`.*`Deep`"):
        Network.from_torch(deep)
    with pytest.raises(ValueError, match="hidden layer 1 has some"):
        Deep.from_torch(Sequential(Linear(W1, B1), ReLU(), Linear(W2)))


def test_a_bias_of_the_output_is_not_lost_silently():
    module = Sequential(Linear(W1, B1), ReLU(), Linear(W2, np.array([0.5])))
    with pytest.raises(ValueError, match=r"output layer has biases, \[0\.5\].*without_lift"):
        Network.from_torch(module)
    layers = Layers.from_torch(module)
    network = layers.without_lift().shallow()
    np.testing.assert_allclose(network(X) + 0.5, layers(X)[:, 0], rtol=0, atol=1e-14)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (Sequential(Linear(W1), BatchNorm1d(), ReLU(), Linear(W2)), r"'1' \(BatchNorm1d\)"),
        (Sequential(Linear(W1), ReLU()), "ends with an activation"),
        (Sequential(ReLU(), Linear(W1)), "before any linear layer"),
        (Sequential(Linear(W1), ReLU(), Linear(W1)), "3 inputs, but what comes before has 4"),
        (Sequential(Linear(W1)), "no hidden layer"),
        ({"a.weight": W1, "b.weight": W2, "b.running_mean": B1}, "'b.running_mean', which belongs"),
        ({"a.weight": np.ones((2, 3, 3))}, r"'a.weight' has shape \(2, 3, 3\)"),
        ({"a.weight": W1, "b.weight": ["x"]}, "Entry 'b.weight' holds"),
        ({}, "holds nothing"),
        ({"a.weight": W1, "b.weight": np.full((1, 4), np.nan)}, "must be finite"),
    ],
)
def test_what_cannot_be_read_is_named(source, message):
    with pytest.raises(ValueError, match=message):
        Network.from_torch(source)


def test_what_is_no_module_is_a_misuse():
    with pytest.raises(TypeError, match=r"this is a list.*`Network\(inner, outer\)`"):
        Network.from_torch([W1, W2])


def test_scaling_before_any_layer_says_what_is_missing():
    with pytest.raises(ValueError, match="number of inputs is not known"):
        Chain().units("Operator Mul")


def _onnx(path, nodes, constants, width=3):
    onnx = pytest.importorskip("onnx")
    helper, double = onnx.helper, onnx.TensorProto.DOUBLE
    graph = helper.make_graph(
        [helper.make_node(*node[:3], **(node[3] if len(node) > 3 else {})) for node in nodes],
        "g",
        [helper.make_tensor_value_info("x", double, ["n", width])],
        [helper.make_tensor_value_info("y", double, ["n", "m"])],
        [onnx.numpy_helper.from_array(np.asarray(v), name) for name, v in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.save(model, path)
    return path


def test_an_onnx_file_is_the_network_that_it_computes(tmp_path):
    # The ways in which exporters write linear layers, and a scale and a shift of units.
    scale, shift = RNG.normal(size=4), RNG.normal(size=4)
    nodes = [
        ("MatMul", ["x", "w1"], ["h0"]),
        ("Add", ["b1", "h0"], ["h1"]),
        ("Mul", ["h1", "scale"], ["h2"]),
        ("Sub", ["shift", "h2"], ["h3"]),
        ("Relu", ["h3"], ["h4"]),
        ("Transpose", ["w2t"], ["w2"]),
        ("Gemm", ["h4", "w2"], ["h5"], {"transB": 0, "alpha": 2.0}),
        ("Neg", ["h5"], ["y"]),
    ]
    constants = {"w1": W1.T, "b1": B1, "scale": scale, "shift": shift, "w2t": W2}
    path = _onnx(tmp_path / "m.onnx", nodes, constants)
    expected = -2 * np.maximum(shift - scale * (X @ W1.T + B1), 0) @ W2[0]
    np.testing.assert_allclose(Network.from_onnx(path)(X), expected, rtol=0, atol=1e-13)
    with pytest.raises(ValueError, match="hidden layer 1 has some"):
        Deep.from_onnx(path)


def test_operators_of_an_onnx_file_that_cannot_be_read_are_named(tmp_path):
    step = ("MatMul", ["x", "w"], ["h"])
    for nodes, message in (
        ([step, ("Softmax", ["h"], ["y"])], r"Operator Softmax \(node 'y'\).*`onnx_oracle`"),
        ([step, ("Add", ["h", "x"], ["y"])], "no step of a chain"),
        ([("Mul", ["x", "x"], ["y"])], "number of inputs|no step of a chain"),
    ):
        path = _onnx(tmp_path / "m.onnx", nodes, {"w": np.eye(3)})
        with pytest.raises(ValueError, match=message):
            Layers.from_onnx(path)
    with pytest.raises(ValueError, match="There is no file"):
        Layers.from_onnx(tmp_path / "none.onnx")
    (tmp_path / "bad.onnx").write_bytes(b"no model")
    with pytest.raises(ValueError, match="is not an ONNX model"):
        Layers.from_onnx(tmp_path / "bad.onnx")


@pytest.mark.slow  # importing PyTorch takes seconds
def test_modules_of_pytorch_itself():
    torch = pytest.importorskip("torch")
    nn = torch.nn
    torch.manual_seed(0)
    x = torch.randn(9, 5)
    for sigma in (nn.ReLU(), nn.LeakyReLU(0.1), nn.Tanh(), nn.GELU()):
        module = nn.Sequential(nn.Linear(5, 6), sigma, nn.Dropout(0.5), nn.Linear(6, 2)).eval()
        layers = Layers.from_torch(module)
        np.testing.assert_allclose(
            layers(jnp.asarray(x.numpy())), module(x).detach().numpy(), atol=1e-5
        )
        network = Layers.from_torch(module.state_dict(), layers.activation).without_lift().shallow()
        assert network.outputs == 2
        assert network.given_as == "float32"
        double = module.double()
        np.testing.assert_allclose(
            Layers.from_torch(double)(jnp.asarray(x.double().numpy())),
            double(x.double()).detach().numpy(),
            rtol=0,
            atol=1e-13,
        )
    half = nn.Linear(3, 2, bias=False).bfloat16()
    state = {"0.weight": half.weight, "1.weight": torch.ones(1, 2)}
    assert Network.from_torch(state).inner.shape == (2, 3)
    with pytest.raises(ValueError, match=r"'0' \(Conv1d\)"):
        Layers.from_torch(nn.Sequential(nn.Conv1d(1, 1, 3), nn.ReLU(), nn.Linear(5, 1)))
