"""Figures set like a table, one row per model or claim: accuracy bars, counted parameters, time ratios.

Computes no statistic of its own (means and intervals are `stats.py`'s) and draws nothing for which there is no row.
"""

import math
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
from matplotlib.axes import Axes

from bench import stats
from bench.figures import (
    FONT,
    INK,
    LINE,
    MUTED,
    PUBLISHED,
    SERIES,
    SMALL,
    SURFACE,
    Absent,
    Figure,
    colours_of,
    finish,
    sheet,
    styled,
)
from bench.frames import fullest, published_of
from bench.spec import Suite
from bench.verdicts import CheckVerdict, Verdict

_LEFT, _RIGHT = 210.0, 690.0  # px; names stand to the left, numbers to the right
_NUMBERS = _RIGHT + 24
_COUNTED = SERIES["slate"][0]


@styled
def accuracy_bars(name: str, suite: Suite, rows: pd.DataFrame) -> Figure | Absent:
    """Test accuracy per model with the published value as a hollow marker and the test set's resolution as whiskers.

    Args:
        rows: as `frames.named` gives them.
    """
    title = "Test accuracy"
    found = fullest(rows[(rows["metric"] == "test_top1_pct") & rows["epoch"].notna()])
    if found.empty:
        return Absent(name, title, "No model was trained.", "accuracy")
    table = _accuracies(suite, found)
    panels = list(table.groupby("measure", sort=False))
    figure, ax = sheet(sum(46 + 46 * len(part) for _, part in panels) + 40)
    colours, top = colours_of(list(suite.models)), 0.0
    for _, part in panels:
        top = _accuracy_panel(ax, part, colours, top)
    _percent_axis(ax, top)
    reading = _accuracy_reading(table, bool(found["reduced"].any()))
    note = (
        "Bars start at zero. The whiskers are what the test set can resolve around one accuracy (Wilson, 95 %), dots "
        "are single seeds, the hollow diamond is the published value. " + _at_note(table)
    )
    return finish(figure, name, title, reading, f"Bar chart. {reading}", table.drop(columns="points"), note)


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
    found = fullest(rows[rows["metric"] == "time_ratio"])
    if found.empty:
        return Absent(name, title, "No two models were timed side by side.", "side_by_side")
    table = _ratios(suite, found)
    figure, ax = sheet(24 + 40 * len(table) + 44)
    ends = _ratio_range([*table["low"], *table["high"]])
    colours = colours_of(list(suite.models))
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


# Accuracy


def _accuracies(suite: Suite, rows: pd.DataFrame) -> pd.DataFrame:
    published = published_of(suite, "test_top1_pct")
    at = {q.model: q.at for q in suite.quantities.values() if q.metric == "test_top1_pct" and q.at in ("last", "best")}
    table = []
    for (measure, model), part in rows.groupby(["measure_key", "model"], sort=False):
        lasts = [float(seed.sort_values("epoch")["value"].iloc[-1]) for _, seed in part.groupby("case_id")]
        bests = [float(seed["value"].max()) for _, seed in part.groupby("case_id")]
        best = at.get(model) == "best"
        points = bests if best else lasts
        images, mean = int(part["n_test"].iloc[0]), stats.mean(points)
        whisker = stats.accuracy_interval(mean, images)
        claimed, claim = published.get((measure, model)) or published.get((None, model)) or (None, None)
        table.append(
            {
                "measure": _panel_title(suite, str(measure), part),
                "model": model,
                "label": suite.models[str(model)].label,
                "top1_pct": mean,
                "at": "best epoch" if best else "last epoch",
                "last_epoch_pct": stats.mean(lasts),
                "best_epoch_pct": stats.mean(bests),
                "low": whisker.low,
                "high": whisker.high,
                "seeds": len(points),
                "published_pct": claimed,
                "claim": claim,
                "points": points,
            }
        )
    return pd.DataFrame(table)


def _panel_title(suite: Suite, measure: str, part: pd.DataFrame) -> str:
    recipe = part["recipe_key"].iloc[0]
    used = [data.label for data in suite.datasets.values() if data.name == part["dataset"].iloc[0]]
    profile = f"profile {part['profile'].iloc[0]}"
    return ", ".join(filter(None, [*used[:1], suite.recipes[recipe].label if recipe in suite.recipes else "", profile]))


def _px(percent: float) -> float:
    return _LEFT + percent / 100 * (_RIGHT - _LEFT)


def _accuracy_panel(ax: Axes, part: pd.DataFrame, colours: Mapping[str, str], top: float) -> float:
    ax.text(0, top + 22, part["measure"].iloc[0], size=FONT, color=INK, weight="bold")
    y = top + 46
    for line in part.to_dict("records"):
        ax.fill_between([_LEFT, _px(line["top1_pct"])], y, y + 22, color=colours[line["model"]], lw=0)
        ax.plot([_px(line["low"]), _px(line["high"])], [y + 11] * 2, color=INK, lw=1.4)
        for end in (line["low"], line["high"]):
            ax.plot([_px(end)] * 2, [y + 7, y + 15], color=INK, lw=1.4)
        for point in line["points"] if len(line["points"]) > 1 else ():
            ax.plot([_px(point)], [y + 26], "o", ms=4, color=colours[line["model"]], mew=0)
        if not pd.isna(line["published_pct"]):
            ax.plot([_px(line["published_pct"])], [y + 11], "D", ms=9, mfc=SURFACE, mec=PUBLISHED, mew=1.8)
        ax.text(0, y + 16, line["label"], size=FONT, color=INK)
        half = (line["high"] - line["low"]) / 2
        ax.text(_NUMBERS, y + 10, f"{line['top1_pct']:.2f} % ± {half:.2f}", size=FONT, color=INK, weight="bold")
        ax.text(_NUMBERS, y + 27, _beside(line), size=SMALL, color=MUTED)
        y += 46
    return y


def _beside(line: Mapping[str, Any]) -> str:
    other = "last_epoch_pct" if line["at"] == "best epoch" else "best_epoch_pct"
    text = f"{other.split('_')[0]} epoch {line[other]:.2f} %"
    return text if pd.isna(line["published_pct"]) else f"{text}, published {line['published_pct']:.2f} %"


def _percent_axis(ax: Axes, top: float) -> None:
    ax.plot([_LEFT, _RIGHT], [top] * 2, color=LINE, lw=1)
    for percent in range(0, 101, 20):
        ax.plot([_px(percent)] * 2, [top, top + 4], color=LINE, lw=1)
        ax.text(_px(percent), top + 20, f"{percent} %", size=SMALL, color=MUTED, ha="center")


def _accuracy_reading(table: pd.DataFrame, reduced: bool) -> str:
    first = table[table["measure"] == table["measure"].iloc[0]]
    best, worst = first.loc[first["top1_pct"].idxmax()], first.loc[first["top1_pct"].idxmin()]
    seeds = int(first["seeds"].max())
    text = f"{best['label']} reaches {best['top1_pct']:.2f} %"
    if len(first) > 1:
        text += f", {worst['label']} {worst['top1_pct']:.2f} %"
    text += f" ({best['measure']}, {seeds} seed{'s' if seeds > 1 else ''})."
    return f"A reduced run, not comparable with the published values: {text}" if reduced else text


def _at_note(table: pd.DataFrame) -> str:
    if (table["at"] == "best epoch").any():
        return "The best epoch on the test set is shown, as the source reports it; the last epoch stands beside it."
    return "The last epoch is shown; the best one stands beside it."


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
        text = f"= {largest:,.0f} − {less:,.0f}  ({100 * less / largest:.1f} % fewer)"
        ax.text(_NUMBERS, top + 27, text, size=SMALL, color=MUTED)


def _count_record(claim: str, check: CheckVerdict) -> dict[str, object]:
    counted = check.measured.point if check.measured else None
    return {"claim": claim, "says": check.says, "published": check.published, "counted": counted, "verdict": check.verdict}


def _count_reading(points: Sequence[float]) -> str:
    most, least = max(points), min(points)
    if most == least:
        return f"{most:,.0f} parameters were counted."
    return f"{most:,.0f} − {most - least:,.0f} = {least:,.0f}: {100 * (most - least) / most:.1f} % fewer parameters."


# Ratios


def _ratios(suite: Suite, rows: pd.DataFrame) -> pd.DataFrame:
    table = []
    for (measure, model, batch_size), part in rows.groupby(["measure_key", "model", "batch_size"], sort=False):
        interval = stats.median_interval([float(value) for value in part["value"]])
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
    text = f"{line['ratio']:.3f} ×"
    ax.text(_NUMBERS, y + 4, text, size=FONT, color=INK, weight="bold")
    ax.text(_NUMBERS + 70, y + 4, f"{line['low']:.3f} to {line['high']:.3f}", size=SMALL, color=MUTED)


def _ratio_axis(ax: Axes, top: float, ends: tuple[float, float]) -> None:
    ax.plot([_LEFT, _RIGHT], [top] * 2, color=LINE, lw=1)
    ax.plot([_ratio_px(1.0, ends)] * 2, [8, top], color=MUTED, lw=1)
    step = max(1, round((ends[1] - ends[0]) * 10 / 6)) / 10
    ticks = sorted({1.0, *(ends[0] + step * i for i in range(int((ends[1] - ends[0]) / step) + 1))})
    shown = [tick for tick in ticks if tick == 1.0 or abs(tick - 1.0) > step / 2]
    for tick in shown:
        ax.plot([_ratio_px(tick, ends)] * 2, [top, top + 4], color=LINE, lw=1)
        ax.text(_ratio_px(tick, ends), top + 20, f"{tick:.1f} ×", size=SMALL, color=MUTED, ha="center")
