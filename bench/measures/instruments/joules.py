"""Joules from the counters of a device: NVML on CUDA, RAPL where the kernel lets it be read. Estimates nothing.

What a counter includes is said with every value: it counts all that the device does, whoever asked for it.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import torch

POWERCAP = Path("/sys/class/powercap")
WATCHED_S = 20.0  # between two looks at a counter that starts again from zero: at 1 kW it does so after minutes
_MICRO, _MILLI = 1e-6, 1e-3


@dataclass(frozen=True)
class Counter:
    """A counter that only rises, in joules, and starts again from zero after `span`."""

    read: Callable[[], float]
    span: float | None
    includes: str


@dataclass
class Meter:
    """What the counters of a device have counted since it was started."""

    counters: list[Counter]
    absent: str | None  # why there are none
    _last: list[float] = field(default_factory=list)
    _sums: list[float] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def start(self) -> None:
        """Count from here on."""
        self._last = [each.read() for each in self.counters]
        self._sums = [0.0] * len(self.counters)

    def look(self) -> None:
        """Add what was counted since the last look."""
        with self._lock:
            for place, counter in enumerate(self.counters):
                now = counter.read()
                step = now - self._last[place]
                self._sums[place] += step + (counter.span or 0.0) * (step < 0)
                self._last[place] = now

    @property
    def joules(self) -> float:
        """Of all counters together."""
        self.look()
        return sum(self._sums)

    @property
    def includes(self) -> str:
        """What the joules are of, in words."""
        return " and ".join(each.includes for each in self.counters)


@contextmanager
def metered(device: str, powercap: Path = POWERCAP) -> Iterator[Meter]:
    """A meter that runs within the block, and is looked at often enough that no counter starts again unseen."""
    meter = meter_of(device, powercap)
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(WATCHED_S):
            meter.look()

    meter.start()
    watcher = threading.Thread(target=watch, daemon=True)
    if meter.counters:
        watcher.start()
    try:
        yield meter
    finally:
        ended.set()


def meter_of(device: str, powercap: Path = POWERCAP) -> Meter:
    """The counters of a device: of CUDA the card's, of the CPU those of its packages and their memory."""
    counters, absent = _nvml() if device == "cuda" else _rapl(powercap)
    return Meter(counters, absent)


def _rapl(powercap: Path) -> tuple[list[Counter], str | None]:
    """Packages, and memory where it has a domain of its own; what lies within a package is counted there."""
    zones = sorted(powercap.glob("*rapl:*")) if powercap.is_dir() else []
    found, refused = [], ""
    for zone in zones:
        try:
            name = (zone / "name").read_text(encoding="ascii").strip()
            if name.startswith("package") or name in ("dram", "psys"):
                span = float((zone / "max_energy_range_uj").read_text(encoding="ascii")) * _MICRO
                (zone / "energy_uj").read_text(encoding="ascii")
                found.append((name, zone, span))
        except OSError as error:
            refused = f"{zone.name}: {error.strerror}"
    if any(name.startswith("package") for name, _, _ in found):
        found = [each for each in found if each[0] != "psys"]  # the whole platform has the packages in it
    if not found:
        why = f"it may not be read ({refused})" if refused else "this machine has none, or hides it as virtual ones do"
        return [], f"no energy counter of the CPU (RAPL in /sys/class/powercap): {why}"
    return [Counter(_microjoules(zone), span, _words(name)) for name, zone, span in found], None


def _microjoules(zone: Path) -> Callable[[], float]:
    return lambda: float((zone / "energy_uj").read_text(encoding="ascii")) * _MICRO


def _words(name: str) -> str:
    kind = {"dram": "its memory", "psys": "the whole platform"}.get(name, f"CPU {name}")
    return f"{kind} (RAPL), idle power and other processes included"


def _nvml() -> tuple[list[Counter], str | None]:
    try:
        import pynvml
    except ImportError:
        return [], "no energy counter of the card: NVML needs `pip install nvidia-ml-py`"
    try:
        pynvml.nvmlInit()
        handle = pynvml.nvmlDeviceGetHandleByUUID(f"GPU-{torch.cuda.get_device_properties(0).uuid}")
        pynvml.nvmlDeviceGetTotalEnergyConsumption(handle)
    except (pynvml.NVMLError, RuntimeError, AttributeError, AssertionError) as error:
        return [], f"no energy counter of the card: NVML says {error}"
    includes = "the whole card (NVML), idle power and other processes on it included, the host left out"
    return [Counter(lambda: pynvml.nvmlDeviceGetTotalEnergyConsumption(handle) * _MILLI, None, includes)], None
