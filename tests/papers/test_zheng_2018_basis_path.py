"""The entry on basis-path norms: its identities, and verdicts of made-up runs."""

import dataclasses

import numpy as np
import pytest

from shallows.certify import Verdict
from shallows.lab import Case, Record
from shallows.papers import Scale, paper
from shallows.papers.zheng_2018_basis_path import _NONE, _NORMS, _run

ENTRY = paper("zheng-2018-basis-path")


def _record(case, values):
    return Record(ENTRY.key, ENTRY.version, Case(case), values, None, {})


def _paths():
    return [
        _record(c.data, ENTRY.measure(dict(c.data)).values)
        for c in ENTRY.cases(Scale.smoke)
        if c.data["ask"] == "paths"
    ]


PATHS = _paths()


def _ran(case, gap, norms=None, validation=0.2):
    logs = dict.fromkeys(_NORMS, 1.0) if norms is None else norms
    values = {
        "is_finite": True,
        "training_error": 0.0,
        "training_loss": 0.0,
        "validation_error": validation,
        "test_error": gap,
        "test_loss": 1.0,
        "log_norms": logs,
    }
    return _record(case, values)


def test_identities_hold_and_would_be_missed():
    found = ENTRY.judge(PATHS)
    assert found["basis"].verdict is found["invariant"].verdict is Verdict.SUPPORTED
    others = [found[name].verdict for name in ("explains", "regularised", "gsgd")]
    assert others == [Verdict.UNDECIDED] * 3
    wrong = [dataclasses.replace(r, values={**r.values, "rank": 1, "spread": 0.1}) for r in PATHS]
    found = ENTRY.judge(wrong)
    assert found["basis"].verdict is found["invariant"].verdict is Verdict.CONTRADICTED


@pytest.mark.parametrize(("sign", "verdict"), [(1, Verdict.SUPPORTED), (-1, Verdict.CONTRADICTED)])
def test_the_norm_that_goes_with_the_gap_explains_it(sign, verdict):
    rng = np.random.default_rng(0)
    runs = []
    for start in ("he", "skeleton"):
        for i in range(30):
            norms = {name: float(rng.normal()) for name in _NORMS}
            norms["basis path"] = sign * i + 0.0
            if sign < 0:
                norms["path, q = 2"] = float(i)
            runs.append(_ran(_run([8], i, 0, 6000, start=start), 0.01 * i, norms))
    assert ENTRY.judge([*PATHS, *runs])["explains"].verdict is verdict


@pytest.mark.parametrize(
    ("ahead", "verdict"),
    [(0.05, Verdict.SUPPORTED), (-0.05, Verdict.CONTRADICTED), (0.0, Verdict.UNDECIDED)],
)
def test_methods_are_compared_at_their_best_by_validation_and_seed_by_seed(ahead, verdict):
    rng = np.random.default_rng(0)
    runs = []
    for seed in range(5):
        level = 0.2 + 0.05 * rng.normal()  # of this seed, for all methods alike
        for name in _NONE:
            for strength, validation in ((1e-3, 0.1), (1e-2, 0.3)):
                error = level + 0.001 * rng.normal() - (ahead if name == "basis" else 0)
                # What validation does not choose would turn the verdict round.
                error += 0.0 if validation == 0.1 else 5 * ahead * (name == "basis")
                case = _run([64], 100, seed, 3000, start="skeleton", **{name: strength})
                runs.append(_ran(case, error, validation=validation))
        runs.append(_ran(_run([64], 100, seed, 3000, start="skeleton"), level))
        for method in ("sgd", "gsgd"):
            error = level + 0.001 * rng.normal() - (ahead if method == "gsgd" else 0)
            runs.append(_ran(_run([64], 0, seed, 3000, method, 0.1, start="skeleton"), error))
    found = ENTRY.judge([*PATHS, *runs])
    assert found["regularised"].verdict is verdict
    assert found["gsgd"].verdict is verdict
    assert found["regularised"].numbers["chosen"]["basis"] == 1e-3


@pytest.mark.slow  # compiles a step on basis paths and one with each regulariser
@pytest.mark.parametrize("options", [{"method": "gsgd"}, {"basis": 1e-3}, {"path": 1e-3}], ids=str)
def test_short_runs_of_every_kind_learn(options):
    pytest.importorskip("sklearn")
    case = _run([16], 0, 0, 400, start="skeleton", **{"step": 0.05, **options})
    found = ENTRY.measure(case).values
    assert found["is_finite"]
    assert found["training_error"] < 0.1
    assert found["test_error"] < 0.25
