"""Figures on two axes: learning curves with the published ones behind them, and speed over accuracy.

Computes no statistic of its own (means and intervals are `stats.py`'s) and draws nothing for which there is no row.
"""

import math
from collections.abc import Mapping, Sequence

import pandas as pd
from matplotlib.axes import Axes

from bench.report.charts.accuracy import accuracies
from bench.report.charts.frames import PublishedCurve, drawn_models, finite, floats, fullest, training_title, trainings
from bench.report.charts.labels import End, name_ends
from bench.report.charts.palette import FONT, INK, LINE, MUTED, PUBLISHED, SMALL
from bench.report.charts.svg import Absent, Figure, axes, canvas, colours_of, finish, styled
from bench.statistics import intervals
from bench.suite.schema import Suite

_PLOT = 250.0  # px, height of the learning curves
_NAMED = 4  # published curves up to which each gets its name; more stay grey without


@styled
def learning_curves(
    name: str, suite: Suite, rows: pd.DataFrame, published: Sequence[PublishedCurve], dataset: str, recipe: str
) -> Figure | Absent:
    """Test accuracy and losses over the epochs of one training, the published curves behind them in grey."""
    found = rows[rows["epoch"].notna() & rows["metric"].isin(["test_top1_pct", "test_loss", "train_loss"])]
    found = fullest(found[(found["dataset_key"] == dataset) & (found["recipe_key"] == recipe)])
    if found.empty:
        title = f"Learning curves, {training_title(suite, dataset, recipe)}"
        return Absent(name, title, "No model was trained.", trainings(suite)[dataset, recipe])
    title = f"Learning curves, {training_title(suite, dataset, recipe, found['profile'].iloc[0])}"
    table = _curves(suite, found)
    behind = [
        curve
        for curve in published
        if curve.dataset == dataset and curve.model in set(found["model"]) and curve.epochs[0] <= table["epoch"].max()
    ]
    plot = max(_PLOT, 36.0 * found["model"].nunique() - 40)  # room for a name of two lines at each end
    figure = canvas(plot + 100)
    colours = colours_of(drawn_models(suite))
    left, right = axes(figure, 44, 40, 300, plot), axes(figure, 534, 40, 290, plot)
    accuracy, losses = {"test_top1_pct": "-"}, {"test_loss": "-", "train_loss": ":"}
    _curve_panel(left, suite, table, colours, accuracy, "Test accuracy, %", behind)
    _curve_panel(right, suite, table, colours, losses, "Loss, nats (training dotted)", behind)
    reading = _curve_reading(table)
    shade = "The shade reaches from the lowest to the highest seed." if found["seed"].nunique() > 1 else "One seed."
    grey = " Grey: the published curves, over the same epochs." if behind else ""
    note = f"{shade}{grey} Neither vertical axis starts at zero.{_gaps(table)}"
    return finish(figure, name, title, reading, f"Line chart. {reading}", table, note)


@styled
def speed_over_accuracy(name: str, suite: Suite, rows: pd.DataFrame) -> Figure | Absent:
    """Images per second over test accuracy, the area of a bubble its parameters."""
    title = "Speed over accuracy"
    rows = finite(rows)
    speeds = fullest(rows[rows["metric"] == "fps"])
    trained = fullest(rows[(rows["metric"] == "test_top1_pct") & rows["epoch"].notna()])
    missing = [measure for measure, part in (("timing", speeds), ("accuracy", trained)) if part.empty]
    table = _speeds(suite, speeds, trained, rows) if not missing else pd.DataFrame()
    if table.empty:
        return Absent(name, title, "No model has both a speed and an accuracy.", missing[0] if missing else "timing")
    figure = canvas(420)
    ax = axes(figure, 70, 40, 700, 310)
    _bubbles(ax, table, colours_of(drawn_models(suite)))
    fastest, best = table.loc[table["fps"].idxmax()], table.loc[table["top1_pct"].idxmax()]
    reading = (
        f"{best['label']} is the most accurate ({best['top1_pct']:.2f} %) at {best['fps']:,.0f} images/s; "
        f"{fastest['label']} is the fastest ({fastest['fps']:,.0f} images/s) at {fastest['top1_pct']:.2f} %."
    )
    where = f"{speeds['device_name'].iloc[0]}, batch {table['batch_size'].iloc[0]}"
    note = (
        f"Images per second on {where}; accuracy: {table['panel'].iloc[0]}. The area of a bubble is its parameters, "
        "whiskers are 95 % intervals. Neither axis starts at zero."
    )
    return finish(figure, name, title, reading, f"Scatter plot. {reading}", table, note)


# Learning curves


def _curves(suite: Suite, rows: pd.DataFrame) -> pd.DataFrame:
    table = []
    for (model, metric, epoch), part in rows.groupby(["model", "metric", "epoch"], sort=False):
        values = floats(part["value"])
        line = {"model": model, "label": suite.models[str(model)].label, "metric": metric, "epoch": int(epoch)}
        finite = all(
            math.isfinite(value) for value in values
        )  # one that is not leaves a gap: it is never averaged away
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
    ends = "; ".join(told) if len(told) <= 4 else f"{told[0]} the most, {told[-1]} the least of {len(told)}"
    return f"After {int(table['epoch'].max())} epochs: {ends}."


# Speed over accuracy


def _speeds(suite: Suite, speeds: pd.DataFrame, trained: pd.DataFrame, rows: pd.DataFrame) -> pd.DataFrame:
    """One line per model with a speed at the largest batch, an accuracy (of its first training) and a size."""
    batch = speeds["batch_size"].max()
    params = rows[rows["metric"] == "params"].groupby("model")["value"].last()
    known = accuracies(suite, trained).drop_duplicates("model").set_index("model")
    table = []
    for model in suite.models:
        blocks = speeds[(speeds["model"] == model) & (speeds["batch_size"] == batch)]["value"]
        if blocks.empty or model not in known.index or model not in params:
            continue
        fps = intervals.median_interval([float(value) for value in blocks])
        table.append(
            {
                "model": model,
                **known.loc[model, ["label", "top1_pct", "low", "high", "panel"]].to_dict(),
                "fps": fps.point,
                "fps_low": fps.low if fps.bounded else float(blocks.min()),
                "fps_high": fps.high if fps.bounded else float(blocks.max()),
                "params": int(params[model]),
                "batch_size": int(batch),
            }
        )
    return pd.DataFrame(table)


def _bubbles(ax: Axes, table: pd.DataFrame, colours: Mapping[str, str]) -> None:
    ax.grid(color=LINE, lw=0.6)
    ax.set_axisbelow(True)
    for line in table.to_dict("records"):
        colour, x, y = colours[line["model"]], line["top1_pct"], line["fps"]
        ax.scatter([x], [y], s=900 * line["params"] / table["params"].max(), color=colour, alpha=0.35, lw=0, zorder=2)
        ax.plot([line["low"], line["high"]], [y, y], color=colour, lw=1.4)
        ax.plot([x, x], [line["fps_low"], line["fps_high"]], color=colour, lw=1.4)
        ax.plot([x], [y], "o", ms=5, color=colour, mew=0)
    ax.margins(0.12, 0.18)
    ax.set_xlabel("Test accuracy, %", size=SMALL, color=MUTED, labelpad=6)
    ax.set_title("Images per second", size=SMALL, color=MUTED, loc="left", pad=12)
    ax.yaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    ends = [
        End(line["high"], line["fps"], line["label"], colours[line["model"]], f"{line['params']:,} parameters")
        for line in table.to_dict("records")
    ]
    name_ends(ax, ends)
