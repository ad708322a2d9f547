"""Mixed-integer programmes, by HiGHS."""

import contextlib
import ctypes
import os
import sys
from collections.abc import Iterator
from typing import Any

from scipy.optimize import OptimizeResult, milp


def mixed_integer(cost: Any, *, seconds: float | int, gap: float = 1e-4, **parts: Any) -> Any:
    """SciPy's `milp(cost, **parts)` within so many seconds, and without a word.

    **Accuracy.** That of HiGHS, 1e-6 relative to big coefficients: what it finds is a candidate,
    what it bounds a float. **Cost.** Exponential at worst; `seconds` ends it.
    """
    options = {"time_limit": float(seconds), "mip_rel_gap": gap}
    with _silent():
        found: OptimizeResult = milp(cost, options=options, **parts)
    return found


@contextlib.contextmanager
def _silent() -> Iterator[None]:
    """HiGHS prints lines of its own on stdout, where commands print JSON; no option prevents it."""
    if os.name != "posix":
        yield
        return
    sys.stdout.flush()
    kept = os.dup(1)
    try:
        with open(os.devnull, "w") as nowhere:
            os.dup2(nowhere.fileno(), 1)
        yield
    finally:
        # What the library still holds back must not come out later.
        ctypes.CDLL(None).fflush(None)
        os.dup2(kept, 1)
        os.close(kept)
