"""A wide network fitted to points of a line, audited, from the shell."""

import csv
import math
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from shallows.cli.cluster import ClusterOption, place_of
from shallows.cli.door import app, bar, print_json, say, show

if TYPE_CHECKING:
    from shallows.atlas.lines import FittedLine

_MOST_POINTS, _MOST_NEURONS = 500, 100_000


@app.command(epilog="Example: `shallows spline DATA.csv --init-scale 0.7 --out spline`")
def spline(
    data: Annotated[Path, typer.Argument(help="A CSV file with two columns, x and y.")],
    scale: Annotated[
        float,
        typer.Option(
            "--init-scale",
            help="κ: inner weights start at κ, outer ones at 1/κ (for data in [−1, 1]).",
        ),
    ],
    width: Annotated[int, typer.Option("--width", "-m", help="Neurons m, an even number.")] = 2000,
    exponent: Annotated[
        float, typer.Option("--exponent", help="e of the factor mᵉ that divides the output.")
    ] = 1.0,
    until: Annotated[
        float, typer.Option("--until", help="Loss to reach, as a share of that at the start.")
    ] = 1e-4,
    steps: Annotated[int, typer.Option("--steps", help="Steps of the flow, at most.")] = 3000,
    seed: Annotated[int, typer.Option("--seed", help="Chooses the start.")] = 0,
    out: Annotated[
        Path | None, typer.Option("--out", help="Folder for a figure and a page.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """What a wide network makes of your points: a smooth spline or a kinked one, and by how much.

    Large κ: knots hardly move, and the fit is near a cubic spline. Small κ: knots move to the
    samples, and the fit is near the linear interpolant. Training is gradient flow on all weights.
    """
    x, y = _points_in(data)
    if not 1 <= steps <= 10**6:
        raise ValueError(f"`--steps` must lie between 1 and 1e6, but is {steps}. Use e.g. 3000.")
    if seed < 0:
        raise ValueError(f"`--seed` must not be negative, but is {seed}. Use e.g. 0.")
    if width > _MOST_NEURONS:
        raise ValueError(f"`--width` may be at most {_MOST_NEURONS}, but is {width}. Use fewer.")
    from shallows.atlas.lines import fitted_line
    from shallows.model.pieces import samples
    from shallows.solve.chebyshev import Chebyshev, Stop
    from shallows.solve.line_fit import LineStart

    start = LineStart(width, scale, exponent, seed=seed)
    samples(x, y)  # complains before a bar is drawn
    with bar("loss, on a logarithmic scale", 100) as move:

        def progress(_time: float, share: float) -> None:
            move(min(100, round(100 * math.log(max(share, until)) / math.log(until))))

        made = fitted_line(
            x,
            y,
            start,
            relative_loss=until,
            method=Chebyshev(tolerance=1e-2, max_steps=steps),
            progress=progress,
        )
    files: list[str] = []
    if out is not None:
        from shallows.report.figures import save_figure
        from shallows.report.splines import spline_figure, write_spline_report

        pictures = save_figure(spline_figure(made), out / "spline")
        command = shlex.join(["shallows", *sys.argv[1:]])
        page = write_spline_report(made, out / "spline.html", command=command)
        files = [str(page), *map(str, pictures)]
        say(f"Wrote {page}, {pictures[0]} and {pictures[1]}.")
    if as_json:
        print_json(_document(made, files))
    else:
        from shallows.report.splines import spline_table

        show(spline_table(made))
    stop = made.fit.run.stop
    if stop is not Stop.reached_value:
        say(f"shallows: {stop.name}: {made.fit.advice}")
        raise SystemExit(1)


@app.command(epilog="Example: `shallows phases DATA.csv --scales 0.7,7,70 --exponents 0.5,1`")
def phases(
    data: Annotated[Path, typer.Argument(help="A CSV file with two columns, x and y.")],
    scales: Annotated[
        str, typer.Option("--scales", help="Scales κ of the start, with commas between.")
    ] = "0.7,1.5,3,7,20,100",
    exponents: Annotated[
        str, typer.Option("--exponents", help="Exponents of α(m), with commas between.")
    ] = "0.5,0.75,1",
    width: Annotated[int, typer.Option("--width", "-m", help="Neurons m, an even number.")] = 1000,
    until: Annotated[
        float, typer.Option("--until", help="Loss to reach, as a share of that at the start.")
    ] = 1e-3,
    steps: Annotated[int, typer.Option("--steps", help="Steps of a flow, at most.")] = 3000,
    seed: Annotated[int, typer.Option("--seed", help="Chooses the starts.")] = 0,
    out: Annotated[Path, typer.Option("--out", help="Folder of the store and figure.")] = Path(
        "phases"
    ),
    workers: Annotated[int, typer.Option("--workers", help="Processes to use.")] = 1,
    cluster: ClusterOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """A map of training regimes for your points: whether knots stay or move, from which start.

    The same network is trained from inner weights ±κ and outer ones ±1/κ, its output divided by
    mᵉ, for each κ and e. Interrupt it when you like: the same command goes on where it stopped.
    """
    x, y = _points_in(data)
    lists = [_numbers(*pair) for pair in (("--scales", scales), ("--exponents", exponents))]
    from shallows.atlas.lines import phase_map
    from shallows.lab import Store
    from shallows.report.figures import save_figure
    from shallows.report.splines import phase_figure, phase_table

    place = place_of(workers, cluster)
    with bar("fits", len(set(lists[0])) * len(set(lists[1]))) as move:
        found = phase_map(
            x,
            y,
            *lists,
            width=width,
            seed=seed,
            relative_loss=until,
            max_steps=steps,
            store=Store(out),
            on=place,
            progress=lambda e: move(e.done, e.damaged),
        )
    pictures = save_figure(phase_figure(found), out / "phases")
    say(f"Wrote {pictures[0]} and {pictures[1]}.")
    if as_json:
        print_json(found.as_json())
    else:
        show(phase_table(found))
    missed = int(found.reached.size - found.reached.sum())
    if missed:
        say(f"shallows: {missed} fits did not reach the loss. Allow more `--steps`.")
        raise SystemExit(1)


def _numbers(option: str, text: str) -> list[float]:
    try:
        return [float(word) for word in text.split(",")]
    except ValueError:
        raise ValueError(
            f"`{option}` is a list of numbers with commas between, but is {text!r}. Use e.g. 0.7,7."
        ) from None


def _document(made: "FittedLine", files: list[str]) -> dict[str, Any]:
    fit, audit = made.fit, made.audit
    return {
        "points": len(made.x),
        "width": made.start.width,
        "init_scale": made.start.scale,
        "exponent": made.start.exponent,
        "seed": made.start.seed,
        "stop": fit.run.stop.name,
        "advice": fit.advice,
        "loss": made.loss,
        "relative_loss": made.relative_loss,
        "time": float(fit.run.times[-1]),
        "gradients": fit.run.gradients,
        "drift": fit.drift,
        "knots_moved": made.moved,
        "clustering": made.clustering[0],
        "clustering_of_even_knots": made.clustering[1],
        "audit": {
            "knots": audit.knots,
            "variation": audit.variation,
            "least_variation": audit.least_variation,
            "norm": audit.norm,
            "weighted_variation": audit.weighted_variation,
            "obeys_the_sign_rule": audit.obeys_the_sign_rule,
            "rules": [
                {
                    "low": rule.low if math.isfinite(rule.low) else None,
                    "high": rule.high if math.isfinite(rule.high) else None,
                    "shape": rule.shape.value,
                    "defect": rule.defect,
                    "holds": rule.holds,
                }
                for rule in audit.rules
            ],
        },
        "distances": {
            name: {"rms": gap.rms, "largest": gap.largest} for name, gap in made.gaps.items()
        },
        "spline": {
            "knots": made.spline.knots.tolist(),
            "jumps": made.spline.jumps.tolist(),
            "slope": made.spline.slope,
            "intercept": made.spline.intercept,
        },
        "files": files,
    }


def _points_in(path: Path) -> tuple[list[float], list[float]]:
    """The two columns of a CSV file; a first line without numbers is its header."""
    try:
        text = path.read_text("utf-8-sig")
    except FileNotFoundError:
        raise ValueError(f"There is no file {str(path)!r} of points. Name one.") from None
    except (IsADirectoryError, UnicodeDecodeError):
        raise ValueError(
            f"{str(path)!r} is not a text file. Write a CSV file with two columns, x and y."
        ) from None
    points: list[tuple[float, float]] = []
    try:
        rows = list(csv.reader(text.splitlines()))
    except csv.Error as error:
        raise ValueError(f"{str(path)!r} is not a CSV file: {error}. Write `x,y` lines.") from None
    for number, row in enumerate(rows, 1):
        cells = [cell.strip() for cell in row]
        if not any(cells) or cells[0].startswith("#"):
            continue
        try:
            values = [float(cell) for cell in cells]
        except ValueError:
            if number == 1:
                continue
            values = []
        if len(values) != 2 or not all(map(math.isfinite, values)):
            raise ValueError(
                f"Line {number} of {str(path)!r} is not two finite numbers: {','.join(row)!r:.80}. "
                f"Write one point a line, e.g. `0.5,1.25`."
            )
        points.append((values[0], values[1]))
    if len(points) > _MOST_POINTS:
        raise ValueError(
            f"{str(path)!r} has {len(points)} points; at most {_MOST_POINTS} are fitted. Thin them."
        )
    return [x for x, _ in points], [y for _, y in points]
