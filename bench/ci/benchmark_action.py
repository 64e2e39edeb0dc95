"""Figures as github-action-benchmark draws them over commits: its `customSmallerIsBetter` and `customBiggerIsBetter`.

Gives ratios, shares and counts only. A stored speed compares two machines, not two commits: times and images per second
are left out.
"""

import math
from collections.abc import Sequence
from typing import Literal

from bench.ci import wording
from bench.ci.as_json import dumps
from bench.metrics import UNITS
from bench.outcomes import Figure, Outcome

_COUNTS = ("parameters", "macs", "flops", "elements", "images", "tokens", "epochs")
_RELATIVE = ("ratio", "%", "points")


def render(outcomes: Sequence[Outcome], better: Literal["lower", "higher"] = "lower") -> str:
    """The list for one chart: all figures of which less, or more, is better. The action takes one direction per file.

    A count without a direction stands among those of which less is better, so that growth raises the alert.
    """
    return dumps([_entry(each, figure) for each in outcomes for figure in each.figures if _belongs(figure, better)])


def _belongs(figure: Figure, better: str) -> bool:
    if not math.isfinite(figure.value):
        return False
    if figure.unit in _COUNTS:
        return (figure.better or "lower") == better
    return figure.unit in _RELATIVE and figure.better == better


def _entry(outcome: Outcome, figure: Figure) -> dict[str, str | float]:
    entry: dict[str, str | float] = {
        "name": f"{outcome.group} / {outcome.name} / {figure.name}",
        "unit": UNITS[figure.unit],
        "value": figure.value,
        "extra": "\n".join(filter(None, (f"{outcome.word}: {outcome.reason}", outcome.command))),
    }
    return entry | ({"range": interval} if (interval := wording.bounds(figure)) else {})
