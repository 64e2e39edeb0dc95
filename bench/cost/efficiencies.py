"""What devices reach of their data sheets, and how far predictions were off: the fitted numbers of `efficiencies.toml`.

Fits nothing, `bench.prediction.fit` does: it writes that file, and nobody else.
"""

import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from bench.cost.work import KINDS, Account

FILE = Path(__file__).with_name("efficiencies.toml")


@dataclass(frozen=True)
class Efficiencies:
    """Shares by class of operator, and a few numbers for all of them. See `bench.cost.prediction` for their use."""

    arithmetic: Mapping[str, float]  # of the peak
    traffic: Mapping[str, float]  # of the bandwidth
    channels_last: Mapping[str, float]  # times the seconds of the contiguous layout
    backward: Mapping[str, float]  # times the seconds of a forward operator with as much to do
    backward_channels_last: Mapping[str, float]  # the same of that layout, beside both
    begin_s: float  # of every operator, on the device
    launch_s: float  # of every operator, on its host
    cached: float  # share of the traffic that a cache of any size may save
    unfused: float  # share of traffic and launches that is left after a compiler


@dataclass(frozen=True)
class Errors:
    """How far measured times were from predicted ones, where families were kept out of the fit."""

    sort: str  # of device
    step: str  # inference | training
    family: str
    models: int
    low: float  # measured / predicted: the 10th percentile
    high: float  # the 90th


@dataclass(frozen=True)
class Fitted:
    """The file: efficiencies by sort of device, and the errors."""

    efficiencies: Mapping[str, Efficiencies]
    errors: tuple[Errors, ...]


@cache
def fitted() -> Fitted:
    """The numbers of the package."""
    return read(FILE.read_text(encoding="utf-8"))


def read(text: str) -> Fitted:
    """The numbers of a file that `bench.prediction.fit` wrote."""
    found: dict[str, Any] = tomllib.loads(text)
    efficiencies = {sort: Efficiencies(**table) for sort, table in found["efficiencies"].items()}
    return Fitted(efficiencies, tuple(Errors(**each) for each in found["errors"]))


def family_of(account: Account) -> str:
    """What a model is made of: attention, depthwise convolutions, other convolutions, or products alone."""
    flops = {kind: sum(one.flops.of(1) * one.calls for one in account.operators if one.kind == kind) for kind in KINDS}
    there = {kind for kind in KINDS if flops[kind] > 0}
    if flops["attention"] + flops["batched"] > 0.01 * sum(flops.values()):
        return "attention"
    if "depthwise" in there:
        return "depthwise"
    return (
        "convolution" if {"convolution", "grouped"} & there and flops["product"] < 0.5 * sum(flops.values()) else "mlp"
    )


def interval(account: Account, sort: str, known: Fitted | None = None) -> tuple[float, float]:
    """Factors on a prediction between which four of five measured times lay, of this family or else of all."""
    step, family = "training" if account.training else "inference", family_of(account)
    errors = [each for each in (known or fitted()).errors if (each.sort, each.step) == (sort, step)]
    chosen = next((each for each in errors if each.family == family), None) or next(
        (each for each in errors if each.family == "all"), None
    )
    return (chosen.low, chosen.high) if chosen else (0.5, 2.0)


def width(low: float, high: float) -> float:
    """The interval as one plus-or-minus share, as a plan says it."""
    return math.sqrt(high / low) - 1
