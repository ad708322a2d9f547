"""Numbers and sentences: how a census is put into words."""

import functools
import json
import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from shallows.atlas.catalogue import Census, Family
from shallows.report.references import Reference, bibliography
from shallows.report.shares import Share

_OPTIMISERS = {
    "flow": "gradient flow",
    "gd": "gradient descent",
    "sgd": "stochastic gradient descent",
}


def significant(number: float | int, digits: int = 8) -> str:
    """A number with so many significant digits; `not computed` where it is not a number."""
    return f"{number:.{digits}g}" if math.isfinite(number) else "not computed"


def exact(number: float | int) -> str:
    """The shortest decimal that reads back as this number."""
    return repr(float(number)) if math.isfinite(number) else "not computed"


def scientific(number: float | int) -> str:
    """A small number by its size, e.g. `8.3e-13`."""
    return f"{number:.1e}" if math.isfinite(number) else "not computed"


def plural(count: int, singular: str, several: str | None = None) -> str:
    """`1 family`, `3 families`."""
    return f"{count} {singular if count == 1 else several or singular + 's'}"


def large(number: int) -> str:
    """A group order: exact while it is short, by its size afterwards."""
    if abs(number) < 10**12:
        return f"{number:,}".replace(",", "\N{NARROW NO-BREAK SPACE}")
    # `float` overflows at 171!, `math.log10` takes integers of any size.
    exponent, mantissa = divmod(math.log10(number), 1)
    return f"≈ {10**mantissa:.3f}e{exponent:.0f}"


def duration(seconds: float | int) -> str:
    """A computing time in the unit a human would choose."""
    if seconds < 120:
        return f"{seconds:.3g} s"
    if seconds < 2 * 3600:
        return f"{seconds / 60:.3g} min"
    return f"{seconds / 3600:.3g} h"


def value(thing: Any) -> str:
    """Any value of a question or a provenance, as text."""
    if isinstance(thing, bool) or thing is None:
        return {True: "yes", False: "no", None: "not recorded"}[thing]
    if isinstance(thing, float):
        return repr(thing)
    if isinstance(thing, Mapping | Sequence) and not isinstance(thing, str):
        return json.dumps(thing, ensure_ascii=False, default=str)
    return str(thing)


def cited(source: str) -> str:
    """Where a claim is from, with names and years in the place of keys of the bibliography."""
    return re.sub(r"\b[a-z]+\d{4}[a-z]*\b", lambda key: _names().get(key[0], key[0]), source)


@functools.cache
def _names() -> dict[str, str]:
    short = {key: _name(reference) for key, reference in bibliography().items()}
    several = {name for name, count in Counter(short.values()).items() if count > 1}
    # Authors of several papers of one year: their numbers tell them apart.
    return {
        key: f"{name[:-1]}, arXiv:{bibliography()[key].arxiv})" if name in several else name
        for key, name in short.items()
    }


def _name(reference: Reference) -> str:
    surnames = [author.partition(",")[0] for author in reference.authors]
    names = " & ".join(surnames) if len(surnames) < 3 else f"{surnames[0]} et al."
    return f"{names} ({reference.fields['year']})"


def is_global(family: Family) -> bool:
    """Whether the atlas named this family the global minimum."""
    return family.name.split(":")[0] == "global"


def global_share(census: Census) -> Share:
    """The share of all starts, settled or not, that found the global minimum."""
    return Share(sum(f.count for f in census.families if is_global(f)), census.starts)


def size_title(question: Mapping[str, Any]) -> str:
    """`k = 10, d = 8`, as far as it is known."""
    parts = [("k", question.get("neurons")), ("d", question.get("inputs"))]
    return ", ".join(f"{letter} = {size}" for letter, size in parts if size is not None)


def optimiser(question: Mapping[str, Any]) -> str:
    """The optimiser in plain language, e.g. `gradient descent`."""
    name = str(question.get("optimiser") or "training")
    return _OPTIMISERS.get(name, name)


def is_stepwise(question: Mapping[str, Any]) -> bool:
    """Whether training counts steps (a descent) rather than time (a flow)."""
    return "flow" not in str(question.get("optimiser", "")).lower()


def question_sentence(census: Census) -> str:
    """What was asked, in one plain sentence."""
    question = census.question
    asked = f"Which critical points does {optimiser(question)}"
    if question.get("step") is not None:
        asked += f" with step {_short(question['step'])}"
    asked += f" find from {plural(census.starts, 'random start')}"
    if question.get("neurons") is not None:
        asked += f", with k = {plural(question['neurons'], 'student neuron')}"
        if question.get("inputs") is not None:
            asked += f" and d = {plural(question['inputs'], 'input')}"
    # What is a description rather than a number is quoted as the library words it.
    details = [
        f"{label} {_short(question[key])}"
        for key, label in [
            ("teacher", "teacher:"),
            ("law", "law of the inputs:"),
            ("trained", "trained:"),
            ("init", "start:"),
            ("seed", "seed"),
        ]
        if question.get(key) is not None
    ]
    return asked + (f" ({'; '.join(details)})" if details else "") + "?"


def answer_sentence(census: Census) -> str:
    """What was found, in one plain sentence."""
    settled = f"{census.settled} of {plural(census.starts, 'start')} settled"
    if not census.families:
        return f"{settled}, so there is no family to show."
    found = f"{settled}, in {plural(len(census.families), 'family', 'families')}"
    share = global_share(census)
    if share.count == 0:
        _, high = share.interval
        return (
            f"{found}; none of them is named the global minimum "
            f"(0 of {census.starts}, so at most {100 * high:.1f} % at 95 % confidence)."
        )
    return f"{found}; the global minimum was found by {share} of the starts."


def _short(thing: Any) -> str:
    return f"{thing:.5g}" if isinstance(thing, float) else value(thing)
