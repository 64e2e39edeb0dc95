"""A worker's side of a start-up: serving forks from an interpreter that has imported torch and run nothing.

Measures nothing. A fork gets a session and a group of its own; its end is told, and whatever it started ends with it.
"""

import ctypes
import gc
import importlib
import json
import os
import select
import signal
import socket
import sys
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

from bench.errors import BenchError
from bench.registry import OTHERS_ERRORS

_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36
_MOST_BYTES = 65536  # of a message to the server
_BUILT_ON = {
    "torch",
    "torchvision",
    "timm",
    "fvcore",
    "iopath",
    "numpy",
    "sympy",
    "mpmath",
    "networkx",
    "PIL",
    "pyarrow",
}
_TRUSTED = {"bench", *_BUILT_ON, *sys.stdlib_module_names}
Pipe = tuple[BinaryIO, BinaryIO]


def serve(control: socket.socket) -> Pipe:
    """Serve until the run hangs up, which ends this process. Returns in every fork, with its own pipe to the run.

    `{"fork": number}` with a socket and a file asks for a worker that speaks on the one and prints to the other,
    `{"kill": number}` for its end, `{"preload": [module, …]}` for imports that later forks need not do.
    """
    forks: dict[int, int] = {}  # process id -> the number by which the run knows it
    waking, wake = os.pipe()
    watched: list[Any] = [control, waking]
    for descriptor in (waking, wake):
        os.set_blocking(descriptor, False)
    signal.set_wakeup_fd(wake)
    signal.signal(signal.SIGCHLD, lambda number, frame: None)
    adopting = _adopt_orphans()
    control.sendall(_line({"ready": os.getpid(), "threads": threads_now()}))
    while True:
        ready = select.select(watched, [], [])[0]
        if waking in ready:
            with suppress(BlockingIOError):
                os.read(waking, 4096)
            for number, code in _ended(forks):
                if adopting and not forks:  # beside others, an orphan may be of one that still runs
                    _end_strays()
                _told(control, {"ended": number, "code": code})
        if control in ready:
            message, descriptors = _received(control)
            if message is None:
                _end_all(forks, adopting)
            elif "fork" in message:
                pid = _forked(control, message["fork"], descriptors, forks)
                if pid == 0:
                    signal.set_wakeup_fd(-1)
                    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                    for descriptor in (waking, wake):
                        os.close(descriptor)
                    return _pipe(control, *descriptors)
            elif "kill" in message:
                _kill([pid for pid, number in forks.items() if number == message["kill"]])
            else:
                _preload(message["preload"])
                _told(control, {"preloaded": True, "threads": threads_now()})


def die_with_parent(parent: int) -> None:
    """Let the system end this process when its parent ends (Linux only). `parent` is the one that it had."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:
            os._exit(1)


def threads_now() -> int:
    """Threads of this process: only one may live when it forks."""
    return len(os.listdir("/proc/self/task")) if os.path.isdir("/proc/self/task") else 1


def _forked(control: socket.socket, number: int, descriptors: list[int], forks: dict[int, int]) -> int:
    """The process id, 0 in the fork itself, -1 where there can be none."""
    server = os.getpid()
    gc.freeze()  # a collection in a worker does not touch, and so copy, what all of them share
    try:
        pid = os.fork()
    except OSError as error:
        _told(control, {"unforked": number, "reason": str(error.strerror)})
        pid = -1
    if pid == 0:
        os.setsid()
        die_with_parent(server)
        return 0
    for descriptor in descriptors:
        os.close(descriptor)
    if pid > 0:
        forks[pid] = number
        _told(control, {"forked": number, "pid": pid})
    return pid


def _pipe(control: socket.socket, speaking: int, printing: int) -> Pipe:
    """In a fork: the pipe to the run; what is printed goes to the file."""
    control.close()
    os.dup2(printing, 1)
    os.dup2(printing, 2)
    os.close(printing)
    pipe = socket.socket(fileno=speaking)
    return pipe.makefile("rb"), pipe.makefile("wb")


def _ended(forks: dict[int, int]) -> Iterable[tuple[int, int]]:
    """Number and exit code of every fork that has ended. Its group is killed while no other can have its id."""
    for pid in list(forks):
        if os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
            continue
        _kill([pid])
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        yield forks.pop(pid), code


def _kill(pids: Iterable[int]) -> None:
    for pid in pids:
        for kill in (os.killpg, os.kill):  # the group is not there yet in the first moment of a fork
            with suppress(ProcessLookupError, PermissionError):
                kill(pid, signal.SIGKILL)


def _end_all(forks: dict[int, int], adopting: bool) -> None:
    _kill(forks)
    for pid in forks:
        with suppress(ChildProcessError):
            os.waitpid(pid, 0)
    if adopting:
        _end_strays()
    os._exit(0)


def _adopt_orphans() -> bool:
    """Become the parent of whatever a worker leaves behind, in whatever session (Linux): so it can be ended."""
    return sys.platform == "linux" and bool(ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0)


def _end_strays() -> None:
    """End what workers that are gone have left running, and what that leaves in turn."""
    while strays := _children():
        for pid in strays:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
            with suppress(ChildProcessError):
                os.waitpid(pid, 0)


def _children() -> list[int]:
    try:
        text = Path(f"/proc/self/task/{os.getpid()}/children").read_text(encoding="ascii")
    except OSError:
        return []
    return [int(pid) for pid in text.split()]


def preloadable(module: str) -> bool:
    """Whether the server may import it: a part of bench, of Python, or of what they are built on, and no plug-in."""
    return module.partition(".")[0] in _TRUSTED


def _preload(modules: Iterable[str]) -> None:
    """Import these. What cannot be imported fails in a worker, with its words."""
    for module in modules:
        with suppress(BenchError, *OTHERS_ERRORS):
            importlib.import_module(module)


def _received(control: socket.socket) -> tuple[dict[str, Any] | None, list[int]]:
    """The next message, None when the run has hung up, and the descriptors that came with it."""
    try:
        message, descriptors, _, _ = socket.recv_fds(control, _MOST_BYTES, 2)
    except ConnectionResetError:
        return None, []
    return (json.loads(message) if message else None), list(descriptors)


def _told(control: socket.socket, message: dict[str, Any]) -> None:
    with suppress(BrokenPipeError, ConnectionResetError):  # the run is gone: the next message says so
        control.sendall(_line(message))


def _line(message: dict[str, Any]) -> bytes:
    return json.dumps(message).encode()
