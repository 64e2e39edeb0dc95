"""What a suite's trainings cost on every device of the price table: by arithmetic, as published, and from this machine.

Never writes a number without its label: measured, published or estimated, with the source of throughput and price.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import pandas as pd

from bench.cost import devices, money
from bench.report.charts.frames import finite, fullest
from bench.statistics import intervals
from bench.suite.schema import Cost as Training
from bench.suite.schema import Suite


@dataclass(frozen=True)
class Line:
    """One way of knowing what one training costs; a device without a cell cannot be known this way."""

    training: str
    way: str
    cells: tuple[money.Cost | None, ...]  # in the order of `cost.DEVICES`


def bill(suite: Suite, rows: pd.DataFrame) -> list[Line]:
    """Up to three lines for each training that the suite names.

    Args:
        rows: as `frames.named` gives them.
    """
    return [line for training in suite.costs.values() for line in _lines(training, rows)]


def counted_flops(training: Training, rows: pd.DataFrame) -> float | None:
    """FLOPs of the whole training by the multiply-accumulates counted here; None where none were."""
    macs = rows[(rows["metric"] == "macs") & (rows["model"] == training.model)]["value"]
    return money.training_flops(float(macs.iloc[-1]), training.images, training.epochs) if len(macs) else None


def _lines(training: Training, rows: pd.DataFrame) -> Iterator[Line]:
    if (flops := counted_flops(training, rows)) is not None:
        cells = tuple(money.cost_of(flops, name) for name in devices.DEVICES)
        yield Line(training.label, "counted FLOPs ÷ effective FLOP/s", cells)
    if training.published_epoch_s and training.published_device:
        seconds, device = training.published_epoch_s * training.epochs, training.published_device.lower()
        cells = tuple(_published(seconds, device, name) for name in devices.DEVICES)
        yield Line(training.label, f"published {training.published_epoch_s:g} s per epoch", cells)
    yield from _from_here(training, rows)


def _published(seconds: float, device: str, name: str) -> money.Cost:
    if name == device:
        return money.cost_of_seconds(seconds, name, basis="published")
    return money.scaled_cost(seconds, device, name)


def _from_here(training: Training, rows: pd.DataFrame) -> Iterator[Line]:
    """Seconds per image of the epochs measured here, carried over to the images and epochs of the training."""
    rows = finite(rows)
    found = fullest(rows[(rows["metric"] == "epoch_s") & (rows["model"] == training.model) & rows["n_train"].notna()])
    if found.empty:
        return
    per_image = intervals.median([float(s) / int(n) for s, n in zip(found["value"], found["n_train"], strict=True)])
    seconds = per_image * training.images * training.epochs
    device_name, cores = str(found["device_name"].iloc[0]), int(found["threads"].iloc[0])
    known = devices.recognise(device_name)
    if known is None and found["device"].iloc[0] != "cpu":
        return  # an accelerator that the table does not know cannot be carried over
    cells = tuple(
        money.cost_of_seconds(seconds, name)
        if known and known.name == name
        else money.scaled_cost(seconds, known.name if known else "cpu", name, cores=cores)
        for name in devices.DEVICES
    )
    yield Line(training.label, f"seconds per image measured on {device_name}", cells)
