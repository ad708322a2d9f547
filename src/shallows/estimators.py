r"""The door to scikit-learn: two-layer ReLU networks at the optimum of their convex programs.

Parameters are words and numbers, as scikit-learn wants them, and become objects inside. With few
points, or one or two features, all activation patterns are in the program, and `optimum_` is the
least regularised cost of any network; else they are a sample, and `exact_` says so.
"""

import functools
import math
import numbers
import warnings
from typing import Any, Self

import numpy as np
from jaxtyping import Float

from shallows.landscape.convex import (
    AbstractConvexProgram,
    AbstractLoss,
    Hinge,
    Logistic,
    NormalisedAfter,
    NormalisedBefore,
    Patterns,
    Squared,
    Unnormalised,
    all_patterns,
    sampled_patterns,
)
from shallows.landscape.convex.patterns import orthonormal_columns
from shallows.model.network import Network, positive_integer
from shallows.solve.convex import ConvexOutcome, ConvexSolution
from shallows.solve.convex_routes import optimum
from shallows.solve.first_order import AugmentedLagrangian

try:
    from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.utils import check_random_state
    from sklearn.utils.metaestimators import available_if
    from sklearn.utils.multiclass import check_classification_targets
    from sklearn.utils.validation import check_is_fitted, validate_data
except ImportError:
    raise ImportError(
        "Estimators need scikit-learn 1.6 or later, which is not installed. Install it: "
        "`pip install shallows[estimators]`."
    ) from None

_LOSSES: dict[str, type[AbstractLoss]] = {
    "hinge": Hinge,
    "logistic": Logistic,
    "squared": Squared,
}


class _ConvexReLU(BaseEstimator):
    """What both estimators share: one program for each output, over the same patterns."""

    def __init__(
        self,
        beta: float = 1.0,
        *,
        normalise: str = "none",
        bias: bool = True,
        max_patterns: int = 100,
        tolerance: float = 1e-4,
        max_steps: int = 200,
        random_state: Any = None,
    ):
        self.beta = beta
        self.normalise = normalise
        self.bias = bias
        self.max_patterns = max_patterns
        self.tolerance = tolerance
        self.max_steps = max_steps
        self.random_state = random_state

    def _fit(self, x: Float[np.ndarray, "n d"], y: Float[np.ndarray, "n c"], loss) -> Self:
        self._check()
        seed = int(check_random_state(self.random_state).randint(2**31 - 1))
        find = functools.partial(patterns, most=self.max_patterns, seed=seed)
        program = self._program(x, y[:, 0], loss, find)
        solutions = [self._solved(program)]
        for column in y.T[1:]:
            again = self._program(x, column, loss, program.patterns)
            solutions.append(self._solved(again))
        self.exact_ = program.patterns.exact
        self.n_patterns_ = len(program.patterns)
        self.optimum_ = float(sum(one.value for one in solutions))
        self.lower_bound_ = float(sum(one.lower_bound for one in solutions))
        self.gap_ = self.optimum_ - self.lower_bound_
        self.networks_ = tuple(self._plain(one) for one in solutions)
        share = abs(self.gap_) / max(self.optimum_, 1e-300)
        broken = any(one.outcome is ConvexOutcome.failed for one in solutions)
        if broken or share > self.tolerance:
            warnings.warn(
                f"The gap is {share:.1e} of the cost, more than the tolerance. "
                f"Scale features to size one, raise `max_steps`, or raise `beta`, as small "
                f"penalties take more steps.",
                ConvergenceWarning,
                stacklevel=3,
            )
        return self

    def _check(self) -> None:
        """**Raises.** `ValueError` for parameters that the programs do not look at themselves."""
        if not isinstance(self.beta, numbers.Real) or not 0 < self.beta < np.inf:
            raise ValueError(f"`beta` must be positive and finite, but is {self.beta!r}. Use 0.01.")
        if not isinstance(self.bias, bool | np.bool_):
            raise ValueError(f"`bias` must be True or False, but is {self.bias!r}. Pass `True`.")
        if not isinstance(self.tolerance, numbers.Real) or not 0 < self.tolerance < np.inf:
            raise ValueError(
                f"`tolerance` must be positive and finite, but is {self.tolerance!r}. Use 1e-4."
            )
        positive_integer("max_steps", self.max_steps)

    @property
    def network_(self) -> Network:
        """The network, where there is one output."""
        if len(self.networks_) != 1:
            raise AttributeError(
                f"There are {len(self.networks_)} outputs, with a network each. Use `networks_`."
            )
        return self.networks_[0]

    def _program(self, x, y, loss, find) -> AbstractConvexProgram:
        if self.normalise == "none":
            return Unnormalised(x, y, self.beta, loss, bias=self.bias, patterns=find)
        if self.normalise == "after":
            return NormalisedAfter(x, y, self.beta, loss, bias=self.bias, patterns=find)
        if self.normalise != "before":
            raise ValueError(
                f"`normalise` must be 'none', 'before' or 'after' (the ReLU), but is "
                f"{self.normalise!r}."
            )
        if not self.bias:
            raise ValueError(
                "Normalised before the ReLU neurons have a shift, which is a bias, but `bias` is "
                "False. Pass `bias=True`, or normalise otherwise."
            )
        return NormalisedBefore(x, y, self.beta, loss, patterns=find)

    def _solved(self, program: AbstractConvexProgram) -> ConvexSolution:
        return optimum(program, AugmentedLagrangian(tolerance=self.tolerance, steps=self.max_steps))

    def _plain(self, solution: ConvexSolution) -> Network:
        if self.normalise == "none":
            return solution.network
        has_constant = self.normalise == "after" and self.bias
        return solution.network.plain(has_constant=has_constant)

    def _outputs(self, x) -> Float[np.ndarray, "n c"]:
        check_is_fitted(self)
        x = validate_data(self, x, dtype=np.float64, reset=False)
        return np.stack([_values(network, x) for network in self.networks_], axis=1)


class ConvexReLURegressor(RegressorMixin, _ConvexReLU):
    r"""Least squares by a two-layer ReLU network, $\tfrac12 |f(X) - y|^2$ with weight decay β.

    The network is the optimum of $\tfrac12 |f(X) - y|^2 + \tfrac\beta2 \sum (|w|^2 + b^2 + a^2)$,
    or with normalised neurons of `NormalisedBefore` or `NormalisedAfter`. Several outputs have a
    network each. Scale features to size one first, e.g. by `StandardScaler`, and note that biases
    are penalised and that the output has none.

    **Parameters.** `beta`; `normalise`, one of 'none', 'before' and 'after' (the ReLU); `bias`;
    `max_patterns`, above which patterns are a sample of that size; `tolerance` of the gap, as a
    share of the cost; `max_steps` of Newton's method, which is taken where patterns times points
    are above 5000; `random_state` of the sample.

    **Attributes.** `optimum_` (the cost reached, summed over outputs), `lower_bound_` and `gap_`;
    `exact_`, whether patterns are all: if not, the bound is that of networks of these patterns
    only; `n_patterns_`; `network_` or, for several outputs, `networks_`, without normalisation.

    **Raises.** `ValueError` for parameters that are none of these; a gap above the tolerance is a
    `ConvergenceWarning`.

    **Cost.** 3 s for 500 points of 10 features, 1e-3 and 100 patterns; cubic in the points.
    """

    def fit(self, X, y) -> Self:
        """Solve the program."""
        X, y = validate_data(
            self, X, y, dtype=np.float64, multi_output=True, y_numeric=True, ensure_min_samples=2
        )
        y = np.asarray(y, dtype=np.float64)
        self._is_flat = y.ndim == 1
        return self._fit(X, y.reshape(len(y), -1), Squared())

    def predict(self, X):
        """The outputs of the network."""
        found = self._outputs(X)
        return found[:, 0] if self._is_flat else found

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags


class ConvexReLUClassifier(ClassifierMixin, _ConvexReLU):
    """Classification by two-layer ReLU networks: of two classes one, else one against the rest.

    As `ConvexReLURegressor`, with a `loss` that is 'logistic', 'hinge' or 'squared' (labels ±1).
    Probabilities are there for the logistic loss; of several classes they are scaled to sum 1.
    """

    def __init__(
        self,
        beta: float = 1.0,
        *,
        loss: str = "logistic",
        normalise: str = "none",
        bias: bool = True,
        max_patterns: int = 100,
        tolerance: float = 1e-4,
        max_steps: int = 200,
        random_state: Any = None,
    ):
        super().__init__(
            beta,
            normalise=normalise,
            bias=bias,
            max_patterns=max_patterns,
            tolerance=tolerance,
            max_steps=max_steps,
            random_state=random_state,
        )
        self.loss = loss

    def fit(self, X, y) -> Self:
        """Solve the programs."""
        X, y = validate_data(self, X, y, dtype=np.float64, ensure_min_samples=2)
        check_classification_targets(y)
        if self.loss not in _LOSSES:
            raise ValueError(f"`loss` must be one of {sorted(_LOSSES)}, but is {self.loss!r}.")
        self.classes_, index = np.unique(y, return_inverse=True)
        count = len(self.classes_)
        if count < 2:
            raise ValueError(
                f"All {len(y)} labels are {self.classes_.tolist()[0]!r}: there is one class only, "
                f"and nothing to tell apart. Give points of two classes."
            )
        own = np.arange(count) if count > 2 else np.array([1])
        labels = np.where(index[:, None] == own, 1.0, -1.0)
        return self._fit(X, labels, _LOSSES[self.loss]())

    def decision_function(self, X):
        """The outputs: of two classes positive for the second, else one a class."""
        found = self._outputs(X)
        return found[:, 0] if len(self.classes_) == 2 else found

    def predict(self, X):
        """The class of the largest output."""
        found = self.decision_function(X)
        chosen = (found > 0).astype(int) if found.ndim == 1 else np.argmax(found, axis=1)
        return self.classes_[chosen]

    @available_if(lambda self: self.loss == "logistic")
    def predict_proba(self, X):
        """1/(1 + exp(−output)), scaled to sum 1."""
        found = self.decision_function(X)
        each = np.exp(-np.logaddexp(0.0, -found))
        if found.ndim == 1:
            return np.stack([1 - each, each], axis=1)
        return each / each.sum(axis=1, keepdims=True)


def patterns(features: Float[np.ndarray, "n r"], *, most: int, seed: int = 0) -> Patterns:
    """All patterns where there can be no more than `most`, else a sample of as many directions."""
    if not isinstance(most, int | np.integer) or most < 1:
        raise ValueError(f"`max_patterns` must be a positive whole number, but is {most!r}.")
    n, r = len(np.unique(features, axis=0)), len(orthonormal_columns(features)[1])
    number = 2 * sum(math.comb(n - 1, k) for k in range(r))
    if number <= most:
        return all_patterns(features, limit=most)
    return sampled_patterns(features, most, seed=seed)


def _values(network: Network, x: Float[np.ndarray, "n d"]) -> Float[np.ndarray, " n"]:
    """In NumPy: compiling for each number of points would take longer."""
    inner, outer = np.asarray(network.inner), np.asarray(network.outer)
    shift = 0.0 if network.bias is None else np.asarray(network.bias)
    return np.maximum(x @ inner.T + shift, 0) @ outer


__all__ = ["ConvexReLUClassifier", "ConvexReLURegressor"]
