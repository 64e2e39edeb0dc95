"""Bars of counted parameters and ratios of time, set like a table: one row per claim or model.

Computes no statistic of its own (intervals are `stats.py`'s) and draws nothing for which there is no row.
"""

import math
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from bench.report.charts.frames import drawn_models, finite, fullest
from bench.report.charts.palette import FONT, INK, LINE, MUTED, PUBLISHED, SERIES, SMALL, SURFACE
from bench.report.charts.svg import Absent, Figure, colours_of, finish, sheet, styled
from bench.statistics import intervals
from bench.suite.schema import Suite
from bench.verdicts import CheckVerdict, Verdict

_LEFT, _RIGHT = 210.0, 690.0  # px; names stand to the left, numbers to the right
_NUMBERS = _RIGHT + 24
_COUNTED = SERIES["slate"][0]


@styled
def counted(name: str, verdicts: Sequence[Verdict]) -> Figure | Absent:
    """Every recount of parameters as a bar on one scale; what is below the largest is written as a subtraction."""
    title = "Parameters, recounted"
    found = [
        (verdict.claim, check)
        for verdict in verdicts
        for check in verdict.checks
        if check.unit == "parameters" and check.kind == "recount" and check.measured
    ]
    if not found:
        return Absent(name, title, "No parameters were counted.", "static")
    figure, ax = sheet(20 + 56 * len(found) + 8)
    points = [check.measured.point for _, check in found if check.measured]
    for number, (claim, check) in enumerate(found):
        _count_bar(ax, claim, check, 20 + 56 * number, max(points), subtract=len(found) <= 4)
    table = pd.DataFrame([_count_record(claim, check) for claim, check in found])
    reading = _count_reading(points)
    note = "Bars start at zero and share one scale. Filled: counted here. Hollow diamond: published."
    return finish(figure, name, title, reading, f"Bar chart. {reading}", table, note)


@styled
def time_ratios(name: str, suite: Suite, rows: pd.DataFrame) -> Figure | Absent:
    """How many times as long a model takes as the one it was measured beside."""
    title = "Time, side by side"
    rows = finite(rows)
    found = fullest(rows[rows["metric"] == "time_ratio"])
    if found.empty:
        return Absent(name, title, "No two models were timed side by side.", "side_by_side")
    table = _ratios(suite, found)
    figure, ax = sheet(24 + 40 * len(table) + 44)
    ends = _ratio_range([*table["low"], *table["high"]])
    colours = colours_of(drawn_models(suite))
    for number, line in enumerate(table.to_dict("records")):
        _ratio_row(ax, line, colours[line["model"]], 24 + 40 * number, ends)
    _ratio_axis(ax, 24 + 40 * len(table), ends)
    slowest = table.loc[table["ratio"].idxmax()]
    reading = (
        f"{slowest['label']} takes {slowest['ratio']:.3f} times as long as {slowest['versus']} "
        f"at batch {slowest['batch_size']}, the largest ratio of {len(table)}."
    )
    note = (
        f"Blocks of the two models alternate in one process on {found['device_name'].iloc[0]}; the line is the 95 % "
        "interval of the median block. The axis does not start at zero; 1 is drawn."
    )
    return finish(figure, name, title, reading, f"Dot plot. {reading}", table, note)


# Counts


def _count_bar(ax: Axes, claim: str, check: CheckVerdict, top: float, largest: float, subtract: bool) -> None:
    assert check.measured is not None
    for number, part in enumerate(textwrap.wrap(f"{claim}  {check.says}", 42, max_lines=2, placeholder=" …")):
        ax.text(0, top + 10 + 17 * number, part, size=FONT, color=INK)
    left, span = 350.0, 340.0
    value = check.measured.point
    end = left + span * value / largest
    ax.fill_between([left, end], top, top + 22, color=_COUNTED, lw=0)
    if check.published is not None:
        at = left + span * check.published / largest
        ax.plot([at], [top + 11], "D", ms=9, mfc=SURFACE, mec=PUBLISHED, mew=1.8)
    ax.text(_NUMBERS, top + 10, f"{value:,.0f}", size=FONT, color=INK, weight="bold")
    if subtract and value < largest:
        less = largest - value
        ax.plot([end, left + span], [top + 11] * 2, color=LINE, lw=1.2, ls=":")
        text = f"= {largest:,.0f} − {less:,.0f}"
        if largest < 1e6:  # longer numbers leave no room for it
            text += f"  ({100 * less / largest:.1f} % fewer)"
        ax.text(_NUMBERS, top + 27, text, size=SMALL, color=MUTED)


def _count_record(claim: str, check: CheckVerdict) -> dict[str, object]:
    counted = check.measured.point if check.measured else None
    published = check.published
    return {"claim": claim, "says": check.says, "published": published, "counted": counted, "verdict": check.verdict}


def _count_reading(points: Sequence[float]) -> str:
    most, least = max(points), min(points)
    if most == least:
        return f"{most:,.0f} parameters were counted."
    return f"{most:,.0f} − {most - least:,.0f} = {least:,.0f}: {100 * (most - least) / most:.1f} % fewer parameters."


# Ratios


def _ratios(suite: Suite, rows: pd.DataFrame) -> pd.DataFrame:
    table = []
    for (measure, model, batch_size), part in rows.groupby(["measure_key", "model", "batch_size"], sort=False):
        interval = intervals.median_interval([float(value) for value in part["value"]])
        versus = suite.measures[str(measure)].versus
        table.append(
            {
                "model": model,
                "label": suite.models[str(model)].label,
                "versus": suite.models[versus].label if versus else "its partner",
                "batch_size": int(batch_size),
                "ratio": interval.point,
                "low": interval.low if interval.bounded else float(part["value"].min()),
                "high": interval.high if interval.bounded else float(part["value"].max()),
                "blocks": interval.n,
            }
        )
    return pd.DataFrame(table)


def _ratio_range(values: Sequence[float]) -> tuple[float, float]:
    """Whole tenths that hold all values and 1."""
    return math.floor(10 * min(1.0, *values) - 0.2) / 10, math.ceil(10 * max(1.0, *values) + 0.2) / 10


def _ratio_px(value: float, ends: tuple[float, float]) -> float:
    return _LEFT + (value - ends[0]) / (ends[1] - ends[0]) * (_RIGHT - _LEFT)


def _ratio_row(ax: Axes, line: Mapping[str, Any], colour: str, top: float, ends: tuple[float, float]) -> None:
    y = top + 12
    ax.text(0, y + 4, line["label"], size=FONT, color=INK)
    ax.text(_LEFT - 16, y + 4, f"batch {line['batch_size']}", size=SMALL, color=MUTED, ha="right")
    ax.plot([_ratio_px(line[end], ends) for end in ("low", "high")], [y, y], color=colour, lw=2.4)
    ax.plot([_ratio_px(line["ratio"], ends)], [y], "o", ms=8, color=colour, mew=0)
    digits = 3 if line["high"] < 10 else 1
    ratio, low, high = (f"{line[key]:.{digits}f}" for key in ("ratio", "low", "high"))
    ax.text(_NUMBERS, y + 4, f"{ratio} ×", size=FONT, color=INK, weight="bold")
    ax.text(_NUMBERS + 76, y + 4, f"{low} to {high}", size=SMALL, color=MUTED)


def _ratio_axis(ax: Axes, top: float, ends: tuple[float, float]) -> None:
    ax.plot([_LEFT, _RIGHT], [top] * 2, color=LINE, lw=1)
    ax.plot([_ratio_px(1.0, ends)] * 2, [8, top], color=MUTED, lw=1)
    ticks = [tick for tick in MaxNLocator(6).tick_values(*ends) if ends[0] <= tick <= ends[1]]
    step = ticks[1] - ticks[0]
    shown = [1.0, *(tick for tick in ticks if abs(tick - 1.0) > step / 2)]
    for tick in shown:
        ax.plot([_ratio_px(tick, ends)] * 2, [top, top + 4], color=LINE, lw=1)
        ax.text(_ratio_px(tick, ends), top + 20, f"{tick:g} ×", size=SMALL, color=MUTED, ha="center")
