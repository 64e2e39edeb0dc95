"""How much longer one model takes than another: both in one process, their blocks interleaved A B B A.

Knows no absolute speed worth keeping: what disturbs the machine disturbs both models alike, so only ratios are judged.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from bench.errors import MeasurementError
from bench.execution.context import Context, Progress
from bench.measures.instruments import stopwatch
from bench.measures.instruments.stopwatch import Call, Timed
from bench.plan.case import Case
from bench.records.measurement import Reading
from bench.registry import measures
from bench.statistics.intervals import median

SWEEP_BLOCKS = 3  # per batch size, to find the best one; the ratio itself is then timed at full length


@dataclass(frozen=True)
class TimedSide:
    """One of the two models, warm, on its batch. `count` calls make a block."""

    call: Call
    count: int
    batch_size: int

    def block(self, timed: Timed) -> float:
        """Seconds of one block."""
        return timed(self.call, self.count)


@measures.register("side_by_side")
def side_by_side(
    case: Case,
    context: Context,
    *,
    versus: Mapping[str, Any],
    best_batch: Sequence[int] = (),
    min_seconds: float = 3.0,
    max_seconds: float = 30.0,
    pairs: int = 8,
) -> Iterator[Reading]:
    """Time the case's model (A) against another (B).

    Yields `time_ratio` = seconds per image of A / seconds per image of B, once per pair of neighbouring blocks with
    the pair's number as `repeat`; and `latency_s` of each block, that of B with part `versus`.

    Args:
        versus: factory, args, num_classes and image_size of B; batch size, precision, layout are A's.
        best_batch: batch sizes to try. Each model then runs at the one that gives it most images per second, as the
            throughputs of the MLP-Mixer paper were measured; the sweep is yielded as `fps` (part `batch N` and
            `versus batch N`).
        min_seconds, max_seconds, pairs: of both models together, as for `timing`.
    """
    timed = stopwatch.timer(case.device, context.clock)
    both, sizes = (case, _other(case, versus)), (case.batch_size or 1,) * 2
    sweep: list[Reading] = []
    with stopwatch.undisturbed():
        if best_batch:
            context.progress(Progress(0, 1, "looking for the best batch"))
            sweep, sizes = _sweep(both, best_batch, timed)
        ours, theirs = (_side(each, size, timed) for each, size in zip(both, sizes, strict=True))
        rounds = stopwatch.repeat(
            lambda number: _pair(ours, theirs, timed, swapped=number % 2 == 1),
            min_seconds=min_seconds,
            max_seconds=max_seconds,
            least=pairs,
            progress=context.progress,
        )
    yield from sweep
    for repeat, (our_block, their_block) in enumerate(rounds):
        a, b = our_block / ours.count, their_block / theirs.count  # seconds of one call
        yield Reading("time_ratio", (a / ours.batch_size) / (b / theirs.batch_size), repeat=repeat)
        yield Reading("latency_s", a, repeat=repeat)
        yield Reading("latency_s", b, part="versus", repeat=repeat)


def _other(case: Case, versus: Mapping[str, Any]) -> Case:
    """The same question about the other model."""
    return replace(
        case,
        factory=versus["factory"],
        model_args=versus.get("args", {}),
        num_classes=versus.get("num_classes", case.num_classes),
        image_size=versus.get("image_size", case.image_size),
    )


def _side(case: Case, batch_size: int, timed: Timed) -> TimedSide:
    call = stopwatch.forward(replace(case, batch_size=batch_size))
    stopwatch.warm_up(call, timed)
    return TimedSide(call, stopwatch.calls_per_block(call, timed), batch_size)


def _pair(ours: TimedSide, theirs: TimedSide, timed: Timed, *, swapped: bool) -> tuple[float, float]:
    """Seconds of one block of each, timed next to one another: A before B, or B before A when `swapped`."""
    if swapped:
        second = theirs.block(timed)
        return ours.block(timed), second
    return ours.block(timed), theirs.block(timed)


def _sweep(both: tuple[Case, Case], sizes: Sequence[int], timed: Timed) -> tuple[list[Reading], tuple[int, int]]:
    """Images per second of both models at every batch size, and the best size of each."""
    readings: list[Reading] = []
    best: list[int] = []
    for case, prefix in zip(both, ("", "versus "), strict=True):
        fps = {size: speed for size in sizes if (speed := _fps(case, size, timed)) is not None}
        if not fps:
            raise MeasurementError(f"{case.factory}: none of the batch sizes {list(sizes)} fits the device's memory")
        readings += [Reading("fps", value, part=f"{prefix}batch {size}") for size, value in fps.items()]
        best.append(max(fps, key=lambda size: fps[size]))
    return readings, (best[0], best[1])


def _fps(case: Case, batch_size: int, timed: Timed) -> float | None:
    """Images per second over a few blocks; None where the batch does not fit the device's memory."""
    try:
        side = _side(case, batch_size, timed)
        return batch_size * side.count / median([side.block(timed) for _ in range(SWEEP_BLOCKS)])
    except torch.OutOfMemoryError:
        return None
