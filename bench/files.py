"""A file takes the place of another in one step: a reader sees the old one or the new one, never half.

Knows nothing of what is written, and keeps no old versions.
"""

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from bench.errors import StoreError


@contextmanager
def replaced(path: Path) -> Iterator[Path]:
    """The name of a file to write, which becomes `path` when the block ends, and is gone when the block fails.

    Its name is no other writer's and it stands in the same folder, which is made where it is missing. The bytes reach
    the disk before the name changes, so a process killed at any moment leaves the old file or the new one. A link is
    followed and permissions stay; what is no file (a terminal, a pipe) is written as it is.

    Raises:
        StoreError: the file cannot be written; names `path` and the system's reason. The old one stands.
    """
    try:
        target = Path(os.path.realpath(path))
        if target.exists() and not target.is_file():
            yield path  # a directory refuses to be written, a device does not
            return
        target.parent.mkdir(parents=True, exist_ok=True)
        # Not made from the file's own name, to which a file system may not let anything be added.
        new = target.with_name(f".{os.getpid()}-{secrets.token_hex(6)}.part")
        try:
            yield new
            _to_disk(new)
            if target.exists():
                shutil.copymode(target, new)
            os.replace(new, target)
        finally:
            with suppress(OSError):
                new.unlink(missing_ok=True)
    except OSError as error:
        kept = ". The old one stands" if os.path.exists(path) else ""
        raise StoreError(f"{path}: cannot be written: {error.strerror or error}{kept}") from error


def write_text(path: Path, text: str) -> None:
    """Put a text in the place of what `path` holds, in UTF-8 and with its line ends as they are. Raises StoreError."""
    write_bytes(path, text.encode("utf-8"))


def write_bytes(path: Path, content: bytes) -> None:
    """Put these bytes in the place of what `path` holds. Raises StoreError."""
    with replaced(path) as new:
        new.write_bytes(content)


def _to_disk(path: Path) -> None:
    with path.open("rb+") as file:
        os.fsync(file.fileno())
