"""What a figure is once it is drawn, or why it is not: records that need no drawing library.

Draws nothing.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Figure:
    """A finished figure: its reading above it, what it shows to somebody who cannot see it, and its data."""

    name: str
    title: str
    reading: str
    alt: str
    svg: str  # for the page: its variables, no ids but prefixed ones
    standalone: str  # for a file beside a Markdown page: on white
    csv: str
    note: str | None = None


@dataclass(frozen=True)
class Absent:
    """A figure for which there is no data, with the reason and what would get it."""

    name: str
    title: str
    reason: str
    measure: str | None = None  # the suite's key of what has to be measured
    command: str | None = None


@dataclass(frozen=True)
class Drawn:
    """All figures of one suite, and which of its published curves could not be read."""

    forest: Figure | Absent
    figures: tuple[Figure | Absent, ...]
    problems: tuple[str, ...]
