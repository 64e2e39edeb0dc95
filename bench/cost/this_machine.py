"""What this machine can do: as `bench doctor --calibrate` has measured it, else as the table says of its kind.

Measures nothing. The figures of a calibration lie in the user's cache folder, one file for each device of a machine,
and name no host and no user.
"""

import hashlib
import json
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bench import machine
from bench.cost import devices
from bench.cost.devices import Device
from bench.cost.efficiencies import Efficiencies, fitted
from bench.files import write_text

VARIABLE = "BENCH_CACHE"  # names another folder


@dataclass(frozen=True)
class Calibration:
    """What a device was seen to do: large products, copies in memory, the least operator, and typical ones by class.

    `backward` are seconds of a backward pass over those of two forward passes.
    """

    device_name: str
    cores: int | None  # threads that a CPU was given; None: an accelerator
    measured: str  # the day
    flops_per_s: dict[str, float]  # by precision
    bandwidth_bytes_per_s: float
    launch_s: float
    arithmetic: dict[str, float]  # FLOP/s
    traffic: dict[str, float]  # bytes/s
    backward: dict[str, float]


def folder() -> Path:
    """Where calibrations lie."""
    named, home = os.environ.get(VARIABLE), os.environ.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser()
    return Path(named) if named else Path(home) / "mixer-bench"


def _file(device_name: str, cores: int | None) -> Path:
    digest = hashlib.sha256(f"{device_name} {cores}".encode()).hexdigest()[:12]
    return folder() / "calibration" / f"{digest}.json"


def keep(found: Calibration) -> Path:
    """Write a calibration over the one before; its file."""
    path = _file(found.device_name, found.cores)
    write_text(path, json.dumps(vars(found), indent=2) + "\n")
    return path


def calibration(device_name: str, cores: int | None) -> Calibration | None:
    """The calibration of a device of this machine; None where nobody made one that can be read."""
    try:
        found: dict[str, Any] = json.loads(_file(device_name, cores).read_text(encoding="utf-8"))
        return Calibration(**found)
    except (OSError, ValueError, TypeError):
        return None


@dataclass(frozen=True)
class KnownDevice:
    """A device with the efficiencies to predict with; `calibrated` is the day, None where nobody did."""

    device: Device
    efficiencies: Efficiencies
    calibrated: str | None = None


def from_table(name: str) -> KnownDevice:
    """A device by its name in the table, with the efficiencies of its sort. Raises UsageError for an unknown one."""
    known = devices.device(name)
    return KnownDevice(known, fitted().efficiencies[known.sort])


def here(device_name: str, cores: int | None) -> KnownDevice | None:
    """This machine's device: calibrated where it was, else as the table has it; None for one that nobody knows.

    Args:
        device_name: as a run records it.
        cores: threads of a CPU; None: an accelerator.
    """
    known = devices.recognise(device_name)
    if known is None and cores is not None:
        known = devices.cpu(machine.cpu_flags(), cores)
    if known is None:
        return None
    known, usual = replace(known, cores=cores), fitted().efficiencies[known.sort]
    found = calibration(device_name, cores)
    return KnownDevice(known, usual) if found is None else _as_measured(known, usual, found)


def _as_measured(known: Device, usual: Efficiencies, found: Calibration) -> KnownDevice:
    peaks = {**known.peak_flops_per_s, **found.flops_per_s}
    device = replace(
        known,
        peak_flops_per_s=peaks,
        bandwidth_bytes_per_s=found.bandwidth_bytes_per_s,
        datasheet=f"calibrated here on {found.measured}",
    )
    plain = peaks["float32"]
    seen = replace(
        usual,
        arithmetic={**usual.arithmetic, **{name: rate / plain for name, rate in found.arithmetic.items()}},
        traffic={
            **dict.fromkeys(usual.traffic, 1.0),
            **{name: rate / found.bandwidth_bytes_per_s for name, rate in found.traffic.items()},
        },
        backward={**usual.backward, **found.backward},
        begin_s=found.launch_s if known.sort == "cpu" else usual.begin_s,
        launch_s=found.launch_s,
        cached=0.0,  # what was measured had its inputs where a step has them
    )
    return KnownDevice(device, seen, found.measured)
