"""What devices can do and what an hour of them costs: a dated and sourced table, each figure with its label.

Prices nothing itself: `money` does.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from bench.errors import UsageError, near

Basis = Literal["published", "estimated", "measured"]

SECONDS_PER_HOUR = 3600


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
