"""What a case may take: time, memory, and company. And how a process ended, in words.

Kills nothing: whoever asked does.
"""

import signal
import time
from contextlib import suppress
from dataclasses import dataclass, field

import psutil

from bench import machine
from bench.plan.case import Case
from bench.plan.forecast import seconds
from bench.records.measurement import Status
from bench.records.metrics import METRICS, Metric
from bench.records.written import duration

# Unless told otherwise, a case may take so many times what is expected of it, and never less than the floor.
TIMES_EXPECTED = 20.0
FLOOR_S = 900.0
OFFSPRING_EVERY_S = 2.0  # to look for what a worker has started takes milliseconds
_CLOCK_UNITS = {"s", "images/s"}


@dataclass(frozen=True)
class Memory:
    """Resident bytes of a worker and of what it has started."""

    used_bytes: int


@dataclass
class Limits:
    """The limits of a run. `memory` is polled, so a worker may pass its limit for a moment."""

    jobs: int = 1
    asked_time_s: float | None = None
    memory_bytes: int = field(default_factory=machine.usable_bytes)
    _offspring: dict[int, tuple[float, int]] = field(default_factory=dict)

    def time_limit_s(self, case: Case, cores: int) -> float | None:
        """Seconds that the case may take; None where nothing is said and nothing is known of its length."""
        if self.asked_time_s is not None:
            return self.asked_time_s
        if case.time_limit_s is not None:
            return case.time_limit_s
        expected = seconds(case, cores)
        return None if expected is None else max(FLOOR_S, TIMES_EXPECTED * expected)

    def exceeded(self, limit_s: float | None, spent_s: float, memory: Memory) -> tuple[Status, str] | None:
        """The status and the reason of a case that has passed a limit."""
        if limit_s is not None and spent_s > limit_s:
            told = f"{limit_s:g} s" if limit_s < 90 else duration(limit_s)
            return "timeout", f"ran out of time: {told} (limit)"
        if self.memory_bytes and memory.used_bytes > self.memory_bytes:
            return "failed", f"used more than {self.memory_bytes / 2**30:.1f} GiB"
        return None

    def memory(self, pid: int) -> Memory:
        """What a process and its offspring hold now; nothing of one that is gone."""
        with suppress(psutil.Error):
            process = psutil.Process(pid)
            now = time.monotonic()
            last, offspring = self._offspring.get(pid, (-OFFSPRING_EVERY_S, 0))
            if now - last >= OFFSPRING_EVERY_S:
                offspring = sum(_resident(child) for child in process.children(recursive=True))
                self._offspring[pid] = (now, offspring)
            return Memory(process.memory_info().rss + offspring)
        return Memory(0)

    def forget(self, pid: int) -> None:
        """The process is gone."""
        self._offspring.pop(pid, None)


def not_beside_others(case: Case) -> bool:
    """Whether a clock or the machine's memory is what the case is about, so that nothing else may run meanwhile.

    A training is not: what it learns is the same beside others, and its own seconds are left out then.
    A measure whose metrics nobody has declared may have a clock.
    """
    metrics = [metric for metric in METRICS.values() if metric.measure == case.measure]
    return not metrics or (any(map(needs_quiet, metrics)) and all(metric.depends != "data" for metric in metrics))


def needs_quiet(metric: Metric) -> bool:
    """Whether a value of it counts only where nothing else ran."""
    return metric.depends == "machine" or metric.unit in _CLOCK_UNITS


def ended_by(code: int | None) -> str:
    """How a process ended that had not answered yet: `died by signal 11 (SIGSEGV)`, `ended with exit code 7`."""
    if code is None:
        return "was lost together with the process that started it"
    if code >= 0:
        return f"ended with exit code {code}"
    try:
        name = f" ({signal.Signals(-code).name})"
    except ValueError:
        name = ""
    hint = ", as the system does when memory runs out" if code == -9 else ""
    return f"died by signal {-code}{name}{hint}"


def _resident(process: psutil.Process) -> int:
    with suppress(psutil.Error):
        return int(process.memory_info().rss)
    return 0
