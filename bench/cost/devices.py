"""What devices can do and what an hour of them costs: reads the dated and sourced table beside it, `devices.toml`.

Prices nothing itself, `money` does; and holds no figure of its own.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from bench.errors import UsageError, near

Basis = Literal["published", "estimated", "measured"]
Positive = Annotated[int | float, Field(gt=0, allow_inf_nan=False)]

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
    effective: tuple[SourcedFigure, ...]  # FLOP/s of a whole training
    prices: tuple[SourcedFigure, ...]  # dollars per hour, on demand


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
    effective: Annotated[tuple[_Said | _Share, ...], Field(min_length=1)]
    prices: Annotated[tuple[_Said | _Implied, ...], Field(min_length=1)]


class _File(_Row):
    utilisation: _Said
    cpu_core: _Said
    devices: dict[str, _Device]


@dataclass(frozen=True)
class DeviceFile:
    """All devices, what a training reaches of a peak where nobody has measured it, and one core of a CPU."""

    devices: Mapping[str, Device]
    utilisation: SourcedFigure
    cpu_core: SourcedFigure


def read(text: str, where: str) -> DeviceFile:
    """A table of devices from TOML, in its order.

    Args:
        where: the file's name, for messages.

    Raises:
        UsageError: not TOML, or every key that is missing, unknown or not of its kind.
    """
    try:
        file = _File.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{where}: {error}") from error
    except ValidationError as error:
        lines = [f"{where} [{'.'.join(map(str, each['loc']))}]: {each['msg']}" for each in error.errors()]
        raise UsageError("\n".join(lines)) from error
    share = _figure(file.utilisation)
    found = {name: _device(where, name, written, share) for name, written in file.devices.items()}
    return DeviceFile(found, share, _figure(file.cpu_core))


def _device(where: str, name: str, written: _Device, share: SourcedFigure) -> Device:
    peaks, effective = written.peak_flops_per_s, []
    for each in written.effective:
        if isinstance(each, _Said):
            effective.append(_figure(each))
        elif each.of_peak in peaks:
            effective.append(replace(share, value=share.value * peaks[each.of_peak]))
        else:
            raise UsageError(f"{where} [devices.{name}]: no peak '{each.of_peak}'.{near(each.of_peak, list(peaks))}")
    prices = tuple(_figure(price) for price in written.prices)
    bandwidth = float(written.bandwidth_bytes_per_s)
    return Device(name, written.title, peaks, bandwidth, written.datasheet, tuple(effective), prices)


def _figure(written: _Said | _Implied) -> SourcedFigure:
    if isinstance(written, _Said):
        return SourcedFigure(float(written.value), written.basis, written.source, written.dated)
    source = f"{written.source}: {written.usd} $ for {written.hours} h"
    return SourcedFigure(sum(written.usd) / sum(written.hours), written.basis, source, written.dated)


_FILE = Path(__file__).with_name("devices.toml")
_TABLE = read(_FILE.read_text(encoding="utf-8"), f"bench/cost/{_FILE.name}")
DEVICES, UTILISATION, CPU_CORE = _TABLE.devices, _TABLE.utilisation.value, _TABLE.cpu_core


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
