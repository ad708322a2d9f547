"""The table of docs/precision.md: every row is one of the script's, and some are measured again."""

import importlib.util
import re
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[1]


def _script():
    spec = importlib.util.spec_from_file_location("precision", ROOT / "benchmarks" / "precision.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _table():
    page = (ROOT / "docs" / "precision.md").read_text("utf-8")
    return {
        name: (double, float(single))
        for name, double, single in re.findall(
            r"^\| (.+?) \| ([\d.e+–-]+) \| (\S+) \|$", page, re.M
        )
    }


def test_the_table_on_the_page_is_what_the_script_measures():
    script, table = _script(), _table()
    rows = dict(script.ROWS)
    assert list(table) == list(rows)
    # Rounding errors are no constants of nature; their size is.
    near = "gradient at distance 1e-4"
    for name in (
        "gradient norm at a global minimum (0)",
        near,
        f"{near}, arccos of a clipped cosine",
    ):
        measured = rows[name](np.float32)
        assert 0.3 * table[name][1] < measured < 3 * table[name][1], name
    assert rows["gradient norm at a global minimum (0)"](np.float64) < 1e-13


def test_the_formulas_of_the_script_agree_in_double_precision():
    script = _script()
    loss, near = script.near_minimum(0.1)
    one = script.gradient(loss, near, np.float64)
    other = script.textbook_gradient(loss, near, np.float64)
    np.testing.assert_allclose(other, one, rtol=0, atol=1e-10)
