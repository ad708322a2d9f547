"""An exact laboratory for shallow ReLU networks.

The names below are loaded when they are first used, so that ``import shallows`` and
``shallows --help`` do not pay for JAX. Importing the package switches JAX to float64: a
float32 number with float64 confidence is the worst outcome there is. On a CPU it also has XLA
multiply matrices by one thread, unless ``XLA_FLAGS`` says otherwise.
"""

import importlib
import os
import sys
from typing import Any

__version__ = "0.1.0"

if "jax" in sys.modules:
    sys.modules["jax"].config.update("jax_enable_x64", True)
else:
    # Read by JAX when it is imported, also in worker processes, which inherit it.
    os.environ["JAX_ENABLE_X64"] = "1"

# A product of matrices by several threads has other last digits than by one: the same question
# has the same answer here, in a worker and on another machine. Whoever says otherwise is heeded.
_FLAGS = os.environ.get("XLA_FLAGS", "")
if "xla_cpu_multi_thread_eigen" not in _FLAGS:
    os.environ["XLA_FLAGS"] = f"{_FLAGS} --xla_cpu_multi_thread_eigen=false".strip()

_HOME = {
    "Network": "shallows.model",
    "orthonormal": "shallows.model",
    "Gaussian": "shallows.model",
    "Rotational": "shallows.model",
    "Sample": "shallows.model",
    "SquaredLoss": "shallows.landscape",
    "InnerWeights": "shallows.landscape",
    "AllWeights": "shallows.landscape",
    "isotropy": "shallows.symmetry",
    "trajectory": "shallows.solve",
    "GradientFlow": "shallows.solve",
    "GradientDescent": "shallows.solve",
    "StochasticDescent": "shallows.solve",
    "Newton": "shallows.solve",
    "critical_point": "shallows.solve",
    "Here": "shallows.lab",
    "Processes": "shallows.lab",
    "Store": "shallows.lab",
    "census": "shallows.atlas",
    "member": "shallows.atlas",
    "threshold": "shallows.atlas",
    "discover": "shallows.atlas",
    "continuations": "shallows.atlas",
    "series": "shallows.atlas",
    "certified": "shallows.atlas",
    "verify": "shallows.certify",
    "write_report": "shallows.report",
}

__all__ = ["__version__", *_HOME]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(importlib.import_module(_HOME[name]), name)
    raise AttributeError(f"module 'shallows' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
