"""Which machine this is: an id made from its hardware, so that the clocks of two machines never pass for one's.

Asks for no host name, user or address: two machines that are built alike have one id, unless a user names them.
"""

import hashlib
import os
import re
from collections.abc import Iterable
from pathlib import Path

from bench import machine
from bench.errors import UsageError

NAME_VARIABLE = "BENCH_MACHINE_NAME"
MOST_OF_A_NAME = 40  # characters: it heads a column
# What torch says of the vectors it uses stands behind a processor's name, and may be set for one process.
_VECTORS = re.compile(r" \((?:[A-Z][A-Z0-9 ]*)\)$")
_NVIDIA = Path("/proc/driver/nvidia/gpus")


def here(seen: Iterable[str] = ()) -> str:
    """The id of this machine.

    Args:
        seen: names of accelerators that a library sees, for where the system lists none. A process may see fewer than
            there are, so the system's list comes first.
    """
    return identity(machine.cpu_model(), os.cpu_count() or 1, machine.ram_bytes(), accelerators() or seen)


def identity(cpu: str, cores: int, ram_bytes: int, accelerators: Iterable[str] = ()) -> str:
    """The id of a machine with this hardware: eight characters.

    Kinds of accelerators count and not how many there are, for a container is often given some of them only. Memory
    counts in GiB, of 100 and more in two digits: what a kernel keeps for itself changes with its version.
    """
    parts = [without_vectors(cpu), str(cores), str(_coarse_gib(ram_bytes)), *sorted(set(accelerators))]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:8]


def without_vectors(cpu: str) -> str:
    """The processor's name without what torch says behind it of the vectors it uses."""
    return _VECTORS.sub("", cpu)


def accelerators() -> tuple[str, ...]:
    """The names of the graphics cards that the system lists, those too that are hidden from this process (Linux)."""
    listed = [_read(path) for path in sorted(_NVIDIA.glob("*/information"))]
    return tuple(found[1].strip() for text in listed if (found := re.search(r"^Model:\s*(.+)$", text, re.MULTILINE)))


def chosen_name(asked: str | None = None) -> str | None:
    """The name that this machine is given: the one asked for, else that of `BENCH_MACHINE_NAME`; None without either.

    Raises:
        UsageError: it is too long for a column's head, or holds what cannot be printed.
    """
    name = (asked if asked is not None else os.environ.get(NAME_VARIABLE) or "").strip()
    if len(name) > MOST_OF_A_NAME or not name.isprintable() or (asked is not None and not name):
        where = "--machine-name" if asked is not None else NAME_VARIABLE
        raise UsageError(f"{where} {name!r} is no name for a machine: one line of 1 to {MOST_OF_A_NAME} characters")
    return name or None


def _coarse_gib(ram_bytes: int) -> int:
    gib = -(-ram_bytes // 2**30)
    step = 10 ** max(0, len(str(gib)) - 2) if gib >= 100 else 1
    return -(-gib // step) * step


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
