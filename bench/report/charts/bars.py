"""Bars of counted parameters and ratios of time, set like a table: one row per claim or model.

Computes no statistic of its own (intervals are `stats.py`'s) and draws nothing for which there is no row.
"""

import math
import textwrap
from collections.abc import Hashable, Mapping, Sequence
from itertools import permutations
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from bench.report.charts.figure import Absent, Figure
from bench.report.charts.frames import drawn_models
from bench.report.charts.palette import FONT, INK, LINE, MUTED, PUBLISHED, SERIES, SMALL, SURFACE
from bench.report.charts.superlatives import leading
from bench.report.charts.svg import colours_of, finish, sheet, styled, tip
from bench.statistics import intervals
from bench.suite import expression
from bench.suite.schema import Suite
from bench.verdicts import CheckVerdict, Verdict
from bench.verdicts.bands import plural
from bench.verdicts.selection import Selected, fullest, grouped, of

_LEFT, _RIGHT = 210.0, 690.0  # px; names stand to the left, numbers to the right
_NUMBERS = _RIGHT + 24
_COUNTED = SERIES["slate"][0]


@styled
def counted(name: str, suite: Suite, verdicts: Sequence[Verdict]) -> Figure | Absent:
    """Every recount of parameters as a bar on one scale; two that the suite relates are subtracted."""
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
    points = {claim: check.measured.point for claim, check in reversed(found) if check.measured}
    fewer = _fewer(suite, points)
    most = max(check.measured.point for _, check in found if check.measured)
    for number, (claim, check) in enumerate(found):
        _count_bar(ax, claim, check, 20 + 56 * number, most, fewer.get(claim))
    table = pd.DataFrame([_count_record(claim, check) for claim, check in found])
    reading = _count_reading(points, fewer, found)
    note = "Bars start at zero and share one scale. Filled: counted here. Hollow diamond: published."
    return finish(figure, name, title, reading, f"Bar chart. {reading}", table, note)


@styled
def time_ratios(name: str, suite: Suite, rows: Sequence[Selected]) -> Figure | Absent:
    """How many times as long a model takes as the one it was measured beside."""
    title = "Time, side by side"
    found = fullest([each for each in of(rows, "time_ratio") if each.finite])
    if not found:
        return Absent(name, title, "No two models were timed side by side.", "side_by_side")
    table = _ratios(suite, found)
    figure, ax = sheet(24 + 40 * len(table) + 44)
    ends = _ratio_range([*table["low"], *table["high"]])
    colours = colours_of(drawn_models(suite))
    for number, line in enumerate(table.to_dict("records")):
        _ratio_row(ax, line, colours[line["model"]], 24 + 40 * number, ends)
    _ratio_axis(ax, 24 + 40 * len(table), ends)
    first = leading(table.to_dict("records"), "ratio", "low", "high")
    slowest = first[0]
    reading = (
        f"{slowest['label']} takes {slowest['ratio']:.3f} times as long as {slowest['versus']} "
        f"at batch {slowest['batch_size']}"
    )
    reading += f", the largest ratio of {len(table)}." if len(first) == 1 < len(table) else "."
    note = (
        f"Blocks of the two models alternate in one process on {found[0].row.device_name}; the line is the 95 % "
        "interval of the median block. The axis does not start at zero; 1 is drawn."
    )
    return finish(figure, name, title, reading, f"Dot plot. {reading}", table, note)


# Counts


def _count_bar(ax: Axes, claim: str, check: CheckVerdict, top: float, largest: float, than: float | None) -> None:
    assert check.measured is not None
    for number, part in enumerate(textwrap.wrap(f"{claim}  {check.says}", 42, max_lines=2, placeholder=" …")):
        ax.text(0, top + 10 + 17 * number, part, size=FONT, color=INK)
    left, span = 350.0, 340.0
    value = check.measured.point
    end = left + span * value / largest
    tip([ax.fill_between([left, end], top, top + 22, color=_COUNTED, lw=0)], f"{claim}: {value:,.0f} parameters")
    if check.published is not None:
        at = left + span * check.published / largest
        ax.plot([at], [top + 11], "D", ms=9, mfc=SURFACE, mec=PUBLISHED, mew=1.8)
    ax.text(_NUMBERS, top + 10, f"{value:,.0f}", size=FONT, color=INK, weight="bold")
    if than is not None and value < than:
        less = than - value
        ax.plot([end, left + span * than / largest], [top + 11] * 2, color=LINE, lw=1.2, ls=":")
        text = f"= {than:,.0f} − {less:,.0f}"
        if than < 1e6:  # longer numbers leave no room for it
            text += f"  ({100 * less / than:.1f} % fewer)"
        ax.text(_NUMBERS, top + 27, text, size=SMALL, color=MUTED)


def _count_record(claim: str, check: CheckVerdict) -> dict[str, object]:
    counted = check.measured.point if check.measured else None
    published = check.published
    return {"claim": claim, "says": check.says, "published": published, "counted": counted, "verdict": check.verdict}


def _fewer(suite: Suite, points: Mapping[str, float]) -> dict[str, float]:
    """Claim -> the larger count that the suite itself sets it against, in an expression that names both."""
    expressions = [
        set(expression.names(text))
        for claim in suite.claims.values()
        for check in claim.checks
        for text in (check.follows, check.measured)
        if text
    ]
    names = {claim: set(expression.names(str(suite.claims[claim].measured))) for claim in points}
    found: dict[str, float] = {}
    for small, large in permutations(points, 2):
        both = names[small] | names[large]
        apart = names[small].isdisjoint(names[large])
        related = any({small, large} <= each or (apart and both <= each) for each in expressions)
        if related and points[small] < points[large]:
            found[small] = max(points[large], found.get(small, 0.0))
    return found


def _count_reading(
    points: Mapping[str, float], fewer: Mapping[str, float], found: Sequence[tuple[str, CheckVerdict]]
) -> str:
    if fewer:
        claim = next(iter(sorted(fewer, key=lambda each: points[each] / fewer[each])))
        most, least = fewer[claim], points[claim]
        return (
            f"{most:,.0f} − {most - least:,.0f} = {least:,.0f}: {100 * (most - least) / most:.1f} % fewer parameters."
        )
    if len(found) == 1:
        return f"{points[found[0][0]]:,.0f} parameters were counted."
    counts = [(check.measured.point, check.published) for _, check in found if check.measured]
    same = sum(point == published for point, published in counts)
    return f"{plural(len(found), 'number')} of parameters counted again, {same} of them exactly as published."


# Ratios


def _ratios(suite: Suite, rows: Sequence[Selected]) -> pd.DataFrame:
    table = []
    keys = grouped(rows, lambda each: (each.case.measure_key, each.case.model, each.case.batch_size))
    for (measure, model, batch_size), part in keys.items():
        values = [each.value for each in part]
        interval = intervals.median_interval(values)
        versus = suite.measures[measure].versus
        table.append(
            {
                "model": model,
                "label": suite.models[model].label,
                "versus": suite.models[versus].label if versus else "its partner",
                "batch_size": batch_size,
                "ratio": interval.point,
                "low": interval.low if interval.bounded else min(values),
                "high": interval.high if interval.bounded else max(values),
                "blocks": interval.n,
            }
        )
    return pd.DataFrame(table)


def _ratio_range(values: Sequence[float]) -> tuple[float, float]:
    """Whole tenths that hold all values and 1."""
    return math.floor(10 * min(1.0, *values) - 0.2) / 10, math.ceil(10 * max(1.0, *values) + 0.2) / 10


def _ratio_px(value: float, ends: tuple[float, float]) -> float:
    return _LEFT + (value - ends[0]) / (ends[1] - ends[0]) * (_RIGHT - _LEFT)


def _ratio_row(ax: Axes, line: Mapping[Hashable, Any], colour: str, top: float, ends: tuple[float, float]) -> None:
    y = top + 12
    ax.text(0, y + 4, line["label"], size=FONT, color=INK)
    ax.text(_LEFT - 16, y + 4, f"batch {line['batch_size']}", size=SMALL, color=MUTED, ha="right")
    ax.plot([_ratio_px(line[end], ends) for end in ("low", "high")], [y, y], color=colour, lw=2.4)
    digits = 3 if line["high"] < 10 else 1
    ratio, low, high = (f"{line[key]:.{digits}f}" for key in ("ratio", "low", "high"))
    told = f"{line['label']}, batch {line['batch_size']}: {ratio} × ({low} to {high}), {line['blocks']} blocks"
    tip(ax.plot([_ratio_px(line["ratio"], ends)], [y], "o", ms=8, color=colour, mew=0), told)
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
