"""The logs behind a check: of each command that was run for it the newest, its name in the store and its last lines.

Opens no file: a row carries the end of its log.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass

from bench.plan.case import Case
from bench.suite.command import SECONDS
from bench.verdicts.ledger import Ledger, Row


@dataclass(frozen=True)
class Log:
    """The end of what a command printed. `name` is below the store's folder."""

    case: str
    run_id: str
    status: str
    name: str
    tail: str


def logs_of(ledger: Ledger, cases: Iterable[Case]) -> tuple[Log, ...]:
    """One for each case that was ever run, in the order of the cases."""
    found = []
    for case in cases:
        rows = _rows(ledger, case.id) if case.measure == "command" else []
        if rows:
            newest = max(rows, key=lambda row: (row.started_at, row.run_id))
            told = json.loads(str(newest.detail))
            found.append(Log(case.name, newest.run_id, newest.status, str(told["log"]), str(told["tail"])))
    return tuple(found)


def _rows(ledger: Ledger, case_id: str) -> list[Row]:
    good = (row for rows in ledger.usable.get((case_id, SECONDS, None), {}).values() for row in rows)
    return [row for row in (*good, *ledger.refused.get(case_id, ())) if row.metric == SECONDS and row.detail]
