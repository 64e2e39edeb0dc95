"""Latency and frames per second of inference, one model, one batch size, the batch already on the device.

Judges no speed and compares none: every process is a row, and an interval is made from the rows. Loading, decoding and
copying images are left out.
"""

import json
import math
import random
from collections.abc import Generator

from bench.execution.context import Context, OnceMore, Progress
from bench.measures.instruments import stopwatch
from bench.plan.case import Case
from bench.records.measurement import Reading
from bench.registry import measures
from bench.statistics.intervals import median, quantile

SINGLE_S = 0.5  # how long single calls are timed in all processes together, within the two limits
FEWEST_SINGLES, MOST_SINGLES = 20, 1000  # in each of them
FEWEST_PROCESSES = 2
PADDING_BYTES = 2**20


@measures.register("timing")
def timing(
    case: Case,
    context: Context,
    *,
    min_seconds: float = 2.0,
    max_seconds: float = 30.0,
    blocks: int = 14,
    processes: int = 7,
) -> Generator[Reading, None, OnceMore | None]:
    """Time the case's model in eval and inference mode, after warm-up, garbage collection off, in several processes.

    Two processes of the same code differ by more than two blocks of one: in where their memory lies and in which cores
    and neighbours they meet. So each asks for the next, with the heap at another place, and each is one sample.

    Yields `latency_s` (seconds of one call on the whole batch, the median block of this process) with all its blocks in
    the detail, `fps` (batch / latency), and `latency_p50_s` and `latency_p95_s` over single calls, each waited for; all
    with the number of the process as `repeat`. Where nothing starts another process, there is this one alone.

    Args:
        min_seconds: how long blocks are timed, at least, in all processes together.
        max_seconds: after which no further process is asked for, for a model whose blocks take seconds.
        blocks: at least so many in all processes together, and two in each.
        processes: how many; a 95 % interval of a median needs six, and of a ratio of two medians seven each.
    """
    room = bytearray(random.SystemRandom().randrange(PADDING_BYTES))
    with stopwatch.undisturbed():
        call, timed = stopwatch.forward(case), stopwatch.timer(case.device, context.clock)
        context.progress(Progress(0, 1, "warming up"))
        stopwatch.warm_up(call, timed)
        count = stopwatch.calls_per_block(call, timed)
        rounds = stopwatch.repeat(
            lambda number: (timed(call, count),),
            min_seconds=min_seconds / processes,
            max_seconds=max_seconds / processes,
            least=max(2, math.ceil(blocks / processes)),
            progress=context.progress,
        )
        latencies = [seconds / count for (seconds,) in rounds]
        alike = count == 1 and case.device == "cpu"  # a block of one call, timed as a single call would be
        singles = latencies if alike else _singles(call, case, context, median(latencies), SINGLE_S / processes)
    number, latency = context.turn.number, median(latencies)
    yield Reading("latency_s", latency, repeat=number, detail=json.dumps([float(f"{each:.6g}") for each in latencies]))
    yield Reading("fps", (case.batch_size or 1) / latency, repeat=number)
    yield Reading("latency_p50_s", median(singles), repeat=number)
    yield Reading("latency_p95_s", quantile(singles, 0.95), repeat=number)
    spent = context.turn.spent_s if number + 1 >= FEWEST_PROCESSES else 0.0
    del room
    return OnceMore() if number + 1 < processes and spent < max_seconds else None


def _singles(call: stopwatch.Call, case: Case, context: Context, latency: float, within_s: float) -> list[float]:
    """Seconds of single calls, as many as fit into a time within the limits."""
    timed = stopwatch.latency_timer(case.device, context.clock)
    count = min(MOST_SINGLES, max(FEWEST_SINGLES, int(within_s / latency) if latency else MOST_SINGLES))
    return [timed(call, 1) for _ in range(count)]
