"""What trainings cost as the table of the page: hours and money in the words of a cell, and the same as CSV.

Computes no cost: `costing.py` does.
"""

from collections.abc import Sequence
from typing import Any

from bench.cost import devices, money
from bench.records import written
from bench.report import costing
from bench.report.csv_text import csv_text
from bench.report.page import CostCell, CostTable
from bench.suite.schema import Suite
from bench.verdicts.selection import Selected


def cost_table(suite: Suite, rows: Sequence[Selected]) -> CostTable | None:
    """The suite's trainings by devices; None where nothing is known of any.

    Args:
        rows: those that speak for the suite.
    """
    bill = costing.bill(suite, rows)
    if not bill:
        return None
    records: list[dict[str, Any]] = [
        {"training": line.training, "known_from": line.way, "device": cell.device, "hours": cell.hours, "usd": cell.usd,
         "basis": cell.basis, "usd_basis": cell.usd_basis, "source": cell.source}
        for line in bill
        for cell in line.cells
        if cell
    ]  # fmt: skip
    trainings: dict[str, list[tuple[str, tuple[CostCell | None, ...]]]] = {}
    for line in bill:
        trainings.setdefault(line.training, []).append((line.way, tuple(_cell(cell) for cell in line.cells)))
    return CostTable(
        tuple(devices.DEVICES[name].title.removeprefix("NVIDIA ") for name in costing.SHOWN),
        tuple((training, tuple(ways)) for training, ways in trainings.items()),
        tuple(dict.fromkeys(f"{record['device'].upper()}: {record['source']}" for record in records)),
        csv_text(records),
    )


def _cell(found: money.Cost | None) -> CostCell | None:
    if found is None:
        return None
    price = "no price" if found.usd is None else f"${found.usd:,.2f}" if found.usd >= 0.01 else "under $0.01"
    basis = money.weaker(found.basis, *([found.usd_basis] if found.usd_basis else []))
    if found.basis == "predicted":
        basis = found.basis  # the hours are not assumed, whatever the price is
    return CostCell(written.span(found.hours), price, basis)
