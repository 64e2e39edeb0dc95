"""Studies of a design: a grid of two settings as a heat map, and costs over size with their fitted exponents.

Computes no statistic of its own (exponents and medians are `stats.py`'s) and draws nothing for which there is no row.
"""

import math
from collections.abc import Hashable, Mapping, Sequence
from functools import partial
from typing import Any

import pandas as pd
from matplotlib.axes import Axes

from bench.records import written
from bench.records.metrics import METRICS
from bench.report.charts.accuracy import accuracies
from bench.report.charts.figure import Absent, Figure
from bench.report.charts.frames import PublishedCurve, drawn_models, trained_models, trainings
from bench.report.charts.labels import End, name_ends
from bench.report.charts.palette import FONT, INK, LINE, MUTED, SERIES, SMALL
from bench.report.charts.svg import axes, canvas, colours_of, finish, sheet, styled
from bench.statistics import intervals
from bench.suite.schema import Suite
from bench.verdicts.selection import Selected, fullest, grouped, of

_CELL, _GRID_LEFT, _GRID_TOP = (150.0, 64.0), 150.0, 56.0  # px
# Metric -> the head of its panel.
_COSTS = {
    "macs": "Multiply-accumulates",
    "latency_s": "Seconds of one forward pass",
    "forward_peak_bytes": "Peak bytes of a forward pass",
}


# A grid of two settings


def grid_of(suite: Suite) -> tuple[str, str, list[str]] | None:
    """The two arguments in which the models of one training differ, and those models; None without such a grid."""
    for dataset, recipe in trainings(suite):
        models = trained_models(suite, dataset, recipe)
        args = [suite.models[model].args for model in models]
        varied = [k for k in sorted({k for arg in args for k in arg}) if len({str(arg.get(k)) for arg in args}) > 1]
        if len(models) >= 4 and len(varied) == 2 and len({suite.models[model].factory for model in models}) == 1:
            return varied[0], varied[1], models
    return None


@styled
def heat_map(name: str, suite: Suite, rows: Sequence[Selected], published: Sequence[PublishedCurve]) -> Figure | Absent:
    """Accuracy over the suite's grid of two settings, with the end of the published curve in brackets."""
    grid = grid_of(suite)
    assert grid is not None, "ask `grid_of` first"
    across, down, models = grid
    title = f"Accuracy over {_words(across)} and {_words(down)}"
    table = accuracies(suite, [each for each in rows if each.case.model in models])
    if table.empty:
        return Absent(name, title, "No model of the grid was trained.", next(iter(trainings(suite).values())))
    table = table.drop_duplicates("model").copy()
    ends = {curve.model: curve.values[-1] for curve in published if curve.metric == "test_top1_pct"}
    table["published_pct"] = table["model"].map(ends)
    table[across] = [suite.models[model].args.get(across) for model in table["model"]]
    table[down] = [suite.models[model].args.get(down) for model in table["model"]]
    columns, lines = sorted(table[across].unique()), sorted(table[down].unique())
    figure, ax = sheet(_GRID_TOP + _CELL[1] * len(lines) + 8)
    _grid_heads(ax, across, down, columns, lines)
    low, high = table["top1_pct"].min(), table["top1_pct"].max()
    for line in table.to_dict("records"):
        shade = 0.08 + 0.4 * ((line["top1_pct"] - low) / (high - low) if high > low else 0.5)
        _cell(ax, columns.index(line[across]), lines.index(line[down]), line, shade)
    best, worst = table.iloc[table["top1_pct"].argmax()], table.iloc[table["top1_pct"].argmin()]
    reading = (
        f"From {worst['top1_pct']:.2f} % at {_words(across)} {worst[across]} and {_words(down)} {worst[down]} "
        f"to {best['top1_pct']:.2f} % at {best[across]} and {best[down]}"
    )
    reading += "." if best["low"] > worst["high"] else ", which the test set cannot tell apart."
    note = f"{table['panel'].iloc[0]}. In brackets: the end of the published curve. Darker is more accurate."
    return finish(figure, name, title, reading, f"Heat map. {reading}", table.drop(columns=["points", "reduced"]), note)


def _words(key: str) -> str:
    return key.replace("_", " ")


def _grid_heads(ax: Axes, across: str, down: str, columns: Sequence[Any], lines: Sequence[Any]) -> None:
    ax.text(0, 18, _words(down), size=SMALL, color=MUTED)
    ax.text(_GRID_LEFT, 18, _words(across), size=SMALL, color=MUTED)
    for number, value in enumerate(columns):
        x = _GRID_LEFT + (number + 0.5) * _CELL[0]
        ax.text(x, 44, str(value), size=FONT, color=INK, ha="center", weight="bold")
    for number, value in enumerate(lines):
        ax.text(0, _GRID_TOP + (number + 0.5) * _CELL[1] + 4, str(value), size=FONT, color=INK, weight="bold")


def _cell(ax: Axes, column: int, line: int, values: Mapping[Hashable, Any], shade: float) -> None:
    x, y = _GRID_LEFT + column * _CELL[0], _GRID_TOP + line * _CELL[1]
    box = ([x + 2, x + _CELL[0] - 2], y + 2, y + _CELL[1] - 2)
    ax.fill_between(*box, color=SERIES["blue"][0], alpha=shade, lw=0)
    middle = x + _CELL[0] / 2
    ax.text(middle, y + 28, f"{values['top1_pct']:.2f} %", size=FONT, color=INK, ha="center", weight="bold")
    if not pd.isna(values["published_pct"]):
        ax.text(middle, y + 47, f"({values['published_pct']:.2f} %)", size=SMALL, color=INK, ha="center")


# Costs over size


def sized(suite: Suite) -> list[str]:
    """The measures that ask for at least three image sizes."""
    return [key for key, measure in suite.measures.items() if len(measure.image_sizes) >= 3]


@styled
def scaling(name: str, suite: Suite, rows: Sequence[Selected]) -> Figure | Absent:
    """Costs over the number of pixels, log over log: parallel to the number of patches, so with the same exponent."""
    title = "Cost over image size"
    asked = [each for each in of(rows, *_COSTS) if each.finite and each.case.measure_key in sized(suite)]
    metrics = grouped(asked, lambda each: each.row.metric)
    found = [each for part in metrics.values() for each in fullest(part)]
    if not found:
        return Absent(name, title, "No cost was measured over image sizes.", sized(suite)[0])
    table = _costs(suite, found)
    shown = [metric for metric in _COSTS if metric in set(table["metric"])]
    figure = canvas(350)
    for number, metric in enumerate(shown):
        ax = axes(figure, 88 + 322 * number, 56, 116, 230)
        _cost_panel(ax, table[table["metric"] == metric], colours_of(drawn_models(suite)), metric)
    fits = table.drop_duplicates(["metric", "model"])
    first = fits[fits["metric"] == shown[0]]
    told = "; ".join(f"{line['label']} with exponent {line['exponent']:.2f}" for line in first.to_dict("records"))
    reading = f"{_COSTS[shown[0]]} over the number of pixels grow: {told}."
    note = (
        "Both axes are logarithmic; 1 is linear growth, 2 quadratic. The exponent is the slope of the least-squares "
        "line over the number of pixels, below it its 95 % interval."
    )
    return finish(figure, name, title, reading, f"Log-log line chart. {reading}", table, note)


def _costs(suite: Suite, rows: Sequence[Selected]) -> pd.DataFrame:
    table = []
    for (metric, model), part in grouped(rows, lambda each: (each.row.metric, each.case.model)).items():
        sizes = grouped(sorted(part, key=lambda each: each.case.image_size), lambda each: each.case.image_size)
        points = {size: intervals.median([each.value for each in some]) for size, some in sizes.items()}
        if len(points) < 2:
            continue
        pixels = [size**2 for size in points]
        fit = intervals.power_law(pixels, list(points.values()))
        exponent = {"exponent": fit.point, "exponent_low": fit.low, "exponent_high": fit.high}
        for size, value in points.items():
            line = {"metric": metric, "model": model, "label": suite.models[model].label, "image_size": size}
            table.append({**line, "value": value, **exponent})
    return pd.DataFrame(table)


def _tick(unit: str, value: float, _: int) -> str:
    return written.quantity(value, unit)


def _cost_panel(ax: Axes, table: pd.DataFrame, colours: Mapping[str, str], metric: str) -> None:
    ax.set_title(_COSTS[metric], size=SMALL, color=INK, loc="left", weight="bold", pad=24)
    ax.set_xscale("log", base=2)
    ax.set_yscale("log")
    ax.yaxis.set_major_formatter(partial(_tick, METRICS[metric].unit))
    ax.grid(axis="y", color=LINE, lw=0.6)
    ax.minorticks_off()
    sizes = sorted(table["image_size"].unique())
    ends = []
    for model, line in table.groupby("model", sort=False):
        ax.plot(line["image_size"], line["value"], color=colours[str(model)], lw=2, marker="o", ms=5)
        last = line.iloc[-1]
        bounds = f"{last['exponent_low']:.2f} to {last['exponent_high']:.2f}"
        known = bounds if math.isfinite(last["exponent_low"]) else "from two sizes"
        fitted = f"exponent {last['exponent']:.2f}\n{known}"
        ends.append(End(last["image_size"], last["value"], last["label"], colours[str(model)], fitted))
    ax.set_xticks(sizes, [str(size) for size in sizes])
    ax.set_xlabel("image size, px", size=SMALL, color=MUTED, labelpad=4)
    name_ends(ax, ends)
