r"""Descent on the values of basis paths, and with their norm as regulariser, for Optax.

A step of descent on weights depends on how they are scaled; one on values of basis paths (`paths`)
does not. In the gauge where each hidden unit leaves along the skeleton by a weight ±1, the value
of the basis path of weight w, which starts at unit i, is $p = c_i w$ with $c_i$ that of the
negative basis path through i, or 1 at inputs, so that

$$ \frac{\partial L}{\partial p} = \frac{1}{c_i} \frac{\partial L}{\partial w}, \qquad
   \frac{\partial L}{\partial c_i} = \frac{\partial L}{\partial w_i}
     - \frac{1}{c_i} \sum w\, \frac{\partial L}{\partial w}, $$

the sum over the weights that c_i stands in, and $w_i$ the weight whose basis path is c_i, here in
the first layer. Weights that are scaled otherwise are brought to this gauge and back.

**Source.** Meng et al. (2019), for plain steps and layers of one width, there in the gauge itself.
"""

import jax
import jax.numpy as jnp
import numpy as np
import optax

from shallows.model.layers import Layers
from shallows.model.paths import Skeleton, basis_path_penalty


def on_basis_paths(inner: optax.GradientTransformation) -> optax.GradientTransformation:
    """The method `inner`, applied to values of basis paths instead of weights.

    `update` takes gradients in the weights, and the weights: `Layers`. What it returns leaves
    the function after the step the same for all scalings of the weights, up to rounding; the
    weights by which hidden units leave along the skeleton do not move.

    **Domain.** Where no weight on the skeleton is zero. A step that takes a negative basis path
    through zero changes the function at once: keep steps small beside these values.

    **Raises.** `ValueError` without weights, `TypeError` where they are not `Layers`.
    """

    def init(params):
        return inner.init(_values(_checked(params))[0])

    def update(updates, state, params=None):
        values, scales = _values(_checked(params))
        _, back = jax.vjp(lambda p: _weights(p, scales), values)
        (gradient,) = back(updates)
        step, state = inner.update(_moving(gradient), state, values)
        moved = _weights(optax.apply_updates(values, _moving(step)), scales)
        return _moving(jax.tree.map(jnp.subtract, moved, params)), state

    return optax.GradientTransformation(init, update)


def gsgd(step: optax.ScalarOrSchedule) -> optax.GradientTransformation:
    """G-SGD: steps of this length against the gradient in values of basis paths.

    **Source.** Meng et al. (2019).
    """
    return on_basis_paths(optax.sgd(step))


def add_basis_path_penalty(strength: float | jax.Array) -> optax.GradientTransformation:
    """Adds to gradients that of `strength` times `basis_path_penalty`; chain it before a method.

    **Domain.** Where no weight on the skeleton is zero. **Raises.** As `on_basis_paths`, and
    `ValueError` for a negative strength.
    """
    if not isinstance(strength, jax.Array) and not strength >= 0:  # arrays may be traced
        raise ValueError(f"`strength` must not be negative, but is {strength}. Use e.g. 1e-4.")

    def update(updates, state, params=None):
        slope = jax.grad(basis_path_penalty)(_checked(params))
        return jax.tree.map(lambda g, s: g + strength * s, updates, slope), state

    return optax.GradientTransformation(lambda _params: optax.EmptyState(), update)


def _checked(params) -> Layers:
    if params is None:
        raise ValueError(
            "Values of basis paths are made of the weights, but there are none. Pass them: "
            "`update(gradients, state, weights)`."
        )
    if not isinstance(params, Layers):
        raise TypeError(
            f"Paths run through `Layers`, but the weights are a {type(params).__name__}. Train "
            f"`layers_of(network)`."
        )
    return params


def _values(layers: Layers) -> tuple[Layers, list[jax.Array]]:
    """Values of basis paths in the places of weights (±1 where fixed); scales of units."""
    skeleton, sizes, weights = Skeleton(layers.sizes), layers.sizes, layers.weights
    scales = [jnp.ones(sizes[-1])]
    for l in range(len(weights) - 1, 0, -1):
        columns = np.arange(sizes[l])
        rows = columns % sizes[l + 1]
        scales.append(jnp.abs(weights[l][rows, columns]) * scales[-1][rows])
    scales = [jnp.ones(sizes[0]), *scales[::-1]]
    chain, values = jnp.ones(sizes[0]), []
    for l, w in enumerate(weights):
        gauged = w * scales[l + 1][:, None] / scales[l]
        values.append(jnp.where(skeleton.fixed(l), jnp.sign(gauged), chain * gauged))
        chain = _chain(skeleton, l, values[-1], chain)
    biases = [b if b is None else b * s for b, s in zip(layers.biases, scales[1:], strict=True)]
    return _like(layers, values, biases), scales


def _weights(values: Layers, scales: list[jax.Array]) -> Layers:
    """The weights, in the gauge of these scales, of basis paths with these values."""
    skeleton = Skeleton(values.sizes)
    chain, weights = jnp.ones(values.sizes[0]), []
    for l, p in enumerate(values.weights):
        gauged = jnp.where(skeleton.fixed(l), p, p / chain)
        weights.append(gauged * scales[l] / scales[l + 1][:, None])
        chain = _chain(skeleton, l, p, chain)
    biases = [b if b is None else b / s for b, s in zip(values.biases, scales[1:], strict=True)]
    return _like(values, weights, biases)


def _chain(skeleton, l, values, chain):
    """Values of the negative basis paths through the units of the next layer, up to signs."""
    rows = np.arange(skeleton.sizes[l + 1])
    columns = rows % skeleton.sizes[l]
    is_fixed = skeleton.fixed(l)[rows, columns]
    return jnp.where(is_fixed, chain[columns], values[rows, columns])


def _moving(tree: Layers) -> Layers:
    """Zero where the gauge fixes weights."""
    skeleton = Skeleton(tree.sizes)
    weights = [jnp.where(skeleton.fixed(l), 0.0, w) for l, w in enumerate(tree.weights)]
    return _like(tree, weights, tree.biases)


def _like(layers: Layers, weights, biases) -> Layers:
    # Not by the constructor, which asks whether numbers are finite: these may be traced.
    return jax.tree.unflatten(
        jax.tree.structure(layers), jax.tree.leaves((tuple(weights), tuple(biases)))
    )
