"""Our seconds agree with those of torch.utils.benchmark on the same model in the same process within 3 %.

Blocks of both alternate and are compared pair by pair, so that what disturbs the machine disturbs both alike.
"""

import time

import pytest
import torch
from torch.utils.benchmark import Timer

from bench.execution.conditions import fix_conditions
from bench.measures.instruments import stopwatch
from bench.plan.case import Case
from bench.statistics.intervals import median_interval

CIFAR_MIXER = {"patch_size": 4, "width": 128, "depth": 8, "token_mlp": 64, "channel_mlp": 256}
PAIRS, MOST_PAIRS = 40, 160
WITHIN = 0.03


@pytest.mark.parametrize("batch_size", [1, 16])
def test_seconds_per_call_agree_with_torchs_timer_within_three_percent(batch_size):
    fix_conditions("cpu", 1)
    case = Case(
        "c", "s", "0", "quick", "timing", "mlp_mixer", "mlp_mixer",
        model_args=CIFAR_MIXER, num_classes=10, image_size=32, batch_size=batch_size,
    )  # fmt: skip
    timed = stopwatch.timer("cpu", time.perf_counter)
    with stopwatch.undisturbed():
        call = stopwatch.forward(case)
        stopwatch.warm_up(call, timed)
        count = stopwatch.calls_per_block(call, timed)
        torchs = Timer("call()", globals={"call": call}, num_threads=torch.get_num_threads())
        ratios: list[float] = []
        # More pairs while the interval of their median still straddles the limit; a disturbed machine needs more.
        while len(ratios) < PAIRS or (len(ratios) < MOST_PAIRS and not within(median_interval(ratios))):
            ratios.append(ours_over_theirs(call, count, timed, torchs, swapped=len(ratios) % 2 == 1))
    found = median_interval(ratios)
    print(f"\nbatch {batch_size}: ours / torch.utils.benchmark = {found.point:.4f}", end=" ")
    print(f"[{found.low:.4f}, {found.high:.4f}], {found.n} pairs of blocks of {count} calls")
    assert abs(found.point - 1) < WITHIN


def within(interval) -> bool:
    return interval.low > 1 - WITHIN and interval.high < 1 + WITHIN


def ours_over_theirs(call, count: int, timed, torchs: Timer, *, swapped: bool) -> float:
    if swapped:
        theirs = torchs.timeit(count).median
        return timed(call, count) / count / theirs
    return timed(call, count) / count / torchs.timeit(count).median
