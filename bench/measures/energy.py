"""Joules of one image of inference, by the device's own counter, one model, one batch size, the batch on the device.

Estimates nothing: where there is no counter, the reading has none either, and says why. Subtracts no idle power.
"""

from collections.abc import Iterator

from bench.execution.context import Context, Progress
from bench.measures.instruments import stopwatch
from bench.measures.instruments.joules import Meter, metered
from bench.plan.case import Case
from bench.records.measurement import Reading
from bench.registry import measures


@measures.register("energy")
def energy(case: Case, context: Context, *, min_seconds: float = 3.0, blocks: int = 7) -> Iterator[Reading]:
    """Run the case's model in eval and inference mode, after warm-up; yield `image_energy_j` once per block.

    Args:
        min_seconds: of each block; counters move a few times a second, so that short blocks say little.
        blocks: a 95 % interval of a median needs six.
    """
    with metered(case.device) as meter:
        if meter.absent is not None:
            yield Reading("image_energy_j", None, status="skipped", reason=meter.absent)
            return
        found = _blocks(case, context, meter, min_seconds, blocks)
    for repeat, joules in enumerate(found):
        yield Reading("image_energy_j", joules, repeat=repeat, reason=meter.includes)


def _blocks(case: Case, context: Context, meter: Meter, min_seconds: float, blocks: int) -> list[float]:
    """Joules of one image, block by block."""
    found = []
    with stopwatch.undisturbed():
        call, timed = stopwatch.forward(case), stopwatch.timer(case.device, context.clock)
        context.progress(Progress(0, blocks, "warming up"))
        stopwatch.warm_up(call, timed)
        count = stopwatch.calls_per_block(call, timed, min_seconds)
        for number in range(blocks):
            before = meter.joules
            timed(call, count)
            found.append((meter.joules - before) / (count * (case.batch_size or 1)))
            context.progress(Progress(number + 1, blocks, f"block {number + 1}"))
    return found
