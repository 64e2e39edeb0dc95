"""How far a check's interval lies from its band, on one axis for numbers and orderings alike.

Decides nothing: verdicts, bands and intervals come from `judge.py`; here they only get a place.
"""

import math
from dataclasses import dataclass

from bench.verdicts.judge import CheckVerdict


@dataclass(frozen=True)
class Place:
    """Where a check stands on the axis: the point, its interval, and the band that makes the claim true."""

    x: float
    low: float
    high: float
    band: tuple[float, float]


def place(check: CheckVerdict) -> Place | None:
    """The check on the axis of the plot; None when nothing was measured or there is no band to stand in.

    A point that has no finite place (an exact count that is off by anything) is at ±inf.
    """
    if check.measured is None or (check.low is None and check.high is None):
        return None
    low, high = _bound(check.low), _bound(check.high)
    if low is not None and high is not None:
        middle, half = (low + high) / 2, (high - low) / 2
        x, left, right = (_over(value - middle, half) for value in _three(check))
        return Place(x, left, right, (-1.0, 1.0))
    edge = low if low is not None else high
    if edge is None:
        return None
    at, band = (-1.0, (-1.0, math.inf)) if low is not None else (1.0, (-math.inf, 1.0))
    half = (check.measured.high - check.measured.low) / 2
    if not math.isfinite(half) or half == 0:
        half = abs(check.measured.point - edge)  # no width to measure by: one unit from the edge
    x, left, right = (at + _over(value - edge, half) for value in _three(check))
    return Place(x, left, right, band)


def _bound(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def _three(check: CheckVerdict) -> tuple[float, float, float]:
    assert check.measured is not None
    return check.measured.point, check.measured.low, check.measured.high


def _over(distance: float, half: float) -> float:
    if half > 0:
        return distance / half
    return 0.0 if distance == 0 else math.copysign(math.inf, distance)
