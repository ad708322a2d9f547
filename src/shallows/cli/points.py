"""Certificates of a user's own point, and how any certificate of a point is shown."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shallows.cli.door import complain, print_json, say, write_json
from shallows.cli.problems import npz_arrays

if TYPE_CHECKING:
    from shallows.certify import Certificate, PointCertificate


def certify_weights(
    weights: Path, teacher: str, bits: int | None, out: Path | None, as_json: bool
) -> None:
    """Certify the critical point next to the student in a file."""
    from shallows.atlas.certification import certified_point
    from shallows.landscape import SquaredLoss
    from shallows.model import Gaussian, Network, orthonormal

    arrays = npz_arrays(weights, "student", {"inner"}, {"outer"})
    student = Network(arrays["inner"], arrays.get("outer"))
    if teacher == "orthonormal":
        target = orthonormal(student.inputs)
    else:
        theirs = npz_arrays(Path(teacher), "teacher", {"inner"}, {"outer"})
        target = Network(theirs["inner"], theirs.get("outer"))
    if student.inputs != target.inputs:
        raise ValueError(
            f"{str(weights)!r} has {student.inputs} inputs, but the teacher has {target.inputs}. "
            f"Append columns of zeros to the smaller one."
        )
    began = time.perf_counter()
    certificate = certified_point(student, SquaredLoss(target, Gaussian(target.inputs)), bits=bits)
    spent = time.perf_counter() - began
    if out is not None:
        write_json(out, certificate.as_json())
    if as_json:
        print_json(short(certificate) | {"seconds": spent})
    else:
        print(f"{certificate.verdict.value}: {certificate.statement}")
        say(f"{spent:.2f} s" + ("" if out is None else f"; certificate: {out}"))
    if certificate.verdict.name != "PROVED":
        complain("Nothing was proved; the statement says why. Train it further, or `--bits`.", 1)


def short(certificate: "Certificate | PointCertificate") -> dict[str, Any]:
    """A certificate without what only a check needs."""
    whole = certificate.as_json()
    kept = ("schema", "verdict", "statement", "loss", "smallest_eigenvalue", "index", "weights")
    return {key: whole[key] for key in kept}
