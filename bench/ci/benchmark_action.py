"""Figures as github-action-benchmark draws them over commits: its `customSmallerIsBetter` and `customBiggerIsBetter`.

Gives ratios, shares and counts only. A stored speed compares two machines, not two commits: times and images per second
are left out. A change in percent is given as the ratio that it is, for the action divides each value by the last one.
"""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

from bench.ci import wording
from bench.ci.as_json import dumps
from bench.ci.outcome import CiOutcome, OutcomeFigure
from bench.records.metrics import UNITS

_RELATIVE = ("ratio", "%")
_CHANGE = "_change"  # how the name of a change ends: `wall_change`, in percent


def render(outcomes: Sequence[CiOutcome], better: Literal["lower", "higher"] = "lower") -> str:
    """The list for one chart: all figures of which less, or more, is better. The action takes one direction per file.

    A count without a direction stands among those of which less is better, so that growth raises the alert.
    """
    found = [(each, _as_ratio(figure)) for each in outcomes for figure in each.figures]
    return dumps([_entry(outcome, figure) for outcome, figure in found if _belongs(figure, better)])


def _as_ratio(figure: OutcomeFigure) -> OutcomeFigure:
    """`wall_change` of +0.3 % becomes `wall_ratio` of 1.003; any other figure stays as it is."""
    if figure.unit != "%" or not figure.name.endswith(_CHANGE):
        return figure
    low, high = (None if end is None else 1 + end / 100 for end in (figure.low, figure.high))
    name = f"{figure.name.removesuffix(_CHANGE)}_ratio"
    return replace(figure, name=name, value=1 + figure.value / 100, unit="ratio", low=low, high=high)


def _belongs(figure: OutcomeFigure, better: str) -> bool:
    if not math.isfinite(figure.value):
        return False
    if figure.unit in wording.COUNTS:
        return (figure.better or "lower") == better
    return figure.unit in _RELATIVE and figure.better == better


def _entry(outcome: CiOutcome, figure: OutcomeFigure) -> dict[str, str | float]:
    entry: dict[str, str | float] = {
        "name": f"{outcome.group} / {outcome.name} / {figure.name}",
        "unit": UNITS.get(figure.unit, figure.unit),
        "value": figure.value,
        "extra": "\n".join(filter(None, (f"{outcome.word}: {outcome.reason}", outcome.command))),
    }
    return entry | ({"range": interval} if (interval := wording.bounds(figure)) else {})
