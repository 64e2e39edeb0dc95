"""The figure of `docs/prediction.md`: predicted over published images per second, one panel per table, as small SVG.

Draws every table that has enough points, good or bad.
"""

from collections.abc import Sequence
from html import escape

import numpy as np

from bench.cost.devices import device
from bench.prediction.tables import FEW
from bench.prediction.validation import Tested

SIDE, GAP, TOP, LEFT, COLUMNS = 200, 50, 40, 50, 3
MOST = 300  # points of a panel, evenly drawn


def figure(results: Sequence[Tested]) -> str:
    """SVG with a logarithmic panel for each table; the line is where predicted and published agree."""
    shown = [one for one in results if len(one.points) >= FEW]
    rows = -(-len(shown) // COLUMNS)
    size = (LEFT + COLUMNS * (SIDE + GAP), rows * (SIDE + GAP + TOP) + 20)
    panels = [_panel(one, number) for number, one in enumerate(shown)]
    return "\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {size[0]} {size[1]}" font-family="sans-serif">',
        "<title>Predicted over published images per second</title>",
        f'<rect width="{size[0]}" height="{size[1]}" fill="#fff"/>',
        *panels, "</svg>", "",
    ])  # fmt: skip


def _panel(one: Tested, number: int) -> str:
    left, top = LEFT + number % COLUMNS * (SIDE + GAP), TOP + number // COLUMNS * (SIDE + GAP + TOP)
    batch = np.array([each.conditions.batch for each in one.points])
    said, made = np.log10(batch / one.seconds), np.log10(batch / one.predicted)
    low, high = np.floor(min(said.min(), made.min())), np.ceil(max(said.max(), made.max()))
    scale = SIDE / (high - low)
    every = max(1, len(said) // MOST)
    dots = "".join(
        f"M{(x - low) * scale:.0f} {SIDE - (y - low) * scale:.0f}h0"
        for x, y in zip(said[::every], made[::every], strict=True)
    )
    ticks = "".join(
        f'<text x="{(k - low) * scale:.0f}" y="{SIDE + 14}" text-anchor="middle">{10.0**k:g}</text>'
        f'<text x="-5" y="{SIDE - (k - low) * scale + 3:.0f}" text-anchor="end">{10.0**k:g}</text>'
        for k in np.arange(low, high + 1)
    )
    point = one.points[0]
    step = "training" if point.training else "inference"
    title = f"{device(point.device).title.removeprefix('NVIDIA ').removeprefix('GeForce ').partition(',')[0]}, {step}"
    under = f"{point.conditions.precision}, {point.conditions.layout.replace('_', ' ')}"
    return (
        f'<g transform="translate({left} {top})" font-size="10" fill="#333">'
        f'<text y="-18" font-size="12">{escape(title)}</text>'
        f'<text y="-5">{escape(under)}: median error {np.median(one.errors):.0%}</text>'
        f'<rect width="{SIDE}" height="{SIDE}" fill="none" stroke="#bbb"/><path d="M0 {SIDE}L{SIDE} 0" stroke="#bbb"/>'
        f'<path d="{dots}" stroke="#1f5fa8" stroke-opacity=".45" stroke-width="3" stroke-linecap="round" fill="none"/>'
        f"{ticks}</g>"
    )
