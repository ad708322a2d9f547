"""Loss, gradient and Hessian against differences of the loss, all in 100 digits."""

import fifty_digits as digits
import jax.numpy as jnp
import mpmath as mp
import numpy as np
import pytest

import zoo
from shallows.landscape import SquaredLoss
from shallows.model import Network

STEP = mp.mpf("1e-25")


def _loss(theta, teacher, columns):
    """½ cᵀKc for neurons (w, a) in the rows of θ and of the teacher; x = R z, by columns of R."""
    rows = [(row[:-1], row[-1]) for row in theta] + [(v, -b) for v, b in teacher]
    rows = [([digits.dot(w, column) for column in columns], c) for w, c in rows]
    return mp.fsum(c * e * digits.overlap(w, v) for w, c in rows for v, e in rows) / 2


def _differences(value, theta):
    """Gradient and Hessian of a function of a matrix, by central differences."""
    places = [(i, j) for i in range(len(theta)) for j in range(len(theta[0]))]

    def at(*moves):
        moved = [list(row) for row in theta]
        for (i, j), step in moves:
            moved[i][j] += step
        return value(moved)

    first = [(at((p, STEP)) - at((p, -STEP))) / (2 * STEP) for p in places]
    second = [[mp.mpf(0)] * len(places) for _ in places]
    for i, p in enumerate(places):
        for j, q in enumerate(places[: i + 1]):
            signs = [(s, t) for s in (1, -1) for t in (1, -1)]
            total = mp.fsum(s * t * at((p, s * STEP), (q, t * STEP)) for s, t in signs)
            second[i][j] = second[j][i] = total / (4 * STEP**2)
    return first, second


@pytest.mark.parametrize("case", ["generic", "at a teacher's neuron", "slanted", "basis"])
def test_loss_gradient_and_hessian_agree_with_differences(case):
    student, teacher = zoo.student(), zoo.teacher()
    law = zoo.laws()["slanted gaussian" if case == "slanted" else "gaussian"]
    columns = np.eye(3).tolist()
    if case == "slanted":  # any root of the covariance will do: not the symmetric one
        columns = mp.cholesky(mp.matrix(zoo.SLANTED.tolist())).T.tolist()
    if case == "at a teacher's neuron":
        w = student.inner.at[0].set(teacher.inner[1]).at[2].set(-2 * teacher.inner[0])
        student = Network(w, student.outer)
    if case == "basis":  # whose overlaps take a shorter way
        w = student.inner.at[0].set([2.0, 1e-7, 0.0]).at[2].set([0.0, -0.5, 0.0])
        student, teacher = Network(w, student.outer), Network(np.eye(3), np.array([1.0, -2.0, 0.5]))
    loss = SquaredLoss(teacher, law, zoo.TRAINED["all"])

    rows = np.asarray(jnp.concatenate([student.inner, student.outer[:, None]], axis=1))
    theta = [digits.exact(row) for row in rows]
    fixed = [
        (digits.exact(v), mp.mpf(float(b)))
        for v, b in zip(teacher.inner, teacher.outer, strict=True)
    ]
    with mp.workdps(100):

        def value(theta):
            return _loss(theta, fixed, columns)

        exact = value(theta)
        first, second = _differences(value, theta)
        # Where neurons are parallel the differences err by their step, in units of 1.
        assert abs(float(loss(student)) - exact) < 1e-15 * 30
        assert digits.distance(np.asarray(loss.gradient(student)), first) < 1e-14 * 10
        flat = [entry for row in second for entry in row]
        assert digits.distance(np.asarray(loss.hessian(student)), flat) < 1e-13 * 10
        if case == "basis":
            for row, direction in zip(second, np.eye(12), strict=True):
                product = np.asarray(loss.hvp(student, direction.reshape(3, 4)))
                assert digits.distance(product, row) < 1e-13 * 10
