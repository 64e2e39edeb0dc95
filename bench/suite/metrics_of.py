"""Metrics that a suite declares: `[metrics.ece_pct]` with its unit, which direction is better and what it means.

Measures none of them: an evaluation, a command or a plug-in's measure yields the values.
"""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, ValidationError

from bench.records import metrics
from bench.records.metrics import Better, Depends, Metric
from bench.suite.table import Table

Declared = Mapping[str, "MetricTable"]


class MetricTable(Table):
    """What one number means, as the table of metrics has it for those of bench; the table's key is its name."""

    unit: Annotated[str, Field(min_length=1, description="`%`, `J`, `mAP`, `tokens/s`, or a word of your own.")]
    better: Annotated[Better, Field(description="Which direction is better.")]
    meaning: Annotated[str, Field(min_length=1, description="One phrase: what the number is of.")]
    depends: Annotated[
        Depends,
        Field(description="`model`: equal everywhere. `data`: learned, so it takes seeds. `machine`: a meter."),
    ] = "machine"
    measure: Annotated[str, Field(description="The measure that yields it, where only one does.")] = ""
    protocol: Annotated[int, Field(ge=1, description="Raise it when the way of measuring changes.")] = 1
    decimals: Annotated[int, Field(ge=0, le=12)] = 0
    on_test_images: Annotated[bool, Field(description="A share of test images, in %.")] = False

    def metric(self, name: str) -> Metric:
        """The metric of that name."""
        return Metric(name, **self.model_dump())


def declare(raw: Mapping[str, Any]) -> Iterator[str]:
    """Make the metrics of a suite known while it is read, judged and shown; what is wrong with them.

    Says nothing of a table that is misshapen: that is told where the suite is parsed.
    """
    tables = raw.get("metrics")
    for name, table in tables.items() if isinstance(tables, Mapping) else ():
        try:
            metrics.declare(MetricTable.model_validate(table).metric(str(name)))
        except ValidationError:
            continue
        except ValueError as error:
            yield f"[metrics.{name}]: {error}"


def clashes(suites: Iterable[tuple[Path, Declared]]) -> Iterator[str]:
    """Metrics of one name that two suites, used together, declare differently."""
    seen: dict[str, tuple[Path, MetricTable]] = {}
    for path, tables in suites:
        for name, table in tables.items():
            first, known = seen.setdefault(name, (path, table))
            if known != table:
                differing = [key for key in MetricTable.model_fields if getattr(known, key) != getattr(table, key)]
                yield f"{path} [metrics.{name}]: {first} declares it with another {' and '.join(differing)}"
