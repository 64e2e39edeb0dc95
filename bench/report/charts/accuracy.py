"""Accuracy bars: measured filled, published hollow, and around each what its test set can resolve.

Computes no statistic of its own (means and intervals are `stats.py`'s) and draws nothing for which there is no row.
"""

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import pandas as pd
from matplotlib.axes import Axes

from bench.report.charts.figure import Absent, Figure
from bench.report.charts.frames import drawn_models, published_of, training_title, trainings
from bench.report.charts.palette import FONT, INK, LINE, MUTED, PUBLISHED, SMALL, SURFACE
from bench.report.charts.svg import colours_of, finish, sheet, styled, tip
from bench.statistics import intervals
from bench.suite.schema import Suite
from bench.verdicts.bands import plural
from bench.verdicts.selection import Selected, fullest, grouped, of

_LEFT, _RIGHT = 210.0, 690.0  # px; names stand to the left, numbers to the right
_NUMBERS = _RIGHT + 24
_ROW = 48.0


@styled
def accuracy_bars(name: str, suite: Suite, rows: Sequence[Selected]) -> Figure | Absent:
    """Test accuracy per model with the published value as a hollow marker and the test set's resolution as whiskers.

    Args:
        rows: those that speak.
    """
    title = "Test accuracy"
    table = accuracies(suite, rows)
    if table.empty:
        return Absent(name, title, "No model was trained.", "accuracy")
    panels = list(table.groupby("panel", sort=False))
    figure, ax = sheet(sum(48 + _ROW * len(part) for _, part in panels) + 40)
    colours, top = colours_of(drawn_models(suite)), 0.0
    for _, part in panels:
        top = _accuracy_panel(ax, part, colours, top)
    _percent_axis(ax, top)
    reading = _accuracy_reading(table, bool(table["reduced"].any()))
    note = (
        "Bars start at zero. The whiskers are what the test set can resolve around one accuracy (Wilson, 95 %), dots "
        "below a bar are single seeds, the hollow diamond above it is the published value. " + _at_note(table)
    )
    return finish(
        figure, name, title, reading, f"Bar chart. {reading}", table.drop(columns=["points", "reduced"]), note
    )


def accuracies(suite: Suite, rows: Sequence[Selected]) -> pd.DataFrame:
    """One line per training and model: the accuracy as its source reports it (best or last epoch), and the other.

    A model with a seed whose accuracy is not a number has no line.
    """
    published = published_of(suite, "test_top1_pct")
    at = {q.model: q.at for q in suite.quantities.values() if q.metric == "test_top1_pct" and q.at in ("last", "best")}
    found = [each for each in of(rows, "test_top1_pct") if each.row.epoch is not None]
    found = [each for each in found if not each.reduced] or found  # the two are never drawn beside each other
    groups = grouped(found, lambda each: (each.case.dataset_key, each.case.recipe_key, each.case.model))
    table = []
    for dataset, recipe, model in ((*each, model) for each in trainings(suite) for model in suite.models):
        part = fullest(groups.get((dataset, recipe, model), []))
        if not part or not all(each.finite for each in part):
            continue
        seeds = [[each.value for each in seed] for seed in grouped(part, lambda each: each.row.case_id).values()]
        lasts, bests, best = [seed[-1] for seed in seeds], [max(seed) for seed in seeds], at.get(model) == "best"
        points = bests if best else lasts
        mean = intervals.mean(points)
        whisker = intervals.accuracy_interval(mean, int(part[0].row.n_test or 1))
        table.append(
            {
                "panel": training_title(suite, dataset, recipe, part[0].row.profile),
                "model": model,
                "label": suite.models[model].label,
                "top1_pct": mean,
                "at": "best epoch" if best else "last epoch",
                "last_epoch_pct": intervals.mean(lasts),
                "best_epoch_pct": intervals.mean(bests),
                "low": whisker.low,
                "high": whisker.high,
                "seeds": len(points),
                "published_pct": published.get((dataset, recipe, model)),
                "points": points,
                "reduced": part[0].reduced,
            }
        )
    return pd.DataFrame(table)


def _px(percent: float) -> float:
    return _LEFT + percent / 100 * (_RIGHT - _LEFT)


def _accuracy_panel(ax: Axes, part: pd.DataFrame, colours: Mapping[str, str], top: float) -> float:
    ax.text(0, top + 22, part["panel"].iloc[0], size=FONT, color=INK, weight="bold")
    y = top + 48
    for line in part.to_dict("records"):
        bar = ax.fill_between([_LEFT, _px(line["top1_pct"])], y, y + 18, color=colours[line["model"]], lw=0)
        tip([bar], f"{line['label']}: {line['top1_pct']:.2f} %, {_beside(line)}")
        ax.plot([_px(line["low"]), _px(line["high"])], [y + 9] * 2, color=INK, lw=1.4)
        for end in (line["low"], line["high"]):
            ax.plot([_px(end)] * 2, [y + 5, y + 13], color=INK, lw=1.4)
        for point in line["points"] if len(line["points"]) > 1 else ():
            ax.plot([_px(point)], [y + 23], "o", ms=4.5, color=colours[line["model"]], mew=0)
        if not pd.isna(line["published_pct"]):
            ax.plot([_px(line["published_pct"])], [y - 6], "D", ms=7, mfc=SURFACE, mec=PUBLISHED, mew=1.6)
        ax.text(0, y + 14, line["label"], size=FONT, color=INK)
        ax.text(_NUMBERS, y + 7, f"{line['top1_pct']:.2f} %", size=FONT, color=INK, weight="bold")
        ax.text(_NUMBERS, y + 24, _beside(line), size=SMALL, color=MUTED)
        y += _ROW
    return y


def _beside(line: Mapping[Hashable, Any]) -> str:
    other = "last_epoch_pct" if line["at"] == "best epoch" else "best_epoch_pct"
    text = f"{other.split('_')[0]} epoch {line[other]:.2f} %"
    return text if pd.isna(line["published_pct"]) else f"{text}, published {line['published_pct']:.2f} %"


def _percent_axis(ax: Axes, top: float) -> None:
    ax.plot([_LEFT, _RIGHT], [top] * 2, color=LINE, lw=1)
    for percent in range(0, 101, 20):
        ax.plot([_px(percent)] * 2, [top, top + 4], color=LINE, lw=1)
        ax.text(_px(percent), top + 20, f"{percent} %", size=SMALL, color=MUTED, ha="center")


def _accuracy_reading(table: pd.DataFrame, reduced: bool) -> str:
    first = table[table["panel"] == table["panel"].iloc[0]]
    best, worst = first.loc[first["top1_pct"].idxmax()], first.loc[first["top1_pct"].idxmin()]
    seeds = int(first["seeds"].max())
    text = f"{best['label']} reaches {best['top1_pct']:.2f} %"
    if len(first) > 1:
        text += f", {worst['label']} {worst['top1_pct']:.2f} %"
    text += f" ({best['panel']}, {plural(seeds, 'seed')})."
    return f"A reduced run, not comparable with the published values: {text}" if reduced else text


def _at_note(table: pd.DataFrame) -> str:
    if (table["at"] == "best epoch").any():
        return "The best epoch on the test set is shown, as the source reports it; the last epoch stands beside it."
    return "The last epoch is shown; the best one stands beside it."
