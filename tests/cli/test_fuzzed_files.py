"""Files of any content: an answer or one sentence, never a traceback or a proof of nonsense."""

import contextlib
import io
import json
import sys
import zipfile

import hypothesis as hp
import hypothesis.strategies as st
import numpy as np
import pytest

from shallows.atlas import certified
from shallows.certify import certify_point
from shallows.cli import door
from shallows.model import Network, orthonormal

# Sixty of each, and no traceback, when this was written.
_EXAMPLES = hp.settings(max_examples=12)


def _status(*words):
    """The exit status of a command in this process; anything but `SystemExit` is a traceback."""
    out, err = io.StringIO(), io.StringIO()
    argv, sys.argv = sys.argv, ["shallows", *map(str, words)]
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            door.main()
        return 0, err.getvalue()
    except SystemExit as end:
        return end.code or 0, err.getvalue()
    finally:
        sys.argv = argv


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("fuzzed")


@pytest.fixture(scope="module")
def certificate():
    return certified("II", 6).as_json()


@pytest.fixture(scope="module")
def npz(folder):
    buffer = io.BytesIO()
    np.savez(buffer, inner=np.eye(3), outer=np.ones(3), inputs=np.eye(3))
    return buffer.getvalue()


def _refused(status, said):
    assert status == 2, said
    assert "Traceback" not in said
    assert said.startswith("shallows: ")


@_EXAMPLES
@hp.given(data=st.binary(max_size=200))
def test_random_bytes_are_refused_by_all_that_read_files(folder, data):
    for name, words in (
        ("c.json", ["verify"]),
        ("n.npz", ["extract"]),
        ("m.onnx", ["extract"]),
        ("l.npz", ["census", "--starts", "1", "--law"]),
        ("t.npz", ["census", "--starts", "1", "--teacher"]),
        ("w.npz", ["norms"]),
        ("i.npz", ["injective"]),
    ):
        path = folder / name
        path.write_bytes(data)
        _refused(*_status(*words, path))
    path = folder / "s.npz"
    path.write_bytes(data)
    _refused(*_status("slice", "--from", path, "--to", "global", "-k", "3"))


@_EXAMPLES
@hp.given(data=st.data())
def test_a_damaged_archive_is_refused_or_read(folder, npz, data):
    damaged = bytearray(npz)
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    path = folder / "damaged.npz"
    path.write_bytes(bytes(damaged[: data.draw(st.integers(0, len(damaged)))]))
    # Holding arrays that do not belong there, it is refused also where it can be read.
    _refused(*_status("census", "--starts", "1", "--law", path))


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=6,
)


def _places(document, here=()):
    items = (
        document.items()
        if isinstance(document, dict)
        else enumerate(document)
        if isinstance(document, list)
        else ()
    )
    for key, value in items:
        yield (*here, key)
        yield from _places(value, (*here, key))


def _with(document, place, value):
    made = json.loads(json.dumps(document))
    inside = made
    for key in place[:-1]:
        inside = inside[key]
    inside[place[-1]] = value
    return made


def _resealed(document):
    """With the digest that its contents have: what somebody who means harm would write."""
    from shallows.certify.document import digest

    body = {key: value for key, value in document.items() if key != "digest"}
    return {**body, "digest": digest(body)}


@_EXAMPLES
@hp.given(data=st.data(), is_sealed=st.booleans())
def test_an_altered_certificate_is_never_proved(folder, certificate, data, is_sealed):
    place = data.draw(st.sampled_from(list(_places(certificate))))
    value = data.draw(_JSON)
    altered = _with(certificate, place, value)
    # What is neither checked nor part of the statement may be anything.
    free = {"version", "method", "hypotheses", "digest", "bits"}
    hp.assume(place[0] not in free)
    hp.assume(json.dumps(altered) != json.dumps(certificate))
    if is_sealed:
        altered = _resealed(altered)
    path = folder / "altered.json"
    path.write_text(json.dumps(altered), "utf-8")
    status, said = _status("verify", path)
    assert status in (1, 2), (place, value, said)
    assert "Traceback" not in said


@_EXAMPLES
@hp.given(document=_JSON)
def test_any_json_is_no_certificate(folder, document):
    path = folder / "any.json"
    path.write_text(json.dumps(document), "utf-8")
    _refused(*_status("verify", path))
    path.write_text(json.dumps({"schema": "shallows-certificate/2", "digest": document}), "utf-8")
    _refused(*_status("verify", path))


@_EXAMPLES
@hp.given(
    array=st.sampled_from(
        [
            np.zeros((0, 3)),
            np.zeros(3),
            np.full((2, 2), np.nan),
            np.full((2, 2), np.inf),
            np.array([["a", "b"]]),
            np.zeros((2, 2), complex),
            np.zeros((2, 3, 4, 5)),
            np.array(1.0),
            np.array([[True]]),
            np.zeros((2, 2), "datetime64[s]"),
        ]
    ),
    name=st.sampled_from(["inner", "inputs", "covariance", "covariances", "W1", "weights", "é/x"]),
)
def test_arrays_of_wrong_kinds_are_refused(folder, array, name):
    path = folder / "wrong.npz"
    np.savez(path, **{name: array})
    for words in (["extract"], ["norms"], ["census", "--starts", "1", "--law"]):
        _refused(*_status(*words, path))


def test_a_pickle_in_an_archive_is_not_opened(folder):
    path = folder / "pickle.npz"
    with zipfile.ZipFile(path, "w") as archive, archive.open("inner.npy", "w") as file:
        np.lib.format.write_array(file, np.array([{}], dtype=object), allow_pickle=True)
    _refused(*_status("norms", path))


@pytest.mark.slow
def test_an_altered_point_certificate_is_never_proved(folder):
    proof = certify_point(Network(np.eye(2) + 1e-12), orthonormal(2)).as_json()
    rng = np.random.default_rng(0)
    places = [p for p in _places(proof) if p[0] not in {"version", "method", "hypotheses", "bits"}]
    for _ in range(60):
        place = places[rng.integers(len(places))]
        values: list[object] = [None, -1, "1e999", "nan", [], {}, "0", True, "1"]
        value = values[rng.integers(9)]
        altered = _with(proof, place, value)
        if json.dumps(altered) == json.dumps(proof):
            continue
        path = folder / "point.json"
        path.write_text(json.dumps(_resealed(altered)), "utf-8")
        status, said = _status("verify", path)
        assert status in (1, 2), (place, value, said)
        assert "Traceback" not in said
