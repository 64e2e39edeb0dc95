"""The run's side of its workers: started, listened to, killed. Each is a process group that ends as a whole.

Knows nothing of cases: lines come in and events go out. The run itself never forks, so its threads are safe.
"""

import itertools
import json
import os
import queue
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import IO, Any, Literal, Protocol

from bench.errors import MeasurementError
from bench.execution.processes import can_fork, kill_group
from bench.machine import WAIT_VARIABLES

START_S = 120.0  # torch's import on a slow disk
END_S = 5.0
_MODULES_AT_ONCE = 200  # a message to the server has an end
# What runs before a worker is forked has one thread: numpy's would be a second one, and so would pyarrow's, which hands
# memory back to the system now and then.
_SINGLE_THREADED = {"OPENBLAS_NUM_THREADS": "1", "JE_ARROW_MALLOC_CONF": "background_thread:false"}
_CODE = "import sys; sys.path[:] = {path!r}; from bench.execution.child import main; main()"


class CannotStart(MeasurementError):
    """A worker could not be started."""


@dataclass(frozen=True)
class Event:
    """What became of a worker: it said a line, it hung up, or it ended (None: nobody knows how)."""

    number: int
    kind: Literal["line", "hung up", "ended"]
    message: dict[str, Any] | None = None
    code: int | None = None


@dataclass(frozen=True)
class Worker:
    """A worker that has its question. `said` holds what it prints."""

    number: int
    pid: int
    said: IO[bytes]
    kill: Callable[[], None]
    close: Callable[[], None]


class Workers(Protocol):
    """Starts workers; whatever becomes of them comes out of `events`."""

    events: "queue.Queue[Event]"

    def start(self, question: bytes) -> Worker:
        """A worker with this question. Raises CannotStart."""

    def preload(self, modules: Sequence[str]) -> None:
        """Import these once for all workers to come, where that saves time."""

    def close(self) -> None:
        """End every worker."""


def starting() -> Workers:
    """What starts workers here. A server begins to import at once, beside whatever this process does next."""
    return Forking() if can_fork("cpu") else Starting()


class Starting:
    """A new interpreter per worker: for CUDA, and where nothing can be forked."""

    def __init__(self, instead_of: Workers | None = None):
        """Take the place of others, which end."""
        if instead_of is not None:
            instead_of.close()
        self.events: queue.Queue[Event] = queue.Queue()
        self._numbers = itertools.count()
        self._living: dict[int, subprocess.Popen[bytes]] = {}
        self._lock = threading.Lock()

    def start(self, question: bytes) -> Worker:
        """A worker with this question. Raises CannotStart where the interpreter cannot be started."""
        number, said = next(self._numbers), _file()
        popen = interpreter([], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=said)
        assert popen.stdin is not None
        assert popen.stdout is not None
        self._living[number] = popen
        _in_background(_listen, popen.stdout, number, self.events)
        _in_background(self._wait, popen, number)
        with suppress(BrokenPipeError, ConnectionResetError):
            popen.stdin.write(question)
            popen.stdin.flush()

        def close() -> None:
            for file in (popen.stdin, said):
                with suppress(OSError):
                    assert file is not None
                    file.close()

        return Worker(number, popen.pid, said, lambda: self._kill(number), close)

    def preload(self, modules: Sequence[str]) -> None:
        """Nothing: no worker inherits from another."""

    def close(self) -> None:
        """End every worker."""
        left = dict(self._living)
        for number in left:
            self._kill(number)
        for popen in left.values():
            with suppress(subprocess.TimeoutExpired):
                popen.wait(END_S)

    def _kill(self, number: int) -> None:
        with self._lock:
            popen = self._living.get(number)
            if popen is not None and popen.returncode is None:
                kill_group(popen)

    def _wait(self, popen: "subprocess.Popen[bytes]", number: int) -> None:
        if hasattr(os, "waitid"):
            with suppress(ChildProcessError):
                os.waitid(os.P_PID, popen.pid, os.WEXITED | os.WNOWAIT)
            with self._lock:
                kill_group(popen)  # while no other can have its id
        code = popen.wait()
        self._living.pop(number, None)
        self.events.put(Event(number, "ended", code=code))


class Forking:
    """A server that has imported torch and forks a worker in milliseconds; started anew should it be lost."""

    def __init__(self) -> None:
        self.events: queue.Queue[Event] = queue.Queue()
        self._numbers = itertools.count()
        self._loaded: list[str] = []
        self._serving = self._server()

    @property
    def single_threaded(self) -> bool:
        """Whether forks are safe: the server has no other thread."""
        return self._serving.threads <= 1

    def start(self, question: bytes) -> Worker:
        """A worker with this question. Raises CannotStart where there can be no more processes."""
        if self._serving.lost.is_set():
            self._serving.close()
            self._serving, loaded, self._loaded = self._server(), self._loaded, []
            self.preload(loaded)
        number, said = next(self._numbers), _file()
        serving, (ours, theirs) = self._serving, socket.socketpair()
        with theirs:
            told = serving.ask({"fork": number}, [theirs.fileno(), said.fileno()])
        if "forked" not in told:
            ours.close()
            raise CannotStart(f"no worker could be forked: {told.get('reason', 'the server is gone')}")
        _in_background(_listen, ours.makefile("rb"), number, self.events)
        with suppress(BrokenPipeError, ConnectionResetError):
            ours.sendall(question)

        def close() -> None:
            with suppress(OSError):
                ours.shutdown(socket.SHUT_RDWR)
            ours.close()
            said.close()

        return Worker(number, told["pid"], said, lambda: serving.tell({"kill": number}), close)

    def preload(self, modules: Sequence[str]) -> None:
        """Import once what all forks would."""
        fresh = [module for module in dict.fromkeys(modules) if module not in self._loaded]
        self._loaded += fresh
        for first in range(0, len(fresh), _MODULES_AT_ONCE):
            self._serving.load(fresh[first : first + _MODULES_AT_ONCE])

    def close(self) -> None:
        """End the server, and with it every worker."""
        self._serving.close()

    def _server(self) -> "_Serving":
        return _Serving(self.events)


class _Serving:
    """One server, from its start to its end."""

    def __init__(self, events: "queue.Queue[Event]"):
        self.threads = 1
        self._ready = False
        self.lost = threading.Event()
        self._events, self._living = events, dict[int, int]()  # number -> process id
        self._answers: queue.Queue[dict[str, Any]] = queue.Queue()
        self._said = _file()
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._popen = interpreter(["--serve"], stdin=theirs, stdout=self._said, stderr=self._said)
        _in_background(self._hear)

    def ask(self, message: dict[str, Any], descriptors: list[int] | None = None) -> dict[str, Any]:
        """Its answer; an empty one when it is gone or silent."""
        self.wait_until_ready()
        try:
            socket.send_fds(self._control, [json.dumps(message).encode()], descriptors or [])
            return self._answers.get(timeout=START_S)
        except (BrokenPipeError, ConnectionResetError, queue.Empty):
            self.lost.set()
            return {}

    def load(self, modules: list[str]) -> None:
        """Let it import these."""
        self.threads = self.ask({"preload": modules}).get("threads", 1)

    def tell(self, message: dict[str, Any]) -> None:
        """Say it; there is no answer."""
        with suppress(OSError):
            self._control.sendall(json.dumps(message).encode())

    def wait_until_ready(self) -> None:
        """Until it has imported what it serves. Raises CannotStart where it never comes to that."""
        if not self._ready:
            told = self._first()
            if "ready" not in told:
                self.close()
                raise CannotStart(f"no worker can be started: {self._last_words()}")
            self._ready, self.threads = True, told["threads"]

    def close(self) -> None:
        """End it: it kills what it has forked once the line is cut, and is killed itself where it does not."""
        self.lost.set()
        with suppress(OSError):
            self._control.shutdown(socket.SHUT_RDWR)
        with suppress(subprocess.TimeoutExpired):
            self._popen.wait(END_S if self._ready else 0.0)  # who still imports has forked nobody
        kill_group(self._popen)
        self._popen.wait()
        self._control.close()

    def _first(self) -> dict[str, Any]:
        with suppress(queue.Empty):
            return self._answers.get(timeout=START_S)
        return {}

    def _hear(self) -> None:
        """Answers to who asked, ends of workers to whoever listens to events, until the server is gone."""
        while True:
            try:
                message = self._control.recv(65536)
            except OSError:
                message = b""
            told: dict[str, Any] = json.loads(message) if message else {}
            if "ended" in told:
                self._living.pop(told["ended"], None)
                self._events.put(Event(told["ended"], "ended", code=told["code"]))
                continue
            if "forked" in told:
                self._living[told["forked"]] = told["pid"]
            if not told:
                self.lost.set()
                for number, pid in self._living.items():  # they died with it; what they started may not have
                    with suppress(ProcessLookupError, PermissionError):
                        os.killpg(pid, signal.SIGKILL)
                    self._events.put(Event(number, "ended"))
            self._answers.put(told)
            if not told:
                return

    def _last_words(self) -> str:
        self._said.seek(0)
        return " | ".join(self._said.read().decode(errors="replace").strip().splitlines()[-3:])


def interpreter(arguments: list[str], **files: Any) -> "subprocess.Popen[bytes]":
    """A Python that imports what this one would, in a session of its own. Raises CannotStart."""
    command = [sys.executable, "-P", "-c", _CODE.format(path=sys.path), *arguments]
    variables = {**WAIT_VARIABLES, **os.environ, **_SINGLE_THREADED}
    try:
        return subprocess.Popen(command, env=variables, start_new_session=True, **files)
    except OSError as error:
        raise CannotStart(f"no worker can be started: {error.strerror}") from error


def _listen(reader: IO[bytes], number: int, events: "queue.Queue[Event]") -> None:
    """Lines of a worker become events, until it hangs up."""
    with suppress(OSError, ValueError), reader:
        for line in reader:
            if line.endswith(b"\n"):
                events.put(Event(number, "line", message=json.loads(line)))
    events.put(Event(number, "hung up"))


def _in_background(work: Callable[..., None], *arguments: Any) -> None:
    threading.Thread(target=work, args=arguments, daemon=True).start()


def _file() -> IO[bytes]:
    return tempfile.TemporaryFile()
