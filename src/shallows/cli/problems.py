"""Problems as the command line says them: laws, teachers and activations by words and files."""

import enum
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from shallows.landscape import SquaredLoss
    from shallows.model import AbstractLaw, Layers


class Trained(enum.StrEnum):
    """Which parameters are trained."""

    inner = "inner"
    all = "all"


def problem(
    k: int | None,
    inputs: int | None,
    teacher: str,
    law: str,
    trained: Trained,
    activation: str,
    has_biases: bool,
    retain: float | None = None,
) -> "SquaredLoss":
    """The loss that these options mean; `law` and `teacher` are words or names of files."""
    from shallows.landscape import AllWeights, Dropout, InnerWeights, SquaredLoss
    from shallows.model import Network, orthonormal, with_constant
    from shallows.model.named import activation as called

    sigma = called(activation)
    named = named_law(law)
    given: AbstractLaw | None = law_in(Path(law)) if named is None else None
    target: Network | None = None
    if teacher != "orthonormal":
        arrays = npz_arrays(Path(teacher), "teacher", {"inner"}, {"outer", "bias"})
        target = Network(arrays["inner"], arrays.get("outer"), arrays.get("bias"), sigma)
        if target.bias is not None and not has_biases:
            raise ValueError(
                f"The teacher in {teacher} has biases, which a student without them cannot learn. "
                f"Add `--bias`, or leave them out of the file."
            )
        if k is not None and k != target.neurons:
            raise ValueError(
                f"`-k {k}` contradicts the teacher in {teacher}, which has {target.neurons} "
                f"neurons. Leave -k out; for a wider student use `--neurons`."
            )
    known = given.inputs if given is not None else target.inputs if target is not None else inputs
    if inputs is not None and inputs != known:
        raise ValueError(
            f"`--inputs {inputs}` contradicts the file, which has {known} inputs. Leave it out."
        )
    if target is None:
        size = k if k is not None else known if known is not None else 10
        d = known if known is not None else size
        try:
            target = orthonormal(size, d, sigma)
        except ValueError as error:
            raise ValueError(f"{error} For a wider student: `-k {d} --neurons {size}`.") from None
    options = {Trained.inner: InnerWeights, Trained.all: AllWeights}
    inputs_law = named(target.inputs) if named is not None else given
    assert inputs_law is not None  # a name or a file
    if has_biases:
        target, inputs_law = target.with_constant(), with_constant(inputs_law)
    dropout = None if retain is None else Dropout(retain)
    return SquaredLoss(target, inputs_law, options[trained](), dropout=dropout)


def named_law(text: str) -> "Callable[[int], AbstractLaw] | None":
    """The law of that name for any number of inputs; None if it is no name, but a file's."""
    from shallows.model import (
        Gaussian,
        Laplace,
        Product,
        Rotational,
        StudentT,
        Uniform,
        noisy_signs,
    )

    word, colon, number = text.partition(":")
    named: dict[str, Callable[[int], AbstractLaw]] = {
        "gaussian": Gaussian,
        "sphere": Rotational,
        "ball": partial(Rotational, filled=True),
        "uniform": partial(Product, Uniform()),
        "laplace": partial(Product, Laplace()),
    }
    if not colon and word in named:
        return named[word]
    with_a_number: dict[str, tuple[Callable[[float], Callable[[int], AbstractLaw]], str]] = {
        "student": (lambda x: partial(StudentT, degrees=x), "its degrees of freedom"),
        "signs": (lambda x: partial(noisy_signs, noise=x), "the standard deviation of its noise"),
    }
    examples = {"student": "student:5", "signs": "signs:0.5"}
    if word in with_a_number:
        make, what = with_a_number[word]
        try:
            return make(float(number))
        except ValueError:
            raise ValueError(
                f"The law {text!r} needs {what}. Use e.g. `{examples[word]}`."
            ) from None
    if not Path(text).exists():
        raise ValueError(
            f"There is no law {text!r}, and no file of that name. The known laws: "
            f"{', '.join([*named, *examples.values()])}; or an npz file with `inputs`, "
            f"`covariance` or `covariances`."
        )
    return None


def law_in(path: Path) -> "AbstractLaw":
    """The law in an npz file."""
    from shallows.model import Gaussian, Mixture, Sample

    kinds = {"inputs", "covariance", "covariances"}
    arrays = npz_arrays(path, "law", set(), {"weights", *kinds})
    if len(kinds & set(arrays)) != 1:
        raise ValueError(
            f"{path} must hold one of `inputs` (a data set, one row a point), `covariance` and "
            f"`covariances` (of a mixture), but holds {sorted(arrays)}. Write it with "
            f"`numpy.savez(path, inputs=X)`."
        )
    if "covariances" in arrays:
        parts = [Gaussian(covariance=c) for c in arrays["covariances"]]
        return Mixture(parts, arrays.get("weights"))
    if "covariance" in arrays:
        if "weights" in arrays:
            raise ValueError(
                f"{path} holds `weights`, which belong to the points of a data set, beside "
                f"`covariance`. Leave them out."
            )
        return Gaussian(covariance=arrays["covariance"])
    return Sample(arrays["inputs"], arrays.get("weights"))


def npz_arrays(path: Path, role: str, needed: set[str], allowed: set[str]) -> dict[str, Any]:
    """The arrays of an npz file, which must have those needed and may have those allowed."""
    arrays = npz_contents(path, role)
    missing, extra = needed - set(arrays), set(arrays) - needed - allowed
    if missing or extra:
        raise ValueError(
            f"{str(path)!r} holds {sorted(arrays)}, but a {role} file needs {sorted(needed)} and "
            f"may hold {sorted(allowed)}. Rename its arrays."
        )
    return arrays


def npz_contents(path: Path, role: str) -> dict[str, Any]:
    """All arrays of an npz file."""
    import numpy as np

    try:
        with path.open("rb") as file:
            archive = np.load(file, allow_pickle=False)
            return {name: archive[name] for name in archive.files}
    except FileNotFoundError:
        raise ValueError(
            f"There is no file {str(path)!r} for the {role}. Check the name."
        ) from None
    except Exception as error:  # a damaged archive raises whatever its innermost reader does
        raise ValueError(
            f"{str(path)!r} cannot be read as an npz file of numbers ({error}). "
            f"Write it with `numpy.savez`."
        ) from None


def layers_in(path: Path) -> "Layers":
    """The network in an npz file, by either set of names."""
    from shallows.model import Layers, Network, layers_of

    arrays = npz_contents(path, "network")
    if "inner" in arrays and set(arrays) <= {"inner", "outer", "bias"}:
        return layers_of(Network(arrays["inner"], arrays.get("outer"), arrays.get("bias")))
    depth = sum(bool(re.fullmatch(r"W\d+", name)) for name in arrays)
    names = [f"W{l}" for l in range(1, depth + 1)]
    rest = set(arrays) - set(names)
    if depth < 2 or not set(names) <= set(arrays) or rest - {f"b{l}" for l in range(1, depth + 1)}:
        raise ValueError(
            f"{str(path)!r} holds {sorted(arrays)}, but a network file has matrices `W1`, `W2`, … "
            f"with a row for each unit, those of the heads last, and may have biases `b1`, `b2`, "
            f"…; or it has `inner`, and may have `outer` and `bias`. Rename its arrays."
        )
    weights = [arrays[name] for name in names]
    if weights[-1].ndim == 1:  # the heads of a single output
        weights[-1] = weights[-1][None]
    try:
        return Layers(weights, [arrays.get(f"b{l}") for l in range(1, depth + 1)])
    except ValueError as error:  # in the names of the file
        text = re.sub(
            r"`(weights|biases)\[(\d+)\]`",
            lambda found: f"`{'W' if found[1] == 'weights' else 'b'}{int(found[2]) + 1}`",
            str(error),
        )
        raise ValueError(text) from None
