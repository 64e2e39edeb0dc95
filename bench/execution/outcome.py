"""What became of a case: its rows, and the one place where a reading becomes a row.

Measures nothing and stores nothing.
"""

import secrets
from dataclasses import dataclass
from datetime import UTC, datetime

from bench.plan.case import Case
from bench.records.measurement import (
    SCHEMA,
    CodePart,
    DataFacts,
    Environment,
    Measurement,
    Reading,
    Status,
    canonical_json,
)
from bench.records.metrics import METRICS


@dataclass(frozen=True)
class Outcome:
    """What became of one case: its rows, ready to be stored together."""

    case: Case
    rows: list[Measurement]
    duration_s: float
    complete: bool = True  # the measure came to its own end; if not, what is kept of the case serves the next run
    environment: Environment | None = None  # where it was measured: to be stored before its rows, once in a run
    elsewhere: bool = False  # on a machine whose files may be others than those here
    reads: tuple[CodePart, ...] = ()  # files of the project that it read, beside those that its code names

    @property
    def problem(self) -> Measurement | None:
        """The first row that has no value, if there is one."""
        return next((row for row in self.rows if row.status != "ok"), None)

    @property
    def failed(self) -> bool:
        """Whether something went wrong. Absent data is no failure: the case was skipped."""
        return any(row.status in ("failed", "timeout") for row in self.rows)


@dataclass(frozen=True)
class Measured:
    """Everything that a case yielded, and a last reading that says why where it stopped early."""

    facts: DataFacts | None
    readings: list[Reading]
    complete: bool
    reads: tuple[CodePart, ...] = ()


def new_run(now: datetime | None = None) -> tuple[str, str]:
    """An id for a run, sortable by time and unique among machines, and when it starts (ISO 8601, UTC)."""
    started = now or datetime.now(UTC)
    return f"{started:%Y%m%dT%H%M%S}-{secrets.token_hex(3)}", started.isoformat(timespec="milliseconds")


def outcome(case: Case, environment: Environment, measured: Measured, started: datetime, duration_s: float) -> Outcome:
    """The rows of a case."""
    rows = [row(case, environment, reading, measured.facts, started, duration_s) for reading in measured.readings]
    return Outcome(case, rows, duration_s, measured.complete, environment, reads=measured.reads)


def without_value(case: Case, status: Status, reason: str) -> Reading:
    """Why a case has no value. Where its measure has no metric of its own, the measure's name stands for one."""
    metric = next(
        (metric.name for metric in METRICS.values() if case.measure in (metric.measure, metric.also)), case.measure
    )
    return Reading(metric, None, status=status, reason=reason)


def row(
    case: Case,
    environment: Environment,
    reading: Reading,
    facts: DataFacts | None,
    started: datetime,
    duration_s: float,
) -> Measurement:
    """One reading with everything it depended on."""
    metric = METRICS.get(reading.metric)  # none: the name of a measure that came to no value
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
        protocol=metric.protocol if metric else 1,
        repeat=reading.repeat,
        value=reading.value,
        unit=metric.unit if metric else "1",
        status=reading.status,
        reason=reading.reason,
        deviations=case.deviations,
        detail=reading.detail,
        code_sha256=case.code_sha256,
        torch=environment.torch,
        environment_id=environment.environment_id,
        machine=environment.machine,
        machine_name=environment.machine_name,
        weights_sha256=facts.weights_sha256 if facts else None,
    )
