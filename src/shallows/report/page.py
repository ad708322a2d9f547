"""A census, or a range of sizes, as one HTML file that needs nothing but a browser."""

import importlib.resources
import json
import math
import os
import re
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup, escape

from shallows.atlas.catalogue import Census, Family
from shallows.report import plots, scales, sizes, words
from shallows.report.shares import Share

SECTIONS = 30
"""Families with a section of their own; the others are in the table and in the store."""
OPEN = 3
"""Sections that are unfolded when the page opens."""
_ENTRIES = 120_000
"""Weights on one page, about 2.5 MB of text; families beyond are left to the store."""
# Indices belong to single letters, Greek ones and Δ before them included; x_max is no snake.
_RAISED = (
    (r"(?<=\w)_\{([^{}]+)\}", "sub"),
    (r"(?<=(?<!\w)[^\W\d_])_([^\W_²]+)", "sub"),
    (r"(?<=Δ[^\W\d_])_([^\W_²]+)", "sub"),
    (r"(?<=\w\*)_([^\W_²]+)", "sub"),
    (r"\^\(([^()]+)\)", "sup"),
    (r"\^\{([^{}]+)\}", "sup"),
    (r"\^([−-]?\w+(?:\.\d+)?)", "sup"),
)
_LEVELS = 30
"""Rows of the table of a spectrum; the picture has all levels."""


def write_report(
    census: Census,
    path: str | os.PathLike[str],
    *,
    command: str | None = None,
    store: str | os.PathLike[str] | None = None,
) -> Path:
    """Write one self-contained page about a census, and return its path.

    The page makes no network request (its content security policy forbids them), holds the
    weights of its families in full precision, and draws a figure when it scrolls into view.

    **Convention.** `path` is the file, not a folder; its parents are made. The file is written
    beside and renamed, so a reader never meets half a page. `command` is the command line that
    reproduces it and `store` where the records are; both are shown, neither is run or read.

    **Raises.** `ValueError` for a census without starts. **Cost.** About 5 MB, which is
    plotly.js; at most 30 families get a section.
    """
    if census.starts < 1:
        raise ValueError(
            f"A census without starts has nothing to report: {census.starts=}. "
            "Run it first, e.g. `shallows census -k 10 --starts 100`."
        )
    sections, left = [], _ENTRIES
    for i, family in enumerate(census.families[:SECTIONS]):
        left -= family.weights.size
        sections.append(_section(i, family, census, with_weights=left >= 0))
    share_plots = {"shares": plots.shares_plot(census)}
    if plots.has_landscape(census):
        share_plots["landscape"] = plots.landscape_plot(census)
    size = words.size_title(census.question)
    return _write(
        "census.html.j2",
        path,
        title="Census of critical points" + (f": {size}" if size else ""),
        census=census,
        question=words.question_sentence(census),
        answer=words.answer_sentence(census),
        rows=[
            (family, Share(family.count, census.starts), i < len(sections))
            for i, family in enumerate(census.families)
        ],
        sections=sections,
        open=OPEN,
        plots=share_plots,
        has_global=words.global_share(census).count > 0,
        proved=any(family.proof is not None for family in census.families),
        command=command,
        store=store if store is not None else census.provenance.get("store"),
        facts=_facts({"question": census.question, "provenance": census.provenance}),
    )


def write_atlas_report(
    censuses: Sequence[Census],
    path: str | os.PathLike[str],
    *,
    command: str | None = None,
    store: str | os.PathLike[str] | None = None,
) -> Path:
    """Write one self-contained page about a range of sizes, and return its path.

    **Convention.** As `write_report`; the censuses may come in any order and say `neurons` in
    their questions.

    **Raises.** `ValueError` for no census, for one without starts, or one without `neurons`.
    """
    found = sizes.ordered(censuses)
    empty = [sizes.neurons(census) for census in found if census.starts < 1]
    if empty:
        raise ValueError(
            f"A census without starts has nothing to report: neurons {empty}. "
            "Leave these sizes out, or run them first."
        )
    first, last = sizes.neurons(found[0]), sizes.neurons(found[-1])
    # What all sizes share is said once; what depends on the size (step = 5/k) is left out.
    common = {
        key: value
        for key, value in found[0].question.items()
        if all(census.question.get(key) == value for census in found)
    }
    provenance = {
        key: value
        for key, value in found[0].provenance.items()
        if all(census.provenance.get(key) == value for census in found)
    }
    return _write(
        "atlas.html.j2",
        path,
        title=f"Atlas of critical points: k = {first} to {last}"
        if len(found) > 1
        else f"Atlas of critical points: k = {first}",
        sentence=_atlas_sentence(found),
        rows=[
            {
                "census": census,
                "k": sizes.neurons(census),
                "share": words.global_share(census),
                "flipped": sizes.mean_flipped(census)[0],
                "loss": sizes.mean_loss(census, spurious=True),
                "gradient": sizes.worst_gradient(census),
            }
            for census in found
        ],
        plots={"atlas": plots.atlas_plot(found)},
        command=command,
        store=store if store is not None else provenance.get("store"),
        facts=_facts({"question": common, "provenance": provenance}),
    )


def _atlas_sentence(found: Sequence[Census]) -> str:
    settled, starts = sum(c.settled for c in found), sum(c.starts for c in found)
    sentence = (
        f"{words.optimiser(found[0].question).capitalize()} from {starts} random starts, over "
        f"{words.plural(len(found), 'size')}: {settled} settled."
    )
    ends = [
        f"{words.global_share(census)} at k = {sizes.neurons(census)}"
        for census in ([found[0], found[-1]] if len(found) > 1 else found)
    ]
    return f"{sentence} The global minimum was found by {' and by '.join(ends)}."


def _section(i: int, family: Family, census: Census, *, with_weights: bool) -> dict[str, Any]:
    stepwise = words.is_stepwise(census.question)
    drawn: dict[str, plots.Plot] = {}
    if family.spectrum:
        drawn["spectrum"] = plots.spectrum_plot(family)
    if family.curve.time:
        drawn["curve"] = plots.curve_plot(family, stepwise=stepwise)
    if with_weights:
        drawn["weights"] = plots.weights_plot(family)
    payload: dict[str, Any] = {"plots": drawn}
    if with_weights:
        payload["family"] = {
            "name": family.name,
            "isotropy": family.isotropy,
            "loss": family.loss if math.isfinite(family.loss) else None,
            "weights": family.weights.tolist(),
            "outer": family.outer.tolist(),
        }
    points = len(family.curve.time)
    return {
        "number": i + 1,
        "family": family,
        "share": Share(family.count, census.starts),
        "payload": payload,
        "plots": drawn,
        "levels": family.spectrum[:_LEVELS],
        "levels_left": len(family.spectrum) - _LEVELS,
        "logarithmic": plots.spectrum_is_logarithmic(family),
        "stepwise": stepwise,
        "outer": _outer(family),
        "thinned": points if points > len(plots.thinned(points)) else None,
    }


def _outer(family: Family) -> str:
    low, high = float(family.outer.min()), float(family.outer.max())
    if low == high:
        return f"all {words.significant(low)}"
    return f"from {words.significant(low)} to {words.significant(high)}"


def _facts(groups: Mapping[str, Mapping[str, Any]]) -> list[tuple[str, list[tuple[str, str]]]]:
    return [
        (label, [(str(key).replace("_", " "), words.value(v)) for key, v in group.items()])
        for label, group in groups.items()
        if group
    ]


def _write(template: str, path: str | os.PathLike[str], **content: Any) -> Path:
    plotly = None
    if content["plots"]:
        from plotly.offline import get_plotlyjs  # a second of import, paid by who plots only

        plotly = Markup(get_plotlyjs())
    text = (
        _environment()
        .get_template(template)
        .render(
            style=Markup(_resource("page.css")),
            script=Markup(_resource("page.js")),
            plotly=plotly,
            **content,
        )
    )
    return _write_text(text, path)


def _write_text(text: str, path: str | os.PathLike[str]) -> Path:
    target = Path(path)
    if target.is_dir():
        raise ValueError(
            f"A report is a file, not a folder: {str(target)!r}. "
            f"Pass e.g. {str(target / 'report.html')!r}."
        )
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, beside = tempfile.mkstemp(dir=target.parent, prefix=target.name, suffix=".part")
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as file:
            file.write(text)
        # mkstemp makes files for the owner only; a report is for colleagues as well.
        os.chmod(beside, 0o666 & ~_umask())
        os.replace(beside, target)
    except BaseException:
        Path(beside).unlink(missing_ok=True)
        raise
    return target


def _umask() -> int:
    # The only way to read it is to set it.
    mask = os.umask(0o022)
    os.umask(mask)
    return mask


def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(_resource),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "significant": words.significant,
        "scientific": words.scientific,
        "exact": words.exact,
        "shortened": scales.shortened,
        "large": words.large,
        "plural": words.plural,
        "duration": words.duration,
        "group": _group,
        "prose": _prose,
        "cited": words.cited,
        "inline": _inline,
    }
    return environment


def _group(isotropy: str) -> Markup:
    """An isotropy group with its indices lowered; the text stays what it was."""
    return Markup(re.sub(r"(?<=S)(\d+)", r"<sub>\1</sub>", str(escape(isotropy))))


def _prose(text: str) -> Markup:
    """A sentence with its `code`, S_k and k^(−1/2) as one prints them."""
    parts = str(escape(text)).split("`")
    # Text between two backticks is code; a single one is itself.
    if len(parts) % 2 == 0:
        parts[-2:] = ["`".join(parts[-2:])]
    for i, part in enumerate(parts):
        if i % 2:
            parts[i] = f"<code>{part}</code>"
            continue
        for pattern, tag in _RAISED:
            part = re.sub(pattern, rf"<{tag}>\1</{tag}>", part)
        parts[i] = part
    return Markup("".join(parts))


def _inline(document: Any) -> Markup:
    # Inside <script> no character may end the element; JSON lets `<`, `>` and `&` be escaped.
    text = json.dumps(document, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)


def _resource(name: str) -> str:
    return importlib.resources.files("shallows.report").joinpath(name).read_text("utf-8")
