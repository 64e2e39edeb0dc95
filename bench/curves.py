"""Figures on two axes: learning curves with the published ones behind them, and speed over accuracy.

Computes no statistic of its own (means and intervals are `stats.py`'s) and draws nothing for which there is no row.
"""

import math
import textwrap
from collections.abc import Iterable, Mapping, Sequence

import pandas as pd
from matplotlib.axes import Axes

from bench import notation, stats
from bench.accuracy import accuracies
from bench.figures import Absent, Figure, axes, canvas, colours_of, finish, styled
from bench.frames import PublishedCurve, fullest
from bench.palette import FONT, INK, LINE, MUTED, PUBLISHED, SMALL
from bench.spec import Suite

_PLOT = 250.0  # px, height of the learning curves


@styled
def learning_curves(
    name: str, suite: Suite, rows: pd.DataFrame, published: Sequence[PublishedCurve], measure: str
) -> Figure | Absent:
    """Test accuracy and losses over the epochs of one measure, the published curves behind them in grey."""
    found = rows[rows["epoch"].notna() & rows["metric"].isin(["test_top1_pct", "test_loss", "train_loss"])]
    found = fullest(found[found["measure_key"] == measure])
    datasets = list(found["dataset_key"].unique()) or suite.measures[measure].datasets
    title = f"Learning curves, {', '.join(suite.datasets[key].label for key in datasets)}"
    if len(suite.measures[measure].recipes) == 1:
        title += f", {suite.recipes[suite.measures[measure].recipes[0]].label}"
    if found.empty:
        return Absent(name, title, "No model was trained.", measure)
    table = _curves(suite, found)
    behind = [curve for curve in published if curve.dataset in datasets and curve.model in set(found["model"])]
    figure = canvas(350)
    colours = colours_of(list(suite.models))
    left, right = axes(figure, 44, 40, 300, 250), axes(figure, 534, 40, 290, 250)
    _curve_panel(left, suite, table, colours, {"test_top1_pct": "-"}, "Test accuracy, %", behind)
    losses = {"test_loss": "-", "train_loss": ":"}
    _curve_panel(right, suite, table, colours, losses, "Loss, nats (training dotted)", [])
    reading = _curve_reading(suite, table)
    seeds = found["seed"].nunique()
    shade = "The shade reaches from the lowest to the highest seed." if seeds > 1 else "One seed: no spread to draw."
    note = f"{shade} Grey: the published curve. Neither vertical axis starts at zero."
    return finish(figure, name, title, reading, f"Line chart. {reading}", table, note)


@styled
def speed_over_accuracy(name: str, suite: Suite, rows: pd.DataFrame) -> Figure | Absent:
    """Images per second over test accuracy, the area of a bubble its parameters."""
    title = "Speed over accuracy"
    speeds = fullest(rows[rows["metric"] == "fps"])
    trained = fullest(rows[(rows["metric"] == "test_top1_pct") & rows["epoch"].notna()])
    missing = [measure for measure, part in (("timing", speeds), ("accuracy", trained)) if part.empty]
    table = _speeds(suite, speeds, trained, rows) if not missing else pd.DataFrame()
    if table.empty:
        return Absent(name, title, "No model has both a speed and an accuracy.", missing[0] if missing else "timing")
    figure = canvas(420)
    ax = axes(figure, 70, 40, 700, 310)
    _bubbles(ax, table, colours_of(list(suite.models)))
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
        values = [float(value) for value in part["value"] if value is not None and math.isfinite(value)]
        if values:
            line = {"model": model, "label": suite.models[str(model)].label, "metric": metric, "epoch": int(epoch)}
            spread = {"low": min(values), "high": max(values), "seeds": len(values)}
            table.append({**line, "mean": stats.mean(values), **spread})
    return pd.DataFrame(table).sort_values(["model", "metric", "epoch"], kind="stable")


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
    ends: list[tuple[float, str, str]] = []
    for curve in behind:
        ax.plot(curve.epochs, curve.values, color=PUBLISHED, lw=1.2, zorder=1)
        ends.append((curve.values[-1], curve.label, PUBLISHED))
    for metric, style in metrics.items():
        for model in suite.models:
            line = table[(table["model"] == model) & (table["metric"] == metric)]
            if line.empty:
                continue
            marker = "o" if len(line) < 6 else ""
            ax.plot(line["epoch"], line["mean"], color=colours[model], lw=2, ls=style, marker=marker)
            if (line["seeds"] > 1).any() and style == "-":
                ax.fill_between(line["epoch"], line["low"], line["high"], color=colours[model], alpha=0.18, lw=0)
            if style == "-":
                ends.append((float(line["mean"].iloc[-1]), suite.models[model].label, colours[model]))
    last = max([int(table["epoch"].max()), *(int(curve.epochs[-1]) for curve in behind)])
    ax.set_xlim(1, max(last, 2))
    step = 1 if last <= 10 else 5 if last <= 50 else 50
    ax.set_xticks(sorted({1, *range(step, last + 1, step)}))
    ax.set_xlabel("epoch", size=SMALL, color=MUTED, labelpad=4)
    _end_labels(ax, ends, last)


def _end_labels(ax: Axes, ends: Iterable[tuple[float, str, str]], last: float) -> None:
    """Names at the ends of their lines, moved apart where they would touch."""
    ordered = sorted(ends)
    low, high = ax.get_ylim()
    ax.set_ylim(low, high)  # the names must not stretch it
    per_px = (high - low) / _PLOT
    names = [textwrap.wrap(label, 18) for _, label, _ in ordered]
    places = apart([value / per_px for value, _, _ in ordered], [15.0 * len(name) + 3 for name in names])
    right = ax.get_xlim()[1]
    reach = (right - ax.get_xlim()[0]) / 300  # data units of one px
    for (value, _, colour), name, place in zip(ordered, names, places, strict=True):
        y, ink = place * per_px, MUTED if colour == PUBLISHED else INK
        ax.plot([last + 3 * reach, right + 16 * reach], [value, y], color=colour, lw=1, clip_on=False)
        ax.text(right + 20 * reach, y, "\n".join(name), size=SMALL, color=ink, va="center", linespacing=1.2)


def apart(wanted: Sequence[float], heights: Sequence[float]) -> list[float]:
    """Ascending places near the wanted ones that do not touch: blocks that would are stacked around their mean."""
    blocks: list[tuple[float, float, list[int]]] = []  # lower end, height, members
    for number, (centre, height) in enumerate(zip(wanted, heights, strict=True)):
        low, members = centre - height / 2, [number]
        while blocks and blocks[-1][0] + blocks[-1][1] > low:
            _, before_height, before = blocks.pop()
            members = before + members
            height += before_height
            middle = stats.mean([wanted[i] for i in members])
            low = middle - height / 2
        blocks.append((low, height, members))
    places = [0.0] * len(wanted)
    for low, _, members in blocks:
        for i in members:
            places[i] = low + heights[i] / 2
            low += heights[i]
    return places


def _curve_reading(suite: Suite, table: pd.DataFrame) -> str:
    last = table[table["metric"] == "test_top1_pct"].groupby("label", sort=False).last()
    if last.empty:
        return "Loss over the epochs."
    ordered = last["mean"].sort_values(ascending=False)
    ends = ", ".join(f"{label} {value:.2f} %" for label, value in ordered.items())
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
        fps = stats.median_interval([float(value) for value in blocks])
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
    _bubble_names(ax, table, colours)


def _bubble_names(ax: Axes, table: pd.DataFrame, colours: Mapping[str, str]) -> None:
    """Names in a column to the right, in the order of the bubbles, so that none can cover another."""
    low, high = ax.get_ylim()
    ax.set_ylim(low, high)
    left, right = ax.get_xlim()
    ax.set_xlim(left, right)
    per_px, reach = (high - low) / 310, (right - left) / 700
    ordered = table.sort_values("fps")
    places = apart([fps / per_px for fps in ordered["fps"]], [36.0] * len(ordered))
    for line, place in zip(ordered.to_dict("records"), places, strict=True):
        y = place * per_px
        leader = ([line["high"], right, right + 14 * reach], [line["fps"], y, y])
        ax.plot(*leader, color=colours[line["model"]], lw=0.8, ls=":", clip_on=False)
        ax.text(right + 18 * reach, y + 8 * per_px, line["label"], size=FONT, color=INK, va="center")
        size = notation.quantity(line["params"], "parameters")
        ax.text(right + 18 * reach, y - 8 * per_px, size, size=SMALL, color=MUTED, va="center")
