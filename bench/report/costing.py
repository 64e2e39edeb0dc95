"""What a suite's trainings cost on every device of the price table: by arithmetic, as published, and from this machine.

Never writes a number without its label: measured, published or estimated, with the source of throughput and price.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from bench.cost import devices, money
from bench.report import predicted_costs as costs
from bench.statistics import intervals
from bench.suite.exhibits import TrainingCost as Training
from bench.suite.schema import Suite
from bench.verdicts.selection import Selected, fullest, newest, of

# The devices whose throughput in a whole training somebody has published or assumed.
SHOWN = tuple(name for name, device in devices.DEVICES.items() if device.effective)


@dataclass(frozen=True)
class Line:
    """One way of knowing what one training costs; a device without a cell cannot be known this way."""

    training: str
    way: str
    cells: tuple[money.Cost | None, ...]  # in the order of SHOWN


def bill(suite: Suite, rows: Sequence[Selected]) -> list[Line]:
    """Up to three lines for each training that the suite names.

    Args:
        rows: those that speak for the suite.
    """
    return [line for training in suite.costs.values() for line in _lines(suite, training, rows)]


def counted_flops(training: Training, rows: Sequence[Selected]) -> float | None:
    """FLOPs of the whole training by the multiply-accumulates counted here; None where none were."""
    macs = newest(each for each in of(rows, "macs") if each.case.model == training.model and each.finite)
    return money.training_flops(macs.value, training.images, training.epochs) if macs else None


def _lines(suite: Suite, training: Training, rows: Sequence[Selected]) -> Iterator[Line]:
    if (line := predicted_line(suite, training)) is not None:
        yield line
    elif (flops := counted_flops(training, rows)) is not None:
        cells = tuple(money.cost_of(flops, name) for name in SHOWN)
        yield Line(training.label, "counted FLOPs ÷ effective FLOP/s", cells)
    if training.published_epoch_s and training.published_device:
        seconds, device = training.published_epoch_s * training.epochs, training.published_device.lower()
        cells = tuple(_published(seconds, device, name) for name in SHOWN)
        yield Line(training.label, f"published {training.published_epoch_s:g} s per epoch", cells)
    yield from _from_here(training, rows)


def predicted_line(suite: Suite, training: Training) -> Line | None:
    """The training on every device from the operators of its model; None where nobody has traced it."""
    found = [costs.predicted(suite, training, name) for name in SHOWN]
    if all(each is None for each in found):
        return None
    cells = tuple(
        money.cost_of_seconds(each.length.seconds, name, basis="predicted") if each else None
        for each, name in zip(found, SHOWN, strict=True)
    )
    waits = {each.length.waits for each in found if each}
    bound = "its image pipeline" if waits == {"pipeline"} else "its device"
    return Line(
        training.label, f"predicted from its operators, bound by {bound if len(waits) == 1 else 'either'}", cells
    )


def _published(seconds: float, device: str, name: str) -> money.Cost:
    if name == device:
        return money.cost_of_seconds(seconds, name, basis="published")
    return money.scaled_cost(seconds, device, name)


def _from_here(training: Training, rows: Sequence[Selected]) -> Iterator[Line]:
    """Seconds per image of the epochs measured here, carried over to the images and epochs of the training."""
    timed = [each for each in of(rows, "epoch_s") if each.case.model == training.model and each.finite]
    found = fullest([each for each in timed if each.row.n_train])
    if not found:
        return
    per_image = intervals.median([each.value / each.row.n_train for each in found if each.row.n_train])
    seconds = per_image * training.images * training.epochs
    device_name, cores = found[0].row.device_name, int(found[0].row.threads)
    known = devices.recognise(device_name)
    if known is not None and not known.effective:
        known = None  # nobody says what a whole training reaches there
    if known is None and found[0].row.device != "cpu":
        return  # an accelerator that the table does not know cannot be carried over
    cells = tuple(
        money.cost_of_seconds(seconds, name)
        if known and known.name == name
        else money.scaled_cost(seconds, known.name if known else "cpu", name, cores=cores)
        for name in SHOWN
    )
    yield Line(training.label, f"seconds per image measured on {device_name}", cells)
