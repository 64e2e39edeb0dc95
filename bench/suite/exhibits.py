"""What a report shows beside its claims: published curves, costs of trainings, tables of a source.

Decides nothing: no verdict depends on any of it.
"""

from typing import Annotated, Any

from pydantic import AfterValidator, Field

from bench.suite.fields import MetricName, Text
from bench.suite.table import Table, shown


def _texts_and_numbers(where: dict[str, Any]) -> dict[str, Any]:
    for key, value in where.items():
        if not isinstance(value, (str, int)) or isinstance(value, bool):
            raise ValueError(f"{key}: text or a whole number is needed (found {shown(value)})")
    return where


class Curve(Table):
    """A published curve: columns of a CSV file, drawn in grey behind the measured one."""

    file: Text
    metric: MetricName
    model: str
    dataset: str
    source: str
    label: Text
    column: Text
    where: Annotated[dict[str, Any], AfterValidator(_texts_and_numbers)] = {}
    first_epoch: int = 1  # what the file calls the first epoch


class TrainingCost(Table):
    """One training whose hours and money the report works out on every device of `bench.cost`."""

    model: str
    images: Annotated[int, Field(ge=1)]  # per epoch
    epochs: Annotated[int, Field(ge=1)]
    label: Text
    recipe: str | None = None
    dataset: str | None = None
    published_device: str | None = None
    published_epoch_s: Annotated[float, Field(gt=0)] | None = None
    source: str | None = None
    where: str | None = None


class Column(Table):
    """A column of a source's table: a device of `bench.cost`, or, without one, a count of operations."""

    label: Text
    device: str | None = None


class PrintedRow(Table):
    """A line of a source's table: the check behind each cell, or a training that is counted and priced in full."""

    group: Text
    label: Text
    checks: list[str] = []  # one per column: "C3", "C3.2" for its second `also`, "" where nothing is printed
    training: str | None = None  # a key of `costs`


class Printed(Table):
    """A table of a source, which the report shows with each published number beside the one that comes out here."""

    title: Text
    source: str
    where: Text
    note: str | None = None
    columns: Annotated[list[Column], Field(min_length=1)]
    rows: Annotated[list[PrintedRow], Field(min_length=1)]
