"""What a measure may use of the outside world: device, folders, clock, and whom to tell of progress.

All of it comes in as arguments, so that a test brings its own clock and its own folder. Decides nothing itself.
"""

import shutil
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from bench.errors import StoreError
from bench.remote import RemotePath


@dataclass(frozen=True)
class Progress:
    """How far a case is: `done` steps of `total`, and of a training the epoch in hand and the newest accuracy."""

    done: int
    total: int
    note: str = ""  # one short phrase, such as `warming up`
    epoch: int | None = None  # in hand, from 1
    epochs: int | None = None
    newest_epoch: int | None = None  # the last one that is finished
    newest_pct: float | None = None  # test accuracy after it
    resumed: bool = False  # the finished epochs are those of an earlier run, which this one takes up


def no_progress(progress: Progress) -> None:
    """Tell nobody."""


def nothing_read() -> str:
    """Nobody listens to what is read."""
    return ""


@dataclass(frozen=True)
class OnceMore:
    """What a measure returns when it is to be asked again in a fresh process, for that is what its values vary with."""


@dataclass(frozen=True)
class Turn:
    """Which of the processes of one case this is, from 0, and what those before it took.

    `alone`: there will be no other, for nothing here starts one.
    """

    number: int = 0
    spent_s: float = 0.0
    alone: bool = True


@dataclass(frozen=True)
class Context:
    """The outside world of one run.

    `clock` counts seconds and never goes backwards. `progress` is told how far the current case is. `read` digests
    what the case has read of its project so far; it is empty where that is nothing.
    """

    device: str = "cpu"
    threads: int = 1
    data_dir: Path | None = None
    scratch_dir: Path | RemotePath | None = None  # checkpoints and caches of the run; None: keep nothing
    clock: Callable[[], float] = time.perf_counter
    progress: Callable[[Progress], None] = field(default=no_progress)
    read: Callable[[], str] = field(default=nothing_read)
    turn: Turn = field(default=Turn())

    @property
    def folder(self) -> Path | None:
        """The `scratch_dir` where it is a folder of this machine."""
        return self.scratch_dir if isinstance(self.scratch_dir, Path) else None

    def forget(self, case_id: str) -> None:
        """Delete what was kept of a case, once its rows are stored."""
        if isinstance(self.scratch_dir, RemotePath):
            with suppress(StoreError):
                (self.scratch_dir / case_id).remove()
        elif self.scratch_dir is not None:
            shutil.rmtree(self.scratch_dir / case_id, ignore_errors=True)
