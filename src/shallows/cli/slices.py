"""Paths, planes and splits of named points and students in files, from the shell."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from shallows.cli.door import app, bar, print_json, say, show
from shallows.cli.problems import npz_arrays

if TYPE_CHECKING:
    from shallows.landscape import SquaredLoss
    from shallows.landscape.planes import Plane
    from shallows.landscape.slices import Slice
    from shallows.model import Network

_POINT = (
    "`global`, `A`, `I`, `II`, `flipped:P`, `unflipped:Q`, `intermediate:P`, or an npz file: "
    "inner[, outer]"
)
_LARGEST = 100
_MOST_POINTS = 2000


@app.command("slice", epilog="Example: `shallows slice --from II --to global -k 10 --out slice`")
def slice_command(
    first: Annotated[str, typer.Option("--from", help=f"A student: {_POINT}.")],
    last: Annotated[str | None, typer.Option("--to", help="Another one: a word or a file.")] = None,
    through: Annotated[
        str | None,
        typer.Option("--through", help="A third one, or its file: the plane through all three."),
    ] = None,
    split: Annotated[
        int | None,
        typer.Option("--split", help="Instead of `--to`: the neuron, from 0, to split in two."),
    ] = None,
    neurons: Annotated[
        int | None, typer.Option("-k", help="Neurons, for names. [default: those of files, or 10]")
    ] = None,
    points: Annotated[
        int | None,
        typer.Option(
            "--points", help="Points of the grid, on each side. [default: 201; plane 101; split 60]"
        ),
    ] = None,
    margin: Annotated[
        float | None,
        typer.Option(
            "--margin",
            help="How far to go beyond the ends, in their distance. [default: 0; plane 0.25; "
            "split 1]",
        ),
    ] = None,
    as_given: Annotated[
        bool, typer.Option("--as-given", help="Do not relabel the others to come near the first.")
    ] = False,
    out: Annotated[Path | None, typer.Option("--out", help="Folder for a figure.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """The loss on paths between two students, on a plane through three, or along a split.

    The teacher is orthonormal, inputs are Gaussian. Students are relabelled to come near the
    first one, neurons and inputs. Two paths join a pair: the straight one, and the one on which
    neurons turn on great circles. A split replaces a neuron by two of the shares λ and 1 − λ.
    """
    if (split is None) == (last is None):
        raise ValueError(
            "A slice leads from one student to another, or splits a neuron. Give either `--to` or "
            "`--split`, e.g. `--from II --to global`."
        )
    if through is not None and last is None:
        raise ValueError("A plane needs three students. Give `--to` beside `--through`.")
    if split is not None:
        usual, beyond = 60, 1.0
    else:
        usual, beyond = (201, 0.0) if through is None else (101, 0.25)
    number = usual if points is None else points
    beyond = beyond if margin is None else margin
    if not 2 <= number <= _MOST_POINTS or not 0 <= beyond <= 100:
        raise ValueError(
            f"`--points` must be between 2 and {_MOST_POINTS} and `--margin` between 0 and 100, "
            f"but are {number} and {beyond:g}. Use e.g. `--points {usual} --margin 0.25`."
        )
    named = [name for name in (first, last, through) if name is not None]
    students = _students(named, neurons)

    from shallows.landscape import SquaredLoss
    from shallows.model import Gaussian, orthonormal

    inputs = students[0].inputs
    loss = SquaredLoss(orthonormal(inputs), Gaussian(inputs))
    if split is not None:
        _split(loss, students[0], first, split, number, beyond, out, as_json)
        return
    labels = [Path(name).stem if name.endswith(".npz") else name for name in named]
    if not as_given:
        students = _near_the_first(students)
    if through is None:
        _paths(loss, students, labels, number, beyond, out, as_json)
    else:
        _plane(loss, students, labels, number, beyond, out, as_json)


def _students(names: list[str], neurons: int | None) -> "list[Network]":
    """The students, all of one size: that of the files, or `-k`."""
    from shallows.atlas.basins import centre
    from shallows.atlas.families import member
    from shallows.model import Network
    from shallows.model.network import positive_integer

    arrays = {n: npz_arrays(Path(n), "student", {"inner"}, {"outer"}) for n in names if _is_file(n)}
    files = {name: Network(a["inner"], a.get("outer")) for name, a in arrays.items()}
    shapes = {student.inner.shape for student in files.values()}
    if len(shapes) > 1:
        raise ValueError(f"The students in the files have shapes {sorted(shapes)}. Use one shape.")
    k = 10 if neurons is None else positive_integer("-k", neurons, most=_LARGEST)
    if shapes:
        (shape,) = shapes
        if len(shape) != 2 or max(shape) > _LARGEST:
            raise ValueError(
                f"A student file holds one matrix of at most {_LARGEST} neurons and inputs, but "
                f"this one has the shape {shape}. Take a smaller one."
            )
        has_names = len(files) < len(set(names))
        if (neurons is not None and k != shape[0]) or (has_names and shape[0] != shape[1]):
            raise ValueError(
                f"The student in the file has {shape[0]} neurons and {shape[1]} inputs, but named "
                f"points have as many inputs as neurons, with `-k` {shape[0]}. Leave out -k, or "
                f"take files only."
            )
        k = shape[0]
    return [files[n] if n in files else Network(centre(member(n, k))) for n in names]


def _is_file(name: str) -> bool:
    return name.endswith(".npz")


def _near_the_first(students: "list[Network]") -> "list[Network]":
    import numpy as np

    from shallows.model import Network
    from shallows.symmetry.alignment import aligned

    first, *others = students
    made = [first]
    for other in others:
        found = aligned(
            np.asarray(other.inner),
            np.asarray(first.inner),
            np.asarray(other.outer),
            np.asarray(first.outer),
        )
        made.append(Network(found.inner, found.outer))
    return made


def _paths(
    loss: "SquaredLoss",
    students: "list[Network]",
    labels: list[str],
    points: int,
    margin: float,
    out: Path | None,
    as_json: bool,
) -> None:
    import numpy as np

    from shallows.landscape.slices import GreatCircles, Straight, slice_along

    found: dict[str, Slice] = {}
    reason = ""
    with bar("paths", 2) as move:
        for name, kind in (("straight", Straight), ("great circles", GreatCircles)):
            try:
                path = kind(*students)
                found[name] = slice_along(loss, path, points=points, low=-margin, high=1 + margin)
            except ValueError as error:
                if name == "straight":
                    raise
                reason = str(error)
            move()
    gap = np.asarray(students[1].inner) - np.asarray(students[0].inner)
    if out is not None:
        from shallows.report.slices import slices_figure

        _save(slices_figure(found, labels), out)
    if as_json:
        document = {
            "from": labels[0],
            "to": labels[1],
            "neurons": students[0].inner.shape[0],
            "distance": float(np.linalg.norm(gap)),
            "paths": [{"path": name, **_slice(one)} for name, one in found.items()],
        }
        print_json(document)
    else:
        from shallows.report.slices import slices_table

        k = students[0].inner.shape[0]
        show(slices_table(found, f"From {labels[0]} to {labels[1]}, k = {k}"))
    if reason:
        say(f"no path on great circles: {reason}")


def _slice(one: "Slice") -> dict[str, Any]:
    return {
        "length": one.path.length,
        "barrier": one.barrier,
        "highest": {"t": one.highest[0], "loss": one.highest[1]},
        "kinks": [
            {
                "t": kink.at,
                "order": kink.order,
                "jump": kink.jump,
                "events": [
                    {
                        "meeting": event.meeting.name,
                        "student": event.student,
                        "other": event.other,
                        "is_teacher": event.is_teacher,
                    }
                    for event in kink.events
                ],
            }
            for kink in one.kinks
        ],
        "t": one.t.tolist(),
        "loss": one.loss.tolist(),
    }


def _plane(
    loss: "SquaredLoss",
    students: "list[Network]",
    labels: list[str],
    points: int,
    margin: float,
    out: Path | None,
    as_json: bool,
) -> None:
    from shallows.landscape.planes import slice_through

    with bar("plane", 1) as move:
        found: Plane = slice_through(loss, *students, points=points, margin=margin)
        move()
    if out is not None:
        from shallows.report.slices import plane_figure

        _save(plane_figure(found, labels), out)
    students_found = [
        {"name": name, "x": float(x), "y": float(y), "loss": float(value)}
        for name, (x, y), value in zip(labels, found.corners, found.corner_losses, strict=True)
    ]
    if as_json:
        print_json(
            {
                "students": students_found,
                "x": found.x.tolist(),
                "y": found.y.tolist(),
                "loss": found.loss.tolist(),
                "kinks": [
                    {
                        "order": curve.order,
                        "points": curve.points.tolist(),
                        "neurons": [list(pair) for pair in curve.neurons],
                    }
                    for curve in found.kinks
                ],
            }
        )
        return
    for one in students_found:
        print(f"{one['name']}: x = {one['x']:.6g}, y = {one['y']:.6g}, loss {one['loss']:.9g}")
    low, high = float(found.loss.min()), float(found.loss.max())
    jumps = [curve.order for curve in found.kinks]
    print(
        f"loss on {points} × {points} points: {low:.9g} to {high:.9g}; the slope jumps in "
        f"{jumps.count(1)} places, the third derivative on {jumps.count(3)} curves"
    )


def _split(
    loss: "SquaredLoss",
    student: "Network",
    name: str,
    neuron: int,
    points: int,
    margin: float,
    out: Path | None,
    as_json: bool,
) -> None:
    import numpy as np

    from shallows.landscape.splits import NeuronSplit

    split = NeuronSplit(loss, student, neuron)
    # Midpoints of a grid, none of which is 0 or 1: a copy vanishes there.
    step = (1 + 2 * margin) / points
    shares = -margin + step * (np.arange(points) + 0.5)
    shares = shares[np.min(np.abs(shares[:, None] - [0, 1]), axis=1) > 1e-6]
    with bar("split", 1) as move:
        line = split.along(shares)
        move()
    from shallows.report.slices import split_figure, split_table

    if out is not None:
        _save(split_figure(line), out)
    if not as_json:
        show(split_table(line, f"{name}, k = {student.inner.shape[0]}: neuron {neuron} split"))
        return
    signature = line.signature
    print_json(
        {
            "from": name,
            "neurons": student.inner.shape[0],
            "split": neuron,
            "loss": float(line.loss[0]),
            "negative_before": signature.before,
            "negative_inside": signature.inside,
            "negative_outside": signature.outside,
            "flat": signature.flat,
            "kernel": list(signature.kernel),
            "shares": line.shares.tolist(),
            "negative": line.negative.tolist(),
            "smallest_eigenvalues": line.spectra[:, 0].tolist(),
        }
    )


def _save(figure: Any, out: Path) -> None:
    from shallows.report import save_figure

    pictures = save_figure(figure, out / "slice")
    say(f"figure: {', '.join(str(picture) for picture in pictures)}")
