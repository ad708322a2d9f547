"""Where a number came from: versions, commit, machine and time, but never who or which host."""

import datetime
import functools
import importlib.metadata
import os
import platform
import subprocess
from pathlib import Path
from typing import Any

import shallows


def provenance(**extra: Any) -> dict[str, Any]:
    """What should be kept about how a number was computed, with what the caller adds.

    The caller knows precision, device, seed and wall time; it adds them by name. `commit` is
    None outside a checkout, and `dirty` says whether the package differs from the commit.
    """
    return {**_surroundings(), "written": now(), **extra}


def now() -> str:
    """The time in UTC, in ISO format, to the second."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


@functools.cache
def _surroundings() -> dict[str, Any]:
    package = Path(shallows.__file__).parent
    commit, dirty = _checkout(package)
    return {
        "shallows": shallows.__version__,
        "commit": commit,
        "dirty": dirty,
        "python": platform.python_version(),
        "numpy": _version("numpy"),
        "jax": _version("jax"),
        "platform": platform.platform(),
        "cpu": _cpu(),
        "cpus": os.cpu_count(),
    }


def _version(distribution: str) -> str | None:
    # From the metadata, because importing JAX to ask for its version would cost a second.
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None


def _checkout(package: Path) -> tuple[str | None, bool | None]:
    # Only a checkout of ours counts: an environment may lie inside somebody else's.
    if not (package.parents[1] / ".git").exists():
        return None, None
    try:
        commit = _git(package, "rev-parse", "--verify", "HEAD")
        return commit, bool(_git(package, "status", "--porcelain", "--", "."))
    except (OSError, subprocess.SubprocessError):  # no git, no commit yet, not readable, too slow
        return None, None


def _git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", "-C", str(folder), *arguments],
        capture_output=True,
        check=True,
        text=True,
        timeout=10,
        # `status` would otherwise refresh the index, which is a write.
        env={**os.environ, "GIT_OPTIONAL_LOCKS": "0"},
    )
    return done.stdout.strip()


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.machine()
