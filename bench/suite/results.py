"""Where in what a command wrote a number stands: `metrics.json:best.top1`, `log:acc ([\\d.]+)`, `log.csv:top1`.

Opens nothing: it says which file, which part of it, and what one may be after.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Discriminator, Field, Tag

from bench.suite.fields import Text
from bench.suite.table import Table

Kind = Literal["json", "jsonl", "csv", "pattern"]
Take = Literal["all", "last", "first", "max", "min"]
LOG = "log"
_KINDS: Mapping[str, Kind] = {".json": "json", ".jsonl": "jsonl", ".ndjson": "jsonl", ".csv": "csv", ".tsv": "csv"}
_STEP = re.compile(r'\.?(?:\["(?P<quoted>[^"]+)"\]|\[(?P<index>-?\d*)\]|(?P<key>[^.\[\]]+))')


@dataclass(frozen=True)
class Spot:
    """A file below the command's output folder, or its log, and what to look for in it.

    `path` is for JSON: keys, indices, and None for every element of a list. `inner` is a column or a pattern.
    """

    file: str
    kind: Kind
    inner: str
    path: tuple[str | int | None, ...] = ()


def place(text: str) -> Spot:
    """The place that a text names. Raises ValueError with what was possible."""
    file, colon, inner = text.partition(":")
    if not colon or not file or not inner:
        raise ValueError(
            f"'{text}' names no place: write 'metrics.json:best.top1', 'log.csv:top1' or 'log:acc ([\\d.]+)'"
        )
    whole = PurePosixPath(file)
    if whole.is_absolute() or ".." in whole.parts:
        raise ValueError(f"'{file}' lies outside the folder that {{out}} names")
    kind = "pattern" if file == LOG else _KINDS.get(whole.suffix.lower(), "pattern")
    if kind == "pattern":
        _check_pattern(inner)
        return Spot(file, kind, inner)
    return Spot(file, kind, inner, () if kind == "csv" else _path(inner))


def _check_pattern(pattern: str) -> None:
    try:
        found = re.compile(pattern, re.MULTILINE)
    except re.error as error:
        raise ValueError(f"'{pattern}' is no regular expression: {error}") from error
    named = set(found.groupindex)
    if named and not {"value"} <= named <= {"value", "epoch"}:
        raise ValueError(
            f"'{pattern}' names groups {', '.join(sorted(named))}: 'value', and 'epoch' beside it, are read"
        )
    if not named and found.groups not in (1, 2):
        raise ValueError(
            f"'{pattern}' has {found.groups} groups: one is the value, of two the first is the epoch; (?:…) is no group"
        )


def _path(text: str) -> tuple[str | int | None, ...]:
    steps: list[str | int | None] = []
    at = 0
    while at < len(text):
        found = _STEP.match(text, at)
        if not found or found.end() == at:
            raise ValueError(
                f"'{text}' is no path into JSON at '{text[at:]}': write 'best.top1', 'history[].acc' or 'a[0]'"
            )
        if (index := found["index"]) is not None:
            steps.append(int(index) if index else None)
        else:
            steps.append(found["quoted"] or found["key"])
        at = found.end()
    return tuple(steps)


def _is_place(text: str) -> str:
    place(text)
    return text


PlaceText = Annotated[Text, AfterValidator(_is_place)]


class Result(Table):
    """Where a metric stands, where that takes more than a place."""

    at: PlaceText = Field(description="The place: FILE.json:PATH, FILE.csv:COLUMN, log:PATTERN or FILE:PATTERN.")
    times: float = Field(
        default=1.0, description="What it is multiplied by to be in the metric's unit: 100 for a share that is a %."
    )
    take: Take | None = Field(
        default=None,
        description="Of several numbers: all of them as a curve by epoch, or the last, first, max or min. "
        "By default a list, a column and a pattern with an epoch are a curve; of a pattern's matches the last counts.",
    )
    epoch: PlaceText | None = Field(
        default=None, description="Where the epochs of a curve stand; they count from 1 when it is left out."
    )


def _told(value: Any) -> str:
    return "<table>" if isinstance(value, (Result, Mapping)) else "<one>"


ResultOrPlace = Annotated[Annotated[PlaceText, Tag("<one>")] | Annotated[Result, Tag("<table>")], Discriminator(_told)]


def plainly(found: "str | Result") -> dict[str, Any]:
    """What stands in a case's question: only what was written."""
    return {"at": found} if isinstance(found, str) else found.model_dump(exclude_unset=True)
