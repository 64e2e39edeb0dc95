"""Cases become outcomes, one case at a time in this process. A failure becomes a row with its reason; nothing is lost.

With `child`, the only place that turns an exception into a row, and so the only one that catches every kind of it.
"""

import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from typing import Protocol, cast

from bench import machine
from bench.errors import DataAbsent, MeasurementError
from bench.execution.context import Context, OnceMore, Progress
from bench.execution.locks import Locks, Pending
from bench.execution.outcome import Measured, Outcome, new_run, outcome, without_value
from bench.execution.signals import Ended
from bench.execution.yielded import MOST_READINGS, Measure, checked
from bench.plan.case import Case
from bench.records.measurement import CodePart, DataFacts, Environment, Reading
from bench.registry import measures
from bench.source.tracing import Trace

__all__ = ["Executor", "InProcess", "Outcome", "Stop", "Watcher", "execute", "new_run", "stream"]

MOST_REASON = 2000  # characters of an error that a row carries


class Watcher(Protocol):
    """Who is told of what happens meanwhile. The end of a case is its outcome."""

    def begin(self, case: Case, where: str | None = None) -> None:
        """A case starts; `where`, when that is not here."""

    def step(self, case: Case, progress: Progress) -> None:
        """A case is so far."""

    def wait(self, case: Case) -> None:
        """Another run has this case in hand; it is looked at again."""

    def leave_out(self, case: Case) -> None:
        """Another run has measured this case meanwhile."""

    def lose(self, case: Case, why: str) -> None:
        """A case that began is lost with the node it was on, and will begin again."""

    def said(self, case: Case, text: str) -> None:
        """What a case printed."""


class Executor(Protocol):
    """Cases in, outcomes out, in whatever order they end."""

    @property
    def environment(self) -> Environment:
        """The conditions in force where cases are measured."""

    def environments(self, case: Case) -> list[Environment]:
        """The conditions under which this case may be measured: one, but where machines differ."""

    def foretell(self, cases: Sequence[Case]) -> list[str]:
        """What more than their length there is to say of these cases before they are measured."""

    def execute(self, cases: Sequence[Case], watcher: Watcher, wanted: Callable[[Case], bool]) -> Iterator[Outcome]:
        """Measure the cases; the rows of each are handed over as soon as it ends.

        Args:
            wanted: whether a case that another run had in hand meanwhile still needs to be measured.
        """

    def close(self) -> None:
        """Leave nothing running."""


@dataclass(frozen=True)
class Stop:
    """The end of a case: by itself, or before that, with the reading that says why; or only of one of its processes."""

    early: Reading | None = None
    once_more: bool = False


@dataclass(frozen=True)
class InProcess:
    """Measures here, for a debugger: no limit holds, and what kills this process ends the run."""

    context: Context
    environment: Environment
    locks: Locks
    traces: Mapping[str, Trace] = field(default_factory=dict)  # of the suites that have plug-ins

    def environments(self, case: Case) -> list[Environment]:
        """Those of this process."""
        return [self.environment]

    def foretell(self, cases: Sequence[Case]) -> list[str]:
        """Nothing: one after the other."""
        return []

    def execute(self, cases: Sequence[Case], watcher: Watcher, wanted: Callable[[Case], bool]) -> Iterator[Outcome]:
        """Measure each case and hand over its rows before the next one starts."""
        pending, read = Pending(cases, self.locks, watcher, wanted), dict[str, list[CodePart]]()
        while pending:
            case = pending.take(lambda _: True)
            if case is None:
                time.sleep(pending.PATIENCE_S)
                continue
            watcher.begin(case)
            trace = self.traces.get(case.suite)
            context = replace(self.context, progress=partial(watcher.step, case))
            context = replace(context, read=trace.digest) if trace else context
            with self.locks.releasing(case.id):
                for found in execute([case], context, self.environment):
                    # What earlier cases have read, this one may have found in memory.
                    so_far = read.setdefault(case.suite, [])
                    so_far += trace.fresh() if trace else []
                    yield replace(found, reads=tuple(so_far))

    def close(self) -> None:
        """Nothing runs that this process does not."""


def execute(
    cases: Iterable[Case],
    context: Context,
    environment: Environment,
    *,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
    clock: Callable[[], float] = time.perf_counter,
) -> Iterator[Outcome]:
    """Measure each case in this process and hand over its rows before the next one starts.

    An interrupt (Ctrl-C) is not caught: what was handed over is the caller's, the case in hand is given up.
    """
    for case in cases:
        started, begun = now(), clock()
        found = _collected(case, context)
        yield outcome(case, environment, found, started, clock() - begun)


def _collected(case: Case, context: Context) -> Measured:
    facts: DataFacts | None = None
    readings: list[Reading] = []
    complete = False
    for item in stream(case, context):
        if isinstance(item, DataFacts):
            facts = item
        elif isinstance(item, Reading):
            readings.append(item)
        else:
            complete = item.early is None
            readings += [item.early] if item.early else []
    return Measured(facts, readings, complete)


def stream(
    case: Case, context: Context, through: tuple[type[BaseException], ...] = (KeyboardInterrupt, Ended)
) -> Iterator[DataFacts | Reading | Stop]:
    """Everything that a case yields, checked one by one, and at last how it stopped.

    Args:
        through: the exceptions that are no failure of the measure, and so are let through.
    """
    found: Iterator[DataFacts | Reading] | None = None
    count = 0
    while True:
        try:
            found = _begun(case, context) if found is None else found
            item = checked(next(found))
            count += isinstance(item, Reading)
            if count > MOST_READINGS:
                raise MeasurementError(f"more than {MOST_READINGS:,} readings")
        except through:
            raise
        except StopIteration as ended:
            nothing = f"measure '{case.measure}' yielded nothing"
            again = isinstance(ended.value, OnceMore) and not context.turn.alone
            yield Stop(None if count else without_value(case, "failed", nothing), once_more=again and count > 0)
            return
        except DataAbsent as error:
            yield Stop(without_value(case, "skipped", pathless(str(error), context)))
            return
        except BaseException as error:  # every failure of a measure is a row, whatever its kind
            yield Stop(without_value(case, "failed", pathless(_reason(error), context)))
            return
        yield item


def _begun(case: Case, context: Context) -> Iterator[DataFacts | Reading]:
    measure = cast(Measure, measures.get(case.measure))
    found: object = measure(case, replace(context, device=case.device), **case.options)
    if not hasattr(found, "__iter__"):
        raise MeasurementError(f"measure '{case.measure}' returned a {type(found).__name__} in place of its readings")
    return iter(found)


def pathless(reason: str, context: Context) -> str:
    """A reason as a row may carry it: one line of UTF-8 text without a path."""
    line = machine.sentence_without_paths(" ".join(reason.split()), context.data_dir)
    text = line.encode(errors="replace").decode()
    return text if len(text) <= MOST_REASON else f"{text[:MOST_REASON]}…"


def _reason(error: BaseException) -> str:
    """The error in one line, with the innermost place in the code where it arose (file name only, no path)."""
    frames = traceback.extract_tb(error.__traceback__)
    file = frames[-1].filename.replace("\\", "/").rpartition("/")[2] if frames else ""
    place = f" ({file}:{frames[-1].lineno})" if frames else ""
    if isinstance(error, SystemExit):
        code = error.code if isinstance(error.code, int) else int(error.code is not None)
        words = f": {error.code}" if isinstance(error.code, str) else ""
        return f"ended with exit code {code}{words}{place}"
    return f"{type(error).__name__}: {_words(error)}{place}"


def _words(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:  # a plug-in's error may be broken itself
        return "an error that cannot be printed"
