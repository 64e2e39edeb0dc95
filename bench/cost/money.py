"""What a training costs: multiply-accumulates -> FLOPs -> hours -> dollars, from a dated and sourced table of devices.

Never gives a bare number: hours, prices and throughputs carry a label (published, estimated, measured) and a source,
and a sum is labelled by its weakest part. Measures nothing itself and knows no torch.

The published side is Table 2 of the ConvMixer reproduction: 5, 15 and 40 TFLOP/s effective on T4, V100 and A100.
"""

from dataclasses import dataclass
from typing import Literal

from bench.cost.devices import CPU_CORE, SECONDS_PER_HOUR, UTILISATION, Basis, SourcedFigure, device
from bench.errors import UsageError, near

FLOPS_PER_MAC = 2  # one multiplication, one addition
PASSES_PER_STEP = 3  # forward once, backward twice: the gradients by the inputs and by the weights


Label = Literal["published", "estimated", "measured", "predicted"]


@dataclass(frozen=True)
class Cost:
    """Hours and dollars of one training on one device. `basis` labels the hours, `usd_basis` the dollars."""

    device: str
    hours: float
    usd: float | None  # None: the table has no price for this device
    basis: Label
    usd_basis: Label | None
    source: str


@dataclass(frozen=True)
class Roofline:
    """Where an operation stands between bandwidth and arithmetic (Williams, Waterman, Patterson 2009)."""

    intensity: float  # FLOPs per byte moved
    attainable_flops_per_s: float
    bound: Literal["memory", "compute"]


def training_flops(macs: float, images: float, epochs: float) -> float:
    """FLOPs of a training: 2 per multiply-accumulate, 3 passes per step.

    Args:
        macs: multiply-accumulates of one forward pass of one image.
        images: training images per epoch.
    """
    return FLOPS_PER_MAC * PASSES_PER_STEP * macs * images * epochs


def cost_of(flops: float, name: str, *, basis: Basis | None = None) -> Cost:
    """Hours and dollars of `flops` on one device of the table: an estimate, also by a published throughput.

    Args:
        basis: take throughput and price of this label where the device has one; default: the first of each.

    Raises:
        UsageError: the table has no such device, or no throughput or price of it.
    """
    chosen = device(name)
    if not (chosen.effective and chosen.prices):
        raise UsageError(f"{chosen.title}: the cost table has no throughput of a whole training or no price")
    throughput, price = _pick(chosen.effective, basis), _pick(chosen.prices, basis)
    hours = flops / throughput.value / SECONDS_PER_HOUR
    source = f"{throughput.value / 1e12:g} TFLOP/s ({throughput.source}); {_quoted(price)}"
    return Cost(name, hours, hours * price.value, "estimated", "estimated", source)


def cost_of_seconds(seconds: float, name: str, *, basis: Label = "measured") -> Cost:
    """Hours and dollars of seconds on that very device: measured here, published or predicted (say so)."""
    prices, hours = device(name).prices, seconds / SECONDS_PER_HOUR
    if not prices:
        return Cost(name, hours, None, basis, None, f"{basis} seconds; no price")
    source = f"{basis} seconds; {_quoted(prices[0])}"
    return Cost(name, hours, hours * prices[0].value, basis, weaker(basis, prices[0].basis), source)


def scaled_cost(seconds: float, measured_on: str, name: str, *, cores: int = 2) -> Cost:
    """Seconds spent on one device, carried over to another by the ratio of their effective throughputs: an estimate.

    Args:
        measured_on: a device of the table, or `cpu` with its number of `cores`.
    """
    here, there, price = _effective(measured_on, cores), _effective(name, cores), device(name).prices[0]
    hours = seconds * here / there / SECONDS_PER_HOUR
    source = f"seconds on {measured_on} x {here / 1e12:g} / {there / 1e12:g} TFLOP/s; {_quoted(price)}"
    return Cost(name, hours, hours * price.value, "estimated", "estimated", source)


def expected_seconds(
    macs: float, images: float, epochs: float, name: str = "cpu", *, cores: int = 2, test_images: float = 0
) -> float:
    """Seconds that a training will about take: an estimate for a plan, never a row.

    Too low for models so small that starting their kernels takes longer than the arithmetic.

    Args:
        name: a device of the table; `cpu` (with `cores`); `cuda` stands for the slowest of the table.
        test_images: images per epoch that are only evaluated, one forward pass each.
    """
    flops = training_flops(macs, images, epochs) + FLOPS_PER_MAC * macs * test_images * epochs
    return flops / _effective("t4" if name == "cuda" else name, cores)


def roofline(name: str, precision: str, flops: float, bytes_moved: float) -> Roofline:
    """min(peak, intensity x bandwidth): the most that any kernel with this traffic can reach on the device.

    Raises:
        UsageError: the device is not in the table, or has no peak for that precision.
    """
    chosen = device(name)
    peaks = chosen.peak_flops_per_s
    if precision not in peaks:
        raise UsageError(f"{chosen.title} has no peak for '{precision}'.{near(precision, list(peaks))}")
    peak, intensity = peaks[precision], flops / bytes_moved
    by_memory = intensity * chosen.bandwidth_bytes_per_s
    return Roofline(intensity, min(peak, by_memory), "memory" if by_memory < peak else "compute")


def weaker(*bases: Label) -> Label:
    """The label of a number made from others: estimated if any is, else predicted, else published, else measured."""
    order: tuple[Label, ...] = ("estimated", "predicted", "published", "measured")
    return min(bases, key=order.index)


def _pick(figures: tuple[SourcedFigure, ...], basis: Basis | None) -> SourcedFigure:
    return next((figure for figure in figures if figure.basis == basis), figures[0])


def _effective(name: str, cores: int) -> float:
    if name == "cpu":
        return CPU_CORE.value * cores
    chosen = device(name)
    return chosen.effective[0].value if chosen.effective else UTILISATION * max(chosen.peak_flops_per_s.values())


def _quoted(price: SourcedFigure) -> str:
    return f"{price.value:.3g} $/h ({price.source}, {price.dated})"
