"""Seconds of one training epoch by hardware: as published, as the arithmetic says, and as measured here.

Computes no statistic of its own and no cost but by `cost.py`; a device is drawn only where something is known of it.
"""

import math
from collections.abc import Hashable, Iterator, Mapping, Sequence
from typing import Any

import pandas as pd
from matplotlib.axes import Axes

from bench.cost import devices, money
from bench.records import written
from bench.report.charts.figure import Absent, Figure
from bench.report.charts.frames import PublishedCurve, drawn_models
from bench.report.charts.palette import FONT, INK, LINE, MUTED, PUBLISHED, SMALL, SURFACE
from bench.report.charts.svg import colours_of, finish, sheet, styled, tip
from bench.statistics import intervals
from bench.suite.exhibits import TrainingCost as Training
from bench.suite.schema import Suite
from bench.verdicts.selection import Selected, fullest, grouped, newest, of

_LEFT, _RIGHT, _ROW, _HEAD = 210.0, 660.0, 44.0, 40.0  # px
_NUMBERS = _RIGHT + 20
_BASES = ("published", "estimated", "measured")


def published_times(suite: Suite, curves: Sequence[PublishedCurve]) -> dict[str, list[tuple[str, tuple[float, ...]]]]:
    """For each training of the cost table: the devices for which a source gives seconds per epoch, and these.

    A curve of `epoch_s` is named by its device and gives one number per epoch; the training itself names one mean.
    """
    found = {}
    for key, training in suite.costs.items():
        known = [(c.label, c.values) for c in curves if c.metric == "epoch_s" and c.model == training.model]
        if not known and training.published_device and training.published_epoch_s:
            known = [(training.published_device, (training.published_epoch_s,))]
        if known:
            found[key] = known
    return found


@styled
def epoch_times(name: str, suite: Suite, rows: Sequence[Selected], curves: Sequence[PublishedCurve]) -> Figure | Absent:
    """One row per device for each training whose seconds per epoch are published.

    Args:
        rows: those that speak.
    """
    title = "Seconds per epoch by hardware"
    published = published_times(suite, curves)
    table = pd.DataFrame([line for key, known in published.items() for line in _lines(suite.costs[key], known, rows)])
    if table.empty or set(table["basis"]) == {"published"}:
        return Absent(
            name, title, "Nothing was counted or timed that could stand beside the published times.", "static"
        )
    panels = list(table.groupby("training", sort=False))
    figure, ax = sheet(sum(_HEAD + _ROW * part["device"].nunique() for _, part in panels) + 40)
    ends = _decades([*table["low"], *table["high"]])
    colours, top = colours_of(drawn_models(suite)), 0.0
    for training, part in panels:
        ax.text(0, top + 22, str(training), size=FONT, color=INK, weight="bold")
        top += _HEAD
        for number, (device, known) in enumerate(part.groupby("device", sort=False)):
            _row(ax, str(device), known.to_dict("records"), colours[part["model"].iloc[0]], top + _ROW * number, ends)
        top += _ROW * part["device"].nunique()
    _axis(ax, top, ends)
    reading = _reading(table)
    note = (
        "Hollow grey diamond: published, the line from its fastest to its slowest epoch where a log gives them. Pale "
        "dashed bar: estimated, multiply-accumulates × 2 × 3 over the effective FLOP/s of the cost table, from its "
        "highest to its lowest assumption and without any image pipeline. Solid dot: measured, seconds per image "
        "carried over to all images. The axis is logarithmic."
    )
    return finish(figure, name, title, reading, f"Dot plot. {reading}", table, note)


def _lines(
    training: Training, published: Sequence[tuple[str, tuple[float, ...]]], rows: Sequence[Selected]
) -> list[dict[str, Any]]:
    """One line per device and basis; a device's lines stand together, the published devices first."""
    found = [_line(training, _titled(device), "published", values) for device, values in published]
    macs = newest(each for each in of(rows, "macs") if each.case.model == training.model and each.finite)
    if macs:
        flops = money.training_flops(macs.value, training.images, 1)
        for device in devices.DEVICES.values():
            seconds = [flops / effective.value for effective in device.effective]
            if not seconds:
                continue  # nobody has published or assumed what a whole training reaches there
            found.append(_line(training, device.title, "estimated", seconds))
    found += _measured(training, rows)
    order = list(dict.fromkeys(line["device"] for line in found))
    return sorted(found, key=lambda line: order.index(line["device"]))


def _measured(training: Training, rows: Sequence[Selected]) -> Iterator[dict[str, Any]]:
    timed = [each for each in of(rows, "epoch_s") if each.case.model == training.model and each.finite]
    for device, part in grouped(timed, lambda each: each.row.device_name).items():
        seconds = [each.value / each.row.n_train * training.images for each in fullest(part) if each.row.n_train]
        if seconds:
            yield _line(training, _titled(device), "measured", seconds)


def _titled(device: str) -> str:
    known = devices.recognise(device)
    return known.title if known else device


def _line(training: Training, device: str, basis: str, seconds: Sequence[float]) -> dict[str, Any]:
    middle = intervals.median(list(seconds)) if basis == "measured" else intervals.mean(list(seconds))
    ends = {"low": min(seconds), "high": max(seconds), "values": len(seconds)}
    about = {"training": training.label, "model": training.model, "device": device, "basis": basis}
    return {**about, "seconds_per_epoch": middle, **ends}


def _decades(values: Sequence[float]) -> tuple[int, int]:
    return math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))


def _px(seconds: float, ends: tuple[int, int]) -> float:
    return _LEFT + (math.log10(seconds) - ends[0]) / (ends[1] - ends[0]) * (_RIGHT - _LEFT)


def _row(
    ax: Axes, device: str, lines: Sequence[Mapping[Hashable, Any]], colour: str, top: float, ends: tuple[int, int]
) -> None:
    y = top + 14
    ax.text(0, y + 4, device, size=FONT, color=INK)
    ax.plot([_LEFT, _RIGHT], [y, y], color=LINE, lw=0.6, zorder=0)
    for line in lines:
        low, high, middle = (_px(line[key], ends) for key in ("low", "high", "seconds_per_epoch"))
        if line["basis"] == "estimated":
            box = ([max(low - 4, _LEFT), high + 4], y - 6, y + 6)
            ax.fill_between(*box, facecolor=colour, alpha=0.3, lw=0, zorder=1)
            around = ([box[0][0], box[0][1], box[0][1], box[0][0], box[0][0]], [y - 6, y - 6, y + 6, y + 6, y - 6])
            ax.plot(*around, color=colour, lw=1, ls=(0, (3, 2)), zorder=1)
        elif line["basis"] == "published":
            ax.plot([low, high], [y, y], color=PUBLISHED, lw=1.6)
            tip(ax.plot([middle], [y], "D", ms=8, mfc=SURFACE, mec=PUBLISHED, mew=1.6), f"{device}: {_written(line)}")
        else:
            ax.plot([low, high], [y, y], color=colour, lw=2)
            tip(ax.plot([middle], [y], "o", ms=8, color=colour, mew=0), f"{device}: {_written(line)}")
    written = sorted(lines, key=lambda line: _BASES.index(line["basis"]), reverse=True)
    for number, line in enumerate(written[:2]):
        seen = line["basis"] == "measured"
        colour, weight = (INK, "bold") if seen else (MUTED, "normal")
        ax.text(_NUMBERS, y + 4 + 16 * number, _written(line), size=SMALL, color=colour, weight=weight)


def _written(line: Mapping[Hashable, Any]) -> str:
    if line["basis"] == "estimated" and line["low"] < line["high"]:
        scale = written.scale("s", line["low"], line["high"])
        return f"estimated {scale.text(line['low'])} to {scale.text(line['high'])} {scale.unit}"
    return f"{line['basis']} {written.quantity(line['seconds_per_epoch'], 's')}"


def _axis(ax: Axes, top: float, ends: tuple[int, int]) -> None:
    ax.plot([_LEFT, _RIGHT], [top, top], color=LINE, lw=1)
    for exponent in range(ends[0], ends[1] + 1):
        x = _px(10.0**exponent, ends)
        ax.plot([x, x], [top, top + 4], color=LINE, lw=1)
        ax.text(x, top + 20, f"{10.0**exponent:,g} s", size=SMALL, color=MUTED, ha="center")


def _reading(table: pd.DataFrame) -> str:
    """How the first published time stands to the estimate of its device; without one, what was published."""
    by_basis = table.set_index(["training", "device", "basis"])["seconds_per_epoch"]
    first = table[table["basis"] == "published"]
    for line in first.to_dict("records"):
        at = (line["training"], line["device"], "estimated")
        if at in by_basis.index:
            high = table[(table["training"] == at[0]) & (table["device"] == at[1]) & (table["basis"] == at[2])]["high"]
            times = line["seconds_per_epoch"] / float(high.iloc[0])
            return (
                f"On {line['device']} an epoch took {line['seconds_per_epoch']:.1f} s as published, {times:.1f} times "
                f"the slowest estimate from its arithmetic ({line['training']})."
            )
    told = "; ".join(f"{line['device']} {line['seconds_per_epoch']:.1f} s" for line in first.to_dict("records"))
    return f"Published: {told}."
