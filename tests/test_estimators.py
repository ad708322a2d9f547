"""Estimators: optima of networks, in scikit-learn's manner."""

import runpy
import sys

import jax.numpy as jnp
import numpy as np
import pytest

pytest.importorskip("sklearn")

from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.estimator_checks import parametrize_with_checks

from shallows.estimators import ConvexReLUClassifier, ConvexReLURegressor, patterns
from shallows.landscape.convex import NormalisedAfter, Unnormalised

RNG = np.random.default_rng(0)
X = RNG.normal(size=(9, 1))
Y = np.sin(2 * X[:, 0])


def test_a_regressor_is_the_optimum_over_all_patterns():
    made = ConvexReLURegressor(0.05).fit(X, Y)
    assert made.exact_
    assert made.n_patterns_ == 18
    assert 0 <= made.gap_ < 1e-6 * made.optimum_
    program = Unnormalised(X, Y, 0.05, bias=True)
    assert program.cost(made.network_) == pytest.approx(made.optimum_, rel=1e-9)
    np.testing.assert_allclose(
        made.predict(X), np.asarray(made.network_(jnp.asarray(X))), atol=1e-12
    )
    assert made.score(X, Y) > 0.9
    both = ConvexReLURegressor(0.05).fit(X, np.stack([Y, -Y], axis=1))
    assert both.optimum_ == pytest.approx(2 * made.optimum_, rel=1e-6)
    assert both.predict(X).shape == (9, 2)
    with pytest.raises(AttributeError, match="There are 2 outputs, with a network each"):
        _ = both.network_


@pytest.mark.parametrize("normalise", ["before", "after"])
def test_normalisation_goes_into_weights(normalise):
    made = ConvexReLURegressor(0.05, normalise=normalise).fit(X, Y)
    f = made.predict(X)
    # Of standardised features of a batch the fit is the same: γ, α and v are the network's own.
    again = ConvexReLURegressor(0.05, normalise=normalise).fit(7 * X, Y)
    assert again.optimum_ == pytest.approx(made.optimum_, rel=1e-6)
    np.testing.assert_allclose(again.predict(7 * X), f, atol=1e-4)
    assert np.sum((f - Y) ** 2) / 2 < made.optimum_
    if normalise == "after":
        known = NormalisedAfter(X, Y, 0.05, bias=True)
        assert made.n_patterns_ == len(known.patterns)


@pytest.mark.parametrize("loss", ["logistic", "hinge", "squared"])
def test_a_classifier_tells_two_and_three_classes_apart(loss):
    words = np.where(X[:, 0] > 0, "up", "down")
    made = ConvexReLUClassifier(0.1, loss=loss).fit(X, words)
    assert made.score(X, words) == 1
    assert made.decision_function(X).shape == (9,)
    three = np.digitize(X[:, 0], [-0.3, 0.4])
    more = ConvexReLUClassifier(0.01, loss=loss).fit(X, three)
    assert more.score(X, three) == 1
    assert len(more.networks_) == 3
    if loss == "logistic":
        np.testing.assert_allclose(
            made.predict_proba(X)[:, 1], 1 / (1 + np.exp(-made.decision_function(X)))
        )
        np.testing.assert_allclose(more.predict_proba(X).sum(axis=1), 1)
    else:
        assert not hasattr(made, "predict_proba")


def test_samples_of_patterns_come_from_the_random_state_and_are_no_certificate():
    x = RNG.normal(size=(20, 4))
    y = np.abs(x[:, 0])
    made = [
        ConvexReLURegressor(0.1, max_patterns=12, random_state=seed).fit(x, y) for seed in (0, 0, 1)
    ]
    assert not made[0].exact_
    # Of twelve directions, some may have one pattern.
    assert 6 <= made[0].n_patterns_ <= 12
    assert made[0].optimum_ == made[1].optimum_ != made[2].optimum_
    # Data of one feature have 2n patterns with a bias: no more than are allowed.
    assert patterns(np.column_stack([X, np.ones(9)]), most=18).exact
    assert not patterns(np.column_stack([X, np.ones(9)]), most=17).exact


def test_more_features_than_points_may_be_normalised():
    # The closed form has patterns that a sample does not hold: that once ended in an error.
    x = RNG.normal(size=(9, 12))
    made = ConvexReLURegressor(0.1, normalise="before", max_patterns=20, random_state=0).fit(x, Y)
    assert not made.exact_
    assert 0 <= made.gap_ <= 1e-4 * made.optimum_


def test_an_optimum_that_is_not_reached_is_a_warning(monkeypatch):
    monkeypatch.setattr("shallows.solve.convex_routes._SMALL", 0)
    with pytest.warns(ConvergenceWarning, match="of the cost, more than the tolerance. Scale"):
        made = ConvexReLURegressor(1e-4, max_steps=1).fit(X, Y)
    assert made.gap_ > 1e-4 * made.optimum_


def test_the_tolerance_is_that_of_the_warning_whatever_the_method():
    with pytest.warns(ConvergenceWarning, match="more than the tolerance"):
        made = ConvexReLURegressor(0.05, tolerance=1e-15).fit(X, Y)
    assert made.gap_ > 1e-15 * made.optimum_


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (ConvexReLURegressor(normalise="both"), "'none', 'before' or 'after'"),
        (ConvexReLURegressor(normalise="before", bias=False), "neurons have a shift"),
        (ConvexReLURegressor(max_patterns=0), "`max_patterns` must be a positive whole number"),
        (ConvexReLURegressor(-1.0), "`beta` must be positive"),
        (ConvexReLURegressor("a"), "`beta` must be positive and finite, but is 'a'"),  # type: ignore[arg-type]
        (ConvexReLURegressor(bias="no"), "`bias` must be True or False, but is 'no'"),  # type: ignore[arg-type]
        (ConvexReLURegressor(tolerance=float("nan")), "`tolerance` must be positive and finite"),
        (ConvexReLURegressor(max_steps=-5), "`max_steps` must be a positive integer, but is -5"),
        (ConvexReLUClassifier(loss="cubic"), "`loss` must be one of"),
    ],
)
def test_misuse_is_refused(made, message):
    with pytest.raises(ValueError, match=message):
        made.fit(X, (Y > 0).astype(int))


def test_one_class_is_refused():
    with pytest.raises(ValueError, match="one class only"):
        ConvexReLUClassifier().fit(X, np.zeros(9))


def test_without_scikit_learn_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.base", None)
    path = sys.modules["shallows.estimators"].__file__
    assert path is not None
    with pytest.raises(ImportError, match=r"pip install shallows\[estimators\]"):
        runpy.run_path(path)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@parametrize_with_checks(
    [
        ConvexReLURegressor(),
        ConvexReLURegressor(normalise="before"),
        ConvexReLUClassifier(),
        # Interior points, which take their time.
        ConvexReLUClassifier(loss="hinge", normalise="after", max_patterns=10),
    ]
)
def test_contract_of_scikit_learn(estimator, check):
    check(estimator)
