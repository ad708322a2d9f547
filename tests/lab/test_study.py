import enum
import math
import pickle
import re
import subprocess
import sys

import hypothesis as hp
import hypothesis.strategies as st
import numpy as np
import pytest
from lab_studies import squares

from shallows.lab import Case, Record, Result, Study, key, provenance

STUDY = Study("teacher-spectrum", 3, squares)


def _key(**data):
    return key(STUDY, Case(data))


def test_a_key_is_pinned():
    """If this changes, every record ever stored is lost: raise versions instead."""
    data = {"k": 20, "scale": 0.1, "name": "A", "seeds": [1, 2], "law": {"d": 20, "bias": None}}
    assert key(STUDY, Case(data)) == "a278b84a7222bbc42db9"


def test_the_order_of_names_does_not_enter_the_key():
    assert key(STUDY, Case({"a": 1, "b": {"c": 2, "d": 3}})) == key(
        STUDY, Case({"b": {"d": 3, "c": 2}, "a": 1})
    )


def test_numpy_scalars_and_tuples_are_what_they_hold():
    plain = _key(k=3, x=0.1, on=True, name="A", many=[1, 2])
    assert plain == _key(
        k=np.int32(3), x=np.float64(0.1), on=np.bool_(True), name=np.str_("A"), many=(1, np.int8(2))
    )


def test_name_version_and_type_of_number_enter_the_key():
    case = Case({"x": 1})
    keys = {
        key(STUDY, case),
        key(Study("other", 3, squares), case),
        key(Study("teacher-spectrum", 4, squares), case),
        key(Study("teacher-spectrum", "3", squares), case),
        _key(x=1.0),
        _key(x=True),
        _key(x="1"),
        _key(x=0.0),
        _key(x=-0.0),
    }
    assert len(keys) == 9


def test_a_case_is_a_copy():
    data = {"many": [1, 2]}
    case = Case(data)
    data["many"].append(3)
    assert case.data == {"many": [1, 2]}


@pytest.mark.parametrize(
    ("data", "error", "message"),
    [
        ({"a": [1, math.nan]}, ValueError, "case['a'][1] is nan, which equals nothing"),
        ({"a": -math.inf}, ValueError, "case['a'] is -inf"),
        ({"a": np.zeros(3)}, TypeError, "case['a'] is a ndarray, which JSON cannot hold. Use num"),
        ({"a": 1j}, TypeError, "case['a'] is a complex"),
        ({"a": np.longdouble(1)}, TypeError, "case['a'] is a longdouble"),
        ({"a": {1: 2}}, TypeError, "case['a'] has the key 1, but keys in JSON are strings"),
        ({"$float": "nan"}, ValueError, "case has the key '$float', but `$` is reserved. Rename"),
        ({"a": 10**5000}, ValueError, "case['a'] is an integer of 16610 bits"),
    ],
)
def test_what_json_cannot_hold_is_refused_by_name(data, error, message):
    with pytest.raises(error, match=re.escape(message)):
        Case(data)


def test_a_case_that_contains_itself_is_refused():
    data: dict = {}
    data["again"] = data
    with pytest.raises(ValueError, match="nested too deeply, or contains itself"):
        Case(data)


def test_words_that_are_more_than_words_become_words():
    class Name(str, enum.Enum):  # noqa: UP042 - whose str() is not its value
        A = "a"

    (word,) = Case({"name": Name.A}).data.values()
    assert word == "a"
    assert type(word) is str


@pytest.mark.parametrize("name", ["", "Spectrum", "a/b", "..", "a_b"])
def test_a_study_needs_a_name_that_can_be_a_folder(name):
    with pytest.raises(ValueError, match=r"Rename it, e\.g\. `teacher-spectrum`"):
        Study(name, 1, squares)


def test_a_version_is_a_number_or_a_word():
    with pytest.raises(TypeError, match="not True"):
        Study("a", True, squares)


@pytest.mark.parametrize(
    ("table", "error", "message"),
    [
        ({}, ValueError, "A table has no columns. Pass `table=None`"),
        ({"a": np.arange(2), "b": np.arange(1)}, ValueError, "differ in length: {'a': 2, 'b': 1}"),
        ({"a": np.zeros((2, 2, 2))}, ValueError, "Column 'a' has shape (2, 2, 2)"),
        ({"a": np.zeros((2, 0))}, ValueError, "Column 'a' has shape (2, 0)"),
        ({"a": np.zeros(2, np.float32)}, TypeError, "Column 'a' has dtype float32; a table keeps"),
        ({"a": np.array([1j])}, TypeError, "Column 'a' has dtype complex128"),
        ({"a": np.array(["x", 1], object)}, TypeError, "Column 'a' has dtype object"),
        ({"a": np.array(["\ud800"])}, ValueError, "An entry of column 'a' is not valid Unicode"),
        ({"\ud800": np.arange(1)}, ValueError, "A column name is not valid Unicode"),
    ],
)
def test_columns_that_would_not_come_back_are_refused_by_name(table, error, message):
    with pytest.raises(error, match=re.escape(message)):
        Result({}, table)


# Everything that somebody might hand over by mistake, at any depth.
junk = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.binary()
    | st.complex_numbers()
    | st.sampled_from([np.float32(0.1), np.int64(7), np.str_("x"), np.zeros(2), object(), {1}]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(max_size=4) | st.integers(), inner, max_size=4)
        | st.tuples(inner, inner)
    ),
    max_leaves=12,
)


@hp.seed(1)
@hp.settings(max_examples=200, deadline=None)
@hp.given(st.dictionaries(st.text(max_size=5), junk, max_size=4))
def test_junk_is_refused_with_a_message_or_has_a_key(data):
    try:
        case = Case(data)
    except (TypeError, ValueError) as error:
        assert str(error).startswith("case")  # noqa: PT017 - both outcomes are right
    else:
        assert key(STUDY, case) == key(STUDY, Case(case.data)) == key(STUDY, Case(data))
        assert pickle.loads(pickle.dumps(case)) == case


def test_provenance_says_where_from_but_not_who():
    import platform

    import shallows

    known = provenance(precision="float64", seed=0)
    assert known["shallows"] == shallows.__version__
    assert known["numpy"] == np.__version__
    assert (known["precision"], known["seed"]) == ("float64", 0)
    assert known["written"].endswith("+00:00")
    assert platform.node() not in map(str, known.values())
    assert Result({}, provenance=known).provenance == known


def test_commit_and_dirt_of_a_checkout(tmp_path):
    from shallows.lab.origin import _checkout

    package = tmp_path / "src" / "shallows"
    package.mkdir(parents=True)
    (package / "a.py").write_text("1")
    assert _checkout(package) == (None, None)

    def git(*arguments):
        who = ["-c", "user.name=n", "-c", "user.email=e", "-c", "init.defaultBranch=main"]
        command = ["git", "-C", str(tmp_path), *who, *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    git("init")
    assert _checkout(package) == (None, None)  # no commit yet
    git("add", ".")
    git("commit", "-m", "x")
    commit = git("rev-parse", "HEAD")
    (tmp_path / "notes.txt").touch()
    assert _checkout(package) == (commit, False)
    (package / "b.py").touch()
    assert _checkout(package) == (commit, True)


def test_the_room_knows_no_jax():
    code = "import sys, shallows.lab; sys.exit('jax' in sys.modules or 'pyarrow' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_record_prints_as_one_line_without_its_table():
    for table, more in ((None, ""), ({"x": np.arange(1000.0)}, ", 1000 rows")):
        record = Record("squares", 1, Case({"n": 3}), {"square": 9}, table, {"seconds": 0.0})
        assert repr(record) == "Record(squares: {'n': 3} → {'square': 9}" + more + ")"
