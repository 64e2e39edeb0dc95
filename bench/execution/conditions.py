"""The conditions of a run: fixed before the first case, recorded once, and looked over for what will be noisy.

Records no host name, no user name and no path, and judges no number.
"""

import ctypes
import os
import platform
import random
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
import torch

import bench
from bench import git, hardware, machine
from bench.errors import UsageError
from bench.execution.context import Context
from bench.git import CodeState
from bench.records.measurement import Environment, canonical_json, identified

# glibc's mallopt parameters (malloc.h) and the environment variables that set the same before a process starts.
_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_MAX = -1, -2, -4
_TOP_PAD_BYTES = 64 * 2**20
MALLOC_VARIABLES = ("MALLOC_MMAP_MAX_", "MALLOC_TRIM_THRESHOLD_", "MALLOC_TOP_PAD_", "GLIBC_TUNABLES")
_pinned = False  # what mallopt did to this process; glibc cannot be asked


def choose_device(asked: str) -> str:
    """`auto`, `cpu` or `cuda` -> the device to use.

    Raises:
        UsageError: an unknown name, or CUDA is asked for and torch sees none.
    """
    if asked not in ("auto", "cpu", "cuda"):
        raise UsageError(f"no device '{asked}'. Known: auto, cpu, cuda")
    if asked == "cuda" and not torch.cuda.is_available():
        build = f"built for CUDA {torch.version.cuda}" if torch.version.cuda else "built without CUDA"
        raise UsageError(f"device 'cuda': torch {torch.__version__}, {build}, sees no such device. Try --device cpu.")
    return "cuda" if asked != "cpu" and torch.cuda.is_available() else "cpu"


def device_name(device: str) -> str:
    """The graphics card's name, or the processor's with the widest vectors that torch uses on it."""
    if device == "cuda":
        return torch.cuda.get_device_name()
    return f"{machine.cpu_model()} ({torch.backends.cpu.get_cpu_capability()})"


def fix_conditions(device: str, threads: int, *, deterministic: bool = True) -> None:
    """Seeds, threads, determinism and allocator of this process, before anything is measured.

    float32 means float32: no TF32 in matrix products or convolutions. Where an operator has no deterministic form,
    torch warns and goes on. On the CPU, the process keeps the memory that it once needed (`pin_allocator`).
    """
    random.seed(0)
    np.random.seed(0)
    torch.manual_seed(0)
    torch.set_num_threads(threads)
    with suppress(RuntimeError):  # settable once per process; the record says what is in force
        torch.set_num_interop_threads(1)
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # read by cuBLAS when it starts
    torch.use_deterministic_algorithms(deterministic, warn_only=True)
    # Filling every fresh tensor with NaN would be timed as part of the model.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    torch.backends.cudnn.deterministic = deterministic
    torch.backends.cudnn.benchmark = not deterministic
    torch.backends.cudnn.allow_tf32 = False
    torch.set_float32_matmul_precision("highest")
    if device == "cpu":
        pin_allocator()


def pin_allocator() -> bool:
    """Keep freed memory in this process (glibc only); True when that is in force.

    By default glibc hands a forward pass's activations back to the kernel and faults them in again on the next one:
    42,000 page faults and a third of the time of a CIFAR Mixer at batch 128, and different from process to process.
    Settings in the environment win.
    """
    global _pinned
    if _pinned or malloc_variables() or not has_mallopt():
        return _pinned
    mallopt = ctypes.CDLL(None).mallopt
    settings = ((_M_MMAP_MAX, 0), (_M_TRIM_THRESHOLD, -1), (_M_TOP_PAD, _TOP_PAD_BYTES))
    _pinned = all(mallopt(parameter, value) == 1 for parameter, value in settings)
    return _pinned


def allocator() -> str:
    """Which allocator serves this process, and how it is set: `glibc 2.36, mallopt mmap_max=0 trim=never …`."""
    preloaded = [Path(name).name for name in os.environ.get("LD_PRELOAD", "").replace(":", " ").split()]
    libc = " ".join(platform.libc_ver()).strip() or platform.system()
    given = [f"{name}={value}" for name, value in malloc_variables().items()]
    pinned = [f"mallopt mmap_max=0 trim=never top_pad={_TOP_PAD_BYTES}"] if _pinned else []
    return ", ".join([*preloaded, libc, *(given or pinned or ["default"])])


def record(
    run_id: str,
    started_at: str,
    context: Context,
    command: Sequence[str],
    suites: CodeState | None = None,
    machine_name: str | None = None,
) -> Environment:
    """The conditions in force now and here, for the rows of one run on one node.

    Args:
        started_at: ISO 8601, UTC.
        command: the words of the command line; paths in it are cut down to their last part.
        suites: the state of the repository that the suites lie in.
        machine_name: what the user calls this machine; None looks into the environment of this process.

    Raises:
        UsageError: the machine's name is none.
    """
    package = Path(bench.__file__).parent
    code, versions = git.code_state(package), machine.packages()
    origin, suites = machine.installation(package), suites or CodeState()
    notes = dict.fromkeys(note for note in (code.note, suites.note) if note)
    cudnn = torch.backends.cudnn.version() if torch.cuda.is_available() else None
    found = Environment(
        run_id=run_id,
        started_at=started_at,
        command=machine.without_paths(command),
        bench=bench.__version__,
        commit=code.commit or origin.commit,
        dirty=code.dirty if code.commit or not origin.commit else False,
        diff_sha256=code.diff_sha256,
        lock_sha256=machine.lock_sha256(package.parent, Path.cwd()),
        python=platform.python_version(),
        torch=torch.__version__,
        torchvision=versions.get("torchvision"),
        cuda=torch.version.cuda,
        cudnn=None if cudnn is None else str(cudnn),
        driver=machine.nvidia_driver(),
        os=machine.os_name(),
        cpu=device_name("cpu"),
        cores=machine.cores(),
        ram_bytes=machine.ram_bytes(),
        device=context.device,
        device_name=device_name(context.device),
        threads=torch.get_num_threads(),
        interop_threads=torch.get_num_interop_threads(),
        allocator=allocator(),
        wait_policy=os.environ.get("OMP_WAIT_POLICY"),
        deterministic=torch.are_deterministic_algorithms_enabled(),
        packages_json=canonical_json(versions),
        bench_origin="git tree" if code.commit else origin.origin,
        suite_commit=suites.commit,
        suite_dirty=suites.dirty,
        suite_diff_sha256=suites.diff_sha256,
        git_note="; ".join(notes) or None,
        machine=hardware.here(_cards()),
        machine_name=hardware.chosen_name(machine_name),
    )
    return identified(found)


def _cards() -> list[str]:
    """The names of the graphics cards that torch sees."""
    return [torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count())]


def has_mallopt() -> bool:
    """Whether this is glibc, whose allocator can be told what to keep."""
    return platform.libc_ver()[0] == "glibc"


def malloc_variables() -> dict[str, str]:
    """What the environment says of the allocator already."""
    return {name: os.environ[name] for name in MALLOC_VARIABLES if name in os.environ}
