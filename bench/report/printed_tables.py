"""A table as its source prints it, each published number beside the one that comes out here, marked by its verdict.

Judges nothing: the words are those of the claims; hours and prices of a training counted in full are `costing.py`'s.
"""

from collections.abc import Sequence

from bench.cost import money
from bench.records import written
from bench.report import costing
from bench.report.page import BesideCell, BesideTable, ClaimRow, Link
from bench.suite.exhibits import Column, Printed, PrintedRow
from bench.suite.references import reference
from bench.suite.schema import Suite
from bench.verdicts.selection import Selected


def tables(suite: Suite, rows: Sequence[Selected], claims: Sequence[ClaimRow]) -> tuple[BesideTable, ...]:
    """The suite's tables.

    Args:
        rows: those that speak for the suite.
        claims: the rows of the claim table, whose numbers and words are shown again.
    """
    known = {claim.claim: claim for claim in claims}
    return tuple(_table(suite, table, rows, known) for table in suite.tables.values())


def _table(suite: Suite, table: Printed, rows: Sequence[Selected], claims: dict[str, ClaimRow]) -> BesideTable:
    groups: dict[str, list[tuple[str, tuple[BesideCell | None, ...]]]] = {}
    for row in table.rows:
        cells = _counted(suite, table.columns, row.training, rows) if row.training else _cells(table, row, claims)
        groups.setdefault(row.group, []).append((row.label, cells))
    return BesideTable(
        title=table.title,
        place=f"{suite.sources[table.source].title}, {table.where}",
        note=table.note,
        columns=tuple(column.label for column in table.columns),
        groups=tuple((group, tuple(lines)) for group, lines in groups.items()),
    )


def _cells(table: Printed, row: PrintedRow, claims: dict[str, ClaimRow]) -> tuple[BesideCell | None, ...]:
    given = [*row.checks, *[""] * (len(table.columns) - len(row.checks))]
    return tuple(_cell(text, claims) if text else None for text in given)


def _cell(text: str, claims: dict[str, ClaimRow]) -> BesideCell:
    key, number = reference(text)
    claim = claims[key]
    check = claim.checks[number]
    published, rebuilt = (None if each is None else str(each) for each in (check.published, check.measured))
    return BesideCell(published, rebuilt, check.word, Link(claim.claim, claim.anchor))


def _counted(
    suite: Suite, columns: Sequence[Column], training: str, rows: Sequence[Selected]
) -> tuple[BesideCell | None, ...]:
    """FLOPs where no device is named; hours and dollars where one is. Empty as long as nothing was counted."""
    flops = costing.counted_flops(suite.costs[training], rows)
    if flops is None:
        return (None,) * len(columns)
    return tuple(
        BesideCell(None, _spent(money.cost_of(flops, column.device)), None, None)
        if column.device
        else BesideCell(None, written.quantity(flops, "flops"), None, None)
        for column in columns
    )


def _spent(found: money.Cost) -> str:
    hours = written.quantity(found.hours, "h")
    return hours if found.usd is None else f"{hours}, {written.quantity(found.usd, 'usd')}"
