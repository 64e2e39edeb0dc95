"""What a command was asked for: built by the command line, handed over whole.

Checks and does nothing.
"""

import re
from dataclasses import dataclass
from pathlib import Path

_TIMES = {"s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
_POWERS = {"": 0, "K": 1, "M": 2, "G": 3, "T": 4}
_SIZES = {f"{key}B": 1000**power for key, power in _POWERS.items()} | {
    f"{key}iB": 1024**power for key, power in _POWERS.items() if key
}
_AMOUNT = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*([A-Za-z]*)")


@dataclass(frozen=True)
class RunWish:
    """`bench run`: which suites and cases, on what, within which limits, into which store."""

    suites: tuple[Path, ...]
    store: str = "results/store"
    profile: str | None = None
    only: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    device: str = "auto"
    threads: int | None = None
    seeds: int | None = None
    data: Path | None = None
    dry_run: bool = False
    force: bool = False
    strict: bool = False
    until: str | None = None
    in_process: bool = False
    jobs: int = 1
    time_limit_s: float | None = None
    memory_limit_bytes: int | None = None
    machine_name: str | None = None
    on: str | None = None  # the cluster whose nodes measure; None: this machine


@dataclass(frozen=True)
class PredictWish:
    """`bench predict`: which models, on which devices, under which conditions, for how many images."""

    what: tuple[str, ...]
    devices: str | None = None
    batch: int = 32
    image_size: int | None = None
    classes: int | None = None
    arguments: tuple[str, ...] = ()
    precision: str | None = None
    layout: str = "contiguous"
    compiled: bool = False
    launch_us: float | None = None
    epochs: int | None = None
    images: int | None = None
    test_images: int = 0
    workers: int = 2
    image_ms: float | None = None
    as_json: bool = False


def seconds(text: str) -> float:
    """`90`, `90s`, `30m`, `1.5h`, `2d` in seconds. Raises ValueError."""
    return _amount(text, {**_TIMES, "": 1.0}, "a time such as 90s, 30m or 1.5h")


def size_bytes(text: str) -> int:
    """`8GiB`, `500 MB` in bytes. Raises ValueError."""
    return int(_amount(text, {**_SIZES, "": 1}, "a size such as 8GiB or 500MB"))


def _amount(text: str, units: dict[str, float] | dict[str, int], such_as: str) -> float:
    found = _AMOUNT.fullmatch(text.strip())
    known = {unit.lower(): factor for unit, factor in units.items()}
    if found is None or found[2].lower() not in known or float(found[1]) == 0:
        raise ValueError(f"'{text}' is not {such_as}")
    return float(found[1]) * known[found[2].lower()]
