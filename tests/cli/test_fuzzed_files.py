"""Files of any content: an answer or one sentence, never a traceback or a proof of nonsense."""

import contextlib
import io
import json
import re
import sys
import typing
import zipfile

import hypothesis as hp
import hypothesis.strategies as st
import numpy as np
import pytest

from shallows.atlas import certified
from shallows.certify import certify_point
from shallows.cli import app, door
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
    *_, last = said.splitlines()  # a progress bar may be above
    assert last.startswith("shallows: ")


# What reads a file: command and parameter → the name of a file, and the words around it.
READERS = {
    ("verify", "file"): ("c.json", "verify FILE"),
    ("extract", "file"): ("n.npz", "extract FILE"),
    ("census", "law"): ("l.npz", "census --starts 1 --out OUT --law FILE"),
    ("census", "teacher"): ("t.npz", "census --starts 1 --out OUT --teacher FILE"),
    ("norms", "network"): ("w.npz", "norms FILE"),
    ("injective", "layer"): ("i.npz", "injective FILE"),
    ("slice", "first"): ("s.npz", "slice -k 3 --from FILE --to global"),
    ("slice", "last"): ("s.npz", "slice -k 3 --from global --to FILE"),
    ("slice", "through"): ("s.npz", "slice -k 3 --from global --to A --through FILE"),
    ("certify", "weights"): ("s.npz", "certify --weights FILE"),
    ("certify", "teacher"): ("t.npz", "certify --weights SOUND --teacher FILE"),
    ("convex", "data"): ("d.csv", "convex FILE --target y --beta 0.1"),
    ("spline", "data"): ("d.csv", "spline FILE --init-scale 1"),
    ("phases", "data"): ("d.csv", "phases FILE --scales 1 --out OUT"),
}
# Read by libraries, or by a store, which is damaged in tests/lab/test_fuzzed_store.py.
STORES = {("store", "words"), ("store", "folder"), ("report", "store"), ("run", "folder")}
STORES |= {("atlas", "census"), ("atlas", "out"), ("basin", "out"), ("phases", "out")}
STORES |= {("census", "out")}


def _sayings():
    """Of every parameter of every command: whether it is a path, or says that it may be one."""
    for registered in app.registered_commands:
        function = registered.callback
        assert function is not None
        name = registered.name or function.__name__.replace("_", "-")
        for parameter, hint in typing.get_type_hints(function, include_extras=True).items():
            kind, *more = typing.get_args(hint) if hasattr(hint, "__metadata__") else (hint,)
            said = " ".join(filter(None, (getattr(info, "help", "") for info in more)))
            is_path, is_word = "Path" in repr(kind), "str" in repr(kind)
            if is_path or (is_word and re.search(r"\bfiles?\b|\bfolders?\b|npz|ONNX|CSV", said)):
                yield name, parameter


def test_every_command_that_reads_files_is_fuzzed_here():
    """A new path is one that is written (`out`, `figures`), or it is added to these lists."""
    found = set(_sayings())
    written = {(name, word) for name, word in found if word in ("out", "figures")} - STORES
    # A scheduler file is Dask's, and tried where clusters are.
    schedulers = {(name, word) for name, word in found if word == "cluster"}
    assert found - written - schedulers == READERS.keys() | STORES


def _words(folder, reader, path):
    _, line = READERS[reader]
    special = {"FILE": path, "OUT": folder / "out", "SOUND": folder / "sound.npz"}
    return [special.get(word, word) for word in line.split()]


@hp.settings(max_examples=4)
@hp.given(data=st.binary(max_size=200))
def test_random_bytes_are_refused_by_all_that_read_files(folder, data):
    np.savez(folder / "sound.npz", inner=np.eye(2))
    for reader, (name, _) in READERS.items():
        path = folder / name
        path.write_bytes(data)
        _refused(*_status(*_words(folder, reader, path)))
    path = folder / "m.onnx"
    path.write_bytes(data)
    _refused(*_status("extract", path))


@pytest.mark.parametrize("reader", READERS, ids="-".join)
def test_no_file_and_a_folder_are_one_sentence(folder, reader):
    np.savez(folder / "sound.npz", inner=np.eye(2))
    name, _ = READERS[reader]
    (folder / "folders" / name).mkdir(parents=True, exist_ok=True)
    for path in (folder / "missing" / name, folder / "folders" / name):
        status, said = _status(*_words(folder, reader, path))
        assert status in (1, 2)
        assert said.startswith("shallows: ")


def _damaged(data, rng):
    """Bytes that were altered, cut, doubled or moved at random."""
    data = bytearray(data)
    for _ in range(rng.integers(1, 5)):
        at = int(rng.integers(len(data) + 1))
        kind = rng.integers(5)
        if kind == 0:
            data[at : at + 1] = rng.bytes(1)
        elif kind == 1:
            del data[at : at + int(rng.integers(1, 9))]
        elif kind == 2:
            data[at:at] = rng.choice([b"\0", b"\xff", b"1e999", b"nan", b"9" * 400, b"\n", b","])
        elif kind == 3:
            data[at:at] = data[: int(rng.integers(len(data) + 1))]
        else:
            del data[at:]
    return bytes(data)


def _survives(folder, readers, seeds):
    """Damaged files that may be readable still: answered or refused, never a traceback."""
    rng = np.random.default_rng(1)
    buffer = io.BytesIO()
    np.savez(buffer, inner=np.array([[1.0, 0.5], [-0.3, 2.0]]), outer=np.array([1.0, -1.0]))
    np.savez(folder / "sound.npz", inner=np.eye(2))
    sound = {
        ".npz": buffer.getvalue(),
        ".csv": b"x,y\n-1,1\n-0.5,0.25\n0,0\n0.5,0.3\n1,1.5\n",
        ".json": json.dumps(certified("II", 6).as_json()).encode(),
    }
    for number in range(seeds):
        for reader in readers:
            path = folder / READERS[reader][0]
            path.write_bytes(_damaged(sound[path.suffix], rng))
            status, said = _status(*_words(folder, reader, path))
            assert status in (0, 1, 2), (number, reader, said)
            assert "Traceback" not in said


def test_damaged_files_are_answered_or_refused(folder):
    quick = [("verify", "file"), ("norms", "network"), ("injective", "layer"), ("convex", "data")]
    _survives(folder, quick, 6)


@pytest.mark.slow
def test_damaged_files_are_answered_or_refused_by_every_command(folder):
    _survives(folder, READERS, 40)


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
