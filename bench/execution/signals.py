"""SIGTERM and SIGHUP end a `with` block as Ctrl-C does: by an exception, so that what it opened is closed.

Handles nothing outside the main thread, where Python delivers no signal anyway.
"""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

ALL = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))


class Ended(SystemExit):
    """A signal asked this process to end; no `exit` of anybody's code did."""


@contextmanager
def ending_cleanly() -> Iterator[None]:
    """Within it, SIGTERM and SIGHUP raise `Ended` with the shell's code (143, 129), Ctrl-C KeyboardInterrupt as ever.

    The first signal is the last that is heard, until the block has ended. One that was ignored, as SIGHUP is under
    `nohup`, stays ignored.
    """
    with _handled(_end, leave=signal.SIG_IGN):
        yield


@contextmanager
def undisturbed() -> Iterator[None]:
    """Within it, no Ctrl-C and no SIGTERM is heard: for the cleaning up itself."""
    with _handled(signal.SIG_IGN):
        yield


@contextmanager
def _handled(handler: Any, leave: Any = None) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    heard = [number for number in ALL if leave is None or signal.getsignal(number) != leave]
    before = {number: signal.signal(number, handler) for number in heard}
    try:
        yield
    finally:
        for number, previous in before.items():
            signal.signal(number, previous)


def _end(number: int, frame: FrameType | None) -> None:
    for each in ALL:
        signal.signal(each, signal.SIG_IGN)
    if number == signal.SIGINT:
        raise KeyboardInterrupt
    raise Ended(128 + number)
