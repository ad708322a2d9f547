"""Files: those beside their places while they are written, and what may lie in a place of ours."""

import errno
import hashlib
import os
import platform
import re
import secrets
import stat
import time
from pathlib import Path

# A process of another machine cannot be asked whether it lives, so its files are left alone
# for a day. The host is hashed because nobody else needs to know its name.
HOST = hashlib.sha256(platform.node().encode()).hexdigest()[:8]
_DAY = 24 * 60 * 60
_TEMPORARY = re.compile(r"\..+\.(?P<host>[0-9a-f]{8})\.(?P<pid>\d+)\.[0-9a-f]{8}\.tmp")


def contents(path: Path, first: int = 0, count: int = -1) -> bytes:
    """The bytes of a file, or `count` of them.

    **Raises.** `OSError`, also for a pipe or a device, at which one might wait for ever.
    """
    with open(path, "rb", opener=_at_once) as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise OSError(errno.EINVAL, "Not a regular file")
        file.seek(first)
        return file.read(count)


def holds(path: Path, data: bytes) -> bool:
    """Whether there is a file with these bytes."""
    try:
        return contents(path) == data
    except OSError:
        return False


def remove(path: Path) -> None:
    """Remove a file of ours, if it is there; a folder in its place, which is not, is renamed."""
    if path.is_dir() and not path.is_symlink():
        path.rename(path.with_name(f"{path.name}.displaced-{secrets.token_hex(4)}"))
    else:
        path.unlink(missing_ok=True)


def beside(path: Path) -> Path:
    """Where to write a file before it is renamed."""
    return path.with_name(f".{path.name}.{HOST}.{os.getpid()}.{secrets.token_hex(4)}.tmp")


def is_temporary(path: Path) -> bool:
    """Whether this is a name that `beside` gives."""
    return bool(_TEMPORARY.fullmatch(path.name))


def is_stale(path: Path) -> bool:
    """Whether a writer that has died left this file, as far as can be known."""
    match = _TEMPORARY.fullmatch(path.name)
    if not match:
        return False
    try:
        status = path.lstat()
    except OSError:  # renamed meanwhile, so its writer lives
        return False
    if not stat.S_ISREG(status.st_mode):  # we write files only
        return False
    if time.time() - status.st_mtime > _DAY:
        return True
    if match["host"] != HOST or os.name != "posix":  # elsewhere, signal 0 is not a question
        return False
    try:
        os.kill(int(match["pid"]), 0)
    except ProcessLookupError:
        return True
    except (PermissionError, OverflowError):
        pass
    return False


def _at_once(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))
