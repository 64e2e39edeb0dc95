"""Digests of large files, worked out once and remembered by place, size and times, so that a second start is free.

Keeps no path: a file is remembered under a hash of where it lies. A memory that cannot be kept is done without.
"""

import contextlib
import hashlib
import json
import os
from collections.abc import Iterable
from pathlib import Path

from bench import files
from bench.errors import StoreError

_WORTH_IT = 1 << 20  # bytes; what is smaller is read again in a millisecond
_MOST = 10_000  # entries; the oldest go first


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's bytes. Raises OSError."""
    if path.stat().st_size < _WORTH_IT:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    stamp = stamp_of([path])
    if known := recall(stamp):
        return known
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    remember(stamp, found)
    return found


def stamp_of(paths: Iterable[Path], question: str = "") -> str:
    """A key for what these files hold now: it changes when one is written to, moved, added or taken away.

    Args:
        question: what is asked of the files, where that is more than their bytes.
    """
    digest = hashlib.sha256(question.encode())
    for path in paths:
        found = path.stat()
        digest.update(f"{path.absolute()} {found.st_size} {found.st_mtime_ns} {found.st_ctime_ns}\n".encode())
    return digest.hexdigest()


def recall(stamp: str) -> str | None:
    """What was remembered under a stamp."""
    return _read().get(stamp)


def remember(stamp: str, value: str) -> None:
    """Keep a value for later starts; where the folder cannot be written to, nothing is kept."""
    known = {**_read(), stamp: value}
    kept = dict(list(known.items())[-_MOST:])
    with contextlib.suppress(StoreError, RuntimeError):
        files.write_text(_file(), json.dumps(kept))


def _read() -> dict[str, str]:
    try:
        found = json.loads(_file().read_text(encoding="utf-8"))
    except (OSError, ValueError, RuntimeError):  # the last where nobody says which folder is the user's own
        return {}
    return found if isinstance(found, dict) else {}


def folder() -> Path:
    """Where bench keeps what it can fetch or work out again: BENCH_CACHE, or a folder among the user's caches."""
    named = os.environ.get("BENCH_CACHE")
    home = os.environ.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser()
    return Path(named) if named else Path(home) / "mixer-bench"


def _file() -> Path:
    return folder() / "digests.json"
