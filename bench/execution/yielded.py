"""What a measure yields, checked: a value of a known metric, a reason, or facts about the data, and nothing else.

Corrects no measure: what does not fit is refused in a sentence, and the executor makes a row of it.
"""

import math
from collections.abc import Iterator
from dataclasses import replace
from numbers import Real
from operator import index
from typing import Any, Protocol, get_args

from bench.errors import MeasurementError, near
from bench.execution.context import Context
from bench.plan.case import Case
from bench.records.measurement import DataFacts, Reading, Status
from bench.records.metrics import METRICS

MOST_READINGS = 1_000_000  # of one case: what yields more has lost its way
_BIGGEST = 2**63  # of a column of whole numbers


class Measure(Protocol):
    """A way of measuring, as `registry.measures` lists them."""

    def __call__(self, case: Case, context: Context, **options: Any) -> Iterator[DataFacts | Reading]:
        """Measure the case and yield what was found, as soon as it is known."""


def checked(item: object) -> DataFacts | Reading:
    """The item, its value a float; a value that is not finite is a reading without one, that says so.

    Raises:
        MeasurementError: it is no reading and no data facts, its metric is not known, or its value is no number.
    """
    if isinstance(item, DataFacts):
        _text("dataset_sha256", item.dataset_sha256, optional=False)
        _text("weights_sha256", item.weights_sha256)
        counted = {field: _whole(field, getattr(item, field)) for field in ("n_train", "n_test")}
        if None in counted.values():
            raise MeasurementError("facts about data have both a number of training images and one of test images")
        return replace(item, **counted)
    if not isinstance(item, Reading):
        raise MeasurementError(f"a measure yields Reading and DataFacts, this one yielded {_named(item)}")
    _text("metric", item.metric, optional=False)
    if item.metric not in METRICS:
        raise MeasurementError(f"no metric '{item.metric}'.{near(item.metric, sorted(METRICS))}")
    for field in ("part", "reason", "detail"):
        _text(f"{item.metric}: {field}", getattr(item, field))
    counted = {field: _whole(f"{item.metric}: {field}", getattr(item, field)) for field in ("epoch", "repeat")}
    if item.status not in get_args(Status):
        raise MeasurementError(f"{item.metric}: status {item.status!r} is none of {', '.join(get_args(Status))}")
    return _with_number(replace(item, **counted))


def _with_number(reading: Reading) -> Reading:
    if reading.value is None:
        if reading.status == "ok":
            raise MeasurementError(f"{reading.metric}: neither a value nor a reason why there is none")
        return reading
    value = _number(reading.metric, reading.value)
    if math.isfinite(value) and not METRICS[reading.metric].possible(value):
        raise MeasurementError(f"{reading.metric}: {value:g} % of test images, where 0 to 100 can be")
    if math.isfinite(value):
        return replace(reading, value=value)
    status: Status = "failed" if reading.status == "ok" else reading.status
    return replace(reading, value=None, status=status, reason=reading.reason or f"the value was {value}")


def _number(metric: str, value: Any) -> float:
    """A Python, numpy or torch scalar as a float. Raises MeasurementError where it is none."""
    found = value.item() if getattr(value, "shape", None) == () and hasattr(value, "item") else value
    if isinstance(found, bool) or not isinstance(found, Real):
        raise MeasurementError(f"{metric}: a value is a number, not {_named(value)}")
    try:
        return float(found)
    except OverflowError:
        return math.inf


def _text(name: str, value: object, *, optional: bool = True) -> None:
    if value is None and optional:
        return
    if not isinstance(value, str):
        raise MeasurementError(f"{name} is text, not {_named(value)}")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise MeasurementError(f"{name} cannot be written as UTF-8: {value!r}") from error


def _whole(name: str, value: Any) -> Any:
    """A Python or numpy integer that a column can hold, as an int; None stays None."""
    if value is None:
        return None
    try:
        found = None if isinstance(value, bool) else index(value)
    except TypeError:
        found = None
    if found is None or not -_BIGGEST <= found < _BIGGEST:
        raise MeasurementError(f"{name} is a whole number, not {_named(value)}")
    return found


def _named(value: object) -> str:
    """A value in an error: short, and with its kind."""
    kind = type(value).__name__
    shape = getattr(value, "shape", None)
    if isinstance(value, (str, int, float)):
        return f"{kind} {str(value)[:60]!r}"
    return f"{kind} of shape {tuple(shape)}" if isinstance(shape, tuple) and shape else f"a {kind}"
