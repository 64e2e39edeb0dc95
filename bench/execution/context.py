"""What a measure may use of the outside world: device, folders, clock, and whom to tell of progress.

All of it comes in as arguments, so that a test brings its own clock and its own folder. Decides nothing itself.
"""

import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path


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


@dataclass(frozen=True)
class Context:
    """The outside world of one run.

    `clock` counts seconds and never goes backwards. `progress` is told how far the current case is.
    """

    device: str = "cpu"
    threads: int = 1
    data_dir: Path | None = None
    scratch_dir: Path | None = None  # checkpoints and caches of the run; None: keep nothing
    clock: Callable[[], float] = time.perf_counter
    progress: Callable[[Progress], None] = field(default=no_progress)

    def forget(self, case_id: str) -> None:
        """Delete what was kept of a case, once its rows are stored."""
        if self.scratch_dir is not None:
            shutil.rmtree(self.scratch_dir / case_id, ignore_errors=True)
