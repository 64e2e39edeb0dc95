"""Figures on two axes: learning curves with the published ones behind them, and speed over accuracy.

Computes no statistic of its own (means and intervals are `stats.py`'s) and draws nothing for which there is no row.
"""

import math
from collections.abc import Mapping, Sequence

import pandas as pd
from matplotlib.axes import Axes

from bench.report.charts.accuracy import accuracies
from bench.report.charts.figure import Absent, Figure
from bench.report.charts.frames import PublishedCurve, drawn_models, training_title, trainings
from bench.report.charts.labels import End, name_ends
from bench.report.charts.palette import FONT, INK, LINE, MUTED, PUBLISHED, SMALL
from bench.report.charts.superlatives import leading, not_apart
from bench.report.charts.svg import axes, canvas, colours_of, finish, styled, tip
from bench.statistics import intervals
from bench.suite.schema import Suite
from bench.verdicts.bands import plural
from bench.verdicts.selection import Selected, fullest, grouped, newest, of, together

_PLOT = 250.0  # px, height of the learning curves
_NAMED = 4  # published curves up to which each gets its name; more stay grey without


@styled
def learning_curves(
    name: str, suite: Suite, rows: Sequence[Selected], published: Sequence[PublishedCurve], dataset: str, recipe: str
) -> Figure | Absent:
    """Test accuracy and losses over the epochs of one training, the published curves behind them in grey."""
    found = _trained(rows, dataset, recipe)
    if not found:
        title = f"Learning curves, {training_title(suite, dataset, recipe)}"
        return Absent(name, title, "No model was trained.", trainings(suite)[dataset, recipe])
    title = f"Learning curves, {training_title(suite, dataset, recipe, found[0].row.profile)}"
    table = _curves(suite, found)
    models = {each.case.model for each in found}
    behind = [
        curve
        for curve in published
        if curve.dataset == dataset and curve.model in models and curve.epochs[0] <= table["epoch"].max()
    ]
    plot = max(_PLOT, 36.0 * len(models) - 40)  # room for a name of two lines at each end
    figure = canvas(plot + 100)
    colours = colours_of(drawn_models(suite))
    left, right = axes(figure, 44, 40, 300, plot), axes(figure, 534, 40, 290, plot)
    accuracy, losses = {"test_top1_pct": "-"}, {"test_loss": "-", "train_loss": ":"}
    _curve_panel(left, suite, table, colours, accuracy, "Test accuracy, %", behind)
    _curve_panel(right, suite, table, colours, losses, "Loss, nats (training dotted)", behind)
    reading = _curve_reading(table)
    shade = (
        "The shade reaches from the lowest to the highest seed."
        if len({each.row.seed for each in found}) > 1
        else "One seed."
    )
    grey = " Grey: the published curves, over the same epochs." if behind else ""
    note = f"{shade}{grey} Neither vertical axis starts at zero.{_gaps(table)}"
    return finish(figure, name, title, reading, f"Line chart. {reading}", table, note)


@styled
def speed_over_accuracy(name: str, suite: Suite, rows: Sequence[Selected]) -> Figure | Absent:
    """Images per second over test accuracy, the area of a bubble its parameters."""
    title = "Speed over accuracy"
    speeds = together(fullest([each for each in of(rows, "fps") if each.finite]))
    trained = accuracies(suite, rows)
    missing = [measure for measure, empty in (("timing", not speeds), ("accuracy", trained.empty)) if empty]
    table = _speeds(suite, speeds, trained, rows) if not missing else pd.DataFrame()
    if table.empty:
        return Absent(name, title, "No model has both a speed and an accuracy.", missing[0] if missing else "timing")
    figure = canvas(420)
    ax = axes(figure, 70, 40, 700, 310)
    _bubbles(ax, table, colours_of(drawn_models(suite)))
    reading = _speed_reading(table)
    where = f"{speeds[0].row.device_name}, batch {table['batch_size'].iloc[0]}"
    note = (
        f"Images per second on {where}; accuracy: {table['panel'].iloc[0]}. The area of a bubble is its parameters, "
        "whiskers are 95 % intervals. Neither axis starts at zero."
    )
    return finish(figure, name, title, reading, f"Scatter plot. {reading}", table, note)


# Learning curves


def _trained(rows: Sequence[Selected], dataset: str, recipe: str) -> list[Selected]:
    """The epochs of one training, of every model from where it has most seeds."""
    found = [each for each in of(rows, "test_top1_pct", "test_loss", "train_loss") if each.row.epoch is not None]
    found = [each for each in found if (each.case.dataset_key, each.case.recipe_key) == (dataset, recipe)]
    found = [each for each in found if not each.reduced] or found
    models = grouped(found, lambda each: (each.case.model, each.row.metric))
    return [each for part in models.values() for each in fullest(part)]


def _curves(suite: Suite, rows: Sequence[Selected]) -> pd.DataFrame:
    table = []
    keys = grouped(rows, lambda each: (each.case.model, each.row.metric, int(each.row.epoch or 0)))
    for (model, metric, epoch), part in keys.items():
        values = [each.value for each in part]
        line = {"model": model, "label": suite.models[model].label, "metric": metric, "epoch": epoch}
        finite = all(each.finite for each in part)  # one that is not leaves a gap: it is never averaged away
        mean, low, high = (intervals.mean(values), min(values), max(values)) if finite else [math.nan] * 3
        table.append({**line, "mean": mean, "low": low, "high": high, "seeds": len(values)})
    return pd.DataFrame(table).sort_values(["model", "metric", "epoch"], kind="stable")


def _gaps(table: pd.DataFrame) -> str:
    """Which values are NaN or infinite, in words."""
    gone = table[table["mean"].isna()]
    told = [
        f"{metric} of {label} at epoch {', '.join(str(epoch) for epoch in part['epoch'])}"
        for (label, metric), part in gone.groupby(["label", "metric"], sort=False)
    ]
    return f" Not finite, so a gap: {'; '.join(told)}." if told else ""


def _curve_panel(
    ax: Axes,
    suite: Suite,
    table: pd.DataFrame,
    colours: Mapping[str, str],
    metrics: Mapping[str, str],
    title: str,
    behind: Sequence[PublishedCurve],
) -> None:
    ax.set_title(title, size=FONT, color=INK, loc="left", weight="bold", pad=14)
    ax.grid(axis="y", color=LINE, lw=0.6)
    ax.set_axisbelow(True)
    ends: list[End] = []
    last, behind = int(table["epoch"].max()), [curve for curve in behind if curve.metric in metrics]
    for curve in behind:
        # Of the published curve only the epochs that were measured: a run of 3 epochs is not compared with 30.
        points = [(epoch, value) for epoch, value in zip(curve.epochs, curve.values, strict=True) if epoch <= last]
        ax.plot(*zip(*points, strict=True), color=PUBLISHED, lw=1.2, zorder=1)
        if len(behind) <= _NAMED:
            ends.append(End(*points[-1], curve.label, PUBLISHED))
    for metric, style in metrics.items():
        for model in suite.models:
            line = table[(table["model"] == model) & (table["metric"] == metric)]
            if line.empty:
                continue
            marker = "o" if len(line) < 6 else ""
            ax.plot(line["epoch"], line["mean"], color=colours[model], lw=2, ls=style, marker=marker, clip_on=False)
            if (line["seeds"] > 1).any() and style == "-":
                ax.fill_between(line["epoch"], line["low"], line["high"], color=colours[model], alpha=0.18, lw=0)
            if style == "-":
                last_known = line.dropna(subset="mean").tail(1).to_dict("records")
                ends += [End(end["epoch"], end["mean"], end["label"], colours[model]) for end in last_known]
    ax.set_xlim(1, max(last, 2))
    step = 1 if last <= 10 else 5 if last <= 50 else 50
    ax.set_xticks(sorted({1, *range(step, last + 1, step)}))
    ax.set_xlabel("epoch", size=SMALL, color=MUTED, labelpad=4)
    name_ends(ax, ends)


def _curve_reading(table: pd.DataFrame) -> str:
    last = table[table["metric"] == "test_top1_pct"].groupby("label", sort=False).tail(1)
    if last.empty:
        return "Loss over the epochs."
    ordered = last.sort_values("mean", ascending=False).to_dict("records")
    told = [f"{line['label']} {line['mean']:.2f} %" for line in ordered]
    ends = "; ".join(told) if len(told) <= 4 else f"{len(told)} models, from {told[-1]} to {told[0]}"
    return f"After {plural(int(table['epoch'].max()), 'epoch')}: {ends}."


# Speed over accuracy


def _speeds(suite: Suite, speeds: Sequence[Selected], trained: pd.DataFrame, rows: Sequence[Selected]) -> pd.DataFrame:
    """One line per model with a speed at the largest batch, an accuracy (of its first training) and a size."""
    batch = max(each.case.batch_size or 0 for each in speeds)
    known = trained.drop_duplicates("model").set_index("model")
    table = []
    for model in suite.models:
        blocks = [each.value for each in speeds if (each.case.model, each.case.batch_size or 0) == (model, batch)]
        size = newest(each for each in of(rows, "params") if each.case.model == model and each.finite)
        if not blocks or model not in known.index or size is None:
            continue
        fps = intervals.median_interval(blocks)
        table.append(
            {
                "model": model,
                **known.loc[model, ["label", "top1_pct", "low", "high", "panel"]].to_dict(),
                "fps": fps.point,
                "fps_low": fps.low if fps.bounded else min(blocks),
                "fps_high": fps.high if fps.bounded else max(blocks),
                "params": int(size.value),
                "batch_size": batch,
            }
        )
    return pd.DataFrame(table)


def _speed_reading(table: pd.DataFrame) -> str:
    """Which model is the most accurate and which the fastest, where intervals set it apart from all others."""
    lines = table.to_dict("records")
    accurate, fast = leading(lines, "top1_pct", "low", "high"), leading(lines, "fps", "fps_low", "fps_high")
    percent, speed = f"{accurate[0]['top1_pct']:.2f} %", f"{fast[0]['fps']:,.0f} images/s"
    if len(lines) == 1:
        return f"{lines[0]['label']}: {percent} at {speed}."
    first = f"{accurate[0]['label']} is the most accurate ({percent}) at {accurate[0]['fps']:,.0f} images/s"
    if len(accurate) > 1:
        first = f"By accuracy {not_apart([line['label'] for line in accurate])} (up to {percent})"
    second = f"{fast[0]['label']} is the fastest ({speed}) at {fast[0]['top1_pct']:.2f} %"
    if len(fast) > 1:
        second = f"by speed {not_apart([line['label'] for line in fast])} (up to {speed})"
    return f"{first}; {second}."


def _bubbles(ax: Axes, table: pd.DataFrame, colours: Mapping[str, str]) -> None:
    ax.grid(color=LINE, lw=0.6)
    ax.set_axisbelow(True)
    for line in table.to_dict("records"):
        colour, x, y = colours[line["model"]], line["top1_pct"], line["fps"]
        ax.scatter([x], [y], s=900 * line["params"] / table["params"].max(), color=colour, alpha=0.35, lw=0, zorder=2)
        ax.plot([line["low"], line["high"]], [y, y], color=colour, lw=1.4)
        ax.plot([x, x], [line["fps_low"], line["fps_high"]], color=colour, lw=1.4)
        told = f"{line['label']}: {line['top1_pct']:.2f} %, {y:,.0f} images/s, {line['params']:,} parameters"
        tip(ax.plot([x], [y], "o", ms=5, color=colour, mew=0), told)
    ax.margins(0.12, 0.18)
    ax.set_xlabel("Test accuracy, %", size=SMALL, color=MUTED, labelpad=6)
    ax.set_title("Images per second", size=SMALL, color=MUTED, loc="left", pad=12)
    ax.yaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    ends = [
        End(line["high"], line["fps"], line["label"], colours[line["model"]], f"{line['params']:,} parameters")
        for line in table.to_dict("records")
    ]
    name_ends(ax, ends)
