"""Files of tables on object storage, kept on this machine: what was read once is read again from its disk.

A table's files never change once they are written, so a kept one is never wrong. Deletes those that were long not used.
"""

import hashlib
import os
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from bench import files
from bench.errors import StoreError
from bench.remote import RemotePath

UNUSED_DAYS = 7
FOLDER_VARIABLE = "BENCH_CACHE"


def folder_of(uri: str) -> Path:
    """Where the files of a table are kept: below `BENCH_CACHE`, else in the user's cache folder."""
    root = os.environ.get(FOLDER_VARIABLE) or os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(root) / "mixer-bench" / "tables" / hashlib.sha256(uri.encode()).hexdigest()[:16]


def kept(table: RemotePath, names: Sequence[str], endpoint: str = "") -> list[Path] | None:
    """The table's files on this machine, those that were not there fetched; None where nothing can be kept.

    Args:
        names: of the files, below the table.
        endpoint: of the server, for two servers may have a bucket of one name.
    """
    folder = folder_of(f"{endpoint} {table}")
    found = [folder / name for name in names]
    try:
        for path, name in zip(found, names, strict=True):
            if path.exists():
                with suppress(OSError):
                    os.utime(path)
                continue
            content = (table / name).read()
            if content is None:
                return None  # gone since the table was looked at
            files.write_bytes(path, content)
    except (OSError, StoreError):
        return None
    _tidy(folder, {path.name for path in found})
    return found


def _tidy(folder: Path, used: set[str]) -> None:
    """Delete what no version that was read lately needs."""
    for path in folder.glob("*.parquet"):
        with suppress(OSError):
            if path.name not in used and time.time() - path.stat().st_mtime > UNUSED_DAYS * 86400:
                path.unlink()
