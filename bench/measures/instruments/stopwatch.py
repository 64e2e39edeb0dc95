"""How a forward pass is timed: warm-up, blocks of repeats, nothing else at work in the process.

Summarises nothing: every block comes back as it was timed.
"""

import gc
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch

from bench.execution.context import Progress
from bench.measures.instruments.model import build, images
from bench.plan.case import Case

Call = Callable[[], object]
Timed = Callable[[Call, int], float]  # seconds of so many calls, one after the other

BLOCK_S = 0.06  # a block takes one to two times as long: far above the clock's resolution and a scheduler's tick
WARM_WITHIN = 0.05  # two calls that differ by less than this share are warm
MOST_CALLS = 2**20  # per block; ends the search under a clock that stands still


def forward(case: Case) -> Call:
    """One inference call of the case's model on one batch of noise that already lies on the device."""
    model, batch = build(case).eval(), images(case)
    return lambda: model(batch)


@contextmanager
def undisturbed() -> Iterator[None]:
    """Inference mode, and no garbage collection in the middle of a block."""
    collecting = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        with torch.inference_mode():
            yield
    finally:
        if collecting:
            gc.enable()


def timer(device: str, clock: Callable[[], float]) -> Timed:
    """What counts the seconds: `clock` around the calls; on CUDA two events of the stream they are queued on."""
    return _on_cuda if device == "cuda" else lambda call, count: _by_clock(call, count, clock)


def latency_timer(device: str, clock: Callable[[], float]) -> Timed:
    """`clock` from before the calls until the device has finished them: what somebody who waits for one call sees."""
    wait = torch.cuda.synchronize if device == "cuda" else None
    return lambda call, count: _by_clock(call, count, clock, wait)


def warm_up(call: Call, timed: Timed, *, least: int = 3, limit_s: float = 3.0) -> None:
    """Call until two neighbouring calls take the same time: at least `least` times, at least twice if that is slow."""
    before, spent, calls = math.inf, 0.0, 0
    while True:
        now = timed(call, 1)
        spent, calls = spent + now, calls + 1
        steady = abs(now - before) <= WARM_WITHIN * before
        if calls >= 2 and (spent >= limit_s or (steady and calls >= least)):
            return
        before = now


def calls_per_block(call: Call, timed: Timed, block_s: float = BLOCK_S) -> int:
    """The smallest power of two of calls that fills a block."""
    count = 1
    while timed(call, count) < block_s and count < MOST_CALLS:
        count *= 2
    return count


def repeat(
    one: Callable[[int], tuple[float, ...]],
    *,
    min_seconds: float,
    max_seconds: float,
    least: int,
    progress: Callable[[Progress], None],
) -> list[tuple[float, ...]]:
    """The seconds that `one(number)` returns, for number 0, 1, …: at least `least` times and `min_seconds` in all.

    After `max_seconds` two times are enough, for a model whose single call takes seconds.
    """
    rounds: list[tuple[float, ...]] = []
    spent = 0.0
    while (len(rounds) < least or spent < min_seconds) and (len(rounds) < 2 or spent < max_seconds):
        rounds.append(one(len(rounds)))
        spent += sum(rounds[-1])
        progress(Progress(int(1000 * min(spent, min_seconds)), int(1000 * min_seconds), f"block {len(rounds)}"))
    return rounds


def _by_clock(call: Call, count: int, clock: Callable[[], float], wait: Call | None = None) -> float:
    if wait:
        wait()
    begun = clock()
    for _ in range(count):
        call()
    if wait:
        wait()
    return clock() - begun


def _on_cuda(call: Call, count: int) -> float:
    begun, ended = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
    torch.cuda.synchronize()
    begun.record()
    for _ in range(count):
        call()
    ended.record()
    ended.synchronize()
    elapsed_ms: float = begun.elapsed_time(ended)
    return elapsed_ms / 1000
