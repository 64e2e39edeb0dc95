"""What a person sees in a terminal: the plan and tables. Measures and judges nothing.

Everything here goes to standard error, but for the tables somebody asked for.
"""

import json
import sys
from collections.abc import Hashable, Mapping, Sequence
from typing import TypeVar

from rich.console import Console
from rich.table import Table
from rich.text import Text

from bench.plan.case import Case
from bench.plan.forecast import ELSEWHERE, Expected, elsewhere, expected, span, total, usd
from bench.records.written import duration

Key = TypeVar("Key", bound=Hashable)  # a column's name: a text, but to pandas whatever has a hash

# rich reads NO_COLOR and FORCE_COLOR itself, and drops colours and boxes of bars when the stream is no terminal.
say = Console(stderr=True, highlight=False, width=None if sys.stderr.isatty() else 10_000)
# A pipe has no width: nothing that a program reads is cut.
answer = Console(highlight=False, width=None if sys.stdout.isatty() else 10_000)


def show_plan(
    cases: Sequence[Case],
    skipped: Mapping[str, str],
    device_name: str,
    cores: int,
    again: Mapping[str, str] | None = None,
) -> None:
    """The cases by name with their expected time, those that are skipped or measured again with a word why, the sum."""
    if not cases:
        say.print("nothing to measure: what is claimed is worked out from published numbers")
        return
    again = again or {}
    table = Table(box=None, pad_edge=False, show_header=True, header_style="bold")
    table.add_column("case")
    table.add_column("expected", justify="right")
    for case in cases:
        # Text, not markup: a name from a suite may hold brackets.
        note = skipped.get(case.id) or _length(expected(case, cores, device_name))
        note += ", again" if case.id in again else ""
        table.add_row(Text(case.name, style="dim" if case.id in skipped else ""), Text(note))
    say.print(table)
    for why, names in _by_reason(cases, again).items():
        say.print(Text(f"again: {', '.join(names)}: {why}"), soft_wrap=True)
    todo = [case for case in cases if case.id not in skipped]
    whole, unknown = span(todo, cores, device_name), total(todo, cores, device_name)[1]
    price = usd(whole.seconds, device_name)
    more = f" and {unknown} of unknown length" if unknown else ""
    money = f", about ${price:,.2f}" if price is not None else ""
    ends = f" ({duration(whole.low)} to {duration(whole.high)})" if whole.seconds >= LONG_S else ""
    say.print(
        Text(
            f"{len(todo)} of {len(cases)} cases to measure on {device_name}: "
            f"about {duration(whole.seconds)}{ends}{more}{money}{_elsewhere(todo)}"
        )
    )


LONG_S = 120.0  # from which on a plan says between what the time will lie


def _length(found: Expected | None) -> str:
    return duration(found.seconds if found else None)


def _elsewhere(cases: Sequence[Case]) -> str:
    """What the trainings would take on a card that can be rented, where their models were traced."""
    there = [found for case in cases if (found := elsewhere(case))]
    if not there:
        return ""
    took = sum(found.seconds for found in there)
    price = usd(took, ELSEWHERE)
    which = "the training" if len(there) == 1 else f"{len(there)} trainings"
    money = f", ${price:,.2f}" if price is not None else ""
    return f"; {which} on a {ELSEWHERE.upper()}: about {duration(took)}{money} (predicted)"


def _by_reason(cases: Sequence[Case], again: Mapping[str, str]) -> dict[str, list[str]]:
    """Why cases are measured again, each reason once: reason -> their names."""
    found: dict[str, list[str]] = {}
    for case in cases:
        if case.id in again:
            found.setdefault(again[case.id], []).append(case.name)
    return found


def say_lines(lines: Sequence[str]) -> None:
    """Plain lines on standard error, whatever brackets they have."""
    for line in lines:
        say.print(Text(line), soft_wrap=True)


def table(rows: Sequence[Mapping[Key, object]], as_json: bool) -> None:
    """A list of mappings to standard output: aligned columns, or JSON for a program."""
    if as_json:
        print(json.dumps(list(rows), indent=2, ensure_ascii=False, default=str))
        return
    if not rows:
        say.print("nothing to list")
        return
    shown = Table(box=None, pad_edge=False, header_style="bold")
    for key in rows[0]:
        shown.add_column(str(key))
    for row in rows:
        shown.add_row(*(Text("" if value is None else str(value)) for value in row.values()))
    answer.print(shown)


def tables(several: Sequence[Sequence[Mapping[Key, object]]]) -> None:
    """Tables one below the other, with a blank line between; one without rows is left out."""
    for number, rows in enumerate(filter(None, several)):
        if number:
            answer.print()
        table(rows, as_json=False)
