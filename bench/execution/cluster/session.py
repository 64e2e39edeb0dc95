"""The way to a Ray cluster: one that exists, or one that this run starts here and ends again.

Runs no case and asks no node anything. Ray is imported here and nowhere above, so that nobody else waits for it.
"""

import importlib.util
import os
import re
import shutil
import signal
import socket
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

from bench.errors import MeasurementError, UsageError
from bench.machine import cores

EXTRA = "pip install 'mixer-bench[ray]'"
_STORE_BYTES = 80 * 2**20  # Ray's least; a case comes back as a few kilobytes
_ANSWER_S = 10.0  # for the machine at an address to open the line
_LONGEST_FOLDER = 40  # characters: a socket's path has an end, and Ray adds to this
_ADDRESS = re.compile(r"(?:ray://)?\[?([^\s/]+?)\]?:([0-9]+)")
# No answer to where the program calls home; also a plug-in that git ignores is sent.
_SETTINGS = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_RUNTIME_ENV_IGNORE_GITIGNORE": "1"}


def address_of(on: str, variables: Mapping[str, str] = os.environ) -> str | None:
    """What `--on` names: the address of a cluster; None for one that is to be started here.

    Args:
        on: `ray` (RAY_ADDRESS where it is set), `ray://HOST:PORT` or `HOST:PORT`.

    Raises:
        UsageError: it is none of these, or Ray is not installed.
    """
    if on != "ray" and not _ADDRESS.fullmatch(on):
        raise UsageError(f"--on '{on}': no place to run on. Known: ray, ray://HOST:PORT, HOST:PORT.")
    if importlib.util.find_spec("ray") is None:
        raise UsageError(f"--on {on}: Ray is not installed here. {EXTRA}")
    return on if on != "ray" else variables.get("RAY_ADDRESS") or None


class Session:
    """A connection to a cluster. `close` it: a cluster that was started here ends with it.

    Args:
        address: of one that exists; None starts one on this machine.
        runtime_env: what travels to the nodes, as Ray takes it.

    Raises:
        UsageError: nobody answers there, or it is another Ray or Python.
    """

    def __init__(self, address: str | None, runtime_env: Mapping[str, Any] | None = None):
        self.local = address is None
        self._folder: str | None = None
        if address not in (None, "auto"):
            _somebody_answers(str(address))
        for name, value in _SETTINGS.items():
            os.environ.setdefault(name, value)
        with _own_signals():
            self.ray = _quiet()
            self._connect(address, dict(runtime_env or {}))

    def close(self) -> None:
        """Leave the cluster, which ends every task of this run; a local one is gone afterwards."""
        self.ray.shutdown()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)

    def _connect(self, address: str | None, runtime_env: dict[str, Any]) -> None:
        try:
            if address is None:
                self.ray.init("local", **_quietly(), **self._small())
            else:
                self.ray.init(address, **_quietly(), runtime_env=runtime_env)
        except (ConnectionError, RuntimeError, ValueError) as error:
            where = "a cluster cannot be started here" if address is None else f"no cluster to use at {address}"
            raise UsageError(f"--on: {where}: {_first_line(error)}") from error
        except self.ray.exceptions.RayError as error:
            raise MeasurementError(f"--on: {_first_line(error)}") from error

    def _small(self) -> dict[str, Any]:
        """A cluster of this machine alone, in a folder of its own that goes with it."""
        found: dict[str, Any] = {
            "num_cpus": cores(),
            "include_dashboard": False,
            "object_store_memory": _STORE_BYTES,
        }
        if len(tempfile.gettempdir()) <= _LONGEST_FOLDER:
            self._folder = tempfile.mkdtemp(prefix="bench-ray-")
            found["_temp_dir"] = self._folder
        return found


def _quietly() -> dict[str, Any]:
    return {"log_to_driver": False, "logging_level": "ERROR", "namespace": "bench"}


def _quiet() -> Any:
    """Ray, which otherwise prints what becomes of its processes among the results on standard output."""
    import ray
    import ray._private.worker as worker

    if hasattr(worker, "print_to_stdstream"):
        worker.print_to_stdstream = lambda *_, **__: None
    return ray


def _somebody_answers(address: str) -> None:
    """Ray itself waits long for nobody, and then ends the whole process."""
    found = _ADDRESS.fullmatch(address)
    if found is None:
        raise UsageError(f"RAY_ADDRESS '{address}': no address. Known: auto, ray://HOST:PORT, HOST:PORT.")
    try:
        socket.create_connection((found[1], int(found[2])), timeout=_ANSWER_S).close()
    except (OSError, OverflowError) as error:
        raise UsageError(f"--on: no cluster answers at {address}: {error}") from error


@contextmanager
def _own_signals() -> Iterator[None]:
    """Within it, whatever takes over this process's signals gives them back at the end."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            with suppress(TypeError, ValueError):
                signal.signal(number, handler)


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__
