"""The processes of the gate: workers with equal environments, forked from a server or started anew, and their end.

Times nothing and knows no model. Every process sits in a group of its own that is killed as a whole; nothing passes
through a shell: argument lists, and JSON through pipes.
"""

import json
import os
import signal
import socket
import subprocess
import tempfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from bench.execution.processes import GRACE_S, TOLD_LINES, WorkerFailed, as_line, death, kill_group
from bench.machine import WAIT_VARIABLES

WORKER = Path(__file__).with_name("worker.py")

# Freed memory stays in the process: otherwise every forward faults its activations in again, at a speed that is
# another one in every process. glibc reads these when a process starts, so they are set before it does.
ALLOCATOR = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": str(2**32), "MALLOC_TOP_PAD_": str(2**26)}


def environment(threads: int, inherited: Mapping[str, str]) -> dict[str, str]:
    """What a worker's process starts with: what this one has, and the settings that both sides share.

    numpy's threads are off: a server with a second thread could not be forked safely.
    """
    fixed = {
        **ALLOCATOR,
        **WAIT_VARIABLES,
        "OMP_NUM_THREADS": str(threads),
        "MKL_NUM_THREADS": str(threads),
        "OPENBLAS_NUM_THREADS": "1",
        "PYTHONHASHSEED": "0",
    }
    # Without bytecode, only the workers that come first would compile what they import.
    return {name: value for name, value in inherited.items() if name != "PYTHONDONTWRITEBYTECODE"} | fixed


class Process:
    """An interpreter running `worker.py`, leader of its own process group; what it prints goes to the file `said`."""

    def __init__(
        self, side: str, python: str, arguments: list[str], variables: dict[str, str], stdin: Any, stdout: Any
    ):
        """Start it. Raises WorkerFailed where there is no such interpreter."""
        self.said: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 (closed with the process)
        command = [python, "-P", str(WORKER), *arguments]  # -P: the worker's folder stays off its path
        files = {"stdin": stdin, "stdout": stdout or self.said, "stderr": self.said}
        try:
            self.popen = subprocess.Popen(command, **files, env=variables, start_new_session=True)
        except OSError as error:
            self.said.close()
            raise WorkerFailed(side, "start", f"cannot start {python}: {error.strerror}") from error

    def kill(self) -> None:
        """End it and everything that it started. Harmless when it is gone."""
        kill_group(self.popen)

    def end(self, grace_s: float = 0.0) -> int:
        """Its exit code (negative: a signal), after having killed what is left of it then."""
        with suppress(subprocess.TimeoutExpired):
            self.popen.wait(grace_s)
        self.kill()
        return self.popen.wait()

    def close(self) -> None:
        """End it and let go of its pipes."""
        self.end()
        for file in (self.popen.stdin, self.popen.stdout, self.said):
            if file is not None:
                with suppress(OSError):
                    file.close()


class PairWorker:
    """One side of a round. `ask` it as often as needed, then `close` it.

    Args:
        side: whose it is, for the reason of a failure.
        pipe: what it answers on, and what it is asked on.
        said: the file with its standard error.
        kill: ends it at once, from whatever thread.
        end: waits some seconds, ends it, and gives its exit code.
        close: ends it and lets go of everything.
    """

    def __init__(
        self,
        side: str,
        pid: int,
        pipe: tuple[IO[bytes], IO[bytes]],
        said: IO[bytes],
        kill: Callable[[], None],
        end: Callable[[float], int | None],
        close: Callable[[], None],
    ):
        self.side, self.pid, self.kill, self.close = side, pid, kill, close
        self._reader, self._writer = pipe
        self._said, self._end = said, end
        self._said_before = said.seek(0, os.SEEK_END)

    def ask(self, message: Mapping[str, Any]) -> dict[str, Any]:
        """Its answer, however long that takes: the `deadline` around it kills the worker, which ends the wait.

        Raises:
            WorkerFailed: it refused, with its reason, or it is gone.
        """
        answer = b""
        with suppress(BrokenPipeError, ConnectionResetError):
            self._writer.write(as_line(message))
            self._writer.flush()
            answer = self._reader.readline()
        if not answer.endswith(b"\n"):
            raise WorkerFailed(self.side, "lost", self._obituary(self._end(GRACE_S)))
        told: dict[str, Any] = json.loads(answer)
        if "failed" in told:
            raise WorkerFailed(self.side, told["failed"], told["reason"])
        return told

    def _obituary(self, code: int | None) -> str:
        """How it ended, and its last words."""
        self._said.seek(self._said_before)
        last = self._said.read().decode(errors="replace").strip().splitlines()[-TOLD_LINES:]
        return ": ".join([death(code), " | ".join(last)] if last else [death(code)])


class Server:
    """An interpreter that has imported torch, run nothing, and forks workers: each ready in milliseconds."""

    def __init__(self, side: str, python: str, variables: dict[str, str]):
        self._control, theirs = socket.socketpair()
        with theirs:
            self._process = Process(side, python, ["--serve"], variables, stdin=theirs, stdout=None)
        self.kill, self.pid = self._process.kill, self._process.popen.pid
        self.threads: int | None = None  # it had when it forked last: more than one would be a danger

    def worker(self, side: str) -> PairWorker:
        """A fresh fork. Raises WorkerFailed when the server is gone."""
        ours, theirs = socket.socketpair()
        with theirs:
            told = self._asked({}, [theirs.fileno()])
        if told is None:
            ours.close()
            raise WorkerFailed(side, "start", f"no worker could be forked: {self._last_words()}")
        pid, self.threads = told["pid"], told["threads"]
        reaped: list[int | None] = []

        def kill() -> None:
            if not reaped:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)

        def end(grace_s: float) -> int | None:
            if not reaped:
                reaped.append((self._asked({"end": pid, "grace_s": grace_s}) or {}).get("code"))
            return reaped[0]

        def close() -> None:
            end(0.0)
            for file in pipe:
                with suppress(OSError):
                    file.close()
            ours.close()

        pipe = ours.makefile("rb"), ours.makefile("wb")
        return PairWorker(side, pid, pipe, self._process.said, kill, end, close)

    def close(self) -> None:
        """End it, and with it every worker."""
        self._process.close()
        self._control.close()

    def _asked(self, message: dict[str, Any], descriptors: list[int] | None = None) -> dict[str, Any] | None:
        """The server's answer; None when it is gone."""
        with suppress(BrokenPipeError, ConnectionResetError):
            socket.send_fds(self._control, [as_line(message)], descriptors or [])
            answer = self._control.recv(4096)
            return json.loads(answer) if answer else None
        return None

    def _last_words(self) -> str:
        code = self._process.end(GRACE_S)
        self._process.said.seek(0)
        last = self._process.said.read().decode(errors="replace").strip().splitlines()[-TOLD_LINES:]
        return ": ".join([death(code), " | ".join(last)] if last else [death(code)])


def new_worker(side: str, python: str, variables: dict[str, str]) -> PairWorker:
    """A worker in an interpreter of its own. Raises WorkerFailed where there is no such interpreter."""
    process = Process(side, python, [], variables, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    reader, writer = process.popen.stdout, process.popen.stdin
    assert reader is not None
    assert writer is not None
    return PairWorker(side, process.popen.pid, (reader, writer), process.said, process.kill, process.end, process.close)
