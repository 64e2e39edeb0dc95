"""Pictures of trained weights: the filters of a patch embedding, and what token-mixing units weigh each patch with.

Computes no statistic and picks no units: which are shown, and in which order, was decided where they were trained.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from bench.records import packed
from bench.report.charts.figure import Absent, Figure
from bench.report.charts.frames import training_title, trainings
from bench.report.charts.palette import FONT, INK, MUTED, SMALL, WIDTH
from bench.report.charts.svg import finish, sheet, styled
from bench.suite.schema import Suite
from bench.verdicts.selection import Selected, fullest, of

METRICS = ("patch_filters", "opposite_cosine")
_PANELS = 3
_GAP = 24.0  # px between panels
_COLUMNS = 8  # tiles beside each other
_HEAD = 52.0  # px above the tiles of a panel
_MEASURE = "accuracy"


@dataclass(frozen=True)
class Panel:
    """One layer of one model."""

    model: str
    label: str
    part: str
    value: float
    before: float | None  # the same value before training
    seed: int
    epoch: int
    title: str  # what it was trained on
    tiles: packed.Tiles


def has_pictures(suite: Suite, rows: Sequence[Selected]) -> bool:
    """Whether a suite asks for one of the metrics behind the pictures, or has rows of them."""
    asked = any(quantity.metric in METRICS for quantity in suite.quantities.values())
    return asked or bool(of(rows, *METRICS))


@styled
def filters(name: str, suite: Suite, rows: Sequence[Selected]) -> Figure | Absent:
    """Patch-embedding filters of up to three models, each a small colour picture."""
    title = "Patch-embedding filters"
    panels = _panels(suite, rows, "patch_filters")
    panels = list({panel.model: panel for panel in reversed(panels)}.values())[::-1][:_PANELS]
    if not panels:
        return Absent(name, title, "The weights of no trained model are kept.", _MEASURE)
    told = "; ".join(f"{p.label}, {p.tiles.height} × {p.tiles.width} pixels, {_count(p.tiles)} filters" for p in panels)
    reading = f"After training: {told}."
    note = (
        "Each tile is one filter in red, green and blue, on its own scale: mid-grey is zero. The largest norm stands "
        f"first. {_told(panels[0])}"
    )
    return _drawn(name, title, panels, reading, note)


@styled
def mixing(name: str, suite: Suite, rows: Sequence[Selected]) -> Figure | Absent:
    """Token-mixing weights of the first model's first and last layer, each unit a picture over the grid of patches."""
    title = "Token-mixing weights"
    panels = _panels(suite, rows, "opposite_cosine")
    panels = [panel for panel in panels if panel.model == panels[0].model][:2]
    if not panels:
        return Absent(name, title, "The weights of no trained model are kept.", _MEASURE)
    told = "; ".join(_opposite(panel) for panel in panels)
    reading = f"Mean cosine of a unit with its most opposite one, −1 being an exact opposite: {told}."
    note = (
        f"{panels[0].label}. Each tile is one hidden unit, each of its squares the weight of one patch, on the unit's "
        "own scale: mid-grey is zero, white is positive. Two by two from the left: pairs, the most opposite first. "
        f"{_told(panels[0])}"
    )
    return _drawn(name, title, panels, reading, note)


def _panels(suite: Suite, rows: Sequence[Selected], metric: str) -> list[Panel]:
    """The layers of the first training that has any, in the suite's order of models, of the lowest seed."""
    found = fullest([each for each in of(rows, metric) if each.finite])
    for dataset, recipe in trainings(suite):
        mine = [each for each in found if (each.case.dataset_key, each.case.recipe_key) == (dataset, recipe)]
        drawn = [each for each in mine if each.row.detail]
        if drawn:
            title = training_title(suite, dataset, recipe, drawn[0].row.profile)
            return [panel for model in suite.models for panel in _of_model(suite, mine, model, title)]
    return []


def _of_model(suite: Suite, rows: Sequence[Selected], model: str, title: str) -> list[Panel]:
    mine = [each for each in rows if each.case.model == model]
    lowest = min((each.row.seed or 0 for each in mine), default=0)
    mine = [each for each in mine if (each.row.seed or 0) == lowest]
    before = {each.row.part: each.value for each in mine if each.row.epoch == 0}
    return [
        Panel(
            model,
            suite.models[model].label,
            str(each.row.part),
            each.value,
            before.get(each.row.part),
            lowest,
            int(each.row.epoch or 0),
            title,
            packed.unpack(str(each.row.detail)),
        )
        for each in sorted(mine, key=lambda each: each.row.part or "")
        if each.row.detail
    ]


def _count(found: packed.Tiles) -> str:
    shown = len(found.units)
    return f"{shown} of {found.of}" if shown < found.of else f"all {shown}"


def _opposite(panel: Panel) -> str:
    from_ = "" if panel.before is None else f" (before training {_signed(panel.before)})"
    return f"{_signed(panel.value)} in {panel.part}{from_}"


def _signed(value: float) -> str:
    return f"{value:.2f}".replace("-", "−")


def _told(panel: Panel) -> str:
    return f"{panel.title}, seed {panel.seed}, after epoch {panel.epoch}."


def _drawn(name: str, title: str, panels: Sequence[Panel], reading: str, note: str) -> Figure:
    slots = max(len(panels), 2)
    side = (WIDTH - _GAP * (slots - 1)) / slots
    step = side / _COLUMNS
    lines = max(-(-len(panel.tiles.units) // _COLUMNS) for panel in panels)
    figure, ax = sheet(_HEAD + lines * step + 4)
    for number, panel in enumerate(panels):
        _panel(ax, panel, number * (side + _GAP), step)
    return finish(figure, name, title, reading, f"Pictures of weights. {reading}", _table(panels), note)


def _panel(ax: Axes, panel: Panel, left: float, step: float) -> None:
    ax.text(left, 16, panel.label, size=FONT, color=INK, weight="bold")
    ax.text(left, 36, f"{panel.part}, {_count(panel.tiles)}", size=SMALL, color=MUTED)
    limits = ax.get_xlim(), ax.get_ylim()
    for number, picture in enumerate(_pictures(panel.tiles)):
        x, y = left + number % _COLUMNS * step, _HEAD + number // _COLUMNS * step
        edges = (x + 1.5, x + step - 1.5, y + step - 1.5, y + 1.5)
        ax.imshow(picture, extent=edges, interpolation="none", aspect="auto")
    ax.set(xlim=limits[0], ylim=limits[1])


def _pictures(found: packed.Tiles) -> list[np.ndarray]:
    """uint8 (height, width, 3) for each unit: 128 is zero; one channel is grey."""
    shape = (found.channels, found.height, found.width)
    pictures = [128 + np.array(steps).reshape(shape).transpose(1, 2, 0) for steps in found.steps]
    return [np.broadcast_to(picture, (*picture.shape[:2], 3)).astype(np.uint8) for picture in pictures]


def _table(panels: Sequence[Panel]) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {
                "model": panel.model,
                "part": panel.part,
                "unit": unit,
                "channels": panel.tiles.channels,
                "height": panel.tiles.height,
                "width": panel.tiles.width,
                "largest": largest,
                f"weights_in_{packed.STEPS}ths_of_largest": f"[{' '.join(str(step) for step in steps)}]",
            }
            for panel in panels
            for unit, largest, steps in zip(panel.tiles.units, panel.tiles.largest, panel.tiles.steps, strict=True)
        ]
    )
