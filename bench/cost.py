"""What a training costs: multiply-accumulates -> FLOPs -> hours -> dollars, from a dated and sourced table of devices.

Never gives a bare number: hours, prices and throughputs carry a label (published, estimated, measured) and a source,
and a sum is labelled by its weakest part. Measures nothing itself and knows no torch.

The published side is Table 2 of the ConvMixer reproduction: 5, 15 and 40 TFLOP/s effective on T4, V100 and A100.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from bench.errors import UsageError
from bench.registry import near

Basis = Literal["published", "estimated", "measured"]

SECONDS_PER_HOUR = 3600
FLOPS_PER_MAC = 2  # one multiplication, one addition
PASSES_PER_STEP = 3  # forward once, backward twice: the gradients by the inputs and by the weights


@dataclass(frozen=True)
class Figure:
    """One number with its label. The unit stands at the field that holds it."""

    value: float
    basis: Basis
    source: str
    dated: str  # the day, month or year for which the source says it; "undated" when it does not


@dataclass(frozen=True)
class Device:
    """What one device can do and costs. Of `effective` and `prices`, the first is the default."""

    name: str
    title: str
    peak_flops_per_s: Mapping[str, float]  # by precision, dense products, no sparsity
    bandwidth_bytes_per_s: float
    datasheet: str
    effective: tuple[Figure, ...]  # FLOP/s of a whole training
    prices: tuple[Figure, ...]  # dollars per hour, on demand


@dataclass(frozen=True)
class Cost:
    """Hours and dollars of one training on one device. `basis` labels the hours, `usd_basis` the dollars."""

    device: str
    hours: float
    usd: float | None  # None: the table has no price for this device
    basis: Basis
    usd_basis: Basis | None
    source: str


@dataclass(frozen=True)
class Roofline:
    """Where an operation stands between bandwidth and arithmetic (Williams, Waterman, Patterson 2009)."""

    intensity: float  # FLOPs per byte moved
    attainable_flops_per_s: float
    bound: Literal["memory", "compute"]


TABLE_2 = "ConvMixer reproduction, Table 2"

# Model FLOP utilisation of four published large trainings lies between 21 % and 46 % (PaLM, arXiv 2204.02311,
# Table 3). A value in the middle, assumed for convolutional and Mixer models of ImageNet size, not measured.
UTILISATION = 0.30


def _implied(hours: tuple[float, float], usd: tuple[float, float]) -> Figure:
    """Dollars per hour behind the two rows (768/32 and 1536/20) of one column of Table 2."""
    return Figure(sum(usd) / sum(hours), "published", f"implied by {TABLE_2}: {usd} $ for {hours} h", "2025")


def _assumed(half_precision_peak: float) -> Figure:
    source = f"{UTILISATION:.0%} of the half-precision peak, an assumption (PaLM, Table 3 spans 21 to 46 %)"
    return Figure(UTILISATION * half_precision_peak, "estimated", source, "2022")


def _table_2(flops_per_s: float) -> Figure:
    return Figure(flops_per_s, "published", TABLE_2, "2025")


_GOOGLE = "as listed by Google Cloud, us-central1, on demand"

_TABLE = (
    Device(
        "t4",
        "NVIDIA T4, 16 GB",
        {"float32": 8.1e12, "float16": 65e12},
        300e9,
        "NVIDIA T4 data sheet",
        (_table_2(5e12), _assumed(65e12)),
        (
            _implied((420, 1040), (150, 360)),
            Figure(0.35, "estimated", f"{_GOOGLE}, the GPU without its machine", "undated"),
        ),
    ),
    Device(
        "v100",
        "NVIDIA V100 SXM2, 16 GB",
        {"float32": 15.7e12, "float16": 125e12},
        900e9,
        "NVIDIA V100 data sheet",
        (_table_2(15e12), _assumed(125e12)),
        (
            _implied((140, 346), (350, 860)),
            Figure(2.48, "estimated", f"{_GOOGLE}, the GPU without its machine", "undated"),
        ),
    ),
    Device(
        "a100",
        "NVIDIA A100 SXM4, 40 GB",
        {"float32": 19.5e12, "tensorfloat32": 156e12, "bfloat16": 312e12, "float16": 312e12},
        1555e9,
        "NVIDIA A100 data sheet",
        (_table_2(40e12), _assumed(312e12)),
        (
            _implied((52, 130), (190, 480)),
            Figure(3.673385, "estimated", f"{_GOOGLE}, machine a2-highgpu-1g", "2025-03-06"),
        ),
    ),
    Device(
        "h100",
        "NVIDIA H100 SXM5, 80 GB",
        {"float32": 67e12, "tensorfloat32": 494.7e12, "bfloat16": 989.4e12, "float16": 989.4e12},
        3350e9,
        "NVIDIA H100 data sheet, whose sparse figures are halved",
        (_assumed(989.4e12),),
        (
            Figure(10.9791, "estimated", f"{_GOOGLE}, machine a3-highgpu-1g", "2026-09-26"),
            Figure(6.88, "estimated", "as listed by AWS, us-east-1, on demand, p5.48xlarge / 8", "2026-11-09"),
        ),
    ),
)

DEVICES: dict[str, Device] = {device.name: device for device in _TABLE}

# Plain eager float32 steps of the CIFAR Mixer (42.3e6 MACs, batch 128, dropout 0.15, AdamW, torch 2.13) on AVX-512
# cores shared with other work: 84 to 182 images/s on one, 240 on two, so 21 to 46 and 31 GFLOP/s per core. An idle
# machine and a leaner loop are faster, other models and older cores slower: good for a factor of two.
CPU_CORE = Figure(28e9, "estimated", "one AVX-512 core in eager float32 training, assumed of every CPU", "2026-11")


def device(name: str) -> Device:
    """The table's entry of that name.

    Raises:
        UsageError: the table has no such device.
    """
    if name not in DEVICES:
        raise UsageError(f"no device '{name}' in the cost table.{near(name, sorted(DEVICES))}")
    return DEVICES[name]


def recognise(device_name: str) -> Device | None:
    """The table's entry for a name as a driver gives it, such as `NVIDIA A100-SXM4-40GB`; None when it is not there."""
    words = device_name.lower().replace("-", " ").split()
    return next((found for name, found in DEVICES.items() if name in words), None)


def training_flops(macs: float, images: float, epochs: float) -> float:
    """FLOPs of a training: 2 per multiply-accumulate, 3 passes per step.

    Args:
        macs: multiply-accumulates of one forward pass of one image.
        images: training images per epoch.
    """
    return FLOPS_PER_MAC * PASSES_PER_STEP * macs * images * epochs


def cost_of(flops: float, name: str, *, basis: Basis | None = None) -> Cost:
    """Hours and dollars of `flops` on one device of the table.

    Args:
        basis: take throughput and price of this label where the device has one; default: the first of each.

    Raises:
        UsageError: the table has no such device.
    """
    chosen = device(name)
    throughput, price = _pick(chosen.effective, basis), _pick(chosen.prices, basis)
    hours = flops / throughput.value / SECONDS_PER_HOUR
    source = f"{throughput.value / 1e12:g} TFLOP/s ({throughput.source}); {_quoted(price)}"
    return Cost(name, hours, hours * price.value, throughput.basis, weaker(throughput.basis, price.basis), source)


def cost_of_seconds(seconds: float, name: str, *, basis: Basis = "measured") -> Cost:
    """Hours and dollars of seconds that were spent on that very device, measured here or published (say so)."""
    price = device(name).prices[0]
    hours = seconds / SECONDS_PER_HOUR
    source = f"{basis} seconds; {_quoted(price)}"
    return Cost(name, hours, hours * price.value, basis, weaker(basis, price.basis), source)


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


def weaker(*bases: Basis) -> Basis:
    """The label of a number made from others: estimated if any is, else published if any is, else measured."""
    order: tuple[Basis, ...] = ("estimated", "published", "measured")
    return min(bases, key=order.index)


def _pick(figures: tuple[Figure, ...], basis: Basis | None) -> Figure:
    return next((figure for figure in figures if figure.basis == basis), figures[0])


def _effective(name: str, cores: int) -> float:
    return CPU_CORE.value * cores if name == "cpu" else device(name).effective[0].value


def _quoted(price: Figure) -> str:
    return f"{price.value:.3g} $/h ({price.source}, {price.dated})"
