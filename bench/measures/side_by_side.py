"""How much longer one model takes than another: both in one process, their blocks interleaved A B B A.

Knows no absolute speed worth keeping: what disturbs the machine disturbs both models alike, so only ratios are judged.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from bench.context import Context
from bench.errors import MeasurementError
from bench.measures import _stopwatch
from bench.measures._stopwatch import Call, Timed
from bench.plan import Case
from bench.records import Reading
from bench.registry import measures
from bench.stats import median

SWEEP_PAIRS = 3  # per batch size, to find the best one; the ratio itself is then timed at full length


@dataclass(frozen=True)
class Side:
    """One of the two models, warm, on its batch. `count` calls make a block."""

    call: Call
    count: int
    batch_size: int

    def block(self, timed: Timed) -> float:
        """Seconds of one call, over one block."""
        return timed(self.call, self.count) / self.count


@measures.register("side_by_side")
def side_by_side(
    case: Case,
    context: Context,
    *,
    versus: Mapping[str, Any],
    best_batch: Sequence[int] = (),
    min_seconds: float = 3.0,
    max_seconds: float = 60.0,
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
    other = replace(
        case,
        factory=versus["factory"],
        model_args=versus.get("args", {}),
        num_classes=versus.get("num_classes", case.num_classes),
        image_size=versus.get("image_size", case.image_size),
    )
    timed = _stopwatch.timer(case.device, context.clock)
    sweep: list[Reading] = []
    batches = (case.batch_size or 1,) * 2
    with _stopwatch.undisturbed():
        if best_batch:
            context.progress(0, 1, "looking for the best batch")
            sweep, batches = _sweep(case, other, best_batch, timed)
        first, second = (_side(each, batch, timed) for each, batch in zip((case, other), batches, strict=True))
        rounds: list[tuple[float, float]] = []
        spent = 0.0
        while not _stopwatch.enough(spent, len(rounds), min_seconds=min_seconds, max_seconds=max_seconds, blocks=pairs):
            rounds.append(_pair(first, second, timed, swapped=len(rounds) % 2 == 1))
            spent += rounds[-1][0] * first.count + rounds[-1][1] * second.count
            context.progress(int(1000 * min(spent, min_seconds)), int(1000 * min_seconds), f"pair {len(rounds)}")
    yield from sweep
    for repeat, (ours, theirs) in enumerate(rounds):
        per_image = (ours / first.batch_size) / (theirs / second.batch_size)
        yield Reading("time_ratio", per_image, repeat=repeat)
        yield Reading("latency_s", ours, repeat=repeat)
        yield Reading("latency_s", theirs, part="versus", repeat=repeat)


def _side(case: Case, batch_size: int, timed: Timed) -> Side:
    call = _stopwatch.forward(replace(case, batch_size=batch_size))
    _stopwatch.warm_up(call, timed)
    return Side(call, _stopwatch.calls_per_block(call, timed), batch_size)


def _pair(first: Side, second: Side, timed: Timed, *, swapped: bool) -> tuple[float, float]:
    """Seconds of one call of each, timed next to one another: A before B, or B before A when `swapped`."""
    if swapped:
        theirs = second.block(timed)
        return first.block(timed), theirs
    return first.block(timed), second.block(timed)


def _sweep(case: Case, other: Case, sizes: Sequence[int], timed: Timed) -> tuple[list[Reading], tuple[int, int]]:
    """Images per second of both models at every batch size, and the best size of each."""
    readings: list[Reading] = []
    best = []
    for each, prefix in ((case, ""), (other, "versus ")):
        fps = {size: speed for size in sizes if (speed := _fps(each, size, timed)) is not None}
        if not fps:
            raise MeasurementError(
                f"{each.factory}: none of the batch sizes {list(sizes)} fits into the device's memory"
            )
        readings += [Reading("fps", value, part=f"{prefix}batch {size}") for size, value in fps.items()]
        best.append(max(fps, key=lambda size: fps[size]))
    return readings, (best[0], best[1])


def _fps(case: Case, batch_size: int, timed: Timed) -> float | None:
    """Images per second over a few blocks; None where the batch does not fit into the device's memory."""
    try:
        side = _side(case, batch_size, timed)
        return batch_size / median([side.block(timed) for _ in range(SWEEP_PAIRS)])
    except torch.OutOfMemoryError:
        return None
