"""What somebody wants of a check: how much of it, against which baseline, with which speed to compare.

Decides nothing and imports no torch, so that a command line can make one before anything heavy starts.
"""

import secrets
from dataclasses import dataclass, field
from pathlib import Path


def drawn() -> int:
    """A seed that nobody chose."""
    return secrets.randbelow(2**32)


@dataclass(frozen=True)
class CheckWish:
    """How a suite is to be checked. Without `speed`, counts, shapes and types alone.

    Args:
        baseline: the committed baseline; None: the file beside the suite.
        ref: a commit to compare the speed with instead of the baseline's.
        ref_python: the interpreter of the baseline's side; None: this one.
        inject_pct: so much more work this side does on purpose.
    """

    baseline: Path | None = None
    speed: bool = True
    device: str = "auto"
    seed: int = field(default_factory=drawn)
    ref: str | None = None
    ref_python: Path | None = None
    inject_pct: float = 0.0


@dataclass(frozen=True)
class SelfTestWish:
    """How often equal code is to be checked against itself, and how much slower the other half is made.

    Args:
        slowed_pct: the slowdown of the other checks; 0: some of 3, 5 and 10 %.
        record: where each check is kept as a line; None: nowhere.
    """

    times: int
    slowed_pct: float = 0.0
    record: Path | None = None
