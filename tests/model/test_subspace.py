"""Subspaces, points on them, and what is off them."""

import numpy as np
import pytest

from shallows.model.subspace import (
    Subspace,
    SubspaceData,
    chessboard_data,
    coordinate_subspace,
    diagonal_data,
    digit_pair_data,
    random_labels,
    random_subspace,
    spanned,
)
from shallows.model.unit_data import has_digits


@pytest.mark.parametrize("make", [coordinate_subspace, random_subspace])
def test_parts_on_and_off_a_subspace_are_orthogonal_and_add_up(make):
    subspace = make(7, 3)
    x = np.random.default_rng(1).normal(size=(5, 7))
    off = subspace.part_off(x)
    on = x - off
    np.testing.assert_allclose(np.sum(on * off, axis=1), 0, atol=1e-14)
    # By least squares instead of projections.
    fitted = np.linalg.lstsq(subspace.along, x.T, rcond=None)[0]
    np.testing.assert_allclose(subspace.embed(fitted.T), on, atol=1e-14)
    np.testing.assert_allclose(
        np.linalg.norm(subspace.coordinates_off(x), axis=1), np.linalg.norm(off, axis=1)
    )
    assert (subspace.inputs, subspace.codimension) == (7, 3)


def test_the_span_of_points_holds_them_whatever_their_rank():
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(6, 2)) @ rng.normal(size=(2, 5))
    found = spanned(rows)
    assert found.codimension == 3
    assert np.max(np.abs(found.coordinates_off(rows))) < 1e-13 * np.max(np.abs(rows))


def test_points_off_a_coordinate_subspace_are_zero_to_the_last_bit():
    data = random_labels(coordinate_subspace(30, 10), 8, seed=3)
    assert np.all(data.points[:, 20:] == 0)
    np.testing.assert_allclose(np.linalg.norm(data.points, axis=1), np.sqrt(30))
    assert set(data.labels) == {-1.0, 1.0}
    again = random_labels(coordinate_subspace(30, 10), 8, seed=3)
    np.testing.assert_array_equal(again.points, data.points)


def test_released_data_are_where_they_were():
    line = diagonal_data()
    np.testing.assert_allclose(line.points[:, 0], np.arange(7) / 3 - 1)
    np.testing.assert_array_equal(line.labels, [1, -1, 1, -1, 1, -1, 1])
    board = chessboard_data()
    assert board.points.shape == (25, 3)
    assert np.all(board.points[:, 2] == 0.5)
    for x, label in zip(board.points, board.labels, strict=True):
        assert label == (-1) ** round(4 * x[0] + 4 * x[1])


@pytest.mark.skipif(not has_digits(), reason="needs scikit-learn")
def test_digits_keep_their_distances_in_the_larger_space():
    from sklearn.datasets import load_digits

    subspace = random_subspace(70, 6, seed=1)
    data = digit_pair_data(subspace, (3, 8), 357)
    assert np.max(np.abs(subspace.coordinates_off(data.points))) < 1e-13
    pixels, digit = load_digits(return_X_y=True)
    unit = pixels / np.linalg.norm(pixels, axis=1, keepdims=True)
    for label, number in ((-1, 3), (1, 8)):
        # Sums of squared distances do not depend on the order.
        for x, y in [(data.points[data.labels == label], unit[digit == number])]:
            assert len(x) == len(y)
            spread = [np.sum((z - z.mean(axis=0)) ** 2) for z in (x, np.sqrt(70) * y)]
            assert abs(spread[0] / spread[1] - 1) < 1e-12


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: Subspace(np.eye(3)[:, :1], np.eye(3)[:, 1:2]), "basis of 3 dimensions"),
        (lambda: Subspace(np.ones((3, 1)), np.eye(3)[:, 1:]), "must be an orthonormal basis"),
        (lambda: Subspace(np.eye(2), np.zeros((2, 0))), r"shapes \(2, 2\) and \(2, 0\)"),
        (lambda: Subspace([[1.0], [0]], [[0.0], [1]], [1.0, 0]), "orthogonal to the subspace"),
        (lambda: spanned(np.eye(2)), "leaves nothing off the subspace"),
        (lambda: spanned(np.zeros((2, 3))), "leaves nothing on the subspace"),
        (lambda: coordinate_subspace(3, 3), "leaves at most 2 directions off it"),
        (lambda: diagonal_data(1), "no neighbour of the other label"),
        (lambda: chessboard_data(1), "no chessboard"),
        (lambda: digit_pair_data(coordinate_subspace(9, 1)), "64 pixels|not installed"),
        (lambda: SubspaceData(np.ones((1, 2)), [1], coordinate_subspace(2, 1)), "1 off the subs"),
        (lambda: SubspaceData([[1.0, 0]], [2], coordinate_subspace(2, 1)), r"label \+1 or −1"),
        (lambda: SubspaceData([[1.0]], [1], coordinate_subspace(2, 1)), "a row of 2 numbers"),
    ],
)
def test_misuse_is_named_with_a_remedy(call, words):
    with pytest.raises(ValueError, match=words) as error:
        call()
    assert (
        "Use" in str(error.value) or "Subtract" in str(error.value) or "Install" in str(error.value)
    )
