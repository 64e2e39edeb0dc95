"""Numbers out of what a foreign program wrote: JSON, JSON lines, CSV, or a pattern over its log.

Takes no number of an earlier run: a file that is older than the run is not read.
"""

import csv
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from bench.errors import near
from bench.records.measurement import Reading
from bench.suite.results import LOG, Spot, place

_CLOCK_STEP_S = 2.0  # the coarsest clock of a file system
_MOST_BYTES = 256 * 2**20
_SHOWN = 60


class NotThere(Exception):
    """A number is not where the suite says; in words, with what is there instead."""


@dataclass(frozen=True)
class Results:
    """What a run has left: its output folder, the folder it ran in, its log, and when it began."""

    out: Path
    home: Path
    log: Path
    begun: float  # seconds since the epoch

    def readings(self, metric: str, where: Mapping[str, Any]) -> Iterator[Reading]:
        """The readings of one metric: one, or one for each epoch of a curve.

        Raises:
            NotThere: there is no such number.
        """
        spot, times = place(where["at"]), float(where.get("times", 1.0))
        found = self._found(spot)
        if not found:
            raise NotThere(f"{where['at']}: nothing is there")
        epochs = [epoch for epoch, _ in found]
        values = [self._number(value, where["at"]) * times for _, value in found]
        if named := where.get("epoch"):
            epochs = [self._number(value, named) for _, value in self._found(place(named))]
            if len(epochs) != len(values):
                raise NotThere(f"{len(values)} values in {where['at']}, {len(epochs)} epochs in {named}")
        pattern_alone = spot.kind == "pattern" and epochs[0] is None
        take = where.get("take") or ("last" if pattern_alone else "all")
        if take != "all":
            chosen = {"last": values[-1], "first": values[0], "max": max(values), "min": min(values)}
            yield Reading(metric, chosen[take])
        elif len(values) == 1 and epochs[0] is None:
            yield Reading(metric, values[0])
        else:
            yield from self._curve(metric, where["at"], epochs, values)

    def _curve(self, metric: str, where: str, epochs: Sequence[Any], values: Sequence[float]) -> Iterator[Reading]:
        numbers = [number + 1 if epoch is None else self._number(epoch, where) for number, epoch in enumerate(epochs)]
        by_epoch: dict[int, float] = {}
        for epoch, value in zip(numbers, values, strict=True):
            if not float(epoch).is_integer() or epoch < 0:
                raise NotThere(f"{where}: an epoch is a whole number, not {epoch}")
            by_epoch[int(epoch)] = value  # what was printed twice, as after a restart, counts as printed last
        for epoch in sorted(by_epoch):
            yield Reading(metric, by_epoch[epoch], epoch=epoch)

    def _number(self, value: Any, where: str) -> float:
        text = str(value).strip().removesuffix("%").strip()
        if isinstance(value, bool) or value is None:
            raise NotThere(f"{where} is {json.dumps(value)}, no number")
        try:
            return float(text)
        except ValueError as error:
            raise NotThere(f"{where} is '{text[:_SHOWN]}', no number") from error

    def _found(self, spot: Spot) -> list[tuple[Any, Any]]:
        """Pairs of epoch and value as they are written; the epoch is None where nothing says it."""
        if spot.kind == "pattern":
            return _matched(spot, self._log_text if spot.file == LOG else self._text(spot.file))
        text = self._text(spot.file)
        if spot.kind == "csv":
            return _column(spot, text)
        try:
            if spot.kind == "json":
                return _leaf(spot, json.loads(text))
            lines = [json.loads(line) for line in text.splitlines() if line.strip()]
        except ValueError as error:
            raise NotThere(f"{spot.file} is no JSON: {error}") from error
        # Lines of other kinds (a head, a summary) have no such key.
        return [(None, value) for line in lines for value in _maybe(line, spot.path)]

    @cached_property
    def _log_text(self) -> str:
        return _read(self.log, LOG).replace("\r\n", "\n").replace("\r", "\n")

    def _text(self, name: str) -> str:
        for folder in (self.out, self.home):
            path = folder / name
            if path.is_file() and (folder == self.out or path.stat().st_mtime >= self.begun - _CLOCK_STEP_S):
                return _read(path, name)
        written = sorted(str(path.relative_to(self.out)) for path in self.out.rglob("*") if path.is_file())
        old = " (one of an earlier run lies in the folder)" if (self.home / name).is_file() else ""
        raise NotThere(f"the command wrote no '{name}'{old}.{near(name, written)}")


def _read(path: Path, name: str) -> str:
    if path.stat().st_size > _MOST_BYTES:
        raise NotThere(f"{name} has more than {_MOST_BYTES // 2**20} MiB")
    return path.read_text(encoding="utf-8-sig", errors="replace")


def _matched(spot: Spot, text: str) -> list[tuple[Any, Any]]:
    pattern = re.compile(spot.inner, re.MULTILINE)
    found = list(pattern.finditer(text))
    if not found:
        raise NotThere(f"'{spot.inner}' matches nothing in the {'log' if spot.file == LOG else spot.file}")
    if "value" in pattern.groupindex:
        return [(match.groupdict().get("epoch"), match["value"]) for match in found]
    return [(match[1], match[2]) if pattern.groups == 2 else (None, match[1]) for match in found]


def _column(spot: Spot, text: str) -> list[tuple[Any, Any]]:
    separator = "\t" if spot.file.lower().endswith(".tsv") else _separator(text)
    rows = list(csv.DictReader(text.splitlines(), delimiter=separator, skipinitialspace=True))
    names = {str(name).strip(): name for name in (rows[0] if rows else ()) if name is not None}
    if spot.inner not in names:
        raise NotThere(f"{spot.file} has no column '{spot.inner}'.{near(spot.inner, list(names))}")
    epoch = next((names[name] for name in names if name.lower() == "epoch"), None)
    filled = [row for row in rows if str(row[names[spot.inner]] or "").strip()]
    # Of one line, what it says beside the value is no curve.
    return [(row[epoch] if epoch and len(filled) > 1 else None, row[names[spot.inner]]) for row in filled]


def _separator(text: str) -> str:
    head = text.partition("\n")[0]
    return max((",", ";", "\t"), key=head.count)


def _leaf(spot: Spot, content: Any) -> list[tuple[Any, Any]]:
    found = _walked(content, spot.path, spot.file)
    return [(None, value) for value in (found if isinstance(found, list) else [found])]


def _walked(content: Any, path: tuple[str | int | None, ...], at: str) -> Any:
    """What stands at a path; of every element of a list where the path says so."""
    for number, step in enumerate(path):
        if step is None:
            if not isinstance(content, list):
                raise NotThere(f"{at} is no list")
            return [_walked(each, path[number + 1 :], f"{at}[{index}]") for index, each in enumerate(content)]
        if isinstance(step, int):
            if not isinstance(content, list) or not -len(content) <= step < len(content):
                size = f"has {len(content)} elements" if isinstance(content, list) else "is no list"
                raise NotThere(f"{at} {size}, so there is no [{step}]")
            content, at = content[step], f"{at}[{step}]"
            continue
        if not isinstance(content, dict) or step not in content:
            known = sorted(map(str, content)) if isinstance(content, dict) else []
            raise NotThere(
                f"{at} has no '{step}'.{near(step, known)}" if known else f"{at} is no table with a '{step}'"
            )
        content, at = content[step], f"{at}:{step}" if at.endswith((".json", ".jsonl")) else f"{at}.{step}"
    return content


def _maybe(content: Any, path: tuple[str | int | None, ...]) -> list[Any]:
    try:
        found = _walked(content, path, "")
    except NotThere:
        return []
    return found if isinstance(found, list) else [found]
