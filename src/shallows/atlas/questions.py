"""What a census asks, in words and as a digest: the parts of a record's key."""

import dataclasses
import hashlib

import jax
import numpy as np

from shallows.landscape import SquaredLoss
from shallows.model import Mixture, Network, Product, Sample, ShiftedGaussian, relu
from shallows.solve import AbstractMethod


def promoted(loss: SquaredLoss) -> dict[str, str]:
    """What was promoted to float64, for the record."""
    given = {"teacher": loss.teacher.given_as, "data": getattr(loss.law, "given_as", "float64")}
    low = [f"{what} given as {kind}" for what, kind in given.items() if kind != "float64"]
    if not low:
        return {}
    reason = "everything is computed in float64; the rounding of the input stays"
    return {"promoted": f"{', '.join(low)}: {reason}"}


def teacher_words(teacher: Network) -> str:
    """The teacher, in words."""
    m, d = teacher.inner.shape
    standard = np.array_equal(teacher.inner, np.eye(m, d)) and np.all(
        np.asarray(teacher.outer) == 1
    )
    return f"orthonormal, {m} neurons" if standard else f"given, {m} neurons"


def law_words(law) -> str:
    """The law, in words."""
    if isinstance(law, Sample):
        return f"sample of {law.size} points"
    if isinstance(law, ShiftedGaussian):
        constant = ", one input constant" if law.has_constant else ""
        return f"Gaussian with a mean{constant}"
    if isinstance(law, Product):
        return f"independent {type(law.marginal).__name__} inputs"
    standard = type(law).__name__ == "Gaussian" and law.root is None
    return "standard Gaussian" if standard else type(law).__name__


def method_words(method: AbstractMethod) -> str:
    """The method with its parameters."""
    fields = ", ".join(f"{f.name}={getattr(method, f.name)!r}" for f in dataclasses.fields(method))
    return f"{type(method).__name__}({fields})"


def digest(loss: SquaredLoss) -> str:
    """Identifies the numbers behind the words: teacher, law and what is trained."""
    words = [type(loss.law).__name__, type(loss.trained).__name__]
    if loss.activation != relu:
        words.append(repr(loss.activation))
    if loss.dropout is not None:
        words.append(repr(loss.dropout))
    if isinstance(loss.law, Mixture | Product):
        words.append(repr(loss.law))  # what tells it from others is no array
    sha = hashlib.sha256(" ".join(words).encode())
    # The constant tells a sphere from a ball; it is no array.
    constant = getattr(loss.law, "constant", 1.0)
    for leaf in (*jax.tree.leaves((loss.teacher, loss.law)), np.float64(constant)):
        array = np.ascontiguousarray(leaf)
        sha.update(f"{array.shape}{array.dtype}".encode() + array.tobytes())
    return sha.hexdigest()[:16]
