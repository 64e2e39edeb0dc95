"""What a measure may use of the outside world: device, folders, clock, and whom to tell of progress.

All of it comes in as arguments, so that a test brings its own clock and its own folder. Decides nothing itself.
"""

import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path


def no_progress(done: int, total: int, note: str) -> None:
    """Tell nobody."""


@dataclass(frozen=True)
class Context:
    """The outside world of one run.

    `clock` counts seconds and never goes backwards. `progress(done, total, note)` is called with steps of the current
    case; `note` is one short phrase such as `epoch 3/30, test 61.20 % after epoch 2`.
    """

    device: str = "cpu"
    threads: int = 1
    data_dir: Path | None = None
    scratch_dir: Path | None = None  # checkpoints and caches of the run; None: keep nothing
    clock: Callable[[], float] = time.perf_counter
    progress: Callable[[int, int, str], None] = field(default=no_progress)

    def forget(self, case_id: str) -> None:
        """Delete what was kept of a case, once its rows are stored."""
        if self.scratch_dir is not None:
            shutil.rmtree(self.scratch_dir / case_id, ignore_errors=True)
