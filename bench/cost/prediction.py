"""How long a step takes on a device: its account's arithmetic, traffic and launches, at efficiencies fitted once.

Never a row and never a verdict: a prediction has its label and its interval, and stands beside what was published and
what was measured.

An operator takes `((flops / (peak e))^2 + (bytes / (bandwidth m))^2)^(1/2)` and a moment to begin; e and m are one
number each for its class. A host starts the operators of an accelerator one by one, and where that takes longer, it is
the step's time.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from bench.cost.devices import Device
from bench.cost.efficiencies import Efficiencies
from bench.cost.work import KINDS, Account, Kind
from bench.errors import UsageError, near

Array = NDArray[np.float64]
Bound = Literal["arithmetic", "traffic", "launches"]
PRECISIONS = ("float32", "tensorfloat32", "amp", "bfloat16", "float16")
LAYOUTS = ("contiguous", "channels_last")
SHARPNESS = 4  # of the corner between what the device takes and what its host takes
# Read: weight, gradient and the optimiser's two moments; written: weight and moments; four bytes each.
OPTIMISER_BYTES = 28
# What a process holds on a card beside tensors: its context, libraries and their workspaces, and what is cut to blocks.
RESERVED_BYTES, RESERVED_SHARE = 0.6e9, 0.05


@dataclass(frozen=True)
class Conditions:
    """How a step is run. `launch_s` is what its host takes to start an operator; None: the assumption of today."""

    batch: int
    precision: str = "float32"
    layout: str = "contiguous"
    compiled: bool = False
    launch_s: float | None = None

    def __post_init__(self) -> None:
        """Raises UsageError for a precision or layout that nobody knows."""
        for given, known in ((self.precision, PRECISIONS), (self.layout, LAYOUTS)):
            if given not in known:
                raise UsageError(f"no '{given}' to predict for.{near(given, list(known))}")

    @property
    def mixed(self) -> bool:
        """Whether the account must be one of mixed precision."""
        return self.precision == "amp"


@dataclass(frozen=True)
class Work:
    """The operators of a step as columns, and what the device can do for each of them."""

    kind: NDArray[np.int64]
    backward: NDArray[np.bool_]
    flops: Array
    bytes: Array
    calls: Array
    peak: Array
    bandwidth: float
    cache_bytes: float
    optimiser_bytes: float
    optimiser_launches: float
    channels_last: bool
    compiled: bool


@dataclass(frozen=True)
class Step:
    """One predicted step, in seconds. `parts` are the device's by class of operator; they add up to `device_s`."""

    seconds: float
    device_s: float
    host_s: float
    parts: Mapping[str, float]
    arithmetic_s: float  # at the efficiencies, as if nothing had to be moved
    traffic_s: float

    @property
    def bound(self) -> Bound:
        """What the step waits for."""
        if self.host_s > self.device_s:
            return "launches"
        return "arithmetic" if self.arithmetic_s > self.traffic_s else "traffic"


def work(account: Account, device: Device, conditions: Conditions) -> Work:
    """The account's operators for a batch, beside the peaks of a device.

    Raises:
        UsageError: the account was made for another precision.
    """
    if account.mixed != conditions.mixed:
        raise UsageError(
            f"an account {'of' if account.mixed else 'without'} mixed precision for {conditions.precision}"
        )
    each, batch = account.operators, conditions.batch
    narrow = 0.5 if conditions.precision in ("bfloat16", "float16") else 1.0
    kind = np.array([KINDS.index(one.kind) for one in each], dtype=np.int64)
    peaks = np.array([_peak(device, name, conditions.precision) for name in KINDS])
    return Work(
        kind,
        np.array([one.backward for one in each], dtype=bool),
        np.array([one.flops.of(batch) for one in each], dtype=float),
        np.array([(one.read + one.written).of(batch) * narrow for one in each], dtype=float),
        np.array([one.calls for one in each], dtype=float),
        peaks[kind] if len(each) else np.zeros(0),
        device.bandwidth_bytes_per_s,
        device.cache_bytes,
        account.parameters * OPTIMISER_BYTES * float(account.training),
        float(account.training) * account.tensors,
        conditions.layout == "channels_last",
        conditions.compiled,
    )


def _peak(device: Device, kind: Kind, precision: str) -> float:
    """FLOP/s for a class of operators: depthwise ones have no use for matrix units."""
    peaks, plain = device.peak_flops_per_s, device.peak_flops_per_s["float32"]
    if kind == "depthwise" and device.sort == "gpu":
        return plain
    return peaks.get("float16" if precision == "amp" else precision, plain)


def operator_seconds(found: Work, known: Efficiencies) -> tuple[Array, Array, Array]:
    """Seconds of each operator's single call, of its arithmetic alone and of its traffic alone."""
    arithmetic, traffic = _of_kinds(known.arithmetic, found), _of_kinds(known.traffic, found)
    moved = found.bytes / (found.bandwidth * traffic)
    if known.cached and found.cache_bytes:
        # What was written a moment ago is still in the cache if that is large enough; a longer stream drives it out.
        moved = moved * (1 - known.cached / (1 + (found.bytes / found.cache_bytes) ** 2))
    if found.compiled:
        moved = np.where(np.isin(found.kind, _FUSIBLE), moved * known.unfused, moved)
    products = found.flops / (found.peak * arithmetic)
    seconds = np.sqrt(products**2 + moved**2)
    if found.channels_last:
        seconds = seconds * _of_kinds(known.channels_last, found)
    back = _of_kinds(known.backward, found)
    if found.channels_last:
        back = back * _of_kinds(known.backward_channels_last, found)
    seconds = np.where(found.backward, seconds * back, seconds)
    return seconds + known.begin_s, products, moved


def _of_kinds(table: Mapping[str, float], found: Work) -> Array:
    """Each operator's number of a table by class."""
    numbers: Array = np.array([table[name] for name in KINDS])[found.kind]
    return numbers


_FUSIBLE = [KINDS.index(name) for name in ("norm", "elementwise")]


def predict_step(account: Account, device: Device, conditions: Conditions, known: Efficiencies) -> Step:
    """One step on a device, of which nothing but its data sheet, or its calibration, is known.

    Raises:
        UsageError: the account was made for another precision.
    """
    found = work(account, device, conditions)
    seconds, products, moved = (each * found.calls for each in operator_seconds(found, known))
    optimiser = found.optimiser_bytes / (found.bandwidth * known.traffic["elementwise"])
    parts: dict[str, float] = {name: float(seconds[found.kind == index].sum()) for index, name in enumerate(KINDS)}
    parts = {name: value for name, value in {**parts, "optimiser": optimiser}.items() if value}
    device_s = sum(parts.values())
    launch_s = known.launch_s if conditions.launch_s is None else conditions.launch_s
    host_s = launch_s * found.calls.sum() * (known.unfused if conditions.compiled else 1.0)
    host_s = 0.0 if device.sort == "cpu" else float(host_s)
    return Step(
        float((device_s**SHARPNESS + host_s**SHARPNESS) ** (1 / SHARPNESS)),
        device_s,
        host_s,
        parts,
        float(products.sum()),
        float(moved.sum()) + optimiser,
    )


def fastest_seconds(account: Account, device: Device, conditions: Conditions) -> float:
    """Below this no step on the device can be: all FLOPs at the highest peak, weights and batch moved once."""
    peak = max(device.peak_flops_per_s.values())
    return account.flops(conditions.batch) / peak


def largest_batch(account: Account, device: Device, conditions: Conditions) -> int | None:
    """The most images whose step fits into the device's memory, 0 where none do; None where its memory is not known."""
    if device.memory_bytes is None:
        return None
    free = device.memory_bytes * (1 - RESERVED_SHARE) - (RESERVED_BYTES if device.sort == "gpu" else 0.0)
    narrow = 0.5 if conditions.precision in ("bfloat16", "float16") else 1.0
    low, high = 0, 2**24
    while low < high:
        middle = (low + high + 1) // 2
        fits = account.peak_bytes(middle) * narrow <= free
        low, high = (middle, high) if fits else (low, middle - 1)
    return low


def calibrated(device: Device, **found: float) -> Device:
    """The device with figures of its own in place of the data sheet's."""
    return replace(device, **found)  # type: ignore[arg-type]
