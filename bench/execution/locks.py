"""Which case is in whose hands: a locked file per case, so that two runs on one store share the work.

Deletes nothing, and stops nobody where the system or the folder knows no locks.
"""

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Protocol

from bench.execution.remote_locks import RemoteLocks
from bench.plan.case import Case
from bench.remote import RemotePath

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

_CLOCK_STEP_S = 0.1  # the clock of a file system may lag behind that of Python


class CaseLocks:
    """The cases that this run has in hand. The system releases them however the run ends."""

    def __init__(self, scratch: Path | None):
        self._folder = scratch / "locks" if scratch is not None and fcntl is not None else None
        self._since = time.time() - _CLOCK_STEP_S
        self._held: dict[str, int] = {}
        self._touched: set[str] = set()

    def take(self, case_id: str) -> bool:
        """Whether the case is now in our hands: False while another run has it."""
        if self._folder is None:
            return True
        path = self._folder / case_id
        with suppress(OSError):  # a folder that cannot be written to: the case itself will say so
            before = path.stat().st_mtime if path.exists() else 0.0
            self._folder.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(descriptor)
                self._touched.add(case_id)
                return False
            except OSError:
                os.close(descriptor)
                raise
            self._held[case_id] = descriptor
            if before >= self._since:
                self._touched.add(case_id)
        return True

    def touched(self, case_id: str) -> bool:
        """Whether another run has had the case in its hands since this run began."""
        return case_id in self._touched

    def release(self, case_id: str) -> None:
        """Let go of the case; the time at which that was stays with its file."""
        descriptor = self._held.pop(case_id, None)
        if descriptor is not None:
            with suppress(OSError):
                os.utime(descriptor)
            os.close(descriptor)

    @contextmanager
    def releasing(self, case_id: str) -> Iterator[None]:
        """Let go of the case at the end of the block."""
        try:
            yield
        finally:
            self.release(case_id)


class Locks(Protocol):
    """The cases that this run has in hand, wherever that is written down."""

    def take(self, case_id: str) -> bool:
        """Whether the case is now in our hands: False while another run has it."""

    def touched(self, case_id: str) -> bool:
        """Whether another run has had the case in its hands since this run began."""

    def release(self, case_id: str) -> None:
        """Let go of the case."""

    def releasing(self, case_id: str) -> AbstractContextManager[None]:
        """Let go of the case at the end of the block."""


def locks_in(scratch: Path | RemotePath | None) -> Locks:
    """Locked files, or claimed objects where runs share nothing but object storage."""
    return RemoteLocks(scratch) if isinstance(scratch, RemotePath) else CaseLocks(scratch)


class Told(Protocol):
    """Who is told of cases that another run has."""

    def wait(self, case: Case) -> None:
        """Another run has this case in hand."""

    def leave_out(self, case: Case) -> None:
        """Another run has measured this case meanwhile."""


class Pending:
    """The cases that nobody has begun, in their order; those that another run has in hand come last."""

    PATIENCE_S = 0.25  # between two looks at what others have in hand

    def __init__(self, cases: Sequence[Case], locks: Locks, told: Told, wanted: Callable[[Case], bool]):
        self._cases = list(cases)
        self._locks, self._told, self._wanted = locks, told, wanted
        self._waiting: set[str] = set()

    def __len__(self) -> int:
        return len(self._cases)

    def take(self, fits: Callable[[Case], bool]) -> Case | None:
        """The first case that fits now and that no other run has, locked; None where there is none."""
        for case in list(self._cases):
            if not fits(case):
                continue
            if not self._locks.take(case.id):
                if case.id not in self._waiting:
                    self._waiting.add(case.id)
                    self._told.wait(case)
                continue
            self._cases.remove(case)
            if not self._locks.touched(case.id) or self._wanted(case):
                return case
            self._locks.release(case.id)
            self._told.leave_out(case)
        return None
