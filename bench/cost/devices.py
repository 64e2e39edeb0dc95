"""What devices can do and what an hour of them costs: reads the dated and sourced table beside it, `devices.toml`.

Prices nothing itself, `money` does; and holds no figure of its own.
"""

import os
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from bench.errors import UsageError, near

Basis = Literal["published", "estimated", "measured"]
Sort = Literal["gpu", "cpu"]
Positive = Annotated[int | float, Field(gt=0, allow_inf_nan=False)]

Parsed = TypeVar("Parsed", bound=BaseModel)

SECONDS_PER_HOUR = 3600


@dataclass(frozen=True)
class SourcedFigure:
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
    effective: tuple[SourcedFigure, ...] = ()  # FLOP/s of a whole training
    prices: tuple[SourcedFigure, ...] = ()  # dollars per hour, on demand
    words: tuple[str, ...] = ()  # of its driver's name
    cache_bytes: float = 0.0  # of the last cache before memory
    memory_bytes: float | None = None
    power_w: float | None = None
    cores: int | None = None  # of a CPU; None: an accelerator that a host feeds

    @property
    def sort(self) -> Sort:
        """Whether a host feeds it with launches, or it runs its operators itself."""
        return "gpu" if self.cores is None else "cpu"


@dataclass(frozen=True)
class CoreKind:
    """One core of CPUs with an instruction set, and the memory behind all of them."""

    name: str
    title: str
    datasheet: str
    flops_per_cycle: Mapping[str, float]  # by precision
    clock_hz: float
    core_bandwidth_bytes_per_s: float
    bandwidth_bytes_per_s: float
    core_cache_bytes: float
    flags: tuple[str, ...]

    def of(self, cores: int) -> Device:
        """A CPU with so many of them."""
        return Device(
            f"{self.name}:{cores}",
            f"{self.title}, {cores} core{'s' * (cores > 1)}",
            {precision: flops * self.clock_hz * cores for precision, flops in self.flops_per_cycle.items()},
            min(cores * self.core_bandwidth_bytes_per_s, self.bandwidth_bytes_per_s),
            self.datasheet,
            cache_bytes=self.core_cache_bytes * cores,
            cores=cores,
        )


class _Row(BaseModel):
    """One table of the file: every key is known, and what has no default is there."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class _Labelled(_Row):
    basis: Basis
    source: Annotated[str, Field(min_length=1)]
    dated: Annotated[str, Field(pattern=r"^(undated|\d{4}(-\d\d){0,2})$")]


class _Said(_Labelled):
    value: Positive


class _Implied(_Labelled):
    """Dollars per hour behind two rows of a published table, each with its dollars and its hours."""

    usd: tuple[Positive, Positive]
    hours: tuple[Positive, Positive]


class _Share(_Row):
    of_peak: str


class _Device(_Row):
    title: str
    datasheet: str
    bandwidth_bytes_per_s: Positive
    peak_flops_per_s: dict[str, Positive]
    words: tuple[str, ...] = ()
    cache_bytes: Positive
    memory_bytes: Positive | None = None
    power_w: Positive | None = None
    cores: Annotated[int, Field(ge=1)] | None = None
    effective: tuple[_Said | _Share, ...] = ()
    prices: tuple[_Said | _Implied, ...] = ()


class _Cores(_Row):
    title: str
    datasheet: str
    flops_per_cycle: dict[str, Positive]
    clock_hz: Positive
    core_bandwidth_bytes_per_s: Positive
    bandwidth_bytes_per_s: Positive
    core_cache_bytes: Positive
    flags: tuple[str, ...] = ()


class _Additions(_Row):
    """What somebody adds to the file of the package."""

    devices: dict[str, _Device] = {}
    cpus: dict[str, _Cores] = {}


class _File(_Additions):
    utilisation: _Said
    cpu_core: _Said


@dataclass(frozen=True)
class DeviceFile:
    """All devices and kinds of cores, what a training reaches of a peak where nobody has measured it, and one core."""

    devices: Mapping[str, Device]
    cpus: Mapping[str, CoreKind]
    utilisation: SourcedFigure
    cpu_core: SourcedFigure


def read(text: str, where: str) -> DeviceFile:
    """A table of devices from TOML, in its order.

    Args:
        where: the file's name, for messages.

    Raises:
        UsageError: not TOML, or every key that is missing, unknown or not of its kind.
    """
    file = _parsed(_File, text, where)
    share = _figure(file.utilisation)
    return DeviceFile(*_tables(file, where, share), share, _figure(file.cpu_core))


def with_additions(text: str, where: str, known: DeviceFile) -> DeviceFile:
    """The devices of a user's file over those that are known.

    Raises:
        UsageError: as `read` does.
    """
    devices, cpus = _tables(_parsed(_Additions, text, where), where, known.utilisation)
    return replace(known, devices={**known.devices, **devices}, cpus={**known.cpus, **cpus})


def _parsed(kind: type[Parsed], text: str, where: str) -> Parsed:
    try:
        return kind.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{where}: {error}") from error
    except ValidationError as error:
        lines = [f"{where} [{'.'.join(map(str, each['loc']))}]: {each['msg']}" for each in error.errors()]
        raise UsageError("\n".join(lines)) from error


def _tables(file: _Additions, where: str, share: SourcedFigure) -> tuple[dict[str, Device], dict[str, CoreKind]]:
    devices = {name: _device(where, name, written, share) for name, written in file.devices.items()}
    return devices, {name: CoreKind(name=name, **dict(written)) for name, written in file.cpus.items()}


def _device(where: str, name: str, written: _Device, share: SourcedFigure) -> Device:
    peaks, effective = written.peak_flops_per_s, []
    for each in written.effective:
        if isinstance(each, _Said):
            effective.append(_figure(each))
        elif each.of_peak in peaks:
            effective.append(replace(share, value=share.value * peaks[each.of_peak]))
        else:
            raise UsageError(f"{where} [devices.{name}]: no peak '{each.of_peak}'.{near(each.of_peak, list(peaks))}")
    as_said = {key: getattr(written, key) for key in _AS_SAID}
    prices = tuple(_figure(price) for price in written.prices)
    return Device(name=name, effective=tuple(effective), prices=prices, **as_said)


_AS_SAID = ("title", "datasheet", "bandwidth_bytes_per_s", "peak_flops_per_s", "words", "cache_bytes", "memory_bytes",
            "power_w", "cores")  # fmt: skip


def _figure(written: _Said | _Implied) -> SourcedFigure:
    if isinstance(written, _Said):
        return SourcedFigure(float(written.value), written.basis, written.source, written.dated)
    source = f"{written.source}: {written.usd} $ for {written.hours} h"
    return SourcedFigure(sum(written.usd) / sum(written.hours), written.basis, source, written.dated)


MORE = "BENCH_DEVICES"  # names a user's file
_FILE = Path(__file__).with_name("devices.toml")


def _known() -> DeviceFile:
    found = read(_FILE.read_text(encoding="utf-8"), f"bench/cost/{_FILE.name}")
    more = os.environ.get(MORE)
    if not more:
        return found
    try:
        return with_additions(Path(more).read_text(encoding="utf-8"), Path(more).name, found)
    except OSError as error:
        raise UsageError(f"{MORE}={more}: {error.strerror}") from error


_TABLE = _known()
DEVICES, CPUS, UTILISATION, CPU_CORE = _TABLE.devices, _TABLE.cpus, _TABLE.utilisation.value, _TABLE.cpu_core


def device(name: str) -> Device:
    """The table's entry of that name, or a CPU by its instruction set and cores, as `avx2:8`.

    Raises:
        UsageError: the table has no such device.
    """
    if name in DEVICES:
        return DEVICES[name]
    kind, colon, cores = name.partition(":")
    if kind in CPUS and (cores.isdecimal() or not colon) and cores != "0":
        return CPUS[kind].of(int(cores or 1))
    known = [*sorted(DEVICES), *(f"{cpu}:CORES" for cpu in CPUS)]
    raise UsageError(f"no device '{name}' in the cost table.{near(name, known)}")


def recognise(device_name: str) -> Device | None:
    """The table's entry for a name as a driver gives it, such as `NVIDIA A100-SXM4-40GB`; None when it is not there.

    Of several that fit, the one that says most words of it.
    """
    words = set(re.split(r"[^a-z0-9]+", device_name.lower()))
    fitting = [found for found in DEVICES.values() if found.words and words.issuperset(found.words)]
    return max(fitting, key=lambda found: len(found.words), default=None)


def cpu(flags: Iterable[str], cores: int) -> Device | None:
    """A CPU with the flags that Linux lists and so many cores; None where no kind of core is known to have them."""
    there = set(flags)
    kind = next((kind for kind in CPUS.values() if kind.flags and there.issuperset(kind.flags)), None)
    return kind.of(cores) if kind else None
