"""What this machine can measure, and what will make it noisy.

Changes nothing and judges no number.
"""

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch

from bench import machine
from bench.execution.conditions import allocator, device_name, has_mallopt, malloc_variables

_NEEDED_BYTES = 2 * 2**30  # memory and disk of a quick run, generously


@dataclass(frozen=True)
class Finding:
    """One fact about this machine: `good` for measuring, a `note` on what it cannot do, or what makes it `noisy`."""

    subject: str
    level: Literal["good", "note", "noisy"]
    text: str


def findings(data_dir: Path | None = None) -> list[Finding]:
    """What this machine can measure and what will make it noisy, in the order in which one would ask."""
    return [*_abilities(data_dir), *_noise()]


def _abilities(data_dir: Path | None) -> Iterator[Finding]:
    yield Finding("torch", "good", f"{torch.__version__} on {device_name('cpu')}, {machine.cores()} cores")
    if torch.cuda.is_available():
        yield Finding(
            "cuda", "good", f"{device_name('cuda')}, CUDA {torch.version.cuda}, driver {machine.nvidia_driver()}"
        )
    else:
        yield Finding("cuda", "note", "no device: speed claims about graphics cards stay without a row here")
    yield _torchvision()
    timm = machine.packages().get("timm")
    yield Finding("timm", "good", timm) if timm else Finding("timm", "note", "absent: pip install timm for timm:NAME")
    home = data_dir or Path(os.environ.get("BENCH_DATA", ""))
    for name in ("cifar10", "cifar100"):
        found = bool(home.parts) and (home / name).is_dir()
        instead = ", only its embedded sample is there" if name == "cifar10" else ""
        absent = f"absent{instead}: --data DIR or BENCH_DATA names the folder that holds {name}/"
        yield Finding(name, "good" if found else "note", "found" if found else absent)


def _torchvision() -> Finding:
    # Inside the function: an import that fails is what is asked about here.
    try:
        from bench.torchvision_import import DECLARED, torchvision
    except (ImportError, RuntimeError) as error:
        return Finding("torchvision", "note", f"cannot be imported: {error}")
    without = f", without its compiled operators ({', '.join(DECLARED)})" if DECLARED else ""
    return Finding("torchvision", "note" if DECLARED else "good", f"{torchvision.__version__}{without}")


def _noise() -> Iterator[Finding]:
    load, cores, governor = machine.load(), machine.cores(), machine.governor()
    if load is not None:
        busy = load > 0.5 * cores
        yield Finding("load", "noisy" if busy else "good", f"{load:.2f} of {cores} cores wanted by other work")
    if governor is not None:
        yield Finding("governor", "good" if governor == "performance" else "noisy", governor)
    if cores > 1:
        policy = os.environ.get("OMP_WAIT_POLICY", "not set")
        asleep = policy.upper() == "PASSIVE"
        yield Finding(
            "threads",
            "good" if asleep else "noisy",
            f"OMP_WAIT_POLICY {policy}; what spins takes its core from what works, so a run sets PASSIVE",
        )
    steady = has_mallopt() or bool(malloc_variables())
    yield Finding("allocator", "good" if steady else "noisy", f"{allocator()}{'; a run pins it' * has_mallopt()}")
    for subject, free in (("memory", machine.available_bytes()), ("disk", shutil.disk_usage(".").free)):
        if free is not None:
            yield Finding(subject, "good" if free > _NEEDED_BYTES else "noisy", f"{free / 2**30:.1f} GiB free")
