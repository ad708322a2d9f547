"""Data on the sphere: what is set by construction holds, and what is no such data is refused."""

import builtins

import numpy as np
import pytest

from shallows.model.unit_data import UnitData, digit_data, pair_data


@pytest.mark.parametrize(("phi", "constant"), [(0.4, 0.0), (1e-3, 0.5), (1e-9, -0.3)])
def test_the_first_two_points_are_at_the_distance_asked_for(phi, constant):
    data = pair_data(6, 10, phi, outputs=3, constant=constant, seed=1)
    np.testing.assert_allclose(np.linalg.norm(data.points, axis=1), 1, atol=1e-15)
    np.testing.assert_allclose(data.points[:, -1] == constant, bool(constant))
    assert data.closest == (0, 1)
    assert abs(data.separation - phi) < 1e-15
    others = np.linalg.norm(data.points[2:, None] - data.points, axis=2)
    assert np.min(others[others > 0]) >= 0.5
    np.testing.assert_allclose(np.linalg.norm(data.targets, axis=1), 1)
    np.testing.assert_array_equal(data.targets[0], -data.targets[1])


def test_only_the_second_point_depends_on_the_separation():
    near, far = pair_data(6, 10, 0.1, seed=2), pair_data(6, 10, 0.4, seed=2)
    same = np.all(near.points == far.points, axis=1)
    assert same.tolist() == [True, False, True, True, True, True]
    np.testing.assert_array_equal(near.targets, far.targets)


def test_digits_are_scaled_and_chosen_at_random():
    pytest.importorskip("sklearn")
    from sklearn.datasets import load_digits

    pixels, digit = load_digits(return_X_y=True)
    one, ten = digit_data(30, constant=0.5, seed=3), digit_data(30, outputs=10, seed=3)
    assert (one.points.shape, one.targets.shape) == ((30, 65), (30, 1))
    # Cosines do not depend on the scaling: each is found among the originals.
    cosines = ten.points @ pixels.T / np.linalg.norm(pixels, axis=1)
    found = digit[np.argmax(cosines, axis=1)]
    np.testing.assert_array_equal(np.argmax(ten.targets, axis=1), found)
    np.testing.assert_array_equal(one.targets[:, 0], 2 * (found % 2) - 1)
    np.testing.assert_allclose(one.points[:, :-1], ten.points * np.sqrt(0.75))
    assert one.separation > 0.1


REFUSED = {
    "alike": (
        lambda: UnitData([[1, 0], [0, 1], [1, 0]], [1, 2, 3]),
        r"Points 0 and 2 are equal: their separation φ is 0, .* Remove one",
    ),
    "long": (
        lambda: UnitData([[1, 0], [0, 2]], [1, 2]),
        r"must have length 1, but point 1 has length 2\. Divide each",
    ),
    "few": (lambda: UnitData([[1.0, 0.0]], [1.0]), r"two rows at least, but has shape \(1, 2\)"),
    "targets": (lambda: UnitData(np.eye(3), [1.0, 2.0]), r"each of the 3 points, .* shape \(2,\)"),
    "equal": (lambda: pair_data(4, 8, 0.0), r"positive and at most `apart` = 0.5, but is 0.0\. At"),
    "far": (lambda: pair_data(4, 8, 0.7), r"at most `apart` = 0.5, but is 0.7"),
    "crowd": (lambda: pair_data(60, 3, 0.3), r"no room for 60 points 0.5 apart with 3 inputs: \d"),
    "constant": (lambda: pair_data(4, 8, 0.1, constant=1.0), r"between −1 and 1, but is 1.0"),
    "no room": (
        lambda: pair_data(4, 8, 0.7, constant=0.99, apart=0.7),
        r"at most 0.2821 apart, but the separation is 0.7",
    ),
    "small": (lambda: pair_data(4, 2, 0.1), r"three inputs at least, but 4 points with 2 inputs"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_such_data_is_refused(name):
    make, message = REFUSED[name]
    with pytest.raises(ValueError, match=message):
        make()


def test_digits_that_there_are_not_are_refused(monkeypatch):
    pytest.importorskip("sklearn")
    with pytest.raises(ValueError, match=r"1 output \(parity\) or 10, not 3"):
        digit_data(5, outputs=3)
    with pytest.raises(ValueError, match=r"between −1 and 1, but is 2"):
        digit_data(5, constant=2)
    with pytest.raises(ValueError, match="`points`"):
        digit_data(2000)
    normal = builtins.__import__

    def without(name, *args, **kwargs):
        if name.startswith("sklearn"):
            raise ImportError(name)
        return normal(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ValueError, match=r"scikit-learn, which is not installed. Install it"):
        digit_data(5)
