"""A suite as far as it can be parsed: what is wrong is told and left out, so that the rest can be checked as well.

Reads no file and knows no name; whether the parts fit is `references.py`'s business.
"""

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, get_args

from pydantic import BaseModel, PydanticUserError, TypeAdapter, ValidationError

from bench.suite import units_of
from bench.suite.schema import Suite
from bench.suite.table import Place, Problem, problems_of, table_at

Raw = Mapping[str, Any]
UNREAD = "(unread)"  # stands for a name that is missing or was refused, while the rest is checked
# What stands in for a key that every suite needs, while the rest of a suite without it is checked.
_BLANK = {"schema": 1, "id": "nameless", "question": "?", "summary": "?"}


_ROUNDS = 50  # cutting a table out of a table, and so on outwards, takes a few


@dataclass(frozen=True)
class Draft:
    """The sound part of a suite; the names of all its tables, sound or not; and where something was refused."""

    suite: Suite
    names: Mapping[str, list[str]]
    refused: frozenset[Place] = frozenset()

    @cached_property
    def named(self) -> dict[str, units_of.Named]:
        """The unit of every name that an expression may use, worked out once for all expressions."""
        return units_of.named(self._plain)

    @cached_property
    def published(self) -> dict[str, float]:
        """The numbers that are known before anything is measured."""
        return units_of.published(self._plain)

    @cached_property
    def _plain(self) -> Raw:
        """What was written of the tables that expressions speak of."""
        return self.suite.model_dump(include={"quantities", "claims"}, by_alias=True, exclude_unset=True)

    def known(self, tables: str) -> list[str] | None:
        """The names that may be used of such tables; None where they cannot be told."""
        return None if (tables,) in self.refused else self.names.get(tables, [])

    def sound(self, *place: str | int) -> bool:
        """Whether nothing was refused in the table there."""
        return not any(each[: len(place)] == place for each in self.refused)

    def wrote(self, table: BaseModel, *place: str | int) -> set[str | int]:
        """The keys that are written in a table, those that were refused among them."""
        found = table.model_fields_set | {each[-1] for each in self.refused if each[:-1] == place}
        if "printed" in found:  # says these, also where it could not be read
            found |= {"published", "value", "unit"} & type(table).model_fields.keys()
        return found


def drafted(raw: Raw) -> tuple[Draft, list[str]]:
    """What of a suite parses, and what is wrong with the rest, each as `[table]: key: what`."""
    names = {key: list(table) for key, table in raw.items() if isinstance(table, dict)}
    try:
        return Draft(Suite.model_validate(raw), names), []
    except ValidationError as error:
        problems = [_in_words(problem) for problem in problems_of(error, Suite)]
    kept: dict[str, Any] = {**_BLANK, **copy.deepcopy(dict(raw))}
    refused: set[Place] = set()
    for _ in range(_ROUNDS):
        try:
            return Draft(Suite.model_validate(kept), names, frozenset(refused)), problems
        except ValidationError as error:
            refused |= _mended(kept, error)
        kept = {**_BLANK, **kept}
    return Draft(Suite.model_validate(_BLANK), names, frozenset((key,) for key in raw)), problems


def _mended(raw: dict[str, Any], error: ValidationError) -> set[Place]:
    """Cut out what is wrong and fill in what is missing; the places of both. A table may then lack something else."""
    # All places first: what is cut out would be missing on the way to the next.
    found = {(_place(raw, each["loc"]), each["loc"][-1], each["type"] == "missing") for each in error.errors()}
    places = set()
    for place, key, missing in found:
        filler = _filler(place, key) if missing and isinstance(key, str) else None
        if filler is not None:
            _at(raw, place)[key] = filler
            places.add((*place, key))
            continue
        while place and isinstance(place[-1], int):  # a list is whole or not there
            place = place[:-1]
        if place:
            _at(raw, place[:-1]).pop(place[-1], None)
            places.add(place)
    return places


def _place(raw: Any, loc: Place) -> Place:
    """The innermost key on the way to a problem that can be cut out: no tag, and no element of a list."""
    way: list[str | int] = []
    here, innermost = raw, 0
    for part in loc:
        listed = isinstance(here, list) and isinstance(part, int) and part < len(here)
        if not (listed or (isinstance(here, dict) and part in here)):
            continue
        innermost = len(way) + 1 if isinstance(here, dict) else innermost
        way.append(part)
        here = here[part]
    # What a list lacks an element of is a list; a table in a list can be mended where it stands.
    return tuple(way if isinstance(here, dict) and len(way) < len(loc) else way[:innermost])


def _at(raw: Any, place: Place) -> Any:
    here = raw
    for part in place:
        here = here[int(part)] if isinstance(here, list) else here.get(part, {})
    return here


def _filler(place: Place, key: str) -> Any:
    """Anything that could stand for a missing key; None where only a whole table could."""
    fields = table_at(place, Suite).model_fields
    if key not in fields:
        return None
    annotation = fields[key].rebuild_annotation()
    for value in (UNREAD, 2, [UNREAD], 0.5, False, *get_args(fields[key].annotation)):
        try:
            TypeAdapter(annotation).validate_python(value, strict=True)
        except (ValidationError, PydanticUserError):
            continue
        return value
    return None


def _in_words(problem: Problem) -> str:
    match problem.place:
        case (("recipes" | "profiles") as tables, str(key), ("settings" | "recipe") as inner, _, *_):
            return problem.below(f"[{tables}.{key}.{inner}]", depth=3)
    depth = max((index for index, part in enumerate(problem.place) if isinstance(part, str)), default=0)
    table, below = problem.place[:depth], problem.below("", depth)
    return f"[{'.'.join(str(part) for part in table) or 'top level'}]: {below.removeprefix('.').removeprefix(': ')}"
