"""Which case is in whose hands where runs share nothing but object storage: a claimed object per case, kept alive.

Deletes nothing. A claim that nobody keeps alive is free after a while: its run was killed.
"""

import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta

from bench.errors import StoreError
from bench.remote import RemotePath

ALIVE_S = 60.0  # between two signs of life
DEAD_AFTER = timedelta(minutes=5)  # without one; more than two clocks are usually apart
_FREE = b"free"


class RemoteLocks:
    """The cases that this run has in hand; see `locks.CaseLocks`, which does the same on a file system."""

    def __init__(self, scratch: RemotePath, alive_s: float = ALIVE_S, dead_after: timedelta = DEAD_AFTER):
        self._folder = scratch / "locks"
        self._alive_s, self._dead_after = alive_s, dead_after
        self._own = secrets.token_hex(8).encode()  # says nothing of who it is
        self._since = datetime.now(UTC) - timedelta(minutes=1)  # clocks differ
        self._held: set[str] = set()
        self._touched: set[str] = set()
        self._guard = threading.Lock()
        self._keeper: threading.Thread | None = None

    def take(self, case_id: str) -> bool:
        """Whether the case is now in our hands: False while another run has it."""
        place = self._folder / case_id
        try:
            taken = self._claimed(case_id, place)
        except StoreError:
            return True  # a place that cannot be written to: the store itself will say so
        if taken:
            with self._guard:
                self._held.add(case_id)
            self._keep_alive()
        return taken

    def touched(self, case_id: str) -> bool:
        """Whether another run has had the case in its hands since this run began."""
        return case_id in self._touched

    def release(self, case_id: str) -> None:
        """Let go of the case; the time at which that was stays with its object."""
        with self._guard:
            if case_id not in self._held:
                return
            self._held.remove(case_id)
            with suppress(StoreError):
                (self._folder / case_id).write(_FREE)

    @contextmanager
    def releasing(self, case_id: str) -> Iterator[None]:
        """Let go of the case at the end of the block."""
        try:
            yield
        finally:
            self.release(case_id)

    def _claimed(self, case_id: str, place: RemotePath) -> bool:
        if place.claim(self._own):
            return True
        there = place.version()
        if there is None:
            return place.claim(self._own)
        version, when = there
        if when >= self._since:
            self._touched.add(case_id)
        if place.read() != _FREE and datetime.now(UTC) - when < self._dead_after:
            self._touched.add(case_id)
            return False
        return place.claim(self._own, instead_of=version)

    def _keep_alive(self) -> None:
        if self._keeper is None:
            self._keeper = threading.Thread(target=self._signs_of_life, daemon=True)
            self._keeper.start()

    def _signs_of_life(self) -> None:
        while True:
            time.sleep(self._alive_s)
            with self._guard:
                for case_id in sorted(self._held):
                    with suppress(StoreError):
                        (self._folder / case_id).write(self._own)
