"""The rows that speak for a suite, chosen once: verdicts, tables, figures and costs all stand on the same ones.

Computes nothing and judges nothing. Whoever shows a number takes it from here; nobody has a rule of its own.
"""

import hashlib
import json
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import pandas

from bench.plan.case import Case
from bench.plan.planner import selected_by
from bench.suite import expression
from bench.suite.schema import Quantity, Suite
from bench.verdicts.ledger import (
    FAILURES,
    Ledger,
    PlannedSetting,
    Row,
    deciding_seeds,
    is_clocked,
    is_learned,
    unseeded,
)
from bench.verdicts.uncertainty import seeds_needed

Key = TypeVar("Key")


@dataclass(frozen=True)
class Selected:
    """One row that speaks, and what it was measured for: the case, and the settings that plan it.

    The settings are full ones where any plans the case, for the same question has the same answer under a reduced one.
    """

    row: Row
    case: Case
    settings: tuple[PlannedSetting, ...]

    @property
    def value(self) -> float:
        """The value; NaN where there is none."""
        return math.nan if self.row.value is None else float(self.row.value)

    @property
    def finite(self) -> bool:
        """Whether the value is a number: what is NaN or infinite has no place in a mean or a bar."""
        return math.isfinite(self.value)

    @property
    def reduced(self) -> bool:
        """Whether only a reduced profile plans it."""
        return self.settings[0].reduced


@dataclass(frozen=True)
class Failure:
    """A case whose newest run gave no value."""

    case: str
    run_id: str
    words: str  # `failed: out of memory`


@dataclass(frozen=True)
class Selection:
    """The rows of a suite that speak, in the order of its plan, and the cases whose newest run failed."""

    rows: tuple[Selected, ...]
    failures: tuple[Failure, ...]


def selected(suite: Suite, suite_sha256: str, frame: pandas.DataFrame) -> Selection:
    """Of every planned case and metric the newest run that has all it needs, as verdicts take it; of a clock on each
    machine.

    Seeds beyond those that decide are left out, except under a reduced profile, which decides nothing.

    Args:
        frame: columns of `Measurement`, of any suites and runs.
    """
    ledger = Ledger(suite, suite_sha256, frame, every_metric=True)
    cases: dict[str, tuple[Case, list[PlannedSetting]]] = {}
    for setting in sorted(ledger.settings, key=lambda each: each.reduced):  # stable: full ones first
        for case in _speaking(suite, setting):
            _, settings = cases.setdefault(setting.ids[case.name], (case, []))
            if not settings or settings[0].reduced == setting.reduced:
                settings.append(setting)
    series = _series(ledger)
    rows = [
        Selected(row, case, tuple(settings))
        for case_id, (case, settings) in cases.items()
        for metric, part in series.get(case_id, ())
        for view in ([ledger.on(machine) for machine in ledger.clocked] if is_clocked(metric) else [ledger])
        for row in _newest(view, case, case_id, metric, part)
    ]
    failures = (_failure(ledger, case_id, case) for case_id, (case, _) in cases.items())
    return Selection(tuple(rows), tuple(filter(None, failures)))


def of(rows: Iterable[Selected], *metrics: str) -> list[Selected]:
    """The rows of some metrics."""
    return [each for each in rows if each.row.metric in metrics]


def fullest(rows: Sequence[Selected]) -> list[Selected]:
    """The rows of one profile on one device, as a verdict chooses: full before reduced, then most seeds, then CUDA.

    Of clocks those of one machine: the one with the most seeds, then the most cases.
    """
    known = [each for each in rows if not each.reduced] or list(rows)
    settings = {(s.profile, s.device): s for each in known for s in each.settings}
    if not settings:
        return []
    parts = [_of_one_machine([each for each in known if setting in each.settings]) for setting in settings.values()]
    return max(parts, key=lambda part: len({each.case.seed for each in part}))


def _of_one_machine(rows: Sequence[Selected]) -> list[Selected]:
    """The rows without the clocks of all machines but one, whichever were measured last."""
    parts = grouped((each for each in rows if is_clocked(each.row.metric)), lambda each: str(each.row.machine))
    if len(parts) < 2:
        return list(rows)

    def size(key: str) -> tuple[int, int]:
        return len({each.case.seed for each in parts[key]}), len({each.case.name for each in parts[key]})

    chosen = max(sorted(parts), key=size)
    return [each for each in rows if not is_clocked(each.row.metric) or each.row.machine == chosen]


def together(rows: Sequence[Selected]) -> list[Selected]:
    """The rows of the one run that timed most models, the newest of several: clocks of two runs stand apart."""
    runs = grouped(rows, lambda each: each.row.run_id)
    rank = {run: (len({each.row.model for each in part}), part[0].row.started_at) for run, part in runs.items()}
    return runs[max(runs, key=lambda run: rank[run])] if runs else []


def grouped(rows: Iterable[Selected], key: Callable[[Selected], Key]) -> dict[Key, list[Selected]]:
    """The rows by what they share, in the order in which it is met."""
    found: dict[Key, list[Selected]] = {}
    for each in rows:
        found.setdefault(key(each), []).append(each)
    return found


def newest(rows: Iterable[Selected]) -> Selected | None:
    """The row that was measured last."""
    return max(rows, key=lambda each: (each.row.started_at, each.row.run_id), default=None)


def digest(rows: Iterable[Selected]) -> str:
    """SHA-256 of the rows as JSON lines, sorted, so that it depends on nothing but what they say."""
    lines = sorted({json.dumps(each.row, default=str, ensure_ascii=False) for each in rows})
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _speaking(suite: Suite, setting: PlannedSetting) -> Iterator[Case]:
    """The cases of a setting without those of seeds that decide nothing."""
    every = [case for cases in setting.cases.values() for case in cases]
    needed = {} if setting.reduced else _needed(suite, every)
    families: dict[str, dict[int | None, Case]] = {}
    for case in every:
        families.setdefault(unseeded(case), {})[case.seed] = case
    for name, family in families.items():
        asked = None if setting.reduced else needed.get(name, 0)
        deciding = {None, *deciding_seeds([family], setting, asked)}
        yield from (case for seed, case in family.items() if seed in deciding)


def _needed(suite: Suite, cases: Sequence[Case]) -> dict[str, int]:
    """Name of a case without its seed -> how many seeds the checks on it need."""
    found: dict[str, int] = {}
    for check in (check for claim in suite.claims.values() for check in claim.checks if check.measured):
        asked = [suite.quantities[name] for name in expression.names(str(check.measured)) if name in suite.quantities]
        count = seeds_needed(check, any(is_learned(quantity.metric) for quantity in asked))
        for case in (case for quantity in asked if quantity.metric for case in selected_by(quantity, cases)):
            found[unseeded(case)] = max(found.get(unseeded(case), 0), count)
    return found


def _series(ledger: Ledger) -> dict[str, list[tuple[str, str | None]]]:
    """Case -> the metrics and parts that have rows of it."""
    found: dict[str, list[tuple[str, str | None]]] = {}
    for case_id, metric, part in ledger.usable:
        found.setdefault(case_id, []).append((metric, part))
    return {case_id: sorted(each, key=lambda pair: (pair[0], pair[1] or "")) for case_id, each in found.items()}


def _newest(ledger: Ledger, case: Case, case_id: str, metric: str, part: str | None) -> list[Row]:
    """The rows of the newest run that is whole for every quantity on them, in the order of their epochs and repeats."""
    asking = [q for q in ledger.suite.quantities.values() if q.metric == metric and q.part == part]
    asking = [quantity for quantity in asking if selected_by(quantity, [case])]
    runs = ledger.usable.get((case_id, metric, part), {})
    for quantity in asking or [Quantity(metric=metric, part=part)]:
        whole = ledger.whole(case, case_id, quantity)
        runs = {run: rows for run, rows in runs.items() if run in whole}
    return sorted(next(iter(runs.values()), []), key=lambda row: (row.epoch or 0, row.repeat or 0))


def _failure(ledger: Ledger, case_id: str, case: Case) -> Failure | None:
    """Why the newest run of a case gave no value; None where it gave one, or the case was only skipped."""
    bad = next((row for row in ledger.refused.get(case_id, []) if row.status in FAILURES), None)
    if bad is None:
        return None
    valued = ((rows[0].started_at, run) for run, rows in _runs(ledger, case_id))
    if any(each > (bad.started_at, bad.run_id) for each in valued):
        return None
    word, reason = FAILURES[bad.status], bad.reason or "no reason given"
    return Failure(case.name, bad.run_id, reason if reason.startswith(word) else f"{word}: {reason}")


def _runs(ledger: Ledger, case_id: str) -> Iterator[tuple[str, list[Row]]]:
    for (known, _, _), runs in ledger.usable.items():
        if known == case_id:
            yield from runs.items()
