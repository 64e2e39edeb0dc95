"""Whether one value is the largest of several, or only looks so: no superlative stands over overlapping intervals.

Computes no interval.
"""

from collections.abc import Hashable, Mapping, Sequence
from typing import Any


def leading(lines: Sequence[Mapping[Hashable, Any]], value: str, low: str, high: str) -> list[Mapping[Hashable, Any]]:
    """The line with the largest value, and behind it every other whose interval reaches into its own."""
    ordered = sorted(lines, key=lambda line: -line[value])
    return [ordered[0], *(line for line in ordered[1:] if line[high] >= ordered[0][low])]


def not_apart(labels: Sequence[str]) -> str:
    """`A and B cannot be told apart`, of many the first two and how many more."""
    shown = [*labels[:2], f"{len(labels) - 2} more"] if len(labels) > 3 else list(labels)
    return f"{', '.join(shown[:-1])} and {shown[-1]} cannot be told apart"
