"""What a quantity is in one run, by the rows of that run: a number, a curve, or the blocks of a clock.

Chooses no run and judges nothing.
"""

import math
from collections.abc import Mapping

from bench.records.metrics import METRICS
from bench.statistics import intervals
from bench.suite.schema import Quantity
from bench.verdicts.ledger import Row

# A number, a curve over epochs, or the blocks of a clock by repeat.
Value = float | tuple[float, ...] | dict[int, float]


def _chosen(quantity: Quantity, rows: list[Row]) -> list[Row]:
    """The rows that `at` selects, in the order of their epochs; all of them when they have none."""
    by_epoch = {row.epoch: row for row in rows if row.epoch is not None}
    if not by_epoch:
        return rows
    ordered = [by_epoch[epoch] for epoch in sorted(by_epoch)]
    if quantity.at == "last":
        return ordered[-1:]
    if isinstance(quantity.at, list):
        return [row for row in ordered if row.epoch is not None and quantity.at[0] <= row.epoch <= quantity.at[1]]
    return ordered


def value_of(quantity: Quantity, rows: list[Row]) -> Value:
    """What a quantity is in one run: a number, a curve over epochs, or the blocks of a clock by repeat."""
    chosen = _chosen(quantity, rows)
    values = tuple(float(row.value) for row in chosen if row.value is not None)
    if chosen[0].epoch is not None and quantity.at == "best":
        return min(values) if METRICS[chosen[0].metric].better == "lower" else max(values)
    if chosen[0].epoch is not None and quantity.at != "last":
        return values
    if chosen[0].repeat is not None:
        return {row.repeat: float(row.value) for row in chosen if row.repeat is not None and row.value is not None}
    return values[-1]


def middle(value: Value) -> float | tuple[float, ...]:
    """The value with blocks replaced by their median."""
    return intervals.median(list(value.values())) if isinstance(value, dict) else value


def not_finite(quantity: Quantity, rows: list[Row]) -> list[str]:
    """The first chosen value that is NaN or infinite, in words; it is never averaged away."""
    for row in _chosen(quantity, rows):
        if row.value is None or not math.isfinite(row.value):
            at = "" if row.epoch is None else f" at epoch {row.epoch:.0f}"
            seed = "" if row.seed is None else f" (seed {row.seed:.0f})"
            why = f": {row.reason}" if row.reason else ""
            return [f"{row.metric} of {row.model} is {'NaN' if row.value is None else row.value}{at}{seed}{why}"]
    return []


def right_images(rows: Mapping[int | None, list[Row]]) -> dict[int, str]:
    """Seed by seed, which test images were right after the last epoch, where the rows say so."""
    told = {seed: [row.detail for row in found if row.detail] for seed, found in rows.items() if seed is not None}
    return {seed: details[-1] for seed, details in told.items() if details}
