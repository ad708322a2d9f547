"""Arjevani & Field (2022): more neurons turn spurious minima into saddles."""

import json
from collections.abc import Sequence

import numpy as np

from shallows import report
from shallows.atlas.catalogue import Kind
from shallows.atlas.extra import annihilation, continuations
from shallows.atlas.families import member
from shallows.atlas.theorems import certified_wider
from shallows.certify import (
    Certificate,
    SplittingCertificate,
    Verdict,
    certify,
    verify,
    verify_splitting,
)
from shallows.lab import Case, Record, Result
from shallows.landscape import SquaredLoss
from shallows.model import Gaussian, Network
from shallows.papers import Claim, Judgement, Paper, Picture, Scale, supported

_SOURCE = "arjevanifield2022"

CLAIMS = (
    Claim(
        "annihilation",
        "Adding neurons can turn symmetric spurious minima into saddles.",
        f"{_SOURCE}, abstract",
        True,
    ),
    Claim(
        "lesser-symmetry",
        "For all large k, minima of lesser symmetry require more neurons.",
        f"{_SOURCE}, abstract (`for all large k` is our reading)",
        True,
    ),
    Claim(
        "one-and-two",
        "Minima of isotropy ΔS_k (A) become saddles with one extra neuron, those of isotropy "
        "ΔS_{k−1} (I, II) need two; directions of descent from what extra neurons make of them "
        "lie in the standard representation.",
        f"{_SOURCE} (a recollection that nobody confirmed, here as a hypothesis)",
        False,
    ),
    Claim(
        "no-new-minima",
        "The mechanism is local and does not generate new spurious minima.",
        f"{_SOURCE}, abstract (that minima near A, with less symmetry, belong to other families "
        "is our measure of it)",
        True,
    ),
    Claim(
        "perturbed-target",
        "For fixed k and d, this survives perturbations of the target that break its symmetry.",
        f"{_SOURCE}, abstract",
        True,
    ),
)

# Isotropy groups by decreasing symmetry, and the families that have them.
_SYMMETRY = {"A": 0, "I": 1, "II": 1}
# Up to here the descent directions are tried out on the full loss.
_DENSE = 12


def cases(scale: Scale) -> list[Case]:
    """Families with extra neurons, and small perturbed teachers."""
    sizes = {
        Scale.smoke: [10, 12],
        Scale.desk: [6, 8, 10, 11, 12, 15, 20, 50, 100, 1000],
        Scale.paper: [*range(6, 31), 40, 50, 60, 80, 100, 200, 300, 500, 1000],
    }[scale]
    made = [
        Case({"ask": "annihilation", "family": name, "neurons": k, "most": 3})
        for name in _SYMMETRY
        for k in (sizes[1:] if (name, scale) == ("II", Scale.smoke) else sizes)
    ]
    proofs = [12] if scale is Scale.smoke else [7, 8, 10, 12, 20, 100]
    made += [
        Case({"ask": "proof", "family": name, "neurons": k}) for name in _SYMMETRY for k in proofs
    ]
    made += [
        Case({"ask": "nearby", "family": "A", "neurons": k, "extra": 1}) for k in sizes if k > 10
    ]
    perturbations, seeds = {
        Scale.smoke: ([0.01], 1),
        Scale.desk: ([1e-4, 1e-3, 1e-2], 3),
        Scale.paper: ([1e-5, 1e-4, 1e-3, 3e-3, 1e-2, 2e-2], 10),
    }[scale]
    return made + [
        Case({"ask": "perturbation", "family": "A", "neurons": 10, "size": size, "seed": seed})
        for size in perturbations
        for seed in range(seeds)
    ]


def measure(case: dict) -> Result:
    """What continues a family, what else is near, or the same for a perturbed teacher."""
    if case["ask"] == "annihilation":
        return _annihilation(case["family"], case["neurons"], case["most"])
    if case["ask"] == "proof":
        return _proof(case["family"], case["neurons"])
    if case["ask"] == "nearby":
        return _nearby(case["family"], case["neurons"], case["extra"])
    return _perturbation(case["family"], case["neurons"], case["size"], case["seed"])


def _annihilation(name: str, k: int, most: int) -> Result:
    (found,) = annihilation(name, [k], most)
    saddles = [c for group in found.found for c in group if c.kind is Kind.saddle]
    return Result(
        {
            "extra": found.extra,
            "continuations": [[c.as_json() for c in group] for group in found.found],
            "saddles": len(saddles),
            "verified": sum(c.descends() for c in saddles) if k <= _DENSE else None,
        }
    )


def _proof(name: str, k: int) -> Result:
    """Certificates: splitting any neuron, and each point with one new neuron."""
    new = [c for c in continuations(member(name, k), 1) if c.row is None and not c.is_gone]
    return Result(
        {
            "splitting": _written(certified_wider(name, k, 1)),
            "new": [_written(certify(c.loss, c.point, bits=256)) for c in new],
        }
    )


def _written(certificate: Certificate | SplittingCertificate) -> str:
    return json.dumps(certificate.as_json(), ensure_ascii=False)


def _nearby(name: str, k: int, extra: int) -> Result:
    """Minima of less symmetry around the family, and those that continue a less symmetric one."""
    point = member(name, k)
    around = continuations(point, extra, free={0: 1})
    others = continuations(member("I", k), extra)
    return Result(
        {
            "minima": [c.value for c in around if c.kind is Kind.minimum],
            "found": len(around),
            "of_another_family": [c.value for c in others if c.kind is Kind.minimum],
        }
    )


def _perturbation(name: str, k: int, size: float, seed: int) -> Result:
    point = member(name, k)
    (wide,) = (c for c in continuations(point, 1) if c.added == 1)
    noise = np.random.default_rng(seed).normal(size=(k, k))
    loss = SquaredLoss(Network(np.eye(k) + size * noise), Gaussian(k))
    # The narrow student gets one more neuron, with head zero: shapes are compiled once.
    narrow = point.loss.blocks.embed([float(x) for x in point.point])
    starts = {
        "narrow": (k, np.concatenate([narrow, np.ones((1, k))]), point.spectrum()[0]),
        "wide": (k + 1, np.asarray(wide.student().inner), wide.spectrum[0]),
    }
    values = {}
    for label, (neurons, start, before) in starts.items():
        end, slope, hessian = _newton(loss, start, neurons)
        levels = np.linalg.eigvalsh(hessian)
        values[label] = {
            "gradient_norm": slope,
            "moved": float(np.linalg.norm(end - start)),
            "loss": float(loss(Network(end, _heads(end, neurons)))),
            "smallest_eigenvalue": float(levels[0]),
            "before": float(before.eigenvalue),
            "negative": int(np.sum(levels < 0)),
        }
    return Result(values)


def _heads(inner: np.ndarray, neurons: int) -> np.ndarray:
    return (np.arange(len(inner)) < neurons).astype(float)


def _newton(loss: SquaredLoss, start: np.ndarray, neurons: int):
    """The critical point next to `start`, moving its first neurons, saddle or minimum."""
    end, moved = start.copy(), neurons * start.shape[1]
    for _ in range(15):
        student = Network(end, _heads(end, neurons))
        slope = np.ravel(loss.gradient(student))[:moved]
        hessian = np.asarray(loss.hessian(student))[:moved, :moved]
        size = float(np.linalg.norm(slope))
        if size < 1e-13:
            break
        end = end.copy()
        end[:neurons] -= np.linalg.solve(hessian, slope).reshape(neurons, -1)
    return end, size, hessian


def judge(records: Sequence[Record]) -> dict[str, Judgement]:
    """See `Paper.judge`."""
    asks = ("annihilation", "proof", "nearby", "perturbation")
    by: dict[str, list[Record]] = {ask: [] for ask in asks}
    for record in records:
        by[record.case.data["ask"]].append(record)
    table = {(r.case.data["family"], r.case.data["neurons"]): r for r in by["annihilation"]}
    return {
        "annihilation": _judge_annihilation(table, by["proof"]),
        "lesser-symmetry": _judge_symmetry(table),
        "one-and-two": _judge_one_and_two(table, by["proof"]),
        "no-new-minima": _judge_nearby(by["nearby"]),
        "perturbed-target": _judge_perturbed(by["perturbation"]),
    }


def _extra(table) -> dict[str, dict[str, int | None]]:
    """For each family, size → smallest number of extra neurons; saddles already are left out."""
    return {
        name: {
            str(k): record.values["extra"]
            for (family, k), record in sorted(table.items())
            if family == name and record.values["extra"] != 0
        }
        for name in _SYMMETRY
    }


def _split(record: Record) -> SplittingCertificate | None:
    """That every splitting of a spurious minimum is a saddle, if the proof checks."""
    found = SplittingCertificate.from_json(json.loads(record.values["splitting"]))
    is_spurious = found.core.index == 0 and float(found.core.loss[0]) > 0
    every = len(found.separations) == len(found.core.rows)
    proved = is_spurious and every and verify_splitting(found).verdict is Verdict.PROVED
    return found if proved else None


def _new(record: Record) -> list[Certificate]:
    """The points with one new neuron whose proofs check."""
    found = [Certificate.from_json(json.loads(text)) for text in record.values["new"]]
    return [c for c in found if c.index is not None and verify(c).verdict is Verdict.PROVED]


def _place(record: Record) -> str:
    return f"{record.case.data['family']}, k = {record.case.data['neurons']}"


def _judge_annihilation(table, proofs: Sequence[Record]) -> Judgement:
    extra = _extra(table)
    open_ = [f"{name}, k = {k}" for name in extra for k, m in extra[name].items() if m is None]
    checked = [r.values for r in table.values() if r.values["verified"] is not None]
    saddles, verified = (sum(v[key] for v in checked) for key in ("saddles", "verified"))
    split = [_place(r) for r in proofs if _split(r) is not None]
    new = [_place(r) for r in proofs if _new(r) and all(c.index for c in _new(r))]
    searched = (
        f"Of {sum(map(len, extra.values()))} minima, all that was found to continue them is a "
        f"saddle, or flows elsewhere, with at most "
        f"{max((m for row in extra.values() for m in row.values() if m), default=0)} more neurons"
        + (f", except {', '.join(open_)}" if open_ else "")
        + f". {verified} of {saddles} descent directions were verified on the full loss. That "
        f"nothing else continues them is not proved."
    )
    numbers = {
        "smallest_extra": extra,
        "descent_directions": saddles,
        "verified_on_the_full_loss": verified,
        "splitting_proved": split,
        "new_neuron_is_a_proved_saddle": new,
    }
    if len(split) < len(proofs) or not split:
        is_open = verified < saddles or bool(open_)
        verdict = Verdict.UNDECIDED if is_open else Verdict.SUPPORTED
        return Judgement(verdict, searched, numbers)
    return Judgement(
        Verdict.PROVED,
        f"Splitting any of its neurons makes a degenerate saddle of the spurious minimum "
        f"{'; '.join(split)}: one more neuron is enough, and so is any number. With one new neuron "
        f"instead, every point that was found to continue {'; '.join(new) or 'none'} is a proved "
        f"saddle. " + searched,
        numbers,
        proof="a certificate of each minimum and of a direction of descent for each split neuron, "
        "verified",
    )


def _judge_symmetry(table) -> Judgement:
    extra = _extra(table)
    ties: list[tuple[int, str]] = []
    reversed_: list[tuple[int, str]] = []
    strict: list[tuple[int, str]] = []
    for name in ("I", "II"):
        for k, mine in extra[name].items():
            theirs = extra["A"].get(k)
            if theirs is None or mine is None:
                continue
            group = strict if mine > theirs else ties if mine == theirs else reversed_
            group.append((int(k), name))
    # From this size on there are no ties.
    start = max((k for k, _ in ties), default=0)
    beyond = [pair for pair in strict if pair[0] > start]
    if reversed_:
        verdict = Verdict.CONTRADICTED
    else:
        verdict = Verdict.SUPPORTED if len(beyond) >= 2 else Verdict.UNDECIDED
    return Judgement(
        verdict,
        f"I and II (ΔS_{{k−1}}) need more neurons than A (ΔS_k) at all {len(beyond)} points "
        f"computed with k > {start}"
        + (
            "; as many at " + ", ".join(f"{name}, k = {k}" for k, name in sorted(ties))
            if ties
            else ""
        )
        + ("; fewer at " + ", ".join(f"{n}, k = {k}" for k, n in reversed_) if reversed_ else "")
        + ".",
        {"smallest_extra": extra, "ties": [list(pair) for pair in sorted(ties)]},
    )


def _judge_one_and_two(table, proofs: Sequence[Record]) -> Judgement:
    survivors = {
        _place(r): [[*c.loss] for c in _new(r) if c.index == 0]
        for r in proofs
        if any(c.index == 0 for c in _new(r))
    }
    expected = {"A": 1, "I": 2, "II": 2}
    extra, components, exceptions = _extra(table), {}, []
    for name, row in extra.items():
        for k, found in row.items():
            if found != expected[name]:
                exceptions.append(f"{name}, k = {k}: {found}")
            if found is None:
                continue
            # Where all neurons that are added are new: the directions that come from splitting
            # one neuron are those of Safran, Yehudai & Shamir.
            new = [
                c
                for c in table[name, int(k)].values["continuations"][found - 1]
                if c["component"] and not c["zeros_by_construction"] and c["kind"] == "saddle"
            ]
            components[f"{name}, k = {k}"] = [c["component"] for c in new]
    odd = [place for place, names in components.items() if set(names) - {"standard"}]
    holds = not exceptions and not odd
    return Judgement(
        supported(holds),
        ("The numbers of neurons are as stated" if not exceptions else "Other numbers of neurons: ")
        + "; ".join(exceptions)
        + ". The steepest descent from saddles with new neurons is in the standard representation "
        + ("at all of them." if not odd else f"except at some for {', '.join(odd)}.")
        + (
            f" That one new neuron leaves a strict minimum is proved for {'; '.join(survivors)}."
            if survivors
            else ""
        ),
        {
            "smallest_extra": extra,
            "components": components,
            "losses_of_proved_minima_with_a_new_neuron": survivors,
        },
    )


def _judge_nearby(records) -> Judgement:
    stray, count, numbers = [], 0, {}
    for record in records:
        known = np.array(record.values["of_another_family"])
        for value in record.values["minima"]:
            count += 1
            if not np.any(np.abs(known - value) < 1e-9):
                stray.append([record.case.data["neurons"], value])
        numbers[str(record.case.data["neurons"])] = dict(record.values)
    return Judgement(
        Verdict.UNDECIDED if stray else Verdict.SUPPORTED,
        f"Around A with one more neuron, {count} minima of isotropy ΔS_{{k−1}} were found, looking "
        f"at {len(records)} sizes; {count - len(stray)} of them continue family I. "
        + ("Others may be new." if stray else "None is new, as far as was searched."),
        {"found": numbers, "unexplained": stray},
    )


def _judge_perturbed(records) -> Judgement:
    broken, numbers = [], []
    for record in records:
        case, values = record.case.data, record.values
        fine = all(values[x]["gradient_norm"] < 1e-11 for x in ("narrow", "wide"))
        fine &= values["narrow"]["negative"] == 0 and values["wide"]["negative"] > 0
        if not fine:
            broken.append([case["size"], case["seed"]])
        numbers.append({"size": case["size"], "seed": case["seed"], **values})
    small = min(r.case.data["size"] for r in records)
    if any(size == small for size, _ in broken):
        verdict = Verdict.CONTRADICTED
    else:
        verdict = Verdict.UNDECIDED if broken else Verdict.SUPPORTED
    wide = [n["wide"]["smallest_eigenvalue"] for n in numbers]
    return Judgement(
        verdict,
        f"For A, k = d = 10, and teachers I + ε G with ε up to "
        f"{max(r.case.data['size'] for r in records):g}: the minimum stays one and the point with "
        f"one more neuron stays a saddle at {len(records) - len(broken)} of {len(records)} "
        f"teachers; its smallest eigenvalue is between {min(wide):.6f} and {max(wide):.6f}.",
        {"points": numbers, "exceptions": broken},
    )


def _picture(records: Sequence[Record]):
    table = {
        (r.case.data["family"], r.case.data["neurons"]): r
        for r in records
        if r.case.data["ask"] == "annihilation"
    }
    needed = []
    for shift, (name, row) in zip((0.98, 1.0, 1.02), _extra(table).items(), strict=True):
        known = {int(k): m for k, m in row.items() if m is not None}
        # Apart, so that none hides another.
        sizes = [k * shift for k in known]
        needed.append(report.Series(name, sizes, list(known.values()), report.Mark.dots))
    moved = [r for r in records if r.case.data["ask"] == "perturbation"]
    by = [r.case.data["size"] for r in moved]
    after = [
        report.Series(
            words, by, [r.values[key]["smallest_eigenvalue"] for r in moved], report.Mark.dots
        )
        for key, words in (("narrow", "k neurons: a minimum"), ("wide", "k + 1: a saddle"))
    ]
    return report.panel_figure(
        [
            report.Panel(
                "(a) until no minimum is left", "k", "extra neurons", tuple(needed), is_x_log=True
            ),
            report.Panel(
                "(b) other targets, A at k = 10", "size of the perturbation", "smallest eigenvalue",
                tuple(after), is_x_log=True, levels={"zero": 0.0},
            ),
        ]
    )  # fmt: skip


PAPER = Paper(
    key="arjevani-field-2022-annihilation",
    title="Annihilation of Spurious Minima in Two-Layer ReLU Networks",
    source=_SOURCE,
    claims=CLAIMS,
    version=1,
    cases=cases,
    measure=measure,
    judge=judge,
    pictures=(
        Picture(
            ("annihilation", "lesser-symmetry", "one-and-two", "perturbed-target"),
            "(a) With so many more neurons all that was found to continue a spurious minimum is a"
            " saddle: one for A, two for I and II at most sizes. (b) Where the target is "
            "perturbed the minimum stays one, and the point with one neuron more stays a saddle.",
            _picture,
        ),
    ),
)
