"""A process that may die: whether it may be a fork, its deadline, its end, and in words how and where it was lost.

Starts nothing itself.
"""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

from bench.errors import MeasurementError

TOLD_LINES = 3  # of a dead worker's standard error
GRACE_S = 1.0  # for a worker that hung up, until its exit code is there


class WorkerFailed(MeasurementError):
    """A worker gave no answer. `stage` says what it was doing: start, plug-ins, lookup, build or forward."""

    def __init__(self, side: str, stage: str, reason: str):
        super().__init__(f"{side}: {reason}")
        self.side, self.stage, self.reason = side, stage, reason


@contextmanager
def deadline(limit_s: float, kill: Callable[[], object]) -> Iterator[threading.Event]:
    """Call `kill` after that many seconds, from another thread; the event says whether it came to that."""
    late = threading.Event()

    def expire() -> None:
        late.set()
        kill()

    timer = threading.Timer(limit_s, expire)
    timer.daemon = True
    timer.start()
    try:
        yield late
    finally:
        timer.cancel()
        timer.join()  # from here on, nothing is killed that another process id may name


def can_fork(device: str) -> bool:
    """Whether workers may be forked: CUDA does not survive it, and macOS's libraries may not."""
    return sys.platform == "linux" and device == "cpu"


def kill_group(popen: "subprocess.Popen[bytes]") -> None:
    """End a process and everything that it started. Harmless when it is gone."""
    with suppress(ProcessLookupError, PermissionError):
        if hasattr(os, "killpg"):
            os.killpg(popen.pid, signal.SIGKILL)
        else:
            popen.kill()


def death(code: int | None) -> str:
    """An exit code in words."""
    if code is None:
        return "the process is gone"
    if code >= 0:
        return f"the process ended with code {code} in the middle of its work"
    hint = ", as the system does when memory runs out" if code == -9 else ""
    return f"the process was killed by signal {-code}{hint}"


def as_line(message: Mapping[str, Any]) -> bytes:
    """A message as it goes through a pipe."""
    return json.dumps(message).encode() + b"\n"
