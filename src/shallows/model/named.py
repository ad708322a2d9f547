"""Activations by the words that the command line and records use."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from shallows.model.activations import AbstractActivation, absolute, leaky, relu
from shallows.model.analytic import Analytic
from shallows.model.smooth import Erf, Polynomial, Sine

_PLAIN: dict[str, Callable[[], AbstractActivation]] = {
    "relu": lambda: relu,
    "abs": lambda: absolute,
    "erf": Erf,
    "sin": Sine,
    "cos": Sine.cosine,
    "tanh": lambda: Analytic(jnp.tanh, "tanh"),
    "sigmoid": lambda: Analytic(jax.nn.sigmoid, "sigmoid"),
    "softplus": lambda: Analytic(jax.nn.softplus, "softplus"),
    "silu": lambda: Analytic(jax.nn.silu, "silu"),
    "gelu": lambda: Analytic(_gelu, "gelu"),
}
_WITH_NUMBERS: dict[str, Callable[[list[float]], AbstractActivation]] = {
    "leaky": lambda x: leaky(*x),
    "erf": lambda x: Erf(*x),
    "sin": lambda x: Sine(*x),
    "cos": lambda x: Sine.cosine(*x),
    "poly": Polynomial,
    "hermite": Polynomial.hermite,
}


def activation(text: str) -> AbstractActivation:
    """The activation of that name: a word, or a word with numbers such as `leaky:0.1`.

    `relu`, `abs`, `leaky:SLOPE`, `erf[:SCALE]`, `sin[:FREQUENCY]`, `cos[:FREQUENCY]`,
    `poly:C0,C1,…` (powers), `hermite:C0,C1,…` (normalised Hermite polynomials), `tanh`, `sigmoid`,
    `softplus`, `silu`, `gelu`.

    **Raises.** `ValueError` for any other, with the known ones.
    """
    word, colon, rest = text.partition(":")
    try:
        if not colon:
            return _PLAIN[word]()
        make = _WITH_NUMBERS[word]
        numbers = [float(x) for x in rest.split(",")]
    except (KeyError, ValueError):
        known = [*_PLAIN, "leaky:0.1", "erf:0.7", "sin:2", "cos:2", "poly:0,0,1", "hermite:0,0,0,1"]
        raise ValueError(
            f"There is no activation {text!r}. The known ones, with example numbers where they "
            f"take some: {', '.join(known)}."
        ) from None
    try:
        return make(numbers)
    except TypeError:
        raise ValueError(
            f"The activation {text!r} has too many numbers. Give one after the colon."
        ) from None


def _gelu(t):
    return jax.nn.gelu(t, approximate=False)
