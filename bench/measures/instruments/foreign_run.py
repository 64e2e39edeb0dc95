"""Runs a foreign program: its output goes to a log as it comes, and nothing that it started outlives it.

Reads no meaning into what is printed, and sets no limit of time: who ends this process ends the program with it.
"""

import ctypes
import os
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import psutil

from bench.errors import MeasurementError
from bench.execution.context import Context

MOST_BYTES = 64 * 2**20  # of a log; after that only the end is kept
_TAIL_BYTES = 2**16
_AFTER_S = 2.0  # for what was printed last to arrive
_PR_SET_CHILD_SUBREAPER = 36


@dataclass(frozen=True)
class RunEnd:
    """How a program ended (below zero: by a signal), and the last bytes of its two outputs."""

    code: int
    printed: bytes
    errors: bytes


@dataclass
class _Log:
    """A file that two threads write to."""

    file: IO[bytes]
    size: int = 0
    tail: bytes = b""
    lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self, chunk: bytes) -> None:
        with self.lock:
            if self.size < MOST_BYTES:
                self.file.write(chunk)
                self.file.flush()
            else:
                self.tail = (self.tail + chunk)[-_TAIL_BYTES:]
            self.size += len(chunk)

    def end(self) -> None:
        with self.lock:
            if self.size > MOST_BYTES and self.tail:
                self.file.write(f"\n… {self.size - MOST_BYTES - len(self.tail):,} bytes left out …\n".encode())
                self.file.write(self.tail)


def surroundings(context: Context, python: Path | None) -> dict[str, str]:
    """The environment variables of the program: as ours, with the threads and the device of the run.

    Args:
        python: that of a virtual environment; None for the one that bench runs in.
    """
    found = {key: value for key, value in os.environ.items() if key not in ("PYTHONHOME", "VIRTUAL_ENV")}
    home = python.parent if python else Path(sys.executable).parent
    found |= {"PATH": os.pathsep.join([str(home), found.get("PATH", os.defpath)]), "PYTHONUNBUFFERED": "1"}
    found |= {name: str(context.threads) for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS")}
    if context.device == "cpu":
        found["CUDA_VISIBLE_DEVICES"] = ""
    if python is not None:
        found.pop("PYTHONPATH", None)
        found["VIRTUAL_ENV"] = str(home.parent)
    return found


def run(words: Sequence[str], home: Path, variables: Mapping[str, str], log: Path) -> RunEnd:
    """Run a program in the folder `home`, to its end.

    Raises:
        MeasurementError: there is no such program, or it may not be run.
    """
    before = {child.pid for child in psutil.Process().children(recursive=True)}
    _adopt_orphans()
    with log.open("wb") as file:
        kept = _Log(file)
        try:
            popen = subprocess.Popen(
                words, cwd=home, env=dict(variables), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )  # fmt: skip
        except OSError as error:
            raise MeasurementError(f"'{words[0]}' cannot be run: {error.strerror}") from error
        try:
            outputs = [_Reader(pipe, kept) for pipe in (popen.stdout, popen.stderr) if pipe is not None]
            code = popen.wait()
            for each in outputs:
                each.thread.join(_AFTER_S)
        finally:
            _end_offspring(before)
        for each in outputs:
            each.thread.join(_AFTER_S)
        kept.end()
    return RunEnd(code, outputs[0].tail, outputs[1].tail)


class _Reader:
    """Passes on what comes out of a pipe, and remembers the end of it."""

    def __init__(self, pipe: IO[bytes], log: _Log):
        self.tail = b""
        self._pipe, self._log = pipe, log
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()

    def _read(self) -> None:
        while chunk := os.read(self._pipe.fileno(), 2**16):
            self._log.take(chunk)
            self.tail = (self.tail + chunk)[-_TAIL_BYTES:]


def tail_of(log: Path) -> bytes:
    """The last bytes of a file."""
    with log.open("rb") as file:
        file.seek(max(0, file.seek(0, os.SEEK_END) - _TAIL_BYTES))
        return file.read()


def last_lines(text: bytes, count: int) -> list[str]:
    """The last lines that say anything; of a bar that was drawn over and over, its last state."""
    lines = [
        line.rsplit("\r", 1)[-1].rstrip() for line in text.decode(errors="replace").replace("\r\n", "\n").split("\n")
    ]
    return [line for line in lines if line.strip()][-count:]


def _adopt_orphans() -> None:
    """What a program leaves behind becomes a child of this process, where it can be found (Linux only)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def _end_offspring(before: set[int]) -> None:
    """Kill every process that was started since, also in sessions of their own."""
    left = [child for child in psutil.Process().children(recursive=True) if child.pid not in before]
    for child in left:
        with suppress(psutil.Error):
            child.kill()
    psutil.wait_procs(left, timeout=_AFTER_S)
