"""What runs on a node: one case at a time, in a process of its own there as anywhere, and told of as it goes.

Chooses no case and stores nothing. The process that Ray gives it runs no model, so that none can end it by accident.
"""

import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench.errors import UsageError
from bench.execution.cluster.kept import Kept, Sending
from bench.execution.context import Progress
from bench.execution.limits import Limits
from bench.execution.locks import CaseLocks
from bench.execution.messages import Recording
from bench.execution.outcome import Measured, Outcome, outcome, without_value
from bench.execution.process_executor import ProcessExecutor
from bench.execution.workers import starting
from bench.machine import let_threads_sleep
from bench.plan.case import Case
from bench.plan.fingerprint import Code
from bench.records.measurement import CodePart, Environment, identified
from bench.records.metrics import METRICS, Metric

TELLING_S = 1.0  # between two words on progress across the network
_BUILT_IN = frozenset(METRICS)

Tell = Callable[[str, Any], None]  # a kind of news, and what it is about
Plugins = Mapping[str, Sequence[tuple[str, str]]]  # suite -> name, and the folder beside which it is


@dataclass(frozen=True)
class Settings:
    """What is the same for all cases of a run; folders are named as on the machine where it was started.

    `scratch` serves only where `token` lies in it, for there it is the same folder; a store that is a URI has `kept`
    instead, itself and its options. `home` is where the files of the
    suites were before they travelled to the nodes; None where nodes see them in their own place.
    """

    asked: Recording
    plugins: Plugins
    data: str | None = None
    scratch: str | None = None
    token: str = ""
    kept: tuple[str, Mapping[str, str]] | None = None
    time_limit_s: float | None = None
    memory_limit_bytes: int | None = None
    home: str | None = None
    code: Mapping[str, Any] | None = None  # columns of an environment that speak of the code, where that travelled


@dataclass(frozen=True)
class Errand:
    """One case as it is sent to a node, with what its code is made of where the run was started."""

    case: Case
    parts: tuple[CodePart, ...] = ()


@dataclass(frozen=True)
class Found:
    """What came of an errand: an outcome, what the case printed, metrics of a plug-in alone; and on which node."""

    outcome: Outcome
    said: str | None = None
    metrics: tuple[Metric, ...] = ()
    node: str = ""


def conditions(settings: Settings) -> Environment:
    """The environment of this node. Raises UsageError and MeasurementError as `ProcessExecutor` does."""
    return _executor(settings).environment


def measure(errand: Errand, settings: Settings, tell: Tell) -> Found:
    """Measure one case here, in a process of its own; every failure of it is a row."""
    tell("began", None)
    started, begun = datetime.now(UTC), time.monotonic()
    executor, case = _executor(settings), errand.case
    if problem := other_code(errand, settings):
        early = Measured(None, [without_value(case, "failed", problem)], False)
        return Found(outcome(case, executor.environment, early, started, time.monotonic() - begun))
    teller = Teller(tell)
    with _checkpoints(case, settings, teller):
        found = next(iter(executor.execute([case], teller, lambda _: True)))
    fresh = tuple(metric for name, metric in METRICS.items() if name not in _BUILT_IN)
    return Found(found, "\n".join(teller.printed) or None, fresh)


@contextmanager
def _checkpoints(case: Case, settings: Settings, teller: "Teller") -> Iterator[None]:
    """Within it, what a training keeps is beside the store too, where that is a URI."""
    scratch = _scratch(settings)
    if settings.kept is None or case.recipe is None or scratch is None:
        yield
        return
    kept = Kept(*settings.kept)
    kept.fetch(case.id, scratch)
    sending = Sending(kept, case.id, scratch)
    teller.at_epoch = sending.newer
    try:
        yield
    finally:
        sending.close()
        shutil.rmtree(scratch / case.id, ignore_errors=True)


class Teller:
    """Watches a case for whoever is far away: each new epoch, and otherwise a word a second."""

    def __init__(self, tell: Tell):
        self.printed: list[str] = []
        self.at_epoch: Callable[[], None] = lambda: None
        self._tell, self._last, self._epoch = tell, 0.0, -1

    def begin(self, case: Case, where: str | None = None) -> None:
        """That is told already."""

    def step(self, case: Case, progress: Progress) -> None:
        """The case is so far."""
        now, epoch = time.monotonic(), progress.newest_epoch or 0
        if epoch != self._epoch:
            self.at_epoch()
        if epoch != self._epoch or now - self._last >= TELLING_S:
            self._last, self._epoch = now, epoch
            self._tell("step", progress)

    def wait(self, case: Case) -> None:
        """Nobody else has it: the run holds its lock."""

    def leave_out(self, case: Case) -> None:
        """Nobody else has measured it."""

    def lose(self, case: Case, why: str) -> None:
        """What runs here is not lost here."""

    def said(self, case: Case, text: str) -> None:
        """What the case printed, kept for the end."""
        self.printed.append(text)


# One for each process that Ray gives: it imports torch once for all cases that come here.
_executors: dict[tuple[str, str | None], ProcessExecutor] = {}


def _executor(settings: Settings) -> ProcessExecutor:
    key = (settings.asked.run_id, os.environ.get("CUDA_VISIBLE_DEVICES"))
    if key not in _executors:
        for old in _executors.values():
            old.close()
        _executors.clear()
        _executors[key] = _started(settings)
    return _executors[key]


def _started(settings: Settings) -> ProcessExecutor:
    let_threads_sleep()
    if settings.home is not None and (here := placed(settings.home, settings)).is_dir():
        os.chdir(here)
    limits = Limits(1, settings.time_limit_s)
    if settings.memory_limit_bytes is not None:
        limits.memory_bytes = settings.memory_limit_bytes
    folders = (_data(settings), _scratch(settings))
    executor = ProcessExecutor(starting(), settings.asked, folders, _plugins(settings), limits)
    executor.locks = CaseLocks(None)  # the run holds those of its cases
    if settings.code is not None:
        executor.environment = identified(replace(executor.environment, **settings.code))
    return executor


_unpacked = Path.cwd()  # where Ray put what travelled, before anybody went elsewhere


def placed(folder: str, settings: Settings) -> Path:
    """Where a folder of the run's machine is here."""
    return Path(folder) if settings.home is None else _unpacked.joinpath(*Path(folder).parts[1:])


def _plugins(settings: Settings) -> Plugins:
    return {
        suite: [(name, str(placed(beside, settings))) for name, beside in named]
        for suite, named in settings.plugins.items()
    }


def _data(settings: Settings) -> Path | None:
    """The folder that was named, where there is one here; else whatever this node's BENCH_DATA says."""
    named = settings.data and Path(settings.data)
    return named if named and (named.is_dir() or "BENCH_DATA" not in os.environ) else None


def _scratch(settings: Settings) -> Path | None:
    """The folder of checkpoints: one of this node's beside a URI, else the run's, where it is the same one here."""
    if settings.kept is not None:
        own = Path(tempfile.gettempdir(), f"bench-{settings.asked.run_id}")
        own.mkdir(exist_ok=True)
        return own
    folder = settings.scratch and Path(settings.scratch)
    return folder if folder and (folder / settings.token).is_file() else None


def other_code(errand: Errand, settings: Settings) -> str | None:
    """What of a case's code is another here than where the run was started, in words."""
    case = errand.case
    if case.code_sha256 is None:
        return None
    plugins = _plugins(settings).get(case.suite, [])
    try:
        here = Code([name for name, _ in plugins], Path(plugins[0][1]) if plugins else Path()).of(case)
    except UsageError as error:
        return f"its code cannot be read on this node: {error}"
    if here is not None and here.sha256 == case.code_sha256:
        return None
    differing = _differing(errand.parts, here.parts if here else ())
    return f"other code on this node than where the run was started: {differing}"


def _differing(there: Sequence[CodePart], here: Sequence[CodePart]) -> str:
    known = {(part.kind, part.label): part for part in here}
    told = []
    for part in there:
        found = known.get((part.kind, part.label))
        if found is None:
            told.append(f"no {part.label}")
        elif found.sha256 != part.sha256 and part.kind == "library":
            told.append(f"{part.label} {found.text or 'not installed'} in place of {part.text or 'none'}")
        elif found.sha256 != part.sha256:
            told.append(f"another {part.label}")
    return ", ".join(told) or "more files than there"
