"""What single precision would cost: the same formulas, evaluated in float64 and in float32.

    python benchmarks/precision.py

Prints the table of docs/precision.md, in half a minute. The formulas are those of the package,
whose code computes in the precision of its arrays; those of a textbook (arccos of a clipped cosine)
stand beside them. Errors are to float64, or to balls where the family is named.
"""

import jax
import jax.numpy as jnp
import numpy as np

from shallows import Gaussian, Network, SquaredLoss, member, orthonormal

ONES = np.ones(20)


def in_precision(loss, dtype):
    """The loss with all of its numbers in this precision."""
    return jax.tree.map(lambda x: x.astype(dtype), loss)


def numbers_of(dtype):
    """Where JAX makes its own constants in this precision as well."""
    return jax.enable_x64(dtype == np.float64)


def rotated(k):
    """The loss of k orthonormal teachers that are not along the axes, and a global minimum."""
    rng = np.random.default_rng(0)
    basis, _ = np.linalg.qr(rng.normal(size=(k, k)))
    return SquaredLoss(Network(basis), Gaussian(k)), basis[rng.permutation(k)]


def gradient(loss, w, dtype):
    """The gradient, in the package's form."""
    with numbers_of(dtype):
        made = in_precision(loss, dtype).gradient_at(w.astype(dtype), ONES[: len(w)].astype(dtype))
    assert made.dtype == dtype
    return np.asarray(made, dtype=float)


def textbook_gradient(loss, w, dtype):
    """The gradient from arccos of clipped cosines, for heads 1."""
    w, v = w.astype(dtype), np.asarray(loss.teacher.inner).astype(dtype)
    pull = np.zeros_like(w)
    for others, sign in ((w, 1), (v, -1)):
        norm, their = np.linalg.norm(w, axis=1), np.linalg.norm(others, axis=1)
        cosine = np.clip(w @ others.T / np.outer(norm, their), -1, 1)
        angle = np.arccos(cosine)
        lifted = (np.sin(angle) * their).sum(axis=1) / norm
        step = lifted[:, None] * w + (dtype(np.pi) - angle) @ others
        pull = pull + dtype(sign / (2 * np.pi)) * step
    assert pull.dtype == dtype
    return pull.astype(float)


def gradient_at_minimum(dtype, form=gradient):
    """The gradient norm at a global minimum, k = 20, where it is zero."""
    loss, minimum = rotated(20)
    return np.linalg.norm(form(loss, minimum, dtype))


def near_minimum(distance):
    """A point at this distance from a global minimum, k = 20, and the loss; both fit float32."""
    loss, minimum = rotated(20)
    noise = np.random.default_rng(1).normal(size=minimum.shape)
    near = (minimum + distance * noise / np.linalg.norm(noise)).astype(np.float32).astype(float)
    teacher = np.asarray(loss.teacher.inner).astype(np.float32).astype(float)
    return SquaredLoss(Network(teacher), Gaussian(20)), near


def loss_error(dtype, distance):
    """Relative error of the loss there."""
    loss, near = near_minimum(distance)
    exact = float(loss.value_at(near, ONES))
    with numbers_of(dtype):
        made = in_precision(loss, dtype).value_at(near.astype(dtype), ONES.astype(dtype))
    assert made.dtype == dtype
    return abs(float(made) - exact) / exact


def gradient_error(dtype, distance, form=gradient):
    """Relative error of the gradient there."""
    loss, near = near_minimum(distance)
    exact = gradient(loss, near, np.float64)
    return np.linalg.norm(form(loss, near, dtype) - exact) / np.linalg.norm(exact)


def eigenvalue_error(dtype, k):
    """Error of the smallest Hessian eigenvalue of type II."""
    found = member("II", k)
    w = matrix_of(found)
    loss = SquaredLoss(orthonormal(k), Gaussian(k))
    with numbers_of(dtype):
        low = in_precision(loss, dtype)
        hessian = np.asarray(low.cell_hessian_at(w.astype(dtype), np.ones(k, dtype)))
    assert hessian.dtype == dtype
    least = np.linalg.eigvalsh(hessian)[0]
    return abs(float(least) - float(found.spectrum()[0].eigenvalue))


def matrix_of(found):
    """The weights of a member of type II as a matrix."""
    k = found.neurons
    block = np.append(np.zeros(k - 1, dtype=int), 1)
    value = {
        (o.row, o.column, o.is_diagonal): x
        for o, x in zip(found.blocks.orbits, found.weights, strict=True)
    }
    same = np.eye(k, dtype=bool)
    entries = [
        value.get((i, j, d), value.get((i, j, True if i == j == 1 else None)))
        for i, j, d in zip(
            np.repeat(block, k), np.tile(block, k), same.ravel().tolist(), strict=True
        )
    ]
    return np.array(entries, dtype=float).reshape(k, k)


def stall(dtype, k=10, steps=20_000):
    """The smallest gradient norm that descent with step 5/k reaches."""
    exact = SquaredLoss(orthonormal(k), Gaussian(k))
    w = (np.random.default_rng(0).normal(size=(k, k)) / np.sqrt(k)).astype(dtype)
    with numbers_of(dtype):
        loss = in_precision(exact, dtype)
        a, step = jnp.ones(k, dtype), jnp.asarray(5 / k, dtype)

        def move(w, _):
            slope = loss.gradient_at(w, a)
            return w - step * slope, jnp.linalg.norm(slope)

        _, sizes = jax.jit(lambda w: jax.lax.scan(move, w, None, steps))(jnp.asarray(w))
    assert sizes.dtype == dtype
    return float(np.min(sizes))


ROWS = [
    ("gradient norm at a global minimum (0)", gradient_at_minimum),
    ("gradient at distance 1e-2", lambda t: gradient_error(t, 1e-2)),
    ("gradient at distance 1e-4", lambda t: gradient_error(t, 1e-4)),
    (
        "gradient at distance 1e-4, arccos of a clipped cosine",
        lambda t: gradient_error(t, 1e-4, textbook_gradient),
    ),
    ("loss at distance 1e-2", lambda t: loss_error(t, 1e-2)),
    ("loss at distance 1e-4", lambda t: loss_error(t, 1e-4)),
    ("smallest eigenvalue of II, k = 6 (0.0047), absolute", lambda t: eigenvalue_error(t, 6)),
    ("smallest eigenvalue of II, k = 20, absolute", lambda t: eigenvalue_error(t, 20)),
    ("descent at k = 10: smallest gradient norm in 20 000 steps", stall),
]


def main():
    """Print the table."""
    print("| quantity | float64 | float32 |\n| --- | ---: | ---: |")
    for name, measured in ROWS:
        print(f"| {name} | {measured(np.float64):.1e} | {measured(np.float32):.1e} |", flush=True)


if __name__ == "__main__":
    main()
