"""Kinds of values that several tables of a suite share: names, units, sizes, seeds, pairs.

Knows no table; whether a value fits the rest of its suite is not asked here.
"""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, WithJsonSchema

from bench.errors import UsageError, near
from bench.records import units
from bench.records.metrics import METRICS, UNITS

Layout = Literal["contiguous", "channels_last"]


def _metric(name: str) -> str:
    """Checked when a suite is read, not when this file is: a plug-in may have added a metric by then."""
    if name not in METRICS:
        raise ValueError(f"no metric '{name}'.{near(name, sorted(METRICS))}")
    return name


def _unit(name: str) -> str:
    """A known unit or a quotient of known ones; `units.of` has the words for any other."""
    try:
        units.of(name)
    except UsageError as error:
        raise ValueError(str(error)) from error
    return name


MetricName = Annotated[str, AfterValidator(_metric), WithJsonSchema({"type": "string", "examples": sorted(METRICS)})]
Unit = Annotated[str, AfterValidator(_unit), WithJsonSchema({"type": "string", "examples": list(UNITS)})]
Key = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_]*$")]
Text = Annotated[str, Field(min_length=1)]


Size = Annotated[int, Field(ge=1, le=65_536)]
Seed = Annotated[int, Field(ge=0, lt=2**31)]
Seeds = Annotated[int, Field(ge=1, le=1_000)]


def _each_once(seeds: list[int]) -> list[int]:
    if twice := [seed for seed in dict.fromkeys(seeds) if seeds.count(seed) > 1]:
        raise ValueError(f"{twice[0]} is there twice")
    return seeds


def shape_of(value: Any) -> str:
    """Which of two kinds a key was given, for pydantic's discriminator: a list, or one thing."""
    return "<list>" if isinstance(value, (list, tuple)) else "<one>"


SeedList = Annotated[list[Seed], Field(min_length=1, max_length=1_000), AfterValidator(_each_once)]


def rising(pair: list[Any]) -> list[Any]:
    """The pair as it is. Raises ValueError where the upper end comes first."""
    if pair[0] > pair[1]:
        raise ValueError(f"the lower end comes first, not {pair}")
    return pair


Slice = Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=2, max_length=2), AfterValidator(rising)]
