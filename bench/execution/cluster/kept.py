"""Checkpoints of trainings where the store is a URI: fetched before a case, sent after each epoch, gone with its rows.

Looks into no checkpoint. What cannot be fetched or sent costs epochs that are trained again, and no case.
"""

import os
import threading
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from bench.errors import UsageError

_FILE = "training.pt"
_SENT_S = 300.0  # for the last checkpoint to be on its way
# Options of a store, as the Delta library and AWS's own variables call them -> those of the file system.
_OF_S3 = {
    "AWS_ACCESS_KEY_ID": "access_key",
    "AWS_SECRET_ACCESS_KEY": "secret_key",
    "AWS_SESSION_TOKEN": "session_token",
    "AWS_REGION": "region",
    "AWS_DEFAULT_REGION": "region",
    "AWS_ENDPOINT_URL": "endpoint_override",
}


class Kept:
    """The checkpoints beside a store of this URI.

    Args:
        options: of the store; what they leave out is looked for among the variables of this process.

    Raises:
        UsageError: no file system knows such a URI.
    """

    def __init__(self, uri: str, options: Mapping[str, str] | None = None):
        self._files, folder = _file_system(uri, {**os.environ, **(options or {})})
        self._folder = f"{folder.rstrip('/')}/scratch"

    def fetch(self, case_id: str, scratch: Path) -> bool:
        """Put the checkpoint of a case where its training looks for it; whether there is one."""
        with suppress(OSError):
            with self._files.open_input_stream(f"{self._folder}/{case_id}/{_FILE}") as stream:
                found = stream.read()
            (scratch / case_id).mkdir(parents=True, exist_ok=True)
            (scratch / case_id / _FILE).write_bytes(found)
            return True
        return False

    def send(self, case_id: str, scratch: Path) -> None:
        """Put the checkpoint that a training has written in the place of the last one."""
        with suppress(OSError):
            packed = (scratch / case_id / _FILE).read_bytes()
            self._files.create_dir(f"{self._folder}/{case_id}", recursive=True)
            with self._files.open_output_stream(f"{self._folder}/{case_id}/{_FILE}") as stream:
                stream.write(packed)

    def forget(self, case_id: str) -> None:
        """Delete what is kept of a case, once its rows are stored."""
        with suppress(OSError):
            self._files.delete_dir(f"{self._folder}/{case_id}")


class Sending:
    """Sends the checkpoints of one case while it trains; the newest alone, where that takes longer than an epoch."""

    def __init__(self, kept: Kept, case_id: str, scratch: Path):
        self._kept, self._case, self._scratch = kept, case_id, scratch
        self._fresh, self._over = threading.Event(), False
        self._thread = threading.Thread(target=self._send, daemon=True)
        self._thread.start()

    def newer(self) -> None:
        """There is a newer one."""
        self._fresh.set()

    def close(self) -> None:
        """Send no more, once what is on its way is there."""
        self._over = True
        self._fresh.set()
        self._thread.join(_SENT_S)

    def _send(self) -> None:
        while True:
            self._fresh.wait()
            self._fresh.clear()
            if self._over:
                return
            self._kept.send(self._case, self._scratch)


def _file_system(uri: str, said: Mapping[str, str]) -> tuple[Any, str]:
    from pyarrow import fs

    scheme, _, rest = uri.partition("://")
    if scheme in ("s3", "s3a"):
        given = {ours: said[theirs] for theirs, ours in _OF_S3.items() if said.get(theirs)}
        if given.get("endpoint_override", "").startswith("http://"):
            given["scheme"] = "http"
        return fs.S3FileSystem(**given), rest
    try:
        files, folder = fs.FileSystem.from_uri(uri)
    except (ValueError, OSError) as error:
        raise UsageError(f"no checkpoints can be kept beside {scheme}://…: {error}") from error
    return files, str(folder)
