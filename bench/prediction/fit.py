"""The efficiencies of `bench.cost.prediction`, fitted to public tables: few numbers, each with a meaning and bounds.

Fits on one card, and for CPUs on one CPU: all other devices are left for testing, which `validation` does.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.cost.devices import device
from bench.cost.efficiencies import Efficiencies
from bench.cost.prediction import SHARPNESS, Work, operator_seconds, work
from bench.cost.work import KINDS, Account
from bench.prediction.published import Point

FITTED_ON = {"gpu": "rtx3090", "cpu": "i9_10940x"}
FOLDS = 3
SLACK = 0.1  # of the logarithm, from which on an error counts as an outlier
SAME_MODEL = 0.02  # by which parameters may differ: a table may have fused branches into one
# Towards the start, for numbers of which the data say little; factors stay at 1 unless the data insist.
PULL_SHARE, PULL_FACTOR = 0.003, 0.03
Array = NDArray[np.float64]


@dataclass(frozen=True)
class Set:
    """Points beside their accounts as one long column of operators: `row` says whose each is."""

    points: Sequence[Point]
    families: Sequence[str]
    columns: Work
    row: NDArray[np.int64]
    seconds: Array
    launches: Array
    optimiser: Array  # seconds at full bandwidth
    launch_s: Array  # nan where nobody has said
    sort: str


# Classes that share a number of the backward pass.
_GROUPS = {
    "whole": ("convolution", "pointwise"),
    "divided": ("grouped", "depthwise"),
    "products": ("product", "batched", "attention"),
    "rest": ("norm", "rows", "elementwise"),
}
_WITH_A_LAYOUT = ("convolution", "pointwise", "grouped", "depthwise", "norm", "rows", "elementwise")
# What is fitted: name, start, least, most. Shares above 1 are boost clocks above the data sheet's, and short cuts.
_SHARE, _FACTOR = (0.6, 0.02, 1.3), (1.0, 0.4, 2.5)
NUMBERS: tuple[tuple[str, float, float, float], ...] = (
    *((f"arithmetic.{kind}", *_SHARE) for kind in KINDS[:7]),
    *((f"traffic.{kind}", 0.7, 0.2, 1.3) for kind in KINDS),
    *((f"channels_last.{kind}", *_FACTOR) for kind in _WITH_A_LAYOUT),
    *((f"backward.{group}", 1.0, 0.4, 6.0) for group in _GROUPS),
    ("backward_channels_last.whole", *_FACTOR),
    ("begin_s", 4e-6, 5e-7, 1e-4),
    ("launch_s", 8e-6, 1e-6, 4e-5),
    ("unfused", 0.5, 0.1, 1.0),
)
# Not fitted, since one card cannot tell.
CACHED = 0.5


def efficiencies(found: Array) -> Efficiencies:
    """The numbers, logarithms in the order of NUMBERS, as the prediction takes them."""
    tables: dict[str, dict[str, float]] = {
        "arithmetic": dict.fromkeys(KINDS, 1.0), "traffic": {}, "channels_last": dict.fromkeys(KINDS, 1.0),
        "backward": {}, "backward_channels_last": dict.fromkeys(KINDS, 1.0),
    }  # fmt: skip
    single: dict[str, float] = {"cached": CACHED}
    for (name, *_), value in zip(NUMBERS, np.exp(found), strict=True):
        table, dot, kind = name.partition(".")
        if dot:
            tables[table] |= dict.fromkeys(_GROUPS.get(kind, (kind,)), float(value))
        else:
            single[name] = float(value)
    return Efficiencies(**tables, **single)  # type: ignore[arg-type]


def collected(points: Sequence[Point], known: Mapping[str, Account]) -> Set | None:
    """The points whose accounts are known and whose models are those of the table, in one column."""
    kept = [each for each in points if each.account in known and _same(each, known[each.account])]
    if not kept:
        return None
    parts = [work(known[each.account], device(each.device), each.conditions) for each in kept]
    names = ("kind", "backward", "flops", "bytes", "calls", "peak")
    joined: dict[str, Any] = {name: np.concatenate([getattr(part, name) for part in parts]) for name in names}
    row = np.repeat(np.arange(len(parts)), [len(part.kind) for part in parts])
    return Set(
        kept,
        [each.family for each in kept],
        replace(parts[0], **joined),
        row,
        np.array([each.seconds for each in kept]),
        np.array([part.calls.sum() for part in parts]),
        np.array([part.optimiser_bytes / part.bandwidth for part in parts]),
        np.array([each.conditions.launch_s or np.nan for each in kept]),
        device(kept[0].device).sort,
    )


def _same(point: Point, account: Account) -> bool:
    said = point.parameters
    return said is None or abs(account.parameters / 1e6 - said) <= SAME_MODEL * said + 0.01


def predicted(found: Set, known: Efficiencies) -> Array:
    """Seconds of each point's step, as `predict_step` has them."""
    seconds = operator_seconds(found.columns, known)[0] * found.columns.calls
    on_device: Array = np.bincount(found.row, seconds, minlength=len(found.points)).astype(float)
    on_device = on_device + found.optimiser / known.traffic["elementwise"]
    if found.sort == "cpu":
        return on_device
    launch_s = np.where(np.isnan(found.launch_s), known.launch_s, found.launch_s)
    on_host = launch_s * found.launches * (known.unfused if found.columns.compiled else 1.0)
    both: Array = (on_device**SHARPNESS + on_host**SHARPNESS) ** (1 / SHARPNESS)
    return both


def fit(sets: Sequence[Set], masks: Sequence[NDArray[np.bool_]]) -> Efficiencies:
    """The numbers that fit these sets best, each set weighing the same: first of inference, then of what trains."""
    start = np.log([each[1] for each in NUMBERS])
    steps = [bool(one.points[0].training) for one in sets]
    found = start
    for training in (False, True):
        chosen = [(one, mask) for one, mask, kind in zip(sets, masks, steps, strict=True) if kind == training]
        if chosen:
            free = np.array([name.startswith("backward") == training for name, *_ in NUMBERS])
            found = _fitted([one for one, _ in chosen], [mask for _, mask in chosen], found, free)
    return efficiencies(found)


def _fitted(sets: Sequence[Set], masks: Sequence[NDArray[np.bool_]], known: Array, free: NDArray[np.bool_]) -> Array:
    """The logarithms with those that are free at their best."""
    from scipy.optimize import least_squares

    start, least, most = (np.log([each[place] for each in NUMBERS])[free] for place in (1, 2, 3))
    factors = np.array(["channels_last" in name for name, *_ in NUMBERS])[free]
    pull = np.where(factors, PULL_FACTOR, PULL_SHARE)
    total = sum(int(mask.sum()) for mask in masks)
    weights = [np.sqrt(total / len(sets) / max(mask.sum(), 1)) for mask in masks]

    def whole(numbers: Array) -> Array:
        every = known.copy()
        every[free] = numbers
        return every

    def misses(numbers: Array) -> Array:
        now = efficiencies(whole(numbers))
        each = [np.log(predicted(one, now) / one.seconds)[mask] for one, mask in zip(sets, masks, strict=True)]
        weighed = [miss * weight for miss, weight in zip(each, weights, strict=True)]
        return np.concatenate([*weighed, pull * np.sqrt(total) * (numbers - start)])

    found = least_squares(misses, start, bounds=(least, most), loss="soft_l1", f_scale=SLACK, max_nfev=60)
    return whole(found.x)
