"""Latency and frames per second of inference, one model, one batch size, the batch already on the device.

Judges no speed and compares none: every block is a row, and an interval is made from the rows. Loading, decoding and
copying images are left out.
"""

from collections.abc import Iterator

from bench.execution.context import Context, Progress
from bench.measures.instruments import stopwatch
from bench.plan.case import Case
from bench.records.measurement import Reading
from bench.registry import measures
from bench.statistics.intervals import median, quantile

SINGLE_S = 0.5  # how long single calls are timed, within the two limits
FEWEST_SINGLES, MOST_SINGLES = 20, 1000


@measures.register("timing")
def timing(
    case: Case, context: Context, *, min_seconds: float = 2.0, max_seconds: float = 30.0, blocks: int = 7
) -> Iterator[Reading]:
    """Time the case's model in eval and inference mode, after warm-up, garbage collection off.

    Yields `latency_s` (seconds of one call on the whole batch) and `fps` (batch / latency) once per block, with the
    block's number as `repeat`; then `latency_p50_s` and `latency_p95_s` over single calls, each waited for.

    Args:
        min_seconds: how long blocks are timed, at least.
        max_seconds: after which two blocks are enough, for a model whose blocks take seconds.
        blocks: at least so many; a 95 % interval of a median needs six.
    """
    with stopwatch.undisturbed():
        call, timed = stopwatch.forward(case), stopwatch.timer(case.device, context.clock)
        context.progress(Progress(0, 1, "warming up"))
        stopwatch.warm_up(call, timed)
        count = stopwatch.calls_per_block(call, timed)
        rounds = stopwatch.repeat(
            lambda number: (timed(call, count),),
            min_seconds=min_seconds,
            max_seconds=max_seconds,
            least=blocks,
            progress=context.progress,
        )
        latencies = [seconds / count for (seconds,) in rounds]
        alike = count == 1 and case.device == "cpu"  # a block of one call, timed as a single call would be
        singles = latencies if alike else _singles(call, case, context, median(latencies))
    for repeat, latency in enumerate(latencies):
        yield Reading("latency_s", latency, repeat=repeat)
        yield Reading("fps", (case.batch_size or 1) / latency, repeat=repeat)
    yield Reading("latency_p50_s", median(singles))
    yield Reading("latency_p95_s", quantile(singles, 0.95))


def _singles(call: stopwatch.Call, case: Case, context: Context, latency: float) -> list[float]:
    """Seconds of single calls, as many as fit into SINGLE_S within the limits."""
    timed = stopwatch.latency_timer(case.device, context.clock)
    count = min(MOST_SINGLES, max(FEWEST_SINGLES, int(SINGLE_S / latency) if latency else MOST_SINGLES))
    return [timed(call, 1) for _ in range(count)]
