"""Names beside what they name, moved apart where they would touch: labels instead of legends.

Knows no data: it is told where each thing ends and what it is called.
"""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.transforms import IdentityTransform

from bench.report.charts.palette import INK, MUTED, PUBLISHED, SMALL
from bench.statistics import intervals

_LINE_PX = 15.0
_COLUMN = 20.0  # px between the axes and the names


@dataclass(frozen=True)
class End:
    """Where a line or a mark ends, in data; its name and colour, and the lines that stand below the name."""

    x: float
    y: float
    name: str
    colour: str
    below: str | None = None


def name_ends(ax: Axes, ends: Sequence[End], width: int = 18) -> None:
    """A column of names to the right of the axes, each tied to its end; published things are named in grey."""
    ax.autoscale_view()
    ax.set_xlim(ax.get_xlim())
    ax.set_ylim(ax.get_ylim())  # the names must not stretch the axes
    at = [(end, *ax.transData.transform((end.x, end.y))) for end in ends]
    at.sort(key=lambda each: each[2])
    names = [_lines(end, width) for end, _, _ in at]
    heights = [_LINE_PX * len(name) + 3 for name in names]
    places = within(apart([y for _, _, y in at], heights), heights, ax.bbox.y0 - 40, ax.bbox.y1 + 12)
    column, px = ax.bbox.x1 + _COLUMN, IdentityTransform()
    for (end, x, y), name, place in zip(at, names, places, strict=True):
        tie = ([x + 3, column - 4], [y, place])
        # Dotted, so that nobody takes it for the line going on.
        ax.plot(*tie, color=end.colour, lw=1, ls=":", clip_on=False, transform=px, scalex=False, scaley=False)
        colour = MUTED if end.colour == PUBLISHED else INK
        text = "\n".join(name)
        ax.text(column, place, text, size=SMALL, color=colour, va="center", linespacing=1.2, transform=px)


def _lines(end: End, width: int) -> list[str]:
    return [*textwrap.wrap(end.name, width), *(end.below.split("\n") if end.below else [])]


def within(places: Sequence[float], heights: Sequence[float], low: float, high: float) -> list[float]:
    """The places pushed back between two bounds, still in order and apart; the lower bound gives way first."""
    found = list(places)
    for i, height in enumerate(heights):
        found[i] = max(found[i], low + height / 2)
        low = found[i] + height / 2
    for i in reversed(range(len(found))):
        found[i] = min(found[i], high - heights[i] / 2)
        high = found[i] - heights[i] / 2
    return found


def apart(wanted: Sequence[float], heights: Sequence[float]) -> list[float]:
    """Ascending places near the wanted ones that do not touch: blocks that would are stacked around their mean."""
    blocks: list[tuple[float, float, list[int]]] = []  # lower end, height, members
    for number, (centre, height) in enumerate(zip(wanted, heights, strict=True)):
        low, members = centre - height / 2, [number]
        while blocks and blocks[-1][0] + blocks[-1][1] > low:
            _, before_height, before = blocks.pop()
            members = before + members
            height += before_height
            low = intervals.mean([wanted[i] for i in members]) - height / 2
        blocks.append((low, height, members))
    places = [0.0] * len(wanted)
    for low, _, members in blocks:
        for i in members:
            places[i] = low + heights[i] / 2
            low += heights[i]
    return places
