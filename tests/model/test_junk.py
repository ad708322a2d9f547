"""Nonsense either works or raises an error with a message, with and without type checks."""

import os
import subprocess
import sys
from pathlib import Path

import hypothesis as hp
import junk
import numpy as np
import pytest

import shallows


@pytest.mark.parametrize("name", sorted(junk.CONSTRUCTORS | junk.CHECKED))
@hp.given(junk.things, junk.things, junk.things)
@hp.settings(max_examples=40)
def test_a_constructor_works_or_explains_itself(name, x, y, z):
    # The pytest flag --jaxtyping-packages adds type checks, whose error is a TypeError.
    junk.works_or_explains((junk.CONSTRUCTORS | junk.CHECKED)[name], x, y, z)


@hp.given(junk.matrices)
def test_a_covariance_works_or_explains_itself(matrix):
    junk.works_or_explains(junk.CONSTRUCTORS["covariance"], matrix + matrix.T, None, None)
    with np.errstate(over="ignore"):
        square = matrix @ matrix.T
    junk.works_or_explains(junk.CONSTRUCTORS["covariance"], square, None, None)


@pytest.mark.slow
def test_constructors_explain_themselves_without_type_checks_too():
    # What users see: the package as it is imported outside of pytest.
    script = Path(__file__).with_name("junk.py")
    path = str(Path(shallows.__file__).parents[1])
    done = subprocess.run(
        [sys.executable, "-W", "error", str(script)],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
