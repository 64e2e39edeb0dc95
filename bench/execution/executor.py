"""Cases become measurements, one case at a time. A failure becomes a row with its reason; nothing measured is lost.

The only place that turns an exception into a row, and so the only one that catches every kind of it.
"""

import secrets
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from bench.errors import DataAbsent
from bench.execution.context import Context
from bench.plan.case import Case
from bench.records.measurement import SCHEMA, DataFacts, Environment, Measurement, Reading, Status, canonical_json
from bench.records.metrics import METRICS
from bench.registry import measures


@dataclass(frozen=True)
class Outcome:
    """What became of one case: its rows, ready to be stored together."""

    case: Case
    rows: list[Measurement]
    duration_s: float

    @property
    def problem(self) -> Measurement | None:
        """The first row that has no value, if there is one."""
        return next((row for row in self.rows if row.status != "ok"), None)

    @property
    def failed(self) -> bool:
        """Whether something went wrong. Absent data is no failure: the case was skipped."""
        return any(row.status in ("failed", "timeout") for row in self.rows)


def new_run(now: datetime | None = None) -> tuple[str, str]:
    """An id for a run, sortable by time and unique among machines, and when it starts (ISO 8601, UTC)."""
    started = now or datetime.now(UTC)
    return f"{started:%Y%m%dT%H%M%S}-{secrets.token_hex(3)}", started.isoformat(timespec="milliseconds")


def execute(
    cases: Iterable[Case],
    context: Context,
    environment: Environment,
    *,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
    clock: Callable[[], float] = time.perf_counter,
) -> Iterator[Outcome]:
    """Measure each case and hand over its rows before the next one starts.

    An interrupt (Ctrl-C) is not caught: what was handed over is the caller's, the case in hand is given up.
    """
    for case in cases:
        started, begun = now(), clock()
        facts, readings = _measured(case, context)
        duration = clock() - begun
        rows = [_row(case, environment, reading, facts, started, duration) for reading in readings]
        yield Outcome(case, rows, duration)


def _measured(case: Case, context: Context) -> tuple[DataFacts | None, list[Reading]]:
    """Everything a case yields, and a last reading that says why where it stopped early."""
    facts: DataFacts | None = None
    readings: list[Reading] = []
    try:
        for item in measures.get(case.measure)(case, replace(context, device=case.device), **case.options):
            if isinstance(item, DataFacts):
                facts = item
            else:
                readings.append(item)
    except DataAbsent as error:
        readings.append(_without_value(case, "skipped", _pathless(str(error), context)))
    except Exception as error:  # every failure of a measure is a row, whatever its kind
        readings.append(_without_value(case, "failed", _pathless(_reason(error), context)))
    return facts, readings or [_without_value(case, "failed", f"measure '{case.measure}' yielded nothing")]


def _without_value(case: Case, status: Status, reason: str) -> Reading:
    metric = next((metric.name for metric in METRICS.values() if metric.measure == case.measure), "params")
    return Reading(metric, None, status=status, reason=reason)


def _reason(error: Exception) -> str:
    """The error in one line, with the innermost place in the code where it arose (file name only, no path)."""
    place = traceback.extract_tb(error.__traceback__)[-1]
    file = place.filename.replace("\\", "/").rpartition("/")[2]
    return f"{type(error).__name__}: {error} ({file}:{place.lineno})"


def _pathless(reason: str, context: Context) -> str:
    """Rows are shared and committed: the data folder is called DIR in them, as in `--data DIR`."""
    return reason if context.data_dir is None else reason.replace(str(context.data_dir), "DIR")


def _row(
    case: Case,
    environment: Environment,
    reading: Reading,
    facts: DataFacts | None,
    started: datetime,
    duration_s: float,
) -> Measurement:
    metric = METRICS[reading.metric]
    return Measurement(
        schema=SCHEMA,
        run_id=environment.run_id,
        case_id=case.id,
        suite=case.suite,
        suite_sha256=case.suite_sha256,
        profile=case.profile,
        started_at=started.isoformat(timespec="milliseconds"),
        duration_s=duration_s,
        model=case.model,
        params_json=canonical_json(case.question),
        dataset=case.dataset,
        dataset_sha256=facts.dataset_sha256 if facts else None,
        n_train=facts.n_train if facts else None,
        n_test=facts.n_test if facts else None,
        seed=case.seed,
        epoch=reading.epoch,
        batch_size=case.batch_size,
        image_size=case.image_size,
        device=case.device,
        device_name=environment.device_name,
        precision=case.precision,
        layout=case.layout,
        compiled=case.compiled,
        threads=environment.threads,
        metric=reading.metric,
        part=reading.part,
        protocol=metric.protocol,
        repeat=reading.repeat,
        value=reading.value,
        unit=metric.unit,
        status=reading.status,
        reason=reading.reason,
        deviations=case.deviations,
        detail=reading.detail,
        code_sha256=case.code_sha256,
        torch=environment.torch,
    )
